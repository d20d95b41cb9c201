//! Messages with placeholders.

use std::borrow::Cow;

use crate::review::image::Image;

/// A message, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Image,
    Registry,
    Repository,
    Tag,
    Namespace,
    Container,
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    pub problem: String,
    pub fix: String,
}

const FIELDS: [(&str, Field); 6] = [
    ("image", Field::Image),
    ("registry", Field::Registry),
    ("repository", Field::Repository),
    ("tag", Field::Tag),
    ("namespace", Field::Namespace),
    ("container", Field::Container),
];

/// What stands for a field that an image does not have.
const NONE: &str = "(none)";

/// Bytes of an image's text in a violation. Any real reference is shorter (a repository has 255, a tag 128); only one
/// that cannot be read is cut, so that a thousand violations of a text of a megabyte are not a gigabyte.
const MAX_TEXT: usize = 1024;

// === impl Template ===

impl Template {
    /// Reads `{field}`; `{{` and `}}` stand for braces.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                let problem = format!("a `{brace}` stands alone");
                return Err(TemplateError { problem, fix: format!("`{brace}{brace}` for a brace, or a placeholder") });
            };
            let field = FIELDS.iter().find(|(known, _)| *known == name).ok_or_else(|| unknown(name))?.1;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Field(field));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self { pieces })
    }

    /// The message about one image.
    pub fn fill(&self, image: &Image, namespace: Option<&str>) -> String {
        let reference = image.reference.as_ref().ok();
        let mut message = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => message.push_str(text),
                Piece::Field(Field::Image) => message.push_str(&cut(&image.text)),
                Piece::Field(field) => {
                    let value = match field {
                        Field::Registry => reference.map(|reference| reference.registry.as_str()),
                        Field::Repository => reference.map(|reference| reference.repository.as_str()),
                        Field::Tag => reference.and_then(|reference| reference.effective_tag()),
                        Field::Namespace => namespace,
                        Field::Container => image.container.as_deref(),
                        Field::Image => None,
                    };
                    message.push_str(value.filter(|value| !value.is_empty()).unwrap_or(NONE));
                }
            }
        }
        message
    }
}

/// An image's text as a violation names it.
pub fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    let end = (0..=MAX_TEXT).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    Cow::Owned(format!("{}…", &text[..end]))
}

fn unknown(name: &str) -> TemplateError {
    let nearest = FIELDS
        .iter()
        .max_by(|(one, _), (other, _)| strsim::jaro_winkler(name, one).total_cmp(&strsim::jaro_winkler(name, other)));
    let all: Vec<_> = FIELDS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    let near = nearest.filter(|(known, _)| strsim::jaro_winkler(name, known) > 0.8);
    TemplateError {
        problem: format!("{{{name}}} is not a placeholder"),
        fix: match near {
            Some((near, _)) => format!("{{{near}}}"),
            None => format!("one of {}", all.join(" ")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::image::Role;
    use crate::review::reference::ImageReference;

    fn image(text: &str) -> Image {
        let reference = ImageReference::parse(text);
        Image { role: Role::Container, container: Some("web".to_owned()), text: text.to_owned(), reference, new: true }
    }

    fn fill(template: &str, text: &str) -> String {
        Template::parse(template).expect(template).fill(&image(text), Some("prod"))
    }

    #[test]
    fn every_placeholder_is_filled() {
        let template = "{image}|{registry}|{repository}|{tag}|{namespace}|{container}|{{x}}";
        assert_eq!(fill(template, "nginx"), "nginx|docker.io|library/nginx|latest|prod|web|{x}");
        let digest = format!("q.io/a/b@sha256:{}", "0".repeat(64));
        assert_eq!(fill("{tag}", &digest), "(none)");
        assert_eq!(fill("{image} {registry}", "BAD image"), "BAD image (none)");
        assert_eq!(
            Template::parse("{namespace}{container}")
                .expect("a template")
                .fill(&Image { container: None, ..image("a") }, None),
            "(none)(none)"
        );
        assert_eq!(fill("no placeholder", "nginx"), "no placeholder");
    }

    #[test]
    fn what_is_not_a_template_is_told_what_would_be_right() {
        let error = |text: &str| Template::parse(text).expect_err(text);
        assert_eq!(
            error("{imgae} is bad"),
            TemplateError { problem: "{imgae} is not a placeholder".into(), fix: "{image}".into() }
        );
        assert!(error("{}").fix.contains("{image} {registry}"));
        assert!(error("{user}").fix.starts_with("one of") || error("{user}").fix.starts_with('{'));
        assert!(error("a { b").problem.contains("`{` stands alone"));
        assert!(error("a } b").problem.contains("`}` stands alone"));
    }

    #[test]
    fn a_monstrous_text_is_cut_between_characters() {
        let text = "é".repeat(100_000);
        let message = fill("{image}", &text);
        assert!(message.len() <= MAX_TEXT + '…'.len_utf8() && message.ends_with("é…"));
    }
}
