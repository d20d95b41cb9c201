//! The meaning of what is written about the clusters that send reviews.

use crate::review::decision::UNDECLARED;
use crate::server::settings::{ClusterSettings, TlsSettings};

use super::files::Purpose;
use super::form::Written;
use super::meaning::Ground;
use super::mistake::Wrong;
use super::written::Cluster;

pub fn of(clusters: Option<Vec<Cluster>>, tls: &TlsSettings, ground: &mut Ground<'_>) -> Vec<ClusterSettings> {
    let mut declared: Vec<ClusterSettings> = Vec::new();
    for (at, written) in clusters.unwrap_or_default().into_iter().enumerate() {
        let path = format!("clusters[{at}]");
        let Some(cluster) = cluster(written, &path, tls, ground) else { continue };
        apart(&cluster, &declared, &path, ground);
        declared.push(cluster);
    }
    declared
}

/// `None` where the name is a mistake already.
fn cluster(written: Cluster, path: &str, tls: &TlsSettings, ground: &mut Ground<'_>) -> Option<ClusterSettings> {
    let [subject_field, file_field] = ["client_subject", "path_token_file"].map(|name| format!("{path}.{name}"));
    let is_proven = [&subject_field, &file_field].into_iter().any(|field| ground.tree.at(field).is_some());
    if !is_proven {
        let fix = "add `client_subject: SUBJECT` of its client certificate, or `path_token_file: FILE`";
        ground.wrong(path, Wrong::new("nothing proves that a review comes from this cluster", fix));
    }
    let client_subject = written.client_subject.map(|subject| subject.0);
    let asks_for_certificates = ground.tree.at("webhook.tls.client_ca").is_some()
        || matches!(
            tls,
            TlsSettings::Files { client_ca: Some(_), .. } | TlsSettings::SelfMade { client_ca: Some(_), .. }
        );
    if client_subject.is_some() && !asks_for_certificates {
        let wrong = Wrong::new(
            "nobody is asked for a client certificate",
            "give the CA of the API server's client certificate as `webhook.tls.client_ca`, or use `path_token_file`",
        );
        ground.wrong(&subject_field, wrong);
    }
    let path_token_file = written.path_token_file.map(|file| ground.file(&file_field, &file, Purpose::PathTokens));
    let Written(name) = written.name?;
    unreserved(&name.0, &format!("{path}.name"), ground);
    Some(ClusterSettings { name: name.0, client_subject, path_token_file })
}

/// A cluster's name that is not the one of what is declared by nobody.
pub fn unreserved(name: &str, field: &str, ground: &mut Ground<'_>) {
    if name == UNDECLARED {
        let wrong = Wrong::new(
            format!("{UNDECLARED} is the name of what comes from senders that are not declared"),
            "write another name",
        );
        ground.wrong(field, wrong);
    }
}

/// Two clusters that one name or one proof is of could not be told apart.
fn apart(cluster: &ClusterSettings, before: &[ClusterSettings], path: &str, ground: &mut Ground<'_>) {
    let mut same = |field: &str, is_same: &dyn Fn(&ClusterSettings) -> bool| {
        if let Some(other) = before.iter().position(is_same) {
            let wrong = Wrong::new(format!("clusters[{other}] has the same"), "give each cluster its own");
            ground.wrong(&format!("{path}.{field}"), wrong);
        }
    };
    same("name", &|other| other.name == cluster.name);
    same("client_subject", &|other| cluster.client_subject.is_some() && other.client_subject == cluster.client_subject);
    same("path_token_file", &|other| {
        cluster.path_token_file.is_some() && other.path_token_file == cluster.path_token_file
    });
}
