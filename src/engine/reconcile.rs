//! Finds out what became of a verdict whose answer was lost, from what the platform can show.

use super::Engine;
use crate::domain::ids::{TresorId, UserId};
use crate::domain::kind::Kind;
use crate::domain::operation::Intent;
use crate::domain::verdict::Verdict;
use crate::flow::Finding;
use crate::store::Sent;
use crate::zerokit::Failure;

impl Engine {
    /// Reads the platform. Rejections and link operations leave no trace there.
    pub(super) async fn find(&self, intent: &Intent, sent: &Sent) -> Result<Finding, Failure> {
        if sent.verdict != Verdict::Approve {
            return Ok(Finding::CannotTell);
        }
        match (intent.kind, &intent.tresor, &intent.subject) {
            (Kind::Share | Kind::Kick | Kind::InvitationLinkAcception, Some(tresor), Some(subject)) => {
                self.find_by_members(intent.kind, tresor, subject, sent.members_before.as_deref()).await
            }
            (Kind::UserValidation, _, Some(user)) => {
                let found = self.platform.find_users(&[user]).await;
                self.health.note(&found);
                let is_validated = found?.get(user).copied().unwrap_or(false);
                Ok(if is_validated { Finding::Applied } else { Finding::NotApplied })
            }
            _ => Ok(Finding::CannotTell),
        }
    }

    async fn find_by_members(
        &self,
        kind: Kind,
        tresor: &TresorId,
        subject: &UserId,
        before: Option<&[UserId]>,
    ) -> Result<Finding, Failure> {
        let members = self.platform.list_members(tresor).await;
        self.health.note(&members);
        let is_member = members?.contains(subject);
        let effect_is_there = is_member != (kind == Kind::Kick);
        let was_member = before.map(|before| before.contains(subject));
        Ok(match (effect_is_there, was_member) {
            (false, _) => Finding::NotApplied,
            // The effect counts as ours only if it was not there before the call.
            (true, Some(was_member)) if was_member == (kind == Kind::Kick) => Finding::Applied,
            (true, _) => Finding::CannotTell,
        })
    }
}
