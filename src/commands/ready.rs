//! `rehearsal ready`: ask a running process how it is, where no other program is at hand to ask; or, of a rule, whether it is
//! ready to be enforced.

mod rule;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use http::Uri;

use self::rule::{Gate, RuleName};
use super::ask::Means;
use super::config::print;

#[derive(Debug, Clone, Args)]
pub struct ReadyArgs {
    /// Where `/readyz` is answered: the report's listener, or the admin's.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:8080", conflicts_with = "rule")]
    process: Uri,
    /// Instead of a process: whether this rule, POLICY/RULE, is ready to be enforced.
    #[arg(long, value_name = "POLICY/RULE")]
    rule: Option<RuleName>,
    /// In these namespaces (a glob; may be given again). Without it: in all.
    #[arg(long, value_name = "GLOB", requires = "rule")]
    namespace: Vec<String>,
    /// In this cluster alone.
    #[arg(long, value_name = "NAME", requires = "rule")]
    cluster: Option<String>,
    /// Ask the report there, about the rules that it has loaded. Without it the history of the configuration is read.
    #[arg(long, value_name = "URL", requires = "rule")]
    url: Option<Uri>,
    /// File that holds a token of that report, where it asks who one is (`rehearsal user token` makes one).
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// File of CA certificates in PEM, to be trusted beside the system's.
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<PathBuf>,
    /// YAML file that names policies and history. Without one: the defaults, and the environment.
    #[arg(long, short, value_name = "FILE", requires = "rule", conflicts_with = "url")]
    config: Option<PathBuf>,
}

/// A health check waits for no longer, all in all.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer of `/readyz` is a few lines.
const LONGEST: usize = 64 * 1024;

/// Prints what `/readyz` says; or, of a rule, how it stands in which namespace.
///
/// # Errors
/// Nobody answers, or the process is not ready.
pub fn run(args: &ReadyArgs) -> anyhow::Result<ExitCode> {
    if let Some(rule) = &args.rule {
        return rule::run(&Gate {
            rule,
            namespaces: &args.namespace,
            cluster: args.cluster.as_deref(),
            url: args.url.as_ref(),
            means: Means { token: args.token_file.as_deref(), ca: args.ca.as_deref() },
            config: args.config.as_deref(),
        });
    }
    let (Some("http"), Some(authority)) = (args.process.scheme_str(), args.process.authority()) else {
        bail!(
            "{} is not a URL of a listener for health: write http://HOST:PORT, that of admin.listen where the report has TLS",
            args.process
        );
    };
    let place = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let deadline = Instant::now() + PATIENCE;
    let addresses = place.to_socket_addrs().map(Vec::from_iter);
    let answer = addresses.and_then(|addresses| ask(&addresses, authority.as_str(), deadline));
    let answer = answer.with_context(|| format!("{authority} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{authority} does not speak HTTP"))?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("not ready: {}", body.trim_end());
    }
    print(body)
}

/// Of the addresses that a name has, the first that takes a connection is asked.
fn ask(addresses: &[SocketAddr], authority: &str, deadline: Instant) -> io::Result<String> {
    let mut stream = connect(addresses, deadline)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // One read at a time: each may wait only for what is left.
    while answer.len() < LONGEST {
        let mut bytes = [0; 4096];
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut bytes)? {
            0 => break,
            read => answer.extend_from_slice(&bytes[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<TcpStream> {
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for (at, address) in addresses.iter().enumerate() {
        // One that does not answer leaves the others their share.
        let share = left(deadline)? / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Never zero, which would be for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        (listener, address)
    }

    #[test]
    fn an_answer_that_trickles_is_not_waited_for_longer_than_all_of_it_may_take() {
        let (listener, address) = listener();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            while client.write_all(b".").is_ok() {
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let ended = ask(&[address], "a", Instant::now() + Duration::from_millis(300)).map_err(|error| error.kind());
        assert!(matches!(ended, Err(io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)), "{ended:?}");
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        let (closed, nobody) = listener();
        drop(closed);
        let (_listener, somebody) = listener();
        let stream = connect(&[nobody, somebody], Instant::now() + PATIENCE).expect("the second takes it");
        assert_eq!(stream.peer_addr().expect("connected"), somebody);
    }
}
