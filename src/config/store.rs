//! The meaning of what is written about the history: where it is, and how long it is kept.

use std::path::Path;
use std::time::Duration;

use crate::store::settings::{PostgresSettings, Protection, RetentionSettings, StoreSettings};

use super::files::Purpose;
use super::form::{Form as _, Size, Written};
use super::meaning::Ground;
use super::mistake::Wrong;
use super::written::{Retention, Store};

pub fn store(store: Store, data_dir: &Path, ground: &mut Ground<'_>) -> StoreSettings {
    let written = match store {
        Store::File(_) => return StoreSettings::Sqlite(data_dir.to_owned()),
        Store::Server(written) => written,
    };
    let password_file = written.password_file.map(|file| ground.file("store.password_file", &file, Purpose::Password));
    let ca = written.ca.map(|file| ground.file("store.ca", &file, Purpose::Authorities));
    let Some(Written(url)) = written.url else {
        // Already a mistake.
        return StoreSettings::Sqlite(data_dir.to_owned());
    };
    let settings = PostgresSettings { url, password_file, ca };
    protected(&settings, ground);
    StoreSettings::Postgres(settings)
}

/// That the server is who it says, or that the connection does not leave this machine.
fn protected(settings: &PostgresSettings, ground: &mut Ground<'_>) {
    let protection = settings.protection();
    if settings.ca.is_some() && (settings.url.is_socket() || protection < Protection::VerifyCa) {
        let wrong = match settings.url.is_socket() {
            true => Wrong::new(
                "a Unix socket has no TLS, so nobody looks at this",
                "take it out, or connect to a host instead",
            ),
            false => Wrong::new(
                format!("sslmode={} does not look at it", protection.as_str()),
                "take it out, or write sslmode=verify-full into store.url",
            ),
        };
        ground.wrong("store.ca", wrong);
    } else if !settings.url.is_local() && protection < Protection::VerifyFull {
        let risk = match protection {
            Protection::Disable | Protection::Prefer => "may go without TLS: whoever is between can read the history",
            _ => "does not check that the server is the one that it is called: whoever is between can be it",
        };
        ground.warnings.push(format!("store.url: with sslmode={} the connection {risk}", protection.as_str()));
    }
}

/// How long what is kept, for a person.
pub fn kept(settings: &RetentionSettings) -> String {
    let RetentionSettings { decisions, notable, dry_run, events, rollups, max_size } = settings;
    let at_most = max_size.map(|bytes| format!(", at most {}", Size(bytes).write())).unwrap_or_default();
    format!(
        "decisions {}, notable {}, dry runs {}, events {}, figures {}{at_most}",
        decisions.write(),
        notable.write(),
        dry_run.write(),
        events.write(),
        rollups.write()
    )
}

const DAY: Duration = Duration::from_secs(86_400);

/// Less than an empty history with its indexes and its log may take.
const LEAST_SIZE: Size = Size(64 << 20);

pub fn retention(retention: Retention, ground: &mut Ground<'_>) -> RetentionSettings {
    let mut kept = |name: &str, Written(duration): Written<Duration>| {
        if duration < DAY {
            let wrong = Wrong::new(
                format!("{} is less than a day", duration.write()),
                "write a day or more, such as 7d: the history is kept and dropped by days",
            );
            ground.wrong_once(&format!("retention.{name}"), wrong);
        }
        duration
    };
    let settings = RetentionSettings {
        decisions: kept("decisions", retention.decisions),
        notable: kept("notable", retention.notable),
        dry_run: kept("dry_run", retention.dry_run),
        events: kept("events", retention.events),
        rollups: kept("rollups", retention.rollups),
        max_size: retention.max_size.map(|Written(Size(bytes))| bytes),
    };
    if let Some(bytes) = settings.max_size.filter(|bytes| *bytes < LEAST_SIZE.0) {
        let problem = format!("{} is less than an empty history may take", Size(bytes).write());
        ground.wrong("retention.max_size", Wrong::new(problem, format!("write at least {}", LEAST_SIZE.write())));
    }
    let RetentionSettings { decisions, notable, dry_run, rollups, .. } = settings;
    in_order(("dry_run", dry_run), ("decisions", decisions), "a dry run is a decision", ground);
    in_order(("decisions", decisions), ("notable", notable), "a notable decision is never dropped first", ground);
    in_order(("notable", notable), ("rollups", rollups), "what is listed is counted", ground);
    settings
}

fn in_order((shorter, short): (&str, Duration), (longer, long): (&str, Duration), why: &str, ground: &mut Ground<'_>) {
    let fields = [format!("retention.{shorter}"), format!("retention.{longer}")];
    if short <= long || fields.iter().any(|field| ground.mistakes.at(field)) {
        return;
    }
    // Shown at the one that was written; the other may be the default.
    let at = fields.iter().position(|field| ground.tree.at(field).is_some()).unwrap_or(0);
    let wrong = Wrong::new(
        format!("{shorter} is {} and {longer} is {}, but {why}", short.write(), long.write()),
        format!("write {longer} as long as {shorter}, or longer"),
    );
    ground.wrong(&fields[at], wrong);
}
