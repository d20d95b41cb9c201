//! What a rule says of an image.

use super::*;

/// Field, patterns, images that match, images that do not.
type Row<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);

#[test]
fn every_field_by_deny_and_by_allow() {
    let pinned = format!("quay.io:443/acme/app:1.2@{DIGEST}");
    let only_digest = format!("quay.io/acme/app@{DIGEST}");
    let table: [Row; 13] = [
        ("registry", &["docker.io"], &["nginx", "index.docker.io/a/b", "library/nginx:1"], &["quay.io/a", &pinned]),
        ("registry", &["quay.io:443"], &[&pinned, "QUAY.io:443/a"], &["quay.io/a", "quay.io:4430/a"]),
        (
            "registry",
            &["*.example.com", "quay.io"],
            &["eu.example.com/a", "quay.io/a"],
            &["example.com/a", "a.b.example.com/c"],
        ),
        ("repository", &["library/nginx"], &["nginx", "docker.io/library/nginx:1"], &["quay.io/nginx", "nginxx"]),
        ("repository", &["acme/*"], &[&pinned, "acme/web"], &["acme/team/web", "nginx"]),
        ("repository", &["acme/**"], &["acme/team/web", "acme/web"], &["other/acme/web"]),
        ("tag", &["latest"], &["nginx", "nginx:latest", "a.b/c:latest"], &["nginx:1", &only_digest, "nginx:Latest"]),
        ("tag", &["1.*", "v*"], &[&pinned, "nginx:v2"], &["nginx", "nginx:21.0", &only_digest]),
        ("image", &["docker.io/library/nginx:latest"], &["nginx"], &["nginx:1", &only_digest]),
        ("image", &["quay.io:443/acme/**"], &[&pinned], &[&only_digest, "quay.io:443/acmes/x"]),
        ("image", &["**@sha256:*"], &[&pinned, &only_digest], &["nginx", "nginx:1"]),
        ("image_matches", &["^docker\\.io/.+$"], &["nginx", "acme/web:1"], &["quay.io/docker.io/x", &pinned]),
        (
            "image_matches",
            &["^nginx$", "^quay\\.io/"],
            &["nginx", &only_digest],
            &["nginx:1", "docker.io/library/nginx"],
        ),
    ];
    for (field, patterns, matches, others) in table {
        for image in matches {
            assert!(violates(&deny(field, patterns), image), "deny {field} {patterns:?}: {image}");
            assert!(!violates(&allow(field, patterns), image), "allow {field} {patterns:?}: {image}");
        }
        for image in others {
            assert!(!violates(&deny(field, patterns), image), "deny {field} {patterns:?}: {image}");
            assert!(violates(&allow(field, patterns), image), "allow {field} {patterns:?}: {image}");
        }
    }
}

#[test]
fn all_given_fields_must_match_and_of_each_one() {
    let given = MatchSettings {
        registry: texts(&["docker.io", "quay.io"]),
        repository: texts(&["**/nginx"]),
        tag: texts(&["latest", "edge"]),
        image: texts(&["**:edge", "docker.io/**"]),
        image_matches: texts(&["nginx", "never"]),
    };
    let deny = CheckSettings::Deny(given);
    for image in ["nginx", "nginx:edge", "quay.io/a/nginx:edge"] {
        assert!(violates(&deny, image), "{image}");
    }
    for image in ["quay.io/a/nginx", "nginx:1", "gcr.io/a/nginx:edge", "redis"] {
        assert!(!violates(&deny, image), "{image}");
    }
}

#[test]
fn what_is_required_must_be_spelled_out() {
    let require = |what: &[Requirement]| CheckSettings::Require(what.to_vec());
    let (digest, tag) = (format!("nginx@{DIGEST}"), "nginx:1".to_owned());
    let both = format!("nginx:1@{DIGEST}");
    for (what, fine, wrong) in [
        (&[Requirement::Digest][..], vec![&digest, &both], vec![&tag]),
        (&[Requirement::Tag], vec![&tag, &both], vec![&digest]),
        (&[Requirement::Digest, Requirement::Tag], vec![&both], vec![&digest, &tag]),
    ] {
        fine.into_iter().for_each(|image| assert!(!violates(&require(what), image), "{what:?} {image}"));
        wrong.into_iter().for_each(|image| assert!(violates(&require(what), image), "{what:?} {image}"));
        assert!(violates(&require(what), "nginx"), "an implied tag is not spelled out");
    }
}

#[test]
fn what_cannot_be_read_violates_every_allow_and_require_and_says_why() {
    let unreadable = "myrepo/myimage@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed";
    let rules = [
        rule("any", allow("image", &["**"])),
        rule("written", allow("image_matches", &["^myrepo/.*$"])),
        rule("pinned", CheckSettings::Require(vec![Requirement::Digest])),
        rule("no-latest", deny("tag", &["**"])),
        rule("no-image", deny("image", &["**"])),
        rule("no-text", deny("image_matches", &["myimage@"])),
    ];
    let finding = judged(&rules, &pod("team-a", &[unreadable]));
    assert_eq!(
        finding.violations.iter().map(|violation| violation.rule.as_str()).collect::<Vec<_>>(),
        ["any", "written", "pinned", "no-text"],
        "a deny knows only its text"
    );
    let message = &finding.violations[0].message;
    assert!(message.contains("cannot be read") && message.contains("63 hexadecimal digits"), "{message}");
    let own = RuleSettings { unreadable: Some("own words".into()), ..rules[0].clone() };
    assert_eq!(judged(&[own], &pod("team-a", &[unreadable])).violations[0].message, "own words");
}
