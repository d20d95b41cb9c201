//! What the newest inventories add to a census: who runs, and what would become of its next pod.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::database::Database;
use super::error::StoreError;
use super::inventory::read::{Stored, clusters, of_cluster};
use super::inventory::{Account, Contents, Coverage, Judged};
use super::read::Scope;
use super::sql::Sql;
use crate::policy::readiness::evidence::{Fault, Known, Place, Running, SaidOfRunning};
use crate::review::clock::Timestamp;
use crate::review::decision::{Verdict, Violation};
use crate::review::workload::Workload;

/// Of each cluster the newest inventory, where it is not older than `since`.
pub(super) async fn add(
    database: &Database,
    scope: &Scope,
    since: Timestamp,
    places: &mut Vec<Place>,
    known: &mut Vec<Known>,
) -> Result<(), StoreError> {
    let mut clusters = clusters(database, &scope.reach).await?;
    clusters.retain(|cluster| scope.cluster.as_ref().is_none_or(|wanted| wanted == cluster));
    if clusters.is_empty() {
        return Ok(());
    }
    let mut by_name: HashMap<(String, String), usize> = HashMap::new();
    for (at, place) in places.iter().enumerate() {
        by_name.insert((place.cluster.clone(), place.namespace.clone()), at);
    }
    let mut by_workload: HashMap<(usize, Workload), usize> =
        known.iter().enumerate().map(|(at, one)| ((one.place, one.workload.clone()), at)).collect();
    for cluster in clusters {
        let newest = of_cluster(database, &cluster, 1).await?.pop();
        let Some(inventory) = newest.filter(|one| one.at >= since) else { continue };
        for (namespace, running) in read(database, scope, &inventory).await? {
            if !scope.reach.covers(&cluster, &namespace) {
                continue;
            }
            let name = (cluster.clone(), namespace);
            let place = *by_name.entry(name).or_insert_with_key(|(cluster, namespace)| {
                places.push(Place { cluster: cluster.clone(), namespace: namespace.clone(), recorded: None });
                places.len() - 1
            });
            for (workload, running) in running {
                // For who sends ImageReviews it is known as the pods that run its repositories.
                let pods = (place, Workload::running_texts(running.images.iter().map(String::as_str)));
                let own = (place, workload);
                let name = if !by_workload.contains_key(&own) && by_workload.contains_key(&pods) { pods } else { own };
                let at = *by_workload.entry(name).or_insert_with_key(|(place, workload)| {
                    known.push(Known {
                        place: *place,
                        workload: workload.clone(),
                        id: None,
                        reviewed_at: None,
                        running: None,
                    });
                    known.len() - 1
                });
                // Of several that share that name, the one that fares worst.
                let is_worse = |other: &Arc<Running>| running.faults() > other.faults();
                if known[at].running.as_ref().is_none_or(is_worse) {
                    known[at].running = Some(Arc::new(running));
                }
            }
        }
        let coverage = &inventory.account.coverage;
        let of_it = places.iter_mut().filter(|place| place.cluster == cluster && covers(coverage, &place.namespace));
        of_it.for_each(|place| place.recorded = Some(inventory.at));
    }
    Ok(())
}

/// Whether it is of all that ran in a namespace.
fn covers(coverage: &Coverage, namespace: &str) -> bool {
    let is_only = coverage.only_namespace.as_deref() == Some(namespace);
    coverage.is_whole() || (is_only && coverage.cut_lists == 0 && coverage.unread_pods == 0)
}

/// By namespace.
async fn read(
    database: &Database,
    scope: &Scope,
    inventory: &Stored,
) -> Result<BTreeMap<String, Vec<(Workload, Running)>>, StoreError> {
    let mut sql = Sql::new("SELECT namespace, contents FROM inventory_workloads WHERE inventory = ");
    sql.bind(inventory.id);
    if let Some(namespace) = &scope.namespace {
        sql.push(" AND namespace = ").bind(namespace.as_str());
    }
    let mut found: BTreeMap<String, Vec<(Workload, Running)>> = BTreeMap::new();
    for mut row in database.fetch(sql).await? {
        let contents: Contents = serde_json::from_str(&row.text(1)?)?;
        let running = running(&contents, inventory.at, &inventory.account);
        found.entry(row.text(0)?).or_default().push((contents.workload, running));
    }
    Ok(found)
}

fn running(contents: &Contents, at: Timestamp, account: &Account) -> Running {
    let said = |judged: &Judged| {
        let version = account.policies.iter().find(|(policy, _)| *policy == judged.policy)?.1.clone();
        let judges = matches!(judged.verdict, Verdict::Allow | Verdict::Deny);
        let violations = judged.violations.iter().map(|found| fault(&found.violation)).collect();
        judges.then(|| SaidOfRunning { policy: judged.policy.clone(), version, violations })
    };
    Running {
        at,
        images: contents.images.iter().map(|image| image.text.clone()).collect(),
        said: contents.verdicts.iter().filter_map(said).collect(),
    }
}

pub(super) fn fault(violation: &Violation) -> Fault {
    Fault {
        rule: violation.rule.clone(),
        image: violation.image.clone(),
        container: violation.container.clone(),
        message: violation.message.clone(),
        help: violation.help.clone(),
    }
}
