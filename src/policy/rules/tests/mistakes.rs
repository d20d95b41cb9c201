//! What `config check` says.

use super::*;

#[test]
fn ids_are_names_and_unique() {
    let longest = "a".repeat(128);
    for id in ["a", "A.b_c-9", longest.as_str()] {
        assert!(RulesPolicy::compile(&[RuleSettings { id: id.into(), ..no_latest() }]).is_ok(), "{id}");
    }
    let too_long = "a".repeat(129);
    for id in ["", "a b", "a/b", "ä", "a\n", too_long.as_str()] {
        let found = mistakes(&[RuleSettings { id: id.into(), ..no_latest() }]);
        assert_eq!(found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(), ["rules[0].id"], "{id:?}");
    }
    let found = mistakes(&[no_latest(), rule("other", deny("tag", &["a"])), no_latest()]);
    assert_eq!(found, [("rules[2].id".into(), "`no-latest` is the id of another rule of this policy".into())]);
}

#[test]
fn every_mistake_is_told_at_once_with_its_field() {
    let wrong = RuleSettings {
        id: "no id".into(),
        message: Some("{imgae}".into()),
        scope: ScopeSettings { namespaces: texts(&["a", ""]), kinds: texts(&[""]), ..ScopeSettings::default() },
        ..rule("", allow("image_matches", &["registry", "(", "^ok$", "quay"]))
    };
    let fields: Vec<String> = mistakes(&[
        no_latest(),
        wrong,
        rule("nothing", CheckSettings::Deny(MatchSettings::default())),
        rule("none", CheckSettings::Require(Vec::new())),
        rule("never", deny("image", &["nginx"])),
    ])
    .into_iter()
    .map(|(field, _)| field)
    .collect();
    assert_eq!(
        fields,
        [
            "rules[1].id",
            "rules[1].allow.image_matches[1]",
            "rules[1].allow.image_matches[0]",
            "rules[1].allow.image_matches[3]",
            "rules[1].message",
            "rules[1].namespaces[1]",
            "rules[1].kinds[0]",
            "rules[2].deny",
            "rules[3].require",
            "rules[4].deny.image[0]"
        ]
    );
}

#[test]
fn an_unanchored_allow_is_refused_with_a_name_that_slips_through() {
    for (pattern, slips, fix) in [
        (r"registry\.acmecorp\.com/", "evil.example/registry.acmecorp.com/x", r"^registry\.acmecorp\.com/$"),
        (r"^registry\.acmecorp\.com", "registry.acmecorp.com.evil.example/x", r"^registry\.acmecorp\.com$"),
        (r"a\.io/.+$|^b\.io/.+$", "evil.example/a.io/a", r"^(?:a\.io/.+$|^b\.io/.+)$"),
    ] {
        let found = RulesPolicy::compile(&[rule("r", allow("image_matches", &[pattern]))]).expect_err(pattern);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].problem.contains(&format!("`{slips}` would slip through")), "{found:?}");
        assert!(found[0].fix.starts_with(fix), "{found:?}");
        assert!(RulesPolicy::compile(&[rule("r", deny("image_matches", &[pattern]))]).is_ok(), "a deny may");
    }
}

#[test]
fn a_version_is_of_the_text_alone() {
    let version = |rules: &[RuleSettings]| compiled(rules).version().to_owned();
    assert_eq!(version(&[no_latest()]), version(&[no_latest()]));
    assert_eq!(version(&[no_latest()]).len(), 12);
    let staged = RuleSettings { mode: Some(Mode::Enforce), ..no_latest() };
    assert_eq!(version(&[no_latest()]), version(&[staged]), "modes act after it has judged");
    let rolled_out = RuleSettings { rollout: vec![stage(Mode::Enforce)], ..no_latest() };
    assert_eq!(version(&[no_latest()]), version(&[rolled_out]), "and so does a rollout");
    let changed = [
        RuleSettings { help: Some("h".into()), ..no_latest() },
        RuleSettings { message: Some("m".into()), ..no_latest() },
        RuleSettings { placeholders: texts(&["auto"]), ..no_latest() },
        scoped(ScopeSettings { clusters: texts(&["lab"]), ..ScopeSettings::default() }),
        rule("no-latest", deny("tag", &["latest", "edge"])),
    ];
    for rule in changed {
        assert_ne!(version(&[no_latest()]), version(std::slice::from_ref(&rule)), "{rule:?}");
    }
}
