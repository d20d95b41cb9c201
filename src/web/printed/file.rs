//! A report as one file: HTML with its style in it, or Markdown.

use askama::Template;

use super::Printed;
use super::markdown::MarkdownFile;
use crate::web::{assets, filters};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Html,
    Markdown,
}

#[derive(Template)]
#[template(path = "printed/file.html")]
struct HtmlFile<'a> {
    style: &'static str,
    report: &'a Printed,
}

// === impl Form ===

impl Form {
    pub fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }

    /// # Errors
    /// It could not be written.
    pub fn write(self, report: Printed) -> askama::Result<String> {
        // Nothing is at the addresses of a report from where a file is read.
        let report = &Printed { linked: false, ..report };
        match self {
            Self::Html => HtmlFile { style: assets::STYLE, report }.render(),
            Self::Markdown => MarkdownFile { report }.render(),
        }
    }
}
