use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;

use super::*;

fn dir() -> (TempDir, PathBuf) {
    let temp = TempDir::new().expect("a directory");
    let dir = temp.path().join("data/certs");
    (temp, dir)
}

fn with_certificate<T>(path: &Path, look: impl FnOnce(&X509Certificate<'_>) -> T) -> T {
    let (_, pem) = parse_x509_pem(&fs::read(path).expect("readable")).expect("PEM");
    look(&pem.parse_x509().expect("DER"))
}

fn contents(dir: &Path) -> Vec<String> {
    [CA_CERTIFICATE, CA_KEY, CERTIFICATE, KEY]
        .map(|name| fs::read_to_string(dir.join(name)).expect("readable"))
        .to_vec()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("readable").permissions().mode() & 0o777
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn the_first_call_makes_everything_and_the_second_nothing() {
    let (_temp, dir) = dir();
    assert_eq!(
        ensure(&dir, &names(&["Rehearsal.svc", "10.0.0.7", "2001:db8:0:0::1"])).expect("it is seen to"),
        Renewal::Made
    );
    let made = contents(&dir);
    assert_eq!(
        ensure(&dir, &names(&["2001:db8::1", "rehearsal.svc", "10.0.0.7"])).expect("it is seen to"),
        Renewal::Kept
    );
    assert_eq!(contents(&dir), made);
    with_certificate(&dir.join(CERTIFICATE), |leaf| {
        let wanted = ["localhost", "127.0.0.1", "::1", "rehearsal.svc", "10.0.0.7", "2001:db8::1"];
        let found: Vec<_> =
            leaf.subject_alternative_name().expect("one").expect("one").value.general_names.iter().collect();
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        assert!(!leaf.is_ca());
        assert!(leaf.extended_key_usage().expect("one").expect("one").value.server_auth);
        assert!(leaf.key_usage().expect("one").expect("one").value.digital_signature());
        let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
        assert_eq!(life, (LEAF_LIFE + BACKDATED).whole_seconds());
    });
    with_certificate(&dir.join(CA_CERTIFICATE), |ca| {
        assert!(ca.is_ca());
        assert!(ca.key_usage().expect("one").expect("one").value.key_cert_sign());
    });
}

#[test]
fn only_the_owner_can_look_inside() {
    let (_temp, dir) = dir();
    ensure(&dir, &[]).expect("it is seen to");
    assert_eq!(mode(&dir), 0o700);
    for entry in fs::read_dir(&dir).expect("readable") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("writable");
    ensure(&dir, &[]).expect("it is seen to");
    assert_eq!(mode(&dir), 0o700);
}

#[test]
fn the_leaf_is_remade_in_the_last_third_of_its_life_and_the_ca_is_kept() {
    let (_temp, dir) = dir();
    let start = OffsetDateTime::now_utc();
    ensure_at(&dir, &[], start).expect("it is seen to");
    let before = contents(&dir);
    assert_eq!(
        ensure_at(&dir, &[], start + LEAF_LIFE * 2 / 3 - Duration::hours(2)).expect("it is seen to"),
        Renewal::Kept
    );
    assert_eq!(
        ensure_at(&dir, &[], start + LEAF_LIFE * 2 / 3 + Duration::hours(2)).expect("it is seen to"),
        Renewal::Made
    );
    let after = contents(&dir);
    assert_eq!(before[..2], after[..2], "the CA");
    assert_ne!(before[2], after[2]);
    assert_ne!(before[3], after[3]);
}

#[test]
fn the_leaf_is_remade_for_other_names() {
    let (_temp, dir) = dir();
    ensure(&dir, &names(&["a.example"])).expect("it is seen to");
    assert_eq!(ensure(&dir, &names(&["b.example"])).expect("it is seen to"), Renewal::Made);
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Made);
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Kept);
}

#[test]
fn the_leaf_is_remade_when_it_is_another_cas_or_damaged() {
    let (_temp, dir) = dir();
    let (_other_temp, other) = self::dir();
    ensure(&dir, &[]).expect("it is seen to");
    ensure(&other, &[]).expect("it is seen to");
    for name in [CA_CERTIFICATE, CA_KEY] {
        fs::copy(other.join(name), dir.join(name)).expect("writable");
    }
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Made);
    fs::copy(other.join(KEY), dir.join(KEY)).expect("writable");
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Made, "a key that is not the certificate's");
    fs::write(dir.join(CERTIFICATE), "-----BEGIN").expect("writable");
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Made);
    fs::remove_file(dir.join(KEY)).expect("writable");
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Made);
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Kept);
}

#[test]
fn a_ca_that_cannot_be_used_is_an_error_and_stays() {
    let (_temp, dir) = dir();
    let (_other_temp, other) = self::dir();
    ensure(&dir, &[]).expect("it is seen to");
    ensure(&other, &[]).expect("it is seen to");
    let good = contents(&dir);
    let leaf = good[2].as_str();
    let foreign_key = fs::read_to_string(other.join(CA_KEY)).expect("readable");
    for (name, content, problem) in [
        (CA_CERTIFICATE, "", "ca.crt"),
        (CA_CERTIFICATE, "not PEM", "ca.crt"),
        (CA_CERTIFICATE, leaf, "not the certificate of a CA"),
        (CA_KEY, "", "ca.key"),
        (CA_KEY, foreign_key.as_str(), "ca.key is not the key of ca.crt"),
    ] {
        fs::write(dir.join(name), content).expect("writable");
        let error = ensure(&dir, &[]).expect_err("refused").to_string();
        assert!(error.contains(problem) && error.contains(dir.to_str().expect("UTF-8")), "{error}");
        assert_eq!(fs::read_to_string(dir.join(name)).expect("readable"), content);
        fs::write(dir.join(CA_CERTIFICATE), &good[0]).expect("writable");
        fs::write(dir.join(CA_KEY), &good[1]).expect("writable");
    }
    fs::remove_file(dir.join(CA_KEY)).expect("writable");
    assert!(ensure(&dir, &[]).expect_err("refused").to_string().contains("ca.key is missing"));
    let late = OffsetDateTime::now_utc() + CA_LIFE;
    fs::write(dir.join(CA_KEY), &good[1]).expect("writable");
    assert!(ensure_at(&dir, &[], late).expect_err("refused").to_string().contains("ended on"));
}

#[test]
fn a_first_start_that_was_cut_off_is_finished_with_the_same_key() {
    let (_temp, dir) = dir();
    ensure(&dir, &[]).expect("it is seen to");
    let key = fs::read_to_string(dir.join(CA_KEY)).expect("readable");
    fs::remove_file(dir.join(CA_CERTIFICATE)).expect("writable");
    fs::write(dir.join("ca.crt.new"), "half").expect("writable");
    assert_eq!(ensure(&dir, &[]).expect("it is seen to"), Renewal::Kept, "the leaf is still of this key");
    assert_eq!(fs::read_to_string(dir.join(CA_KEY)).expect("readable"), key);
    assert!(!dir.join("ca.crt.new").exists());
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let (_temp, dir) = dir();
    let start = OffsetDateTime::now_utc();
    ensure_at(&dir, &[], start).expect("it is seen to");
    ensure_at(&dir, &[], start + CA_LIFE - Duration::days(10)).expect("it is seen to");
    let end = |name| with_certificate(&dir.join(name), |found| found.validity().not_after);
    assert_eq!(end(CERTIFICATE), end(CA_CERTIFICATE));
}

#[test]
fn serials_differ() {
    let serials: BTreeSet<_> = (0..64).map(|_| random_serial().expect("random bytes").to_bytes()).collect();
    assert_eq!(serials.len(), 64);
    assert!(serials.iter().all(|serial| (0x40..0x80).contains(&serial[0])));
}

#[test]
fn what_is_no_name_is_refused() {
    for name in ["", "a b", "https://a", "a:8443", "[::1]", "*", "*.*.a", "-a"] {
        let error = Names::parse(&names(&["good.example", name])).expect_err("refused").to_string();
        assert!(error.contains(&format!("`{name}`")), "{error}");
    }
    let parsed = Names::parse(&names(&["*.A.example", "::1", "*.a.example"])).expect("names").expect("some");
    assert_eq!(parsed.iter().collect::<Vec<_>>(), ["*.a.example", "::1"]);
    assert_eq!(Names::parse(&[]).expect("names"), None);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let temp = TempDir::new().expect("a directory");
    let file = temp.path().join("file");
    fs::write(&file, "").expect("writable");
    let error = ensure(&file.join("certs"), &[]).expect_err("refused").to_string();
    assert!(error.contains(file.to_str().expect("UTF-8")), "{error}");
}
