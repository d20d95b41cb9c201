//! The ways from each page to every other: the parts of the report, and the pages of the part that one is in.

use super::address::Address;
use super::frame::Visit;

#[derive(Debug, Default)]
pub struct Nav {
    pub parts: Vec<NavItem>,
    /// Of the part that the page is in, where it has more than one.
    pub pages: Vec<NavItem>,
    /// What that part is called.
    pub within: &'static str,
}

#[derive(Debug)]
pub struct NavItem {
    pub label: &'static str,
    pub href: Address,
    /// What `aria-current` says: the page itself, or one below it.
    pub current: Option<&'static str>,
}

/// A path, what it is called, and the paths of pages below it that do not begin with it.
type Page = (&'static str, &'static str, &'static [&'static str]);

/// The pages of a part; the first one has its name.
type Part = &'static [Page];

/// As many as one line of a small desk holds.
const PARTS: [Part; 8] = [
    &[("/", "Overview", &[])],
    &[("/rules", "Rules", &[])],
    &[("/namespaces", "Namespaces", &[])],
    &[("/images", "Images", &[])],
    &[("/decisions", "Decisions", &[])],
    &[
        ("/policies", "Policies", &["/revisions"]),
        ("/exemptions", "Exemptions", &[]),
        ("/candidates", "Candidates", &[]),
        ("/agreement", "Agreement", &[]),
    ],
    &[("/clusters", "Clusters", &[]), ("/inventory", "Inventory", &[]), ("/health", "Health", &["/runbook"])],
    &[("/report", "Report", &[]), ("/access", "Access", &[])],
];

// === impl Nav ===

impl Nav {
    /// From the page at `here`, to what `visit` may see.
    pub fn of(visit: &Visit, here: &Address) -> Self {
        let is_theirs = |&&(path, ..): &&Page| match path {
            "/health" => visit.reach.is_everything(),
            "/access" => visit.visitor.role.sees_access(),
            _ => true,
        };
        let item = |page: &Page| NavItem { label: page.1, href: visit.to(page.0), current: current(page, here.path()) };
        let mut nav = Self::default();
        for part in PARTS {
            let head = item(&part[0]);
            let pages: Vec<NavItem> = part.iter().filter(is_theirs).map(item).collect();
            let is_in = pages.iter().any(|page| page.current.is_some());
            nav.parts.push(NavItem { current: head.current.or(is_in.then_some("true")), ..head });
            if is_in && pages.len() > 1 {
                (nav.pages, nav.within) = (pages, part[0].1);
            }
        }
        nav
    }

    /// From a page that knows nothing of the request.
    pub fn bare() -> Self {
        let item = |part: Part| NavItem { label: part[0].1, href: Address::of(part[0].0), current: None };
        Self { parts: PARTS.into_iter().map(item).collect(), ..Self::default() }
    }
}

fn current(&(path, _, others): &Page, here: &str) -> Option<&'static str> {
    let is_below = |path: &str| here.strip_prefix(path).is_some_and(|rest| rest.starts_with('/') || rest.is_empty());
    if here == path {
        Some("page")
    } else {
        let is_in = (path != "/" && is_below(path)) || others.iter().any(|other| is_below(other));
        is_in.then_some("true")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_current_and_so_is_what_it_is_below() {
        let of = |path: &str, here: &str| {
            let page = PARTS.into_iter().flatten().find(|page| page.0 == path).expect("a page");
            current(page, here)
        };
        assert_eq!(of("/rules", "/rules"), Some("page"));
        assert_eq!(of("/rules", "/rules/images/no-latest"), Some("true"));
        assert_eq!(of("/policies", "/revisions/3f0c"), Some("true"));
        assert_eq!((of("/", "/rules"), of("/rules", "/rulesets"), of("/images", "/")), (None, None, None));
    }
}
