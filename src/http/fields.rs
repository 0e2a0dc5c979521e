//! Reads the fields of a JSON body one by one, so that every complaint names the field. Knows no particular request.

use super::Problem;
use crate::domain::ids::InvalidId;
use axum::http::StatusCode;
use serde_json::{Map, Value};

/// The body as JSON; of what is wrong with it only the place is said, as it may hold secrets.
pub(super) fn json(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = format!("the body is not JSON (line {}, column {})", error.line(), error.column());
        Problem::new(StatusCode::BAD_REQUEST, "not-json", detail)
    })
}

/// An object and the path to it, so that every complaint names the field.
pub(super) struct Object<'v> {
    pub(super) path: String,
    pub(super) map: &'v Map<String, Value>,
}

impl<'v> Object<'v> {
    pub(super) fn of(path: &str, value: &'v Value, known: &[&str]) -> Result<Self, Problem> {
        let map = value.as_object().ok_or_else(|| Problem::field(path, "must be an object"))?;
        if let Some(unknown) = map.keys().find(|key| !known.is_empty() && !known.contains(&key.as_str())) {
            let near = crate::domain::diagnostic::nearest(unknown, known.iter().copied());
            let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(Problem::field(join(path, unknown), format!("is not a known field{hint}")));
        }
        Ok(Self { path: path.to_owned(), map })
    }

    pub(super) fn name(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'v Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn opt_text(&self, key: &str) -> Result<Option<&'v str>, Problem> {
        let text = |value: &'v Value| value.as_str().ok_or_else(|| Problem::field(self.name(key), "must be a text"));
        self.get(key).map(text).transpose()
    }

    pub(super) fn text(&self, key: &str) -> Result<&'v str, Problem> {
        self.opt_text(key)?.ok_or_else(|| Problem::field(self.name(key), "is missing"))
    }

    pub(super) fn id<T>(&self, key: &str, make: impl Fn(&str) -> Result<T, InvalidId>) -> Result<T, Problem> {
        make(self.text(key)?).map_err(|error| Problem::field(self.name(key), error))
    }
}

/// The path of a field; those of the body itself stand alone.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
