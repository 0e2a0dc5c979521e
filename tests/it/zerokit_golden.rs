//! The platform's contract, pinned byte for byte: what is signed, what goes over the wire, what comes back, and that
//! every endpoint and code of the reference that the main job needs is there.
//!
//! The canonical texts were written by hand and their HMACs computed with Python's `hmac`, never with the code under test.

use crate::harness::{ADMIN_KEY, TENANT};
use assent::domain::clock::FixedClock;
use assent::domain::disposition::Disposition;
use assent::domain::ids::{OperationId, TresorId, UserId};
use assent::domain::kind::Kind;
use assent::domain::operation::Registration;
use assent::domain::secret::Secret;
use assent::domain::verdict::Verdict;
use assent::zerokit::{
    AdminKey, Client, ContentName, ErrorCode, Request, ServiceUrl, TenantId, Upload, VerdictCall, body_hash, canonical_text, sign,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const NOW: &str = "2026-03-02T10:00:00Z";
const TRESOR: &str = "0000slpj4r86xbqlg9wmjhug";

/// Verb, path with query, body, canonical text, HMAC.
type Golden = (&'static str, &'static str, Option<&'static str>, &'static str, &'static str);

const GOLDEN: &[Golden] = &[
    (
        "GET",
        "api/v4/admin/tresor/get-share-details?operationid=op-1",
        None,
        "GET\napi/v4/admin/tresor/get-share-details?operationid=op-1\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nHMACHeaders:UserId,TresoritDate,HMACHeaders",
        "JUataTWOtfgqo62gEGw/7hrZMuME+OGwinBwG6JD0gU=",
    ),
    (
        "GET",
        "tenant-tenant1234/api/v4/admin/tresor/list-members?tresorid=0000slpj4r86xbqlg9wmjhug",
        None,
        "GET\ntenant-tenant1234/api/v4/admin/tresor/list-members?tresorid=0000slpj4r86xbqlg9wmjhug\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nHMACHeaders:UserId,TresoritDate,HMACHeaders",
        "FPdqDAQX5x4AlIYc5MdvPDX81+/chyEdNvrvtpRfzOo=",
    ),
    (
        "GET",
        "api/v4/admin/user/list-users",
        None,
        "GET\napi/v4/admin/user/list-users\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nHMACHeaders:UserId,TresoritDate,HMACHeaders",
        "0avEt24jGQ2J89u76cf9EsfogseXkvvzKENg/S4hIk4=",
    ),
    (
        "POST",
        "api/v4/admin/tresor/approve-share",
        Some(r#"{"OperationId":"op-1"}"#),
        "POST\napi/v4/admin/tresor/approve-share\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nContent-Type:application/json\nContent-SHA256:03df7d2cff743e399bbe3f49ca8399d28a490fc6b291dfed75244644e93a51e2\nHMACHeaders:UserId,TresoritDate,Content-Type,Content-SHA256,HMACHeaders",
        "NNN7m43YrrMlfbXXGGgz5SSXKTzAOyS+QSgec+FwZgo=",
    ),
    (
        "POST",
        "tenant-tenant1234/api/v4/admin/tresor/approve-tresor-creation",
        Some(r#"{"TresorId":"0000slpj4r86xbqlg9wmjhug"}"#),
        "POST\ntenant-tenant1234/api/v4/admin/tresor/approve-tresor-creation\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nContent-Type:application/json\nContent-SHA256:dc3bc6ecb47cd7152da09a117f078c35d6e8de2982eec2718146a47584670a1f\nHMACHeaders:UserId,TresoritDate,Content-Type,Content-SHA256,HMACHeaders",
        "cdC7iRhrA8WaQG9HoxJIQSH/byCDXOlTD+JTw7o8DX4=",
    ),
    (
        "POST",
        "api/v4/admin/user/init-user-registration",
        Some(""),
        "POST\napi/v4/admin/user/init-user-registration\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nContent-Type:application/json\nContent-SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nHMACHeaders:UserId,TresoritDate,Content-Type,Content-SHA256,HMACHeaders",
        "aR71XiAcEvDXXtWe7JyWUwrDZfysp7rM2WzvnbIlDjU=",
    ),
    (
        "GET",
        "api/v4/admin/tresor/get-kick-details?operationid=a%20b%2F%2B%3D%C3%A9",
        None,
        "GET\napi/v4/admin/tresor/get-kick-details?operationid=a%20b%2F%2B%3D%C3%A9\nUserId:admin@tenant1234.tresorit.io\nTresoritDate:2026-03-02T10:00:00Z\nHMACHeaders:UserId,TresoritDate,HMACHeaders",
        "RUmbrHnGq8XVAxqfhZlOr/KxOkJk/4gQULoepDRP/2g=",
    ),
];

#[test]
fn canonical_texts_and_signatures_are_those_computed_independently() {
    let (tenant, key) = (TenantId::parse(TENANT).unwrap(), AdminKey::parse(ADMIN_KEY).unwrap());
    for (verb, path, body, text, signature) in GOLDEN {
        let hash = body.map(|body| body_hash(body.as_bytes()));
        let request = Request { verb, path, content_type: body.map(|_| "application/json"), body_hash: hash.as_deref() };
        let mut headers = sign(request, &tenant, &key, NOW.parse().unwrap());
        assert_eq!(headers.pop().unwrap(), ("Authorization", format!("AdminKey {signature}")), "{verb} {path}");
        assert_eq!(canonical_text(verb, path, &headers), *text);
    }
}

#[test]
fn a_date_has_no_fraction() {
    let (tenant, key) = (TenantId::parse(TENANT).unwrap(), AdminKey::parse(ADMIN_KEY).unwrap());
    let request = Request { verb: "GET", path: "x", content_type: None, body_hash: None };
    let headers = sign(request, &tenant, &key, "2026-03-02T10:00:00.987654Z".parse().unwrap());
    assert!(headers.contains(&("TresoritDate", NOW.to_owned())));
}

/// Answers one request with a body, and gives what was received: the request line, the signature, the body.
async fn on_tape<T>(answer: &'static str, call: impl AsyncFnOnce(Client) -> T) -> (String, T) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tape = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        let text = loop {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8(bytes.clone()).unwrap();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() == length {
                break text;
            }
        };
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
        stream.write_all(response.as_bytes()).await.unwrap();
        text
    });
    let clock = Arc::new(FixedClock::at(NOW.parse().unwrap()));
    let service = ServiceUrl::parse(&format!("http://{address}"), Some(TENANT)).unwrap();
    let client = Client::new(service, AdminKey::parse(ADMIN_KEY).unwrap(), Duration::from_secs(5), clock).unwrap();
    let result = call(client).await;
    let text = tape.await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (format!("{}\n{body}", head.lines().next().unwrap()), result)
}

fn registration() -> Registration {
    Registration {
        session_id: "session".into(),
        session_verifier: Secret::new("session-verifier".into()),
        validation_verifier: Secret::new("validation-verifier".into()),
    }
}

#[tokio::test]
async fn every_verdict_goes_over_the_wire_as_the_reference_says() {
    let mut wire = String::new();
    for kind in Kind::ALL {
        for verdict in [Verdict::Approve, Verdict::Reject] {
            if kind == Kind::UserValidation && verdict == Verdict::Reject {
                continue;
            }
            let id = OperationId::new("id-1").unwrap();
            let (request, result) = on_tape("", async |client| {
                let registration = registration();
                client
                    .send_verdict(VerdictCall {
                        kind,
                        operation_id: &id,
                        verdict,
                        registration: Some(&registration),
                        additional_info: None,
                    })
                    .await
            })
            .await;
            result.unwrap();
            wire.push_str(&request);
            wire.push('\n');
        }
    }
    insta::assert_snapshot!(wire);
}

#[tokio::test]
async fn every_read_goes_over_the_wire_and_is_understood_as_the_reference_says() {
    // The answers are the reference's entities, field by field, with one more that must be tolerated.
    let user = r#""ByUserId":"by@tenant1234.tresorit.io","ForUserId":"for@tenant1234.tresorit.io""#;
    let share = format!(r#"{{{user},"TresorId":"{TRESOR}","New":1}}"#);
    let member = format!(r#"{{{user},"TresorId":"{TRESOR}","Timestamp":"2000-01-23T23:59:59Z"}}"#);
    let link = format!(r#"{{"ByUserId":"by@tenant1234.tresorit.io","TresorId":"{TRESOR}","Timestamp":"2000-01-23T23:59:59Z"}}"#);
    let creation = r#"{"Members":["by@tenant1234.tresorit.io"]}"#.to_owned();
    let mut wire = String::new();
    for (kind, answer) in [
        (Kind::Share, share),
        (Kind::Kick, member.clone()),
        (Kind::InvitationLinkAcception, member),
        (Kind::InvitationLinkCreation, link.clone()),
        (Kind::InvitationLinkRevocation, link),
        (Kind::TresorCreation, creation),
    ] {
        let id = OperationId::new("id 1/+=é".replace(' ', "_")).unwrap();
        let (request, details) = on_tape(answer.leak(), async |client| client.details(kind, &id).await).await;
        let details = details.unwrap();
        wire.push_str(&format!(
            "{request}-> {kind}: actor {:?} subject {:?} started {:?}\n",
            details.actor, details.subject, details.started_at
        ));
        assert_eq!(details.actor.unwrap().as_str(), "by@tenant1234.tresorit.io");
        assert_eq!(details.subject.is_some(), kind.has_subject());
    }
    let tresor = TresorId::new(TRESOR).unwrap();
    let (request, members) = on_tape(r#"{"Members":["a","b"]}"#, async |client| client.list_members(&tresor).await).await;
    wire.push_str(&format!("{request}-> {:?}\n", members.unwrap()));
    let users =
        r#"{"Users":[{"UserId":"a","UserRegistrationState":"Validated"},{"UserId":"b","UserRegistrationState":"Unvalidated"}]}"#;
    let (request, users) = on_tape(users, async |client| {
        let mut items = client.list_users();
        let mut users = vec![];
        while let Some(user) = items.next().await {
            users.push(user.unwrap());
        }
        users
    })
    .await;
    wire.push_str(&format!("{request}-> {users:?}\n"));
    let begun = r#"{"UserId":"20160601121212.tlq1d0hp@tenant1234.tresorit.io","RegSessionId":"s","RegSessionVerifier":"v"}"#;
    let (request, begun) = on_tape(begun, async |client| client.init_user_registration().await).await;
    wire.push_str(&format!("{request}-> {}\n", begun.unwrap().user_id));
    insta::assert_snapshot!(wire);
}

#[tokio::test]
async fn a_missing_field_names_the_endpoint_and_never_quotes_the_answer() {
    let id = OperationId::new("op").unwrap();
    let (_, details) =
        on_tape(r#"{"ByUserId":"secret@example.com"}"#, async |client| client.details(Kind::Share, &id).await).await;
    let failure = details.unwrap_err();
    assert_eq!(failure.on_read(), Disposition::Transient);
    let text = failure.to_string();
    assert!(text.contains("GetShareDetails") && text.contains("field `ForUserId` is missing"), "{text}");
    assert!(!text.contains("secret@example.com"), "{text}");
}

#[test]
fn the_table_says_what_every_code_means() {
    let mut table = String::new();
    for code in ErrorCode::ALL {
        table.push_str(&format!(
            "{:<48} read {:<14} verdict {:?}\n",
            code.as_str(),
            format!("{:?}", code.on_read()),
            code.on_verdict()
        ));
        assert_ne!(code.on_read(), Disposition::Conflict, "a read builds on nothing that could be outdated");
    }
    insta::assert_snapshot!(table);
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{\"Members\":[]}").await.unwrap();
                }
            });
        }
    });
    let service = ServiceUrl::parse(&format!("http://{address}"), Some(TENANT)).unwrap();
    let clock = Arc::new(FixedClock::at(NOW.parse().unwrap()));
    let client = Client::new(service, AdminKey::parse(ADMIN_KEY).unwrap(), Duration::from_secs(5), clock).unwrap();
    let tresor = TresorId::new(TRESOR).unwrap();
    for _ in 0..5 {
        client.list_members(&tresor).await.unwrap();
    }
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_platform_that_says_nothing_is_given_up_after_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = ServiceUrl::parse(&format!("http://{}", listener.local_addr().unwrap()), Some(TENANT)).unwrap();
    let clock = Arc::new(FixedClock::at(NOW.parse().unwrap()));
    let client = Client::new(service, AdminKey::parse(ADMIN_KEY).unwrap(), Duration::from_millis(100), clock).unwrap();
    let id = OperationId::new("op").unwrap();
    let call = VerdictCall {
        kind: Kind::Share,
        operation_id: &id,
        verdict: Verdict::Approve,
        registration: None,
        additional_info: None,
    };
    let failure = client.send_verdict(call).await.unwrap_err();
    // Nobody knows whether it was done; and where nobody even listens, nothing was.
    assert_eq!((failure.on_verdict(), failure.on_read()), (Disposition::Uncertain, Disposition::Transient));
    drop(listener);
    let failure = client.send_verdict(call).await.unwrap_err();
    assert_eq!(failure.on_verdict(), Disposition::Transient, "{failure}");
}

/// The simulator's side, as a client sees it that shares no code with it.
#[tokio::test]
async fn the_simulator_answers_errors_message_first_and_checks_signatures_for_real() {
    let (_simulator, address, _stop) = crate::harness::start_simulator(true, Duration::ZERO).await;
    let path = format!("tenant-{TENANT}/api/v4/admin/tresor/list-members?TresorID={TRESOR}");
    let (tenant, key) = (TenantId::parse(TENANT).unwrap(), AdminKey::parse(ADMIN_KEY).unwrap());
    #[expect(clippy::disallowed_methods, reason = "the simulator lives in real time")]
    let now = jiff::Timestamp::now();
    let ask = async |now: jiff::Timestamp, change: fn(&mut Vec<(&'static str, String)>)| {
        let mut headers = sign(Request { verb: "GET", path: &path, content_type: None, body_hash: None }, &tenant, &key, now);
        change(&mut headers);
        let mut request = reqwest::Client::new().get(format!("http://{address}/{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    // Query names are matched without regard to case; the tresor is not there.
    let missing = (404, r#"{"ErrorMessage":"Tresor head not found.","ErrorCode":"TresorNotExists"}"#.to_owned());
    assert_eq!(ask(now, |_| {}).await, missing);
    let refused = (403, r#"{"ErrorMessage":"Authentication failed for user","ErrorCode":"InvalidAuthorization"}"#.to_owned());
    assert_eq!(ask(now, |headers| headers[0].1 = "admin@other12345.tresorit.io".into()).await, refused);
    assert_eq!(ask(now, |headers| headers.retain(|(name, _)| *name != "Authorization")).await, refused);
    assert_eq!(ask(now, |headers| headers.retain(|(name, _)| *name != "HMACHeaders")).await, refused);
    assert_eq!(ask(now, |headers| headers.last_mut().unwrap().1 = "AdminKey AAAA".into()).await, refused);
    // 15 minutes either way, and no more.
    assert_eq!(ask(now - Duration::from_secs(890), |_| {}).await, missing);
    assert_eq!(ask(now - Duration::from_secs(910), |_| {}).await, refused);
    assert_eq!(ask(now + Duration::from_secs(910), |_| {}).await, refused);
}

#[tokio::test]
async fn what_is_set_deleted_and_uploaded_goes_over_the_wire_as_the_reference_says() {
    let tresor = TresorId::new(TRESOR).unwrap();
    let user = UserId::new("ann@tenant1234.tresorit.io").unwrap();
    let name = ContentName::parse("styles/login.css").unwrap();
    let file = tempfile::Builder::new().suffix(".css").tempfile().unwrap();
    std::fs::write(file.path(), "body {}").unwrap();
    let content = r#"{"Name":"login.css","Path":"styles/login.css","Url":"https://x/custom/styles/login.css","Size":7,"ContentType":"text/css","Etag":"e","New":1}"#;
    let contents = r#"{"CustomContentCount":1,"TotalUsedBytes":7,"Contents":[{"Name":"a","Path":"b/a","Url":"u","Size":7,"ContentType":"t","Etag":"e"}]}"#;
    let mut wire = String::new();
    let mut note = |request: String, answer: String| wire.push_str(&format!("{request}\n-> {answer}\n"));
    let (request, done) = on_tape("", async |client| client.delete_tresor(&tresor).await).await;
    note(request, format!("{done:?}"));
    let (request, done) = on_tape("", async |client| client.set_user_status(&user, false).await).await;
    note(request, format!("{done:?}"));
    let (request, done) = on_tape("", async |client| client.set_user_tresor_creation_mode(&user, true).await).await;
    note(request, format!("{done:?}"));
    let (request, done) = on_tape("", async |client| client.set_user_tresor_sharing_mode(&user, false).await).await;
    note(request, format!("{done:?}"));
    let (request, done) = on_tape("", async |client| client.delete_custom_content(&name).await).await;
    note(request, format!("{done:?}"));
    let (request, list) = on_tape(contents, async |client| client.list_custom_contents().await).await;
    note(request, format!("{list:?}"));
    let (request, uploaded) = on_tape(content, async |client| {
        let upload = Upload::of(file.path(), Arc::new(|_, _| {})).await.unwrap();
        client.upload_custom_content(&name, &upload).await
    })
    .await;
    note(request, format!("{uploaded:?}"));
    // The end of a list is told by null, by an empty text, or by nothing at all.
    for end in ["null", "\"\"", "-"] {
        let page = match end {
            "-" => format!(r#"{{"Tresors":["{TRESOR}"]}}"#),
            end => format!(r#"{{"Tresors":["{TRESOR}"],"NextTresor":{end}}}"#),
        };
        let (request, items) = on_tape(page.leak(), async |client| {
            let mut items = client.list_tresors(100, Some(TresorId::new("0000from").unwrap()));
            (items.next().await.unwrap().unwrap(), items.next().await.is_none())
        })
        .await;
        note(request, format!("{items:?}"));
    }
    insta::assert_snapshot!(wire);
}

#[tokio::test]
async fn a_list_that_breaks_off_or_lacks_its_field_is_no_list() {
    for (answer, cause) in [
        (r#"{"Users":[{"UserId":"a","UserRegistrationState":"Validated"},{"UserId":"b""#, "it is not JSON"),
        (
            r#"{"Users":[{"UserId":"a","UserRegistrationState":"Validated"},{"UserId":"b"}]}"#,
            "field `UserRegistrationState` is missing",
        ),
        (r#"{"Persons":[]}"#, "field `Users` is missing"),
        (r#"[]"#, "a field is of another type"),
        ("<html>", "it is not JSON"),
    ] {
        let (_, failure) = on_tape(answer, async |client| {
            let mut users = client.list_users();
            loop {
                match users.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(failure)) => break failure,
                    None => panic!("{answer} was taken for a list"),
                }
            }
        })
        .await;
        let text = failure.to_string();
        assert!(text.contains("ListUsers") && text.contains(cause), "{answer}: {text}");
    }
    // A platform whose next page is the same again would never end.
    let page = format!(r#"{{"Tresors":["{TRESOR}"],"NextTresor":"0000from"}}"#);
    let (_, failure) = on_tape(page.leak(), async |client| {
        let mut items = client.list_tresors(100, Some(TresorId::new("0000from").unwrap()));
        items.next().await.unwrap().unwrap();
        items.next().await.unwrap().unwrap_err()
    })
    .await;
    assert!(failure.to_string().contains("the next page is this page again"), "{failure}");
}

#[tokio::test]
async fn a_refused_date_is_told_with_the_difference() {
    // The platform lives 20 minutes later than we do.
    #[expect(clippy::disallowed_methods, reason = "the platform's clock is set against the machine's")]
    let now = jiff::Timestamp::now();
    let later = now + jiff::SignedDuration::from_mins(20);
    let clock = Arc::new(FixedClock::at(later));
    let (tenant, key) = (TenantId::parse(TENANT).unwrap(), AdminKey::parse(ADMIN_KEY).unwrap());
    let simulator = assent::simulator::Simulator::new(tenant, key.clone(), clock, true, Duration::ZERO);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = ServiceUrl::parse(&format!("http://{}", listener.local_addr().unwrap()), Some(TENANT)).unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    tokio::spawn(simulator.serve(listener, stopped));
    let client =
        |clock| Client::new(service.clone(), key.clone(), Duration::from_secs(5), Arc::new(FixedClock::at(clock))).unwrap();
    let failure = client(now).list_members(&TresorId::new(TRESOR).unwrap()).await.unwrap_err().to_string();
    assert!(
        failure.contains("InvalidAuthorization") && failure.contains("behind the platform's, which accepts 15 min"),
        "{failure}"
    );
    assert!(failure.contains("our clock is 20 min 0 s") || failure.contains("our clock is 19 min 59 s"), "{failure}");
    // A refusal for another reason says nothing of clocks.
    let failure = client(later).list_members(&TresorId::new(TRESOR).unwrap()).await.unwrap_err().to_string();
    assert!(failure.contains("TresorNotExists") && !failure.contains("clock"), "{failure}");
}

#[tokio::test]
async fn a_long_list_waits_for_whoever_reads_it_and_not_for_a_platform_that_says_no_more() {
    let (simulator, address, _stop) = crate::harness::start_simulator(true, Duration::ZERO).await;
    let users: Vec<_> = (0..60_000).map(|_| simulator.world().add_user().unwrap()).collect();
    let service = ServiceUrl::parse(&format!("http://{address}"), Some(TENANT)).unwrap();
    let clock = Arc::new(crate::harness::MachineClock);
    let key = AdminKey::parse(ADMIN_KEY).unwrap();
    let client = Client::new(service, key, Duration::from_secs(3), clock).unwrap();
    let mut items = client.list_users();
    items.next().await.unwrap().unwrap();
    // A pager that is left standing for longer than any call may take.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let mut rest = 0;
    while let Some(item) = items.next().await {
        item.unwrap();
        rest += 1;
    }
    assert_eq!(rest + 1, users.len());
    for fault in [assent::simulator::Fault::HangBefore, assent::simulator::Fault::Truncate] {
        simulator.plan_fault(assent::zerokit::Endpoint::LIST_USERS, fault, 1);
        let failure = client.find_users(&[]).await.unwrap_err();
        assert_eq!(failure.on_read(), Disposition::Transient, "{failure}");
    }
}
