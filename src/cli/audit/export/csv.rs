//! Rows as CSV, for spreadsheets: what one of these would take for a formula is made a text.

use crate::audit::{Record, Stream};
use crate::cli::Failure;
use serde_json::Value;
use std::borrow::Cow;

/// The names of a table's columns.
pub(super) fn head(stream: Stream) -> Result<Vec<u8>, Failure> {
    line(["leaf"].into_iter().chain(stream.columns().iter().map(|(name, _)| *name)).map(Cow::Borrowed))
}

/// A row with its place.
pub(super) fn row(index: u64, record: &Record) -> Result<Vec<u8>, Failure> {
    let cells = record.stream.columns().iter().map(|(name, _)| cell(record, name));
    line(std::iter::once(Cow::Owned(index.to_string())).chain(cells))
}

fn cell<'r>(record: &'r Record, name: &str) -> Cow<'r, str> {
    match record.fields.get(name) {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => harmless(text),
        Some(value) => Cow::Owned(value.to_string()),
    }
}

/// Text that no spreadsheet takes for a formula.
pub(in crate::cli::audit) fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

fn line<'c>(cells: impl Iterator<Item = Cow<'c, str>>) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let cells: Vec<_> = cells.collect();
    writer.write_record(cells.iter().map(|cell| cell.as_bytes())).map_err(|error| Failure::input(error.to_string()))?;
    writer.into_inner().map_err(|error| Failure::input(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn no_text_is_a_formula_to_a_spreadsheet() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        for text in ["", "a=1", "'=1", "approve"] {
            assert_eq!(harmless(text), text);
        }
    }
}
