//! The platform: its wire format, its error codes and what they mean, how requests are signed, and the client.
//!
//! Nothing here decides anything; it says what was answered. Secrets appear in requests only, never in errors.

mod address;
mod client;
mod error_code;
mod signing;
pub mod wire;

pub use address::{AdminKey, InvalidAdminKey, InvalidServiceUrl, ServiceUrl, TenantId};
pub use client::{Client, Endpoint, Failure, VerdictCall};
pub use error_code::ErrorCode;
pub use signing::{Request, canonical_text, sign};
