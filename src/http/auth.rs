//! Who may use the API: bearer tokens, kept only as their SHA-256.

use super::problem::Problem;
use crate::domain::ids::UserId;
use aws_lc_rs::{constant_time, digest};
use axum::http::{HeaderMap, StatusCode, header};

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The web app.
    App,
    /// Runs the daemon.
    Operator,
    /// Decides what was escalated.
    Reviewer,
    /// Reads decisions.
    Auditor,
}

impl Role {
    /// The name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::App => "app",
            Role::Operator => "operator",
            Role::Reviewer => "reviewer",
            Role::Auditor => "auditor",
        }
    }
}

/// One token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Who has it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// The platform's user behind it, for reviewers.
    pub user_id: Option<UserId>,
}

impl Token {
    /// The one whose text this is, found in constant time.
    #[must_use]
    pub fn find<'t>(tokens: &'t [Token], text: &str) -> Option<&'t Token> {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        tokens.iter().find(|token| constant_time::verify_slices_are_equal(&token.sha256, hash.as_ref()).is_ok())
    }
}

/// The token that the request carries; every role may read operations.
pub(super) fn authenticate<'t>(tokens: &'t [Token], headers: &HeaderMap) -> Result<&'t Token, Problem> {
    let unauthorized = |detail: &str| {
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).with_header(header::WWW_AUTHENTICATE, "Bearer")
    };
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, bearer) = bearer.ok_or_else(|| unauthorized("send a token as `Authorization: Bearer TOKEN`"))?;
    Token::find(tokens, bearer.trim()).ok_or_else(|| unauthorized("this token is not among `tokens` of the configuration"))
}

/// The token that the request carries, which must have a role.
pub(super) fn require<'t>(tokens: &'t [Token], headers: &HeaderMap, role: Role) -> Result<&'t Token, Problem> {
    let token = authenticate(tokens, headers)?;
    if token.role == role {
        return Ok(token);
    }
    let detail = format!("this needs a token with `role: {}`, and this one has `role: {}`", role.as_str(), token.role.as_str());
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail))
}
