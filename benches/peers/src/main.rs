//! The same rule sets in Cedar, Rego (regorus) and CEL. Prints one line of JSON a measurement.
//!
//! Each engine is used as its documentation says is fastest, and everything that can be prepared is: policies are compiled,
//! the request is built. What is measured is one decision, and each engine must come to the right one first.

#[path = "../../policy/measure.rs"]
mod measure;
#[path = "../../policy/ruleset.rs"]
mod ruleset;

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request};
use measure::nanoseconds;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::{ExecutionMode, RegoVM};
use ruleset::{Condition, Effect, OPERATION, Rule, SIZES, rules};
use serde_json::json;
use std::fmt::Write as _;
use std::sync::Arc;

fn main() {
    let batches = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(25);
    for size in SIZES {
        let rules = rules(size);
        report("cedar-policy", size, cedar(&rules, batches));
        report("regorus", size, rego(&rules, batches));
        report("cel", size, cel(&rules, batches));
    }
}

fn report(engine: &str, size: usize, nanoseconds: f64) {
    println!("{}", json!({ "engine": engine, "rules": size, "ns": nanoseconds }));
}

/// Cedar has no escalation: whatever is not an approval forbids.
fn cedar(rules: &[Rule], batches: usize) -> f64 {
    let mut text = String::new();
    for rule in rules {
        let condition = match &rule.condition {
            Condition::MembersOver(cap) => format!("context.members_after > {cap}"),
            Condition::DomainIn(domains) => format!("{domains:?}.contains(context.subject_domain)"),
            Condition::InGroup(group) => format!("context.subject_groups.contains({group:?})"),
            Condition::ActorStartsWith(prefix) => format!("context.actor_id like \"{prefix}*\""),
            Condition::Colleague(below) => format!(
                "context.actor_is_member && context.subject_domain == context.actor_domain && context.members_after < {below}"
            ),
        };
        let effect = if rule.effect == Effect::Approve { "permit" } else { "forbid" };
        let _ = writeln!(text, "@id({:?}) {effect}(principal, action, resource) when {{ {condition} }};", rule.id);
    }
    let policies: PolicySet = text.parse().expect("the policies parse");
    let uid = |text: &str| text.parse::<EntityUid>().expect("an entity");
    let context = json!({
        "actor_id": OPERATION.actor_id, "actor_is_member": OPERATION.actor_is_member, "actor_domain": OPERATION.actor_domain,
        "subject_domain": OPERATION.subject_domain, "subject_groups": OPERATION.subject_groups, "members_after": OPERATION.members_after,
    });
    let context = Context::from_json_value(context, None).expect("a context");
    let request = Request::new(uid("User::\"u\""), uid("Action::\"share\""), uid("Tresor::\"t\""), context, None).expect("a request");
    let (authorizer, entities) = (Authorizer::new(), Entities::empty());
    let decide = || authorizer.is_authorized(&request, &policies, &entities);
    assert_eq!(decide().decision(), Decision::Allow);
    nanoseconds(batches, decide)
}

/// Sets of the rules that fire, and the strongest of them; on the register machine, kept warm.
fn rego(rules: &[Rule], batches: usize) -> f64 {
    let mut text = String::from("package assent\nimport rego.v1\n");
    for rule in rules {
        let condition = match &rule.condition {
            Condition::MembersOver(cap) => format!("input.members_after > {cap}"),
            Condition::DomainIn(domains) => {
                format!("input.subject_domain in {{{}}}", domains.iter().map(|domain| format!("{domain:?}")).collect::<Vec<_>>().join(", "))
            }
            Condition::InGroup(group) => format!("{group:?} in input.subject_groups"),
            Condition::ActorStartsWith(prefix) => format!("startswith(input.actor_id, {prefix:?})"),
            Condition::Colleague(below) => {
                format!("input.actor_is_member\n  input.subject_domain == input.actor_domain\n  input.members_after < {below}")
            }
        };
        let set = match rule.effect {
            Effect::Approve => "approve",
            Effect::Escalate => "escalate",
            Effect::Reject => "reject",
        };
        let _ = writeln!(text, "{set} contains {:?} if {{\n  {condition}\n}}", rule.id);
    }
    for set in ["approve", "escalate", "reject"] {
        let _ = writeln!(text, "{set} contains \"never\" if {{ input.members_after < 0 }}");
    }
    text.push_str("default verdict := \"reject\"\nverdict := \"reject\" if { count(reject) > 0 } else := \"escalate\" if { count(escalate) > 0 } else := \"approve\" if { count(approve) > 0 }\n");
    let mut engine = regorus::Engine::new();
    engine.add_policy("assent.rego".to_owned(), text).expect("the policy parses");
    let input = json!({
        "actor_id": OPERATION.actor_id, "actor_is_member": OPERATION.actor_is_member, "actor_domain": OPERATION.actor_domain,
        "subject_domain": OPERATION.subject_domain, "subject_groups": OPERATION.subject_groups, "members_after": OPERATION.members_after,
    });
    let input = regorus::Value::from_json_str(&input.to_string()).expect("an input");
    let entry = "data.assent.verdict";
    let compiled = engine.compile_with_entrypoint(&Arc::from(entry)).expect("it compiles");
    let program = Compiler::compile_from_policy(&compiled, &[entry]).expect("it compiles for the machine");
    let mut machine = RegoVM::new();
    machine.set_execution_mode(ExecutionMode::RunToCompletion);
    machine.load_program(program);
    machine.set_execution_timer_config(None);
    machine.set_max_instructions(usize::MAX);
    let mut decide = || {
        machine.set_input(input.clone());
        machine.execute().expect("a verdict")
    };
    assert_eq!(decide(), regorus::Value::from("approve"));
    nanoseconds(batches, decide)
}

/// CEL knows expressions and no policies: one program a rule, and the strongest effect of those that hold.
fn cel(rules: &[Rule], batches: usize) -> f64 {
    let programs: Vec<(Effect, cel::Program)> = rules
        .iter()
        .map(|rule| {
            let source = match &rule.condition {
                Condition::MembersOver(cap) => format!("members_after > {cap}"),
                Condition::DomainIn(domains) => format!("subject_domain in {domains:?}"),
                Condition::InGroup(group) => format!("{group:?} in subject_groups"),
                Condition::ActorStartsWith(prefix) => format!("actor_id.startsWith({prefix:?})"),
                Condition::Colleague(below) => {
                    format!("actor_is_member && subject_domain == actor_domain && members_after < {below}")
                }
            };
            (rule.effect, cel::Program::compile(&source).expect("it compiles"))
        })
        .collect();
    let mut context = cel::Context::default();
    context.add_variable("actor_id", OPERATION.actor_id).expect("a variable");
    context.add_variable("actor_is_member", OPERATION.actor_is_member).expect("a variable");
    context.add_variable("actor_domain", OPERATION.actor_domain).expect("a variable");
    context.add_variable("subject_domain", OPERATION.subject_domain).expect("a variable");
    context.add_variable("subject_groups", OPERATION.subject_groups.to_vec()).expect("a variable");
    context.add_variable("members_after", OPERATION.members_after).expect("a variable");
    let decide = || {
        let mut verdict = None;
        for (effect, program) in &programs {
            let holds = program.execute(&context).expect("a value") == cel::Value::Bool(true);
            let is_stronger = match (verdict, effect) {
                (None, _) | (Some(Effect::Approve), _) => true,
                (Some(Effect::Escalate), effect) => *effect == Effect::Reject,
                (Some(Effect::Reject), _) => false,
            };
            if holds && is_stronger {
                verdict = Some(*effect);
            }
        }
        verdict
    };
    assert_eq!(decide(), Some(Effect::Approve));
    nanoseconds(batches, decide)
}
