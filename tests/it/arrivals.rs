//! Notifications that are stored with their decision, from the outside: fewer transactions where all of it is known, and nobody
//! who waits for it in vain.

use crate::drill::{Drill, POLICY};
use crate::harness::process::Process;
use crate::harness::site::{Answered, Site};
use crate::harness::{Backend, TOKEN, ledger, until};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::simulator::Fault;
use assent::zerokit::Endpoint;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// A site with a daemon that logs its steps, and a tresor on which it has decided before.
struct Acquainted {
    site: Arc<Site>,
    _daemon: Process,
    ann: UserId,
    tresor: TresorId,
}

impl Acquainted {
    async fn new(engine: Value) -> Self {
        let site = Arc::new(Site::new(Backend::Postgres, POLICY, engine).await);
        let log = site.path("steps");
        let daemon = site.serve(&[("ASSENT_POINT_LOG", log.to_str().unwrap())]).await;
        let ann = site.person();
        let tresor = site.tresor(&ann);
        let acquainted = Self { site, _daemon: daemon, ann, tresor };
        // The first one archives the policy, the second one looks at what its limit counts.
        for _ in 0..2 {
            let answered = acquainted.site.report(&acquainted.share("reject"), 0).await;
            acquainted.ends(answered.text("id"), "rejected").await;
            acquainted.forget_steps();
        }
        acquainted
    }

    fn share(&self, want: &str) -> Value {
        let bob = self.site.person();
        let now = self.site.simulator.now();
        let id = self.site.simulator.world().share(&self.ann, &bob, &self.tresor, now).unwrap();
        Drill::data(Kind::Share, &id, &self.ann, want)
    }

    async fn ends(&self, record: &str, state: &str) {
        let ended = self.site.comes_to(record, &["approved", "rejected", "escalated", "failed", "unknown"]).await;
        assert_eq!(ended.text("state"), state, "{}", ended.body);
        // Its worker has come to its end, too: nothing of it is logged any more.
        until("its end is written", async || self.steps().iter().any(|step| step == "finish.after")).await;
    }

    /// The steps of an operation that were taken, in order.
    fn steps(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.site.path("steps")).unwrap_or_default();
        let steps = ["receive", "take-in", "decide", "finish"];
        let of_operation =
            |line: &&str| steps.iter().any(|step| *line == format!("{step}.before") || *line == format!("{step}.after"));
        log.lines().filter(of_operation).map(str::to_owned).collect()
    }

    /// An operation that is stored with its decision. On a busy machine those before it may have taken too long for that.
    async fn taken_in(&self, want: &str, state: &str) -> Answered {
        for _ in 0..40 {
            self.forget_steps();
            let answered = self.site.report(&self.share(want), 0).await;
            self.ends(answered.text("id"), state).await;
            if self.steps()[0] == "take-in.before" {
                return answered;
            }
        }
        panic!("none is: {:?}", self.steps());
    }

    fn forget_steps(&self) {
        std::fs::write(self.site.path("steps"), "").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_of_it_is_known_an_operation_takes_two_transactions() {
    let known = Acquainted::new(json!({})).await;
    for (want, state) in [("approve", "approved"), ("reject", "rejected")] {
        let answered = known.taken_in(want, state).await;
        assert_eq!(answered.status, 202, "{}", answered.body);
        assert!(answered.body["decision"].is_null(), "{}", answered.body);
        let shown = known.site.call("GET", &format!("/v1/operations/{}", answered.text("id")), TOKEN, None).await;
        assert_eq!(shown.text("flow_id"), answered.text("flow_id"), "it was not provisional");
        assert_eq!(known.steps(), ["take-in.before", "take-in.after", "finish.before", "finish.after"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_does_a_new_tresor_and_what_comes_next_on_it() {
    let known = Acquainted::new(json!({})).await;
    let short_way = ["take-in.before", "take-in.after", "finish.before", "finish.after"];
    // On a busy machine what is read may take too long for that.
    for _ in 0..40 {
        let ann = &known.ann;
        let tresor = known.site.simulator.world().create_tresor(ann).unwrap();
        known.forget_steps();
        let data = Drill::data(Kind::TresorCreation, tresor.as_str(), ann, "approve");
        known.ends(known.site.report(&data, 0).await.text("id"), "approved").await;
        let creation = known.steps();
        known.forget_steps();
        let (bob, now) = (known.site.person(), known.site.simulator.now());
        let share = known.site.simulator.world().share(ann, &bob, &tresor, now).unwrap();
        known.ends(known.site.report(&Drill::data(Kind::Share, &share, ann, "approve"), 0).await.text("id"), "approved").await;
        if (creation, known.steps()) == (short_way.map(str::to_owned).to_vec(), short_way.map(str::to_owned).to_vec()) {
            return;
        }
    }
    panic!("none did: {:?}", known.steps());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_the_end_hears_of_it() {
    let known = Acquainted::new(json!({})).await;
    let answered = known.site.report(&known.share("approve"), 30).await;
    assert_eq!((answered.status, answered.text("state")), (200, "approved"), "{}", answered.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_takes_its_time_keeps_nobody_waiting() {
    let known = Acquainted::new(json!({})).await;
    known.site.simulator.plan_fault(Endpoint::SHARE_DETAILS, Fault::Delay(Duration::from_millis(300)), 1);
    let answered = known.site.report(&known.share("approve"), 0).await;
    assert_eq!(answered.status, 202, "{}", answered.body);
    assert_eq!(known.steps(), ["receive.before", "receive.after"], "stored, and answered, and not decided");
    known.ends(answered.text("id"), "approved").await;
    assert_eq!(known.steps()[2..], ["decide.before", "decide.after", "finish.before", "finish.after"]);
    // It was slow a moment ago, so the next one is not kept waiting either, and that it was quick is noticed.
    known.forget_steps();
    let answered = known.site.report(&known.share("approve"), 0).await;
    known.ends(answered.text("id"), "approved").await;
    assert_eq!(known.steps()[0], "receive.before");
    known.taken_in("approve", "approved").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_is_to_decide_is_stored_first_and_so_is_what_is_only_looked_at() {
    let known = Acquainted::new(json!({})).await;
    let answered = known.site.report(&known.share("escalate"), 0).await;
    let escalated = known.site.comes_to(answered.text("id"), &["approved", "rejected", "escalated", "failed"]).await;
    assert_eq!(escalated.text("state"), "escalated");
    assert_eq!(known.steps()[..2], ["receive.before", "receive.after"]);

    let site = Site::new(Backend::Postgres, POLICY, json!({ "mode": "observe" })).await;
    let log = site.path("steps");
    let _daemon = site.serve(&[("ASSENT_POINT_LOG", log.to_str().unwrap())]).await;
    let ann = site.person();
    let tresor = site.tresor(&ann);
    for _ in 0..2 {
        let bob = site.person();
        let id = site.simulator.world().share(&ann, &bob, &tresor, site.simulator.now()).unwrap();
        let answered = site.report(&Drill::data(Kind::Share, &id, &ann, "approve"), 0).await;
        site.comes_to(answered.text("id"), &["unknown", "failed", "approved"]).await;
    }
    assert!(!std::fs::read_to_string(log).unwrap().contains("take-in"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_message_many_times_at_once_is_one_operation_decided_once() {
    let known = Acquainted::new(json!({})).await;
    for round in 0..5 {
        let message = known.site.message(&known.share("approve"));
        let mut answers = JoinSet::new();
        for _ in 0..12 {
            let (site, message) = (Arc::clone(&known.site), message.clone());
            answers.spawn(async move { site.try_report(&message, 0).await.expect("it is answered").text("id").to_owned() });
        }
        let records: BTreeSet<_> = answers.join_all().await.into_iter().collect();
        assert_eq!(records.len(), 1, "round {round}: {records:?}");
        known.ends(records.first().unwrap(), "approved").await;
    }
    let twice = "select operation_id from decisions group by operation_id having count(*) > 1";
    assert_eq!(known.site.database.texts(twice).await, [""; 0]);
}

/// Somebody comes to a tresor and goes again, until the daemon is killed at a point of it, and once more. What is wrong then.
pub(crate) async fn broken_off(point: Option<&str>, bug: Option<&'static str>) -> Vec<String> {
    let site = Site::new(Backend::Postgres, POLICY, json!({})).await;
    let environment: Vec<_> = bug.map(|bug| ("ASSENT_BUG", bug)).into_iter().collect();
    let mut with_kill = environment.clone();
    with_kill.extend(point.map(|point| ("ASSENT_KILL_AT", point)));
    let mut daemon = site.serve(&with_kill).await;
    let (ann, bob) = (site.person(), site.person());
    let tresor = site.tresor(&ann);
    let (mut reported, mut was_killed) = (BTreeSet::new(), false);
    for kind in [Kind::Share, Kind::Kick].into_iter().cycle().take(40) {
        let now = site.simulator.now();
        let id = match kind {
            Kind::Kick => site.simulator.world().kick(&ann, &bob, &tresor, now).unwrap(),
            _ => site.simulator.world().share(&ann, &bob, &tresor, now).unwrap(),
        };
        let message = site.message(&Drill::data(kind, &id, &ann, "approve"));
        let answered = loop {
            if let Some(answered) = site.try_report(&message, 0).await {
                break answered;
            }
            if daemon.has_ended() {
                was_killed = true;
                site.addresses.lock().unwrap().clear();
                daemon = site.serve(&environment).await;
            }
        };
        reported.insert((kind.to_string(), id));
        let ended = site.comes_to(answered.text("id"), &["approved", "rejected", "superseded", "failed", "unknown"]);
        match tokio::time::timeout(Duration::from_secs(20), ended).await {
            Ok(ended) if ended.text("state") == "approved" => {}
            Ok(ended) => return vec![format!("it came to another end: {}", ended.body)],
            Err(_) => return vec![format!("it was answered and came to no end: {}", answered.body)],
        }
        if was_killed {
            break;
        }
    }
    if point.is_some() && !was_killed {
        return vec!["it was never reached".to_owned()];
    }
    let (mut wrong, _) = ledger::violations(&site, &reported).await;
    for _ in 0..100 {
        if wrong.is_empty() {
            break;
        }
        // Effects and events may still be under way.
        tokio::time::sleep(Duration::from_millis(100)).await;
        (wrong, _) = ledger::violations(&site, &reported).await;
    }
    wrong
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_and_after_it_is_stored_it_is_decided_once_and_nothing_is_lost() {
    for point in ["take-in.before", "take-in.after"] {
        assert_eq!(broken_off(Some(point), None).await, [""; 0], "{point}");
    }
}
