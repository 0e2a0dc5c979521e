//! The endpoints of the tenant's custom contents. Failures of all of them: see [`Failure`].

use super::upload::Upload;
use super::{Client, Content, decode};
use crate::zerokit::content_name::ContentName;
use crate::zerokit::endpoint::Endpoint;
use crate::zerokit::failure::Failure;
use crate::zerokit::wire::{CustomContentDetailsResponse, ListCustomContentResponse};

impl Client {
    /// The files that the tenant serves under `/custom/`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_custom_contents(&self) -> Result<ListCustomContentResponse, Failure> {
        self.read(Endpoint::LIST_CUSTOM_CONTENTS, &[]).await
    }

    /// Uploads a file, over one of the same name if there is one.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn upload_custom_content(
        &self,
        name: &ContentName,
        upload: &Upload,
    ) -> Result<CustomContentDetailsResponse, Failure> {
        let endpoint = Endpoint::UPLOAD_CUSTOM_CONTENT;
        let response = self.send(endpoint, &[name.as_str()], Content::File(upload)).await?;
        decode(endpoint, &self.body(endpoint, response).await?)
    }

    /// Deletes a file, if it is there.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn delete_custom_content(&self, name: &ContentName) -> Result<(), Failure> {
        let endpoint = Endpoint::DELETE_CUSTOM_CONTENT;
        let response = self.send(endpoint, &[name.as_str()], Content::Nothing).await?;
        self.nothing(endpoint, response).await
    }
}
