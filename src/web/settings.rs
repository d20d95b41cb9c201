//! The report's own settings.

use std::net::SocketAddr;

pub use super::access::settings::AccessSettings;

#[derive(Debug, Clone, PartialEq)]
pub struct ReportSettings {
    pub listen: SocketAddr,
    /// For times and day borders on pages.
    pub time_zone: jiff::tz::TimeZone,
    /// Where people reach the report: links in messages begin with it.
    pub public_url: Option<http::Uri>,
    /// Host names (without port) that are answered beside `localhost` and IP addresses.
    pub hosts: Vec<String>,
    /// Who may look.
    pub access: AccessSettings,
}
