//! `cargo bench --bench policy`: nanoseconds a decision for 1, 10, 100 and 1,000 rules, and the same rule sets in other
//! engines in the same run. The others live in `benches/peers`, a workspace of its own that only this builds.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measurement that fails must fail loudly, and measures time"
)]

mod measure;
mod ruleset;

use assent::domain::domain_name::DomainName;
use assent::domain::fact::{FactSet, FactValue, Source};
use assent::domain::kind::Kind;
use assent::domain::verdict::Verdict;
use assent::policy::{Input, Policy, SourceFile, evaluate, judge, load};
use measure::nanoseconds;
use ruleset::{Condition, Effect, OPERATION, Rule, SIZES, rules};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

const PEERS: [&str; 3] = ["cedar-policy", "regorus", "cel"];

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let batches = if is_quick { 5 } else { 25 };
    let mut measured: BTreeMap<(String, usize), f64> = BTreeMap::new();
    let facts = facts();
    let counts = BTreeMap::new();
    for size in SIZES {
        let policy = policy(&rules(size));
        let input = Input { kind: Kind::Share, facts: &facts, counts: &counts, now: "2026-03-02T10:00:00Z".parse().unwrap() };
        assert_eq!(evaluate(&policy, input).verdict, Verdict::Approve);
        assert_eq!(evaluate(&policy, input).rules, ["members-share"]);
        measured.insert(("assent".to_owned(), size), nanoseconds(batches, || judge(&policy, input)));
        measured.insert(("assent, with the trace".to_owned(), size), nanoseconds(batches, || evaluate(&policy, input)));
    }
    measured.extend(peers(batches));
    print(&measured);
    print_loading(is_quick);
}

/// Loading takes the same time for each rule, however many there are.
fn print_loading(is_quick: bool) {
    println!();
    let sizes: &[usize] = if is_quick { &[100, 1_000] } else { &[100, 1_000, 10_000] };
    for size in sizes {
        let text = source(&rules(*size));
        let bytes = text.len();
        let files = [SourceFile { path: "bench.yaml".to_owned(), text }];
        let time = nanoseconds(5, || load(&files).map(|policy| policy.rules.len()).unwrap_or_default());
        let size_float = f64::from(u32::try_from(*size).unwrap());
        println!(
            "loading {size:>6} rules ({:>5} KiB)   {:>8.1} ms, {:.1} us a rule",
            bytes / 1024,
            time / 1e6,
            time / 1e3 / size_float
        );
    }
}

fn policy(rules: &[Rule]) -> Policy {
    load(&[SourceFile { path: "bench.yaml".to_owned(), text: source(rules) }]).expect("the policy loads")
}

/// The rules as an author would write them.
fn source(rules: &[Rule]) -> String {
    let mut text = String::from("version: 1\nrules:\n");
    for rule in rules {
        let condition = match &rule.condition {
            Condition::MembersOver(cap) => format!("tresor.members_after: {{gt: {cap}}}"),
            Condition::DomainIn(domains) => format!("subject.email_domain: {{in: [{}]}}", domains.join(", ")),
            Condition::InGroup(group) => format!("subject.groups: {{contains: {group}}}"),
            Condition::ActorStartsWith(prefix) => format!("actor.id: {{starts_with: {prefix}}}"),
            Condition::Colleague(below) => format!(
                "actor.is_member: true, subject.email_domain: {{eq: {{fact: actor.email_domain}}}}, tresor.members_after: {{lt: {below}}}"
            ),
        };
        let effect = match rule.effect {
            Effect::Approve => "approve",
            Effect::Escalate => "escalate",
            Effect::Reject => "reject",
        };
        text.push_str(&format!("  - {{id: {}, on: [share], effect: {effect}, when: {{{condition}}}}}\n", rule.id));
    }
    text
}

fn facts() -> FactSet {
    let mut facts = FactSet::default();
    let domain = |name: &str| FactValue::Domain(DomainName::parse(name).expect("a domain"));
    facts.know("operation.kind", FactValue::Text("share".to_owned()), Source::Stated);
    facts.know("actor.id", FactValue::Text(OPERATION.actor_id.to_owned()), Source::Stated);
    facts.know("actor.is_member", FactValue::Bool(OPERATION.actor_is_member), Source::Stated);
    facts.know("actor.email_domain", domain(OPERATION.actor_domain), Source::Stated);
    facts.know("subject.email_domain", domain(OPERATION.subject_domain), Source::Stated);
    facts.know("subject.groups", FactValue::List(OPERATION.subject_groups.map(str::to_owned).into()), Source::Stated);
    facts.know("tresor.members_after", FactValue::Int(OPERATION.members_after), Source::Stated);
    facts
}

/// Builds and runs the peers.
fn peers(batches: usize) -> BTreeMap<(String, usize), f64> {
    let root = env!("CARGO_MANIFEST_DIR");
    eprintln!("building the peers; the first time takes some minutes");
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--locked", "--manifest-path", &format!("{root}/benches/peers/Cargo.toml")])
        .args(["--target-dir", &format!("{root}/target/peers"), "--", &batches.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the peers failed");
    let lines = String::from_utf8(output.stdout).expect("text");
    let measured = lines.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let (engine, size) = (line["engine"].as_str().expect("a name"), line["rules"].as_u64().expect("a number"));
        ((engine.to_owned(), usize::try_from(size).expect("a size")), line["ns"].as_f64().expect("a number"))
    });
    measured.collect()
}

fn print(measured: &BTreeMap<(String, usize), f64>) {
    let time = |engine: &str, size| measured.get(&(engine.to_owned(), size)).copied().unwrap_or(f64::NAN);
    let row = |name: &str, cell: &dyn Fn(usize) -> String| {
        println!("{name:<28}{}", SIZES.map(|size| format!("{:>12}", cell(size))).concat());
    };
    println!("ns a decision, by number of rules");
    row("", &|size| size.to_string());
    for engine in ["assent", "assent, with the trace"].iter().chain(&PEERS) {
        row(engine, &|size| format!("{:.0}", time(engine, size)));
    }
    println!();
    println!("times as long as assent");
    for engine in PEERS {
        row(engine, &|size| format!("{:.1}", time(engine, size) / time("assent", size)));
    }
}
