//! What policies mean, and what is said of wrong ones. The texts of all complaints are pinned.

use assent::domain::fact::{FactName, FactSet, FactState, FactValue, Source};
use assent::domain::kind::Kind;
use assent::domain::verdict::Verdict;
use assent::policy::{Evaluation, Input, Policy, SourceFile, evaluate, load, load_archived, load_cases};
use std::collections::{BTreeMap, BTreeSet};

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

fn policy(rules: &str) -> Policy {
    let text = format!("version: 1\nlists: {{partners: [example.com, \"*.example.org\"]}}\nrules:\n{rules}");
    load(&[file("p.yaml", &text)])
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|problem| problem.render(Some(&text))).collect::<String>()))
}

fn ask_with(policy: &Policy, kind: Kind, facts: &FactSet, counts: &[(&str, u64)]) -> Evaluation {
    let counts: BTreeMap<String, u64> = counts.iter().map(|(rule, seen)| ((*rule).to_owned(), *seen)).collect();
    evaluate(policy, Input { kind, facts, counts: &counts, now: "2026-03-02T10:00:00Z".parse().unwrap() })
}

fn ask(policy: &Policy, facts: &FactSet) -> Evaluation {
    ask_with(policy, Kind::Share, facts, &[])
}

fn facts(known: &[(&str, FactValue)]) -> FactSet {
    let mut facts = FactSet::default();
    for (name, value) in known {
        facts.know(name, value.clone(), Source::Stated);
    }
    facts
}

fn text(value: &str) -> FactValue {
    FactValue::Text(value.to_owned())
}

/// Everything that is said of a directory, as the author sees it.
fn complaints(files: &[SourceFile]) -> String {
    let problems = load(files).expect_err("it should not load");
    problems
        .iter()
        .map(|problem| problem.render(files.iter().find(|file| file.path == problem.file).map(|file| file.text.as_str())))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_mistake_has_its_place_and_its_remedy() {
    let head = "version: 1\nrules:\n";
    let rule = |rest: &str| format!("{head}  - id: a\n    on: [share]\n    effect: reject\n    {rest}\n");
    let cases: Vec<(&str, String)> = vec![
        (
            "duplicate rule id",
            format!("{head}  - {{id: a, on: [share], effect: approve}}\n  - {{id: a, on: [kick], effect: reject}}\n"),
        ),
        ("misspelt fact", rule("when: {tresor.member_after: {gt: 20}}")),
        (
            "subject on a link creation",
            format!(
                "{head}  - id: a\n    on: [share, invitation_link_creation]\n    effect: reject\n    when: {{subject.email_domain: {{exists: false}}}}\n"
            ),
        ),
        (
            "list file missing",
            "version: 1\nlists:\n  bad: {file: lists/disposabel.txt}\nrules:\n  - {id: a, on: [share], effect: reject, when: {subject.email_domain: {in: {list: bad}}}}\n".to_string(),
        ),
        ("approve as default", "version: 1\ndefaults: {verdict: approve}\nrules: []\n".to_string()),
        ("approve when unknown", "version: 1\ndefaults: {on_unknown: approve}\nrules: []\n".to_string()),
        ("no version", "rules: []\n".to_owned()),
        ("another version", "version: 2\nrules: []\n".to_owned()),
        ("unknown key", rule("wen: {actor.is_member: true}")),
        ("unknown kind", format!("{head}  - {{id: a, on: [shares], effect: reject}}\n")),
        ("unknown effect", format!("{head}  - {{id: a, on: [share], effect: allow}}\n")),
        ("unknown operator", rule("when: {tresor.members_after: {greater: 20}}")),
        ("unknown list", rule("when: {subject.email_domain: {in: {list: partner}}}")),
        ("empty named list", "version: 1\nlists: {none: []}\nrules:\n  - {id: a, on: [share], effect: approve, when: {subject.groups: {contains_all: {list: none}}}}\n".to_owned()),
        ("empty list of numbers", rule("when: {tresor.members_after: {not_in: []}}")),
        ("limit within nothing", rule("limit: {count: share, per: actor.id, within: 0s, max: 1}")),
        ("operator of another type", rule("when: {actor.is_member: {gt: 3}}")),
        ("suffix of a domain", rule("when: {subject.email_domain: {ends_with: example.com}}")),
        ("value of another type", rule("when: {tresor.members_after: {gt: many}}")),
        ("number for a text", rule("when: {actor.id: 17}")),
        ("no domain", rule("when: {subject.email_domain: {in: [\"not a domain\"]}}")),
        ("facts that can never be equal", rule("when: {actor.id: {eq: {fact: tresor.members_after}}}")),
        ("empty all", rule("when: {all: []}")),
        ("empty condition", rule("when: {}")),
        ("condition of nothing", rule("when:")),
        ("empty word", rule("when: {actor.id: {starts_with: \"\"}}")),
        ("list shorthand", rule("when: {actor.id: [a, b]}")),
        ("condition that is a text", rule("when: always")),
        (
            "limit that approves",
            format!(
                "{head}  - id: a\n    on: [share]\n    effect: approve\n    limit: {{count: share, per: actor.id, within: 1h, max: 1}}\n"
            ),
        ),
        ("limit per a list", rule("limit: {count: share, per: actor.groups, within: 1h, max: 1}")),
        ("limit within what", rule("limit: {count: share, per: actor.id, within: 1 hour, max: 1}")),
        ("limit without max", rule("limit: {count: share, per: actor.id, within: 1h}")),
        ("limit that the counted kind has not", rule("limit: {count: tresor_creation, per: subject.id, within: 1h, max: 1}")),
        ("personal fact in a reason", rule("reason: \"{actor.email} is not welcome\"")),
        ("unknown fact in a reason", rule("reason: \"{tresor.count} members\"")),
        ("open brace", rule("reason: \"{actor.id is not welcome\"")),
        ("bad id", format!("{head}  - {{id: A rule, on: [share], effect: reject}}\n")),
        ("no id", format!("{head}  - {{on: [share], effect: reject}}\n")),
        ("duplicate key", format!("{head}  - id: a\n    on: [share]\n    on: [kick]\n    effect: reject\n")),
        ("not YAML", "version: 1\nrules: [\n".to_owned()),
        ("rules that are no list", "version: 1\nrules: {a: b}\n".to_owned()),
        ("unknown effect on a user", rule("then: [{set_user_status: {user: actor.id, enable: false}}]")),
        ("effect on nobody", rule("then: [{set_user_state: {user: actor.email, enable: false}}]")),
        ("effect on whom the kind has not", format!("{head}  - id: a\n    on: [kick, tresor_creation]\n    effect: reject\n    then: [{{set_user_state: {{user: subject.id, enable: false}}}}]\n")),
        ("effect without a value", rule("then: [{set_user_state: {user: actor.id}}]")),
        ("effect to what", rule("then: [{set_user_state: {user: actor.id, enable: no way}}]")),
        ("effects in one", rule("then: [{set_user_state: {user: actor.id, enable: false}, set_tresor_sharing_policy: {user: actor.id, enable: false}}]")),
        ("no effects", rule("then: []")),
        ("effects of an escalation", rule("then: [{set_user_state: {user: actor.id, enable: false}}]").replace("effect: reject", "effect: escalate")),
        ("additional info of a rejection", rule("additional_info: none")),
        ("additional info with a personal fact", format!("{head}  - id: a\n    on: [invitation_link_creation]\n    effect: approve\n    additional_info: \"for {{actor.email}}\"\n")),
        ("tabs", "version: 1\nrules:\n\t- id: a\n".to_owned()),
        ("list of texts with a fact among them", rule("when: {subject.id: {not_in: [u1, tresor.creator_id]}}")),
        ("fact as what a list contains", rule("when: {tresor.members: {contains: subject.id}}")),
        ("fact as what a text begins with", rule("when: {subject.id: {starts_with: \"{actor.id}\"}}")),
        ("pattern of nothing", rule("when: {subject.id: {matches: \"\"}}")),
        (
            "calendar without a single holiday",
            "version: 1\ncalendars:\n  office: {timezone: Europe/Budapest, hours: [\"Mon-Fri 08:00-18:00\"], holidays: []}\nrules:\n  - {id: a, on: [share], effect: reject, when: {time: {outside: office}}}\n".to_owned(),
        ),
        ("default of nothing", "version: 1\ndefaults:\n  on_unknown:\nrules:\n  - {id: a, on: [share], effect: reject}\n".to_owned()),
    ];
    let mut said = String::new();
    for (name, text) in cases {
        let files = [file("policy.yaml", &text), file("lists/disposable.txt", "mailinator.com\n")];
        said.push_str(&format!("---- {name}\n{}\n", complaints(&files)));
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_list_ends_its_lines_with_line_feeds() {
    let rules = "version: 1\nlists: {out: {file: out.txt}}\nrules:\n  - {id: out, on: [share], effect: reject, when: {subject.id: {in: {list: out}}}}\n  - {id: all, on: [share], effect: approve}\n";
    let policy = load(&[file("p.yaml", rules), file("out.txt", "u1\r\nu2\nu3")]).unwrap();
    for user in ["u1", "u2", "u3"] {
        assert_eq!(ask(&policy, &facts(&[("subject.id", text(user))])).verdict, Verdict::Reject, "{user}");
    }
    let said = complaints(&[file("p.yaml", rules), file("out.txt", "u1\ru2\r\nu3\n")]);
    assert!(said.contains("error[bad-line-ends]") && said.contains("`out.txt`"), "{said}");
}

#[test]
fn what_was_in_force_means_what_it_meant_though_it_would_not_come_into_force_today() {
    let rules = "version: 1\ndefaults:\n  on_unknown:\nlists: {out: {file: out.txt}}\ncalendars:\n  office: {timezone: UTC, hours: [\"Mon-Fri 08:00-18:00\"], holidays: []}\nrules:\n  - {id: out, on: [share], effect: reject, when: {subject.id: {in: {list: out}}}}\n  - {id: named, on: [share], effect: reject, when: {subject.id: {in: [tresor.creator_id]}}}\n  - {id: any, on: [share], effect: approve, when: {all: [{subject.id: {matches: \"\"}}, {time: {within: office}}]}}\n";
    let files = [file("p.yaml", rules), file("out.txt", "u1\ru2")];
    let codes: BTreeSet<_> = load(&files).unwrap_err().iter().map(|problem| problem.code).collect();
    let later = ["bad-line-ends", "empty-default", "empty-holidays", "empty-pattern", "fact-as-word"];
    assert_eq!(codes, BTreeSet::from(later), "and each of them by itself is an error");
    let sound = file("p.yaml", "version: 1\nrules:\n  - {id: all, on: [share], effect: approve}\n");
    let body = |files: &[SourceFile]| {
        let files: BTreeMap<_, _> = files.iter().map(|file| (&file.path, &file.text)).collect();
        serde_json::json!({ "files": files }).to_string()
    };
    let hash = load(std::slice::from_ref(&sound)).unwrap().hash.0;
    assert_eq!(load_archived(&hash, &body(&[sound])).unwrap().hash.0, hash);
    assert!(load_archived(&hash, &body(&files)).is_none(), "the hash is of another");
    let hash = archive_hash(&files);
    let policy = load_archived(&hash, &body(&files)).unwrap();
    assert_eq!(ask(&policy, &facts(&[("subject.id", text("u2"))])).verdict, Verdict::Approve);
    let broken = [file("p.yaml", "version: 1\nrules: [{id: a, on: [share], effect: maybe}]\n")];
    assert!(load_archived(&archive_hash(&broken), &body(&broken)).is_none(), "what never loaded does not now");
}

/// As a policy's hash is made.
fn archive_hash(files: &[SourceFile]) -> String {
    let mut sorted: Vec<_> = files.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let parts = sorted.iter().map(|file| format!("{} {}\n{}{}", file.path.len(), file.text.len(), file.path, file.text));
    let text = format!("assent.policy.v1\n{}", parts.collect::<String>());
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
}

#[test]
fn what_is_not_known_and_would_change_nothing_is_no_reason() {
    let policy = policy(
        "  - {id: a, on: [share], effect: reject, when: {any: [{all: [{subject.groups: {contains: x}}, {actor.is_member: false}]}, {subject.id: u9}]}}\n",
    );
    let reason = ask(&policy, &facts(&[("actor.is_member", FactValue::Bool(true))])).reason;
    assert!(reason.contains("`subject.id`") && !reason.contains("subject.groups"), "{reason}");
}

#[test]
fn all_mistakes_of_all_files_are_shown_at_once() {
    let a = file(
        "a.yaml",
        "version: 1\ndefaults: {verdict: reject}\nrules:\n  - {id: x, on: [share], effect: reject, when: {actor.idd: u1}}\n  - {id: x2, on: [], effect: reject}\n",
    );
    let b = file("b.yaml", "version: 1\ndefaults: {verdict: escalate}\nrules:\n  - {id: y, on: [share], effect: maybe}\n");
    insta::assert_snapshot!(complaints(&[a, b]));
    assert!(complaints(&[]).contains("there is no rule file here"));
}

/// Every operator with a known, an absent and an unknown fact: comparisons with what is not known are unknown.
#[test]
fn absence_is_no_evidence() {
    let cases = [
        ("actor.id: u1", true),
        ("actor.id: {eq: u1}", true),
        ("actor.id: {ne: u1}", false),
        ("actor.id: {in: [u1, u2]}", true),
        ("actor.id: {not_in: [u1, u2]}", false),
        ("actor.id: {in: {fact: tresor.members}}", true),
        ("actor.id: {eq: {fact: tresor.creator_id}}", false),
        ("actor.id: {contains: u}", true),
        ("actor.id: {starts_with: u}", true),
        ("actor.id: {ends_with: x}", false),
        ("tresor.members_after: {gt: 20}", false),
        ("tresor.members_after: {gte: 20}", true),
        ("tresor.members_after: {lt: 20}", false),
        ("tresor.members_after: {lte: 20}", true),
        ("tresor.members_after: {gt: 1, lt: 30}", true),
        ("tresor.members_after: {in: [19, 20]}", true),
        ("tresor.members: {contains: u1}", true),
        ("tresor.members: {contains_any: [u1, u9]}", true),
        ("tresor.members: {contains_all: [u1, u9]}", false),
        ("subject.email_domain: {eq: EXAMPLE.com}", true),
        ("subject.email_domain: {in: {list: partners}}", true),
        ("subject.email_domain: {not_in: {list: partners}}", false),
        ("actor.is_member: true", true),
        ("actor.attributes.level: {gte: 3}", true),
    ];
    let known = facts(&[
        ("actor.id", text("u1")),
        ("tresor.creator_id", text("u2")),
        ("tresor.members", FactValue::List(vec!["u1".into(), "u2".into()])),
        ("tresor.members_after", FactValue::Int(20)),
        ("subject.email_domain", FactValue::Domain(assent::domain::domain_name::DomainName::parse("example.com").unwrap())),
        ("actor.is_member", FactValue::Bool(true)),
        ("actor.attributes.level", FactValue::Int(3)),
    ]);
    for (condition, holds) in cases {
        let policy = policy(&format!(
            "  - {{id: r, on: [share], effect: reject, when: {{{condition}}}}}\n  - {{id: a, on: [share], effect: approve}}\n"
        ));
        let expected = if holds { Verdict::Reject } else { Verdict::Approve };
        assert_eq!(ask(&policy, &known).verdict, expected, "{condition} known");
        assert_eq!(ask(&policy, &FactSet::default()).verdict, Verdict::Escalate, "{condition} absent");
        let mut unknown = FactSet::default();
        for (name, _) in known.iter() {
            unknown.put(name.clone(), FactState::Unknown("timeout".into()));
        }
        let evaluation = ask(&policy, &unknown);
        assert_eq!((evaluation.verdict, evaluation.rules), (Verdict::Escalate, vec!["r".to_owned()]), "{condition} unknown");
    }
    // Only `exists` tells absent from unknown.
    let policy = policy(
        "  - {id: r, on: [share], effect: reject, when: {actor.email: {exists: true}}}\n  - {id: a, on: [share], effect: approve}\n",
    );
    let mut unknown = FactSet::default();
    unknown.put(FactName::new("actor.email"), FactState::Unknown("timeout".into()));
    assert_eq!(ask(&policy, &FactSet::default()).verdict, Verdict::Approve);
    assert_eq!(ask(&policy, &unknown).verdict, Verdict::Escalate);
    assert_eq!(ask(&policy, &facts(&[("actor.email", text("a@b.c"))])).verdict, Verdict::Reject);
}

#[test]
fn a_value_of_another_type_is_unknown_and_never_false() {
    let policy = policy(
        "  - {id: r, on: [share], effect: reject, when: {actor.attributes.level: {gte: 3}}}\n  - {id: a, on: [share], effect: approve}\n",
    );
    let evaluation = ask(&policy, &facts(&[("actor.attributes.level", text("three"))]));
    assert_eq!(evaluation.verdict, Verdict::Escalate);
    assert_eq!(evaluation.reason, "rule `r` cannot be decided: `actor.attributes.level` has a value of another type");
}

#[test]
fn reject_outweighs_escalate_outweighs_approve_outweighs_the_default() {
    let rules = |which: &str| {
        let all = [("r", "reject"), ("e", "escalate"), ("a", "approve")];
        let text: String = all
            .iter()
            .filter(|(id, _)| which.contains(id))
            .map(|(id, effect)| format!("  - {{id: {id}, on: [share], effect: {effect}}}\n"))
            .collect();
        ask(&policy(&format!("{text}  - {{id: other, on: [kick], effect: approve}}\n")), &FactSet::default())
    };
    assert_eq!((rules("rea").verdict, rules("rea").rules), (Verdict::Reject, vec!["r".to_owned()]));
    assert_eq!((rules("ea").verdict, rules("ea").rules), (Verdict::Escalate, vec!["e".to_owned()]));
    assert_eq!((rules("a").verdict, rules("a").rules), (Verdict::Approve, vec!["a".to_owned()]));
    let default = rules("");
    assert_eq!(
        (default.verdict, default.rules, default.reason.as_str()),
        (Verdict::Reject, vec![], "no rule matched; the default is reject")
    );
}

#[test]
fn an_approval_that_cannot_be_decided_is_the_verdict_for_the_unknown_and_not_the_default() {
    let policy = policy("  - {id: a, on: [share], effect: approve, when: {actor.is_member: true}}\n");
    let evaluation = ask(&policy, &FactSet::default());
    assert_eq!((evaluation.verdict, evaluation.rules), (Verdict::Escalate, vec![]));
    assert_eq!(evaluation.reason, "rule `a` cannot be decided: `actor.is_member` is absent");
    // A rule that approves anyway is enough.
    let two = self::policy(
        "  - {id: a, on: [share], effect: approve, when: {actor.is_member: true}}\n  - {id: b, on: [share], effect: approve}\n",
    );
    assert_eq!(ask(&two, &FactSet::default()).verdict, Verdict::Approve);
}

#[test]
fn a_limit_matches_once_it_is_used_up_and_is_undecided_without_its_fact() {
    let policy = policy(
        "  - {id: l, on: [share], effect: reject, limit: {count: share, per: actor.id, within: 24h, max: 3}}\n  - {id: a, on: [share], effect: approve}\n",
    );
    let ann = facts(&[("actor.id", text("ann"))]);
    assert_eq!(ask_with(&policy, Kind::Share, &ann, &[("l", 2)]).verdict, Verdict::Approve);
    assert_eq!(ask_with(&policy, Kind::Share, &ann, &[("l", 3)]).verdict, Verdict::Reject);
    assert_eq!(ask(&policy, &FactSet::default()).verdict, Verdict::Escalate);
    assert_eq!(policy.limit_queries(Kind::Share, &FactSet::default()), []);
    assert_eq!(
        policy.limit_places(Kind::Share, &ann).iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["share|actor.id|ann"]
    );
    assert_eq!(policy.limit_places(Kind::Kick, &ann), []);
}

#[test]
fn reasons_and_messages_quote_public_facts() {
    let policy = policy(
        "  - {id: r, on: [share], effect: reject, reason: \"{tresor.members_after} members, made by {tresor.creator_id}\", message: \"Full with {tresor.members_after}.\"}\n",
    );
    let evaluation = ask(&policy, &facts(&[("tresor.members_after", FactValue::Int(21))]));
    assert_eq!(evaluation.reason, "21 members, made by (absent)");
    assert_eq!(evaluation.message.as_deref(), Some("Full with 21."));
}

#[test]
fn the_trace_says_what_every_leaf_saw_and_hides_what_is_personal() {
    let policy = policy(
        "  - id: r\n    on: [share]\n    effect: reject\n    when: {all: [{actor.email: {eq: ann@example.com}}, {any: [{tresor.members_after: {gt: 20}}, {not: {actor.is_member: true}}]}]}\n    limit: {count: share, per: actor.id, within: 1h, max: 5}\n",
    );
    let known = facts(&[
        ("actor.email", text("ann@example.com")),
        ("tresor.members_after", FactValue::Int(3)),
        ("actor.id", text("ann")),
    ]);
    let evaluation = ask_with(&policy, Kind::Share, &known, &[("r", 4)]);
    let json = serde_json::to_string_pretty(&evaluation).unwrap();
    assert!(!json.contains("ann@example.com"), "{json}");
    insta::assert_snapshot!(json);
}

#[test]
fn the_hash_names_the_content_of_all_files_but_the_tests() {
    let rules = file("a.yaml", "version: 1\nrules: []\n");
    let hash = |files: &[SourceFile]| load(files).unwrap().hash;
    let alone = hash(std::slice::from_ref(&rules));
    assert_eq!(hash(&[file("a.test.yaml", "tests: []"), rules.clone()]), alone);
    assert_ne!(hash(&[rules.clone(), file("l.txt", "x")]), alone);
    assert_ne!(hash(&[file("b.yaml", &rules.text)]), alone);
    // Pinned: a policy keeps its name across versions of Assent.
    insta::assert_snapshot!(alone.to_string());
}

#[test]
fn cases_say_what_follows_and_what_goes_with_a_link() {
    let rules = "  - {id: stop, on: [share], effect: reject, when: {tresor.members_after: {gt: 20}}, then: [{set_tresor_sharing_policy: {user: actor.id, enable: false}}]}\n  - {id: link, on: [invitation_link_creation, share], effect: approve, additional_info: \"by {actor.id}\"}\n";
    let policy = policy(rules);
    let cases = "base: {facts: {actor.id: ann, tresor.members_after: 21}}\ntests:\n  - {name: stopped, kind: share, expect: {then: [{set_tresor_sharing_policy: {user: ann, enable: false}}]}}\n  - {name: not stopped, kind: share, facts: {tresor.members_after: 20}, expect: {then: [], verdict: approve, additional_info: \"\"}}\n  - {name: another, kind: share, expect: {then: [{set_user_state: {user: bob, enable: true}}]}}\n  - {name: link, kind: invitation_link_creation, expect: {additional_info: by ann}}\n  - {name: other link, kind: invitation_link_creation, expect: {additional_info: by bob}}\n";
    let cases = load_cases(&file("x.test.yaml", cases), &policy).unwrap();
    let results: Vec<_> = cases.run(&policy).map(|result| (result.name, result.mismatches)).collect();
    insta::assert_debug_snapshot!(results);
}

#[test]
fn wrong_test_cases_are_told_too() {
    let policy = policy("  - {id: member-cap, on: [share], effect: reject, when: {tresor.members_after: {gt: 20}}}\n");
    let cases = "base: {kind: share}\ntests:\n  - {name: a, expect: {verdict: aprove}}\n  - {name: b, facts: {tresor.member_after: 3}, expect: {verdict: reject}}\n  - {name: c, expect: {rules: [member-cup]}}\n  - {name: d, limits: {member-cap: 3}, expect: {verdict: reject}}\n  - {name: e, expect: {}}\n  - {name: f, kind: tresor_creation, facts: {subject.id: x}, expect: {verdict: reject}}\n  - {expect: {verdict: reject}}\n  - {name: g, expect: {then: [{set_user_stat: {user: x, enable: true}}]}}\n  - {name: h, expect: {then: [{set_user_state: {user: x}}]}}\n";
    let problems = load_cases(&file("x.test.yaml", cases), &policy).unwrap_err();
    let said: Vec<_> = problems.iter().map(|problem| problem.render(Some(cases))).collect();
    insta::assert_snapshot!(said.join("\n"));
}

/// Other software is written against the example of the design, so its rules and tests are held to the letter.
#[test]
fn the_shipped_policy_and_the_designs_own_example_load_and_pass_their_tests() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for directory in ["policies", "tests/reference/design-policy"] {
        let policy = assent::engine::load_tested_policy(&root.join(directory), true).unwrap();
        assert!(policy.rules.len() >= 7, "{directory}");
    }
}
