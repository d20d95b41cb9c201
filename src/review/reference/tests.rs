use proptest::prelude::*;

use super::*;

const SHA: &str = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
const SHA512: &str = "sha512:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
const HEX64: &str = "1a3f5e7d9c1b3a5f7e9d1c3b5a7f9e1d3c5b7a9f1e3d5d7c9b1a3f5e7d9c1b3a";

/// What distribution/reference makes of a text: domain (here in lower case), path, tag, digest.
#[track_caller]
fn reads(text: &str, registry: &str, repository: &str, tag: Option<&str>, digest: Option<&str>) {
    let reference = ImageReference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let parts = (reference.registry.as_str(), reference.repository.as_str());
    assert_eq!(parts, (registry, repository), "{text}");
    assert_eq!((reference.tag.as_deref(), reference.digest.as_deref()), (tag, digest), "{text}");
}

#[track_caller]
fn refuses(text: &str, because: &str) {
    match ImageReference::parse(text) {
        Ok(reference) => panic!("{text} is read as {reference:?}"),
        Err(error) => assert!(error.to_string().contains(because), "{text}: {error}"),
    }
}

#[test]
fn registry_and_repository_are_told_apart() {
    for (text, registry, repository) in [
        ("nginx", "docker.io", "library/nginx"),
        ("test_com", "docker.io", "library/test_com"),
        ("192.168.0.1", "docker.io", "library/192.168.0.1"),
        ("docker/docker", "docker.io", "docker/docker"),
        ("library/debian", "docker.io", "library/debian"),
        ("library/foo/bar", "docker.io", "library/foo/bar"),
        ("store/foo/bar", "docker.io", "store/foo/bar"),
        ("other/library", "docker.io", "other/library"),
        ("test_com/foo", "docker.io", "test_com/foo"),
        ("docker.io/debian", "docker.io", "library/debian"),
        ("docker.io/library/debian", "docker.io", "library/debian"),
        ("docker.io/docker/docker", "docker.io", "docker/docker"),
        ("index.docker.io/debian", "docker.io", "library/debian"),
        ("index.docker.io/library/ubuntu-12.04-base", "docker.io", "library/ubuntu-12.04-base"),
        ("index.docker.io/fooo/bar", "docker.io", "fooo/bar"),
        ("test.com/foo", "test.com", "foo"),
        ("test.com:8080/foo", "test.com:8080", "foo"),
        ("test-com:8080/foo", "test-com:8080", "foo"),
        ("test:5000/repo", "test:5000", "repo"),
        ("xn--n3h.com:18080/foo", "xn--n3h.com:18080", "foo"),
        ("sub-dom1.foo.com/bar/baz/quux", "sub-dom1.foo.com", "bar/baz/quux"),
        ("127.0.0.1:5000/library/debian", "127.0.0.1:5000", "library/debian"),
        ("192.168.1.1/repo", "192.168.1.1", "repo"),
        ("localhost/redis", "localhost", "redis"),
        ("localhost:5000/redis", "localhost:5000", "redis"),
        ("[fc00::1]:5000/docker/docker", "[fc00::1]:5000", "docker/docker"),
        ("[2001:db8::1]/repo", "[2001:db8::1]", "repo"),
        ("[2001:DB8::]:5000/repo", "[2001:db8::]:5000", "repo"),
        ("[::1]:5000/repo", "[::1]:5000", "repo"),
        ("Docker/docker", "docker", "docker"),
        ("FOO/bar", "foo", "bar"),
        ("Uppercase/lowercase", "uppercase", "lowercase"),
        ("REGISTRY.AcmeCorp.com:443/team/app", "registry.acmecorp.com:443", "team/app"),
        ("docker---rules/docker", "docker.io", "docker---rules/docker"),
        ("dock__er/docker", "docker.io", "dock__er/docker"),
        ("d/docker", "docker.io", "d/docker"),
        // A dot makes the first component a host, an underscore makes it none: it stays in the repository.
        ("foo_bar.com/app", "", "foo_bar.com/app"),
    ] {
        reads(text, registry, repository, None, None);
    }
    let with_host = format!("docker.io/{HEX64}");
    reads(&with_host, "docker.io", &format!("library/{HEX64}"), None, None);
    reads(&HEX64[1..], "docker.io", &format!("library/{}", &HEX64[1..]), None, None);
}

#[test]
fn tags_and_digests_are_read() {
    reads("test.com:tag", "docker.io", "library/test.com", Some("tag"), None);
    reads("test.com:5000", "docker.io", "library/test.com", Some("5000"), None);
    reads("foo_bar.com:8080", "docker.io", "library/foo_bar.com", Some("8080"), None);
    reads("foo/foo_bar.com:8080", "docker.io", "foo/foo_bar.com", Some("8080"), None);
    reads("192.168.1.1:5000/repo:5050", "192.168.1.1:5000", "repo", Some("5050"), None);
    reads("lowercase:Uppercase", "docker.io", "library/lowercase", Some("Uppercase"), None);
    reads(
        "b.gcr.io/test.example.com/my-app:test.example.com",
        "b.gcr.io",
        "test.example.com/my-app",
        Some("test.example.com"),
        None,
    );
    reads("nginx:_a-.B", "docker.io", "library/nginx", Some("_a-.B"), None);
    reads(&format!("test:5000/repo@{SHA}"), "test:5000", "repo", None, Some(SHA));
    reads(&format!("[2001:db8::1]:5000/repo:tag@{SHA}"), "[2001:db8::1]:5000", "repo", Some("tag"), Some(SHA));
    reads(
        &format!("xn--7o8h.com/myimage:xn--7o8h.com@{SHA512}"),
        "xn--7o8h.com",
        "myimage",
        Some("xn--7o8h.com"),
        Some(SHA512),
    );
    reads(&format!("nginx@{SHA}"), "docker.io", "library/nginx", None, Some(SHA));
    let tag = "t".repeat(128);
    reads(&format!("nginx:{tag}"), "docker.io", "library/nginx", Some(&tag), None);
    reads(&format!("{}a:tag", "a/".repeat(127)), "docker.io", &format!("{}a", "a/".repeat(127)), Some("tag"), None);
}

#[test]
fn what_distribution_refuses_is_refused() {
    for (text, because) in [
        ("", "empty"),
        (":justtag", "no repository"),
        (HEX64, "image id"),
        ("docker/", "cannot be part"),
        ("docker.io/", "no repository"),
        ("docker.io//nginx", "cannot be part"),
        ("https://github.com/docker/docker", "scheme"),
        ("docker/Docker", "capitals"),
        ("docker.io/docker/Docker", "capitals"),
        ("Uppercase:tag", "capitals"),
        ("test:5000/Uppercase/lowercase:tag", "capitals"),
        ("UPPER/Case:bad tag!", "capitals"),
        ("-docker", "cannot be part"),
        ("-docker/docker", "cannot be part"),
        ("docker-/docker", "cannot be part"),
        ("-docker.io/docker/docker", "not a host"),
        ("docker///docker", "cannot be part"),
        ("____/____", "cannot be part"),
        ("_docker/_docker", "cannot be part"),
        ("dock..er/docker", "not a host"),
        ("x/dock..er", "cannot be part"),
        ("x/dock_.er", "cannot be part"),
        ("x/dock-.er", "cannot be part"),
        ("x/dock___er", "cannot be part"),
        ("aa/asdf$$^/aa", "cannot be part"),
        ("fc00::1:5000/debian", "not a host"),
        ("[fc00::1]", "cannot be part"),
        ("[fc00::1]:5000", "cannot be part"),
        ("[fe80::1%eth0]:5000/debian", "not a host"),
        ("[fe80::1%@invalidzone]:5000/repo", "not a host"),
        ("[2001:db8:3:4::192.0.2.33]:5000/debian", "not a host"),
        ("[]/debian", "cannot be part"),
        ("test.com:/repo", "not a host"),
        ("test.com:80a/repo", "not a host"),
        ("nginx:", "tag is empty"),
        ("nginx:-foo", "not a tag"),
        ("nginx:.foo", "not a tag"),
        ("nginx:日本", "not a tag"),
        ("nginx:a:b", "not a tag"),
        ("nginx:latest\n", "not a tag"),
        ("nginx\n", "cannot be part"),
        (" nginx", "cannot be part"),
        ("ñginx", "cannot be part"),
        ("Ñginx/x", "not a host"),
        ("<script>alert(1)</script>", "cannot be part"),
        ("=cmd|' /C calc'!A0", "capitals"),
        ("nginx@", "not a digest"),
        ("nginx@sha256", "not a digest"),
        ("nginx@sha256:", "not a digest"),
        ("nginx@sha256:xyz", "not a digest"),
        ("nginx:tag@sha256:ffff@sha256:ffff", "not a digest"),
        ("repo@sha256:ffffffffffffffffffffffffffffffffff", "34 hexadecimal digits, sha256 needs 64"),
    ] {
        refuses(text, because);
    }
    refuses(&format!("@{SHA}"), "no repository");
    refuses(&format!("validname@invaliddigest:{}", "f".repeat(64)), "digest algorithm");
    refuses(&format!("validname@SHA256:{}", "f".repeat(64)), "digest algorithm");
    refuses(&format!("validname@sha256:{}F", "f".repeat(63)), "lower-case");
    refuses(&format!("validname@sha512:{}", "f".repeat(64)), "64 hexadecimal digits, sha512 needs 128");
    refuses(&format!("nginx:{}", "t".repeat(129)), "129 characters, 128");
    refuses(&format!("{}a:tag", "a/".repeat(128)), "257 characters, 255");
    refuses(&format!("{}/docker", "this_is_long_".repeat(20) + "x"), "characters, 255");
}

#[test]
fn the_digest_of_the_kubernetes_documentation_is_too_short() {
    let text = "myrepo/myimage@sha256:beb6bd6a68f114c1dc2ea4b28db81bdf91de202a9014972bec5e4d9171d90ed";
    let error = ImageReference::parse(text).expect_err("a digit is missing");
    assert_eq!(error.to_string(), "the digest has 63 hexadecimal digits, sha256 needs 64");
}

#[test]
fn a_quoted_piece_is_short_and_inert() {
    let error = ImageReference::parse(&"\u{202e}".repeat(5_000)).expect_err("no name");
    let text = error.to_string();
    assert!(text.len() < 800 && !text.contains('\u{202e}'), "{text}");
    let error = ImageReference::parse("nginx:a\nb").expect_err("no tag");
    assert!(!error.to_string().contains('\n'));
}

#[test]
fn the_implied_tag_is_latest_unless_a_digest_is_there() {
    let normalised = |text: &str| ImageReference::parse(text).expect(text).normalised();
    assert_eq!(normalised("nginx"), "docker.io/library/nginx:latest");
    assert_eq!(normalised("nginx:1.25"), "docker.io/library/nginx:1.25");
    assert_eq!(normalised(&format!("nginx@{SHA}")), format!("docker.io/library/nginx@{SHA}"));
    assert_eq!(normalised(&format!("nginx:1@{SHA}")), format!("docker.io/library/nginx:1@{SHA}"));
    assert_eq!(normalised("foo_bar.com/app"), "foo_bar.com/app:latest");
    let digest = ImageReference::parse(&format!("nginx@{SHA}")).expect("a reference");
    assert_eq!(digest.effective_tag(), None);
}

proptest! {
    #[test]
    fn no_text_breaks_it(text in any::<String>()) {
        if let Err(error) = ImageReference::parse(&text) {
            prop_assert!(error.to_string().len() < 1_000);
        }
    }

    #[test]
    fn a_normalised_reference_is_read_as_itself(text in "([a-z0-9.:_-]{1,8}/){0,3}[a-z0-9._-]{1,10}(:[A-Za-z0-9._-]{1,6})?(@sha256:[0-9a-f]{63,64})?") {
        // Without capitals: lower-casing a host that only a capital made one (`Foo/bar`) makes it none.
        if let Ok(reference) = ImageReference::parse(&text) {
            let again = ImageReference::parse(&reference.normalised()).expect("its own words");
            prop_assert_eq!(again.normalised(), reference.normalised());
            prop_assert_eq!((again.registry, again.repository, again.digest), (reference.registry, reference.repository, reference.digest));
        }
    }

    /// The grammar once more, as the regular expressions that distribution/reference publishes.
    #[test]
    fn the_published_grammar_agrees(text in "(docker\\.io/|Ab/|a_b\\.c/|localhost/|x:5/|\\[::1\\](:5)?/)?[a-c0./_:@A-]{0,12}(:[a-z.-]{1,3})?(@(sha256|sha512|x\\+y):[0-9a-f]{32,33})?") {
        let component = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*";
        let path = format!("{component}(?:/{component})*");
        let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
        let host = format!(r"(?:{label}(?:\.{label})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
        let suffixes = r"(?::([\w--[^\x00-\x7f]][\w.\-&&[\x00-\x7f]]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?";
        let whole = regex::Regex::new(&format!("^(?:(?:({host})/)?({path})){suffixes}$")).expect("a grammar");
        let (domain, rest) = split_host(&text);
        let spelled = format!("{domain}/{rest}");
        let identifier = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let lower = !rest.split(':').next().unwrap_or_default().chars().any(char::is_uppercase);
        let theirs = whole.captures(&spelled).filter(|_| lower && !identifier);
        // A digest of these lengths is never right, whatever its algorithm: the grammar alone accepts it.
        let theirs = theirs.filter(|captures| captures.get(4).is_none());
        let ours = ImageReference::parse(&text);
        prop_assert_eq!(ours.is_ok(), theirs.is_some(), "{}: {:?}", text, ours);
        if let (Ok(ours), Some(theirs)) = (ours, theirs) {
            let part = |index: usize| theirs.get(index).map(|part| part.as_str());
            prop_assert_eq!(ours.registry, part(1).unwrap_or_default().to_lowercase());
            prop_assert_eq!(Some(ours.repository.as_str()), part(2));
            prop_assert_eq!(ours.tag.as_deref(), part(3));
        }
    }
}
