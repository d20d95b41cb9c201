//! A real kube-apiserver over a real etcd, for as long as the value lives.
//!
//! `KUBEBUILDER_ASSETS` names the folder with both, as envtest has it; kubectl comes from there or from the PATH.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Url, free_port, wait_for};

const TOKEN: &str = "a-token-for-this-test-only";

#[derive(Debug)]
pub struct Cluster {
    dir: TempDir,
    kubectl: PathBuf,
    server: String,
    children: Vec<Child>,
}

/// What kubectl printed.
#[derive(Debug)]
pub struct Printed {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// The folder that `KUBEBUILDER_ASSETS` names. `None` where it names none.
///
/// # Panics
/// When it names one that lacks a binary: that is a mistake and not a choice.
pub fn assets() -> Option<PathBuf> {
    let assets = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty())?);
    for binary in ["kube-apiserver", "etcd"] {
        assert!(assets.join(binary).exists(), "KUBEBUILDER_ASSETS={} has no {binary}", assets.display());
    }
    Some(assets)
}

// === impl Cluster ===

impl Cluster {
    /// Starts both, with the ImagePolicyWebhook plugin aimed at `webhook` + `path`.
    pub async fn start(assets: &Path, webhook: &Url, path: &str, ca_pem: &str) -> Self {
        let dir = TempDir::with_prefix("rehearsal-cluster-").expect("a temporary directory");
        let etcd_url = format!("http://127.0.0.1:{}", free_port());
        let port = free_port();
        write_files(dir.path(), &format!("{}{path}", webhook.text), ca_pem);
        let etcd = spawn(
            Command::new(assets.join("etcd"))
                .args(["--data-dir", "etcd", "--listen-peer-urls", "http://127.0.0.1:0"])
                .args(["--listen-client-urls", &etcd_url, "--advertise-client-urls", &etcd_url]),
            dir.path(),
            "etcd.log",
        );
        let api = spawn(
            Command::new(assets.join("kube-apiserver"))
                .args(["--etcd-servers", &etcd_url, "--bind-address", "127.0.0.1"])
                .args(["--secure-port", &port.to_string(), "--cert-dir", "apiserver-certs"])
                .args(["--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none"])
                .args(["--token-auth-file", "tokens.csv", "--authorization-mode", "RBAC"])
                .args(["--service-account-issuer", "https://kubernetes.default.svc"])
                .args(["--service-account-key-file", "sa.pub", "--service-account-signing-key-file", "sa.key"])
                .args(["--disable-admission-plugins", "ServiceAccount"])
                .args(["--enable-admission-plugins", "ImagePolicyWebhook"])
                .args(["--admission-control-config-file", "admission.yaml"])
                .args(["--audit-policy-file", "audit-policy.yaml", "--audit-log-path", "audit.log"])
                .args(["--audit-log-mode", "blocking-strict"]),
            dir.path(),
            "apiserver.log",
        );
        let own = assets.join("kubectl");
        let kubectl = if own.exists() { own } else { PathBuf::from("kubectl") };
        let mut cluster = Self { dir, kubectl, server: format!("https://127.0.0.1:{port}"), children: vec![api, etcd] };
        cluster.ready().await;
        cluster
    }

    async fn ready(&mut self) {
        let started = std::time::Instant::now();
        // A cold API server on two busy cores takes longer than any other condition of these tests.
        while started.elapsed() < std::time::Duration::from_secs(90) {
            if self.kubectl(&["get", "--raw", "/readyz"]).success
                && self.kubectl(&["get", "namespace", "default"]).success
            {
                return;
            }
            for child in &mut self.children {
                let ended = child.try_wait().expect("our own child");
                assert!(ended.is_none(), "it ended with {ended:?}:\n{}", self.logs());
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        panic!("the API server is not ready:\n{}", self.logs());
    }

    pub fn kubectl(&self, args: &[&str]) -> Printed {
        let output = self.kubectl_command(args).stdin(Stdio::null()).output().expect("kubectl runs");
        Printed::from(output)
    }

    /// `kubectl apply -f -` of `manifest`.
    ///
    /// # Panics
    /// When the API server refuses it.
    pub fn apply(&self, manifest: &Value) {
        let printed = self.create(manifest);
        assert!(printed.success, "{manifest}: {}", printed.stderr);
    }

    /// `kubectl create -f -` of `manifest`, whatever comes of it.
    pub fn create(&self, manifest: &Value) -> Printed {
        let file = self.dir.path().join("manifest.json");
        std::fs::write(&file, manifest.to_string()).expect("writable");
        self.kubectl(&["create", "-f", file.to_str().expect("UTF-8")])
    }

    /// `kubectl create --dry-run=server` of YAML documents.
    pub fn create_dry(&self, manifests: &str) -> Printed {
        let file = self.dir.path().join("manifests.yaml");
        std::fs::write(&file, manifests).expect("writable");
        self.kubectl(&["create", "--dry-run=server", "-f", file.to_str().expect("UTF-8")])
    }

    /// The audit event of the create of a pod, once it is written.
    pub async fn audit_event(&self, namespace: &str, pod: &str) -> Value {
        let uri = format!("/api/v1/namespaces/{namespace}/pods");
        wait_for(&format!("the audit event of {namespace}/{pod}"), || async {
            let log = std::fs::read_to_string(self.dir.path().join("audit.log")).ok()?;
            log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|event| {
                event["stage"] == "ResponseComplete"
                    && event["verb"] == "create"
                    && event["requestURI"].as_str().is_some_and(|at| at.split('?').next() == Some(&uri))
                    && event["objectRef"]["name"] == pod
            })
        })
        .await
    }

    fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command
            .args(["--server", &self.server, "--token", TOKEN, "--insecure-skip-tls-verify"])
            .args(args)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("KUBECONFIG", self.dir.path().join("none"));
        command
    }

    fn logs(&self) -> String {
        ["etcd.log", "apiserver.log"]
            .iter()
            .map(|name| {
                let log = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
            })
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(command: &mut Command, dir: &Path, log: &str) -> Child {
    let log = File::create(dir.join(log)).expect("writable");
    let errors = log.try_clone().expect("a file");
    command
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()))
}

fn write_files(dir: &Path, image_policy_url: &str, ca_pem: &str) {
    let key = KeyPair::generate().expect("a key");
    let admission = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
        "plugins": [{"name": "ImagePolicyWebhook", "configuration": {"imagePolicy": {
            "kubeConfigFile": dir.join("image-policy.kubeconfig"),
            "allowTTL": -1, "denyTTL": -1, "retryBackoff": 500, "defaultAllow": false
        }}}]
    });
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "rehearsal",
        "clusters": [{"name": "rehearsal", "cluster": {
            "server": image_policy_url, "certificate-authority": dir.join("rehearsal-ca.crt")
        }}],
        "users": [{"name": "api-server", "user": {}}],
        "contexts": [{"name": "rehearsal", "context": {"cluster": "rehearsal", "user": "api-server"}}]
    });
    let audit = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]});
    for (name, content) in [
        ("admission.yaml", admission.to_string()),
        ("image-policy.kubeconfig", kubeconfig.to_string()),
        ("audit-policy.yaml", audit.to_string()),
        ("rehearsal-ca.crt", ca_pem.to_owned()),
        ("tokens.csv", format!("{TOKEN},lab-admin,lab-admin,system:masters\n")),
        ("sa.key", key.serialize_pem()),
        ("sa.pub", key.public_key_pem()),
    ] {
        std::fs::write(dir.join(name), content).expect("writable");
    }
}

// === impl Printed ===

impl From<std::process::Output> for Printed {
    fn from(output: std::process::Output) -> Self {
        Self {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
