//! The platform: its wire format, its error codes and what they mean, how requests are signed, and the client.
//!
//! Nothing here decides anything; it says what was answered. Secrets appear in requests only, never in errors.

mod address;
mod client;
mod content_name;
mod endpoint;
mod error_code;
mod failure;
mod signing;
pub mod wire;

pub use address::{AdminKey, InvalidAdminKey, InvalidServiceUrl, ServiceUrl, TenantId};
pub use client::{Client, Items, MAX_PAGE, OnProgress, Upload, UploadError, VerdictCall, root_cause};
pub use content_name::{ContentName, InvalidContentName};
pub use endpoint::{Endpoint, Group};
pub use error_code::ErrorCode;
pub use failure::{ClockSkew, Failure};
pub use signing::{Request, body_hash, canonical_text, sign};
