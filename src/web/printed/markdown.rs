//! A report as Markdown, for a ticket.

mod filters;

use askama::Template;

use super::Printed;
use crate::web::pages::rules::Cell;

#[derive(Template)]
#[template(path = "printed/file.md", escape = "none")]
pub struct MarkdownFile<'a> {
    pub report: &'a Printed,
}

// === impl MarkdownFile ===

impl MarkdownFile<'_> {
    /// In the order of the table's columns.
    fn numbers(cells: &[Cell]) -> String {
        cells.iter().map(|cell| filters::group(cell.number)).collect::<Vec<_>>().join(" | ")
    }
}
