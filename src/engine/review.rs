//! Reviews: what a person is asked, what the answer is worth when the operation comes up again, and how it is taken in.

use super::Engine;
use crate::audit::MasterKey;
use crate::domain::fact::FactSet;
use crate::domain::kind::Kind;
use crate::domain::verdict::Verdict;
use crate::policy::{Basis, Evaluation, Input, OnTimeout, Policy, evaluate};
use crate::store::{Escalation, Grant, Review, Reviewed, StoreError};

/// What an escalation asks for. Of facts only keyed digests leave this function.
pub(super) fn escalation(
    policy: &Policy,
    kind: Kind,
    evaluation: &Evaluation,
    facts: &FactSet,
    key: &MasterKey,
) -> Result<Escalation, String> {
    let terms = policy.review_terms(evaluation);
    let basis = Basis::of(policy, kind, evaluation, facts, |text| key.fingerprint(text.as_bytes()));
    let basis = serde_json::to_string(&basis).map_err(|error| error.to_string())?;
    Ok(Escalation { ttl: terms.ttl, rejects: terms.on_timeout == OnTimeout::Reject, basis })
}

/// What the policy says, with what a reviewer allowed; and the reviewer, if that is what counts. A rule that rejects counts
/// more than any review, and so does anything that was not reviewed.
pub(super) fn with_grant(
    policy: &Policy,
    input: Input<'_>,
    grant: Option<&Grant>,
    key: &MasterKey,
) -> (Evaluation, Option<String>) {
    let mut evaluation = evaluate(policy, input);
    let Some(grant) = grant.filter(|_| evaluation.verdict != Verdict::Approve) else { return (evaluation, None) };
    // What cannot be read allows nothing.
    let Ok(basis) = serde_json::from_str::<Basis>(&grant.basis) else { return (evaluation, None) };
    if !basis.allows(policy, &evaluation, input.facts, |text| key.fingerprint(text.as_bytes())) {
        if evaluation.verdict == Verdict::Escalate {
            let lapsed = format!("; the review by {} does not hold: policy or facts have changed since", grant.reviewer);
            evaluation.reason.push_str(&lapsed);
        }
        return (evaluation, None);
    }
    let reason = format!("approved by {}: {}", grant.reviewer, grant.comment);
    let (additional_info, effects) = policy.approval(input.kind, &evaluation, input.facts);
    let approved = Evaluation {
        verdict: Verdict::Approve,
        rules: Vec::new(),
        reason,
        message: None,
        additional_info,
        effects,
        ..evaluation
    };
    (approved, Some(format!("reviewer:{}", grant.reviewer)))
}

impl Engine {
    /// Takes a reviewer's verdict in and has the operation worked on again.
    ///
    /// # Errors
    /// The database; nothing was stored.
    pub async fn review(&self, review: Review) -> Result<Reviewed, StoreError> {
        let reviewed = self.store.review(review).await?;
        if matches!(reviewed, Reviewed::Taken(_)) {
            self.wake.notify_one();
        }
        Ok(reviewed)
    }
}
