//! A real kube-apiserver and etcd, with Rehearsal behind both of its doors, and pods created with kubectl.

mod harness;

use harness::backend::{Backend, Received, Reply, Script};
use harness::cluster::{Cluster, assets};
use harness::{Rehearsal, wait_for};
use serde_json::{Value, json};

/// Which door a namespace's pods are judged at, and how, is in its name: `i-` ImagePolicyWebhook, `v-` the
/// ValidatingWebhookConfiguration.
const NAMESPACES: [&str; 9] =
    ["i-audit", "i-enforce", "i-denied", "i-broken", "v-audit", "v-warn", "v-enforce", "v-denied", "v-broken"];

/// Of the ValidatingWebhookConfiguration's webhook: the prefix of its audit annotations.
const WEBHOOK: &str = "images.rehearsal.test";

/// Of the ImagePolicyWebhook plugin's audit annotations.
const PLUGIN: &str = "imagepolicywebhook.image-policy.k8s.io";

struct Lab {
    rehearsal: Rehearsal,
    cluster: Cluster,
    /// The enforcing backends; they stop when dropped.
    _backends: [Backend; 2],
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_api_server_gets_its_answers_through_rehearsal() {
    let Some(assets) = assets() else {
        harness::not_run("KUBEBUILDER_ASSETS does not name a folder with kube-apiserver and etcd");
        return;
    };
    let lab = Lab::start(&assets).await;
    lab.image_policy_in_audit().await;
    lab.image_policy_in_enforce().await;
    lab.image_policy_denied_by_the_backend().await;
    lab.image_policy_with_a_broken_backend().await;
    lab.validating_in_audit().await;
    lab.validating_in_warn().await;
    lab.validating_in_enforce().await;
    lab.validating_denied_by_the_backend().await;
    lab.validating_with_a_broken_backend().await;
    lab.a_deployment_and_a_dry_run().await;
    lab.the_manifests_are_valid();
}

fn config(image_review: &Backend, admission_review: &Backend) -> String {
    format!(
        r#"
cluster: lab
policies:
  - name: images
    rules:
      - {{id: plugin-audit, deny: {{tag: latest}}, namespaces: [i-audit]}}
      - {{id: plugin-enforce, deny: {{tag: latest}}, namespaces: [i-enforce], mode: enforce, message: "{{image}} is not pinned", help: "Pin a version."}}
      - {{id: no-latest, deny: {{tag: latest}}, clusters: [admission], namespaces: [v-audit]}}
      - {{id: no-latest-soon, deny: {{tag: latest}}, clusters: [admission], namespaces: [v-warn], mode: warn, message: "{{image}} uses the tag latest"}}
      - {{id: no-latest-now, deny: {{tag: latest}}, clusters: [admission], namespaces: [v-enforce], mode: enforce, message: "{{image}} uses the tag latest", help: "Pin a version."}}
  - {{name: bouncer, mode: enforce, webhook: {{url: "{}/image_policy", speaks: image-review}}}}
  - {{name: gate, mode: enforce, webhook: {{url: "{}/", speaks: admission-review}}}}
"#,
        image_review.url, admission_review.url
    )
}

fn judge(request: &Received) -> Reply {
    let review = request.json();
    let namespace = review.pointer("/spec/namespace").or_else(|| review.pointer("/request/namespace"));
    // The plugin asks about every pod; what the admission webhook is tried with, it lets pass.
    let is_plugin = review["kind"] == "ImageReview";
    match namespace.and_then(Value::as_str).unwrap_or_default() {
        name if is_plugin != name.starts_with("i-") => request.allowed(),
        "i-denied" => request.denied("Images using latest tag are not allowed"),
        "v-denied" => request.answer(json!({
            "allowed": false, "status": {"code": 418, "message": "not from this kitchen"},
            "warnings": ["the kitchen closes at ten"], "auditAnnotations": {"kitchen": "closed"}
        })),
        "i-broken" | "v-broken" => Reply::of(200, "application/json", "{}"),
        _ => request.allowed(),
    }
}

fn pod(namespace: &str, name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": image}]}
    })
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn webhook_configuration(url: &str, ca_pem: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "under-test"},
        "webhooks": [{
            "name": WEBHOOK, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "timeoutSeconds": 10,
            "clientConfig": {"url": url, "caBundle": base64(ca_pem)},
            "namespaceSelector": {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name", "operator": "In",
                "values": NAMESPACES.iter().filter(|name| name.starts_with("v-")).collect::<Vec<_>>()
            }]},
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE", "UPDATE"]},
                {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], "operations": ["CREATE"]}
            ]
        }]
    })
}

impl Lab {
    async fn start(assets: &std::path::Path) -> Self {
        let backends = [Backend::start(Script::judge(judge)), Backend::start(Script::judge(judge))];
        let rehearsal = Rehearsal::builder().config(&config(&backends[0], &backends[1])).start().await;
        let ca_pem = rehearsal.ca_pem();
        let cluster = Cluster::start(assets, rehearsal.webhook(), "/review/plugin", &ca_pem).await;
        for name in NAMESPACES {
            cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        let url = format!("{}/review/admission", rehearsal.webhook_url());
        cluster.apply(&webhook_configuration(&url, &ca_pem));
        let lab = Self { rehearsal, cluster, _backends: backends };
        lab.webhook_is_called().await;
        lab
    }

    /// The API server learns of a new webhook configuration a moment after it has stored it.
    async fn webhook_is_called(&self) {
        wait_for("the webhook configuration", || async {
            let refused =
                self.cluster.kubectl(&["run", "probe", "--image=probe:1", "-n", "v-denied", "--dry-run=server"]);
            (!refused.success).then_some(())
        })
        .await;
    }

    async fn decision(&self, cluster: &str, namespace: &str) -> Value {
        self.rehearsal.decision(&format!("cluster={cluster}&namespace={namespace}&dry_run=false")).await
    }

    async fn image_policy_in_audit(&self) {
        let printed = self.cluster.create(&pod("i-audit", "web", "nginx"));
        assert!(printed.success, "{printed:?}");
        assert_eq!(printed.stdout, "pod/web created\n");
        assert_eq!(printed.stderr, "", "this path has no warnings");
        let decision = self.decision("plugin", "i-audit").await;
        assert_eq!(decision["answer"], "allowed");
        assert_eq!(decision["would_reject"], true);
        let annotations = self.cluster.audit_event("i-audit", "web").await["annotations"].clone();
        assert_eq!(annotations[format!("{PLUGIN}/would-reject")], "images/plugin-audit", "{annotations}");
        assert_eq!(annotations[format!("{PLUGIN}/decision")], decision["id"], "{annotations}");
    }

    async fn image_policy_in_enforce(&self) {
        let printed = self.cluster.create(&pod("i-enforce", "web", "nginx"));
        assert!(!printed.success);
        let said = "pods \"web\" is forbidden: image policy webhook backend denied one or more images: \
                    images/plugin-enforce: nginx is not pinned";
        assert!(printed.stderr.contains(said), "{}", printed.stderr);
        assert!(printed.stderr.contains("Pin a version."), "the rule's help: {}", printed.stderr);
        let decision = self.decision("plugin", "i-enforce").await;
        assert_eq!((&decision["answer"], &decision["would_reject"]), (&json!("denied"), &json!(false)));
    }

    async fn image_policy_denied_by_the_backend(&self) {
        let printed = self.cluster.create(&pod("i-denied", "web", "nginx:1.25"));
        assert!(!printed.success);
        let said = "image policy webhook backend denied one or more images: Images using latest tag are not allowed\n";
        assert!(printed.stderr.ends_with(said), "the backend's words and nothing else: {}", printed.stderr);
    }

    async fn image_policy_with_a_broken_backend(&self) {
        let printed = self.cluster.create(&pod("i-broken", "web", "nginx:1.25"));
        assert!(!printed.success);
        let decision = self.decision("plugin", "i-broken").await;
        assert_eq!(decision["answer"], "failed");
        let id = decision["id"].as_str().expect("an id");
        assert!(printed.stderr.contains("bouncer") && printed.stderr.contains(id), "{}", printed.stderr);
    }

    async fn validating_in_audit(&self) {
        let printed = self.cluster.create(&pod("v-audit", "web", "nginx"));
        assert_eq!((printed.stdout.as_str(), printed.stderr.as_str()), ("pod/web created\n", ""));
        let decision = self.decision("admission", "v-audit").await;
        assert_eq!(decision["would_reject"], true);
        assert_eq!(decision["user"], "lab-admin");
        let annotations = self.cluster.audit_event("v-audit", "web").await["annotations"].clone();
        assert_eq!(annotations[format!("{WEBHOOK}/would-reject")], "images/no-latest", "{annotations}");
        assert_eq!(annotations[format!("{WEBHOOK}/decision")], decision["id"], "{annotations}");
    }

    async fn validating_in_warn(&self) {
        let printed = self.cluster.create(&pod("v-warn", "web", "nginx"));
        assert_eq!(printed.stdout, "pod/web created\n");
        let said = "Warning: would be rejected by images/no-latest-soon: nginx uses the tag latest\n";
        assert_eq!(printed.stderr, said);
    }

    async fn validating_in_enforce(&self) {
        let printed = self.cluster.create(&pod("v-enforce", "web", "nginx"));
        assert!(!printed.success);
        let said = format!(
            "admission webhook \"{WEBHOOK}\" denied the request: images/no-latest-now: nginx uses the tag latest"
        );
        assert!(printed.stderr.contains(&said), "{}", printed.stderr);
        assert!(printed.stderr.contains("(Forbidden)") || printed.stderr.contains("Forbidden"), "{}", printed.stderr);
    }

    async fn validating_denied_by_the_backend(&self) {
        let printed = self.cluster.create(&pod("v-denied", "web", "nginx"));
        assert!(!printed.success);
        assert!(printed.stderr.contains("denied the request: not from this kitchen\n"), "{}", printed.stderr);
        assert!(printed.stderr.contains("Warning: the kitchen closes at ten\n"), "{}", printed.stderr);
        let event = self.cluster.audit_event("v-denied", "web").await;
        assert_eq!(event["responseStatus"]["code"], 418, "the backend's own code: {event}");
        assert_eq!(event["annotations"][format!("{WEBHOOK}/kitchen")], "closed", "{event}");
    }

    async fn validating_with_a_broken_backend(&self) {
        let printed = self.cluster.create(&pod("v-broken", "web", "nginx:1.25"));
        assert!(!printed.success);
        let decision = self.decision("admission", "v-broken").await;
        let id = decision["id"].as_str().expect("an id");
        assert!(printed.stderr.contains("gate") && printed.stderr.contains(id), "{}", printed.stderr);
        assert!(!printed.stderr.contains("currently unable to handle"), "a Status body: {}", printed.stderr);
    }

    async fn a_deployment_and_a_dry_run(&self) {
        let create = ["create", "deployment", "api", "--image=nginx", "-n", "v-warn"];
        let printed = self.cluster.kubectl(&create);
        assert!(printed.success && printed.stderr.contains("images/no-latest-soon"), "{printed:?}");
        let dry = ["create", "deployment", "dry", "--image=nginx", "-n", "v-warn", "--dry-run=server"];
        assert!(self.cluster.kubectl(&dry).success);
        let decisions = self.rehearsal.decisions("cluster=admission&namespace=v-warn", 3).await;
        let seen: Vec<_> =
            decisions.iter().map(|d| (d["kind"].as_str().expect("a kind"), d["dry_run"] == json!(true))).collect();
        assert_eq!(seen, [("Deployment", true), ("Deployment", false), ("Pod", false)], "newest first");
    }

    /// What `deploy/kubernetes` asks for is what a real API server takes.
    fn the_manifests_are_valid(&self) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rehearsal"}});
        self.cluster.apply(&namespace);
        for (file, objects) in [("rehearsal.yaml", 4), ("webhook.yaml", 1)] {
            let path = harness::repository().join("deploy/kubernetes").join(file);
            let text = std::fs::read_to_string(&path).expect("the manifest");
            let ca = base64(&self.rehearsal.ca_pem());
            let printed = self.cluster.create_dry(&text.replace("${CA_BUNDLE}", &ca));
            assert!(printed.success && printed.stderr.is_empty(), "{file}: {printed:?}");
            assert_eq!(printed.stdout.lines().count(), objects, "{file}: {}", printed.stdout);
        }
    }
}
