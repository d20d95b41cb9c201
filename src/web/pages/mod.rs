//! One file a page, with a template of the same name.

use askama::Template;
use axum::response::Html;

use super::error::PageError;

pub mod candidates;
pub mod decision;
pub mod decisions;
pub mod image;
pub mod images;
pub mod inventory;
pub mod namespace;
pub mod namespaces;
pub mod overview;
pub mod revision;
pub mod tail;

fn html(page: &impl Template) -> Result<Html<String>, PageError> {
    Ok(Html(page.render()?))
}
