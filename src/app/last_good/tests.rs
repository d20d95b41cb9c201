use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;
use crate::policy::settings::{ExemptionSettings, OnError, Speaks, built_in};
use crate::review::decision::Mode;

fn with_webhook(dir: &Path) -> Vec<PolicySettings> {
    let authority = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap();
    fs::write(dir.join("ca"), authority.cert.pem()).unwrap();
    fs::write(dir.join("token"), "word\n").unwrap();
    let settings = WebhookSettings {
        url: "https://gate.test/?a=b".parse().unwrap(),
        speaks: Speaks::ImageReview,
        bridge: false,
        timeout: Duration::from_secs(1),
        ca: Some(dir.join("ca")),
        client_identity: None,
        token_file: Some(dir.join("token")),
        max_in_flight: 1,
        overridable: false,
    };
    let mut all = built_in();
    all.push(PolicySettings {
        name: "gate".to_owned(),
        mode: Mode::Audit,
        rollout: Vec::new(),
        on_error: OnError::Fail,
        source: SourceSettings::Webhook(settings),
    });
    all
}

/// With an exemption.
fn staging() -> StagingSettings {
    let exemption = ExemptionSettings { namespaces: vec!["shop".to_owned()], ..ExemptionSettings::default() };
    StagingSettings { exemptions: vec![exemption], ..StagingSettings::default() }
}

#[test]
fn what_is_kept_is_read_again_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let last_good = LastGood::of(dir.path());
    assert_eq!(last_good.read().unwrap(), None);
    let policies = with_webhook(dir.path());
    last_good.keep(&policies, &staging()).unwrap();
    assert_eq!(last_good.read().unwrap(), Some((policies.clone(), staging())));
    last_good.keep(&policies[..1], &staging()).unwrap();
    assert_eq!(last_good.read().unwrap(), Some((policies[..1].to_vec(), staging())), "in place of the one before");
    let held = dir.path().join(FOLDER);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&held), mode(&held.join(REVISION))), (0o700, 0o600));
    let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["ca", FOLDER, "token"], "nothing is left of the way there");
}

#[test]
fn a_webhook_s_own_cas_are_used_where_they_can_be_and_the_copies_where_not() {
    let dir = tempfile::tempdir().unwrap();
    let last_good = LastGood::of(dir.path());
    let policies = with_webhook(dir.path());
    last_good.keep(&policies, &staging()).unwrap();
    let ca = || webhook(&last_good.read().unwrap().unwrap().0[1]).unwrap().ca.clone().unwrap();
    let pem = fs::read(dir.path().join("ca")).unwrap();
    assert_eq!(ca(), dir.path().join("ca"));
    fs::write(dir.path().join("ca"), "no certificate").unwrap();
    assert_eq!(fs::read(ca()).unwrap(), pem);
}

#[test]
fn no_key_and_no_token_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    LastGood::of(dir.path()).keep(&with_webhook(dir.path()), &staging()).unwrap();
    for entry in fs::read_dir(dir.path().join(FOLDER)).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read_to_string(&path).unwrap();
        assert!(!content.contains("word"), "{}", path.display());
    }
}

#[test]
fn a_crash_on_the_way_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let last_good = LastGood::of(dir.path());
    last_good.keep(&built_in(), &staging()).unwrap();
    make(&dir.path().join(NEW)).unwrap();
    fs::write(dir.path().join(NEW).join(REVISION), "{").unwrap();
    assert_eq!(last_good.read().unwrap(), Some((built_in(), staging())));
    fs::rename(dir.path().join(FOLDER), dir.path().join(OLD)).unwrap();
    assert_eq!(last_good.read().unwrap(), Some((built_in(), staging())), "it has stepped aside");
    last_good.keep(&[], &staging()).unwrap();
    assert_eq!(last_good.read().unwrap(), Some((Vec::new(), staging())));
    assert!(!dir.path().join(OLD).exists() && !dir.path().join(NEW).exists());
}

#[test]
fn what_cannot_be_read_or_loaded_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let last_good = LastGood::of(dir.path());
    last_good.keep(&built_in(), &staging()).unwrap();
    let path = dir.path().join(FOLDER).join(REVISION);
    let twice = [built_in(), built_in()].concat();
    for (text, said) in [
        ("{", "is not what this version writes"),
        ("{\"format\": 9, \"policies\": []}", "it is of format 9"),
        (&text::whole(&twice, &staging()), "does not load any more: policy images, name: "),
    ] {
        fs::write(&path, text).unwrap();
        let error = last_good.read().unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains(said), "{error}");
    }
}
