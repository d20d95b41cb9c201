//! JSON that two readers could read differently is refused before anything is read from it.
//!
//! One pass checks the whole text (UTF-8, grammar, depth, no key twice in one object) and leaves a flat list of
//! tokens behind, so that decoding, views and redaction walk what was checked instead of reading it again.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::quality::RandomState;

use super::json::{Document, Shape, Token, unescape};

/// Objects and lists inside one another. The API server's own objects stay below 30.
pub const MAX_DEPTH: usize = 128;

/// Up to this many keys are compared one by one, which is faster than hashing them.
const FEW_KEYS: usize = 16;

/// The keys of an object of many. Seeded at random for each process: nobody can send keys that fall together.
type Keys<'a> = HashSet<Cow<'a, str>, RandomState>;

/// Why a body is not JSON that everybody reads alike, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line} column {column}")]
pub struct InvalidJson {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// From 0, in bytes.
    pub offset: usize,
    pub problem: String,
}

/// Checks a body without keeping anything of it.
///
/// # Errors
/// Bad UTF-8, not JSON, anything after the value, nesting over [`MAX_DEPTH`], or a key twice in one object, however
/// it is spelled.
pub fn check(body: &[u8]) -> Result<(), InvalidJson> {
    parse(body).map(drop)
}

/// Checks a body and makes it readable.
///
/// # Errors
/// As [`check`].
pub fn parse(body: &[u8]) -> Result<Document<'_>, InvalidJson> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let problem = if error.error_len().is_some() { "bad UTF-8" } else { "the text ends inside a character" };
        InvalidJson::at(body, error.valid_up_to(), problem)
    })?;
    if u32::try_from(text.len()).is_err() {
        return Err(InvalidJson::at(body, 0, "it is over 4 GiB"));
    }
    let mut scanner = Scanner::of(text);
    scanner.document().map_err(|Stop(found)| InvalidJson::at(body, found.offset, found.problem))?;
    Ok(Document::new(text, scanner.tokens))
}

/// Why a scan ends early. Boxed: every token's result has room for it, and almost none has one.
struct Stop(Box<Found>);

/// What is wrong, and where.
struct Found {
    offset: usize,
    problem: Cow<'static, str>,
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    tokens: Vec<Token>,
    /// The keys of every object that is still open, outermost first: each object owns the part behind its start.
    keys: Vec<Cow<'a, str>>,
}

// === impl InvalidJson ===

impl InvalidJson {
    fn at(body: &[u8], offset: usize, problem: impl Into<String>) -> Self {
        let (line, column) = position(body, offset);
        Self { line, column, offset, problem: problem.into() }
    }
}

/// The line and column of an offset, both from 1.
pub(super) fn position(body: &[u8], offset: usize) -> (usize, usize) {
    let before = &body[..offset.min(body.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    (line, column)
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    fn of(text: &'a str) -> Self {
        // Kubernetes objects have about one token for each 10 bytes: most need no second buffer.
        Self { text, at: 0, depth: 0, tokens: Vec::with_capacity(text.len() / 8 + 8), keys: Vec::with_capacity(64) }
    }

    fn document(&mut self) -> Result<(), Stop> {
        self.space();
        self.value()?;
        self.space();
        if self.at == self.text.len() { Ok(()) } else { self.stop("something follows the JSON value") }
    }

    fn value(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Some(b'{') => {
                let token = self.enter(Shape::Object)?;
                self.object()?;
                self.leave(token);
                Ok(())
            }
            Some(b'[') => {
                let token = self.enter(Shape::List)?;
                self.list()?;
                self.leave(token);
                Ok(())
            }
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true", Shape::True),
            Some(b'f') => self.word("false", Shape::False),
            Some(b'n') => self.word("null", Shape::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.stop("no JSON value begins like this"),
            None => self.ended(),
        }
    }

    /// An object or a list begins: its token comes first and learns its end last.
    fn enter(&mut self, shape: Shape) -> Result<usize, Stop> {
        if self.depth == MAX_DEPTH {
            return self.stop(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        let token = self.tokens.len();
        self.push(shape, self.at, self.at);
        self.depth += 1;
        self.at += 1;
        Ok(token)
    }

    /// At its closing bracket.
    fn leave(&mut self, token: usize) {
        self.at += 1;
        self.depth -= 1;
        self.tokens[token].end = narrow(self.at);
        self.tokens[token].next = narrow(self.tokens.len());
    }

    fn object(&mut self) -> Result<(), Stop> {
        let own = self.keys.len();
        let mut many: Option<Keys<'a>> = None;
        self.space();
        if self.peek() == Some(b'}') {
            return Ok(());
        }
        loop {
            self.key(own, &mut many)?;
            self.space();
            self.expect(b':', "`:` is missing after the key")?;
            self.space();
            self.value()?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(_) => return self.stop("`,` or `}` is missing"),
                None => return self.ended(),
            }
            self.space();
        }
        self.keys.truncate(own);
        Ok(())
    }

    fn list(&mut self) -> Result<(), Stop> {
        self.space();
        if self.peek() == Some(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => return Ok(()),
                Some(_) => return self.stop("`,` or `]` is missing"),
                None => return self.ended(),
            }
            self.space();
        }
    }

    /// Reads a key and holds it against the others of its object, which start at `own`.
    fn key(&mut self, own: usize, many: &mut Option<Keys<'a>>) -> Result<(), Stop> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return self.stop("a key in double quotes is missing"),
            None => return self.ended(),
        }
        let start = self.at;
        let key = self.string()?;
        if many.is_none() && self.keys.len() - own == FEW_KEYS {
            *many = Some(self.keys.drain(own..).collect());
        }
        let twice = match many {
            Some(many) => !many.insert(key.clone()),
            None => self.keys[own..].contains(&key),
        };
        if twice {
            let key = super::excerpt(&key);
            return Err(Stop::at(start, format!("the key {key:?} is there twice")));
        }
        if many.is_none() {
            self.keys.push(key);
        }
        Ok(())
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Stop> {
        let start = self.at;
        let end = plain_until(self.text.as_bytes(), start + 1);
        if self.text.as_bytes().get(end) != Some(&b'"') {
            return self.escaped_string(end);
        }
        self.at = end + 1;
        self.push(Shape::String, start, self.at);
        Ok(Cow::Borrowed(&self.text[start + 1..end]))
    }

    /// The string that begins here and is plain up to `plain`.
    fn escaped_string(&mut self, plain: usize) -> Result<Cow<'a, str>, Stop> {
        let start = self.at;
        self.at = plain;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return self.stop("a control character in a string is not escaped"),
                None => return self.ended(),
            }
            self.at = plain_until(self.text.as_bytes(), self.at);
        }
        self.at += 1;
        self.push(Shape::EscapedString, start, self.at);
        Ok(Cow::Owned(unescape(&self.text[start + 1..self.at - 1])))
    }

    fn escape(&mut self) -> Result<(), Stop> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.code_point(),
            Some(_) => self.stop("this escape is not one of JSON's"),
            None => {
                self.at = self.text.len();
                self.ended()
            }
        }
    }

    /// `\uXXXX`, or the two of a surrogate pair.
    fn code_point(&mut self) -> Result<(), Stop> {
        let unit = self.unit()?;
        match unit {
            0xDC00..=0xDFFF => self.stop("the second half of a surrogate pair stands alone"),
            0xD800..=0xDBFF => {
                if !self.text.as_bytes()[self.at + 6..].starts_with(b"\\u") {
                    return self.stop("the first half of a surrogate pair stands alone");
                }
                let first = self.at;
                self.at += 6;
                if matches!(self.unit()?, 0xDC00..=0xDFFF) {
                    self.at += 6;
                    Ok(())
                } else {
                    self.at = first;
                    self.stop("the first half of a surrogate pair stands alone")
                }
            }
            _ => {
                self.at += 6;
                Ok(())
            }
        }
    }

    /// The four hexadecimal digits of the `\u` at hand; does not move.
    fn unit(&self) -> Result<u16, Stop> {
        let digits = self.text.as_bytes().get(self.at + 2..self.at + 6);
        digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u16::from_str_radix(digits, 16).ok())
            .ok_or_else(|| Stop::at(self.at, "four hexadecimal digits are missing after `\\u`"))
    }

    fn number(&mut self) -> Result<(), Stop> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'0'..=b'9')) {
            return self.stop("a number begins with 0");
        }
        self.push(Shape::Number, start, self.at);
        Ok(())
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), Stop> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            0 if rest.is_empty() => self.ended(),
            0 => self.stop("a digit is missing"),
            count => {
                self.at += count;
                Ok(())
            }
        }
    }

    fn word(&mut self, word: &str, shape: Shape) -> Result<(), Stop> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.push(shape, self.at, self.at + word.len());
            self.at += word.len();
            return Ok(());
        }
        if word.as_bytes().starts_with(rest) { self.ended() } else { self.stop("no JSON value begins like this") }
    }

    fn expect(&mut self, byte: u8, problem: &'static str) -> Result<(), Stop> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => self.stop(problem),
            None => self.ended(),
        }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn push(&mut self, shape: Shape, start: usize, end: usize) {
        let next = narrow(self.tokens.len() + 1);
        self.tokens.push(Token { shape, start: narrow(start), end: narrow(end), next });
    }

    fn stop<T>(&self, problem: impl Into<Cow<'static, str>>) -> Result<T, Stop> {
        Err(Stop::at(self.at, problem))
    }

    fn ended<T>(&self) -> Result<T, Stop> {
        Err(Stop::at(self.text.len(), "the text ends before the JSON value does"))
    }
}

// === impl Stop ===

impl Stop {
    fn at(offset: usize, problem: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Found { offset, problem: problem.into() }))
    }
}

/// Up to where the bytes of a string from `at` on stand for themselves: the next quote, backslash or control character,
/// or the end. Eight at a time: most of a review is inside strings.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..at + 8) {
        let special = special_bytes(u64::from_le_bytes(word.try_into().expect("eight bytes")));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count()
}

/// The highest bit of each byte that is a quote, a backslash or a control character. Above the lowest such byte others
/// may be marked too, by the borrow of the subtraction.
fn special_bytes(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGHEST: u64 = 0x80 * EACH;
    let below = |word: u64, least: u64| word.wrapping_sub(least * EACH) & !word & HIGHEST;
    let equal = |byte: u8| below(word ^ (u64::from(byte) * EACH), 1);
    below(word, 0x20) | equal(b'"') | equal(b'\\')
}

/// Offsets and token numbers fit: a text of 4 GiB was refused before, and each token has a byte of its own.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("a text of 4 GiB was refused")
}

#[cfg(test)]
mod tests;
