//! What runs, gathered pod by pod into workloads.

use std::collections::{BTreeMap, HashMap};

use crate::policy::Revision;
use crate::policy::revision::{Policy, Source};
use crate::review::clock::Timestamp;
use crate::review::decision::{PolicyVerdict, Verdict, Violation};
use crate::review::workload::Workload;
use crate::store::inventory::last_review::LastReview;
use crate::store::inventory::{
    Account, Contents, Coverage, Figures, Found, Inventory, Judged, Namespace, Running, RunningImage,
};

use super::input::Cut;
use super::judged::Heard;
use super::observed;
use super::subject::Subject;

/// Images, and violations of a policy, that are kept of one workload.
const MOST: usize = 100;

/// Gathers; memory grows with workloads, and not with pods.
#[derive(Debug, Default)]
pub struct Gathered {
    workloads: BTreeMap<(String, Workload), Pods>,
    namespaces: BTreeMap<String, Namespace>,
    coverage: Coverage,
}

/// What the pods of a workload have in common.
#[derive(Debug, Default)]
struct Pods {
    number: u64,
    images: Vec<RunningImage>,
    more_images: bool,
    verdicts: Vec<Judged>,
    /// The pods as an ImageReview names them.
    running: Option<Workload>,
}

/// What an inventory was gathered from and judged by.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub cluster: &'a str,
    pub at: Timestamp,
    pub revision: &'a Revision,
}

// === impl Gathered ===

impl Gathered {
    /// One that cannot be read is not `heard`.
    pub fn miss(&mut self, subject: &Subject) {
        if is_core(subject, "Pod") {
            self.coverage.unread_pods += 1;
        } else {
            *self.coverage.others.entry(subject.kind.clone()).or_default() += 1;
        }
    }

    pub fn add(&mut self, subject: &Subject, heard: &Heard<'_>) {
        let request = heard.document.root().member("request");
        let object = request.and_then(|request| request.member("object"));
        let Some(object) = object.filter(|_| is_core(subject, "Pod") || is_core(subject, "Namespace")) else {
            *self.coverage.others.entry(subject.kind.clone()).or_default() += 1;
            return;
        };
        if subject.kind == "Namespace" {
            let name = heard.review.name.clone().unwrap_or_default();
            self.coverage.namespaces += 1;
            self.namespace(&name).labels = Some(observed::labels(object));
        } else if observed::is_done(object) {
            self.coverage.done_pods += 1;
        } else {
            let namespace = heard.review.record.namespace.clone().unwrap_or_default();
            self.namespace(&namespace).pods += 1;
            let workload = heard.review.record.workload.clone();
            let pods = self.workloads.entry((namespace, workload)).or_default();
            pods.add(observed::images(object, heard.review), heard);
        }
    }

    fn namespace(&mut self, name: &str) -> &mut Namespace {
        let new = || Namespace { name: name.to_owned(), pods: 0, labels: None };
        self.namespaces.entry(name.to_owned()).or_insert_with(new)
    }

    /// Neither a namespace nor a pod came.
    pub fn is_empty(&self) -> bool {
        let Coverage { namespaces, done_pods, unread_pods, .. } = &self.coverage;
        self.workloads.is_empty() && *namespaces == 0 && *done_pods == 0 && *unread_pods == 0
    }

    /// Names under which the history may know a workload: its own, and for who sends ImageReviews what its pods run. In the
    /// order of [`Self::inventory`].
    pub fn names(&self) -> Vec<(String, Workload)> {
        let named = |((namespace, workload), pods): (&(String, Workload), &Pods)| {
            let running = pods.running.clone().unwrap_or_else(|| workload.clone());
            [(namespace.clone(), workload.clone()), (namespace.clone(), running)]
        };
        self.workloads.iter().flat_map(named).collect()
    }

    /// `reviews` are of [`Self::names`].
    pub fn inventory(self, ground: Ground<'_>, cut: Cut, reviews: Vec<Option<LastReview>>) -> Inventory {
        let policies = versions(ground.revision);
        let versions: HashMap<&str, &str> =
            policies.iter().map(|(policy, version)| (policy.as_str(), version.as_str())).collect();
        let only_namespace = self.only_namespace();
        let mut figures = Figures { namespaces: self.namespaces.len() as u64, ..Figures::default() };
        let mut workloads = Vec::with_capacity(self.workloads.len());
        let mut reviews = reviews.into_iter();
        for ((namespace, workload), pods) in self.workloads {
            let of_both = [reviews.next().flatten(), reviews.next().flatten()];
            let last_review = of_both.into_iter().flatten().max_by_key(|review| review.at);
            let contents = pods.contents(workload, last_review, &versions);
            figures.add(&contents);
            workloads.push(Running { namespace, contents });
        }
        let account = Account {
            revision: ground.revision.id.clone(),
            webhooks: webhooks(ground.revision),
            policies,
            coverage: Coverage { only_namespace, cut_lists: cut.lists, missing: cut.missing, ..self.coverage },
            figures,
        };
        let namespaces = self.namespaces.into_values().collect();
        Inventory { cluster: ground.cluster.to_owned(), at: ground.at, account, workloads, namespaces }
    }

    /// That all pods are of, done ones aside.
    fn only_namespace(&self) -> Option<String> {
        let mut with_pods = self.namespaces.values().filter(|namespace| namespace.pods > 0);
        let only = with_pods.next()?;
        with_pods.next().is_none().then(|| only.name.clone())
    }
}

fn is_core(subject: &Subject, kind: &str) -> bool {
    !subject.is_review && subject.kind == kind
}

/// Names of those that are asked only by `serve`.
pub fn webhooks(revision: &Revision) -> Vec<String> {
    let webhooks = revision.policies.iter().filter(|policy| matches!(policy.source, Source::Webhook(_)));
    webhooks.map(|policy| policy.name.clone()).collect()
}

/// Local policies with their versions.
fn versions(revision: &Revision) -> Vec<(String, String)> {
    let version = |policy: &Policy| match &policy.source {
        Source::Rules(rules) => Some(rules.version().to_owned()),
        _ => policy.evaluated().map(|evaluated| evaluated.version().to_owned()),
    };
    revision.policies.iter().filter_map(|policy| Some((policy.name.clone(), version(policy)?))).collect()
}

// === impl Pods ===

impl Pods {
    fn add(&mut self, images: Vec<RunningImage>, heard: &Heard<'_>) {
        self.number += 1;
        self.running.get_or_insert_with(|| Workload::running(&heard.review.images));
        for image in images {
            if self.images.contains(&image) {
                continue;
            }
            if self.images.len() < MOST {
                self.images.push(image);
            } else {
                self.more_images = true;
            }
        }
        let (name, workload) = (heard.review.name.as_deref().unwrap_or_default(), &heard.review.record.workload);
        for verdict in heard.verdicts {
            match self.verdicts.iter_mut().find(|judged| judged.policy == verdict.policy) {
                Some(judged) => judge_more(judged, verdict, name, workload),
                None => {
                    let mut judged = Judged {
                        policy: verdict.policy.clone(),
                        verdict: Verdict::None,
                        violations: Vec::new(),
                        omitted: 0,
                        error: None,
                        reviewed: false,
                    };
                    judge_more(&mut judged, verdict, name, workload);
                    self.verdicts.push(judged);
                }
            }
        }
    }

    fn contents(
        mut self,
        workload: Workload,
        last_review: Option<LastReview>,
        versions: &HashMap<&str, &str>,
    ) -> Contents {
        for judged in &mut self.verdicts {
            let version = versions.get(judged.policy.as_str());
            judged.reviewed = last_review
                .as_ref()
                .zip(version)
                .is_some_and(|(review, version)| review.is_by(&judged.policy, version));
        }
        let Self { number, images, more_images, verdicts, .. } = self;
        Contents { workload, pods: number, images, more_images, verdicts, last_review }
    }
}

/// What one more pod got, whose name is `name`.
fn judge_more(judged: &mut Judged, verdict: &PolicyVerdict, name: &str, workload: &Workload) {
    if weight(verdict.verdict) > weight(judged.verdict) {
        judged.verdict = verdict.verdict;
    }
    judged.error = judged.error.take().or_else(|| verdict.error.clone());
    judged.omitted += u64::from(verdict.omitted);
    let mut of_pod: Vec<Violation> = Vec::new();
    for violation in &verdict.violations {
        let message = of_workload(&violation.message, name, workload);
        let violation = Violation { message, ..violation.clone() };
        if !of_pod.contains(&violation) {
            of_pod.push(violation);
        }
    }
    for violation in of_pod {
        if let Some(found) = judged.violations.iter_mut().find(|found| found.violation == violation) {
            found.pods += 1;
        } else if judged.violations.len() < MOST {
            judged.violations.push(Found { violation, pods: 1 });
        } else {
            judged.omitted += 1;
        }
    }
}

/// What a policy said of one pod, said of its workload: pods that differ in nothing but their generated names say the same.
fn of_workload(message: &str, name: &str, workload: &Workload) -> String {
    let is_generated = name.len() > workload.name.len() && name.starts_with(&*workload.name);
    if is_generated { message.replace(name, &workload.name) } else { message.to_owned() }
}

fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::None | Verdict::Pending => 0,
        Verdict::Allow => 1,
        Verdict::Deny => 2,
        Verdict::Error => 3,
    }
}
