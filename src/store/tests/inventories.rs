//! What runs, beside what came.

use super::history::History;
use super::plans::{forget, plan, seen};
use super::{HISTORY, Kind, TestStore, on_both};
use crate::review::clock::Timestamp;
use crate::review::decision::{Mode, Verdict, Violation};
use crate::review::workload::Workload;
use crate::store::inventory::last_review::of_their_milliseconds;
use crate::store::inventory::read::Shown;
use crate::store::inventory::{
    Account, Contents, Coverage, Figures, Found, Inventories, Inventory, Judged, KEPT, Namespace, Outlook, Running,
};
use crate::store::reach::{Reach, Realm, Rights};
use crate::store::read::Filter;
use crate::store::synthetic::Scale;
use crate::store::{Store, Synthetic};

on_both![
    the_newest_of_each_cluster_are_kept_and_its_newest_whole_one,
    a_list_is_by_outlook_and_goes_on_where_it_ended,
    of_a_part_it_is_counted_anew,
    of_a_part_it_is_counted_by_an_index_alone,
    the_newest_is_read_alone,
    nothing_of_it_is_counted,
    the_last_review_of_each_workload_is_found,
    what_judged_a_review_that_is_deleted_is_not_known,
    a_last_review_is_looked_up_by_its_key_alone,
];

const NOW: Timestamp = Timestamp(1_790_000_000_123);

/// Namespace and workload.
type Place = (String, Workload);
/// Policies and their versions.
type Judges = Vec<(String, String)>;

fn workload(name: &str) -> Workload {
    Workload { kind: "Deployment".to_owned(), name: name.to_owned() }
}

fn running(namespace: &str, name: &str, mode: Option<Mode>, reviewed: bool) -> Running {
    let violation = |mode| Violation {
        rule: "no-latest".to_owned(),
        mode,
        image: None,
        container: None,
        message: "no\0tag".to_owned(),
        help: None,
        exempted: None,
    };
    let judged = Judged {
        policy: "images".to_owned(),
        verdict: if mode.is_some() { Verdict::Deny } else { Verdict::Allow },
        violations: mode.map(|mode| Found { violation: violation(mode), pods: 1 }).into_iter().collect(),
        omitted: 0,
        error: None,
        reviewed,
    };
    let contents = Contents {
        workload: workload(name),
        pods: 1,
        images: Vec::new(),
        more_images: false,
        verdicts: vec![judged],
        last_review: None,
    };
    Running { namespace: namespace.to_owned(), contents }
}

fn inventory(cluster: &str, at: i64, is_whole: bool) -> Inventory {
    let coverage = Coverage { namespaces: u64::from(is_whole), ..Coverage::default() };
    let labels = Some([("team".to_owned(), "web".to_owned())].into());
    Inventory {
        cluster: cluster.to_owned(),
        at: Timestamp(at),
        account: Account { coverage, ..Account::default() },
        workloads: vec![
            running("shop", "fine", None, true),
            running("shop", "web", Some(Mode::Enforce), false),
            running("blog", "web", Some(Mode::Audit), false),
            running("blog", "cart", Some(Mode::Enforce), true),
        ],
        namespaces: vec![Namespace { name: "shop".to_owned(), pods: 2, labels }],
    }
}

async fn ats(store: &Store, cluster: &str) -> Vec<i64> {
    store.inventories(cluster, &Reach::Everything).await.expect("a list").iter().map(|stored| stored.at.0).collect()
}

async fn the_newest_of_each_cluster_are_kept_and_its_newest_whole_one(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    let kept = i64::try_from(KEPT).expect("few");
    inventories.add(&inventory("other", 5, true)).await.expect("stored");
    for at in 1..=kept + 3 {
        inventories.add(&inventory("prod", at, at <= 2)).await.expect("stored");
    }
    let newest_whole = 2;
    let expected: Vec<i64> = (4..=kept + 3).rev().chain([newest_whole]).collect();
    assert_eq!(ats(&test.store, "prod").await, expected);
    assert_eq!(ats(&test.store, "other").await, [5], "of another cluster");
    let rows = (expected.len() + 1) * 4;
    assert_eq!(test.count("inventory_workloads").await, rows.to_string(), "what is deleted goes whole");
    assert_eq!(test.count("inventory_namespaces").await, (expected.len() + 1).to_string());
    inventories.add(&inventory("prod", kept + 9, true)).await.expect("stored");
    assert!(!ats(&test.store, "prod").await.contains(&newest_whole), "a later one is whole");
    inventories.close().await;
}

async fn a_list_is_by_outlook_and_goes_on_where_it_ended(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    inventories.add(&inventory("prod", 1, true)).await.expect("stored");
    let of = test.store.inventories("prod", &Reach::Everything).await.expect("a list").remove(0);
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = test.store.inventory(&of, &Shown::default(), &Reach::Everything, 3, after).await.expect("a page");
        found.extend(page.workloads.into_iter().map(|one| (one.namespace, one.contents.workload.name, one.labels)));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let names: Vec<(&str, &str)> = found.iter().map(|(namespace, name, _)| (&**namespace, &**name)).collect();
    assert_eq!(names, [("blog", "cart"), ("shop", "web"), ("blog", "web"), ("shop", "fine")]);
    let labelled: Vec<bool> = found.iter().map(|(_, _, labels)| labels.is_some()).collect();
    assert_eq!(labelled, [false, true, false, true], "labels come with their namespace");
    let shown = |outlook, unreviewed, namespace: Option<&str>| {
        let (store, of, namespace) = (test.store.clone(), of.clone(), namespace.map(str::to_owned));
        async move {
            let shown = Shown { outlook, unreviewed, namespace };
            store.inventory(&of, &shown, &Reach::Everything, 10, None).await.expect("a page").workloads.len()
        }
    };
    assert_eq!(shown(Some(Outlook::Refused), None, None).await, 2);
    assert_eq!(shown(Some(Outlook::Refused), Some(true), None).await, 1);
    assert_eq!(shown(None, Some(false), Some("shop")).await, 1);
    assert_eq!(shown(Some(Outlook::Warned), None, None).await, 0);
    inventories.close().await;
}

async fn of_a_part_it_is_counted_anew(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    let mut taken = inventory("prod", 1, true);
    let whole = Figures { pods: 4, namespaces: 2, workloads: 4, refused: 2, ..Figures::default() };
    let others = [("Service".to_owned(), 9)].into();
    let coverage = Coverage { namespaces: 7, done_pods: 5, unread_pods: 3, others, ..Coverage::default() };
    taken.account = Account { figures: whole, coverage, ..taken.account };
    for taken in [&taken, &inventory("other", 1, true)] {
        inventories.add(taken).await.expect("stored");
    }
    let shop = Rights::Only(vec![Realm::new(&["prod".to_owned()], &["shop".to_owned()])]);
    let reach = test.store.reach(&shop).await.expect("a part");
    assert_eq!(test.store.inventoried_clusters(&reach).await.expect("names"), ["prod"]);
    assert_eq!(test.store.inventories("other", &reach).await.expect("a list"), []);
    let own = test.store.inventories("prod", &reach).await.expect("a list").remove(0);
    let expected = Figures { pods: 2, namespaces: 1, workloads: 2, refused: 1, unreviewed: 1, ..Figures::default() };
    assert_eq!(own.account.figures, expected);
    let expected = Coverage { namespaces: 1, unread_pods: 3, ..Coverage::default() };
    assert_eq!(own.account.coverage, expected, "counts of what was read are of all namespaces");
    let listed = async |shown: Shown| {
        let page = test.store.inventory(&own, &shown, &reach, 10, None).await.expect("a page");
        page.workloads.into_iter().map(|one| (one.namespace, one.contents.workload.name)).collect::<Vec<_>>()
    };
    let shop = |name: &str| ("shop".to_owned(), name.to_owned());
    assert_eq!(listed(Shown::default()).await, [shop("web"), shop("fine")]);
    assert_eq!(listed(Shown { namespace: Some("blog".into()), ..Shown::default() }).await, []);
    let all = test.store.inventories("prod", &Reach::Everything).await.expect("a list").remove(0);
    assert_eq!(all.account.figures, whole);
    inventories.close().await;
}

async fn nothing_of_it_is_counted(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = History::new(1, 60, 3, NOW);
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let names = "SELECT (SELECT count(*) FROM clusters), (SELECT count(*) FROM namespaces), \
                 (SELECT count(*) FROM workloads), (SELECT count(*) FROM rules), (SELECT count(*) FROM decisions)";
    let before = (test.figures().await, test.dump(names).await);
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    inventories.add(&inventory("nowhere", NOW.0, true)).await.expect("stored");
    assert_eq!((test.figures().await, test.dump(names).await), before);
    assert!(!test.store.clusters(&Reach::Everything).await.expect("names").contains(&"nowhere".to_owned()));
    assert_eq!(test.store.inventoried_clusters(&Reach::Everything).await.expect("names"), ["nowhere"]);
    inventories.close().await;
}

/// Against the walk through all decisions that it spares.
async fn the_last_review_of_each_workload_is_found(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let wanted = Synthetic { decisions: 1_500, days: 20, seed: 3, scale: Scale::default() };
    test.store.generate_until(wanted, NOW, |_| {}).await.expect("a history");
    let mut tx = test.store.database.begin().await.expect("a transaction");
    // What is made up names no versions.
    let versions =
        "UPDATE outcomes SET verdicts = replace(verdicts, '\"version\":null', '\"version\":\"v' || id || '\"')";
    tx.execute(crate::store::Sql::new(versions)).await.expect("changed");
    tx.commit().await.expect("changed");
    let page = test.store.decisions(&Filter::default(), u16::MAX, None).await.expect("a page");
    let cluster = page.decisions[0].decision.cluster.clone();
    let mut newest: Vec<(Place, Timestamp, Judges)> = Vec::new();
    for stored in page.decisions.iter().filter(|one| one.decision.cluster == cluster && !one.decision.dry_run) {
        let place = (stored.review.namespace.clone().unwrap_or_default(), stored.review.workload.clone());
        if newest.iter().all(|(other, ..)| *other != place) {
            let verdicts = stored.decision.verdicts.iter();
            let judged = verdicts.filter(|one| matches!(one.verdict, Verdict::Allow | Verdict::Deny));
            let judges = judged.filter_map(|one| Some((one.policy.clone(), one.version.clone()?)));
            newest.push((place, stored.decision.at, judges.collect()));
        }
    }
    assert!(newest.len() > 50 && newest.iter().any(|(_, _, judges)| !judges.is_empty()), "{}", newest.len());
    let mut wanted: Vec<Place> = newest.iter().map(|(place, ..)| place.clone()).collect();
    wanted.insert(7, ("shop".to_owned(), workload("never")));
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    let mut found = inventories.last_reviews(&cluster, &wanted).await.expect("a read");
    assert_eq!(found.remove(7), None);
    for ((place, at, judges), review) in newest.iter().zip(found) {
        let review = review.unwrap_or_else(|| panic!("{place:?} at {at}"));
        assert_eq!((review.at, &review.judges), (*at, judges), "{place:?}");
    }
    let elsewhere = inventories.last_reviews("elsewhere", &wanted).await.expect("a read");
    assert!(elsewhere.iter().all(Option::is_none), "of another cluster");
    inventories.close().await;
}

async fn what_judged_a_review_that_is_deleted_is_not_known(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = History::new(4, 30, 1, NOW);
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let page = test.store.decisions(&Filter::default(), 1, None).await.expect("a page");
    let newest = &page.decisions[0];
    let place = (newest.review.namespace.clone().unwrap_or_default(), newest.review.workload.clone());
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    let last = async || {
        let found =
            inventories.last_reviews(&newest.decision.cluster, std::slice::from_ref(&place)).await.expect("a read");
        found[0].clone()
    };
    let before = last().await;
    let mut tx = test.store.database.begin().await.expect("a transaction");
    tx.execute(crate::store::Sql::new("DELETE FROM decisions")).await.expect("deleted");
    tx.commit().await.expect("deleted");
    let after = last().await.expect("its time is kept");
    assert_eq!(Some(after.at), before.map(|review| review.at));
    assert_eq!(after.judges, []);
    inventories.close().await;
}

/// Found by a measurement: with a test of the workload in it SQLite made an index of all decisions first.
async fn a_last_review_is_looked_up_by_its_key_alone(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = History::new(5, 100, 6, NOW);
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    let times = history.decisions.iter().rev().map(|stored| stored.decision.at);
    let sql = of_their_milliseconds(&test.store.database, times).expect("some");
    let steps = plan(&test.store.database, sql).await;
    let (wanted, refused) = match kind {
        Kind::Sqlite => ("SEARCH t USING INTEGER PRIMARY KEY", "AUTOMATIC"),
        Kind::Postgres => ("Index Cond: ((key >= ", "Seq Scan on decision"),
    };
    assert!(steps.iter().any(|step| step.contains(wanted)), "{steps:#?}");
    assert!(!steps.iter().any(|step| step.contains(refused)), "{steps:#?}");
}

async fn of_a_part_it_is_counted_by_an_index_alone(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    inventories.add(&inventory("prod", 1, true)).await.expect("stored");
    let shop = Rights::Only(vec![Realm::new(&["prod".to_owned()], &["shop".to_owned()])]);
    let reach = test.store.reach(&shop).await.expect("a part");
    forget();
    test.store.inventories("prod", &reach).await.expect("a list");
    let of_workloads: Vec<_> = seen().into_iter().filter(|sql| sql.text.contains("inventory_workloads")).collect();
    assert_eq!(of_workloads.len(), 1);
    for sql in of_workloads {
        let steps = plan(&test.store.database, sql).await;
        let index = "inventory_workloads_of_namespace";
        assert!(steps.iter().any(|step| step.contains(index)), "{steps:#?}");
    }
    inventories.close().await;
}

async fn the_newest_is_read_alone(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let inventories = Inventories::open(&test.settings).await.expect("opened");
    for at in [3, 9, 5] {
        inventories.add(&inventory("prod", at, true)).await.expect("stored");
    }
    let newest = test.store.newest_inventory("prod", &Reach::Everything).await.expect("a read");
    assert_eq!(newest.map(|stored| stored.at), Some(Timestamp(9)));
    assert_eq!(test.store.newest_inventory("nowhere", &Reach::Everything).await.expect("a read"), None);
    inventories.close().await;
}
