//! Which rules of thousands have to be looked at for one image.
//!
//! A rule is filed under what everything it can find begins with: a `deny` under the beginnings of the registries,
//! repositories or images that it names, the others under those of their namespaces. What begins with nothing (a `require`
//! for every namespace, an expression without a fixed beginning) is looked at for every image. A rule that is found may
//! still not hold; one that is not found cannot.

use crate::review::Review;
use crate::review::image::Image;

use super::rule::Rule;

/// Places of rules in their policy.
#[derive(Debug, Default)]
pub struct Index {
    /// Looked at for every image.
    everywhere: Vec<u32>,
    namespaces: Beginnings,
    parts: [Beginnings; Part::ALL.len()],
    /// Of those filed under a part of an image: those in no namespace, and the others by theirs.
    unscoped: Vec<u32>,
    scoped: Beginnings,
}

/// What of an image a `deny` is filed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Normalised.
    Image,
    /// As written, or normalised.
    Text,
    Repository,
    Registry,
    Tag,
}

/// Where a rule is filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Everywhere,
    Namespaces(Vec<Vec<u8>>),
    Image(Part, Vec<Vec<u8>>),
}

/// Beginnings of texts, sorted. All that a text begins with are found from the last one that is not behind it: each is that
/// one or one of its parents.
#[derive(Debug, Default)]
struct Beginnings(Vec<Beginning>);

#[derive(Debug)]
struct Beginning {
    text: Vec<u8>,
    rules: Vec<u32>,
    /// The longest other one that this begins with.
    parent: Option<u32>,
}

// === impl Index ===

impl Index {
    pub fn of(rules: &[Rule]) -> Self {
        let mut index = Self::default();
        let (mut namespaces, mut scoped) = (Vec::new(), Vec::new());
        let mut parts: [Vec<(Vec<u8>, u32)>; Part::ALL.len()] = Default::default();
        for (at, rule) in (0..).zip(rules) {
            let filed = |texts: Vec<Vec<u8>>| texts.into_iter().map(move |text| (text, at));
            match rule.key() {
                Key::Everywhere => index.everywhere.push(at),
                Key::Namespaces(texts) => namespaces.extend(filed(texts)),
                Key::Image(part, texts) => {
                    parts[part as usize].extend(filed(texts));
                    let names = rule.namespaces();
                    if names.is_empty() { index.unscoped.push(at) } else { scoped.extend(filed(names)) }
                }
            }
        }
        index.namespaces = Beginnings::of(namespaces);
        index.scoped = Beginnings::of(scoped);
        index.parts = parts.map(Beginnings::of);
        index
    }

    /// Those to look at for every image of `review`, whatever it is called.
    pub fn of_review(&self, review: &Review) -> Vec<u32> {
        let mut found = self.everywhere.clone();
        self.namespaces.find(namespace(review), &mut found);
        found
    }

    /// Adds those to look at for `image` beside them, in any order and some twice.
    pub fn of_image(&self, image: &Image, found: &mut Vec<u32>) {
        let mut find = |part: Part, text: &str| self.parts[part as usize].find(text.as_bytes(), found);
        find(Part::Text, &image.text);
        if let Ok(reference) = &image.reference {
            find(Part::Registry, &reference.registry);
            find(Part::Repository, &reference.repository);
            find(Part::Tag, reference.effective_tag().unwrap_or_default());
            if self.has(Part::Image) || self.has(Part::Text) {
                let normalised = reference.normalised();
                find(Part::Image, &normalised);
                find(Part::Text, &normalised);
            }
        }
    }

    /// Those that may hold for `review` and were perhaps not looked at: whether anything was judged depends on them too.
    pub fn not_looked_at(&self, review: &Review) -> impl Iterator<Item = u32> {
        let mut scoped = Vec::new();
        self.scoped.find(namespace(review), &mut scoped);
        self.unscoped.iter().copied().chain(scoped)
    }

    fn has(&self, part: Part) -> bool {
        !self.parts[part as usize].0.is_empty()
    }
}

fn namespace(review: &Review) -> &[u8] {
    review.record.namespace.as_deref().unwrap_or_default().as_bytes()
}

// === impl Part ===

impl Part {
    /// The one that tells most apart first.
    pub const ALL: [Self; 5] = [Self::Image, Self::Text, Self::Repository, Self::Registry, Self::Tag];
}

// === impl Beginnings ===

impl Beginnings {
    fn of(mut filed: Vec<(Vec<u8>, u32)>) -> Self {
        filed.sort_unstable();
        let mut all: Vec<Beginning> = Vec::with_capacity(filed.len());
        for (text, rule) in filed {
            match all.last_mut() {
                Some(last) if last.text == text => last.rules.push(rule),
                _ => {
                    let parent = parent(&all, &text);
                    all.push(Beginning { text, rules: vec![rule], parent });
                }
            }
        }
        Self(all)
    }

    fn find(&self, text: &[u8], found: &mut Vec<u32>) {
        let behind = self.0.partition_point(|beginning| &beginning.text[..] <= text);
        let mut next = behind.checked_sub(1);
        while let Some(at) = next {
            let Beginning { text: begins, rules, parent } = &self.0[at];
            if text.starts_with(begins) {
                found.extend(rules);
            }
            next = parent.map(|parent| parent as usize);
        }
    }
}

/// Of a text that is behind all of `sorted`: the last of them that it begins with.
fn parent(sorted: &[Beginning], text: &[u8]) -> Option<u32> {
    let mut next = sorted.len().checked_sub(1);
    while let Some(at) = next {
        if text.starts_with(&sorted[at].text) {
            return u32::try_from(at).ok();
        }
        next = sorted[at].parent.map(|parent| parent as usize);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_of_a_text_is_found_and_nothing_else() {
        let texts = ["", "a", "ab", "abc", "abd", "b", "ba/", "ba/c", "ab"];
        let filed = (0..).zip(texts).map(|(at, text)| (text.as_bytes().to_vec(), at)).collect();
        let beginnings = Beginnings::of(filed);
        for text in ["", "a", "abcd", "abz", "ab", "b", "ba", "ba/c/d", "c", "\u{e9}"] {
            let mut found = Vec::new();
            beginnings.find(text.as_bytes(), &mut found);
            found.sort_unstable();
            let all = (0..).zip(texts).filter(|(_, beginning)| text.starts_with(beginning)).map(|(at, _)| at);
            assert_eq!(found, all.collect::<Vec<u32>>(), "{text}");
        }
    }
}
