//! Turn-taking: whoever lost to a conflict waits in line, is told to start again when it is its turn, and finds the tresor
//! held for it. N clients at once so make about 2N operations, and not N².

use crate::contention::share_all;
use crate::harness::{Backend, Setting, Stage, on_both, until};
use assent::cli::config::Config;
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use assent::simulator::{Answer, Fault};
use assent::zerokit::Endpoint;
use std::time::Duration;
use tokio::task::JoinHandle;

on_both!(
    two_hundred_simultaneous_shares_cost_two_operations_each,
    closed_browsers_hold_up_nobody_for_long,
    a_lost_operation_waits_until_it_is_its_turn,
    a_turn_holds_the_tresor_for_the_client_that_comes_back,
    a_report_that_is_refused_takes_nobodys_turn,
    a_turn_lasts_while_its_clients_report_is_being_read,
    three_missed_turns_end_the_flow,
    nobody_waits_longer_than_the_longest_wait,
    a_flow_that_has_spent_its_attempts_fails,
);

const ALL_ARE_APPROVED: &str = r#"
version: 1
rules:
  - {id: all, on: [share, kick, tresor_creation], effect: approve}
"#;

async fn stage(backend: Backend, change: fn(&mut Config)) -> (Stage, UserId, TresorId) {
    let stage = Stage::set(backend, Setting { policy: ALL_ARE_APPROVED.to_owned(), change, ..Setting::default() }).await;
    let ann = stage.user("ann@example.com");
    let tresor = stage.tresor(&ann).await;
    (stage, ann, tresor)
}

impl Stage {
    async fn count(&self, what: &str) -> usize {
        self.database.texts(format!("select cast(count(*) as text) from {what}")).await[0].parse().unwrap()
    }

    /// Starts a share and reports it, without waiting for the answer; `wait` in seconds.
    fn begin(&self, ann: &UserId, tresor: &TresorId, name: &str, wait: u32) -> (String, JoinHandle<Answer>) {
        let user = self.user(&format!("{name}@example.com"));
        self.begin_for(ann, &user, tresor, wait)
    }

    fn begin_for(&self, ann: &UserId, user: &UserId, tresor: &TresorId, wait: u32) -> (String, JoinHandle<Answer>) {
        let id = self.simulator.world().share(ann, user, tresor, self.now()).unwrap();
        let data = self.scenario.app().data(Kind::Share, &id, ann, None);
        let (scenario, now) = (self.scenario.clone(), self.now().as_second());
        (id, tokio::spawn(async move { scenario.app().report(&data, wait, now).await.unwrap() }))
    }

    async fn state_of(&self, operation: &str) -> String {
        self.database.texts(format!("select state from operations where operation_id = '{operation}'")).await.concat()
    }

    async fn comes_to(&self, operation: &str, state: &str) {
        until(&format!("{operation} is {state}"), async || self.state_of(operation).await == state).await;
    }

    /// Who is in the tresor.
    fn members(&self, tresor: &TresorId) -> Vec<UserId> {
        self.simulator.world().members(tresor).unwrap()
    }
}

async fn two_hundred_simultaneous_shares_cost_two_operations_each(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |_| {}).await;
    let mut scenarios = vec![stage.scenario.clone()];
    let mut second = None;
    if backend == Backend::Postgres {
        let (daemon, scenario) = stage.another_replica().await;
        second = Some(daemon);
        scenarios.push(scenario);
    }
    let users: Vec<_> = (0..200).map(|number| stage.user(&format!("user{number}@example.com"))).collect();
    assert_eq!(share_all(&scenarios, &ann, std::slice::from_ref(&tresor), &users).await["approved"], 200);
    let operations = stage.count("operations where kind = 'share'").await;
    assert!(operations <= 440, "{operations} operations for 200 approvals");
    assert_eq!(stage.members(&tresor).len(), 201);
    assert_eq!(stage.simulator.most_in_flight(), 1);
    assert_eq!(stage.count("outcomes").await, 1 + operations, "each has one outcome");
    drop(second);
}

async fn closed_browsers_hold_up_nobody_for_long(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| config.turn = Duration::from_millis(600)).await;
    let users: Vec<_> = (0..30).map(|number| stage.user(&format!("user{number}@example.com"))).collect();
    // Among them six whose browsers are closed: they never start again.
    let closed: Vec<_> = (0..6).map(|number| stage.begin(&ann, &tresor, &format!("closed{number}"), 0)).collect();
    let (scenarios, tresors) = (std::slice::from_ref(&stage.scenario), std::slice::from_ref(&tresor));
    assert_eq!(share_all(scenarios, &ann, tresors, &users).await["approved"], 30);
    for (id, answer) in closed {
        assert_eq!(answer.await.unwrap().status, 202);
        until("it is final", async || ["approved", "superseded"].contains(&stage.state_of(&id).await.as_str())).await;
    }
    let lost = stage.count("operations where kind = 'share' and state <> 'approved'").await;
    assert!(lost <= 30 + 6 + 8, "{lost} operations were lost for 36 flows");
    until("nobody is in line any more", async || stage.count("flows where in_line = 1 or turn_until is not null").await == 0)
        .await;
}

/// Ann's tresor after one approval, with two operations that lost to it: the first has its turn, the second waits.
async fn two_lost(stage: &Stage, ann: &UserId, tresor: &TresorId) -> [(String, UserId); 2] {
    let [first, second] = ["first", "second"].map(|name| stage.user(&format!("{name}@example.com")));
    let begun = [&first, &second].map(|user| stage.simulator.world().share(ann, user, tresor, stage.now()).unwrap());
    let (winner, answer) = stage.begin(ann, tresor, "winner", 60);
    assert_eq!(answer.await.unwrap().state(), "approved", "{winner}");
    for id in &begun {
        let data = stage.scenario.app().data(Kind::Share, id, ann, None);
        stage.scenario.app().report(&data, 0, stage.now().as_second()).await.unwrap();
        until("it lost", async || ["superseded", "waiting"].contains(&stage.state_of(id).await.as_str())).await;
    }
    let [one, two] = begun;
    [(one, first), (two, second)]
}

async fn a_lost_operation_waits_until_it_is_its_turn(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| config.turn = Duration::from_secs(20)).await;
    // Reported while the first has its turn, the second parks: the tresor is held for the first.
    let [first, second] = ["first", "second"].map(|name| stage.user(&format!("{name}@example.com")));
    let [one, two] = [&first, &second].map(|user| stage.simulator.world().share(&ann, user, &tresor, stage.now()).unwrap());
    assert_eq!(stage.begin(&ann, &tresor, "winner", 60).1.await.unwrap().state(), "approved");
    let report = async |id: &str, wait| {
        let data = stage.scenario.app().data(Kind::Share, id, &ann, None);
        stage.scenario.app().report(&data, wait, stage.now().as_second()).await.unwrap()
    };
    assert_eq!(report(&one, 60).await.state(), "superseded", "nobody is before it");
    let waiting = {
        let data = stage.scenario.app().data(Kind::Share, &two, &ann, None);
        let (scenario, now) = (stage.scenario.clone(), stage.now().as_second());
        tokio::spawn(async move { scenario.app().report(&data, 60, now).await.unwrap() })
    };
    until("the second is in line", async || stage.count("operations where parked_on is not null").await == 1).await;
    // The first comes back and is approved; only then does the second lose, and has its turn at once.
    assert_eq!(stage.begin_for(&ann, &first, &tresor, 60).1.await.unwrap().state(), "approved");
    assert_eq!(waiting.await.unwrap().state(), "superseded");
    let (_, again) = stage.begin_for(&ann, &second, &tresor, 60);
    let again = again.await.unwrap();
    assert_eq!((again.state(), again.body["attempt"].as_u64()), ("approved", Some(2)));
}

async fn a_turn_holds_the_tresor_for_the_client_that_comes_back(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| config.turn = Duration::from_secs(20)).await;
    let lost = stage.user("lost@example.com");
    let id = stage.simulator.world().share(&ann, &lost, &tresor, stage.now()).unwrap();
    assert_eq!(stage.begin(&ann, &tresor, "winner", 60).1.await.unwrap().state(), "approved");
    let data = stage.scenario.app().data(Kind::Share, &id, &ann, None);
    let answer = stage.scenario.app().report(&data, 60, stage.now().as_second()).await.unwrap();
    assert_eq!(answer.state(), "superseded");
    assert_eq!(answer.body["outcome"]["outcome"], "superseded");
    // Somebody else comes first, and must wait: else the client that was told to start again would lose once more.
    let (fresh, fresh_answer) = stage.begin(&ann, &tresor, "fresh", 60);
    until("it is in line", async || stage.count("operations where parked_on is not null").await == 1).await;
    let (_, back) = stage.begin_for(&ann, &lost, &tresor, 60);
    let back = back.await.unwrap();
    assert_eq!((back.state(), back.body["flow_id"].clone()), ("approved", answer.body["flow_id"].clone()));
    // What it was held up for has made the other one's operation old; that one has its turn now.
    assert_eq!(fresh_answer.await.unwrap().state(), "superseded", "{fresh}");
}

async fn a_report_that_is_refused_takes_nobodys_turn(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| config.turn = Duration::from_secs(20)).await;
    let (lost, mallory) = (stage.user("lost@example.com"), stage.user("mallory@example.com"));
    let id = stage.simulator.world().share(&ann, &lost, &tresor, stage.now()).unwrap();
    assert_eq!(stage.begin(&ann, &tresor, "winner", 60).1.await.unwrap().state(), "approved");
    let report = async |id: &str, requester: &UserId, flow: Option<&str>| {
        let data = stage.scenario.app().data(Kind::Share, id, requester, flow);
        stage.scenario.app().report(&data, 60, stage.now().as_second()).await.unwrap()
    };
    let answer = report(&id, &ann, None).await;
    assert_eq!(answer.state(), "superseded");
    // Mallory names a flow that is not theirs, with an operation that is not theirs, and with one that is not there.
    let flow = answer.text("flow_id");
    let again = stage.simulator.world().share(&ann, &lost, &tresor, stage.now()).unwrap();
    let refused = report(&again, &mallory, Some(flow)).await;
    assert_eq!(refused.state(), "refused");
    assert_ne!(refused.text("flow_id"), flow, "it has no part in it");
    assert_eq!(report("nowhere", &mallory, Some(flow)).await.state(), "failed");
    assert_eq!(stage.count("flows where turn_until is not null and open_since is not null").await, 1, "it has its turn still");
    let back = report(&again, &ann, Some(flow)).await;
    assert_eq!((back.state(), back.text("flow_id"), back.body["attempt"].as_u64()), ("approved", flow, Some(2)));
}

async fn a_turn_lasts_while_its_clients_report_is_being_read(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| {
        config.turn = Duration::from_millis(1200);
        config.call_timeout = Duration::from_millis(1500);
    })
    .await;
    let lost = stage.user("lost@example.com");
    let id = stage.simulator.world().share(&ann, &lost, &tresor, stage.now()).unwrap();
    assert_eq!(stage.begin(&ann, &tresor, "winner", 60).1.await.unwrap().state(), "approved");
    // Clients on this tresor were quick so far, so a turn is as short as it can be: three of them are over before the
    // platform has told the details of the operation with which this one comes back at once.
    stage.database.try_run("update lanes set returns_after = 1000").await.unwrap();
    let report = async |id: &str, flow: Option<&str>| {
        let data = stage.scenario.app().data(Kind::Share, id, &ann, flow);
        stage.scenario.app().report(&data, 60, stage.now().as_second()).await.unwrap()
    };
    let superseded = report(&id, None).await;
    assert_eq!(superseded.state(), "superseded");
    stage.simulator.plan_fault(Endpoint::SHARE_DETAILS, Fault::Delay(Duration::from_millis(900)), 1);
    let again = stage.simulator.world().share(&ann, &lost, &tresor, stage.now()).unwrap();
    let back = report(&again, Some(superseded.text("flow_id"))).await;
    assert_eq!((back.state(), back.body["attempt"].as_u64()), ("approved", Some(2)), "{}", back.body);
}

async fn three_missed_turns_end_the_flow(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| config.turn = Duration::from_millis(120)).await;
    let [(_, first), _] = two_lost(&stage, &ann, &tresor).await;
    until("both have missed three turns", async || stage.count("flows where missed = 3 and turn_until is null").await == 2).await;
    assert_eq!(stage.count("flows where in_line = 1 or open_since is not null").await, 0);
    // Whoever comes after that is a flow of its own.
    let answer = stage.begin_for(&ann, &first, &tresor, 60).1.await.unwrap();
    assert_eq!((answer.state(), answer.body["attempt"].as_u64()), ("approved", Some(1)));
}

async fn nobody_waits_longer_than_the_longest_wait(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| {
        config.turn = Duration::from_secs(50);
        config.max_wait = Duration::from_millis(300);
    })
    .await;
    // Both lose while nobody's turn holds the tresor: the second is already on its way when the first has lost.
    let [first, second] = ["first", "second"].map(|name| stage.user(&format!("{name}@example.com")));
    let [one, two] = [&first, &second].map(|user| stage.simulator.world().share(&ann, user, &tresor, stage.now()).unwrap());
    assert_eq!(stage.begin(&ann, &tresor, "winner", 60).1.await.unwrap().state(), "approved");
    let data = stage.scenario.app().data(Kind::Share, &one, &ann, None);
    stage.scenario.app().report(&data, 60, stage.now().as_second()).await.unwrap();
    // As if it had lost before the first one's turn began.
    let data = stage.scenario.app().data(Kind::Share, &two, &ann, None);
    stage.scenario.app().report(&data, 0, stage.now().as_second()).await.unwrap();
    until("it is parked", async || stage.count("operations where parked_on is not null").await == 1).await;
    let hold = "update flows set in_line = 1, lane = (select parked_on from operations where parked_on is not null) where id = (select flow_id from operations where parked_on is not null)";
    stage.database.try_run(hold).await.unwrap();
    let wait = "update operations set state = 'waiting', parked_on = null, wait_until = received_at + 300000 where parked_on is not null";
    stage.database.try_run(wait).await.unwrap();
    stage.comes_to(&two, "superseded").await;
    assert_eq!(stage.count("flows where in_line = 1").await, 1, "its flow keeps its place in line");
    let told = "flows f join operations o on o.flow_id = f.id where f.in_line = 1 and f.open_since >= o.settled_at";
    assert_eq!(stage.count(told).await, 1, "and is found by its intent from when its client was told");
}

async fn a_flow_that_has_spent_its_attempts_fails(backend: Backend) {
    let (stage, ann, tresor) = stage(backend, |config| config.max_attempts = 2).await;
    let user = stage.user("bob@example.com");
    let lose = async || {
        let id = stage.simulator.world().share(&ann, &user, &tresor, stage.now()).unwrap();
        // Somebody who does not ask the daemon changes the tresor meanwhile.
        let other = stage.user("other@example.com");
        let theirs = stage.simulator.world().share(&ann, &other, &tresor, stage.now()).unwrap();
        let theirs = assent::domain::ids::OperationId::new(theirs).unwrap();
        stage.simulator.world().approve(Kind::Share, &theirs, None).unwrap();
        let data = stage.scenario.app().data(Kind::Share, &id, &ann, None);
        stage.scenario.app().report(&data, 60, stage.now().as_second()).await.unwrap()
    };
    let first = lose().await;
    assert_eq!((first.state(), first.body["attempt"].as_u64()), ("superseded", Some(1)));
    let second = lose().await;
    assert_eq!((second.state(), second.body["attempt"].as_u64()), ("failed", Some(2)), "{}", second.body);
    assert_eq!(second.body["outcome"]["error_code"], "LatestGkfNotKnownByClient");
    let detail = stage.database.texts("select detail from outcomes where outcome = 'failed'").await;
    assert_eq!(detail, ["the approval conflicted, and its flow has spent its attempts"]);
}
