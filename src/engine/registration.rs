//! User registration as a service: begins registrations at the platform and keeps their secrets, sealed, until the
//! validation needs them.

use super::Engine;
use crate::domain::ids::UserId;
use crate::domain::operation::{Registration, ReportedRegistration};
use crate::domain::secret::Secret;
use crate::store::StoreError;
use crate::zerokit::Failure;
use serde::{Deserialize, Serialize};

/// A registration that was begun: what the web app's client needs to go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Begun {
    /// The new user, who exists only once the client has registered.
    pub user_id: UserId,
    /// The session, which the client must name.
    pub registration_session_id: String,
}

/// Why a registration was not begun, or its secrets not found.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The platform.
    #[error(transparent)]
    Platform(#[from] Failure),
    /// It cannot be sealed or opened.
    #[error("the registration's secrets cannot be sealed or opened; is `encryption.key` the one they were written with?")]
    Seal,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is kept of a registration, inside the seal.
#[derive(Serialize, Deserialize)]
struct Kept {
    session_id: String,
    session_verifier: String,
}

fn context(user: &UserId) -> String {
    format!("registration {user}")
}

impl Engine {
    /// Begins a registration; its verifier never leaves the daemon.
    ///
    /// # Errors
    /// Nothing was kept; a session that the platform may have opened is of no use to anybody.
    pub async fn begin_registration(&self) -> Result<Begun, RegistrationError> {
        let begun = self.platform.init_user_registration().await;
        self.health.note(&begun);
        let begun = begun?;
        let kept = Kept { session_id: begun.reg_session_id.clone(), session_verifier: begun.reg_session_verifier };
        let plain = serde_json::to_vec(&kept).map_err(|_| RegistrationError::Seal)?;
        let sealed = self.master_key.seal(&context(&begun.user_id), &plain).map_err(|_| RegistrationError::Seal)?;
        self.store.keep_registration(&begun.user_id, sealed).await?;
        Ok(Begun { user_id: begun.user_id, registration_session_id: begun.reg_session_id })
    }

    /// The secrets of a validation: as they were reported, or with what was kept when the registration was begun here.
    pub(super) async fn complete(
        &self,
        user: &UserId,
        reported: ReportedRegistration,
    ) -> Result<Option<Registration>, RegistrationError> {
        let validation_verifier = reported.validation_verifier;
        if let (Some(session_id), Some(session_verifier)) = (&reported.session_id, reported.session_verifier) {
            return Ok(Some(Registration { session_id: session_id.clone(), session_verifier, validation_verifier }));
        }
        let Some(sealed) = self.store.registration(user, self.settings.registration_max_age).await? else { return Ok(None) };
        let plain = self.master_key.open(&context(user), &sealed).map_err(|_| RegistrationError::Seal)?;
        let kept: Kept = serde_json::from_slice(&plain).map_err(|_| RegistrationError::Seal)?;
        // Another session than the one that was begun here is not known here.
        if reported.session_id.is_some_and(|session_id| session_id != kept.session_id) {
            return Ok(None);
        }
        let session_verifier = Secret::new(kept.session_verifier);
        Ok(Some(Registration { session_id: kept.session_id, session_verifier, validation_verifier }))
    }
}
