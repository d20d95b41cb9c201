//! What is let through for a time although it violates a rule.
//!
//! An exemption acts after a policy has judged: the violation stays, as an exempted one. Its end is compared with the
//! clock at every review, so that it no longer applies at once and everywhere.

use crate::review::clock::{DAY, Timestamp};
use crate::review::decision::Exempted;
use crate::review::reference::ImageReference;
use crate::review::workload::Workload;

use super::glob::{Glob, Subject};
use super::rollout::Place;
use super::settings::ExemptionSettings;

/// In the order of the configuration; the first that matches is the one that counts.
#[derive(Debug, Default)]
pub struct Exemptions(Vec<Exemption>);

/// Each list that is empty is anything.
#[derive(Debug)]
pub struct Exemption {
    /// Of what it takes in, 12 hexadecimal digits: whoever gives it another end or reason leaves it the same one.
    pub id: String,
    pub settings: ExemptionSettings,
    policies: Vec<Glob>,
    rules: Vec<Glob>,
    clusters: Vec<Glob>,
    namespaces: Vec<Glob>,
    workloads: Vec<Glob>,
    images: Vec<Glob>,
    containers: Vec<Glob>,
}

/// The last of those that take in an offence one after the other, each until its end.
#[derive(Debug, Clone, Copy)]
pub struct Last<'a> {
    pub exemption: &'a Exemption,
    /// From then on none takes it in.
    pub until: Timestamp,
}

/// A violation, as far as an exemption is chosen by it.
#[derive(Debug, Clone, Copy)]
pub struct Offence<'a> {
    pub policy: &'a str,
    pub rule: &'a str,
    pub place: Place<'a>,
    pub workload: &'a Workload,
    /// As written.
    pub image: Option<&'a str>,
    pub container: Option<&'a str>,
}

// === impl Exemptions ===

impl Exemptions {
    pub fn of(settings: &[ExemptionSettings]) -> Self {
        Self(settings.iter().map(Exemption::of).collect())
    }

    /// The end of the first of a cluster's that ends after `now`, and its ticket.
    pub fn next_end(&self, cluster: &str, now: Timestamp) -> Option<(Timestamp, Option<&str>)> {
        let of_it = self.0.iter().filter(|exemption| any(&exemption.clusters, cluster));
        let ends =
            of_it.filter_map(|exemption| Some((exemption.settings.until?, exemption.settings.ticket.as_deref())));
        ends.filter(|(until, _)| now < *until).min_by_key(|(until, _)| *until)
    }

    /// The first that takes in `offence` at `now`.
    pub fn find(&self, offence: Offence<'_>, now: Timestamp) -> Option<&Exemption> {
        if self.0.is_empty() {
            return None;
        }
        // `Kind/name`, as pages show it.
        let workload = format!("{}/{}", offence.workload.kind, offence.workload.name);
        self.0.iter().find(|exemption| exemption.holds_at(now) && exemption.takes_in(offence, &workload))
    }

    /// By whose end the offence is no longer let through, where one takes it in now. `None`: it never ends, or has no one.
    pub fn last(&self, offence: Offence<'_>, now: Timestamp) -> Option<Last<'_>> {
        let mut at = now;
        let mut last = None;
        while let Some(exemption) = self.find(offence, at) {
            at = exemption.settings.until?;
            last = Some(Last { exemption, until: at });
        }
        last
    }

    pub fn iter(&self) -> impl Iterator<Item = &Exemption> {
        self.0.iter()
    }

    /// Whether one may take in `offence` at `now`, of which image and container are not known yet.
    pub fn may_take_in(&self, offence: Offence<'_>, now: Timestamp) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let workload = format!("{}/{}", offence.workload.kind, offence.workload.name);
        self.0.iter().any(|exemption| exemption.holds_at(now) && exemption.is_of(offence, &workload))
    }
}

// === impl Exemption ===

impl Exemption {
    fn of(settings: &ExemptionSettings) -> Self {
        let globs = |patterns: &[String], subject| patterns.iter().map(|text| Glob::new(text, subject)).collect();
        Self {
            policies: globs(&settings.policies, Subject::Name),
            rules: globs(&settings.rules, Subject::Name),
            clusters: globs(&settings.clusters, Subject::Name),
            namespaces: globs(&settings.namespaces, Subject::Name),
            workloads: globs(&settings.workloads, Subject::Name),
            images: globs(&settings.images, Subject::Image),
            containers: globs(&settings.containers, Subject::Name),
            id: settings.id(),
            settings: settings.clone(),
        }
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        self.settings.until.is_none_or(|until| now < until)
    }

    pub fn has_ended(&self, now: Timestamp) -> bool {
        !self.holds_at(now)
    }

    /// Whether it may take in violations of the rule; `None`: of one of the policy's.
    pub fn names(&self, policy: &str, rule: Option<&str>) -> bool {
        any(&self.policies, policy) && rule.is_none_or(|rule| any(&self.rules, rule))
    }

    fn takes_in(&self, offence: Offence<'_>, workload: &str) -> bool {
        self.is_of(offence, workload)
            && (self.containers.is_empty() || offence.container.is_some_and(|name| any(&self.containers, name)))
            && self.takes_in_image(offence.image)
    }

    /// Whatever its image and its container are.
    fn is_of(&self, offence: Offence<'_>, workload: &str) -> bool {
        any(&self.policies, offence.policy)
            && any(&self.rules, offence.rule)
            && any(&self.clusters, offence.place.cluster)
            && any(&self.namespaces, offence.place.namespace)
            && any(&self.workloads, workload)
    }

    /// Of an image that cannot be read nothing is known that would speak for it.
    fn takes_in_image(&self, image: Option<&str>) -> bool {
        let matches = |text: &str| {
            ImageReference::parse(text)
                .is_ok_and(|reference| self.images.iter().any(|glob| glob.matches(&reference.normalised())))
        };
        self.images.is_empty() || image.is_some_and(matches)
    }

    /// As a decision keeps it.
    pub fn record(&self) -> Exempted {
        let ExemptionSettings { ticket, owner, reason, until, .. } = &self.settings;
        Exempted::Exemption {
            id: Some(self.id.clone()),
            ticket: ticket.clone(),
            owner: owner.clone(),
            reason: reason.clone(),
            until: *until,
        }
    }

    /// What each hit is told when it ends soon: `exemption SEC-12 ends 2026-12-01, owner payments`.
    pub fn ending(&self, now: Timestamp) -> Option<String> {
        let until = self.settings.until?;
        let before = i64::try_from(self.settings.warn_before.as_millis()).unwrap_or(i64::MAX);
        if until.0.saturating_sub(now.0) > before {
            return None;
        }
        let ticket = self.settings.ticket.as_ref().map(|ticket| format!(" {ticket}")).unwrap_or_default();
        let owner = self.settings.owner.as_ref().map(|owner| format!(", owner {owner}")).unwrap_or_default();
        // The end of a day has the day's name.
        let end = if until.0 % DAY == 0 { until.last_day() } else { until.to_string() };
        Some(format!("exemption{ticket} ends {end}{owner}"))
    }
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    fn exemption() -> ExemptionSettings {
        ExemptionSettings {
            namespaces: texts(&["shop"]),
            until: Some(Timestamp(1_796_169_600_000)),
            ticket: Some("SEC-12".into()),
            owner: Some("payments".into()),
            ..ExemptionSettings::default()
        }
    }

    fn web() -> Workload {
        Workload { kind: "Deployment".into(), name: "web".into() }
    }

    fn offence(workload: &Workload) -> Offence<'_> {
        Offence {
            policy: "images",
            rule: "no-latest",
            place: Place { cluster: "prod", namespace: "shop" },
            workload,
            image: Some("nginx"),
            container: Some("c0"),
        }
    }

    fn is_exempted(settings: ExemptionSettings, offence: Offence<'_>) -> bool {
        Exemptions::of(&[settings]).find(offence, Timestamp(0)).is_some()
    }

    /// Histories and addresses hold it.
    #[test]
    fn an_exemption_has_the_same_id_in_every_version() {
        assert_eq!(exemption().id(), "33155c2d6bc5");
        let prolonged = ExemptionSettings { until: None, owner: None, reason: Some("".into()), ..exemption() };
        assert_eq!(prolonged.id(), exemption().id());
        assert_ne!(
            ExemptionSettings { rules: texts(&["shop"]), namespaces: vec![], ..exemption() }.id(),
            exemption().id()
        );
    }

    #[test]
    fn every_field_that_is_given_must_match() {
        let web = web();
        assert!(is_exempted(exemption(), offence(&web)));
        let whole = ExemptionSettings {
            policies: texts(&["images"]),
            rules: texts(&["no-*"]),
            clusters: texts(&["prod"]),
            workloads: texts(&["Deployment/*"]),
            images: texts(&["docker.io/library/nginx:*"]),
            containers: texts(&["c0"]),
            ..exemption()
        };
        assert!(is_exempted(whole.clone(), offence(&web)));
        for other in [
            ExemptionSettings { policies: texts(&["x"]), ..whole.clone() },
            ExemptionSettings { rules: texts(&["x"]), ..whole.clone() },
            ExemptionSettings { clusters: texts(&["x"]), ..whole.clone() },
            ExemptionSettings { namespaces: texts(&["x"]), ..whole.clone() },
            ExemptionSettings { workloads: texts(&["web"]), ..whole.clone() },
            ExemptionSettings { images: texts(&["docker.io/library/redis:*"]), ..whole.clone() },
            ExemptionSettings { containers: texts(&["x"]), ..whole.clone() },
        ] {
            assert!(!is_exempted(other.clone(), offence(&web)), "{other:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_exempted() {
        let web = web();
        let images = ExemptionSettings { images: texts(&["**"]), ..exemption() };
        for image in [None, Some("UPPER/Case:bad tag!")] {
            assert!(!is_exempted(images.clone(), Offence { image, ..offence(&web) }), "{image:?}");
        }
        let containers = ExemptionSettings { containers: texts(&["*"]), ..exemption() };
        assert!(!is_exempted(containers, Offence { container: None, ..offence(&web) }));
    }

    #[test]
    fn it_is_named_after_what_it_takes_in() {
        let (one, day) = (exemption(), 86_400_000);
        let later = ExemptionSettings { until: Some(Timestamp(day)), owner: None, ..one.clone() };
        assert_eq!(one.id(), later.id());
        assert_eq!((one.id().len(), one.id() == exemption().id()), (12, true));
        for other in [
            ExemptionSettings { namespaces: texts(&["shop", "blog"]), ..one.clone() },
            ExemptionSettings { namespaces: Vec::new(), workloads: texts(&["shop"]), ..one.clone() },
            ExemptionSettings { ticket: Some("SEC-13".into()), ..one.clone() },
        ] {
            assert_ne!(one.id(), other.id(), "{other:?}");
        }
    }

    #[test]
    fn the_last_of_several_is_the_one_that_matters() {
        let (web, at) = (web(), |until| Some(Timestamp(until)));
        let ends = |until| ExemptionSettings { until, ticket: until.map(|until| until.0.to_string()), ..exemption() };
        let last = |all: &[ExemptionSettings]| {
            let exemptions = Exemptions::of(all);
            exemptions.last(offence(&web), Timestamp(0)).map(|last| (last.exemption.id.clone(), last.until.0))
        };
        assert_eq!(last(&[ends(at(5)), ends(at(9)), ends(at(7))]), Some((ends(at(9)).id(), 9)));
        assert_eq!(last(&[ends(at(5)), ends(None)]), None, "another takes it in for good");
        assert_eq!(last(&[ends(at(0))]), None, "it has ended");
        let elsewhere = ExemptionSettings { namespaces: texts(&["blog"]), ..ends(None) };
        assert_eq!(last(&[ends(at(5)), elsewhere]), Some((ends(at(5)).id(), 5)));
    }

    #[test]
    fn it_ends_at_its_instant_and_warns_before() {
        let (web, end) = (web(), 1_796_169_600_000);
        let exemptions = Exemptions::of(&[exemption()]);
        let at = |now: i64| exemptions.find(offence(&web), Timestamp(now));
        let day = 86_400_000;
        assert_eq!(at(end - 15 * day).expect("it holds").ending(Timestamp(end - 15 * day)), None);
        let last = at(end - 1).expect("it holds to its last millisecond");
        let told = "exemption SEC-12 ends 2026-12-01, owner payments";
        assert_eq!(last.ending(Timestamp(end - 1)).as_deref(), Some(told));
        assert!(at(end).is_none());
        let within_a_day = Exemptions::of(&[ExemptionSettings { until: Some(Timestamp(end - 1_000)), ..exemption() }]);
        let told = within_a_day.find(offence(&web), Timestamp(0)).expect("it holds").ending(Timestamp(end - 2_000));
        assert_eq!(told.as_deref(), Some("exemption SEC-12 ends 2026-12-01T23:59:59.000Z, owner payments"));
        let permanent = Exemptions::of(&[ExemptionSettings { until: None, ..exemption() }]);
        let permanent = permanent.find(offence(&web), Timestamp(i64::MAX)).expect("it has no end");
        assert_eq!(permanent.ending(Timestamp(i64::MAX)), None);
    }
}
