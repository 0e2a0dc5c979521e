//! The endpoints of users: registration, state, and what they may do. Failures of all of them: see [`Failure`].

use super::items::Items;
use super::{Client, Content, decode, time_is_over};
use crate::domain::ids::UserId;
use crate::zerokit::endpoint::Endpoint;
use crate::zerokit::failure::Failure;
use crate::zerokit::wire::{
    InitUserRegistrationResponse, SetUserStatusRequest, SetUserTresorCreationModeRequest, SetUserTresorSharingModeRequest,
    UserListItem, ValidateUserRequest,
};
use std::collections::BTreeMap;

impl Client {
    /// Opens a registration session for a new user, who exists only once the client has registered.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn init_user_registration(&self) -> Result<InitUserRegistrationResponse, Failure> {
        let endpoint = Endpoint::INIT_USER_REGISTRATION;
        let response = self.send(endpoint, &[], Content::Json(Vec::new())).await?;
        decode(endpoint, &self.body(endpoint, response).await?)
    }

    /// Lets a registered user in.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn validate_user(&self, request: &ValidateUserRequest) -> Result<(), Failure> {
        self.command(Endpoint::VALIDATE_USER, request).await
    }

    /// All registered users, validated or not, as they arrive.
    #[must_use]
    pub fn list_users(&self) -> Items<UserListItem> {
        let client = self.clone();
        Items::from_task(async move |sink| {
            let response = client.send(Endpoint::LIST_USERS, &[], Content::Nothing).await?;
            client.pour(Endpoint::LIST_USERS, "Users", response, sink).await
        })
    }

    /// Whether each of these users is validated; who is not registered is left out.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn find_users(&self, wanted: &[&UserId]) -> Result<BTreeMap<UserId, bool>, Failure> {
        let find = async {
            let mut found = BTreeMap::new();
            let mut users = self.list_users();
            while let Some(user) = users.next().await.transpose()? {
                if wanted.contains(&&user.user_id) {
                    let is_validated = user.is_validated();
                    found.insert(user.user_id, is_validated);
                }
            }
            Ok(found)
        };
        tokio::time::timeout(self.timeout, find).await.map_err(|_| time_is_over(Endpoint::LIST_USERS))?
    }

    /// Lets a user log in, or not.
    ///
    /// # Errors
    /// See [`Failure`]; `UserNotExists` for a user who was only initiated.
    pub async fn set_user_status(&self, user: &UserId, enable: bool) -> Result<(), Failure> {
        self.command(Endpoint::SET_USER_STATUS, &SetUserStatusRequest { user_id: user.clone(), enable }).await
    }

    /// Lets a user create tresors, or not.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn set_user_tresor_creation_mode(&self, user: &UserId, enable: bool) -> Result<(), Failure> {
        let request = SetUserTresorCreationModeRequest { user_id: user.clone(), enable };
        self.command(Endpoint::SET_USER_TRESOR_CREATION_MODE, &request).await
    }

    /// Lets a user share tresors, or not.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn set_user_tresor_sharing_mode(&self, user: &UserId, enable: bool) -> Result<(), Failure> {
        let request = SetUserTresorSharingModeRequest { user_id: user.clone(), enable };
        self.command(Endpoint::SET_USER_TRESOR_SHARING_MODE, &request).await
    }
}
