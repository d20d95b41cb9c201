//! `rehearsal ready`: ask a running process how it is, where no other program is at hand to ask.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Uri;

use super::config::print;

#[derive(Debug, Clone, Args)]
pub struct ReadyArgs {
    /// Where `/readyz` is answered: the report's listener, or the admin's.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Uri,
}

/// A health check waits for no longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer of `/readyz` is a few lines.
const LONGEST: u64 = 64 * 1024;

/// Prints what `/readyz` says.
///
/// # Errors
/// Nobody answers, or the process is not ready.
pub fn run(args: &ReadyArgs) -> anyhow::Result<ExitCode> {
    let (Some("http"), Some(authority)) = (args.url.scheme_str(), args.url.authority()) else {
        bail!("{} is not a URL of a listener for health: write http://HOST:PORT", args.url);
    };
    let place = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let answer = ask(place, authority.as_str()).with_context(|| format!("{authority} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{authority} does not speak HTTP"))?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("not ready: {}", body.trim_end());
    }
    print(body)
}

fn ask(place: (&str, u16), host: &str) -> std::io::Result<String> {
    let address = place.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
