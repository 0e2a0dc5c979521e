//! SARIF 2.1.0: the form in which code scanners show problems.

use crate::domain::diagnostic::{Diagnostic, Severity};
use crate::policy::meaning;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// The report; places are relative to where the command ran.
pub(super) fn report(directory: &Path, problems: &[Diagnostic]) -> Value {
    let codes: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
    let rules: Vec<_> = codes
        .into_iter()
        .map(|code| json!({ "id": code, "shortDescription": { "text": meaning(code).unwrap_or(code) } }))
        .collect();
    let results: Vec<_> = problems.iter().map(|problem| result(directory, problem)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "assent policy check", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(directory: &Path, problem: &Diagnostic) -> Value {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let help = problem.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    let mut place = json!({ "artifactLocation": { "uri": directory.join(&problem.file).to_string_lossy() } });
    let spot = problem.spot;
    if let (Value::Object(place), true) = (&mut place, spot.line > 0) {
        let region = json!({ "startLine": spot.line, "startColumn": spot.column, "endColumn": spot.column.saturating_add(spot.len.max(1)) });
        place.insert("region".to_owned(), region);
    }
    json!({
        "ruleId": problem.code,
        "level": level,
        "message": { "text": format!("{}{help}", problem.message) },
        "locations": [{ "physicalLocation": place }],
    })
}
