//! The examples of docs/rego.md do what it says.

use super::*;

/// Entry point and text of each.
fn examples() -> Vec<(&'static str, &'static str)> {
    let page = include_str!("../../../../docs/rego.md");
    let blocks = page.split("`entrypoint: ").skip(1);
    blocks
        .map(|block| {
            let (entrypoint, rest) = block.split_once("`\n\n```rego\n").expect("a block of Rego follows");
            (entrypoint, rest.split_once("```").expect("the block ends").0)
        })
        .collect()
}

#[test]
fn each_denies_nginx_and_allows_what_is_ours() {
    let examples = examples();
    assert_eq!(examples.len(), 7);
    for (entrypoint, text) in examples {
        let policy = policy(entrypoint, text);
        let denied = judged(&policy, &pod(&["nginx:1.2"]));
        assert_eq!(denied.error, None, "{entrypoint}");
        assert_eq!(denied.violations.iter().filter(|one| one.most == Mode::Enforce).count(), 1, "{entrypoint}");
        let allowed = judged(&policy, &pod(&["registry.acmecorp.com/a:1"]));
        assert!(allowed.judged && allowed.error.is_none(), "{entrypoint}");
        assert!(allowed.violations.iter().all(|one| one.most == Mode::Warn), "{entrypoint}: {allowed:?}");
        let by_image_review = judged(&policy, &image_review(&["nginx:1.2"]));
        assert_eq!(by_image_review.error, None, "{entrypoint}");
    }
}
