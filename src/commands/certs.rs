//! `rehearsal certs`: a CA, a server and a client certificate, and where to put them.

use std::io::Write;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use crate::server::certificates::{self, Authority, CertificateError, Names, Pair};

/// A year: nothing renews them, and somebody has to carry each to its place.
const LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const CLIENT_CERTIFICATE: &str = "client.crt";
const CLIENT_KEY: &str = "client.key";

#[derive(Debug, Clone, Args)]
pub struct CertsArgs {
    /// DNS name or IP address that the API server reaches the webhook under. Can be given more than once.
    #[arg(long, required = true, value_name = "NAME", num_args = 1..)]
    pub dns: Vec<String>,
    /// Common name of the client certificate, such as kube-apiserver.
    #[arg(long, value_name = "NAME")]
    pub client: String,
    /// Folder for the files. Made when absent, for its owner only.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// What is made, on its way to the disk.
struct Made {
    names: Names,
    authority: Pair,
    server: Pair,
    client: Pair,
}

/// Makes the files, and prints the `caBundle` and what goes where.
///
/// # Errors
///
/// A name is none, a file is already there (nothing is overwritten), or the folder cannot be written.
pub fn run(args: &CertsArgs) -> anyhow::Result<()> {
    let made = Made::new(args)?;
    let dir = std::path::absolute(&args.out).with_context(|| format!("--out {}", args.out.display()))?;
    made.write(&dir)?;
    let mut out = std::io::stdout().lock();
    out.write_all(made.told(&dir, &args.client).as_bytes()).and_then(|()| out.flush()).context("standard output")
}

// === impl Made ===

impl Made {
    fn new(args: &CertsArgs) -> anyhow::Result<Self> {
        let Some(names) = Names::parse(&args.dns).context("--dns")? else {
            bail!("--dns: give at least one name that the API server reaches the webhook under");
        };
        if args.client.trim().is_empty() {
            bail!("--client: give the client a name, such as kube-apiserver");
        }
        let authority = Authority::new("Rehearsal CA")?;
        let server = authority.server(&names, LIFE)?;
        let client = authority.client(&args.client, LIFE)?;
        Ok(Self { names, authority: authority.pair(), server, client })
    }

    fn files(&self) -> [(&'static str, &str); 6] {
        [
            (certificates::CA_CERTIFICATE, &self.authority.certificate),
            (certificates::CA_KEY, &self.authority.key),
            (certificates::CERTIFICATE, &self.server.certificate),
            (certificates::KEY, &self.server.key),
            (CLIENT_CERTIFICATE, &self.client.certificate),
            (CLIENT_KEY, &self.client.key),
        ]
    }

    fn write(&self, dir: &Path) -> Result<(), CertificateError> {
        // All are looked for before the first is made, so that a refusal leaves nothing behind.
        if let Some(path) = self.files().iter().map(|(name, _)| dir.join(name)).find(|path| path.exists()) {
            return Err(CertificateError::Exists { path });
        }
        certificates::create_dir(dir)?;
        self.files().iter().try_for_each(|(name, content)| certificates::create(&dir.join(name), content.as_bytes()))
    }

    fn told(&self, dir: &Path, client: &str) -> String {
        let bundle = STANDARD.encode(&self.authority.certificate);
        let file = |name: &str| quoted(&dir.join(name).to_string_lossy());
        let names: Vec<&str> = self.names.iter().collect();
        let (ca, certificate, key) =
            (file(certificates::CA_CERTIFICATE), file(certificates::CERTIFICATE), file(certificates::KEY));
        let (client_certificate, client_key) = (file(CLIENT_CERTIFICATE), file(CLIENT_KEY));
        let server = quoted(&format!("https://{}:8443/review", host(self.names.first())));
        let client_config = client_config(self.names.first());
        format!(
            "\
Made in {dir}, for {names}:
  ca.crt      the CA, for ten years; ca.key signs more of them: keep it off the cluster
  tls.crt     the webhook's, with tls.key, for a year
  client.crt  the API server's (CN={client}), with client.key, for a year

caBundle:
{bundle}

# 1. Rehearsal's configuration
webhook:
  listen: 0.0.0.0:8443
  tls: {{certificate: {certificate}, key: {key}, client_ca: {ca}}}

# 2. For ImagePolicyWebhook: the file that its kubeConfigFile names, on every control plane node
apiVersion: v1
kind: Config
clusters:
  - name: rehearsal
    cluster: {{server: {server}, certificate-authority: {ca}}}
users:
  - name: api-server
    user: {{client-certificate: {client_certificate}, client-key: {client_key}}}
contexts:
  - name: rehearsal
    context: {{cluster: rehearsal, user: api-server}}
current-context: rehearsal

# 3. For a ValidatingWebhookConfiguration: under webhooks
clientConfig:
{client_config}
  caBundle: {bundle}

# The API server shows its certificate to such a webhook only when the kubeConfigFile of its ValidatingAdmissionWebhook
# plugin has a user of the webhook's name:
users:
  - name: {user}
    user: {{client-certificate: {client_certificate}, client-key: {client_key}}}
",
            dir = dir.display(),
            names = names.join(", "),
            user = quoted(&user(self.names.first())),
        )
    }
}

/// `service` for a name that a Service has inside the cluster, else `url`.
fn client_config(name: &str) -> String {
    match service(name) {
        Some((service, namespace)) => {
            format!("  service: {{name: {service}, namespace: {namespace}, port: 443, path: /review}}")
        }
        None => format!("  url: {}", quoted(&format!("https://{}:8443/review", host(name)))),
    }
}

/// How the API server looks its certificate for a webhook up: a Service by its name, all else by host and port.
fn user(name: &str) -> String {
    match service(name) {
        Some((service, namespace)) => format!("{service}.{namespace}.svc"),
        None => format!("{}:8443", host(name)),
    }
}

fn service(name: &str) -> Option<(&str, &str)> {
    let mut labels = name.split('.');
    match (labels.next()?, labels.next()?, labels.next()?) {
        ("*", ..) => None,
        (service, namespace, "svc") => Some((service, namespace)),
        _ => None,
    }
}

fn host(name: &str) -> String {
    if name.parse::<Ipv6Addr>().is_ok() { format!("[{name}]") } else { name.to_owned() }
}

/// A YAML string, whatever is in it: one of JSON is one of YAML too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use tempfile::TempDir;

    use crate::server::settings::TlsSettings;
    use crate::server::tls::ServerTls;

    use super::*;

    fn args(dir: &Path, names: &[&str]) -> CertsArgs {
        let dns = names.iter().map(|&name| name.to_owned()).collect();
        CertsArgs { dns, client: "kube-apiserver".to_owned(), out: dir.join("made") }
    }

    #[test]
    fn what_is_made_is_private_and_serves_a_mutual_listener() {
        let temp = TempDir::new().expect("a directory");
        run(&args(temp.path(), &["rehearsal.rehearsal.svc", "10.0.0.7"])).expect("it makes them");
        let made = temp.path().join("made");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&made), 0o700);
        let files: Vec<_> =
            fs::read_dir(&made).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        assert_eq!(files.len(), 6, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        let settings = TlsSettings::Files {
            certificate: made.join("tls.crt"),
            key: made.join("tls.key"),
            client_ca: Some(made.join("ca.crt")),
        };
        ServerTls::load(&settings).expect("it loads");
        let client = CertificateDer::from_pem_file(made.join("client.crt")).expect("PEM");
        let (_, client) = x509_parser::parse_x509_certificate(&client).expect("DER");
        assert_eq!(client.subject().to_string(), "CN=kube-apiserver");
        assert!(client.extended_key_usage().expect("one").expect("one").value.client_auth);
    }

    #[test]
    fn nothing_is_overwritten() {
        let temp = TempDir::new().expect("a directory");
        let made = temp.path().join("made");
        fs::create_dir(&made).expect("a folder");
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::write(made.join("client.key"), "precious").expect("writable");
        let error = run(&args(temp.path(), &["localhost"])).expect_err("it is there").to_string();
        assert!(error.contains("client.key is already there"), "{error}");
        assert_eq!(fs::read_to_string(made.join("client.key")).expect("readable"), "precious");
        assert_eq!(fs::read_dir(&made).expect("a folder").count(), 1);
        fs::remove_file(made.join("client.key")).expect("it is there");
        run(&args(temp.path(), &["localhost"])).expect("it makes them");
        let mode = fs::metadata(&made).expect("a folder").permissions().mode() & 0o777;
        assert_eq!(mode, 0o755, "a folder that was there stays as it was");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let temp = TempDir::new().expect("a directory");
        let error = format!("{:#}", run(&args(temp.path(), &["a.example", "no name"])).expect_err("no name"));
        assert!(error.contains("--dns") && error.contains("`no name`"), "{error}");
        let nobody = CertsArgs { client: " ".to_owned(), ..args(temp.path(), &["a.example"]) };
        assert!(run(&nobody).expect_err("no client").to_string().contains("--client"));
        assert!(!temp.path().join("made").exists());
    }

    fn told(names: &[&str]) -> String {
        let args = args(Path::new("/etc/re hearsal"), names);
        Made::new(&args).expect("they are made").told(&args.out, &args.client)
    }

    #[test]
    fn the_bundle_is_the_ca() {
        let made = Made::new(&args(Path::new("/x"), &["localhost"])).expect("they are made");
        let told = made.told(Path::new("/x"), "kube-apiserver");
        let bundle = told.split_whitespace().find(|word| word.len() > 200).expect("a bundle");
        assert_eq!(STANDARD.decode(bundle).expect("base64"), made.authority.certificate.as_bytes());
        assert_eq!(told.matches(bundle).count(), 2, "on its own and in the clientConfig");
    }

    #[test]
    fn what_to_paste_fits_the_name() {
        let service = told(&["rehearsal.tools.svc", "10.0.0.7"]);
        assert!(
            service.contains("service: {name: rehearsal, namespace: tools, port: 443, path: /review}"),
            "{service}"
        );
        assert!(service.contains("- name: \"rehearsal.tools.svc\"\n"), "{service}");
        let address = told(&["2001:db8::7"]);
        assert!(address.contains("url: \"https://[2001:db8::7]:8443/review\""), "{address}");
        assert!(address.contains("server: \"https://[2001:db8::7]:8443/review\""), "{address}");
        assert!(address.contains("- name: \"[2001:db8::7]:8443\"\n"), "{address}");
        assert!(address.contains("client-key: \"/etc/re hearsal/made/client.key\""), "{address}");
    }
}
