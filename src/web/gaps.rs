//! Gaps of a span: those that the history holds, and those that only the running process knows yet.

use super::Live;
use crate::review::clock::Timestamp;
use crate::review::decision::Gap;
use crate::store::read::{Cursor, Filter, Page, Range, Summary};
use crate::store::{Store, StoreError};

/// Oldest first. What the process knows of a gap is newer than what the history holds of it.
pub fn in_span(summary: &Summary, live: &Live, cluster: Option<&str>) -> Vec<Gap> {
    let range = Range { since: Some(summary.since), until: Some(summary.until) };
    joined(&summary.gaps, live, range, cluster)
}

/// Those that the span of a page of the list touches, which begins after a cursor and ends where the next one begins:
/// what may be missing between its rows.
pub async fn of_page(
    store: &Store,
    live: &Live,
    filter: &Filter,
    after: Option<Cursor>,
    page: &Page,
) -> Result<Vec<Gap>, StoreError> {
    let range = span_of_page(filter, after, page);
    let stored = store.gaps(range, filter.cluster.as_deref(), &filter.reach).await?;
    Ok(joined(&stored, live, range, filter.cluster.as_deref()))
}

/// From where the next page begins to where this one does.
pub fn span_of_page(filter: &Filter, after: Option<Cursor>, page: &Page) -> Range {
    let last = page.decisions.last().map(|stored| stored.decision.at);
    let since = if page.next.is_some() { page.searched_until.or(last) } else { filter.since };
    // The row before it may be of the same millisecond.
    let until = after.map(|cursor| Timestamp(cursor.at.0.saturating_add(1))).or(filter.until);
    Range { since, until }
}

/// Oldest first.
pub fn joined(stored: &[Gap], live: &Live, range: Range, cluster: Option<&str>) -> Vec<Gap> {
    let stored = stored.iter().filter(|stored| live.gaps.iter().all(|gap| gap.id != stored.id));
    let touches = |gap: &&Gap| {
        let of_cluster = gap.cluster.as_deref().is_none_or(|of| cluster.is_none_or(|cluster| cluster == of));
        let is_before_its_end = range.until.is_none_or(|until| gap.from < until);
        let is_after_its_beginning = range.since.is_none_or(|since| gap.to.is_none_or(|to| to >= since));
        of_cluster && is_before_its_end && is_after_its_beginning
    };
    let mut gaps: Vec<Gap> = stored.chain(live.gaps.iter().filter(touches)).cloned().collect();
    gaps.sort_by_key(|gap| gap.from);
    gaps
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::policy::Revision;
    use crate::policy::settings::StagingSettings;
    use crate::review::clock::DecisionId;
    use crate::store::read::{Before, Figures, Horizons, Standing};
    use crate::web::completeness::Completeness;

    fn gap(from: i64, to: Option<i64>, cluster: Option<&str>) -> Gap {
        Gap {
            id: DecisionId::at(Timestamp(from)),
            cluster: cluster.map(str::to_owned),
            from: Timestamp(from),
            to: to.map(Timestamp),
            count: None,
            reason: "a test".into(),
        }
    }

    #[test]
    fn open_gaps_join_those_of_the_history() {
        let old = gap(100, Some(200), None);
        let open = gap(300, None, None);
        let closed = Gap { to: Some(Timestamp(400)), ..open.clone() };
        let summary = Summary {
            since: Timestamp(50),
            until: Timestamp(500),
            figures: Figures::default(),
            before: Before { since: Timestamp(0), until: Timestamp(50), figures: Figures::default() },
            gaps: vec![open, old.clone()],
            horizons: Horizons::default(),
        };
        let own = Standing {
            replica: uuid::Uuid::nil(),
            clusters: Vec::new(),
            heard_at: Timestamp(500),
            stored_until: Some(Timestamp(500)),
        };
        let live = Live {
            completeness: Completeness::of(&own, Vec::new(), Timestamp(500)),
            own,
            gaps: vec![closed.clone(), gap(600, None, None), gap(10, Some(20), None), gap(450, None, Some("other"))],
            degraded: Vec::new(),
            ceilings: Vec::new(),
            policies: Vec::new(),
            candidates: Vec::new(),
            revision: String::new(),
            loaded: Arc::new(Revision::load(&[], &StagingSettings::default()).expect("nothing loads")),
            first_review: String::new(),
        };
        assert_eq!(in_span(&summary, &live, Some("prod")), [old.clone(), closed.clone()]);
        assert_eq!(in_span(&summary, &live, None).len(), 3);
    }
}
