//! Everything beside the decisions.

use uuid::Uuid;

use super::*;
use crate::policy::ceiling::Ceiling;
use crate::review::decision::{Amendment, Gap, Mode, ObjectSample, PolicyVerdict, Verdict};
use crate::store::reach::Reach;
use crate::store::retention::deletion_of_judged;
use crate::store::sql::Sql;
use crate::store::tests::plans::seen_in_transactions;

on_both![
    figures_go_by_their_own_age_and_are_never_changed,
    events_go_when_they_are_due,
    objects_stay_with_their_decisions,
    an_odd_id_s_place_goes_with_its_decision,
    evidence_that_a_batch_renews_before_its_deletion_stays,
    texts_of_rules_go_with_the_last_evidence_of_them,
    a_step_reads_what_its_decisions_say_once,
];

async fn figures_go_by_their_own_age_and_are_never_changed(kind: Kind) {
    let (test, _) = stored(kind, 41, 700).await;
    let tables = [
        "rollup_totals",
        "rollup_rules",
        "rollup_repositories",
        "rollup_candidates",
        "rollup_agreements",
        "rollup_disagreements",
    ];
    let rows = async || {
        let mut all = Vec::new();
        for table in tables {
            all.extend(test.dump(&format!("SELECT t.width, t.bucket, '{table}', t.* FROM {table} t")).await);
        }
        for (table, at) in [
            ("workload_rules", "t.day"),
            ("image_workloads", "t.last_at"),
            ("workload_judged", "t.last_key >> 21"),
            (
                "workload_against",
                "(CASE WHEN t.last_key > t.exempted_key THEN t.last_key ELSE t.exempted_key END) >> 21",
            ),
        ] {
            all.extend(test.dump(&format!("SELECT 1440, {at}, '{table}', t.* FROM {table} t")).await);
        }
        all.sort();
        all
    };
    let all = rows().await;
    let totals = test.dump("SELECT * FROM workload_totals").await.len();
    for days in [0, 1, 60, 365, 800] {
        let now = later(days);
        sweep(&test, now).await;
        let is_kept = |row: &&String| {
            let mut columns = row.split('|').map(str::parse::<i64>);
            let mut next = || columns.next().expect("a column").expect("a number");
            let days = match next() {
                15 => 8,
                60 => 90,
                _ => 730,
            };
            next() >= cutoff(now, days).0
        };
        assert_eq!(rows().await, all.iter().filter(is_kept).cloned().collect::<Vec<_>>(), "{days} days later");
    }
    assert_eq!(test.dump("SELECT * FROM workload_totals").await.len(), totals);
}

async fn events_go_when_they_are_due(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let gap = |days: i64, to: Option<i64>| {
        Record::Gap(Gap {
            id: DecisionId::at(later(days)),
            cluster: None,
            from: later(days),
            to: to.map(later),
            count: None,
            reason: "a test".to_owned(),
        })
    };
    let unjudged = |days: i64| Record::Unjudged {
        id: DecisionId::at(later(days)),
        cluster: "lab".to_owned(),
        bucket: Timestamp(later(days).0 / 900_000 * 900_000),
        count: 3,
    };
    let presence = |from: i64, to: i64| Record::Presence {
        replica: Uuid::from_u128(7),
        clusters: vec!["lab".to_owned()],
        from: later(from),
        to: later(to),
    };
    let amendment = |days: i64| {
        let verdict = PolicyVerdict {
            policy: "bouncer".to_owned(),
            version: None,
            mode: Mode::Audit,
            verdict: Verdict::Allow,
            violations: Vec::new(),
            standing: Vec::new(),
            omitted: 0,
            held_back: None,
            presented: None,
            error: None,
            duration_us: None,
        };
        Record::Amendment(Amendment {
            decision: DecisionId::at(later(days)),
            at: later(days),
            candidate: false,
            verdict,
        })
    };
    let records = [
        gap(-100, Some(-99)),
        gap(-50, Some(-10)),
        gap(-60, None),
        unjudged(-100),
        unjudged(-10),
        presence(-100, -90),
        presence(-80, -40),
        amendment(-20),
        amendment(-2),
    ];
    test.store.apply_at(&records, later(-1)).await.expect("a batch");
    let decisions = History::new(42, 5, 1, NOW);
    for days in [0, 1] {
        test.store.apply_at(&decisions.records, later(days)).await.expect("a batch");
    }
    let ceiling = Ceiling {
        id: DecisionId::at(later(-100)),
        most: Mode::Audit,
        policy: None,
        namespace: None,
        include_webhooks: false,
        ticket: "INC-1".to_owned(),
        reason: None,
        by: "ana@desk".to_owned(),
        from: later(-100),
        until: later(-99),
        lifted: None,
    };
    test.store.keep_ceiling(&ceiling).await.expect("kept");
    let counts = async || {
        let mut counts = Vec::new();
        for table in ["gaps", "unjudged", "presence", "pending_amendments", "batches", "ceilings"] {
            counts.push(test.count(table).await.parse::<u32>().expect("a count"));
        }
        counts
    };
    sweep(&test, later(0)).await;
    assert_eq!(counts().await, [3, 2, 2, 1, 1, 1]);
    sweep(&test, later(8)).await;
    assert_eq!(counts().await, [3, 2, 2, 0, 1, 1], "of the day on which they end");
    sweep(&test, later(9)).await;
    assert_eq!(counts().await, [3, 2, 2, 0, 0, 1]);
    sweep(&test, later(632)).await;
    assert_eq!(counts().await, [2, 1, 2, 0, 0, 0]);
    sweep(&test, later(641)).await;
    assert_eq!(counts().await, [2, 1, 1, 0, 0, 0]);
    sweep(&test, later(2_000)).await;
    assert_eq!(counts().await, [1, 0, 1, 0, 0, 0], "a gap that lasts, and the last word of a replica");
}

async fn objects_stay_with_their_decisions(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let history = of_some_days(43, 400);
    let mut records = history.records.clone();
    for stored in &history.decisions {
        records.push(Record::Object(ObjectSample {
            decision: stored.decision.id,
            at: stored.decision.at,
            cluster: stored.decision.cluster.clone(),
            review: stored.decision.review,
            object: "{}".to_owned(),
        }));
    }
    test.store.apply_at(&records, NOW).await.expect("a batch");
    for days in [0, 30, 150, 401] {
        let now = later(days);
        sweep(&test, now).await;
        for stored in &history.decisions {
            if is_kept(&stored.decision, now) {
                let object = test.store.object(stored.decision.id, &Reach::Everything).await.expect("a read");
                assert!(object.is_some(), "{days} days later: {:?}", stored.decision);
            }
        }
        let old = format!("SELECT count(*) FROM objects WHERE day < {}", cutoff(now, 400).0);
        assert_eq!(test.dump(&old).await, ["0"]);
        let idle = format!(
            "SELECT count(*) FROM objects o WHERE day < {} AND NOT EXISTS \
             (SELECT 1 FROM reviews v WHERE v.hash = o.review AND v.last_notable_day >= o.day)",
            cutoff(now, 90).0
        );
        assert_eq!(test.dump(&idle).await, ["0"]);
    }
    assert_eq!(test.count("objects").await, "0");
}

async fn an_odd_id_s_place_goes_with_its_decision(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let mut history = History::new(44, 40, 1, NOW);
    for (number, record) in history.records.iter_mut().enumerate() {
        if let Record::Decision(decision) = record {
            decision.id = DecisionId(Uuid::from_u128(number as u128));
            decision.dry_run = false;
        }
    }
    test.store.apply_at(&history.records, NOW).await.expect("a batch");
    assert_eq!(test.count("displaced_ids").await, "40");
    for days in [91, 401] {
        sweep(&test, later(days)).await;
        assert_eq!(test.count("displaced_ids").await, test.count("decisions").await);
        assert_eq!(orphans(&test).await, Vec::<String>::new());
    }
    assert_eq!(test.count("decisions").await, "0");
}

async fn evidence_that_a_batch_renews_before_its_deletion_stays(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let old = History::new(45, 60, 4, later(-100));
    test.store.apply_at(&old.records, later(-100)).await.expect("a batch");
    let all: usize = test.count("workload_judged").await.parse().expect("a count");
    let deletion = deletion_of_judged(&test.store.database, later(-50)).await.expect("a statement");
    // Of the same workloads, and stored between what a sweep reads and what it deletes.
    let decision = old.decisions.iter().map(|stored| &stored.decision);
    let renewed: Vec<Record> = decision
        .take(20)
        .map(|decision| Record::Decision(Box::new(Decision { id: DecisionId::at(NOW), at: NOW, ..decision.clone() })))
        .collect();
    test.store.apply_at(&renewed, NOW).await.expect("a batch");
    let fresh = format!("workload_judged WHERE last_key >> 21 >= {}", later(-50).0);
    let fresh: usize = test.count(&fresh).await.parse().expect("a count");
    assert!(fresh > 0 && fresh < all, "{fresh} of {all}");
    let mut tx = test.store.database.begin().await.expect("a transaction");
    let gone = tx.fetch(deletion).await.expect("deleted").len();
    tx.commit().await.expect("committed");
    assert_eq!((gone, test.count("workload_judged").await), (all - fresh, fresh.to_string()));
}

async fn texts_of_rules_go_with_the_last_evidence_of_them(kind: Kind) {
    let test = TestStore::new(kind, &HISTORY).await;
    let texts = async || test.dump("SELECT version FROM rule_texts ORDER BY version").await;
    let mut tx = test.store.database.begin().await.expect("a transaction");
    for statement in [
        "INSERT INTO policies (id, name) VALUES (7001, 'images')".to_owned(),
        "INSERT INTO versions (id, policy, name) VALUES (7002, 7001, 'judged')".to_owned(),
        format!(
            "INSERT INTO workload_judged (version, namespace, workload, replica, first_key, last_key) \
             VALUES (7002, 1, 1, 1, 1, {})",
            later(0).0 << 21
        ),
        format!(
            "INSERT INTO rule_texts (policy, rule, text, version, kept_at) VALUES \
             ('images', 'a', 't', 'unused', {old}), ('images', 'a', 't', 'judged', {old}), ('images', 'a', 't', 'used', {new}), \
             ('others', 'a', 't', 'newest', {old})",
            old = later(-100).0,
            new = later(0).0
        ),
    ] {
        tx.execute(Sql::new(&statement)).await.expect("a row");
    }
    tx.commit().await.expect("committed");
    sweep(&test, later(600)).await;
    assert_eq!(texts().await, ["judged", "newest", "unused", "used"], "none of them is due");
    let swept = sweep(&test, later(700)).await;
    assert_eq!(texts().await, ["judged", "newest", "used"]);
    assert_eq!(swept.deleted.get("rule_texts"), Some(&1));
    sweep(&test, later(731)).await;
    assert_eq!(texts().await, ["newest", "used"], "its evidence went with the same sweep");
}

/// Tickets of before they had numbers have none, and are looked for in each step all the same.
async fn a_step_reads_what_its_decisions_say_once(kind: Kind) {
    let (test, _) = stored(kind, 47, 900).await;
    let mut tx = test.store.database.begin().await.expect("a transaction");
    for table in ["exemptions", "decision_exemptions"] {
        tx.execute(Sql::new(&format!("DELETE FROM {table}"))).await.expect("no rows");
    }
    tx.commit().await.expect("committed");
    seen_in_transactions();
    // Of a day that goes whole Postgres reads none.
    sweep(&test, later(10)).await;
    let seen = seen_in_transactions();
    let steps: Vec<&[String]> = seen.split(|text| text.starts_with("SELECT d.key, d.id, d.outcome")).collect();
    for text in [
        "SELECT id, verdicts FROM outcomes",
        "SELECT kind, name, id FROM exemptions",
        "SELECT p.name, r.name, r.id FROM rules",
        "SELECT name, id FROM candidates",
    ] {
        let reads = steps.iter().map(|step| step.iter().filter(|read| read.starts_with(text)).count());
        assert_eq!(reads.max(), Some(1), "in one of {} steps: {text}", steps.len());
    }
}
