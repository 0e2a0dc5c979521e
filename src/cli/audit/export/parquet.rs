//! Rows as Parquet, a typed table each: times are timestamps, what is JSON says so.

use super::manifest::NamedFile;
use super::output::Output;
use crate::audit::{Form, Record, Stream};
use crate::cli::Failure;
use jiff::Timestamp;
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// How many rows are kept until they are written, column by column.
const GROUP: usize = 10_000;

/// A file of a table.
pub(super) struct Table {
    stream: Stream,
    writer: SerializedFileWriter<Output>,
    waiting: Vec<(u64, Record)>,
}

fn bad(error: &ParquetError) -> Failure {
    Failure::input(format!("a Parquet file cannot be written: {error}"))
}

/// A table's columns in Parquet's words.
fn schema(stream: Stream) -> String {
    let column = |(name, form): &(&str, Form)| {
        let (physical, logical) = match form {
            Form::Text => ("binary", "(STRING)"),
            Form::Time => ("int64", "(TIMESTAMP(MICROS,true))"),
            Form::Integer => ("int64", ""),
            Form::Flag => ("boolean", ""),
            Form::Json | Form::Sealed => ("binary", "(JSON)"),
        };
        format!("optional {physical} {name} {logical};")
    };
    let columns: String = stream.columns().iter().map(column).collect();
    format!("message {} {{ required int64 leaf; {columns} }}", stream.table())
}

impl Table {
    pub(super) fn new(stream: Stream, output: Output) -> Result<Self, Failure> {
        let schema = parse_message_type(&schema(stream)).map_err(|error| bad(&error))?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(output, Arc::new(schema), Arc::new(properties)).map_err(|error| bad(&error))?;
        Ok(Self { stream, writer, waiting: Vec::new() })
    }

    pub(super) fn row(&mut self, index: u64, record: Record) -> Result<(), Failure> {
        self.waiting.push((index, record));
        self.writer.inner_mut().rows = self.writer.inner().rows.saturating_add(1);
        if self.waiting.len() < GROUP { Ok(()) } else { self.flush().map_err(|error| bad(&error)) }
    }

    pub(super) fn close(mut self, folder: &Path) -> Result<NamedFile, Failure> {
        self.flush().map_err(|error| bad(&error))?;
        self.writer.into_inner().map_err(|error| bad(&error))?.close(folder)
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.waiting);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut columns = std::iter::once(None).chain(self.stream.columns().iter().map(Some));
        while let (Some(mut writer), Some(column)) = (group.next_column()?, columns.next()) {
            let cell = |row: &(u64, Record)| match column {
                None => Value::from(row.0),
                Some((name, _)) => row.1.fields.get(*name).cloned().unwrap_or_default(),
            };
            let cells = rows.iter().map(cell);
            match writer.untyped() {
                ColumnWriter::Int64ColumnWriter(writer) => {
                    let (values, levels) = present(cells, whole);
                    writer.write_batch(&values, column.map(|_| levels.as_slice()), None)?;
                }
                ColumnWriter::BoolColumnWriter(writer) => {
                    let (values, levels) = present(cells, |cell| cell.as_bool());
                    writer.write_batch(&values, Some(&levels), None)?;
                }
                ColumnWriter::ByteArrayColumnWriter(writer) => {
                    let is_json = column.is_some_and(|(_, form)| matches!(form, Form::Json | Form::Sealed));
                    let (values, levels) = present(cells, |cell| bytes(cell, is_json));
                    writer.write_batch(&values, Some(&levels), None)?;
                }
                _ => return Err(ParquetError::General("a column has a type that no table has".to_owned())),
            }
            writer.close()?;
        }
        group.close().map(|_| ())
    }
}

/// What is there, and where it is.
fn present<T>(cells: impl Iterator<Item = Value>, read: impl Fn(&Value) -> Option<T>) -> (Vec<T>, Vec<i16>) {
    let cells: Vec<_> = cells.map(|cell| read(&cell)).collect();
    let levels = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
    (cells.into_iter().flatten().collect(), levels)
}

/// A number, or a time in microseconds.
fn whole(cell: &Value) -> Option<i64> {
    match cell {
        Value::String(text) => text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond).or_else(|| text.parse().ok()),
        other => other.as_i64(),
    }
}

fn bytes(cell: &Value, is_json: bool) -> Option<ByteArray> {
    match cell {
        Value::Null => None,
        Value::String(text) if !is_json => Some(text.as_str().into()),
        other => Some(other.to_string().as_str().into()),
    }
}
