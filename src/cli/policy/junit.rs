//! JUnit's XML: the form in which build servers show tests.

use crate::policy::CaseResult;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The report: a suite a file.
pub(super) fn report(results: &[CaseResult]) -> String {
    let mut suites: BTreeMap<&str, Vec<&CaseResult>> = BTreeMap::new();
    results.iter().for_each(|result| suites.entry(&result.file).or_default().push(result));
    let is_failed = |result: &&CaseResult| !result.mismatches.is_empty();
    let failed = results.iter().filter(is_failed).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"assent policy test\" tests=\"{}\" failures=\"{failed}\">", results.len());
    for (file, cases) in suites {
        let failed = cases.iter().copied().filter(is_failed).count();
        let _ = writeln!(xml, "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">", escaped(file), cases.len());
        for case in cases {
            let (name, file) = (escaped(&case.name), escaped(&case.file));
            let _ = write!(xml, "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{}\"", case.line);
            if case.mismatches.is_empty() {
                xml.push_str("/>\n");
                continue;
            }
            let differences = case
                .mismatches
                .iter()
                .map(|wrong| format!("{}: expected {}, but got {}", wrong.what, wrong.expected, wrong.seen));
            let differences = differences.collect::<Vec<_>>().join("\n");
            let because = &case.seen.reason;
            let _ = writeln!(
                xml,
                ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
                escaped(&differences),
                escaped(&format!("{differences}\nbecause {because}"))
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_markup_is_escaped() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{7}"), "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}");
    }
}
