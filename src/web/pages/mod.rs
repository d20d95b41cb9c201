//! One file a page, with a template of the same name.

use askama::Template;
use axum::response::{Html, Response};

use super::address::Address;
use super::error::PageError;

pub mod access;
pub mod agreement;
pub mod callback;
pub mod candidates;
pub mod clusters;
pub mod decision;
pub mod decisions;
pub mod exemption;
pub mod exemptions;
pub mod health;
pub mod image;
pub mod images;
pub mod inventory;
pub mod namespace;
pub mod namespaces;
pub mod overview;
pub mod policies;
pub mod report;
pub mod revision;
pub mod rule;
pub mod rules;
pub mod sign_in;
pub mod sign_out;
pub mod tail;

/// Of a list that has no row as far on any more: where it begins.
fn start_of(list: &Address) -> Response {
    sign_in::go(&list.to_string())
}

fn html(page: &impl Template) -> Result<Html<String>, PageError> {
    Ok(Html(page.render()?))
}
