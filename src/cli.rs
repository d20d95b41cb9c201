//! Commands and flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::config::{LogFormat, LogLevel};
use crate::review::decision::Mode;

/// Rehearses an image policy on live traffic before it can break a deploy.
///
/// Rehearsal stands between kube-apiserver and the webhook that enforces policy. It judges every review with the
/// policies that a team is thinking of enforcing, answers as if they were not there yet, records every decision, and
/// shows what would have been rejected.
///
/// `rehearsal serve` starts it, without any file.
#[derive(Debug, Parser)]
#[command(
    name = "rehearsal",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Each wins over `log` of the configuration.
#[derive(Debug, Clone, Copy, Args)]
pub struct LogArgs {
    /// How lines on standard error look.
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The least important line that is shown.
    #[arg(long, global = true, value_enum, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receive reviews, judge, forward, answer and remember them.
    ///
    /// Without a configuration: webhook on https://127.0.0.1:8443 with a certificate of its own making, report on
    /// http://127.0.0.1:8080, history in ./rehearsal-data, and one policy in audit that notes images with the tag
    /// latest. Environment variables (REHEARSAL_WEBHOOK_LISTEN, ..) win over the file.
    Serve(ServeArgs),
    /// Check, describe or begin a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Make a CA, a server certificate and a client certificate, and print the caBundle.
    ///
    /// For trying out and for clusters without a PKI of their own: the server certificate is for
    /// `webhook.tls.certificate`, the client's is for the API server's kubeconfig, the CA for `webhook.tls.client_ca`.
    Certs(CertsArgs),
    /// Stand in for kube-image-bouncer: its flags and variables, its endpoints, verdicts and messages.
    ///
    /// History and report work as in `serve`. `--mode audit` or `--mode warn` rehearses instead of enforcing.
    Bouncer(BouncerArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// YAML file. `rehearsal config example` prints one to begin with.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with a configuration, or what it would run.
    ///
    /// Loads all that `serve` would (certificates, keys, policies, the environment), takes no lock and writes nothing.
    /// Exit code 2 when something is wrong.
    Check {
        /// YAML file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON Schema of a configuration, for editors and linters.
    Schema,
    /// Print a commented configuration that works.
    Example,
}

#[derive(Debug, Clone, Args)]
pub struct CertsArgs {
    /// DNS name or IP address that the API server reaches the webhook under. Can be given more than once.
    #[arg(long, required = true, value_name = "NAME", num_args = 1.., action = ArgAction::Append)]
    pub dns: Vec<String>,
    /// Common name of the client certificate, such as kube-apiserver.
    #[arg(long, value_name = "NAME")]
    pub client: String,
    /// Folder for the files. Made when absent, for its owner only.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct BouncerArgs {
    /// Certificate to use (PEM). Without certificate and key it speaks plain HTTP.
    #[arg(long, short, env = "BOUNCER_CERTIFICATE", value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Key to use (PEM).
    #[arg(long, short, env = "BOUNCER_KEY", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Port to listen on, on every address.
    #[arg(long, short, env = "BOUNCER_PORT", default_value_t = 1323)]
    pub port: u16,
    /// Registries whose images are accepted, separated by commas. All when absent.
    #[arg(long, env = "BOUNCER_REGISTRY_WHITELIST", value_name = "HOST,..", value_delimiter = ',')]
    pub registry_whitelist: Vec<String>,
    /// Log each review.
    #[arg(long, env = "BOUNCER_DEBUG", value_parser = clap::builder::FalseyValueParser::new(), action = ArgAction::SetTrue)]
    pub debug: bool,
    /// What a violation does: audit records it, warn also tells the client, enforce rejects.
    #[arg(long, default_value = "enforce", value_parser = parse_mode, value_name = "audit|warn|enforce")]
    pub mode: Mode,
    /// Where the journal and the history are. Made when absent, for its owner only.
    #[arg(long, default_value = "./rehearsal-data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Address and port of the report.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    pub report: SocketAddr,
}

fn parse_mode(text: &str) -> Result<Mode, String> {
    [Mode::Audit, Mode::Warn, Mode::Enforce]
        .into_iter()
        .find(|mode| mode.as_str() == text)
        .ok_or_else(|| "write audit, warn or enforce".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_needs_nothing() {
        let cli = parse("rehearsal serve").unwrap();
        assert!(matches!(cli.command, Command::Serve(ServeArgs { config: None })));
        assert_eq!((cli.log.log_format, cli.log.log_level), (None, None));
        let cli = parse("rehearsal serve --config a.yaml --log-format json --log-level debug").unwrap();
        assert!(
            matches!(cli.command, Command::Serve(ServeArgs { config: Some(file) }) if file.as_os_str() == "a.yaml")
        );
        assert_eq!((cli.log.log_format, cli.log.log_level), (Some(LogFormat::Json), Some(LogLevel::Debug)));
    }

    #[test]
    fn certs_takes_several_names() {
        let cli = parse("rehearsal certs --dns a.svc b.svc --dns 10.0.0.1 --client api --out certs").unwrap();
        let Command::Certs(certs) = cli.command else { panic!("certs") };
        assert_eq!(certs.dns, ["a.svc", "b.svc", "10.0.0.1"]);
        assert_eq!(certs.client, "api");
        assert!(parse("rehearsal certs --client api --out certs").is_err());
    }

    #[test]
    fn bouncer_has_the_flags_of_kube_image_bouncer() {
        let cli = parse("rehearsal bouncer").unwrap();
        let Command::Bouncer(bouncer) = cli.command else { panic!("bouncer") };
        assert_eq!((bouncer.port, bouncer.mode, bouncer.debug), (1323, Mode::Enforce, false));
        assert_eq!((bouncer.cert, bouncer.key, bouncer.registry_whitelist), (None, None, Vec::<String>::new()));
        let cli = parse(
            "rehearsal bouncer -c a.crt -k a.key -p 443 --registry-whitelist docker.io,r:5000 --debug --mode warn",
        );
        let Command::Bouncer(bouncer) = cli.unwrap().command else { panic!("bouncer") };
        assert_eq!((bouncer.port, bouncer.mode, bouncer.debug), (443, Mode::Warn, true));
        assert_eq!(bouncer.registry_whitelist, ["docker.io", "r:5000"]);
        assert!(bouncer.cert.is_some() && bouncer.key.is_some());
        assert!(parse("rehearsal bouncer -c a.crt").is_err());
        assert!(
            parse("rehearsal bouncer --mode deny").unwrap_err().to_string().contains("write audit, warn or enforce")
        );
    }

    #[test]
    fn bouncer_has_the_variables_of_kube_image_bouncer() {
        let command = Cli::command();
        let bouncer = command.find_subcommand("bouncer").unwrap();
        let variables: Vec<_> = bouncer.get_arguments().filter_map(|arg| arg.get_env()).collect();
        assert_eq!(
            variables,
            ["BOUNCER_CERTIFICATE", "BOUNCER_KEY", "BOUNCER_PORT", "BOUNCER_REGISTRY_WHITELIST", "BOUNCER_DEBUG"]
        );
    }
}
