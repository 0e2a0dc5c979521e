//! The section `audit` of the configuration.

use super::config_reader::Reader;
use crate::audit::{LogKey, LogVerifier, MasterKey, WitnessKey};
use crate::domain::yaml::Fields;
use crate::engine::{Destination, Sealing, derived_log_key};
use crate::zerokit::ServiceUrl;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const KEYS: [&str; 6] = ["name", "signing_key", "signing_key_file", "previous_keys", "seal_every", "checkpoints"];
const CHECKPOINTS: [&str; 5] = ["file", "stdout", "url", "witness_url", "witness_key"];
/// A row is sealed within five seconds, of which the sealing itself needs some.
const LONGEST: Duration = Duration::from_secs(4);

impl Reader<'_> {
    /// Without the section, checkpoints stay in the database.
    pub(super) fn sealing(
        &mut self,
        top: Fields<'_>,
        encryption: Option<&MasterKey>,
        service: Option<&ServiceUrl>,
    ) -> Option<Sealing> {
        let section = self.audit_section(top)?;
        let key = self.log_key(section, encryption, service);
        let every = self.duration(section, "seal_every", Duration::from_secs(2));
        if every.is_some_and(|every| every > LONGEST || every < Duration::from_millis(100)) {
            let spot = Self::set_at(section, "seal_every").unwrap_or_default();
            self.problems.error("bad-value", spot, "`audit.seal_every` must be from 100ms to 4s");
        }
        let destinations = self.destinations_of(section)?;
        let is_key_derived = !self.has_signing_key(section);
        Some(Sealing { key: key?, is_key_derived, every: every?, destinations, configuration: Value::Null })
    }

    #[expect(clippy::option_option, reason = "a wrong section and an absent one are different things")]
    pub(super) fn audit_section<'n>(&mut self, top: Fields<'n>) -> Option<Option<Fields<'n>>> {
        self.optional_section(top, "audit", &KEYS)
    }

    /// Whether a key to sign with is set.
    pub(super) fn has_signing_key(&self, section: Option<Fields<'_>>) -> bool {
        section.is_some_and(|section| section.get("signing_key").or_else(|| section.get("signing_key_file")).is_some())
    }

    /// The key that signs checkpoints. Where none is set it follows from the one that seals personal data.
    pub(super) fn log_key(
        &mut self,
        section: Option<Fields<'_>>,
        encryption: Option<&MasterKey>,
        service: Option<&ServiceUrl>,
    ) -> Option<LogKey> {
        let name = match section.and_then(|section| Some((section, section.get("name")?))) {
            Some((section, _)) => self.text(section, "name")?.to_owned(),
            None => format!("assent/{}", service?.tenant),
        };
        let key = match section.filter(|section| self.has_signing_key(Some(*section))) {
            Some(section) => {
                let parse = |text: &str| LogKey::parse_seed(text).map_err(|error| error.to_string());
                LogKey::new(&name, self.secret(section, "signing_key", parse)?)
            }
            None => derived_log_key(&name, encryption?),
        };
        let previous = self.previous_keys(section)?;
        match key {
            Ok(key) => Some(key.after(previous)),
            Err(error) => {
                let spot = Self::set_at(section, "name").unwrap_or_default();
                self.problems.error("bad-value", spot, format!("`audit.name` {error}"));
                None
            }
        }
    }

    /// What signed the log before, as `assent audit key` printed it then.
    fn previous_keys(&mut self, section: Option<Fields<'_>>) -> Option<Vec<LogVerifier>> {
        let Some(node) = section.and_then(|section| section.get("previous_keys")) else { return Some(Vec::new()) };
        let mut keys = Vec::new();
        for item in self.problems.list(node, "previous_keys")? {
            match LogVerifier::parse(self.problems.text(item, "previous_keys")?) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    self.problems.error("bad-value", item.spot, format!("a key in `previous_keys` {error}"));
                    return None;
                }
            }
        }
        Some(keys)
    }

    /// Where checkpoints go besides the database.
    pub(super) fn destinations_of(&mut self, section: Option<Fields<'_>>) -> Option<Vec<Destination>> {
        let Some(section) = section else { return Some(Vec::new()) };
        match self.optional_section(section, "checkpoints", &CHECKPOINTS)? {
            Some(section) => self.destinations(section),
            None => Some(Vec::new()),
        }
    }

    fn destinations(&mut self, section: Fields<'_>) -> Option<Vec<Destination>> {
        let mut found = Vec::new();
        if section.get("file").is_some() {
            found.push(Destination::File(PathBuf::from(self.text(section, "file")?)));
        }
        if self.flag(section, "stdout", false)? {
            found.push(Destination::Stdout);
        }
        if section.get("url").is_some() {
            found.push(Destination::Url(self.address(section, "url")?));
        }
        match (section.get("witness_url"), section.get("witness_key")) {
            (None, None) => {}
            (Some(_), None) => {
                self.problems.error("missing-key", section.spot, "`witness_key` is missing: what the witness signs with");
                return None;
            }
            (None, Some(_)) => {
                self.problems.error("missing-key", section.spot, "`witness_url` is missing: where the witness is");
                return None;
            }
            (Some(_), Some(node)) => {
                let url = self.address(section, "witness_url")?;
                let Ok(key) = WitnessKey::parse(self.text(section, "witness_key")?) else {
                    let what = "`witness_key` must be `NAME+HASH+KEY` of a witness (cosignature/v1), as it publishes it";
                    self.problems.error("bad-value", node.spot, what);
                    return None;
                };
                found.push(Destination::Witness(url, key));
            }
        }
        Some(found)
    }

    pub(super) fn address(&mut self, section: Fields<'_>, name: &str) -> Option<reqwest::Url> {
        let text = self.text(section, name)?;
        let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none() {
            let spot = section.get(name).map(|node| node.spot).unwrap_or_default();
            let what = format!("`{name}` must be an address that begins with `https://` or `http://`");
            self.problems.error("bad-value", spot, what);
        }
        url
    }
}
