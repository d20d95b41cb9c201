//! `rehearsal migrate`, beside replicas that start, and cut off in the middle.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::harness::process::Ended;
use crate::harness::{DEADLINE, Rehearsal, postgres, repository, run, wait_for};
use crate::{Database, send, uids};

/// The last of the migrations that a database of an earlier version has.
const EARLIER: i64 = 3;

impl Database {
    async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::new().host("127.0.0.1").port(self.port()).username(postgres::USER);
        options.password(postgres::PASSWORD).database(&self.name).connect().await.expect("the server is there")
    }

    /// As a version before the fourth migration left it.
    async fn of_an_earlier_version(&self) {
        let mut migrations = Migrator::new(repository().join("migrations/postgres")).await.expect("migrations");
        migrations.migrations.to_mut().retain(|migration| migration.version <= EARLIER);
        migrations.run_direct(None, &mut self.connect().await, false).await.expect("migrated");
    }

    fn waits_for_a_lock(&self) -> Option<String> {
        let pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rehearsal' \
                    AND wait_event_type = 'Lock' AND wait_event <> 'advisory'";
        Some(self.psql(pids)).filter(|pids| !pids.is_empty())
    }
}

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
    earlier.of_an_earlier_version().await;
    brought(&earlier.migrate().ends().await, "3", &to);

    let dir = tempfile::tempdir().expect("a directory");
    let migrate = || run(dir.path(), &["migrate"]);
    let file = "rehearsal-data/history.sqlite";
    assert_eq!(migrate().stdout, format!("{file}: schema {to} is made\n"));
    assert_eq!(migrate().stdout, format!("{file}: schema {to} is up to date\n"));
    std::fs::write(dir.path().join("wrong.yaml"), "store: mysql\n").expect("ours");
    assert_eq!(run(dir.path(), &["migrate", "--config", "wrong.yaml"]).code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_and_starts_at_once_make_one_schema() {
    for is_new in [true, false] {
        let database = Database::new();
        if !is_new {
            database.of_an_earlier_version().await;
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
    database.of_an_earlier_version().await;
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
    database.of_an_earlier_version().await;
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
