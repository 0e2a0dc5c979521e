//! The decision log as an auditor meets it: sealed, checked, proved, exported; and attacked by whoever owns the database.

mod attacks;
mod beside;
mod docs;
mod formats;
mod independent;
mod ocsf;
mod order;
mod personal;
mod retention;
mod roles;
mod sealing;
mod search;
mod told;
mod tools;

use crate::harness::command::{Ran, assent};
use crate::harness::{Backend, Database, Setting, Stage, postgres, until};
use assent::domain::ids::{TresorId, UserId};
use assent::domain::kind::Kind;
use serde_json::Value;

const POLICY: &str = "version: 1
rules:
  - {id: outsider, on: [share], effect: reject, when: {subject.email_domain: {ne: example.com}}, reason: \"{subject.email_domain} is outside\"}
  - {id: boss, on: [share], effect: escalate, when: {subject.email: {starts_with: boss@}}}
  - {id: velocity, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 3}}
  - {id: members, on: [share, kick], effect: approve, when: {actor.is_member: true}}
  - {id: creators, on: [tresor_creation], effect: approve, when: {actor.id: {exists: true}}}
";

/// As somebody whom no trigger stops.
async fn as_superuser(backend: Backend, database: &Database, sql: &str) {
    if backend == Backend::Postgres {
        let all = format!("do $$ begin set local session_replication_role = replica; {sql}; end $$");
        database.try_run(&all).await.unwrap();
        return;
    }
    for trigger in database.texts("select name from sqlite_master where type = 'trigger'").await {
        database.try_run(&format!("drop trigger {trigger}")).await.unwrap();
    }
    for statement in sql.split(';') {
        database.try_run(statement).await.unwrap();
    }
}

/// As a backup is: all of it, at one moment.
async fn copied(backend: Backend, of: &Database) -> Database {
    match backend {
        Backend::Postgres => Database::at(postgres::copy_of(&of.url).await),
        Backend::Sqlite => {
            let copy = Database::new(backend).await;
            let to = copy.url.strip_prefix("sqlite://").unwrap();
            of.try_run(&format!("vacuum into '{to}'")).await.unwrap();
            copy
        }
    }
}

/// A daemon, a tresor of Ann's, and a folder with a configuration for commands.
struct Auditor {
    stage: Stage,
    ann: UserId,
    tresor: TresorId,
    folder: tempfile::TempDir,
    config: String,
}

impl Auditor {
    async fn begin(backend: Backend) -> Self {
        let stage = Stage::set(backend, Setting { policy: POLICY.into(), ..Setting::default() }).await;
        let ann = stage.user("ann@example.com");
        let tresor = stage.tresor(&ann).await;
        let folder = tempfile::tempdir().unwrap();
        let config = stage.config_file(folder.path());
        Self { stage, ann, tresor, folder, config }
    }

    async fn share(&self, email: &str) -> Value {
        let to = self.stage.user(email);
        let operation = self.stage.simulator.world().share(&self.ann, &to, &self.tresor, self.stage.now()).unwrap();
        let data = self.stage.scenario.app().data(Kind::Share, &operation, &self.ann, None);
        self.stage.scenario.app().report(&data, 60, self.stage.now().as_second()).await.unwrap().body
    }

    /// An approval, two rejections and an escalation, all of them sealed.
    async fn some_decisions(&self) -> Vec<String> {
        let mut made = vec![];
        for email in ["ben@example.com", "eve@elsewhere.example", "boss@example.com", "mallory@elsewhere.example"] {
            made.push(self.share(email).await["decision"]["id"].as_str().unwrap().to_owned());
        }
        self.all_sealed().await;
        made
    }

    async fn all_sealed(&self) {
        let store = self.stage.daemon.engine.store();
        until("all is sealed", async || {
            let leaves = store.leaves(0, u64::from(u32::MAX)).await.unwrap().len();
            leaves > 0 && store.unsealed().await.unwrap() == 0
        })
        .await;
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The newest checkpoint, carried out of the house.
    async fn keep_checkpoint(&self, name: &str) -> String {
        let checkpoint = self.stage.daemon.engine.store().last_checkpoint().await.unwrap().unwrap();
        std::fs::write(self.path(name), checkpoint.note).unwrap();
        self.path(name)
    }

    /// The ids that a list of decisions as CSV has.
    fn ids(ran: &Ran) -> Vec<String> {
        csv::Reader::from_reader(ran.out.as_bytes()).records().map(|row| row.unwrap()[7].to_owned()).collect()
    }

    async fn audit(&self, args: &[&str]) -> Ran {
        let mut all = vec!["audit"];
        all.extend(args);
        all.extend(["--config", &self.config]);
        assent(&all, &[]).await
    }
}
