//! What holds for every policy and every operation.

use assent::domain::domain_name::DomainName;
use assent::domain::fact::{FactName, FactSet, FactState, FactValue, Source};
use assent::domain::kind::Kind;
use assent::domain::verdict::Verdict;
use assent::policy::{Evaluation, Input, Policy, SourceFile, Truth, evaluate, judge, load, load_cases};
use proptest::prelude::*;
use std::collections::BTreeMap;

const HEAD: &str = "version: 1\nlists: {partners: [example.com, \"*.example.org\"]}\ncalendars: {office: {timezone: UTC, hours: [\"Mon-Fri 08:00-18:00\"]}}\nrules:\n";
const TRUTHS: [&str; 3] = ["actor.is_member", "subject.is_member", "actor.validated"];
const DOMAINS: [&str; 4] = ["example.com", "a.example.org", "example.org", "elsewhere.example"];
const GROUPS: [&str; 3] = ["guest", "legal-eu", "staff"];

/// One question of every sort there is, over few enough values that answers differ.
fn any_leaf() -> impl Strategy<Value = String> {
    let truth = (0..3_usize, any::<bool>()).prop_map(|(fact, value)| format!("{}: {value}", TRUTHS[fact]));
    let number = (prop::sample::select(vec!["eq", "ne", "gt", "gte", "lt", "lte"]), 1..6)
        .prop_map(|(operator, than)| format!("tresor.members_after: {{{operator}: {than}}}"));
    let domain = prop::sample::select(vec![
        "in: {list: partners}",
        "not_in: {list: partners}",
        "eq: example.com",
        "eq: {fact: actor.email_domain}",
    ]);
    let domain = domain.prop_map(|ask| format!("subject.email_domain: {{{ask}}}"));
    let list = prop::sample::select(vec![
        "contains: guest",
        "contains_any: [guest, staff]",
        "contains_all: [guest, staff]",
        "any: {starts_with: legal-}",
        "every: {matches: \"^[a-z-]+$\"}",
        "none: {eq: guest}",
        "size: {gte: 2}",
        "exists: true",
        "exists: false",
    ]);
    let list = list.prop_map(|ask| format!("subject.groups: {{{ask}}}"));
    let time = prop::sample::select(vec!["time: {within: office}".to_owned(), "time: {outside: office}".to_owned()]);
    prop_oneof![3 => truth, 3 => number, 2 => domain, 2 => list, 1 => time].prop_map(|leaf| format!("{{{leaf}}}"))
}

fn any_condition() -> impl Strategy<Value = String> {
    any_leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| format!("{{all: [{}]}}", parts.join(", "))),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|parts| format!("{{any: [{}]}}", parts.join(", "))),
            inner.prop_map(|part| format!("{{not: {part}}}")),
        ]
    })
}

/// A rule without its id: effect, condition, perhaps an exception, perhaps a limit, perhaps a shadow.
fn any_rule() -> impl Strategy<Value = String> {
    let effect = prop_oneof![Just("approve"), Just("reject"), Just("escalate")];
    (effect, any_condition(), prop::option::weighted(0.2, any_condition()), 0..10_u8).prop_map(|(effect, when, except, sort)| {
        let except = except.map(|when| format!(", except: [{{when: {when}, owner: a, reason: b, expires: 2027-01-01}}]"));
        let limit =
            if sort == 0 && effect != "approve" { ", limit: {count: share, per: actor.id, within: 1h, max: 2}" } else { "" };
        let mode = if sort == 1 { ", mode: shadow, owner: a, expires: 2027-01-01" } else { "" };
        format!("on: [share], effect: {effect}, when: {when}{}{limit}{mode}", except.unwrap_or_default())
    })
}

/// What is known of one operation; `None` is unknown, `Some(None)` absent.
type States = (Vec<Option<Option<bool>>>, Option<Option<i64>>, Vec<Option<Option<usize>>>, Option<Option<Vec<usize>>>);

fn any_states() -> impl Strategy<Value = States> {
    fn state<T: Clone + std::fmt::Debug + 'static>(
        value: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Option<Option<T>>> {
        let value = value.boxed();
        prop_oneof![4 => value.prop_map(|value| Some(Some(value))), 1 => Just(Some(None)), 1 => Just(None)]
    }
    (
        prop::collection::vec(state(any::<bool>()), 3),
        state(0..7_i64),
        prop::collection::vec(state(0..DOMAINS.len()), 2),
        state(prop::collection::vec(0..GROUPS.len(), 0..3)),
    )
}

fn put(facts: &mut FactSet, name: &str, state: Option<Option<FactValue>>) {
    let state = match state {
        Some(Some(value)) => FactState::Known(value, Source::Stated),
        Some(None) => FactState::Absent,
        None => FactState::Unknown("timeout".into()),
    };
    facts.put(FactName::new(name), state);
}

fn facts((truths, number, domains, groups): &States) -> FactSet {
    let mut facts = FactSet::default();
    for (name, state) in TRUTHS.iter().zip(truths) {
        put(&mut facts, name, state.map(|state| state.map(FactValue::Bool)));
    }
    put(&mut facts, "tresor.members_after", number.map(|state| state.map(FactValue::Int)));
    for (name, state) in ["subject.email_domain", "actor.email_domain"].iter().zip(domains) {
        let domain = |index: usize| FactValue::Domain(DomainName::parse(DOMAINS[index]).unwrap());
        put(&mut facts, name, state.map(|state| state.map(domain)));
    }
    let list = |indices: &Vec<usize>| FactValue::List(indices.iter().map(|index| GROUPS[*index].to_owned()).collect());
    put(&mut facts, "subject.groups", groups.as_ref().map(|state| state.as_ref().map(list)));
    facts
}

fn policy(rules: &[String]) -> Policy {
    let rules: String = rules.iter().enumerate().map(|(index, rule)| format!("  - {{id: r{index}, {rule}}}\n")).collect();
    let text = format!("{HEAD}{rules}");
    let file = SourceFile { path: "p.yaml".to_owned(), text: text.clone() };
    load(&[file])
        .unwrap_or_else(|problems| panic!("{}", problems.iter().map(|problem| problem.render(Some(&text))).collect::<String>()))
}

/// Conditions that no value can satisfy do not load; such rules are not what is tried here.
fn loads(rule: &String) -> bool {
    let text = format!("{HEAD}  - {{id: r, {rule}}}\n");
    load(&[SourceFile { path: "p.yaml".to_owned(), text }]).is_ok()
}

fn some_rules() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(any_rule().prop_filter("it loads", loads), 1..6)
}

fn ask(policy: &Policy, facts: &FactSet) -> Evaluation {
    let counts = BTreeMap::from_iter((0..6).map(|index| (format!("r{index}"), index)));
    evaluate(policy, Input { kind: Kind::Share, facts, counts: &counts, now: "2026-03-02T10:00:00Z".parse().unwrap() })
}

/// Every value that an unknown fact could turn out to have.
fn fillings(name: &str) -> Vec<Option<FactValue>> {
    let known: Vec<FactValue> = match name {
        "tresor.members_after" => (0..7).map(FactValue::Int).collect(),
        "subject.groups" => {
            let pairs = GROUPS.iter().flat_map(|a| GROUPS.iter().map(move |b| vec![(*a).to_owned(), (*b).to_owned()]));
            pairs.chain([vec![]]).map(FactValue::List).collect()
        }
        name if name.ends_with("domain") => {
            DOMAINS.iter().map(|name| FactValue::Domain(DomainName::parse(name).unwrap())).collect()
        }
        _ => vec![FactValue::Bool(true), FactValue::Bool(false)],
    };
    known.into_iter().map(Some).chain([None]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_order_of_rules_means_nothing(rules in some_rules(), states in any_states()) {
        let facts = facts(&states);
        // Ids stay with their rules, only the places change.
        let text: Vec<String> = rules.iter().enumerate().map(|(index, rule)| format!("  - {{id: r{index}, {rule}}}\n")).collect();
        let load = |lines: Vec<String>| load(&[SourceFile { path: "p.yaml".to_owned(), text: format!("{HEAD}{}", lines.concat()) }]).unwrap();
        let backward: Vec<String> = text.iter().rev().cloned().collect();
        let (mut forward, mut backward) = (ask(&load(text), &facts), ask(&load(backward), &facts));
        for evaluation in [&mut forward, &mut backward] {
            evaluation.trace.sort_by(|a, b| a.rule.cmp(&b.rule));
        }
        prop_assert_eq!(forward, backward);
    }

    #[test]
    fn one_more_rejection_never_makes_an_approval(rules in some_rules(), when in any_condition(), states in any_states()) {
        let rejection = format!("on: [share], effect: reject, when: {when}");
        prop_assume!(loads(&rejection));
        let facts = facts(&states);
        let before = ask(&policy(&rules), &facts).verdict;
        let more: Vec<_> = rules.into_iter().chain([rejection]).collect();
        let after = ask(&policy(&more), &facts).verdict;
        prop_assert!(before == Verdict::Approve || after != Verdict::Approve);
    }

    #[test]
    fn what_is_unknown_is_approved_only_if_everything_it_could_be_is(rules in some_rules(), states in any_states()) {
        let policy = policy(&rules);
        let facts = facts(&states);
        if ask(&policy, &facts).verdict == Verdict::Approve {
            for (name, state) in facts.iter().filter(|(_, state)| matches!(state, FactState::Unknown(_))) {
                prop_assert!(matches!(state, FactState::Unknown(_)));
                for value in fillings(name.as_str()) {
                    let mut filled = facts.clone();
                    put(&mut filled, name.as_str(), Some(value.clone()));
                    prop_assert_eq!(ask(&policy, &filled).verdict, Verdict::Approve, "{} is {:?}", name, value);
                }
            }
        }
    }

    #[test]
    fn what_is_judged_is_what_is_evaluated_and_traced(rules in some_rules(), states in any_states()) {
        let policy = policy(&rules);
        let facts = facts(&states);
        let counts = BTreeMap::from_iter((0..6).map(|index| (format!("r{index}"), index)));
        let input = Input { kind: Kind::Share, facts: &facts, counts: &counts, now: "2026-03-02T10:00:00Z".parse().unwrap() };
        let (judged, evaluated) = (judge(&policy, input), evaluate(&policy, input));
        let enforced = || evaluated.trace.iter().filter(|rule| !evaluated.shadow.contains(&rule.rule) || evaluated.rules.contains(&rule.rule));
        let matched: Vec<_> = enforced().filter(|rule| rule.says == Some(evaluated.verdict) && evaluated.rules.contains(&rule.rule)).map(|rule| rule.rule.clone()).collect();
        prop_assert_eq!(&matched, &evaluated.rules);
        for rule in &evaluated.trace {
            prop_assert_eq!(rule.result == Truth::Unknown && policy.rules.iter().any(|known| known.id == rule.rule && known.mode == assent::policy::RuleMode::Enforce), evaluated.unknown.contains(&rule.rule));
        }
        prop_assert_eq!(judged, Evaluation { trace: vec![], ..evaluated });
    }

    #[test]
    fn a_shadow_changes_nothing_but_what_is_said_of_shadows(rules in some_rules(), shadow in any_condition(), states in any_states()) {
        let shadow = format!("on: [share], effect: reject, when: {shadow}, mode: shadow, owner: a, expires: 2027-01-01");
        prop_assume!(loads(&shadow));
        let facts = facts(&states);
        let before = ask(&policy(&rules), &facts);
        let after = ask(&policy(&rules.into_iter().chain([shadow]).collect::<Vec<_>>()), &facts);
        prop_assert_eq!((before.verdict, before.rules, before.reason, before.unknown), (after.verdict, after.rules, after.reason, after.unknown));
    }

    #[test]
    fn no_text_whatever_makes_the_reader_panic(text in "[ -~\n]{0,200}") {
        let file = |path: &str, text: String| SourceFile { path: path.to_owned(), text };
        let _ = load(&[file("p.yaml", text.clone())]);
        let _ = load(&[file("p.yaml", format!("version: 1\nrules:\n{text}"))]);
        let policy = policy(&["on: [share], effect: reject".to_owned()]);
        let _ = load_cases(&file("p.test.yaml", text.clone()), &policy);
        let _ = load_cases(&file("p.test.yaml", format!("tests:\n  - {text}")), &policy);
    }

    #[test]
    fn nothing_made_of_the_languages_own_words_makes_the_reader_panic(words in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ": ", ", ", "\n  ", "- ", "when", "all", "any", "not", "time", "within", "office", "tresor.members_after", "gt", "20",
        "subject.groups", "every", "none", "size", "matches", "\"(a\"", "fact", "list", "partners", "limit", "windows", "per", "except", "mode", "shadow", "expires", "&a", "*a", "2026-01-01", "24h",
    ]), 0..40)) {
        let text = format!("{HEAD}  - id: r\n    on: [share]\n    effect: reject\n    {}\n", words.concat());
        let _ = load(&[SourceFile { path: "p.yaml".to_owned(), text }]);
    }
}
