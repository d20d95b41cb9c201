//! What is said of inventories, on pages and by the command that records them.

use super::error::WebError;
use super::filters::count;
use super::query::Parameters;
use crate::store::Store;
use crate::store::inventory::read::Stored;
use crate::store::inventory::{Account, Contents, Coverage, Figures, Found, Outlook};
use crate::store::reach::Reach;

/// What runs, and what of it is not in the inventory; one sentence each.
pub fn of_inventory(account: &Account) -> Vec<String> {
    let Figures { pods, namespaces, workloads, .. } = account.figures;
    let (workloads, pods, namespaces) =
        (count(workloads, "workload"), count(pods, "pod"), count(namespaces, "namespace"));
    let mut sentences = vec![format!("What runs is {workloads} of {pods}, in {namespaces}.")];
    sentences.extend(of_coverage(&account.coverage));
    if !account.webhooks.is_empty() {
        sentences.push(format!("Webhooks were not asked: {}.", account.webhooks.join(", ")));
    }
    sentences
}

/// What is not in it; one sentence each.
pub fn of_coverage(coverage: &Coverage) -> Vec<String> {
    let mut sentences = Vec::new();
    if coverage.cut_lists > 0 {
        let lacks = coverage.missing.map_or_else(
            || "nobody knows how much is missing".to_owned(),
            |missing| format!("{} missing", count(missing, "object")),
        );
        sentences.push(format!(
            "It is a part: the API server cut {} of the input, {lacks}.",
            count(coverage.cut_lists, "list")
        ));
    }
    if coverage.namespaces == 0 {
        sentences.push(
            "No namespaces were in the input: their labels are not known, nor whether all of them are covered."
                .to_owned(),
        );
    }
    if let Some(only) = &coverage.only_namespace {
        sentences.push(format!("All pods are of the namespace {only}: of what runs in others it says nothing."));
    }
    if coverage.unread_pods > 0 {
        sentences.push(format!("It is a part: {} could not be read.", count(coverage.unread_pods, "pod")));
    }
    if coverage.done_pods > 0 {
        let pods = count(coverage.done_pods, "pod");
        sentences.push(format!("Left out as done, succeeded or failed: {pods}."));
    }
    if !coverage.others.is_empty() {
        let others: Vec<String> = coverage.others.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
        sentences.push(format!("Left out as neither namespaces nor pods: {}.", others.join(", ")));
    }
    sentences
}

/// What comes of the next pods of so many workloads.
pub fn of_outlook(outlook: Outlook, number: u64) -> String {
    let workloads = count(number, "workload");
    match outlook {
        Outlook::Refused => format!("{workloads} would be refused when a pod is next made (drain, eviction, scale-up)"),
        Outlook::Unjudged => format!("{workloads} could not be judged"),
        Outlook::Warned => format!("{workloads} would be let in with a warning"),
        Outlook::Audited => format!("{workloads} would be let in, and only recorded"),
        Outlook::Exempted => format!("{workloads} would be let in by an exemption or a ticket"),
        Outlook::Clear => format!("{workloads} with nothing against them"),
    }
}

pub fn of_unreviewed(number: u64) -> String {
    format!("{} had no review since a policy was loaded as it is", count(number, "workload"))
}

/// What makes the outlook of a workload, a line for each: policy and rule, and what they say.
pub fn against(contents: &Contents, outlook: Outlook) -> Vec<(String, String)> {
    let mut against = Vec::new();
    for judged in &contents.verdicts {
        let own = judged.violations.iter().filter(|found| Outlook::from(&found.violation) == outlook);
        let rule = |found: &Found| format!("{}/{}", judged.policy, found.violation.rule);
        against.extend(own.map(|found| (rule(found), said(found, contents.pods))));
        if outlook == Outlook::Unjudged {
            against.extend(judged.error.iter().map(|error| (judged.policy.clone(), error.clone())));
        }
    }
    against
}

/// Of so many pods.
fn said(found: &Found, pods: u64) -> String {
    let message = &found.violation.message;
    if found.pods < pods { format!("{message} ({} of {pods})", count(found.pods, "pod")) } else { message.clone() }
}

/// What selects an inventory, and workloads of it.
pub const PARAMETERS: [&str; 5] = ["cluster", "id", "namespace", "outlook", "unreviewed"];

/// The inventory that is asked for, among those that there are.
#[derive(Debug)]
pub struct Selected {
    /// That have one, in alphabetical order.
    pub clusters: Vec<String>,
    /// The one that is asked for, else the first; `None`: there is no inventory at all.
    pub cluster: Option<String>,
    /// Of that cluster, newest first.
    pub kept: Vec<Stored>,
    /// `None`: the cluster has none.
    pub selected: Option<Stored>,
}

// === impl Selected ===

impl Selected {
    pub async fn of(store: &Store, parameters: &Parameters, reach: &Reach) -> Result<Self, WebError> {
        let clusters = store.inventoried_clusters(reach).await?;
        let cluster = parameters.text("cluster").map(str::to_owned).or_else(|| clusters.first().cloned());
        let kept = match &cluster {
            Some(cluster) => store.inventories(cluster, reach).await?,
            None => Vec::new(),
        };
        let selected = match parameters.number("id", "the number of an inventory")? {
            None => kept.first(),
            Some(id) => {
                let found = kept.iter().find(|stored| stored.id == id);
                let missing =
                    || WebError::NoSuchInventory(format!("{id} of {}", cluster.as_deref().unwrap_or_default()));
                Some(found.ok_or_else(missing)?)
            }
        };
        Ok(Self { selected: selected.cloned(), clusters, cluster, kept })
    }
}
