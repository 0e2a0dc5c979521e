//! Reads the fields of the configuration's sections: presets, ranges, and secrets that stand in files of their own.

use crate::domain::diagnostic::Spot;
use crate::domain::yaml::{Fields, Node, Problems, Value};
use std::time::Duration;

/// Collects what is wrong while it reads.
pub(super) struct Reader<'f> {
    pub(super) problems: Problems<'f>,
}

impl Reader<'_> {
    pub(super) fn section<'n>(&mut self, parent: Fields<'n>, name: &str, known: &[&str]) -> Option<Fields<'n>> {
        match parent.get(name) {
            Some(node) => self.problems.mapping(node, &format!("`{name}`"), known),
            None => {
                self.problems.error("missing-key", parent.spot, format!("section `{name}` is missing"));
                None
            }
        }
    }

    #[expect(clippy::option_option, reason = "a wrong section and an absent one are different things")]
    pub(super) fn optional_section<'n>(&mut self, parent: Fields<'n>, name: &str, known: &[&str]) -> Option<Option<Fields<'n>>> {
        match parent.get(name) {
            Some(node) => self.problems.mapping(node, &format!("`{name}`"), known).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn text<'n>(&mut self, fields: Fields<'n>, name: &str) -> Option<&'n str> {
        match fields.get(name) {
            Some(node) => self.problems.text(node, name),
            None => {
                self.problems.error("missing-key", fields.spot, format!("`{name}` is missing"));
                None
            }
        }
    }

    pub(super) fn parsed<T>(
        &mut self,
        fields: Option<Fields<'_>>,
        name: &str,
        preset: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let Some(node) = fields.and_then(|fields| fields.get(name)) else { return parse(preset) };
        let parsed = parse(self.problems.text(node, name)?);
        if parsed.is_none() {
            self.problems.error("bad-value", node.spot, format!("`{name}` must be {what}"));
        }
        parsed
    }

    pub(super) fn duration(&mut self, fields: Option<Fields<'_>>, name: &str, preset: Duration) -> Option<Duration> {
        match fields.and_then(|fields| fields.get(name)) {
            Some(node) => self.problems.duration(node, name),
            None => Some(preset),
        }
    }

    pub(super) fn number(
        &mut self,
        fields: Option<Fields<'_>>,
        name: &str,
        preset: u32,
        range: std::ops::RangeInclusive<u32>,
    ) -> Option<u32> {
        let Some(node) = fields.and_then(|fields| fields.get(name)) else { return Some(preset) };
        let number = u32::try_from(self.problems.int(node, name)?).ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.problems.error("bad-value", node.spot, format!("`{name}` must be from {} to {}", range.start(), range.end()));
        }
        number
    }

    pub(super) fn flag(&mut self, fields: Fields<'_>, name: &str, preset: bool) -> Option<bool> {
        let Some(node) = fields.get(name) else { return Some(preset) };
        let Value::Bool(value) = node.value else {
            self.problems.error("wrong-type", node.spot, format!("`{name}` must be `true` or `false`"));
            return None;
        };
        Some(value)
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        fields: Option<Fields<'_>>,
        name: &str,
        preset: T,
        choices: &[(&str, T)],
    ) -> Option<T> {
        match fields.and_then(|fields| fields.get(name)) {
            Some(node) => self.problems.choice(node, name, choices),
            None => Some(preset),
        }
    }

    /// Where a key is set, if it is.
    pub(super) fn set_at(fields: Option<Fields<'_>>, name: &str) -> Option<Spot> {
        fields.and_then(|fields| fields.get(name)).map(|node| node.spot)
    }

    /// A secret that stands in the file, or in a file of its own under `{name}_file`.
    pub(super) fn secret<T>(&mut self, fields: Fields<'_>, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let file_key = format!("{name}_file");
        let (spot, what, text) = match (fields.get(name), fields.get(&file_key)) {
            (Some(node), None) => {
                let text = match &node.value {
                    Value::List(items) => {
                        let texts: Vec<_> = items.iter().map(|item| self.problems.text(item, name)).collect();
                        texts.into_iter().collect::<Option<Vec<_>>>()?.join("\n")
                    }
                    _ => self.problems.text(node, name)?.to_owned(),
                };
                (node.spot, format!("`{name}`"), text)
            }
            (None, Some(node)) => {
                let path = self.problems.text(node, &file_key)?;
                match std::fs::read_to_string(path) {
                    Ok(text) => (node.spot, format!("what stands in `{path}` (`{file_key}`)"), text),
                    Err(error) if !is_path(path) => {
                        let what = format!(
                            "`{file_key}` cannot be read: {error}; it must be the path of a file, and a secret goes into `{name}`"
                        );
                        self.problems.error("unreadable-file", unshown(node), what);
                        return None;
                    }
                    Err(error) => {
                        let what = format!(
                            "`{path}` (`{file_key}`) cannot be read: {error}; see that it is there, and this user may read it"
                        );
                        self.problems.error("unreadable-file", node.spot, what);
                        return None;
                    }
                }
            }
            (Some(_), Some(node)) => {
                let spot = if self.problems.text(node, &file_key).is_some_and(is_path) { node.spot } else { unshown(node) };
                self.problems.error("bad-value", spot, format!("`{name}` and `{file_key}` exclude each other"));
                return None;
            }
            (None, None) => {
                self.problems.error("missing-key", fields.spot, format!("`{name}` or `{file_key}` is missing"));
                return None;
            }
        };
        match parse(&text) {
            Ok(secret) => Some(secret),
            Err(error) => {
                self.problems.error("bad-secret", spot, format!("{what} {error}"));
                None
            }
        }
    }
}

/// Whether that can only be a path, and not the secret itself in its place.
fn is_path(text: &str) -> bool {
    ["/", "./", "../", "~/"].iter().any(|lead| text.starts_with(lead)) && !text.ends_with('=')
}

/// Where a node that may hold a secret stands, without the line.
fn unshown(node: &Node) -> Spot {
    if node.spot.line == 0 { node.spot } else { Spot::default() }
}
