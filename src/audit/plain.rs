//! JSON that is plain: names in ASCII, whole numbers that a double holds, text with no more than short escapes. Its canonical form
//! is known and made as it is read; whatever else there is has to be read into values first.

use std::ops::Range;

/// Whether this is plain, and in canonical form.
pub(super) fn is_plain_text(text: &str) -> bool {
    let mut plain = Plain { rest: text.as_bytes() };
    plain.value(DEEPEST) == Some(()) && plain.rest.is_empty()
}

/// Appends the canonical form of JSON as a database keeps it: in an order of its own, and with spaces. Nothing where something in
/// it is not plain, and has to be read before it can be written; what was appended then is of no use.
pub(super) fn rewrite(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut rewriting =
        Rewriting { read: Plain { rest: text.as_bytes() }, open: Vec::with_capacity(16), held: Vec::with_capacity(64) };
    let value = rewriting.value(DEEPEST)?;
    rewriting.skip_spaces();
    rewriting.read.rest.is_empty().then_some(())?;
    rewriting.write(&value, out)
}

/// How deep what is seen as it is read may be.
const DEEPEST: u8 = 32;
/// How many digits of a whole number every double holds.
const DIGITS: usize = 15;

/// Reads what is plain and in canonical form. Nothing where it meets something else.
struct Plain<'t> {
    rest: &'t [u8],
}

impl<'t> Plain<'t> {
    fn take(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// A byte by itself, which is compared at once; most of what is taken is one.
    fn take_one(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        if *first != expected {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    fn value(&mut self, depth: u8) -> Option<()> {
        match self.rest.first()? {
            b'{' => self.object(depth.checked_sub(1)?),
            b'[' => self.array(depth.checked_sub(1)?),
            b'"' => self.text().map(|_| ()),
            b't' => self.take(b"true"),
            b'f' => self.take(b"false"),
            b'n' => self.take(b"null"),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: u8) -> Option<()> {
        self.take_one(b'{')?;
        if self.take_one(b'}').is_some() {
            return Some(());
        }
        let mut before: Option<&[u8]> = None;
        loop {
            let name = self.name()?;
            if before.is_some_and(|before| before >= name) {
                return None;
            }
            before = Some(name);
            self.take_one(b':')?;
            self.value(depth)?;
            if self.take_one(b',').is_none() {
                return self.take_one(b'}');
            }
        }
    }

    fn array(&mut self, depth: u8) -> Option<()> {
        self.take_one(b'[')?;
        if self.take_one(b']').is_some() {
            return Some(());
        }
        loop {
            self.value(depth)?;
            if self.take_one(b',').is_none() {
                return self.take_one(b']');
            }
        }
    }

    /// What stands between the quotes, and whether there is an escape in it.
    fn text(&mut self) -> Option<(&'t [u8], bool)> {
        self.take_one(b'"')?;
        let (whole, mut length, mut has_escapes) = (self.rest, 0_usize, false);
        loop {
            length = length.checked_add(ordinary(whole.get(length..)?))?;
            match whole.get(length)? {
                b'"' => break,
                b'\\' if matches!(whole.get(length.checked_add(1)?)?, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {
                    length = length.checked_add(2)?;
                    has_escapes = true;
                }
                _ => return None,
            }
        }
        let (text, rest) = whole.split_at_checked(length)?;
        self.rest = rest;
        self.take_one(b'"')?;
        Some((text, has_escapes))
    }

    /// A member's name.
    fn name(&mut self) -> Option<&'t [u8]> {
        self.text().filter(|(name, has_escapes)| name.is_ascii() && !has_escapes).map(|(name, _)| name)
    }

    fn number(&mut self) -> Option<()> {
        let is_negative = self.take_one(b'-').is_some();
        let length = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(length)?;
        let is_whole = !matches!(rest.first(), Some(b'.' | b'e' | b'E'));
        let is_plain = match digits {
            [b'0'] => !is_negative,
            [b'1'..=b'9', ..] => digits.len() <= DIGITS,
            _ => false,
        };
        self.rest = rest;
        (is_whole && is_plain).then_some(())
    }
}

/// How many bytes come before the first that means something within a text: a quote, a backslash, or one that must be escaped.
pub(super) fn ordinary(text: &[u8]) -> usize {
    // Eight at a time. The lowest bit that is found is right; those above it need not be.
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    let (eights, _) = text.as_chunks();
    for (place, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let equal = |all: u64| (word ^ all).wrapping_sub(ONES) & !(word ^ all);
        let found = (equal(QUOTES) | equal(BACKSLASHES) | (word.wrapping_sub(SPACES) & !word)) & TOPS;
        if found != 0 {
            return place * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let seen = eights.len() * 8;
    let rest = text.iter().skip(seen).take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20));
    seen + rest.count()
}

/// A value that was read: text as it stands, or what it holds, as a range of [`Rewriting::held`].
enum Piece<'t> {
    AsItStands(&'t [u8]),
    Object(Range<usize>),
    Array(Range<usize>),
}

/// A member of an object, or an item of an array, which has no name.
struct Member<'t> {
    /// What the name begins with, as a number that is in the order of names: nearly always it tells two of them apart.
    beginning: u64,
    name: &'t [u8],
    value: Piece<'t>,
}

impl<'t> Member<'t> {
    fn new(name: &'t [u8], value: Piece<'t>) -> Self {
        // No name has a zero in it.
        let mut beginning = [0; 8];
        beginning.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        Self { beginning: u64::from_be_bytes(beginning), name, value }
    }

    fn is_before(&self, other: &Self) -> bool {
        (self.beginning, self.name) < (other.beginning, other.name)
    }
}

/// Reads what is plain, and writes it with its members in their order.
struct Rewriting<'t> {
    read: Plain<'t>,
    /// Of objects and arrays that are open.
    open: Vec<Member<'t>>,
    /// Of those that were read to their ends, in the order in which they are written.
    held: Vec<Member<'t>>,
}

impl<'t> Rewriting<'t> {
    fn skip_spaces(&mut self) {
        while self.read.take_one(b' ').is_some() {}
    }

    /// Whether this comes next, after spaces.
    fn comes(&mut self, expected: u8) -> bool {
        self.skip_spaces();
        self.read.take_one(expected).is_some()
    }

    fn value(&mut self, depth: u8) -> Option<Piece<'t>> {
        self.skip_spaces();
        let before = self.read.rest;
        match before.first()? {
            b'{' => return self.held(depth.checked_sub(1)?, b'}', true).map(Piece::Object),
            b'[' => return self.held(depth.checked_sub(1)?, b']', false).map(Piece::Array),
            _ => self.read.value(depth)?,
        }
        before.get(..before.len().checked_sub(self.read.rest.len())?).map(Piece::AsItStands)
    }

    /// What an object or an array holds.
    fn held(&mut self, depth: u8, end: u8, has_names: bool) -> Option<Range<usize>> {
        let first = self.open.len();
        self.read.rest = self.read.rest.get(1..)?;
        if !self.comes(end) {
            loop {
                let mut name: &[u8] = &[];
                if has_names {
                    self.skip_spaces();
                    name = self.read.name()?;
                    self.comes(b':').then_some(())?;
                }
                let value = self.value(depth)?;
                self.open.push(Member::new(name, value));
                if !self.comes(b',') {
                    break;
                }
            }
            self.read.take_one(end)?;
        }
        if has_names {
            in_order(self.open.get_mut(first..)?)?;
        }
        let begin = self.held.len();
        self.held.extend(self.open.drain(first..));
        Some(begin..self.held.len())
    }

    fn write(&self, value: &Piece<'t>, out: &mut Vec<u8>) -> Option<()> {
        let (range, brackets) = match value {
            Piece::AsItStands(text) => {
                out.extend_from_slice(text);
                return Some(());
            }
            Piece::Object(range) => (range, b"{}"),
            Piece::Array(range) => (range, b"[]"),
        };
        let [begin, end] = *brackets;
        out.push(begin);
        for (place, Member { name, value, .. }) in self.held.get(range.clone())?.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            if begin == b'{' {
                out.push(b'"');
                out.extend_from_slice(name);
                out.extend_from_slice(b"\":");
            }
            self.write(value, out)?;
        }
        out.push(end);
        Some(())
    }
}

/// Puts members in the order of their names; nothing where one stands twice.
fn in_order(members: &mut [Member<'_>]) -> Option<()> {
    if members.is_sorted_by(Member::is_before) {
        return Some(());
    }
    members.sort_unstable_by(|one, next| (one.beginning, one.name).cmp(&(next.beginning, next.name)));
    members.is_sorted_by(Member::is_before).then_some(())
}
