//! A YAML document as a tree that knows where each part was written.
//!
//! Scalars stay text here: what a value is (`1.10` a version or a number, `off` a word or a boolean) is decided by the
//! field that it is for, never by YAML.

use std::collections::HashMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::mistake::{Mistakes, Place, Wrong, shown};
use super::path::Path;

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub place: Place,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Scalar {
        text: String,
        /// Only a plain one can be null or a boolean.
        plain: bool,
    },
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    /// Of the key.
    pub place: Place,
    pub value: Node,
}

/// Aliases repeat what they point to, and repeats can nest: without a bound, a page of YAML is a gigabyte of memory. What
/// is written out has none but the file's own size.
const MAX_REPEATED: usize = 100_000;

/// The document of `text`; mistakes of its syntax go to `mistakes`, and where nothing can be made of the rest the tree
/// is `None`.
pub fn parse(text: &str, mistakes: &mut Mistakes) -> Option<Node> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), repeated: 0, mistakes };
    match builder.document() {
        Ok(root) => Some(root),
        Err(Stop { place, wrong }) => {
            builder.mistakes.add(&place, "", wrong);
            None
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    repeated: usize,
    mistakes: &'a mut Mistakes,
}

/// A mistake after which the rest cannot be read.
struct Stop {
    place: Place,
    wrong: Wrong,
}

// === impl Node ===

impl Node {
    pub fn empty(place: Place) -> Self {
        Self { place, content: Content::Mapping(Vec::new()) }
    }

    pub fn scalar(place: Place, text: String) -> Self {
        Self { place, content: Content::Scalar { text, plain: true } }
    }

    /// Every line of it is commented out.
    pub fn is_empty(&self) -> bool {
        self.is_null() || matches!(&self.content, Content::Mapping(entries) if entries.is_empty())
    }

    /// Nothing was written: `field:`, `~` or `null`.
    pub fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar { text, plain } => *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"),
            Content::List(_) | Content::Mapping(_) => false,
        }
    }

    /// The node at `field` (`policies[1].webhook.url`), null ones left out.
    pub fn at(&self, field: &str) -> Option<&Self> {
        steps(field).try_fold(self, |node, step| node.child(step)).filter(|node| !node.is_null())
    }

    /// Where `field` was written, or else the nearest thing around it.
    pub fn place_of(&self, field: &str) -> &Place {
        let mut node = self;
        for step in steps(field) {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        &node.place
    }

    fn child(&self, step: &str) -> Option<&Self> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == step).map(|entry| &entry.value),
            Content::List(items) => items.get(step.parse::<usize>().ok()?),
            Content::Scalar { .. } => None,
        }
    }

    /// What it is, for a person.
    pub fn kind(&self) -> String {
        match &self.content {
            _ if self.is_null() => "nothing".to_owned(),
            Content::Scalar { text, .. } => shown(text),
            Content::List(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
        }
    }
}

/// `a.b[2].c` as `a`, `b`, `2`, `c`.
fn steps(field: &str) -> impl Iterator<Item = &str> {
    field.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty())
}

// === impl Builder ===

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                _ if root.is_some() => {
                    let wrong = Wrong::new("a second document begins", "a configuration is one document: remove `---`");
                    return Err(Stop { place: place(span.start), wrong });
                }
                event => root = Some(self.node(event, span, &Path::Root)?),
            }
        }
        Ok(root.unwrap_or_else(|| Node::empty(Place::File { line: 1, column: 1 })))
    }

    fn node(&mut self, event: Event<'a>, span: Span, path: &Path<'_>) -> Result<Node, Stop> {
        let place = place(span.start);
        let (content, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &place, path);
                let plain = style == ScalarStyle::Plain;
                (Content::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &place, path);
                (Content::List(self.items(path)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &place, path);
                (Content::Mapping(self.entries(path)?), anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, place),
            other => {
                let wrong = Wrong::new(format!("unexpected {other:?}"), "write a value");
                return Err(Stop { place, wrong });
            }
        };
        let node = Node { place, content };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// A copy of what the alias stands for: its mistakes are shown where they were written.
    fn alias(&mut self, anchor: usize, place: Place) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let wrong = Wrong::new("the alias stands inside what it points to", "write the value out");
            return Err(Stop { place, wrong });
        };
        self.repeat(size(&node), &place)?;
        Ok(node)
    }

    fn items(&mut self, path: &Path<'_>) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, &path.item(items.len()))?),
            }
        }
    }

    fn entries(&mut self, path: &Path<'_>) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, span, path)?;
            let name = match &key.content {
                Content::Scalar { text, .. } => text.clone(),
                Content::List(_) | Content::Mapping(_) => {
                    let wrong = Wrong::new(format!("a name is expected, found {}", key.kind()), "write `name: value`");
                    self.mistakes.add(&key.place, &path.to_string(), wrong);
                    "?".to_owned()
                }
            };
            let field = path.field(&name);
            let (event, span) = self.next()?;
            let value = self.node(event, span, &field)?;
            if matches!(key.content, Content::List(_) | Content::Mapping(_)) {
                continue;
            }
            if let Some(first) = entries.iter().find(|entry| entry.key == name) {
                let wrong = Wrong::new(format!("is given twice, first in {}", first.place), "keep one of the two");
                self.mistakes.add(&key.place, &field.to_string(), wrong);
            }
            // A second one stays, behind the first, so that what is wrong in it shows too.
            entries.push(Entry { key: name, place: key.place, value });
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Stop> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(next)) => return Ok(next),
                Some(Err(error)) => {
                    let wrong = Wrong::new(
                        format!("this is not YAML: {}", error.info()),
                        "look at the indentation, quotes and brackets here and in the line above",
                    );
                    return Err(Stop { place: place(*error.marker()), wrong });
                }
                None => return Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
            }
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, place: &Place, path: &Path<'_>) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            let wrong = Wrong::new(format!("the tag {} has no meaning here", tag.original()), "write the value alone");
            self.mistakes.add(place, &path.to_string(), wrong);
        }
    }

    fn repeat(&mut self, more: usize, place: &Place) -> Result<(), Stop> {
        self.repeated += more;
        if self.repeated <= MAX_REPEATED {
            return Ok(());
        }
        let wrong = Wrong::new(format!("aliases repeat more than {MAX_REPEATED} values"), "use fewer aliases");
        Err(Stop { place: place.clone(), wrong })
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.content {
        Content::Scalar { .. } => 0,
        Content::List(items) => items.iter().map(size).sum(),
        Content::Mapping(entries) => entries.iter().map(|entry| 1 + size(&entry.value)).sum(),
    }
}

fn place(marker: Marker) -> Place {
    Place::File { line: marker.line(), column: marker.col() + 1 }
}
