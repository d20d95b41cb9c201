//! A Postgres that several replicas share: where it is, and how a connection is protected.
//!
//! A password stands in a file of its own, so that nothing here has to be kept out of logs and pages.

use std::fmt::{self, Write as _};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq)]
pub struct PostgresSettings {
    pub url: PostgresUrl,
    /// Read again for each connection: a password may change at any time.
    pub password_file: Option<PathBuf>,
    /// Whom the server's certificate may come from, PEM, beside the system's.
    pub ca: Option<PathBuf>,
}

/// `postgres://user@host:port/database`, or with `?host=/directory` of a Unix socket. It never carries a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    user: String,
    server: Server,
    port: u16,
    database: String,
    /// As written.
    sslmode: Option<Protection>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Server {
    /// A name or an address.
    Host(String),
    /// The directory of its socket.
    Socket(PathBuf),
}

/// What a connection insists on; `sslmode` in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    Disable,
    /// TLS where the server offers it, whoever it is.
    Prefer,
    /// TLS, with whoever answers.
    Require,
    /// With a server whose certificate comes from a trusted CA.
    VerifyCa,
    /// And which is for the host's name.
    VerifyFull,
}

/// Why a text is no [`PostgresUrl`]. It shows nothing of the text: a password may stand anywhere in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {fix}")]
pub struct UrlMistake {
    pub problem: &'static str,
    pub fix: &'static str,
}

/// Why there is no password to connect with.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("store.password_file: {} cannot be read ({cause}): name a file that this user may read", .path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("store.password_file: {} holds no password: it must hold one line of text", .path.display())]
    None { path: PathBuf },
}

const PORT: u16 = 5432;

/// For `pg_stat_activity`.
const APPLICATION: &str = "rehearsal";

/// What stays as it is in a part of a URL.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const PATH: AsciiSet = PLAIN.remove(b'/');

const SHAPE: &str = "write postgres://USER@HOST/DATABASE, with :PORT after the host where it is not 5432";
const PASSWORD: UrlMistake = UrlMistake {
    problem: "the URL carries a password",
    fix: "put it into a file, name that as `password_file`, and take it out of the URL",
};
const TWICE: UrlMistake = UrlMistake { problem: "the URL has a parameter twice", fix: "keep one of the two" };

// === impl PostgresSettings ===

impl PostgresSettings {
    /// Server and database, for logs and pages.
    pub fn place(&self) -> String {
        let PostgresUrl { server, port, database, .. } = &self.url;
        let mut place = match server {
            Server::Host(host) if host.contains(':') => format!("[{host}]"),
            Server::Host(host) => host.clone(),
            Server::Socket(directory) => directory.display().to_string(),
        };
        if *port != PORT {
            write!(place, ":{port}").expect("a String takes every text");
        }
        format!("{place}/{database}")
    }

    /// As the URL says; else nothing less than a checked server, but on this machine.
    pub fn protection(&self) -> Protection {
        match (self.url.sslmode, &self.ca) {
            (Some(written), _) => written,
            (None, None) if self.url.is_local() => Protection::Prefer,
            (None, _) => Protection::VerifyFull,
        }
    }

    /// With the password as the file holds it now.
    pub fn connect_options(&self) -> Result<PgConnectOptions, PasswordError> {
        let PostgresUrl { user, server, port, database, .. } = &self.url;
        let options = PgConnectOptions::new_without_pgpass().username(user).port(*port).database(database);
        let mut options = match server {
            Server::Host(host) => options.host(host).ssl_mode(self.protection().into()),
            Server::Socket(directory) => options.socket(directory).ssl_mode(PgSslMode::Disable),
        };
        if let Some(ca) = &self.ca {
            options = options.ssl_root_cert(ca);
        }
        // None is as an empty one, so that PGPASSWORD has no say.
        let password = self.password_file.as_deref().map(password).transpose()?.unwrap_or_default();
        Ok(options.password(&password).application_name(APPLICATION))
    }
}

/// The line in the file.
pub fn password(path: &Path) -> Result<String, PasswordError> {
    let content =
        std::fs::read_to_string(path).map_err(|cause| PasswordError::Unreadable { path: path.to_owned(), cause })?;
    let line = content.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\0', '\n']) {
        return Err(PasswordError::None { path: path.to_owned() });
    }
    Ok(line.to_owned())
}

// === impl PostgresUrl ===

impl PostgresUrl {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match &self.server {
            Server::Socket(_) => true,
            Server::Host(host) => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
            }
        }
    }

    pub fn is_socket(&self) -> bool {
        matches!(self.server, Server::Socket(_))
    }
}

impl FromStr for PostgresUrl {
    type Err = UrlMistake;

    fn from_str(text: &str) -> Result<Self, UrlMistake> {
        let wrong = |problem| UrlMistake { problem, fix: SHAPE };
        let rest = ["postgres://", "postgresql://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| wrong("this is not the URL of a Postgres database"))?;
        if rest.contains('#') {
            return Err(UrlMistake { problem: "the URL has a `#`", fix: "write %23 where it is part of a name" });
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, rest) = rest.rsplit_once('@').ok_or_else(|| wrong("the URL names no user"))?;
        if user.contains(':') {
            return Err(PASSWORD);
        }
        let (authority, database) = rest.split_once('/').ok_or_else(|| wrong("the URL names no database"))?;
        let Query { socket, sslmode } = query.parse()?;
        let (host, port) = split_port(authority).ok_or_else(|| wrong("the URL's port is not a number up to 65535"))?;
        let url = Self {
            user: part(user).ok_or_else(|| wrong("the URL names no user"))?,
            server: server(host, socket)?,
            port,
            database: database_name(database)?,
            sslmode,
        };
        if url.is_socket() && url.sslmode.is_some_and(|mode| mode > Protection::Prefer) {
            return Err(UrlMistake { problem: "a Unix socket has no TLS", fix: "take `sslmode` out of the URL" });
        }
        Ok(url)
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = |text| utf8_percent_encode(text, &PLAIN);
        write!(f, "postgres://{}@", encoded(&self.user))?;
        match &self.server {
            Server::Host(host) if host.contains(':') => write!(f, "[{host}]")?,
            Server::Host(host) => f.write_str(host)?,
            Server::Socket(_) => {}
        }
        if self.port != PORT {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "/{}", encoded(&self.database))?;
        let mut mark = '?';
        if let Server::Socket(directory) = &self.server {
            write!(f, "{mark}host={}", utf8_percent_encode(&directory.to_string_lossy(), &PATH))?;
            mark = '&';
        }
        match self.sslmode {
            Some(mode) => write!(f, "{mark}sslmode={}", mode.as_str()),
            None => Ok(()),
        }
    }
}

/// What may stand behind the question mark.
#[derive(Default)]
struct Query {
    socket: Option<PathBuf>,
    sslmode: Option<Protection>,
}

impl FromStr for Query {
    type Err = UrlMistake;

    fn from_str(text: &str) -> Result<Self, UrlMistake> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" if query.sslmode.is_some() => return Err(TWICE),
                "host" if query.socket.is_some() => return Err(TWICE),
                "sslmode" => query.sslmode = Some(value.parse()?),
                "host" => query.socket = Some(socket(value)?),
                "password" => return Err(PASSWORD),
                _ => {
                    return Err(UrlMistake {
                        problem: "the URL has a parameter that has no meaning here",
                        fix: "keep only `sslmode`, and `host` with the directory of a Unix socket",
                    });
                }
            }
        }
        Ok(query)
    }
}

fn database_name(text: &str) -> Result<String, UrlMistake> {
    let wrong = |problem| UrlMistake { problem, fix: SHAPE };
    part(text).ok_or_else(|| match text {
        "" => wrong("the URL names no database"),
        _ => wrong("the URL's database has a slash, a control character or bad UTF-8 in it"),
    })
}

/// A part of a URL in plain text, unless there is nothing in it, or what no name may have.
fn part(text: &str) -> Option<String> {
    let plain = percent_decode_str(text).decode_utf8().ok()?;
    (!plain.is_empty() && !text.contains('/') && !plain.chars().any(char::is_control)).then(|| plain.into_owned())
}

fn split_port(authority: &str) -> Option<(&str, u16)> {
    match authority.rsplit_once(':') {
        // The colon is one of an address.
        Some((_, after)) if after.contains(']') => Some((authority, PORT)),
        Some((host, port)) => port.parse().ok().filter(|port| *port > 0).map(|port| (host, port)),
        None => Some((authority, PORT)),
    }
}

fn server(host: &str, directory: Option<PathBuf>) -> Result<Server, UrlMistake> {
    let wrong = |problem| Err(UrlMistake { problem, fix: SHAPE });
    match (host, directory) {
        ("", None) => wrong("the URL names no host"),
        ("", Some(directory)) => Ok(Server::Socket(directory)),
        (_, Some(_)) => wrong("the URL names a host twice"),
        (host, None) if host.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f")) => {
            socket(host).map(Server::Socket)
        }
        (host, None) => {
            let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let is_name = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
            match address {
                Some(address) if address.parse::<IpAddr>().is_ok() => Ok(Server::Host(address.to_owned())),
                None if is_name => Ok(Server::Host(host.to_ascii_lowercase())),
                _ => wrong("the URL's host is neither a name nor an address"),
            }
        }
    }
}

fn socket(directory: &str) -> Result<PathBuf, UrlMistake> {
    let directory = percent_decode_str(directory).decode_utf8().unwrap_or_default();
    if directory.starts_with('/') && !directory.contains(char::is_control) {
        return Ok(PathBuf::from(directory.as_ref()));
    }
    Err(UrlMistake {
        problem: "the URL's parameter `host` is not the directory of a Unix socket",
        fix: "write ?host=/var/run/postgresql, or the host before the database",
    })
}

// === impl Protection ===

impl Protection {
    const ALL: [Self; 5] = [Self::Disable, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl FromStr for Protection {
    type Err = UrlMistake;

    fn from_str(text: &str) -> Result<Self, UrlMistake> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text).ok_or(UrlMistake {
            problem: "the URL's sslmode is none that is known",
            fix: "write disable, prefer, require, verify-ca or verify-full",
        })
    }
}

impl From<Protection> for PgSslMode {
    fn from(protection: Protection) -> Self {
        match protection {
            Protection::Disable => Self::Disable,
            Protection::Prefer => Self::Prefer,
            Protection::Require => Self::Require,
            Protection::VerifyCa => Self::VerifyCa,
            Protection::VerifyFull => Self::VerifyFull,
        }
    }
}
