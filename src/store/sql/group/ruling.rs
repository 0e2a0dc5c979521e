//! Writes what a group came to: who stands where, and the rulings with their intents, places and effects.

use super::asking::Asking;
use super::statements::RULE;
use crate::domain::duration::micros;
use crate::domain::effect::Effect;
use crate::domain::ids::{EffectId, FlowId};
use crate::domain::verdict::Verdict;
use crate::fault::Step;
use crate::store::StoreError;
use crate::store::connection::{Arg, Driver};
use crate::store::incoming::NewOperation;
use crate::store::sql::audit_time;
use crate::store::types::Ruling;
use std::collections::HashMap;

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// It waits in line for its lane.
    Park,
    /// It has its lane, and facts that are too old.
    Hold,
    /// It has its lane and a ruling.
    Rule,
}

impl Act {
    const fn as_str(self) -> &'static str {
        match self {
            Act::Park => "park",
            Act::Hold => "hold",
            Act::Rule => "rule",
        }
    }
}

/// Where an operation stands from now on, and on which ground.
pub(super) struct Standing<'s> {
    pub(super) asking: &'s Asking,
    pub(super) act: Act,
    /// The version of the lane's row; nothing where it is to be made.
    pub(super) lane_row: Option<&'s str>,
    /// The counters that it was judged by, with the versions of their rows.
    pub(super) counters: &'s [(String, String)],
    pub(super) flow: FlowId,
    /// Nothing where nobody has looked at it: then it has to be new, and its lane free.
    pub(super) place: Option<i64>,
    /// Of a flow that begins with it.
    pub(super) new_intent: Option<&'s str>,
    pub(super) ruling: Option<&'s Ruling>,
}

/// What became of those that are known by name: written, with the version that lane and counters have now, or known from before
/// (nothing), as a message or as an operation. Of the others nothing was written, as their ground has moved.
pub(super) async fn write(
    driver: &impl Driver,
    standing: &[Standing<'_>],
) -> Result<HashMap<String, Option<String>>, StoreError> {
    let mut args = stands(standing);
    args.extend(intents(standing)?);
    args.extend(records(standing));
    args.push(Arg::Bools(standing.iter().map(|one| one.asking.is_pausable).collect()));
    args.push(Arg::Bools(standing.iter().map(|one| one.asking.joins()).collect()));
    args.extend(grounds(standing));
    args.extend(places(standing));
    args.extend(effects(standing));
    args.push(Arg::Int(standing.first().map_or(0, |one| micros(one.asking.join_window))));
    args.extend(arrivals(standing));
    let takes_in = standing.iter().any(|one| one.asking.arrival.is_some());
    let rows = driver.write(if takes_in { Step::TakeIn } else { Step::Decide }, RULE, args).await?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.opt_text(1)?.map(str::to_owned)))).collect()
}

fn texts(standing: &[Standing<'_>], of: impl Fn(&Standing<'_>) -> Option<String>) -> Arg {
    Arg::Texts(standing.iter().map(of).collect())
}

fn ints(standing: &[Standing<'_>], of: impl Fn(&Standing<'_>) -> Option<i64>) -> Arg {
    Arg::Ints(standing.iter().map(of).collect())
}

fn number(index: usize) -> Option<i64> {
    i64::try_from(index).ok()
}

fn stands(standing: &[Standing<'_>]) -> Vec<Arg> {
    vec![
        Arg::Ints((0..standing.len()).map(number).collect()),
        texts(standing, |one| Some(one.asking.lease.id.to_string())),
        ints(standing, |one| Some(one.asking.lease.fence)),
        texts(standing, |one| Some(one.act.as_str().to_owned())),
        texts(standing, |one| Some(one.asking.lane.clone())),
        texts(standing, |one| one.lane_row.map(str::to_owned)),
        texts(standing, |one| Some(one.flow.to_string())),
        ints(standing, |one| one.place),
        texts(standing, |one| one.new_intent.map(str::to_owned)),
    ]
}

fn intents(standing: &[Standing<'_>]) -> Result<Vec<Arg>, StoreError> {
    let text = |of: fn(&Ruling) -> Option<String>| texts(standing, move |one| of(one.ruling?));
    let int = |of: fn(&Ruling) -> i64| ints(standing, move |one| Some(of(one.ruling?)));
    let members = standing.iter().map(|one| one.asking.members_before.as_ref().map(serde_json::to_string).transpose());
    let members = members.collect::<Result<_, _>>().map_err(|error| StoreError::Judge(error.to_string()))?;
    Ok(vec![
        text(|ruling| Some(ruling.record.id.to_string())),
        text(|ruling| ruling.message.clone()),
        int(|ruling| ruling.record.decided_at.as_microsecond()),
        text(|ruling| ruling.additional_info.clone()),
        int(|ruling| i64::from(!ruling.effects.is_empty())),
        text(|ruling| Some(ruling.record.verdict.as_str().to_owned())),
        Arg::Texts(members),
    ])
}

/// What stands in `decisions` and is not among the rest.
fn records(standing: &[Standing<'_>]) -> Vec<Arg> {
    let text = |of: fn(&Ruling) -> Option<String>| texts(standing, move |one| of(one.ruling?));
    vec![
        text(|ruling| Some(audit_time(ruling.record.decided_at))),
        text(|ruling| Some(ruling.record.tenant.clone())),
        text(|ruling| Some(ruling.record.key.kind.as_str().to_owned())),
        text(|ruling| Some(ruling.record.key.operation_id.to_string())),
        text(|ruling| ruling.record.intent.tresor.as_ref().map(ToString::to_string)),
        text(|ruling| ruling.record.intent.actor.as_ref().map(ToString::to_string)),
        text(|ruling| ruling.record.intent.subject.as_ref().map(ToString::to_string)),
        text(|ruling| ruling.record.requester.as_ref().map(ToString::to_string)),
        text(|ruling| Some(ruling.record.decided_by.clone())),
        text(|ruling| Some(ruling.record.rules_json())),
        text(|ruling| Some(ruling.record.reason.clone())),
        text(|ruling| Some(ruling.record.policy_hash.clone())),
        text(|ruling| Some(ruling.record.evaluator_version.clone())),
        text(|ruling| Some(ruling.record.facts.clone())),
        text(|ruling| Some(ruling.record.facts_personal.clone())),
        text(|ruling| Some(ruling.record.trace.clone())),
        text(|ruling| Some(ruling.record.shadow.clone())),
    ]
}

/// Those that have a ruling.
fn ruled<'s>(standing: &'s [Standing<'s>]) -> impl Iterator<Item = (&'s Standing<'s>, &'s Ruling)> {
    standing.iter().filter_map(|one| Some((one, one.ruling?)))
}

/// The counters as they were seen, in the order in which they are taken, and whose they are.
fn grounds(standing: &[Standing<'_>]) -> Vec<Arg> {
    let counters = |(index, one): (usize, &Standing<'_>)| {
        one.counters.iter().map(|(key, row)| (key.clone(), row.clone(), number(index))).collect::<Vec<_>>()
    };
    let mut owned: Vec<_> = standing.iter().enumerate().flat_map(counters).collect();
    owned.sort_unstable();
    vec![
        Arg::Ints(owned.iter().map(|(.., index)| *index).collect()),
        Arg::Texts(owned.iter().map(|(key, ..)| Some(key.clone())).collect()),
        Arg::Texts(owned.into_iter().map(|(_, row, _)| Some(row)).collect()),
    ]
}

fn places(standing: &[Standing<'_>]) -> Vec<Arg> {
    let approved = ruled(standing).filter(|(_, ruling)| ruling.record.verdict == Verdict::Approve);
    let mut taken: Vec<_> = approved
        .flat_map(|(one, _)| one.asking.places.iter().map(move |place| (place, one.asking.lease.id.to_string())))
        .collect();
    taken.sort_unstable();
    taken.dedup();
    vec![
        Arg::Texts(taken.iter().map(|(place, _)| Some((*place).clone())).collect()),
        Arg::Texts(taken.into_iter().map(|(_, id)| Some(id)).collect()),
    ]
}

fn effects(standing: &[Standing<'_>]) -> Vec<Arg> {
    let planned: Vec<_> =
        ruled(standing).flat_map(|(one, ruling)| ruling.effects.iter().map(move |effect| (one.asking, ruling, effect))).collect();
    let text = |of: fn(&Asking, &Ruling, &Effect) -> Option<String>| {
        Arg::Texts(planned.iter().map(|(asking, ruling, effect)| of(asking, ruling, effect)).collect())
    };
    vec![
        text(|_, _, _| Some(EffectId::generate().to_string())),
        text(|_, ruling, _| Some(ruling.record.id.to_string())),
        text(|asking, _, _| Some(asking.lease.id.to_string())),
        text(|_, _, effect| Some(effect.rule.clone())),
        text(|_, _, effect| Some(effect.action.as_str().to_owned())),
        text(|_, _, effect| effect.user.as_ref().map(ToString::to_string)),
        Arg::Bools(planned.iter().map(|(.., effect)| effect.enable).collect()),
        text(|_, ruling, _| Some(audit_time(ruling.record.decided_at))),
    ]
}

/// What is stored with its ruling.
fn arrivals(standing: &[Standing<'_>]) -> Vec<Arg> {
    let text = |of: fn(&NewOperation) -> String| texts(standing, move |one| one.asking.arrival.as_ref().map(of));
    let payloads = standing.iter().map(|one| one.asking.arrival.as_ref().and_then(|new| new.payload.clone()));
    vec![
        text(|new| new.webhook_id.clone()),
        text(|new| new.body_mac.clone()),
        Arg::Blobs(payloads.collect()),
        text(|new| new.replica.clone()),
        ints(standing, |one| one.asking.arrival.as_ref()?.lease.map(micros)),
    ]
}
