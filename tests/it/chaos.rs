//! Chaos: three replicas under load, killed, stopped and woken at random while the database restarts and the platform does
//! whatever platforms do. Then nothing is lost, nothing happened twice, nothing is without an outcome, and no cap and no limit
//! was ever exceeded. Seconds long by default; `scripts/soak` runs the long form.

use crate::drill::Drill;
use crate::harness::ledger::{self, Counts};
use crate::harness::process::Process;
use crate::harness::site::Site;
use crate::harness::{Backend, Database, postgres};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::simulator::{Fault, World};
use assent::zerokit::{Endpoint, ErrorCode};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// So many members may a tresor have, and so many shares a user.
const CAP: usize = 12;
const LIMIT: usize = 9;

const POLICY: &str = r#"
version: 1
rules:
  - {id: cap, on: [share, invitation_link_acception], effect: reject, when: {tresor.members_after: {gt: 12}}}
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 9}}
  - {id: bad, on: [share, kick, tresor_creation, invitation_link_creation], effect: reject, when: {context.want: reject}}
  - {id: all, on: [share, kick, tresor_creation, invitation_link_creation, invitation_link_acception, invitation_link_revocation], effect: approve}
"#;

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Storm {
    pub(crate) operations: usize,
    pub(crate) tresors: usize,
    /// Goes on at least so long.
    pub(crate) at_least: Duration,
    pub(crate) at_most: Duration,
    pub(crate) clients: usize,
    pub(crate) replicas: usize,
    /// Whether daemons are killed, stopped and woken, and the database restarts.
    pub(crate) is_rough: bool,
    pub(crate) seed: u64,
}

/// A small generator, so that a storm can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}

fn fault(dice: &mut Dice) -> (Endpoint, Fault) {
    let of_operations =
        |endpoint: &&Endpoint| ["Approve", "Reject", "Get", "ListMembers"].iter().any(|start| endpoint.name.starts_with(start));
    let endpoints: Vec<_> = Endpoint::ALL.iter().filter(of_operations).collect();
    let fault = match dice.roll(11) {
        0 => Fault::DropBefore,
        1 => Fault::DropAfter,
        2 => Fault::HangBefore,
        3 => Fault::HangAfter,
        4 => Fault::NotJson([500, 502, 503, 200][dice.roll(4)]),
        5 => Fault::Truncate,
        6 => Fault::TooManyRequests(1),
        7 => Fault::Delay(Duration::from_millis(60 + u64::try_from(dice.roll(500)).unwrap())),
        8 => Fault::Code(ErrorCode::TenantDisabled),
        9 => Fault::Code(ErrorCode::UnexpectedError),
        _ => Fault::Code(ErrorCode::StorageConflict),
    };
    (*endpoints[dice.roll(endpoints.len())], fault)
}

/// What was done to it.
#[derive(Debug, Default)]
pub(crate) struct Blows {
    pub(crate) kills: AtomicUsize,
    pub(crate) stops: AtomicUsize,
    pub(crate) restarts: AtomicUsize,
    pub(crate) faults: AtomicUsize,
}

/// Kills, stops, wakes and restarts until it is told to leave off; then everybody runs.
async fn rage(
    site: Arc<Site>,
    storm: Storm,
    environment: Vec<(&'static str, &'static str)>,
    mut cluster: Option<postgres::Cluster>,
    over: Arc<AtomicBool>,
    blows: Arc<Blows>,
) -> (Vec<Process>, Option<postgres::Cluster>) {
    let mut dice = Dice(storm.seed | 1);
    let mut daemons = Vec::new();
    for _ in 0..storm.replicas {
        daemons.push(site.serve(&environment).await);
    }
    let follow = |daemons: &[Process]| {
        *site.addresses.lock().unwrap() = daemons.iter().filter_map(Process::address).collect();
    };
    while !over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(u64::try_from(150 + dice.roll(350)).unwrap())).await;
        for _ in 0..=dice.roll(3) {
            let (endpoint, fault) = fault(&mut dice);
            site.simulator.plan_fault(endpoint, fault, 1);
            blows.faults.fetch_add(1, Ordering::Relaxed);
        }
        if !storm.is_rough {
            continue;
        }
        match dice.roll(12) {
            0..=3 => {
                let victim = daemons.swap_remove(dice.roll(daemons.len()));
                follow(&daemons);
                victim.kill().await;
                daemons.push(site.start(&environment));
                blows.kills.fetch_add(1, Ordering::Relaxed);
            }
            4..=6 => {
                let victim = &daemons[dice.roll(daemons.len())];
                victim.signal("STOP");
                tokio::time::sleep(Duration::from_millis(u64::try_from(200 + dice.roll(2300)).unwrap())).await;
                victim.signal("CONT");
                blows.stops.fetch_add(1, Ordering::Relaxed);
            }
            7 if dice.roll(4) == 0 => {
                if let Some(mut running) = cluster.take() {
                    let mode = if dice.roll(2) == 0 { "fast" } else { "immediate" };
                    let restarted = tokio::task::spawn_blocking(move || {
                        running.restart(mode);
                        running
                    });
                    cluster = Some(restarted.await.unwrap());
                    blows.restarts.fetch_add(1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        // A daemon that met a database which was away when it started has ended, and is started again, as a container is.
        for daemon in &mut daemons {
            if daemon.has_ended() {
                *daemon = site.start(&environment);
            }
        }
        follow(&daemons);
    }
    for daemon in &mut daemons {
        if daemon.has_ended() {
            *daemon = site.start(&environment);
        }
        daemon.serves().await;
    }
    follow(&daemons);
    (daemons, cluster)
}

/// Begins and reports one thing that somebody might want.
async fn act(drill: &Drill, people: &[UserId], tresors: &[(TresorId, UserId)], dice: &Mutex<Dice>) {
    let (what, (tresor, owner), other, wish) = {
        let mut dice = dice.lock().unwrap();
        let tresor = tresors[dice.roll(tresors.len())].clone();
        (dice.roll(20), tresor, people[dice.roll(people.len())].clone(), dice.roll(8))
    };
    let want = if wish == 0 { "reject" } else { "approve" };
    let now = drill.site.simulator.now();
    let world = || drill.site.simulator.world();
    match what {
        0..=11 => {
            // Any member shares: limits count by member, caps by tresor.
            let by = {
                let members = world().members(&tresor).unwrap();
                members[dice.lock().unwrap().roll(members.len())].clone()
            };
            let share = |world: &mut World| world.share(&by, &other, &tresor, now);
            drill.pursue(Kind::Share, &by, want, &share).await;
        }
        12..=14 => {
            let about = world().members(&tresor).unwrap().last().cloned().filter(|last| *last != owner);
            let Some(about) = about else { return };
            let kick = |world: &mut World| world.kick(&owner, &about, &tresor, now);
            drill.pursue(Kind::Kick, &owner, want, &kick).await;
        }
        15 => {
            let id = world().create_tresor(&other).unwrap().to_string();
            let create = |_: &mut World| Ok(id.clone());
            drill.pursue(Kind::TresorCreation, &other, want, &create).await;
        }
        16 => {
            let create = |world: &mut World| world.create_link(&owner, &tresor, now).map(|(id, _)| id);
            drill.pursue(Kind::InvitationLinkCreation, &owner, want, &create).await;
        }
        _ => {
            let Ok(link) = world().add_link(&tresor) else { return };
            let accept = |world: &mut World| world.accept_link(&owner, &other, &tresor, &link, now);
            drill.pursue(Kind::InvitationLinkAcception, &other, "approve", &accept).await;
        }
    }
}

/// A storm, and what it left behind.
pub(crate) async fn run(storm: Storm, bug: Option<&'static str>) -> (Vec<String>, Counts, Arc<Blows>) {
    let (cluster, url) = if storm.is_rough {
        let (cluster, url) = postgres::own_cluster().await;
        (Some(cluster), url)
    } else {
        (None, Database::new(Backend::Postgres).await.url.clone())
    };
    // The quiet period is longer than the longest delay: it says how long a platform can be at a call.
    let site = Arc::new(
        Site::on(Database::at(url), POLICY, json!({ "retry_budget": 60, "max_attempts": 60, "quiet_period": "700ms" }), true)
            .await,
    );
    let drill = Drill::new(Arc::clone(&site), None, bug);
    let (people, tresors) = {
        let mut world = site.simulator.world();
        let people: Vec<_> = (0..storm.tresors * 2 + 20).map(|_| world.add_user().unwrap()).collect();
        let tresors: Vec<_> = (0..storm.tresors)
            .map(|index| {
                let tresor = world.create_tresor(&people[index]).unwrap();
                world.approve_creation(&tresor).unwrap();
                (tresor, people[index].clone())
            })
            .collect();
        (Arc::new(people), Arc::new(tresors))
    };
    let (over, blows) = (Arc::new(AtomicBool::new(false)), Arc::new(Blows::default()));
    let environment: Vec<_> = bug.map(|bug| ("ASSENT_BUG", bug)).into_iter().collect();
    let rage = tokio::spawn(rage(Arc::clone(&site), storm, environment, cluster, Arc::clone(&over), Arc::clone(&blows)));
    let (dice, begun) = (Arc::new(Mutex::new(Dice(storm.seed.wrapping_mul(31) | 1))), Arc::new(AtomicU64::new(0)));
    let started = tokio::time::Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..storm.clients {
        let (drill, people, tresors, dice, begun) =
            (drill.clone(), Arc::clone(&people), Arc::clone(&tresors), Arc::clone(&dice), Arc::clone(&begun));
        clients.spawn(async move {
            loop {
                let number = usize::try_from(begun.fetch_add(1, Ordering::Relaxed)).unwrap();
                if number >= storm.operations && started.elapsed() >= storm.at_least {
                    return;
                }
                act(&drill, &people, &tresors, &dice).await;
            }
        });
    }
    let mut wrong = Vec::new();
    if tokio::time::timeout(storm.at_most, async { while clients.join_next().await.is_some() {} }).await.is_err() {
        wrong.push(format!("not everything came to its end within {:?}", storm.at_most));
        clients.abort_all();
    }
    over.store(true, Ordering::Relaxed);
    let (daemons, cluster) = rage.await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(if wrong.is_empty() { 40 } else { 2 });
    let counts = loop {
        let (mut found, counts) = ledger::violations(&site, &drill.reported()).await;
        if found.is_empty() {
            found.extend(ledger::unsound(&site).await);
        }
        if found.is_empty() || tokio::time::Instant::now() >= deadline {
            wrong.extend(found);
            break counts;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    let most = site.simulator.world().most_members();
    if most > CAP {
        wrong.push(format!("a tresor had {most} members, and the cap is {CAP}"));
    }
    for (user, shares) in shares_by_actor(&site).await {
        if shares > LIMIT {
            wrong.push(format!("{user} shared {shares} times, and the limit is {LIMIT}"));
        }
    }
    drop(daemons);
    drop(cluster);
    (wrong, counts, blows)
}

/// How many shares of each user took effect at the platform.
async fn shares_by_actor(site: &Site) -> BTreeMap<String, usize> {
    let sql = "select distinct d.actor_id || '|' || d.operation_id from decisions d where d.kind = 'share'";
    let texts = site.database.texts(sql).await;
    let actors: BTreeMap<_, _> = texts.iter().filter_map(|text| text.split_once('|')).map(|(actor, id)| (id, actor)).collect();
    let mut shares = BTreeMap::new();
    for effect in site.simulator.world().effects() {
        if effect.kind == Kind::Share
            && effect.verdict.as_str() == "approve"
            && let Some(actor) = actors.get(effect.operation_id.as_str())
        {
            *shares.entry((*actor).to_owned()).or_default() += 1;
        }
    }
    shares
}

fn number(name: &str, preset: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(preset)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_in_a_storm_lose_nothing_and_do_nothing_twice() {
    let seconds = u64::try_from(number("SOAK_SECONDS", 20)).unwrap();
    let storm = Storm {
        operations: number("SOAK_OPERATIONS", 250),
        tresors: number("SOAK_TRESORS", 12),
        at_least: Duration::from_secs(seconds),
        at_most: Duration::from_secs(seconds * 3 + 240),
        clients: number("SOAK_CLIENTS", 24),
        replicas: 3,
        is_rough: true,
        seed: u64::try_from(number("SOAK_SEED", 20_261_125)).unwrap(),
    };
    let (wrong, counts, blows) = run(storm, None).await;
    println!(
        "chaos: {} operations on {} tresors in at least {seconds}s, {} SIGKILLs, {} SIGSTOPs, {} database restarts, {} platform faults; {:?}; {} lost, {} twice, {} without outcome",
        counts.operations,
        storm.tresors,
        blows.kills.load(Ordering::Relaxed),
        blows.stops.load(Ordering::Relaxed),
        blows.restarts.load(Ordering::Relaxed),
        blows.faults.load(Ordering::Relaxed),
        counts.states,
        counts.lost,
        counts.twice,
        counts.without_outcome,
    );
    assert!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(blows.kills.load(Ordering::Relaxed) > 0 && blows.stops.load(Ordering::Relaxed) > 0, "it was no storm");
}
