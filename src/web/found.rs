//! Names that hold a text, each offered as a filter of the list that is shown.

use super::address::Address;
use super::place::Place;
use super::sentence;
use crate::store::read::{Few, Names};

#[derive(Debug)]
pub struct FoundNames {
    pub kinds: Vec<FoundKind>,
}

/// Names of one kind.
#[derive(Debug)]
pub struct FoundKind {
    pub heading: &'static str,
    pub names: Vec<FoundName>,
    pub is_more: bool,
}

#[derive(Debug)]
pub struct FoundName {
    pub name: String,
    /// Where it is, in a word.
    pub place: String,
    /// The list of it.
    pub href: Address,
}

// === impl FoundNames ===

impl FoundNames {
    /// `list` with its other filters.
    pub fn of(names: Names, list: &Address) -> Self {
        let alone = |filter: &'static str| {
            move |name: String| FoundName { href: list.clone().with(filter, &name), name, place: String::new() }
        };
        let kinds = [
            FoundKind::of("Namespaces", names.namespaces, |(cluster, namespace)| FoundName {
                href: Place::of(&cluster, &namespace).list(list),
                name: namespace,
                place: cluster,
            }),
            FoundKind::of("Workloads", names.workloads, |(cluster, namespace, workload)| {
                let workload = sentence::workload(&workload);
                FoundName {
                    href: Place::of(&cluster, &namespace).list(list).with("workload", &workload),
                    name: workload,
                    place: format!("{cluster} / {namespace}"),
                }
            }),
            FoundKind::of("Images, any tag", names.repositories, alone("repository")),
            FoundKind::of("Images as written", names.images, alone("image")),
            FoundKind::of("Users", names.users, alone("user")),
            FoundKind::of("Rules", names.rules, |(policy, rule)| FoundName {
                href: list.clone().with("policy", &policy).with("rule", &rule),
                name: rule,
                place: policy,
            }),
        ];
        Self { kinds: kinds.into_iter().filter(|kind| !kind.names.is_empty()).collect() }
    }
}

// === impl FoundKind ===

impl FoundKind {
    fn of<N>(heading: &'static str, few: Few<N>, name: impl Fn(N) -> FoundName) -> Self {
        Self { heading, names: few.names.into_iter().map(name).collect(), is_more: few.is_more }
    }
}
