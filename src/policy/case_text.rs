//! Test cases as text: an expectation that is brought up to date in its place, and a case made of a real decision.
//!
//! Comments and everything else in a file stay as they are.

use super::cases::{CaseResult, Said};
use super::evaluate::Evaluation;
use super::inquiry::Inquiry;
use crate::domain::diagnostic::Spot;
use crate::domain::fact::{FactState, FactValue};
use crate::domain::fact_catalogue::is_personal;
use crate::domain::yaml;
use std::fmt::Write as _;

/// The file with every failed expectation replaced by what the policy said; and how many were left as they are, because
/// replacing them would have changed something else: what an anchor shares, or what is written too oddly.
#[must_use]
pub fn updated(text: &str, results: &[CaseResult]) -> (String, usize) {
    let mut text = text.to_owned();
    let mut left = 0;
    // From the end, so that the places before stay where they are.
    for result in results.iter().rev().filter(|result| !result.mismatches.is_empty()) {
        let replaced = replace(&text, result.expect_at, &result.named);
        match replaced.filter(|replaced| changes_only(&text, replaced, result.index)) {
            Some(replaced) => text = replaced,
            None => left += 1,
        }
    }
    (text, left)
}

/// Whether two files say the same but for the expectation of one test.
fn changes_only(before: &str, after: &str, index: usize) -> bool {
    let without = |text: &str| {
        let mut tree = yaml::parse("", text).ok()?.to_json();
        tree.get_mut("tests")?.get_mut(index)?.as_object_mut()?.insert("expect".to_owned(), serde_json::Value::Null)?;
        Some(tree)
    };
    matches!((without(before), without(after)), (Some(before), Some(after)) if before == after)
}

fn replace(text: &str, spot: Spot, named: &[(&'static str, Said)]) -> Option<String> {
    let line_start = offset_of_line(text, spot.line)?;
    let column = usize::try_from(spot.column.checked_sub(1)?).ok()?;
    let start = line_start + text.get(line_start..)?.char_indices().nth(column).map(|(offset, _)| offset)?;
    let rest = text.get(start..)?;
    let (length, replacement) = if rest.starts_with('{') {
        let entries: Vec<_> = named.iter().map(|(what, said)| format!("{what}: {}", written(said))).collect();
        (flow_length(rest)?, format!("{{{}}}", entries.join(", ")))
    } else if rest.starts_with(['*', '&', '!']) {
        return None;
    } else {
        let indent = " ".repeat(column);
        let entries: Vec<_> = named.iter().map(|(what, said)| format!("{what}: {}", written(said))).collect();
        (block_length(rest, column), entries.join(&format!("\n{indent}")))
    };
    Some(format!("{}{replacement}{}", text.get(..start)?, rest.get(length..)?))
}

fn offset_of_line(text: &str, line: u32) -> Option<usize> {
    let before = usize::try_from(line.checked_sub(1)?).ok()?;
    Some(text.split_inclusive('\n').take(before).map(str::len).sum())
}

/// How far a flow mapping reaches that begins with `{`.
fn flow_length(text: &str) -> Option<usize> {
    let (mut depth, mut quote, mut escaped, mut comment, mut before) = (0_u32, None, false, false, ' ');
    // What stands last before here but white space: a quote opens only where a value begins.
    let mut last = ' ';
    for (offset, c) in text.char_indices() {
        match (quote, c) {
            _ if comment => comment = c != '\n',
            (Some('"'), '\\') if !escaped => escaped = true,
            (Some(open), close) if open == close && !escaped => quote = None,
            (Some(_), _) => escaped = false,
            (None, '"' | '\'') if "{[,:".contains(last) => quote = Some(c),
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(offset + 1);
                }
            }
            _ => {}
        }
        before = c;
        if !c.is_whitespace() && !comment {
            last = c;
        }
    }
    None
}

/// How far a block mapping reaches whose keys stand in `column`: to the last line that is indented so far.
fn block_length(text: &str, column: usize) -> usize {
    let (mut length, mut end) = (0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim();
        let indent = line.chars().take_while(|c| *c == ' ').count();
        if number > 0 && !content.is_empty() && indent < column {
            break;
        }
        length += line.len();
        if !content.is_empty() && (number == 0 || !content.starts_with('#')) {
            end = length - (line.len() - line.trim_end().len());
        }
    }
    end
}

fn written(said: &Said) -> String {
    match said {
        Said::Text(text) => scalar(text),
        // Effects are written as mappings already.
        Said::List(items) if items.iter().any(|item| item.contains(": {")) => {
            format!("[{}]", items.iter().map(|item| effect(item)).collect::<Vec<_>>().join(", "))
        }
        Said::List(items) => format!("[{}]", items.iter().map(|item| scalar(item)).collect::<Vec<_>>().join(", ")),
    }
}

/// An effect with its user as a text, whatever the id looks like.
fn effect(said: &str) -> String {
    let parts = said.split_once("{user: ").and_then(|(action, rest)| Some((action, rest.rsplit_once(", enable: ")?)));
    match parts {
        Some((action, (user, enable))) => format!("{{{action}{{user: {}, enable: {enable}}}", scalar(user)),
        None => format!("{{{said}}}"),
    }
}

/// A text that YAML reads as that text: plain where that is safe, else quoted as in JSON.
fn scalar(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@".contains(c))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if is_word {
        return text.to_owned();
    }
    // JSON leaves some control characters as they are, and YAML takes none.
    let quoted = serde_json::Value::from(text).to_string();
    quoted.chars().map(|c| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

fn value(value: &FactValue) -> String {
    match value {
        FactValue::Bool(value) => value.to_string(),
        FactValue::Int(value) => value.to_string(),
        FactValue::List(items) => format!("[{}]", items.iter().map(|item| scalar(item)).collect::<Vec<_>>().join(", ")),
        other => scalar(&other.display()),
    }
}

/// A case that states what a decision stood on and expects what it said. Personal values are left out unless asked for.
#[must_use]
pub fn case_of(name: &str, inquiry: &Inquiry, seen: &Evaluation, with_personal: bool) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "  - name: {}", serde_json::Value::from(name));
    let _ = writeln!(text, "    kind: {}", inquiry.kind);
    let _ = writeln!(text, "    now: {}", inquiry.now);
    let (mut known, mut unknown) = (String::new(), String::new());
    for (name, state) in inquiry.facts.iter() {
        match state {
            FactState::Known(_, _) if is_personal(name) && !with_personal => {
                let _ = writeln!(unknown, "      {name}: personal, and not copied here");
            }
            FactState::Known(FactValue::Text(_), _) if name.as_str() == "operation.kind" => {}
            FactState::Known(known_value, _) => drop(writeln!(known, "      {name}: {}", value(known_value))),
            FactState::Unknown(cause) => drop(writeln!(unknown, "      {name}: {}", scalar(cause))),
            FactState::Absent => {}
        }
    }
    for (section, entries) in [("facts", known), ("unknown", unknown)] {
        if !entries.is_empty() {
            let _ = write!(text, "    {section}:\n{entries}");
        }
    }
    write_limits(&mut text, inquiry);
    let _ = writeln!(text, "    expect:");
    for what in ["verdict", "rules", "reason"] {
        let _ = writeln!(text, "      {what}: {}", written(&super::cases::said(seen, what)));
    }
    text
}

fn write_limits(text: &mut String, inquiry: &Inquiry) {
    let mut rules: std::collections::BTreeMap<&str, Vec<String>> = std::collections::BTreeMap::new();
    for (window, seen) in &inquiry.counts {
        match window.split_once('@') {
            Some((rule, within)) => rules.entry(rule).or_default().push(format!("{within}: {seen}")),
            None => rules.entry(window).or_default().push(seen.to_string()),
        }
    }
    if rules.is_empty() {
        return;
    }
    text.push_str("    limits:\n");
    for (rule, seen) in rules {
        let seen = seen.join(", ");
        let seen = if seen.contains(':') { format!("{{{seen}}}") } else { seen };
        let _ = writeln!(text, "      {rule}: {seen}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32) -> Spot {
        Spot { line, column, len: 1 }
    }

    fn named() -> Vec<(&'static str, Said)> {
        vec![("verdict", Said::Text("reject".into())), ("reason", Said::Text("it's: so".into()))]
    }

    #[test]
    fn an_expectation_is_replaced_in_its_place_and_nothing_else_changes() {
        let flow = "tests:\n  - expect: {verdict: approve, reason: \"a } b\"} # why\n  - next\n";
        assert_eq!(
            replace(flow, at(2, 13), &named()).unwrap(),
            "tests:\n  - expect: {verdict: reject, reason: \"it's: so\"} # why\n  - next\n"
        );
        let block = "tests:\n  - expect:\n      verdict: approve\n      reason: x # gone\n\n  # stays\n  - next\n";
        assert_eq!(
            replace(block, at(3, 7), &named()).unwrap(),
            "tests:\n  - expect:\n      verdict: reject\n      reason: \"it's: so\"\n\n  # stays\n  - next\n"
        );
        assert_eq!(replace("a: *shared\n", at(1, 4), &named()), None);
    }

    #[test]
    fn what_would_change_anything_else_is_left_alone() {
        let odd = "tests:\n  - {expect: {reason: 4 \" pipe}}\n  - {expect: {reason: x}}\n  - {name: \"a\"}\n";
        let replaced = replace(odd, at(2, 14), &named()).unwrap();
        assert!(changes_only(odd, &replaced, 0), "{replaced}");
        let shared = "tests:\n  - {expect: {verdict: &v approve}}\n  - {expect: {verdict: *v}}\n";
        let replaced = replace(shared, at(2, 14), &named()).unwrap();
        assert!(!changes_only(shared, &replaced, 0), "{replaced}");
        assert_eq!(scalar("\u{7f}\u{85}"), "\"\\u007f\\u0085\"");
        assert_eq!(effect("set_user_state: {user: 42, enable: true}"), "{set_user_state: {user: \"42\", enable: true}}");
    }
}
