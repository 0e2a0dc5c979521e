//! How the directory is told to work. The texts in it were not used yet: opening the directory says what is wrong.

use super::Down;
use super::claims::source_name;
use crate::domain::fact::Source;
use crate::domain::secret::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// A source's place in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The signed notification.
    Notification,
    /// A YAML or CSV file.
    File,
    /// An HTTP endpoint of the web app.
    Http,
    /// A SQL query.
    Sql,
}

/// The whole section `directory`.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// The order of the sources; empty for the notification and then every source that is configured.
    pub sources: Vec<Place>,
    /// How long all tries of one look-up may take together.
    pub budget: Duration,
    /// How long an answer is kept.
    pub cache_ttl: Duration,
    /// How long it is kept that there is no entry.
    pub negative_ttl: Duration,
    /// How many answers are kept.
    pub cache_entries: u32,
    /// The file.
    pub file: Option<FileSettings>,
    /// The endpoint.
    pub http: Option<HttpSettings>,
    /// The query.
    pub sql: Option<SqlSettings>,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            budget: Duration::from_secs(2),
            cache_ttl: Duration::from_mins(1),
            negative_ttl: Duration::from_secs(10),
            cache_entries: 10_000,
            file: None,
            http: None,
            sql: None,
        }
    }
}

impl DirectorySettings {
    pub(super) fn order(&self) -> Vec<Place> {
        if !self.sources.is_empty() {
            return self.sources.clone();
        }
        let configured =
            [(self.file.is_some(), Place::File), (self.http.is_some(), Place::Http), (self.sql.is_some(), Place::Sql)];
        let others = configured.into_iter().filter(|(is_there, _)| *is_there).map(|(_, place)| place);
        [Place::Notification].into_iter().chain(others).collect()
    }
}

/// Files; each ends in `.yaml`, `.yml` or `.csv`.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// Users by id.
    pub users: Option<PathBuf>,
    /// Tresors by id.
    pub tresors: Option<PathBuf>,
}

/// An HTTP endpoint.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where a user is, with `{user_id}` in its path or query.
    pub user_url: Option<String>,
    /// Where a tresor is, with `{tresor_id}` in its path or query.
    pub tresor_url: Option<String>,
    /// Sent as a bearer token.
    pub token: Option<Secret<String>>,
    /// How long one try may take.
    pub timeout: Duration,
}

/// A SQL query.
#[derive(Debug, Clone)]
pub struct SqlSettings {
    /// `postgres://` or `sqlite://`.
    pub url: Secret<String>,
    /// A query with the parameter `$1`, the user's id.
    pub user_query: Option<String>,
    /// A query with the parameter `$1`, the tresor's id.
    pub tresor_query: Option<String>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How many connections it may open.
    pub connections: u32,
}

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// A source stands in the order and nowhere else.
    #[error("`directory.sources` names `{0}`, and there is no section `directory.{0}`")]
    NotConfigured(&'static str),
    /// A setting cannot be used.
    #[error("`directory.{key}` {what}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A source does not answer.
    #[error("the directory's {} source does not answer: {}; check `directory.{}`", source_name(*.0), .1, source_name(*.0))]
    Down(Source, Down),
}
