//! A JSON text that [`super::strict`] has checked, to walk: flat tokens over the text, nothing copied.

use std::borrow::Cow;

use super::strict::position;

/// A checked text with its tokens, in the order of the text.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    tokens: Vec<Token>,
}

/// One value, or one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) shape: Shape,
    /// Offset of its first byte.
    pub(super) start: u32,
    /// Offset behind its last byte.
    pub(super) end: u32,
    /// The token behind it and all that is inside it.
    pub(super) next: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Null,
    True,
    False,
    Number,
    /// Without a backslash: what stands between its quotes is what it says.
    String,
    EscapedString,
    List,
    Object,
}

/// One value of a document.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document<'a>,
    token: u32,
}

// === impl Document ===

impl<'a> Document<'a> {
    /// `tokens` are those of `text`, and there is at least one.
    pub(super) fn new(text: &'a str, tokens: Vec<Token>) -> Self {
        Self { text, tokens }
    }

    pub fn root(&self) -> Node<'_> {
        Node { document: self, token: 0 }
    }

    pub fn text(&self) -> &str {
        self.text
    }
}

// === impl Shape ===

impl Shape {
    /// With its article, for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::True | Self::False => "a boolean",
            Self::Number => "a number",
            Self::String | Self::EscapedString => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

// === impl Node ===

impl<'a> Node<'a> {
    fn token(self) -> &'a Token {
        &self.document.tokens[self.token as usize]
    }

    pub fn shape(self) -> Shape {
        self.token().shape
    }

    pub fn is_null(self) -> bool {
        self.shape() == Shape::Null
    }

    pub fn is_text(self) -> bool {
        matches!(self.shape(), Shape::String | Shape::EscapedString)
    }

    /// As it stands in the text.
    pub fn raw(self) -> &'a str {
        &self.document.text[self.range()]
    }

    /// Where it stands in the text, in bytes.
    pub fn range(self) -> std::ops::Range<usize> {
        let token = self.token();
        token.start as usize..token.end as usize
    }

    /// Line and column of its first byte, from 1.
    pub fn position(self) -> (usize, usize) {
        position(self.document.text.as_bytes(), self.range().start)
    }

    /// What a string says; `None` of anything else.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = || {
            let raw = self.raw();
            &raw[1..raw.len() - 1]
        };
        match self.shape() {
            Shape::String => Some(Cow::Borrowed(inner())),
            Shape::EscapedString => Some(Cow::Owned(unescape(inner()))),
            _ => None,
        }
    }

    /// The values of a list; nothing of anything else.
    pub fn items(self) -> impl Iterator<Item = Node<'a>> {
        let end = if self.shape() == Shape::List { self.token().next } else { self.token };
        let mut at = self.token + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let item = Node { document: self.document, token: at };
                at = item.token().next;
                item
            })
        })
    }

    /// The keys and values of an object, as they stand; nothing of anything else.
    pub fn members(self) -> impl Iterator<Item = (Node<'a>, Node<'a>)> {
        let end = if self.shape() == Shape::Object { self.token().next } else { self.token };
        let mut at = self.token + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let key = Node { document: self.document, token: at };
                let value = Node { document: self.document, token: at + 1 };
                at = value.token().next;
                (key, value)
            })
        })
    }

    /// The value of a key that is there and not null.
    pub fn member(self, name: &str) -> Option<Node<'a>> {
        let (_, value) = self.members().find(|(key, _)| key.says(name))?;
        (!value.is_null()).then_some(value)
    }

    /// Whether this is a string that says `text`.
    pub fn says(self, text: &str) -> bool {
        match self.shape() {
            // The length first: of a long list of keys one is meant.
            Shape::String => {
                let range = self.range();
                range.len() == text.len() + 2
                    && self.document.text.as_bytes()[range.start + 1..range.end - 1] == *text.as_bytes()
            }
            Shape::EscapedString => self.text().is_some_and(|own| own == text),
            _ => false,
        }
    }

    /// Where it stands, as a person names it: `request.object.spec.containers[0].image`. Empty for the whole.
    pub fn path(self) -> String {
        let mut path = String::new();
        let mut at = self.document.root();
        while at.token != self.token {
            let Some(inside) = at.child_with(self.token, &mut path) else { break };
            at = inside;
        }
        path
    }

    /// The child that is `token` or holds it; its step is added to `path`.
    fn child_with(self, token: u32, path: &mut String) -> Option<Node<'a>> {
        let holds = |child: Node<'a>| (child.token..child.token().next).contains(&token);
        if self.shape() == Shape::List {
            let (index, item) = self.items().enumerate().find(|(_, item)| holds(*item))?;
            path.push_str(&format!("[{index}]"));
            return Some(item);
        }
        let (key, value) = self.members().find(|(_, value)| holds(*value))?;
        let key = key.text().unwrap_or_default();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(super::excerpt(&key).as_ref());
        Some(value)
    }
}

/// What the inner part of a checked JSON string says.
pub(super) fn unescape(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let (character, length) = escape(&rest[at..]);
        text.push(character);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    text
}

/// The character that a checked escape stands for, and the length of the escape.
fn escape(text: &str) -> (char, usize) {
    let unit = |at: usize| u16::from_str_radix(&text[at..at + 4], 16).expect("the escape was checked");
    match text.as_bytes()[1] {
        b'b' => ('\u{8}', 2),
        b'f' => ('\u{c}', 2),
        b'n' => ('\n', 2),
        b'r' => ('\r', 2),
        b't' => ('\t', 2),
        b'u' => {
            let first = unit(2);
            let pair = matches!(first, 0xD800..=0xDBFF);
            let units = [first, if pair { unit(8) } else { 0 }];
            let used = if pair { &units[..] } else { &units[..1] };
            let character = char::decode_utf16(used.iter().copied()).next().and_then(Result::ok);
            (character.expect("surrogates were checked to be pairs"), if pair { 12 } else { 6 })
        }
        plain => (char::from(plain), 2),
    }
}

/// Adds a string to a JSON text, quoted and escaped as little as JSON allows.
pub(super) fn write_string(text: &str, into: &mut String) {
    into.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        into.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => into.push_str("\\\""),
            b'\\' => into.push_str("\\\\"),
            b'\n' => into.push_str("\\n"),
            b'\r' => into.push_str("\\r"),
            b'\t' => into.push_str("\\t"),
            control => into.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    into.push_str(rest);
    into.push('"');
}
