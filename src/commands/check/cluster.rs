//! As which cluster is judged, and whose inventory it is.

use crate::config::Config;
use crate::review::decision::UNDECLARED;

use super::CheckArgs;

/// Of `--cluster`, else of the configuration. An inventory is of a cluster that is known by name: nothing in it could be
/// looked up otherwise.
pub fn named(args: &CheckArgs, config: &Config) -> Result<String, String> {
    let declared: Vec<&str> = config.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    match &args.cluster {
        Some(cluster) if args.record => known(cluster, &declared).map(|()| cluster.clone()),
        Some(cluster) => Ok(cluster.clone()),
        None if args.record => of_configuration(config, &declared),
        None => Ok(config.cluster.clone()),
    }
}

fn known(cluster: &str, declared: &[&str]) -> Result<(), String> {
    let is_declared = declared.is_empty() || declared.contains(&cluster);
    if cluster == UNDECLARED {
        Err(format!(
            "--cluster {cluster} is the name of what comes from senders that are not declared: give the cluster's own"
        ))
    } else if !crate::config::is_label(cluster) {
        Err(format!("--cluster {cluster:?} is not a DNS label: no review comes of a cluster of that name"))
    } else if !is_declared {
        Err(format!("--cluster {cluster} is none of `clusters` in the configuration: {}", declared.join(", ")))
    } else {
        Ok(())
    }
}

fn of_configuration(config: &Config, declared: &[&str]) -> Result<String, String> {
    match declared {
        [only] => Ok((*only).to_owned()),
        [] if config.names_cluster() => Ok(config.cluster.clone()),
        [] => {
            Err("--record needs the name of the cluster: give --cluster NAME, or `cluster` in the configuration"
                .to_owned())
        }
        several => {
            Err(format!("--record needs the name of the cluster: give --cluster with one of {}", several.join(", ")))
        }
    }
}
