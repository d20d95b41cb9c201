//! What is proposed to be written into a configuration, written into one.

use std::collections::BTreeSet;

use super::*;
use crate::policy::exemptions::{Exemptions, Offence};
use crate::policy::readiness::Asked;
use crate::policy::readiness::advice::{self, Need};
use crate::policy::readiness::evidence::{Fault, Place as Seat};
use crate::policy::rollout::Place as In;
use crate::policy::{Revision, settings::StagingSettings};
use crate::review::clock::Timestamp;
use crate::review::decision::Mode;
use crate::review::workload::Workload;

const RULES: &str = "  rules: [{id: pinned, require: digest}, {id: \"no\", deny: {tag: latest}}]\n";

fn asked(rule: &str) -> Asked {
    let (policy, rule) = ("images".to_owned(), rule.to_owned());
    Asked { policy, rule, version: "v".to_owned(), text: None, may_be_loosened: true, is_staged: false }
}

fn seat(cluster: &str, namespace: &str) -> Seat {
    Seat { cluster: cluster.to_owned(), namespace: namespace.to_owned(), recorded: None }
}

fn workload(kind: &str, name: &str) -> Workload {
    Workload { kind: kind.to_owned(), name: name.to_owned() }
}

fn fault(image: Option<&str>) -> Fault {
    Fault {
        rule: "pinned".to_owned(),
        image: image.map(str::to_owned),
        container: None,
        message: "it is not pinned".to_owned(),
        help: None,
    }
}

fn loaded(yaml: &str) -> Config {
    Written::new(yaml).load().unwrap_or_else(|errors| panic!("{errors}\n{yaml}")).config
}

#[test]
fn a_rollout_enforces_where_it_says_and_nowhere_else() {
    let names = ["shop", "true", "1e3", "a.b", "null", "0x1f", "-x", "no", "with \"quotes\" and: # more"];
    let ready: Vec<Seat> = names.iter().map(|name| seat("prod", name)).chain([seat("lab", "shop")]).collect();
    let unnamed = [seat("prod", ""), seat("prod", "a*"), seat("prod", "a\nb")];
    for rule in ["pinned", "no"] {
        let yaml = advice::rollout(&asked(rule), &ready.iter().chain(&unnamed).collect::<Vec<_>>()).expect("YAML");
        let indented = yaml.trim_end().replace('\n', "\n  ");
        let config = loaded(&format!("policies:\n- name: images\n  mode: audit\n  {indented}\n{RULES}"));
        let revision = Revision::load(&config.policies, &StagingSettings::default()).expect("it loads");
        let mode = |cluster, namespace| revision.policies[0].mode_of(rule, In { cluster, namespace });
        for name in names {
            assert_eq!(mode("prod", name), Mode::Enforce, "{name:?}: {yaml}");
        }
        assert_eq!(mode("lab", "shop"), Mode::Enforce);
        for (cluster, namespace) in [("lab", "true"), ("prod", "other"), ("prod", ""), ("prod", "ab"), ("eu", "shop")] {
            assert_eq!(mode(cluster, namespace), Mode::Audit, "{cluster}/{namespace}");
        }
    }
    assert_eq!(advice::rollout(&asked("pinned"), &unnamed.iter().collect::<Vec<_>>()), None);
}

/// Its policy's rollout says nothing of such a rule, and in its own `rules` would be refused.
#[test]
fn the_rollout_of_a_rule_with_a_mode_of_its_own_goes_into_the_rule_and_promotes_it() {
    for own in ["mode: warn", "rollout: [{namespaces: [other], mode: warn}]"] {
        let rule = format!("- {{id: pinned, {own}, require: digest}}");
        let revision = |text: &str| {
            let config = loaded(&format!("policies:\n- name: images\n  mode: audit\n  rules:\n  {text}\n"));
            Revision::load(&config.policies, &StagingSettings::default()).expect("it loads")
        };
        let before = revision(&rule);
        let [asked] = &Asked::all(&before.policies[0], &[])[..] else { panic!("one rule") };
        assert_eq!(asked.rollout_of(), "rule images/pinned");
        let yaml = advice::rollout(asked, &[&seat("prod", "shop")]).expect("YAML");
        let stages = yaml.strip_prefix("rollout:").expect("a field").trim_end().replace('\n', "\n    ");
        let others = own.strip_prefix("rollout: [").and_then(|stages| stages.strip_suffix(']'));
        let others = others.map_or_else(|| format!("\n    {own}"), |stage| format!("\n      - {stage}"));
        let after = revision(&format!("- id: pinned\n    require: digest\n    rollout:{stages}{others}"));
        let mode =
            |revision: &Revision, namespace| revision.policies[0].mode_of("pinned", In { cluster: "prod", namespace });
        assert_eq!(mode(&after, "shop"), Mode::Enforce, "{yaml}");
        assert_eq!(mode(&after, "other"), mode(&before, "other"));
        assert_eq!(mode(&before, "other"), Mode::Warn);
    }
    assert_eq!(asked("pinned").rollout_of(), "policy images");
}

#[test]
fn what_is_the_same_of_several_clusters_is_written_once() {
    let seats = [seat("eu", "shop"), seat("us", "shop"), seat("lab", "pay"), seat("", "shop")];
    let ready: Vec<&Seat> = seats.iter().collect();
    assert_eq!(
        advice::rollout(&asked("pinned"), &ready).expect("YAML"),
        "rollout:\n  - {rules: [pinned], clusters: [eu, us], namespaces: [shop], mode: enforce}\n  \
         - {rules: [pinned], clusters: [lab], namespaces: [pay], mode: enforce}\n"
    );
    let (web, job) = (workload("Deployment", "web"), workload("Job", "once"));
    let (image, none) = (fault(Some("quay.io/a/b:1")), fault(None));
    let needs: Vec<Need<'_>> = seats[..3]
        .iter()
        .flat_map(|place| {
            [(&web, &image), (&job, &none)].map(|(workload, fault)| Need { place, workload, faults: vec![fault] })
        })
        .collect();
    let relief = advice::relief(&needs);
    let clusters: Vec<&[String]> = relief.exemptions.iter().map(|one| one.clusters.as_slice()).collect();
    assert_eq!(clusters, [&["eu", "us"][..], &["lab"], &["eu", "us"], &["lab"]]);
    assert_eq!(relief.exemptions[0].covered(9), ["eu shop Deployment/web", "us shop Deployment/web"]);
    assert_eq!(relief.exemptions[1].covered(9), ["pay Deployment/web"]);
    let yaml = relief.yaml(&asked("pinned"), "2026-12-28").expect("YAML");
    let config = loaded(&format!("policies:\n- name: images\n{RULES}{yaml}"));
    let exemptions = Exemptions::of(&config.staging.exemptions);
    for (cluster, namespace, is_there) in
        [("eu", "shop", true), ("us", "shop", true), ("lab", "pay", true), ("lab", "shop", false), ("eu", "pay", false)]
    {
        let place = In { cluster, namespace };
        let image = Some("quay.io/a/b:1");
        let offence = Offence { policy: "images", rule: "pinned", place, workload: &web, image, container: None };
        assert_eq!(exemptions.find(offence, Timestamp(0)).is_some(), is_there, "{cluster}/{namespace}: {yaml}");
    }
}

/// Every need of a random fleet is met, by nothing that is not needed, with as few exemptions as any choice has.
#[test]
fn exemptions_let_through_what_is_needed_and_nothing_beside() {
    const NAMESPACES: [&str; 4] = ["shop", "pay", "on", "blog-1"];
    const IMAGES: [&str; 6] = [
        "nginx",
        "quay.io/a/b:1",
        "localhost:5000/x",
        "nginx:1.29",
        "registry.test/y@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        // Who needs the tags of a repository does not get its digests.
        "nginx@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ];
    let mut rng = fastrand::Rng::with_seed(11);
    let mut most = 0;
    for _ in 0..60 {
        let seats: Vec<Seat> = NAMESPACES.iter().map(|name| seat("prod", name)).collect();
        let mut workloads: Vec<(usize, Workload, Vec<Fault>)> = Vec::new();
        for number in 0..rng.usize(1..7) {
            let faults = (0..rng.usize(1..3)).map(|_| fault(Some(IMAGES[rng.usize(0..IMAGES.len())]))).collect();
            workloads.push((rng.usize(0..seats.len()), workload("Deployment", &format!("w{number}")), faults));
        }
        let needs: Vec<Need<'_>> = workloads
            .iter()
            .map(|(at, workload, faults)| Need { place: &seats[*at], workload, faults: faults.iter().collect() })
            .collect();
        let relief = advice::relief(&needs);
        assert_eq!(relief.left, 0);
        let yaml = relief.yaml(&asked("pinned"), "2026-12-28").expect("YAML");
        let config = loaded(&format!("policies:\n- name: images\n{RULES}{yaml}"));
        let exemptions = Exemptions::of(&config.staging.exemptions);
        let needed: BTreeSet<(&str, String)> = workloads
            .iter()
            .flat_map(|(at, _, faults)| faults.iter().map(|fault| (NAMESPACES[*at], name(fault.image.as_deref()))))
            .collect();
        let workload = workload("Deployment", "any");
        for namespace in NAMESPACES {
            for image in IMAGES {
                let place = In { cluster: "prod", namespace };
                let image = Some(image);
                let offence =
                    Offence { policy: "images", rule: "pinned", place, workload: &workload, image, container: None };
                let found = exemptions.find(offence, Timestamp(0)).is_some();
                assert_eq!(found, needed.contains(&(namespace, name(image))), "{namespace} {image:?}\n{yaml}");
                let other = Offence { rule: "no", ..offence };
                assert!(exemptions.find(other, Timestamp(0)).is_none(), "another rule");
            }
        }
        assert_eq!(relief.exemptions.len(), fewest(&needed), "{yaml}");
        let covered: usize = relief.exemptions.iter().map(|one| one.covers.len()).sum();
        assert!(covered >= workloads.len(), "each says what it covers");
        most = most.max(relief.exemptions.len());
    }
    assert!(most >= 3, "{most}");
}

/// The repository, and whether it is by tag or by digest.
fn name(image: Option<&str>) -> String {
    let image = image.expect("one");
    let name = crate::review::reference::ImageReference::parse(image).expect("it can be read").name();
    format!("{name}{}", if image.contains('@') { "@" } else { ":" })
}

/// By trying every choice of namespaces, and of repositories by tag or by digest.
fn fewest(needed: &BTreeSet<(&str, String)>) -> usize {
    let of_namespaces = needed.iter().map(|(namespace, _)| (true, (*namespace).to_owned()));
    let ends: Vec<(bool, String)> = of_namespaces
        .chain(needed.iter().map(|(_, name)| (false, name.clone())))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let has = |choice: u32, end: (bool, &str)| {
        ends.iter().position(|one| (one.0, one.1.as_str()) == end).is_some_and(|at| choice & (1 << at) != 0)
    };
    let touches = |choice: &u32| {
        needed.iter().all(|(namespace, name)| has(*choice, (true, namespace)) || has(*choice, (false, name)))
    };
    (0..1_u32 << ends.len()).filter(touches).map(u32::count_ones).min().unwrap_or(0) as usize
}

#[test]
fn what_no_image_is_to_blame_for_is_exempted_by_its_workload() {
    let (place, unnamed) = (seat("prod", "shop"), seat("prod", ""));
    let (once, hostile) = (workload("Job", "once"), workload("Job", "a*\nb"));
    let (none, unreadable) = (fault(None), fault(Some("[::1]/a?b")));
    let needs = [(&place, &once), (&place, &hostile), (&unnamed, &once)];
    let needs = needs.map(|(place, workload)| Need { place, workload, faults: vec![&none, &unreadable] });
    let relief = advice::relief(&needs);
    assert_eq!((relief.exemptions.len(), relief.left), (1, 2));
    let yaml = relief.yaml(&asked("pinned"), "2026-12-28").expect("YAML");
    let config = loaded(&format!("policies:\n- name: images\n{RULES}{yaml}"));
    let exemption = &config.staging.exemptions[0];
    assert_eq!(
        (exemption.workloads.as_slice(), exemption.namespaces.as_slice()),
        (&["Job/once".to_owned()][..], &["shop".to_owned()][..])
    );
    assert_eq!(exemption.until.expect("an end").last_day(), "2026-12-28");
}
