//! What pages need beside their text: one stylesheet, one script that they can do without, and one icon, compiled in.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

pub const STYLE: &str = include_str!("../../templates/assets/report.css");
const SCRIPT: &str = include_str!("../../templates/assets/report.js");
const ICON: &str = include_str!("../../templates/assets/icon.svg");

/// Part of the address: what is found there never changes, so that browsers may keep it for good.
const KEPT: &str = "public, max-age=31536000, immutable";

pub static STYLE_PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/{}.css", hash(STYLE)));
pub static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/{}.js", hash(SCRIPT)));
pub static ICON_PATH: LazyLock<String> = LazyLock::new(|| format!("/assets/{}.svg", hash(ICON)));

pub async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, KEPT)], STYLE).into_response()
}

pub async fn script() -> Response {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, KEPT)], SCRIPT).into_response()
}

pub async fn icon() -> Response {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, KEPT)], ICON).into_response()
}

/// Eight bytes: enough to tell versions of one file apart.
fn hash(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
