//! `rehearsal migrate`, beside replicas that start, and cut off in the middle.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

use crate::harness::process::Ended;
use crate::harness::{DEADLINE, Rehearsal, postgres, repository, run, wait_for};
use crate::{Database, send, uids};

/// The last of the migrations that a database of an earlier version has.
const EARLIER: i64 = 3;

/// When the rows of [`written`] are of, in ms, and the start of that day (2023-11-14) and its end.
const AT: i64 = 1_700_000_000_000;
const DAY: [i64; 2] = [AT / 86_400_000 * 86_400_000, (AT / 86_400_000 + 1) * 86_400_000];

impl Database {
    async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::new().host("127.0.0.1").port(self.port()).username(postgres::USER);
        options.password(postgres::PASSWORD).database(&self.name).connect().await.expect("the server is there")
    }

    /// As a version left it whose last migration that is.
    async fn of_an_earlier_version(&self, last: i64) {
        migrations("postgres", last).await.run_direct(None, &mut self.connect().await, false).await.expect("migrated");
    }

    fn waits_for_a_lock(&self) -> Option<String> {
        let pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rehearsal' \
                    AND wait_event_type = 'Lock' AND wait_event <> 'advisory'";
        Some(self.psql(pids)).filter(|pids| !pids.is_empty())
    }
}

async fn migrations(of: &str, last: i64) -> Migrator {
    let mut migrations = Migrator::new(repository().join("migrations").join(of)).await.expect("migrations");
    migrations.migrations.to_mut().retain(|migration| migration.version <= last);
    migrations
}

/// What a version of the fifteenth migration wrote: a row of each kind that later ones look at. `id` is a decision's.
fn written(id: &str) -> String {
    format!(
        "INSERT INTO decisions (key, id, batch, cluster, namespace, workload, review, outcome, revision, dry_run, answer, \
             code, would_reject, redacted, clock_suspect, duration_us) \
             VALUES ({key}, {id}, 1, 1, 1, 1, 1, 1, 1, FALSE, 0, 200, FALSE, FALSE, FALSE, 1); \
         INSERT INTO workload_totals (workload, dry_run, replica, first_at, last_at, reviews, denied, would_reject) \
             VALUES (1, FALSE, 1, {AT}, {AT}, 1, 0, 0); \
         INSERT INTO revisions (name, text, loaded_at) VALUES ('cafe', '{{}}', {AT}), ('named', NULL, NULL); \
         INSERT INTO rule_texts (policy, rule, text, version) VALUES ('images', 'pinned', '', 'aaaa')",
        key = AT << 21
    )
}

/// What the later migrations make of it, as text.
const MADE: [(&str, &str); 4] = [
    ("SELECT CAST(count(*) AS TEXT) FROM decisions", "1"),
    (
        "SELECT CAST(count(*) AS TEXT) FROM horizons WHERE kind IN ('agreements', 'exemptions') \
         AND before > 1700000000000",
        "2",
    ),
    ("SELECT revision || ' ' || CAST(at AS TEXT) FROM revision_loads", "cafe 1700000000000"),
    ("SELECT CAST(count(*) AS TEXT) FROM rule_texts WHERE kept_at > 1700000000000", "1"),
];

fn brought(ended: &Ended, from: &str, to: &str) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = format!("the schema was brought from {from} to {to}\n");
    assert!(ended.stdout.ends_with(&line), "{line} expected: {}", ended.stdout);
}

#[tokio::test]
async fn migrate_says_from_which_number_to_which() {
    let database = Database::new();
    let ended = database.migrate().ends().await;
    let to = database.schema();
    let place = format!("127.0.0.1:{}/{}", database.port(), database.name);
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{place}: schema {to} is made\n")));
    let ended = database.migrate().ends().await;
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("{place}: schema {to} is up to date\n")));
    let earlier = Database::new();
    earlier.of_an_earlier_version(EARLIER).await;
    brought(&earlier.migrate().ends().await, "3", &to);

    let dir = tempfile::tempdir().expect("a directory");
    let migrate = || run(dir.path(), &["migrate"]);
    let file = "rehearsal-data/history.sqlite";
    assert_eq!(migrate().stdout, format!("{file}: schema {to} is made\n"));
    assert_eq!(migrate().stdout, format!("{file}: schema {to} is up to date\n"));
    std::fs::write(dir.path().join("wrong.yaml"), "store: mysql\n").expect("ours");
    assert_eq!(run(dir.path(), &["migrate", "--config", "wrong.yaml"]).code, Some(2));
}

#[tokio::test]
async fn a_history_that_holds_something_goes_on_on_postgres() {
    let database = Database::new();
    database.of_an_earlier_version(15).await;
    let [from, to] = DAY.map(|at| at << 21);
    let by_day = ["decisions", "decision_rules", "decision_repositories", "decision_candidates"];
    for table in by_day {
        let day = format!("{table}_20231114 PARTITION OF {table} FOR VALUES FROM ({from}) TO ({to})");
        database.psql(&format!("CREATE TABLE {day}"));
    }
    database.psql(&written("'\\x8000000000000001'"));
    brought(&database.migrate().ends().await, "15", &database.schema());
    for (sql, expected) in MADE {
        assert_eq!(database.psql(sql), expected, "{sql}");
    }
    let partitioned = database.psql("SELECT relname FROM pg_class WHERE relkind = 'p' ORDER BY relname");
    let partitioned: Vec<&str> = partitioned.lines().collect();
    assert!(partitioned.len() > by_day.len(), "{partitioned:?}");
    let bounds = format!("FOR VALUES FROM ('{from}') TO ('{to}')");
    let expected: Vec<String> = partitioned.iter().map(|table| format!("{table}|{table}_20231114|{bounds}")).collect();
    let partitions = "SELECT p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i \
                      JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent \
                      WHERE c.relkind = 'r' ORDER BY p.relname";
    assert_eq!(database.psql(partitions).lines().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_history_that_holds_something_goes_on_on_sqlite() {
    for last in [15, 19] {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("rehearsal-data/history.sqlite");
        std::fs::create_dir(file.parent().expect("a directory")).expect("ours");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut connection = options.connect().await.expect("a file");
        migrations("sqlite", last).await.run_direct(None, &mut connection, false).await.expect("migrated");
        let written = written("X'00000000000070008000000000000001'");
        sqlx::raw_sql(AssertSqlSafe(written)).execute(&mut connection).await.expect("written");
        connection.close().await.expect("closed");
        let ended = run(dir.path(), &["migrate"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let mut connection = SqliteConnectOptions::new().filename(&file).connect().await.expect("a file");
        // The nineteenth has counted agreements from the beginning, and texts since they have a time.
        for (sql, expected) in MADE.into_iter().filter(|_| last == 15) {
            let found: String = sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql);
            assert_eq!(found, expected, "{sql}");
        }
        let known = "SELECT count(*) FROM horizons WHERE kind = 'exemptions'";
        let known: i64 = sqlx::query_scalar(known).fetch_one(&mut connection).await.expect(known);
        assert_eq!(known, 1, "since when exemptions are counted, after {last}");
    }
}

/// Nobody had let anything through yet, and its decisions are not in the figures all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_history_with_decisions_it_is_said_since_when_exemptions_are_counted() {
    for is_filled in [true, false] {
        let database = Database::new();
        database.of_an_earlier_version(19).await;
        if is_filled {
            database.psql("INSERT INTO workload_totals VALUES (1, FALSE, 1, 1700000000000, 1700000000000, 1, 0, 0)");
        }
        let replica = database.serving("lab", "").start().await;
        wait_for("the report", || async { (replica.get("/").await.status == 200).then_some(()) }).await;
        let exemptions = replica.get("/api/v1/exemptions").await;
        assert_eq!(exemptions.json()["known_since"].is_string(), is_filled, "{}", exemptions.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_and_starts_at_once_make_one_schema() {
    for is_new in [true, false] {
        let database = Database::new();
        if !is_new {
            database.of_an_earlier_version(EARLIER).await;
        }
        let migrations: Vec<_> = (0..3).map(|_| tokio::spawn(database.migrate().ends())).collect();
        let starts: Vec<_> = (0..3).map(|_| tokio::spawn(database.serving("lab", "").start())).collect();
        for migration in migrations {
            let ended = migration.await.expect("no panic");
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
        let mut sent = 0;
        for start in starts {
            let replica: Rehearsal = start.await.expect("no panic");
            send(&replica, uids(&format!("u{sent}"), 1)).await;
            sent += 1;
            wait_for("the report", || async { (replica.get("/").await.status == 200).then_some(()) }).await;
            replica.decisions("", sent).await;
        }
        let twice =
            "SELECT count(*) FROM (SELECT version FROM _sqlx_migrations GROUP BY version HAVING count(*) > 1) t";
        assert_eq!(database.psql(twice), "0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_killed_halfway_is_done_again() {
    let database = Database::new();
    database.of_an_earlier_version(EARLIER).await;
    // The fourth has made tables by the time that it comes to this one.
    let mut other = database.connect().await;
    let mut held = other.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE batches IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.expect("the lock");

    let migrate = database.migrate();
    let mut killed = migrate.spawn();
    wait_for("the migration to wait", || async { database.waits_for_a_lock() }).await;
    killed.child.kill().expect("our own child");
    killed.child.wait().expect("our own child");

    let mut cut = migrate.spawn();
    wait_for("the next one to be there", || async { cut.ended().or_else(|| database.waits_for_a_lock()) }).await;
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name = 'rehearsal'";
    wait_for("its end", || async {
        database.psql(all);
        cut.ended()
    })
    .await;
    assert_eq!(cut.wait(DEADLINE).await, Some(1));
    wait_for("the end of its output", || async { cut.drained().then_some(()) }).await;
    assert!(cut.stderr().contains("the history cannot be reached: "), "{}", cut.stderr());
    assert_eq!((database.schema(), database.psql("SELECT to_regclass('replicas')")), ("3".to_owned(), String::new()));

    let again = tokio::spawn(database.migrate().ends());
    let starting = tokio::spawn(database.serving("lab", "").start());
    wait_for("a migration to wait", || async { database.waits_for_a_lock() }).await;
    held.rollback().await.expect("given back");
    assert_eq!(again.await.expect("no panic").code, Some(0));
    let replica = starting.await.expect("no panic");
    send(&replica, uids("u", 1)).await;
    wait_for("the report", || async { (replica.get("/").await.status == 200).then_some(()) }).await;
    replica.decisions("", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_does_not_wait_for_a_migration_that_takes_long() {
    let database = Database::new();
    database.of_an_earlier_version(EARLIER).await;
    let mut other = database.connect().await;
    let mut held = other.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE batches IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await.expect("the lock");
    let replica = database.serving("lab", "").start().await;
    send(&replica, uids("meanwhile", 3)).await;
    let ready = replica.get("/readyz").await;
    assert!(ready.status == 200 && ready.text().contains("is still being opened"), "{}", ready.text());
    assert!(replica.get("/").await.text().contains("is still being opened"));
    held.rollback().await.expect("given back");
    wait_for("the report", || async { (replica.get("/").await.status == 200).then_some(()) }).await;
    replica.decisions("", 3).await;
}
