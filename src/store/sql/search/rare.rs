//! What is rare of a text that is looked for: an index of letters reads a list for every three of them, and those that most reasons have
//! are the long ones. It decides how fast something is found, never what.

use std::ops::Range;

/// A shorter word, with what stands beside it, may have no place in an index of letters.
const SHORTEST: usize = 3;
/// What no more than one reason of so many has is rare.
const RARE: usize = 50;
/// So many words of a text are looked at: whoever asks says how long it is, and some words do.
const MOST_WORDS: usize = 32;

/// A pattern for whatever has the text in it, by those of its words that hardly any of these reasons has; by all of it if there are none.
pub(super) fn pattern(text: &str, reasons: &[&str]) -> String {
    // What is the small letter of another may depend on the letters around it, and nothing may be cut from these then.
    if !text.is_ascii() {
        return having(text);
    }
    let reasons: Vec<_> = reasons.iter().map(|reason| reason.to_lowercase()).collect();
    let of = |place: &Range<usize>| text.get(place.clone()).unwrap_or_default();
    // With its neighbours, which say that it begins or ends there; to the index one of them is like another.
    let with_neighbours = |word: Range<usize>| {
        let place = word.start.saturating_sub(1)..word.end.saturating_add(1).min(text.len());
        (place.len() >= SHORTEST && !word.is_empty()).then_some((word, place))
    };
    let mut kept: Vec<Range<usize>> = Vec::new();
    for (word, place) in words(text).filter_map(with_neighbours).take(MOST_WORDS) {
        let (begins, ends) = (place.start < word.start, place.end > word.end);
        let (word, most) = (of(&word).to_lowercase(), reasons.len() / RARE);
        if reasons.iter().filter(|reason| stands_in(reason, &word, begins, ends)).nth(most).is_some() {
            continue;
        }
        match kept.last_mut() {
            // What two words share stands in the text once.
            Some(last) if last.end >= place.start => last.end = place.end,
            _ => kept.push(place),
        }
    }
    let parts: Vec<_> = kept.iter().map(|place| escaped(of(place))).collect();
    if parts.is_empty() { having(text) } else { format!("%{}%", parts.join("%")) }
}

/// Whether a word in plain letters stands in a text, as one that begins or ends there.
fn stands_in(text: &str, word: &str, begins: bool, ends: bool) -> bool {
    let is_edge = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let before = text.get(..text.len().saturating_sub(rest.len()).saturating_add(at)).unwrap_or_default();
        let after = rest.get(at.saturating_add(word.len())..).unwrap_or_default();
        if (!begins || is_edge(before.chars().next_back())) && (!ends || is_edge(after.chars().next())) {
            return true;
        }
        // It may begin again within itself.
        rest = rest.get(at.saturating_add(1)..).unwrap_or_default();
    }
    false
}

/// The pattern of whatever has a text in it.
pub(super) fn having(text: &str) -> String {
    format!("%{}%", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Where the words of a text in plain letters are.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0_usize;
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).map(move |word| {
        let place = start..start.saturating_add(word.len());
        start = place.end.saturating_add(1);
        place
    })
}

#[cfg(test)]
mod tests {
    use super::{MOST_WORDS, pattern};
    use proptest::prelude::*;

    #[test]
    fn what_every_reason_has_is_not_looked_for() {
        let known = ["subject-1 of 1.example.com: the subject is no member", "subject-2 of 2.Example.com: rule `limit`"];
        for (text, by) in [
            ("subject-4711 ", "%-4711 %"),
            ("of 471.example.com", "% 471.%"),
            ("SUBJECT-4711 of 711.example", "%-4711 % 711.%"),
            ("subject-4711 812 of", "%-4711 812 %"),
            ("17.example.com", "%17.%"),
            ("of 7 example.com", "% 7 %"),
            ("-47", "%-47%"),
            // Nothing is rare, or too short: all of it.
            ("subject", "%subject%"),
            ("example.com", "%example.com%"),
            ("7.example.com", "%7.example.com%"),
            ("ΑΓΟΡΑΣ.ΟΚ-4711", "%ΑΓΟΡΑΣ.ΟΚ-4711%"),
            ("100%_\\", "%100\\%%"),
        ] {
            assert_eq!(pattern(text, &known), by, "{text}");
        }
        assert_eq!(pattern("a_b\\%", &[]), "%\\_b\\\\%");
    }

    #[test]
    fn what_one_reason_of_fifty_has_is_rare() {
        let reasons: Vec<_> = (0..100).map(|number| format!("subject-{number} of {}.example.com", number % 50)).collect();
        let reasons: Vec<_> = reasons.iter().map(String::as_str).collect();
        assert_eq!(pattern("17.example.com", &reasons), "%17.%");
        assert_eq!(pattern("17.example.com", &reasons[..99]), "%17.example.com%");
        // What ends a word that has it twice ends it, too.
        assert_eq!(pattern("00 members", &["1000 members"]), "%00 members%");
        assert_eq!(pattern(&"q.".repeat(100), &reasons), format!("%.{}%", "q.".repeat(MOST_WORDS)));
    }

    /// Whether a text is like a pattern, as a database says it.
    fn is_like(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|from| is_like(&text[from..], rest)),
            ['\\', letter, rest @ ..] | [letter, rest @ ..] => text.first() == Some(letter) && is_like(&text[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn whatever_has_the_text_is_found(
            before in "[ab1 %_\\\\.-]{0,4}", text in "[abc1 %_\\\\.-]{1,14}", after in "[ab1 %_\\\\.-]{0,4}", known in "[ab ]{0,8}",
        ) {
            let whole: Vec<char> = format!("{before}{text}{after}").chars().collect();
            let pattern: Vec<char> = pattern(&text, &[&known]).chars().collect();
            prop_assert!(is_like(&whole, &pattern));
        }
    }
}
