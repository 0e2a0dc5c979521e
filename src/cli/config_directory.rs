//! The section `directory` of the configuration.

use super::config_reader::Reader;
use crate::directory::{DirectorySettings, FileSettings, HttpSettings, Place, SqlSettings};
use crate::domain::secret::Secret;
use crate::domain::yaml::Fields;
use std::path::PathBuf;
use std::time::Duration;

const KEYS: [&str; 8] = ["sources", "budget", "cache_ttl", "negative_ttl", "cache_entries", "file", "http", "sql"];
const HTTP: [&str; 5] = ["user_url", "tresor_url", "token", "token_file", "timeout"];
const SQL: [&str; 5] = ["url", "user_query", "tresor_query", "timeout", "connections"];
/// How long one try may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(1);

impl Reader<'_> {
    /// Without the section, the notification is the one source.
    pub(super) fn directory(&mut self, top: Fields<'_>) -> Option<DirectorySettings> {
        let preset = DirectorySettings::default();
        let Some(section) = self.optional_section(top, "directory", &KEYS)? else { return Some(preset) };
        let sources = self.sources(section);
        let budget = self.duration(Some(section), "budget", preset.budget);
        let cache_ttl = self.duration(Some(section), "cache_ttl", preset.cache_ttl);
        let negative_ttl = self.duration(Some(section), "negative_ttl", preset.negative_ttl);
        let cache_entries = self.number(Some(section), "cache_entries", preset.cache_entries, 1..=10_000_000);
        let file = self.optional_section(section, "file", &["users", "tresors"]);
        let file = file.map(|file| file.map(|file| self.file(file)));
        let http = self.optional_section(section, "http", &HTTP);
        let http = http.map(|http| http.map(|http| self.http(http)));
        let sql = self.optional_section(section, "sql", &SQL);
        let sql = sql.map(|sql| sql.map(|sql| self.sql(sql)));
        Some(DirectorySettings {
            sources: sources?,
            budget: budget?,
            cache_ttl: cache_ttl?,
            negative_ttl: negative_ttl?,
            cache_entries: cache_entries?,
            file: whole(file?)?,
            http: whole(http?)?,
            sql: whole(sql?)?,
        })
    }

    fn sources(&mut self, section: Fields<'_>) -> Option<Vec<Place>> {
        let places = [("notification", Place::Notification), ("file", Place::File), ("http", Place::Http), ("sql", Place::Sql)];
        let Some(node) = section.get("sources") else { return Some(Vec::new()) };
        let items = self.problems.list(node, "sources")?;
        let read: Vec<_> = items.iter().map(|item| self.problems.choice(item, "sources", &places)).collect();
        let read: Vec<Place> = read.into_iter().collect::<Option<_>>()?;
        if read.iter().enumerate().any(|(index, place)| read.iter().skip(index + 1).any(|other| other == place)) {
            self.problems.error("bad-value", node.spot, "a source stands twice in `sources`");
            return None;
        }
        Some(read)
    }

    fn file(&mut self, section: Fields<'_>) -> Option<FileSettings> {
        let mut path = |name: &str| match section.get(name) {
            None => Some(None),
            Some(node) => {
                let text = self.problems.text(node, name)?;
                if ![".yaml", ".yml", ".csv"].iter().any(|end| text.to_lowercase().ends_with(end)) {
                    self.problems.error("bad-value", node.spot, format!("`{name}` must end in `.yaml`, `.yml` or `.csv`"));
                    return None;
                }
                Some(Some(PathBuf::from(text)))
            }
        };
        let (users, tresors) = (path("users")?, path("tresors")?);
        if users.is_none() && tresors.is_none() {
            self.problems.error("missing-key", section.spot, "`file` needs `users`, `tresors`, or both");
            return None;
        }
        Some(FileSettings { users, tresors })
    }

    fn http(&mut self, section: Fields<'_>) -> Option<HttpSettings> {
        let (user_url, tresor_url) = (self.opt_text(section, "user_url")?, self.opt_text(section, "tresor_url")?);
        let has_token = section.get("token").is_some() || section.get("token_file").is_some();
        let token = if has_token {
            let read = |text: &str| match text.trim() {
                "" => Err("is empty".to_owned()),
                token => Ok(Secret::new(token.to_owned())),
            };
            Some(self.secret(section, "token", read)?)
        } else {
            None
        };
        Some(HttpSettings { user_url, tresor_url, token, timeout: self.duration(Some(section), "timeout", TIMEOUT)? })
    }

    fn sql(&mut self, section: Fields<'_>) -> Option<SqlSettings> {
        let url = self.text(section, "url")?.to_owned();
        Some(SqlSettings {
            url: Secret::new(url),
            user_query: self.opt_text(section, "user_query")?,
            tresor_query: self.opt_text(section, "tresor_query")?,
            timeout: self.duration(Some(section), "timeout", TIMEOUT)?,
            connections: self.number(Some(section), "connections", 4, 1..=100)?,
        })
    }

    #[expect(clippy::option_option, reason = "a key that is wrong and one that is not there are different things")]
    fn opt_text(&mut self, section: Fields<'_>, name: &str) -> Option<Option<String>> {
        match section.get(name) {
            None => Some(None),
            Some(node) => self.problems.text(node, name).map(|text| Some(text.to_owned())),
        }
    }
}

#[expect(clippy::option_option, reason = "a section that is wrong and one that is not there are different things")]
fn whole<T>(section: Option<Option<T>>) -> Option<Option<T>> {
    section.map_or(Some(None), |section| section.map(Some))
}
