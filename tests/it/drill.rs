//! One careful web app with its browsers, reviewers and operators, on a daemon that is killed again and again: everything that
//! an operation can go through, each end expected. Used by the crash tests and by those of planted bugs.

use crate::harness::ledger::{self, Counts};
use crate::harness::site::{APP_TOKEN, Answered, REVIEWER_TOKEN, Site};
use assent::domain::ids::UserId;
use assent::domain::kind::Kind;
use assent::simulator::{Fault, Refusal, World};
use assent::zerokit::{Endpoint, ErrorCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// Decides as the report wishes; shares count against a limit, an approved share has an effect.
pub(crate) const POLICY: &str = r#"
version: 1
defaults: {review: {ttl: 1h}}
rules:
  - {id: wants-rejection, on: &all [share, kick, tresor_creation, invitation_link_creation, invitation_link_acception, invitation_link_revocation, user_validation], effect: reject, when: {context.want: reject}}
  - {id: wants-review, on: *all, effect: escalate, when: {context.want: escalate}}
  - {id: wants-review-soon, on: *all, effect: escalate, when: {context.want: soon}, review: {ttl: 900ms}}
  - {id: wants-approval, on: *all, effect: approve, when: {context.want: approve}}
  - {id: wants-more, on: [share], effect: approve, when: {context.want: approve}, then: [{set_tresor_creation_policy: {user: subject.id, enable: false}}, {set_tresor_sharing_policy: {user: subject.id, enable: true}}, {set_user_state: {user: subject.id, enable: true}}]}
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 50}}
"#;

/// The drill on one site, and what it saw.
#[derive(Clone)]
pub(crate) struct Drill {
    pub(crate) site: Arc<Site>,
    reported: Arc<Mutex<BTreeSet<(String, String)>>>,
    wrong: Arc<Mutex<Vec<String>>>,
    /// Where a command is to be killed the first time it is run.
    command_kill: Arc<Mutex<Option<String>>>,
    bug: Option<&'static str>,
}

/// A browser that starts something.
type Start<'s> = &'s (dyn Fn(&mut World) -> Result<String, Refusal> + Send + Sync);

impl Drill {
    pub(crate) fn new(site: Arc<Site>, command_kill: Option<String>, bug: Option<&'static str>) -> Self {
        let command_kill = Arc::new(Mutex::new(command_kill));
        Self { site, reported: Arc::default(), wrong: Arc::default(), command_kill, bug }
    }

    pub(crate) fn data(kind: Kind, id: &str, requester: &UserId, want: &str) -> Value {
        let field = match kind {
            Kind::TresorCreation => "tresor_id",
            Kind::UserValidation => "user_id",
            _ => "operation_id",
        };
        json!({ "kind": kind, field: id, "requester_id": requester, "context": { "want": want } })
    }

    /// What was answered 2xx.
    pub(crate) fn reported(&self) -> BTreeSet<(String, String)> {
        self.reported.lock().unwrap().clone()
    }

    /// Reports until it is answered, and remembers what was promised by that.
    pub(crate) async fn report(&self, kind: Kind, id: &str, data: &Value) -> Answered {
        let answered = self.site.report(data, 0).await;
        if answered.status < 300 {
            self.reported.lock().unwrap().insert((kind.to_string(), id.to_owned()));
        }
        answered
    }

    /// Reports, waits for one of some ends, and says so if it is another.
    async fn expect(&self, kind: Kind, id: &str, data: &Value, ends: &[&str]) -> Answered {
        let answered = self.report(kind, id, data).await;
        self.ends(&format!("{kind} {id}"), answered.text("id"), ends).await
    }

    async fn ends(&self, what: &str, record: &str, ends: &[&str]) -> Answered {
        let all = ["approved", "rejected", "superseded", "failed", "refused", "unknown"];
        let wanted: Vec<_> = all.iter().chain(ends).copied().collect();
        let shown = self.site.comes_to(record, &wanted).await;
        // An approval whose second call was lost, too, is never sent a third time.
        let is_lost_twice = ends.contains(&"approved") && shown.text("state") == "unknown";
        if !ends.contains(&shown.text("state")) && !is_lost_twice {
            self.wrong.lock().unwrap().push(format!("{what} should be {ends:?}: {}", shown.body));
        }
        shown
    }

    /// Starts again whenever it is told to, as a browser does.
    pub(crate) async fn pursue(&self, kind: Kind, requester: &UserId, want: &str, start: Start<'_>) -> Option<Answered> {
        let mut flow = None;
        for _ in 0..40 {
            let started = start(&mut self.site.simulator.world());
            // What the platform's own client refuses was done before, or cannot be done any more.
            let Ok(id) = started else { return None };
            let mut data = Self::data(kind, &id, requester, want);
            if let Some(flow) = &flow {
                data["flow_id"] = json!(flow);
            }
            let answered = self.report(kind, &id, &data).await;
            let all = ["approved", "rejected", "superseded", "failed", "refused", "unknown"];
            let shown = self.site.comes_to(answered.text("id"), &all).await;
            if shown.text("state") != "superseded" {
                return Some(shown);
            }
            flow = Some(shown.text("flow_id").to_owned());
        }
        None
    }

    /// Begins an operation of a kind on a tresor of its own; its id, and what the web app reports.
    fn begin(&self, kind: Kind, want: &str) -> (String, Value) {
        let (ann, bob) = (self.site.person(), self.site.person());
        let tresor = self.site.tresor(&ann);
        let now = self.site.simulator.now();
        let mut world = self.site.simulator.world();
        let (id, requester) = match kind {
            Kind::Share => (world.share(&ann, &bob, &tresor, now).unwrap(), &ann),
            Kind::Kick => {
                world.add_member(&tresor, &bob).unwrap();
                (world.kick(&ann, &bob, &tresor, now).unwrap(), &ann)
            }
            Kind::TresorCreation => (world.create_tresor(&ann).unwrap().to_string(), &ann),
            Kind::InvitationLinkCreation => (world.create_link(&ann, &tresor, now).unwrap().0, &ann),
            Kind::InvitationLinkAcception => {
                let link = world.add_link(&tresor).unwrap();
                (world.accept_link(&ann, &bob, &tresor, &link, now).unwrap(), &bob)
            }
            Kind::InvitationLinkRevocation => {
                let link = world.add_link(&tresor).unwrap();
                (world.revoke_link(&ann, &tresor, &link, now).unwrap(), &ann)
            }
            Kind::UserValidation => {
                let (user, registration) = world.begin_registration().unwrap();
                let mut data = Self::data(kind, user.as_str(), &user, want);
                data["registration"] = registration;
                return (user.to_string(), data);
            }
        };
        (id.clone(), Self::data(kind, &id, requester, want))
    }

    fn fault(&self, endpoint: &str, fault: Fault) {
        let endpoint = Endpoint::ALL.iter().find(|one| one.name == endpoint).unwrap();
        self.site.simulator.plan_fault(*endpoint, fault, 1);
    }

    /// Every kind with every verdict, and what becomes of each.
    async fn every_verdict(self) {
        let mut tasks = JoinSet::new();
        for kind in Kind::ALL {
            for want in ["approve", "reject"] {
                let drill = self.clone();
                tasks.spawn(async move {
                    let (id, data) = drill.begin(kind, want);
                    let is_unknowable = matches!(kind, Kind::InvitationLinkCreation | Kind::InvitationLinkRevocation);
                    let ends: &[&str] = match (want, is_unknowable) {
                        ("approve", true) => &["approved", "unknown"],
                        ("approve", false) => &["approved"],
                        _ => &["rejected"],
                    };
                    drill.expect(kind, &id, &data, ends).await;
                });
            }
        }
        tasks.join_all().await;
    }

    async fn reviews(self) {
        for (kind, want, verdict, end) in
            [(Kind::Share, "escalate", "approve", "approved"), (Kind::Kick, "escalate", "reject", "rejected")]
        {
            let (id, data) = self.begin(kind, want);
            let escalated = self.expect(kind, &id, &data, &["escalated"]).await;
            let record = escalated.text("id").to_owned();
            let body = json!({ "verdict": verdict, "comment": "as planned" });
            let path = format!("/v1/operations/{record}/review");
            let reviewed = self.site.call("POST", &path, REVIEWER_TOKEN, Some(body)).await;
            // After a crash the same review may have been taken already.
            if ![200, 409].contains(&reviewed.status) {
                self.wrong.lock().unwrap().push(format!("a review was answered {}: {}", reviewed.status, reviewed.body));
            }
            self.ends(&format!("reviewed {kind} {id}"), &record, &[end]).await;
        }
        let (id, data) = self.begin(Kind::Share, "soon");
        let escalated = self.expect(Kind::Share, &id, &data, &["escalated", "rejected"]).await;
        self.ends("what nobody reviewed", escalated.text("id"), &["rejected"]).await;
    }

    /// Two browsers race on one tresor: one loses, waits for its turn, and starts again.
    async fn race(self) {
        let ann = self.site.person();
        let tresor = self.site.tresor(&ann);
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            let (drill, ann, tresor, bob) = (self.clone(), ann.clone(), tresor.clone(), self.site.person());
            tasks.spawn(async move {
                let now = drill.site.simulator.now();
                let share = |world: &mut World| world.share(&ann, &bob, &tresor, now);
                let ended = drill.pursue(Kind::Share, &ann, "approve", &share).await;
                let is_member = drill.site.simulator.world().members(&tresor).unwrap().contains(&bob);
                let is_unknown = ended.as_ref().is_some_and(|ended| ended.text("state") == "unknown");
                if !is_member && !is_unknown {
                    drill.wrong.lock().unwrap().push(format!("a share that raced came to nothing: {ended:?}"));
                }
            });
        }
        tasks.join_all().await;
    }

    /// A browser that loses and never comes back: its turn on the tresor runs out.
    async fn closed_browser(self) {
        let (ann, bob, carl) = (self.site.person(), self.site.person(), self.site.person());
        let tresor = self.site.tresor(&ann);
        let now = self.site.simulator.now();
        let [first, second] = [bob, carl].map(|user| self.site.simulator.world().share(&ann, &user, &tresor, now).unwrap());
        self.expect(Kind::Share, &first, &Self::data(Kind::Share, &first, &ann, "approve"), &["approved"]).await;
        let data = Self::data(Kind::Share, &second, &ann, "approve");
        let lost = self.expect(Kind::Share, &second, &data, &["superseded", "approved"]).await;
        while lost.text("state") == "superseded" {
            let missed = format!("select cast(missed as text) from flows where id = '{}'", lost.text("flow_id"));
            if self.site.database.texts(missed.as_str()).await != ["0"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Reports that the platform or the policy of requesters turns down.
    async fn turned_down(self) {
        let (id, data) = self.begin(Kind::Share, "approve");
        let mut theirs = data.clone();
        theirs["requester_id"] = json!(self.site.person());
        self.expect(Kind::Share, &id, &theirs, &["refused"]).await;
        self.expect(Kind::Share, &id, &data, &["approved"]).await;
        let nowhere = format!("nowhere-{id}");
        self.expect(Kind::Share, &nowhere, &Self::data(Kind::Share, &nowhere, &self.site.person(), "approve"), &["failed"]).await;
    }

    async fn registration(self) {
        let begun = self.site.call("POST", "/v1/registrations", APP_TOKEN, Some(json!({}))).await;
        let user = UserId::new(begun.text("user_id")).unwrap();
        let verifier = self.site.simulator.world().register(&user).unwrap();
        let mut data = Self::data(Kind::UserValidation, user.as_str(), &user, "approve");
        data["registration"] = json!({ "validation_verifier": verifier });
        self.expect(Kind::UserValidation, user.as_str(), &data, &["approved"]).await;
    }

    /// A command beside the daemon; killed where the test wants it the first time, then run again.
    async fn command(&self, args: &[&str]) {
        let kill = self.command_kill.lock().unwrap().clone();
        let mut said = String::new();
        for attempt in 0..3 {
            let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_assent"));
            command
                .args(args)
                .arg("--config")
                .arg(self.site.config_path())
                .arg("--json")
                .env("ASSENT_LOG", "off")
                .env("USER", "olga");
            command.env("ASSENT_POINT_LOG", self.site.path("points")).envs(self.bug.map(|bug| ("ASSENT_BUG", bug)));
            if let (0, Some(point)) = (attempt, &kill) {
                command.env("ASSENT_KILL_AT", point);
            }
            let output = command.kill_on_drop(true).output().await.unwrap();
            // 1: it was done the time before.
            if matches!(output.status.code(), Some(0 | 1)) {
                return;
            }
            said = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        self.wrong.lock().unwrap().push(format!("`assent {}` does not come to an end: {said}", args.join(" ")));
    }

    /// What operators do, one thing after the other.
    async fn operators(self) {
        // A pause on one tresor, and its end.
        let (ann, bob) = (self.site.person(), self.site.person());
        let tresor = self.site.tresor(&ann);
        let id = self.site.simulator.world().share(&ann, &bob, &tresor, self.site.simulator.now()).unwrap();
        let data = Self::data(Kind::Share, &id, &ann, "approve");
        self.command(&["ops", "pause", "--tresor", tresor.as_str()]).await;
        let paused = self.report(Kind::Share, &id, &data).await;
        // It is set aside, sooner or later, and not decided.
        let seen = format!(
            "select case when paused_on is not null then 'set aside' else state end from operations where operation_id = '{id}'"
        );
        loop {
            let seen = self.site.database.texts(seen.as_str()).await.concat();
            if seen != "received" && seen != "running" {
                if seen != "set aside" {
                    self.wrong.lock().unwrap().push(format!("a pause did not stop a verdict: {seen}"));
                }
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.command(&["ops", "resume", "--tresor", tresor.as_str()]).await;
        self.ends("what was paused", paused.text("id"), &["approved"]).await;
        // A link of which nobody knows.
        let (id, data) = self.begin(Kind::InvitationLinkCreation, "approve");
        self.fault("ApproveInvitationLinkCreation", Fault::DropAfter);
        let unknown = self.expect(Kind::InvitationLinkCreation, &id, &data, &["unknown", "approved"]).await;
        if unknown.text("state") == "unknown" {
            let record = unknown.text("id").to_owned();
            // The operator looks at the platform.
            let is_there = self.site.simulator.world().effects().iter().any(|effect| effect.operation_id == id);
            let (end, state) = if is_there { ("applied", "approved") } else { ("failed", "failed") };
            self.command(&["ops", "resolve", &record, "--as", end, "--comment", "looked at the platform"]).await;
            self.ends("what was resolved", &record, &[state]).await;
        }
        // A verdict by hand on what was escalated, at a platform that takes its time.
        let (id, data) = self.begin(Kind::Kick, "escalate");
        let escalated = self.expect(Kind::Kick, &id, &data, &["escalated"]).await;
        self.fault("ApproveKick", Fault::Delay(Duration::from_millis(250)));
        self.command(&["admin", "approve-kick", "--operation-id", &id, "--yes"]).await;
        self.ends("what was decided by hand", escalated.text("id"), &["approved"]).await;
        let event = self.site.told().first().map(|told| told.webhook_id.clone());
        if let Some(event) = event {
            self.command(&["ops", "events", "--resend", &event]).await;
        }
        self.command(&["audit", "forget", ann.as_str(), "--yes"]).await;
    }

    /// Everything; what is wrong, and what was counted.
    pub(crate) async fn run(self, within: Duration) -> (Vec<String>, Counts) {
        // Answers that are late, lost, or to be asked for again, each met by one of many.
        self.fault("GetKickDetails", Fault::Delay(Duration::from_millis(330)));
        self.fault("GetShareDetails", Fault::NotJson(502));
        self.fault("ApproveShare", Fault::DropBefore);
        self.fault("ApproveTresorCreation", Fault::DropAfter);
        self.fault("RejectShare", Fault::HangAfter);
        self.fault("ApproveKick", Fault::Code(ErrorCode::TenantDisabled));
        self.fault("ValidateUser", Fault::Truncate);
        self.fault("SetUserTresorCreationMode", Fault::NotJson(503));
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            let (id, data) = self.begin(Kind::Share, "approve");
            let drill = self.clone();
            tasks.spawn(async move { drop(drill.expect(Kind::Share, &id, &data, &["approved"]).await) });
        }
        tasks.spawn(self.clone().every_verdict());
        tasks.spawn(self.clone().reviews());
        tasks.spawn(self.clone().race());
        tasks.spawn(self.clone().closed_browser());
        tasks.spawn(self.clone().turned_down());
        tasks.spawn(self.clone().registration());
        tasks.spawn(self.clone().operators());
        let latest = tokio::time::Instant::now() + within;
        let is_over = tokio::time::timeout(within, async { while tasks.join_next().await.is_some() {} }).await.is_ok();
        if !is_over {
            self.wrong.lock().unwrap().push("not everything came to its end in time".to_owned());
            tasks.abort_all();
        }
        // Effects and events may still be under way.
        let enough = tokio::time::Instant::now() + if is_over { Duration::from_secs(12) } else { Duration::from_secs(1) };
        let deadline = enough.max(latest);
        loop {
            let reported = self.reported();
            let (mut wrong, counts) = ledger::violations(&self.site, &reported).await;
            if wrong.is_empty() {
                wrong.extend(ledger::unsound(&self.site).await);
            }
            if wrong.is_empty() || tokio::time::Instant::now() >= deadline {
                wrong.extend(self.wrong.lock().unwrap().iter().cloned());
                return (wrong, counts);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
