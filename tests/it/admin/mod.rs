//! The whole admin API: every row of the reference has a client, a command and an endpoint of the simulator; every
//! command answers people and programs, and says what went wrong.

mod by_hand;
mod long;

use crate::harness::command::{Ran, assent};
use crate::harness::{self, start_simulator};
use assent::domain::ids::{TresorId, UserId};
use assent::simulator::{Fault, Simulator};
use assent::zerokit::{Endpoint, ErrorCode};
use std::collections::BTreeSet;
use std::time::Duration;

/// A CSV of the reference; quoted fields hold no line breaks.
fn csv(text: &str) -> Vec<Vec<String>> {
    let split = |line: &str| {
        let (mut fields, mut field, mut quoted) = (vec![], String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                c => field.push(c),
            }
        }
        fields.push(field);
        fields
    };
    text.lines().skip(1).map(split).collect()
}

fn endpoints() -> Vec<Vec<String>> {
    csv(include_str!("../../reference/endpoints.csv"))
}

#[test]
fn all_29_endpoints_of_the_reference_are_in_the_table() {
    let rows = endpoints();
    assert_eq!(rows.len(), 29);
    assert_eq!(Endpoint::ALL.len(), 29);
    for row in rows {
        let endpoint = Endpoint::ALL.iter().find(|endpoint| endpoint.name == row[0]);
        let endpoint = endpoint.unwrap_or_else(|| panic!("{} is missing", row[0]));
        let ours = [endpoint.verb, endpoint.path, &endpoint.query.join(" ")];
        assert_eq!(ours, [row[1].as_str(), row[2].as_str(), row[3].as_str()], "{}", row[0]);
        let entities = [endpoint.request.unwrap_or_default(), endpoint.response.unwrap_or_default()];
        assert_eq!(entities, [row[4].as_str(), row[5].as_str()], "{}", row[0]);
        assert!(endpoint.path.starts_with(endpoint.group.as_str()), "{}", row[0]);
    }
}

#[test]
fn all_115_codes_of_the_reference_are_in_the_table_with_status_and_sentence() {
    let rows = csv(include_str!("../../reference/error_codes.csv"));
    assert_eq!(rows.len(), 115);
    assert_eq!(ErrorCode::ALL.len(), 115);
    for row in rows {
        let code = ErrorCode::parse(&row[0]).unwrap_or_else(|| panic!("{} is missing", row[0]));
        assert_eq!(code.http_status(), row[1].parse().ok(), "{}", row[0]);
        if code != ErrorCode::StandardHttpErrorWrapping {
            assert_eq!(code.message(), row[2], "{}", row[0]);
        }
    }
}

/// `ApproveShare` is `approve-share`.
pub(crate) fn kebab(name: &str) -> String {
    let dashed = name.chars().flat_map(|c| if c.is_ascii_uppercase() { vec!['-', c.to_ascii_lowercase()] } else { vec![c] });
    dashed.collect::<String>().trim_start_matches('-').to_owned()
}

/// The words of a message with times and the platform's address taken out.
fn timeless(text: &str) -> String {
    let is_time = |text: &str| {
        text.len() == 20
            && text
                .char_indices()
                .all(|(at, c)| if "-:TZ".contains(c) { "4 7 10 13 16 19".contains(&at.to_string()) } else { c.is_ascii_digit() })
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match rest.get(..20).filter(|word| is_time(word)) {
            Some(_) => {
                out.push_str("TIME");
                rest = &rest[20..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// A platform with something to do on it.
struct Scene {
    simulator: Simulator,
    platform: String,
    key_file: tempfile::NamedTempFile,
    upload: tempfile::NamedTempFile,
    ann: UserId,
    bob: UserId,
}

impl Scene {
    async fn set() -> (Self, tokio::sync::watch::Sender<bool>) {
        let (simulator, address, stop) = start_simulator(false, Duration::ZERO).await;
        let file = |text: &str| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            file
        };
        let ann = simulator.world().add_user().unwrap();
        let bob = simulator.world().add_user().unwrap();
        let scene = Self {
            simulator,
            platform: address.to_string(),
            key_file: file(&format!("{}\n", harness::ADMIN_KEY)),
            upload: file("body { color: teal }\n"),
            ann,
            bob,
        };
        (scene, stop)
    }

    fn tresor(&self, members: &[&UserId]) -> TresorId {
        let mut world = self.simulator.world();
        let tresor = world.create_tresor(&self.ann).unwrap();
        world.approve_creation(&tresor).unwrap();
        members.iter().for_each(|member| world.add_member(&tresor, member).unwrap());
        tresor
    }

    /// Arguments with which the command of an endpoint succeeds, once.
    fn arguments(&self, name: &str) -> Vec<String> {
        let now = self.simulator.now();
        let members = if name.contains("Kick") { vec![&self.bob] } else { vec![] };
        let tresor = self.tresor(&members);
        let mut world = self.simulator.world();
        let (ann, bob) = (&self.ann, &self.bob);
        let operation = |id: String| vec!["--operation-id".to_owned(), id];
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        match name {
            "ApproveShare" | "RejectShare" | "GetShareDetails" => operation(world.share(ann, bob, &tresor, now).unwrap()),
            "ApproveKick" | "RejectKick" | "GetKickDetails" => operation(world.kick(ann, bob, &tresor, now).unwrap()),
            name if name.ends_with("LinkCreation") || name.ends_with("LinkCreationDetails") => {
                let mut arguments = operation(world.create_link(ann, &tresor, now).unwrap().0);
                if name.starts_with("Approve") {
                    arguments.extend(texts(&["--additional-info", "for the audit"]));
                }
                arguments
            }
            name if name.contains("LinkAcception") => {
                let link = world.add_link(&tresor).unwrap();
                operation(world.accept_link(ann, bob, &tresor, &link, now).unwrap())
            }
            name if name.contains("LinkRevocation") => {
                let link = world.add_link(&tresor).unwrap();
                operation(world.revoke_link(ann, &tresor, &link, now).unwrap())
            }
            "ApproveTresorCreation" | "RejectTresorCreation" => {
                texts(&["--tresor-id", world.create_tresor(ann).unwrap().as_str()])
            }
            "DeleteTresor" | "ListMembers" => texts(&["--tresor-id", tresor.as_str()]),
            "ListTresors" => texts(&["--pagesize", "2"]),
            "ValidateUser" => {
                let (user, secrets) = world.begin_registration().unwrap();
                let secret = |name: &str| secrets[name].as_str().unwrap().to_owned();
                let [session, verifier, validation] = ["session_id", "session_verifier", "validation_verifier"].map(secret);
                texts(&[
                    "--user-id",
                    user.as_str(),
                    "--reg-session-id",
                    &session,
                    "--reg-session-verifier",
                    &verifier,
                    "--reg-validation-verifier",
                    &validation,
                ])
            }
            name if name.starts_with("SetUser") => texts(&["--user-id", bob.as_str(), "--enable", "false"]),
            "UploadCustomContent" => texts(&["--file-name", "styles/login.css", "--data", self.upload.path().to_str().unwrap()]),
            "DeleteCustomContent" => texts(&["--file-name", "styles/login.css"]),
            "InitUserRegistration" | "ListUsers" | "ListCustomContents" => vec![],
            other => panic!("no arguments for {other}"),
        }
    }

    async fn run(&self, name: &str, arguments: &[String], more: &[&str]) -> Ran {
        let command = kebab(name);
        let service = format!("http://{}/tenant-{}", self.platform, harness::TENANT);
        let mut all =
            vec!["admin", &command, "--service-url", &service, "--admin-key-file", self.key_file.path().to_str().unwrap()];
        all.extend(arguments.iter().map(String::as_str));
        all.extend(more);
        assent(&all, &[]).await
    }

    fn said(&self, ran: &Ran) -> String {
        timeless(&ran.said(&[(&self.platform, "PLATFORM"), (self.upload.path().to_str().unwrap(), "FILE")]))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_answers_people_and_programs_and_says_what_went_wrong() {
    let (scene, _stop) = Scene::set().await;
    let mut said = String::new();
    for row in endpoints() {
        let name = row[0].as_str();
        let is_verdict = name.starts_with("Approve") || name.starts_with("Reject");
        let more = if is_verdict { vec!["--yes", "--unrecorded"] } else { vec!["--yes"] };
        let arguments = scene.arguments(name);
        let ran = scene.run(name, &arguments, &more).await;
        assert_eq!(ran.status, 0, "{name}: {}{}", ran.out, ran.err);
        said.push_str(&format!("---- {}\n{}\n", kebab(name), scene.said(&ran)));
        let again = scene.arguments(name);
        let ran = scene.run(name, &again, &[more.as_slice(), &["--json"]].concat()).await;
        assert_eq!(ran.status, 0, "{name}: {}{}", ran.out, ran.err);
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap_or_else(|error| panic!("{name}: {error}: {}", ran.out));
        said.push_str(&format!("---- {} --json\n{}\n", kebab(name), scene.said(&ran)));
        // What was decided or deleted cannot be again; the others meet a platform that refuses.
        if !(is_verdict || matches!(name, "DeleteTresor" | "ValidateUser")) {
            let endpoint = Endpoint::ALL.iter().find(|endpoint| endpoint.name == name).unwrap();
            scene.simulator.plan_fault(*endpoint, Fault::Code(ErrorCode::StorageNetwork), 1);
        }
        let ran = scene.run(name, &arguments, &more).await;
        assert_eq!(ran.status, 1, "{name}: {}{}", ran.out, ran.err);
        said.push_str(&format!("---- {}, refused\n{}\n", kebab(name), scene.said(&ran)));
    }
    insta::assert_snapshot!(said);
    // Every endpoint of the reference was called, by its own command, and nothing was missing.
    let called: BTreeSet<_> = scene.simulator.calls().into_iter().collect();
    assert_eq!(called, endpoints().iter().map(|row| row[0].as_str()).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_is_asked_for_and_secrets_are_hidden() {
    let (scene, _stop) = Scene::set().await;
    let mut said = String::new();
    for name in ["DeleteTresor", "DeleteCustomContent", "SetUserStatus"] {
        let arguments = scene.arguments(name);
        let ran = scene.run(name, &arguments, &[]).await;
        assert_eq!(ran.status, 2, "{name}");
        said.push_str(&format!("---- {}\n{}\n", kebab(name), scene.said(&ran)));
    }
    assert_eq!(scene.simulator.calls(), [""; 0], "nothing was sent");
    // To let somebody in needs no question.
    let ran =
        scene.run("SetUserStatus", &["--user-id".into(), scene.bob.to_string(), "--enable".into(), "true".into()], &[]).await;
    assert_eq!(ran.status, 0, "{}", ran.err);
    for (more, shows) in
        [(vec![], false), (vec!["--json"], false), (vec!["--show-secrets"], true), (vec!["--show-secrets", "--json"], true)]
    {
        let ran = scene.run("InitUserRegistration", &[], &more).await;
        let text = ran.out + &ran.err;
        assert_eq!((text.contains("session-verifier-"), text.contains("session-")), (shows, shows), "{more:?}: {text}");
    }
    // A verdict without a record has to be wanted.
    let arguments = scene.arguments("ApproveShare");
    let ran = scene.run("ApproveShare", &arguments, &[]).await;
    assert_eq!(ran.status, 2);
    said.push_str(&format!("---- approve-share\n{}\n", scene.said(&ran)));
    insta::assert_snapshot!(said);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stranger_gets_wrong_ends_in_a_sentence() {
    let (scene, _stop) = Scene::set().await;
    let mut said = String::new();
    let mut note = |name: &str, ran: &Ran| said.push_str(&format!("---- {name}\n{}\n", scene.said(ran)));
    let key = scene.key_file.path().to_str().unwrap().to_owned();
    let address = format!("http://{}", scene.platform);
    let hosted = format!("{address}/tenant-{}", harness::TENANT);
    let wrong_key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong_key.path(), "00".repeat(32)).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let closed = format!("http://{closed}/tenant-{}", harness::TENANT);
    let admin = async |arguments: &[&str]| {
        let ran = assent(&[&["admin"], arguments].concat(), &[]).await;
        Ran { err: ran.err.replace(&closed, "http://CLOSED").replace(wrong_key.path().to_str().unwrap(), "KEY"), ..ran }
    };
    note("no configuration", &admin(&["list-users", "--config", "/nowhere/config.yaml"]).await);
    note("only an address", &admin(&["list-users", "--service-url", &hosted]).await);
    note("no tenant", &admin(&["list-users", "--service-url", &address, "--admin-key-file", &key]).await);
    note("no key", &admin(&["list-users", "--service-url", &hosted, "--admin-key-file", "/nowhere/key"]).await);
    note("no key in it", &admin(&["list-users", "--service-url", &hosted, "--admin-key-file", "LICENSE"]).await);
    note(
        "another key",
        &admin(&["list-users", "--service-url", &hosted, "--admin-key-file", wrong_key.path().to_str().unwrap()]).await,
    );
    note("nobody there", &admin(&["list-users", "--service-url", &closed, "--admin-key-file", &key]).await);
    note("nobody there, as JSON", &admin(&["list-users", "--json", "--service-url", &closed, "--admin-key-file", &key]).await);
    note("bad file name", &admin(&["delete-custom-content", "--file-name", "a b/"]).await);
    note("bad id", &admin(&["list-members", "--tresor-id", ""]).await);
    note("bad page", &admin(&["list-tresors", "--pagesize", "101"]).await);
    note("no such endpoint", &admin(&["aprove-share"]).await);
    note(
        "no such file",
        &scene.run("UploadCustomContent", &["--file-name".into(), "a".into(), "--data".into(), "/nowhere/a".into()], &[]).await,
    );
    for (name, fault) in [
        ("a proxy's page", Fault::NotJson(200)),
        ("a proxy's error", Fault::NotJson(502)),
        ("a busy proxy", Fault::TooManyRequests(30)),
        ("half an answer", Fault::Truncate),
        ("no answer", Fault::DropBefore),
    ] {
        scene.simulator.plan_fault(Endpoint::LIST_MEMBERS, fault, 1);
        note(name, &scene.run("ListMembers", &["--tresor-id".into(), scene.tresor(&[]).to_string()], &[]).await);
    }
    scene.simulator.plan_fault(Endpoint::APPROVE_SHARE, Fault::DropAfter, 1);
    note("a lost verdict", &scene.run("ApproveShare", &scene.arguments("ApproveShare"), &["--unrecorded"]).await);
    insta::assert_snapshot!(said);
}
