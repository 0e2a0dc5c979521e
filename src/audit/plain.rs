//! JSON that is plain: names in ASCII, whole numbers that a double holds, text with no more than short escapes. Its canonical form
//! is known and made as it is read; whatever else there is has to be read into values first.

/// Whether this is plain, and in canonical form.
pub(super) fn is_plain_text(text: &str) -> bool {
    let mut plain = Plain { rest: text.as_bytes() };
    plain.value(DEEPEST) == Some(()) && plain.rest.is_empty()
}

/// Appends the canonical form of JSON as a database keeps it: in an order of its own, and with spaces. Nothing where something in
/// it is not plain, and has to be read before it can be written; what was appended then is of no use.
pub(super) fn rewrite(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let mut rewriting = Rewriting { read: Plain { rest: text.as_bytes() }, members: Vec::new(), spare: Vec::new() };
    rewriting.value(DEEPEST, out)?;
    rewriting.skip_spaces();
    rewriting.read.rest.is_empty().then_some(())
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
            let name = self.text().filter(|name| name.is_ascii() && !name.contains(&b'\\'))?;
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

    /// What stands between the quotes.
    fn text(&mut self) -> Option<&'t [u8]> {
        self.take_one(b'"')?;
        let (whole, mut length) = (self.rest, 0_usize);
        loop {
            match whole.get(length)? {
                b'"' => break,
                b'\\' if matches!(whole.get(length.checked_add(1)?)?, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {
                    length = length.checked_add(2)?;
                }
                b'\\' | 0..0x20 => return None,
                _ => length = length.checked_add(1)?,
            }
        }
        let (text, rest) = whole.split_at_checked(length)?;
        self.rest = rest;
        self.take_one(b'"')?;
        Some(text)
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

/// Reads what is plain, and writes it with its members in their order.
struct Rewriting<'t> {
    read: Plain<'t>,
    /// The members of the objects that are open: their names, and where they stand in what was written.
    members: Vec<(&'t [u8], std::ops::Range<usize>)>,
    spare: Vec<u8>,
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

    fn value(&mut self, depth: u8, out: &mut Vec<u8>) -> Option<()> {
        self.skip_spaces();
        let before = self.read.rest;
        match before.first()? {
            b'{' => return self.object(depth.checked_sub(1)?, out),
            b'[' => return self.array(depth.checked_sub(1)?, out),
            _ => self.read.value(depth)?,
        }
        let length = before.len().checked_sub(self.read.rest.len())?;
        out.extend(before.get(..length)?);
        Some(())
    }

    fn array(&mut self, depth: u8, out: &mut Vec<u8>) -> Option<()> {
        self.read.take_one(b'[')?;
        out.push(b'[');
        if !self.comes(b']') {
            loop {
                self.value(depth, out)?;
                if !self.comes(b',') {
                    break;
                }
                out.push(b',');
            }
            self.read.take_one(b']')?;
        }
        out.push(b']');
        Some(())
    }

    fn object(&mut self, depth: u8, out: &mut Vec<u8>) -> Option<()> {
        self.read.take_one(b'{')?;
        out.push(b'{');
        let (first, begin) = (self.members.len(), out.len());
        if !self.comes(b'}') {
            loop {
                let start = out.len();
                self.skip_spaces();
                let name = self.read.text().filter(|name| name.is_ascii() && !name.contains(&b'\\'))?;
                out.push(b'"');
                out.extend(name);
                out.extend(b"\":");
                self.comes(b':').then_some(())?;
                self.value(depth, out)?;
                out.push(b',');
                self.members.push((name, start..out.len()));
                if !self.comes(b',') {
                    break;
                }
            }
            self.read.take_one(b'}')?;
            self.put_in_order(first, begin, out)?;
            // The last comma.
            out.pop();
        }
        out.push(b'}');
        Some(())
    }

    /// Puts what was written of the members from `first` on in the order of their names; nothing where one stands twice.
    fn put_in_order(&mut self, first: usize, begin: usize, out: &mut Vec<u8>) -> Option<()> {
        let members = self.members.get_mut(first..)?;
        if !members.is_sorted_by(|one, next| one.0 < next.0) {
            members.sort_unstable_by_key(|(name, _)| *name);
            if !members.is_sorted_by(|one, next| one.0 < next.0) {
                return None;
            }
            self.spare.clear();
            for (_, range) in members {
                self.spare.extend(out.get(range.clone())?);
            }
            out.truncate(begin);
            out.extend(&self.spare);
        }
        self.members.truncate(first);
        Some(())
    }
}
