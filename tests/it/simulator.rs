//! The simulator as an integrator meets it: over HTTP alone, with requests signed by nobody's library.

use crate::harness::{ADMIN_KEY, TENANT, start_simulator};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A client that shares no code with ours: it signs in an order of its own.
struct Raw {
    address: SocketAddr,
    order: &'static [&'static str],
    /// What stands before `api/v4/admin/`.
    prefix: String,
    /// Whether the prefix is signed.
    signs_prefix: bool,
}

const ORDER: &[&str] = &["HMACHeaders", "TresoritDate", "Content-SHA256", "UserId"];

impl Raw {
    fn new(address: SocketAddr) -> Self {
        Self { address, order: ORDER, prefix: String::new(), signs_prefix: true }
    }

    /// Sends a signed request; everything that came back, as it came.
    async fn send(&self, verb: &str, signed_verb: &str, path: &str, body: &str) -> String {
        let sent = format!("{}api/v4/admin/{path}", self.prefix);
        let signed = if self.signs_prefix { sent.clone() } else { format!("api/v4/admin/{path}") };
        #[expect(clippy::disallowed_methods, reason = "the simulator lives in real time")]
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let value = |name: &str| match name {
            "HMACHeaders" => self.order.join(","),
            "TresoritDate" => date.clone(),
            "Content-SHA256" => hex::encode(digest::digest(&digest::SHA256, body.as_bytes())),
            _ => format!("admin@{TENANT}.tresorit.io"),
        };
        let lines: Vec<_> = self.order.iter().map(|name| format!("{name}:{}", value(name))).collect();
        let text = format!("{signed_verb}\n{signed}\n{}", lines.join("\n"));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &hex::decode(ADMIN_KEY).unwrap());
        let signature = base64::engine::general_purpose::STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let headers = lines.join("\r\n").replace(':', ": ");
        // The date has colons of its own.
        let headers = headers.replace(&date.replace(':', ": "), &date);
        let request = format!(
            "{verb} /{sent} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\nAuthorization: AdminKey {signature}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer));
        read.await.expect("the connection was closed").unwrap();
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.send("GET", "GET", path, "").await
    }
}

/// `POST /_simulator/{what}`.
async fn control(address: SocketAddr, what: &str, body: Value) -> Value {
    let request = reqwest::Client::new().post(format!("http://{address}/_simulator/{what}")).json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

async fn look(address: SocketAddr, what: &str) -> Value {
    reqwest::get(format!("http://{address}/_simulator/{what}")).await.unwrap().json().await.unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default()
}

#[tokio::test]
async fn any_order_of_signed_headers_and_both_address_forms_are_let_in() {
    let (_simulator, address, _stop) = start_simulator(true, Duration::ZERO).await;
    let hosted = format!("tenant-{TENANT}/");
    for (order, prefix, signs_prefix) in [
        (ORDER, "", true),
        (&["UserId", "TresoritDate", "Content-SHA256", "HMACHeaders"][..], "", true),
        (&["content-sha256", "userid", "hmacheaders", "tresoritdate"][..], "", true),
        (ORDER, hosted.as_str(), true),
        (ORDER, hosted.as_str(), false),
    ] {
        // Lower-case names have their values, too.
        let order: &'static [&'static str] = if order[0] == "content-sha256" { ORDER } else { order };
        let raw = Raw { order, prefix: prefix.to_owned(), signs_prefix, ..Raw::new(address) };
        let answer = raw.get("user/list-users").await;
        assert!(answer.starts_with("HTTP/1.1 200") && body(&answer) == r#"{"Users":[]}"#, "{order:?} {prefix}: {answer}");
        let answer = raw.send("POST", "POST", "user/init-user-registration", "").await;
        assert!(body(&answer).starts_with(r#"{"UserId":"#), "{answer}");
    }
    // One public client's library turns its reads into empty POSTs, signed as GET.
    let raw = Raw::new(address);
    assert!(raw.send("POST", "GET", "user/list-users", "").await.starts_with("HTTP/1.1 200"));
    // Not every POST is a read, and a signature is checked all the same.
    assert!(raw.send("POST", "POST", "user/list-users", "").await.starts_with("HTTP/1.1 403"));
    let unsigned = Raw { order: &["HMACHeaders", "UserId", "TresoritDate"], ..Raw::new(address) };
    assert!(unsigned.send("POST", "POST", "user/set-user-state", "{}").await.starts_with("HTTP/1.1 403"));
    let calls = look(address, "calls").await;
    let refused: Vec<_> = calls["calls"].as_array().unwrap().iter().filter_map(|call| call["refused"].as_str()).collect();
    assert!(
        refused[0]
            .starts_with("the signature is not that of this text under the admin key: \"GET\\napi/v4/admin/user/list-users\\n"),
        "{refused:?}"
    );
    assert_eq!(refused[1], "`HMACHeaders` does not name `Content-SHA256`");
}

#[tokio::test]
async fn queries_in_any_case_errors_message_first_and_users_that_do_not_exist_yet() {
    let (_simulator, address, _stop) = start_simulator(true, Duration::ZERO).await;
    let raw = Raw::new(address);
    for name in ["tresorid", "tresorId", "TRESORID"] {
        let answer = raw.get(&format!("tresor/list-members?{name}=0000nothing")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
        assert_eq!(body(&answer), r#"{"ErrorMessage":"Tresor head not found.","ErrorCode":"TresorNotExists"}"#);
    }
    let begun: Value = serde_json::from_str(body(&raw.send("POST", "POST", "user/init-user-registration", "").await)).unwrap();
    let user = begun["UserId"].as_str().unwrap();
    // Public clients leave `Enable` out, or call it `Enabled`, and expect to hear of the user.
    for setting in
        [json!({"UserId": user, "Enable": false}), json!({"UserId": user}), json!({"UserId": user, "Enabled": "False"})]
    {
        let answer = raw.send("POST", "POST", "user/set-user-state", &setting.to_string()).await;
        assert!(body(&answer).contains(r#""ErrorCode":"UserNotExists""#), "{setting}: {answer}");
    }
    control(address, "registrations", json!({ "user_id": user })).await;
    let answer = raw.send("POST", "POST", "user/set-user-state", &json!({"UserId": user, "Enable": false}).to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && body(&answer).is_empty(), "{answer}");
    let refused = control(address, "operations", json!({"kind": "tresor_creation", "by": user})).await;
    assert_eq!(refused["ErrorCode"], "UserIsDisabledByPolicy");
    // What the platform answers for an operation that it does not know can be chosen.
    let details = "tresor/get-share-details?operationId=nothing";
    assert!(raw.get(details).await.starts_with("HTTP/1.1 400"));
    control(address, "settings", json!({ "unknown_operation": "UnexpectedError" })).await;
    assert!(raw.get(details).await.starts_with("HTTP/1.1 500"));
}

#[tokio::test]
async fn custom_contents_are_served_with_the_type_of_their_extension() {
    let (_simulator, address, _stop) = start_simulator(true, Duration::ZERO).await;
    let raw = Raw::new(address);
    for (name, content_type) in
        [("a.css", "text/css"), ("b/c.html", "text/html"), ("d/e.png", "image/png"), ("f", "application/octet-stream")]
    {
        let answer = raw
            .send("PUT", "PUT", &format!("tenant/upload-custom-content?fileName={}", name.replace('/', "%2F")), "content")
            .await;
        let uploaded: Value = serde_json::from_str(body(&answer)).unwrap_or_else(|_| panic!("{answer}"));
        assert_eq!((uploaded["Path"].as_str(), uploaded["ContentType"].as_str()), (Some(name), Some(content_type)));
        assert_eq!((uploaded["Name"].as_str(), uploaded["Size"].as_u64()), (name.rsplit('/').next(), Some(7)));
        for prefix in [String::new(), format!("/tenant-{TENANT}")] {
            let served = reqwest::get(format!("http://{address}{prefix}/custom/{name}")).await.unwrap();
            assert_eq!(served.headers()["content-type"], content_type);
            assert_eq!(served.text().await.unwrap(), "content");
        }
    }
    let list: Value = serde_json::from_str(body(&raw.get("tenant/list-custom-contents").await)).unwrap();
    assert_eq!((list["CustomContentCount"].as_u64(), list["TotalUsedBytes"].as_u64()), (Some(4), Some(28)));
    for _ in 0..2 {
        let answer = raw.send("DELETE", "DELETE", "tenant/delete-custom-content?filename=a.css", "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "delete if it exists: {answer}");
    }
    assert_eq!(reqwest::get(format!("http://{address}/custom/a.css")).await.unwrap().status(), 404);
    let answer = raw.send("PUT", "PUT", "tenant/upload-custom-content?filename=a/", "content").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn every_fault_does_on_the_wire_what_its_name_says() {
    let (simulator, address, _stop) = start_simulator(false, Duration::ZERO).await;
    let raw = Raw::new(address);
    let registered = || simulator.world().picture()["users"].as_array().unwrap().len();
    let init = "user/init-user-registration";
    // Fault, what of the answer arrives, whether it was done.
    for (fault, begins, ends, done) in [
        (json!({"fault": "drop_before"}), "", "", false),
        (json!({"fault": "drop_after"}), "", "", true),
        (json!({"fault": "code", "code": "StorageConflict"}), "HTTP/1.1 409", r#""ErrorCode":"StorageConflict"}"#, false),
        (json!({"fault": "code", "code": "StandardHttpErrorWrapping"}), "HTTP/1.1 500", "</html>", false),
        (json!({"fault": "not_json", "status": 200}), "HTTP/1.1 200", "</html>", false),
        (json!({"fault": "truncate"}), "HTTP/1.1 200", "", true),
        (json!({"fault": "too_many_requests", "retry_after": 7}), "HTTP/1.1 429", "</html>", false),
        (json!({"fault": "delay", "ms": 5}), "HTTP/1.1 200", "}", true),
    ] {
        let mut fault = fault;
        fault["endpoint"] = json!("InitUserRegistration");
        assert_eq!(control(address, "faults", fault.clone()).await["count"], 1);
        let before = registered();
        let answer = raw.send("POST", "POST", init, "").await;
        assert!(answer.starts_with(begins) && answer.ends_with(ends), "{fault}: {answer}");
        assert_eq!(answer.is_empty(), begins.is_empty(), "{fault}: {answer}");
        assert_eq!(registered() - before, usize::from(done), "{fault}");
        if fault["fault"] == "truncate" {
            assert!(body(&answer).starts_with(r#"{"UserId":"#) && !answer.ends_with('}'), "{answer}");
        }
        if fault["fault"] == "too_many_requests" {
            assert!(answer.contains("retry-after: 7"), "{answer}");
        }
        // The next call is sound again.
        assert!(raw.send("POST", "POST", init, "").await.starts_with("HTTP/1.1 200"), "{fault}");
    }
    let calls = look(address, "calls").await;
    let faults: Vec<_> = calls["calls"].as_array().unwrap().iter().filter_map(|call| call["fault"].as_str()).collect();
    assert_eq!(faults, ["drop_before", "drop_after", "code", "code", "not_json", "truncate", "too_many_requests", "delay"]);
    assert_eq!(calls["calls"][0].get("status"), None, "nothing was answered");
}

#[tokio::test]
async fn browsers_are_driven_and_the_state_is_shown() {
    let (_simulator, address, _stop) = start_simulator(true, Duration::ZERO).await;
    let user = async || control(address, "users", json!({})).await["user_id"].as_str().unwrap().to_owned();
    let (ann, bob, cleo) = (user().await, user().await, user().await);
    let tresor = control(address, "tresors", json!({ "by": ann, "members": [bob] })).await["tresor_id"].clone();
    let begin = async |what: Value| control(address, "operations", what).await;
    let first = begin(json!({ "kind": "share", "by": ann, "about": cleo, "tresor_id": tresor })).await;
    let second = begin(json!({ "kind": "kick", "by": ann, "about": bob, "tresor_id": tresor })).await;
    let raw = Raw::new(address);
    let approve = async |path: &str, id: &Value| raw.send("POST", "POST", path, &json!({ "OperationId": id }).to_string()).await;
    assert!(approve("tresor/approve-share", &first["operation_id"]).await.starts_with("HTTP/1.1 200"));
    let state = look(address, "state").await;
    assert_eq!(state["tresors"][0]["members"].as_array().unwrap().len(), 3);
    assert_eq!(state["operations"][0]["invalidated"], true, "the approval took the ground from the other operation");
    let answer = approve("tresor/approve-kick", &second["operation_id"]).await;
    assert!(answer.starts_with("HTTP/1.1 412") && answer.contains("LatestGkfNotKnownByClient"), "{answer}");
    // A link, its follower, its end; what was said of it stays.
    let made = begin(json!({ "kind": "invitation_link_creation", "by": ann, "tresor_id": tresor })).await;
    let request = json!({ "OperationId": made["operation_id"], "AdditionalInfo": "till June" }).to_string();
    assert!(raw.send("POST", "POST", "tresor/approve-invitation-link-creation", &request).await.starts_with("HTTP/1.1 200"));
    let dan = user().await;
    let followed =
        begin(json!({ "kind": "invitation_link_acception", "about": dan, "tresor_id": tresor, "link": made["link"] })).await;
    let details = raw
        .get(&format!("tresor/get-invitation-link-acception-details?operationid={}", followed["operation_id"].as_str().unwrap()))
        .await;
    let details: Value = serde_json::from_str(body(&details)).unwrap();
    assert_eq!(
        (&details["ByUserId"], &details["ForUserId"]),
        (&json!(ann), &json!(dan)),
        "the maker of the link, and who followed it"
    );
    let state = look(address, "state").await;
    assert_eq!(state["effects"][1]["additional_info"], "till June");
    // What is wrong is named.
    for (what, wrong, said) in [
        ("operations", json!({ "kind": "share", "by": ann }), "missing field `about`"),
        ("operations", json!({ "kind": "shard" }), "unknown variant `shard`"),
        ("users", json!({ "validated": false }), "unknown field `validated`"),
        (
            "faults",
            json!({ "fault": "code", "endpoint": "ListUsers", "code": "Nothing" }),
            "`code` names no error code: `Nothing`",
        ),
        ("faults", json!({ "fault": "drop_before", "endpoint": "ListUser" }), "did you mean `ListUsers`?"),
        ("faults", json!({ "fault": "drop_before", "endpoint": "ListUsers", "count": 0 }), "`count` must be at least 1"),
        ("settings", json!({ "unknown_operation": "Nothing" }), "names no error code"),
        ("nothing", json!({}), "there is nothing here"),
    ] {
        let answer = control(address, what, wrong.clone()).await;
        assert!(answer["error"].as_str().unwrap_or_default().contains(said), "{wrong}: {answer}");
    }
    control(address, "reset", json!({})).await;
    let state = look(address, "state").await;
    assert_eq!((&state["users"], &state["tresors"], &state["effects"]), (&json!([]), &json!([]), &json!([])));
}

#[tokio::test]
async fn tresors_are_listed_page_by_page() {
    let (simulator, address, _stop) = start_simulator(true, Duration::ZERO).await;
    let ann = simulator.world().add_user().unwrap();
    for _ in 0..7 {
        simulator.world().create_tresor(&ann).unwrap();
    }
    let raw = Raw::new(address);
    let (mut from, mut seen, mut pages) = (String::new(), vec![], vec![]);
    loop {
        let answer = raw.get(&format!("tresor/list-tresors?pageSize=3&continueFrom={from}")).await;
        let page: Value = serde_json::from_str(body(&answer)).unwrap();
        pages.push(page["Tresors"].as_array().unwrap().len());
        seen.extend(page["Tresors"].as_array().unwrap().clone());
        match page["NextTresor"].as_str() {
            Some(next) => from = next.to_owned(),
            None => break,
        }
    }
    seen.dedup();
    assert_eq!((seen.len(), pages), (7, vec![3, 3, 1]));
    for size in ["0", "101", "x"] {
        assert!(raw.get(&format!("tresor/list-tresors?pagesize={size}")).await.starts_with("HTTP/1.1 400"), "{size}");
    }
}
