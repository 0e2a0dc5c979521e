//! JSON that is plain: names in ASCII, whole numbers that a double holds, text with no more than short escapes. Its canonical form
//! is known and made as it is read; whatever else there is has to be read into values first.

use std::cmp::Ordering;

/// Whether this is plain, and in canonical form.
pub(super) fn is_plain_text(text: &str) -> bool {
    let mut plain = Plain { rest: text.as_bytes() };
    plain.value(DEEPEST) == Some(()) && plain.rest.is_empty()
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

/// A value that was read: text as it stands, or what it holds, as the beginning and the end of a part of [`Rewriting::held`].
#[derive(Clone, Copy)]
enum Piece<'t> {
    AsItStands(&'t [u8]),
    Object(usize, usize),
    Array(usize, usize),
}

/// A member of an object, or an item of an array, which has no name.
#[derive(Clone, Copy)]
struct Member<'t> {
    /// What the name begins with, as a number that is in the order of names: nearly always it tells two of them apart.
    beginning: u64,
    /// With its quotes and the colon, as it is written.
    name: &'t [u8],
    value: Piece<'t>,
}

impl<'t> Member<'t> {
    const fn item(value: Piece<'t>) -> Self {
        Self { beginning: 0, name: &[], value }
    }

    /// With a name that `text` begins with; its length is without the quotes.
    fn named(text: &'t [u8], length: usize, value: Piece<'t>) -> Option<Self> {
        let name = text.get(..length.checked_add(3)?)?;
        // No name has a zero in it.
        let beginning = match text.get(1..9).map(<[u8; 8]>::try_from) {
            Some(Ok(eight)) => {
                u64::from_be_bytes(eight) & !u64::MAX.checked_shr(u32::try_from(length).ok()?.checked_mul(8)?).unwrap_or(0)
            }
            _ => (1..9).fold(0, |number, at| number << 8 | text.get(at).filter(|_| at <= length).copied().map_or(0, u64::from)),
        };
        Some(Self { beginning, name, value })
    }

    /// In the order of names.
    fn order(&self, other: &Self) -> Ordering {
        let name = |member: &Self| member.name.get(1..member.name.len().saturating_sub(2)).unwrap_or_default();
        self.beginning.cmp(&other.beginning).then_with(|| name(self).cmp(name(other)))
    }
}

/// Reads what is plain, and writes it with its members in their order. One serves for many texts.
pub(super) struct Rewriting<'t> {
    read: Plain<'t>,
    /// Of objects and arrays that are open.
    open: Vec<Member<'t>>,
    /// Of those that were read to their ends, in the order in which they are written.
    held: Vec<Member<'t>>,
}

impl<'t> Rewriting<'t> {
    pub(super) const fn new() -> Self {
        Self { read: Plain { rest: &[] }, open: Vec::new(), held: Vec::new() }
    }

    /// Appends the canonical form of JSON as a database keeps it: in an order of its own, and with spaces. Nothing where something in
    /// it is not plain, and has to be read before it can be written; what was appended then is of no use.
    pub(super) fn rewrite(&mut self, text: &'t str, out: &mut Vec<u8>) -> Option<()> {
        self.read.rest = text.as_bytes();
        self.open.clear();
        self.held.clear();
        let value = self.value(DEEPEST)?;
        self.skip_spaces();
        self.read.rest.is_empty().then_some(())?;
        self.write(&value, out)
    }

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
            b'{' => return self.held(depth.checked_sub(1)?, b'}', true).map(|(begin, end)| Piece::Object(begin, end)),
            b'[' => return self.held(depth.checked_sub(1)?, b']', false).map(|(begin, end)| Piece::Array(begin, end)),
            _ => self.read.value(depth)?,
        }
        before.get(..before.len().checked_sub(self.read.rest.len())?).map(Piece::AsItStands)
    }

    /// What an object or an array holds.
    fn held(&mut self, depth: u8, end: u8, has_names: bool) -> Option<(usize, usize)> {
        let first = self.open.len();
        self.read.rest = self.read.rest.get(1..)?;
        if !self.comes(end) {
            loop {
                let member = if has_names {
                    self.skip_spaces();
                    let before = self.read.rest;
                    let length = self.read.name()?.len();
                    // Nobody writes a space before it.
                    self.read.take_one(b':')?;
                    Member::named(before, length, self.value(depth)?)?
                } else {
                    Member::item(self.value(depth)?)
                };
                self.open.push(member);
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
        self.held.extend_from_slice(self.open.get(first..)?);
        self.open.truncate(first);
        Some((begin, self.held.len()))
    }

    fn write(&self, value: &Piece<'t>, out: &mut Vec<u8>) -> Option<()> {
        let (first, last, [begin, end]) = match *value {
            Piece::AsItStands(text) => {
                out.extend_from_slice(text);
                return Some(());
            }
            Piece::Object(first, last) => (first, last, *b"{}"),
            Piece::Array(first, last) => (first, last, *b"[]"),
        };
        out.push(begin);
        for (place, Member { name, value, .. }) in self.held.get(first..last)?.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            self.write(value, out)?;
        }
        out.push(end);
        Some(())
    }
}

/// Puts members in the order of their names; nothing where one stands twice.
fn in_order(members: &mut [Member<'_>]) -> Option<()> {
    let are_in_order = |members: &[Member<'_>]| members.is_sorted_by(|one, next| one.order(next) == Ordering::Less);
    if are_in_order(members) {
        return Some(());
    }
    members.sort_unstable_by(Member::order);
    are_in_order(members).then_some(())
}
