//! The files under `deploy/` and for containers, held against the real command line and configuration.

mod harness;

use harness::http::time;
use harness::{Rehearsal, repository, run};
use serde_json::{Value, json};

fn documents(file: &str) -> Vec<Value> {
    let path = repository().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let parse = |part: &str| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.split("\n---\n").map(parse).collect()
}

fn of_kind(documents: &[Value], kind: &str) -> Value {
    documents.iter().find(|document| document["kind"] == kind).unwrap_or_else(|| panic!("no {kind}")).clone()
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|word| word.as_str().expect("text")).collect()
}

/// Every flag of `serve` in `arguments` exists.
fn assert_arguments(arguments: &[&str]) {
    assert_eq!(arguments[0], "serve");
    let help = run(&repository(), &["serve", "--help"]);
    for flag in arguments.iter().filter(|word| word.starts_with("--")) {
        assert!(help.stdout.contains(flag), "{flag}: {}", help.stdout);
    }
}

/// What `config check` says of `text`, with the certificates that it names in place.
fn assert_configuration(text: &str) {
    let dir = tempfile::tempdir().expect("a directory");
    let made = run(dir.path(), &["certs", "--dns", "localhost", "--client", "c", "--out", "certs"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let certs = dir.path().join("certs");
    std::fs::write(dir.path().join("postgres-password"), "secret\n").expect("writable");
    let text = text.replace("/etc/rehearsal-tls", certs.to_str().expect("UTF-8"));
    let text = text.replace("/run/secrets", dir.path().to_str().expect("UTF-8"));
    std::fs::write(dir.path().join("rehearsal.yaml"), text).expect("writable");
    let check = run(dir.path(), &["config", "check", "rehearsal.yaml"]);
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
}

#[test]
fn compose_publishes_on_loopback_and_starts_what_exists() {
    let compose = documents("docker-compose.yml").remove(0);
    let mut published = Vec::new();
    for name in ["rehearsal", "replica"] {
        let service = &compose["services"][name];
        assert_arguments(&words(&service["command"]));
        published.extend(words(&service["ports"]));
        assert_eq!((&service["read_only"], &service["cap_drop"]), (&json!(true), &json!(["ALL"])), "{name}");
        assert_eq!(service["depends_on"]["postgres"]["condition"], "service_healthy", "{name}");
        let volumes = words(&service["volumes"]);
        let config = volumes.iter().find_map(|volume| volume.strip_prefix("./")).expect("a file");
        let (file, mounted) = config.split_once(':').expect("a target");
        assert!(mounted.starts_with("/etc/rehearsal/rehearsal.yaml"), "{mounted}");
        assert_configuration(&std::fs::read_to_string(repository().join(file)).expect("the configuration"));
        let check = words(&service["healthcheck"]["test"]);
        assert_eq!(check[..3], ["CMD", "/usr/local/bin/rehearsal", "ready"]);
        let refused = run(&repository(), &["ready", "http://127.0.0.1:1"]);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    }
    assert!(published.iter().all(|port| port.starts_with("127.0.0.1:")), "{published:?}");
    published.sort();
    published.dedup();
    assert_eq!(published.len(), 4, "no port twice: {published:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_health_check_has_the_exit_code_of_readiness() {
    let rehearsal = Rehearsal::builder().start().await;
    let ready = run(rehearsal.dir(), &["ready", rehearsal.report_url()]);
    assert_eq!((ready.code, ready.stderr.as_str()), (Some(0), ""));
    let said: Value = serde_json::from_str(&ready.stdout).expect("JSON");
    let now = rehearsal.get("/readyz").await.json();
    for part in ["ready", "degraded", "behind"] {
        assert_eq!(said[part], now[part], "{said}");
    }
    assert!(time(&said["complete_until"]) <= time(&now["complete_until"]), "{said}");
    // The webhook's listener speaks another protocol.
    let other = run(rehearsal.dir(), &["ready", &rehearsal.webhook_url().replace("https", "http")]);
    assert_eq!((other.code, other.stdout.as_str()), (Some(1), ""), "{}", other.stderr);
    let mistaken = run(rehearsal.dir(), &["ready", "https://127.0.0.1:1"]);
    assert_eq!(mistaken.code, Some(1));
    assert!(mistaken.stderr.contains("write http://HOST:PORT"), "{}", mistaken.stderr);
}

#[test]
fn in_compose_each_replica_has_its_own_journal_and_all_have_one_history() {
    let compose = documents("docker-compose.yml").remove(0);
    let service = |name: &str| compose["services"][name].clone();
    let mounted = |name: &str, at: &str| {
        let volumes = service(name)["volumes"].clone();
        let found = words(&volumes).into_iter().find_map(|volume| volume.strip_suffix(&format!(":{at}")));
        found.unwrap_or_else(|| panic!("{name} has nothing at {at}")).to_owned()
    };
    assert_ne!(mounted("rehearsal", "/var/lib/rehearsal"), mounted("replica", "/var/lib/rehearsal"));
    let socket = "/var/run/postgresql";
    assert_eq!(mounted("rehearsal", socket), mounted("postgres", socket));
    assert_eq!(mounted("replica", socket), mounted("postgres", socket));
    assert_eq!(service("replica")["profiles"], json!(["replicas"]));
    assert_eq!(service("rehearsal")["profiles"], Value::Null);
    for name in ["postgres", "rehearsal", "replica"] {
        assert_eq!(words(&service(name)["secrets"]), ["postgres-password"], "{name}");
        assert!(service(name)["healthcheck"]["test"].is_array(), "{name}");
        for volume in words(&service(name)["volumes"]).into_iter().filter(|volume| !volume.starts_with('.')) {
            let volume = volume.split(':').next().expect("a name");
            assert!(compose["volumes"].get(volume).is_some(), "{volume}");
        }
    }
    // The password is in a folder that is never committed and closed to others, and nowhere else.
    let file = compose["secrets"]["postgres-password"]["file"].as_str().expect("a file").trim_start_matches("./");
    let (folder, _) = file.rsplit_once('/').expect("a folder");
    let ignored = std::fs::read_to_string(repository().join(".gitignore")).expect("the file");
    assert!(ignored.lines().any(|line| line.trim_matches('/') == folder), "{folder}");
    let text = std::fs::read_to_string(repository().join("docker-compose.yml")).expect("the file");
    assert!(text.contains(&format!("#   mkdir -m 700 {folder} && ")), "{folder}");
    let environment = service("postgres")["environment"].clone();
    assert_eq!(environment["POSTGRES_PASSWORD_FILE"], "/run/secrets/postgres-password");
    assert_eq!(environment["POSTGRES_PASSWORD"], Value::Null);
    assert_eq!(service("postgres")["ports"], Value::Null);
}

#[test]
fn the_dockerfile_copies_what_the_build_reads_and_runs_without_root() {
    let dockerfile = std::fs::read_to_string(repository().join("Dockerfile")).expect("the file");
    let ignored = std::fs::read_to_string(repository().join(".dockerignore")).expect("the file");
    let let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for needed in ["Cargo.toml", "Cargo.lock", "build.rs", "src", "migrations", "templates"] {
        assert!(let_in.contains(&needed), "{needed} stays outside");
    }
    for name in let_in {
        assert!(repository().join(name).exists(), "{name}");
    }
    assert!(dockerfile.contains("\nUSER 65532:65532\n"));
    let command = dockerfile.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a command");
    assert_arguments(&words(&serde_json::from_str(command).expect("an exec form")));
}

#[test]
fn the_stateful_set_is_given_a_configuration_that_works() {
    let documents = documents("deploy/kubernetes/rehearsal.yaml");
    let pod = of_kind(&documents, "StatefulSet")["spec"]["template"]["spec"].clone();
    let container = &pod["containers"][0];
    assert_arguments(&words(&container["args"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(pod["automountServiceAccountToken"], false, "it holds no cluster credentials");
    let configuration = of_kind(&documents, "ConfigMap")["data"]["rehearsal.yaml"].clone();
    assert_configuration(configuration.as_str().expect("text"));
}

#[test]
fn the_webhook_leaves_the_system_and_itself_alone() {
    let webhook = documents("deploy/kubernetes/webhook.yaml").remove(0)["webhooks"][0].clone();
    assert_eq!(webhook["failurePolicy"], "Ignore");
    let excluded = &webhook["namespaceSelector"]["matchExpressions"][0];
    assert_eq!(excluded["key"], "kubernetes.io/metadata.name");
    assert_eq!(excluded["operator"], "NotIn");
    assert_eq!(words(&excluded["values"]), ["kube-system", "rehearsal"]);
    let service = of_kind(&documents("deploy/kubernetes/rehearsal.yaml"), "Service");
    let target = &webhook["clientConfig"]["service"];
    assert_eq!(
        (&target["name"], &target["namespace"]),
        (&service["metadata"]["name"], &service["metadata"]["namespace"])
    );
}

/// The YAML of docs/inventory.md.
fn inventory_job() -> String {
    let text = std::fs::read_to_string(repository().join("docs/inventory.md")).expect("the page");
    let (_, text) = text.split_once("```yaml\n").expect("a block of YAML");
    text.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_nightly_inventory_may_list_namespaces_and_pods_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = inventory_job();
    std::fs::write(dir.path().join("job.yaml"), &text).expect("writable");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let kinds: Vec<&str> = documents.iter().map(|one| one["kind"].as_str().expect("a kind")).collect();
    assert_eq!(kinds, ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "CronJob"]);
    let role = of_kind(&documents, "ClusterRole");
    let rules = json!([{"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["list"]}]);
    assert_eq!(role["rules"], rules);
    let binding = of_kind(&documents, "ClusterRoleBinding");
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    let account = of_kind(&documents, "ServiceAccount");
    assert_eq!(binding["subjects"][0]["name"], account["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["namespace"], account["metadata"]["namespace"]);

    let pod = of_kind(&documents, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"].clone();
    assert_eq!(
        (&pod["serviceAccountName"], &pod["automountServiceAccountToken"]),
        (&account["metadata"]["name"], &json!(false))
    );
    let (list, record) = (&pod["initContainers"][0], &pod["containers"][0]);
    let mounts = |container: &Value| -> Vec<String> {
        let mounts = container["volumeMounts"].as_array().expect("a list").iter();
        mounts.map(|mount| mount["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert!(mounts(list).contains(&"token".to_owned()) && !mounts(record).contains(&"token".to_owned()));
    let volumes: Vec<&str> =
        pod["volumes"].as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name")).collect();
    for container in [list, record] {
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        assert!(mounts(container).iter().all(|mount| volumes.contains(&mount.as_str())), "{container}");
    }

    // The arguments are those of a command that there is, over what the other container writes.
    let arguments = words(&record["args"]);
    assert_eq!(arguments[..2], ["check", "--record"]);
    let written = words(&list["command"])[2].rsplit_once('>').expect("a file").1;
    assert_eq!(arguments.last(), Some(&written));
    std::fs::write(dir.path().join("rehearsal.yaml"), JUDGING).expect("writable");
    let input = dir.path().join("cluster.json");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
    std::fs::write(&input, json!({"apiVersion": "v1", "kind": "List", "items": [namespace]}).to_string())
        .expect("writable");
    assert_eq!(run(dir.path(), &["migrate", "--config", "rehearsal.yaml"]).code, Some(0));
    let here = |argument: &&str| match *argument {
        last if last == written => "cluster.json".to_owned(),
        other => other.replace("/etc/rehearsal/", ""),
    };
    let arguments: Vec<String> = arguments.iter().map(here).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let recorded = run(dir.path(), &arguments);
    assert_eq!(recorded.code, Some(0), "{}", recorded.stderr);
    assert!(recorded.stdout.contains("inventory 1 of prod-eu"), "{}", recorded.stdout);

    // As any manifest, judged by our own.
    let judged = run(dir.path(), &["check", "-c", "rehearsal.yaml", "job.yaml"]);
    assert_eq!((judged.code, judged.stdout.as_str()), (Some(0), "4 objects, 0 violations\n"), "{}", judged.stderr);
    let latest = text.replace("/rehearsal:0.1.0", "/rehearsal");
    std::fs::write(dir.path().join("job.yaml"), latest).expect("writable");
    let judged = run(dir.path(), &["check", "-c", "rehearsal.yaml", "job.yaml"]);
    assert_eq!(judged.code, Some(1), "{}", judged.stdout);
}

const JUDGING: &str = "policies: [{name: images, mode: enforce, rules: [{id: no-latest, deny: {tag: latest}}]}]";
