//! A reading of the registry each minute, for the page that says what was wrong in the last hour.
//!
//! They are in memory alone: the page is read when the history is away, and of a process that was restarted it says so.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use crate::admission::Service;
use crate::admission::shed::Overload;
use crate::config::Config;
use crate::review::clock::Timestamp;
use crate::web::Known;
use crate::web::vitals::{Bounds, OnOverload, Reading, SPAN, Vitals};

#[derive(Debug)]
pub struct Pulse {
    registry: Arc<Mutex<Registry>>,
    /// Oldest first, one at least.
    readings: Mutex<VecDeque<Arc<Reading>>>,
}

const MINUTE: Duration = Duration::from_secs(60);

// === impl Pulse ===

impl Pulse {
    /// To be called before the first review, so that all that is counted is counted since.
    pub fn begin(registry: &Arc<Mutex<Registry>>) -> Arc<Self> {
        let registry = Arc::clone(registry);
        let first = Arc::new(read(&registry));
        Arc::new(Self { registry, readings: Mutex::new(VecDeque::from([first])) })
    }

    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(MINUTE)).await.is_some() {
            self.keep(read(&self.registry));
        }
    }

    /// Those of the last hour, the last of them of now.
    pub fn readings(&self) -> Vec<Arc<Reading>> {
        let kept = self.readings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kept.into_iter().chain([Arc::new(read(&self.registry))]).collect()
    }

    /// What the process measures of itself, for its page. `file` is the configuration's.
    pub fn vitals(self: &Arc<Self>, config: &Config, service: &Service, file: Option<&Path>) -> Known<Vitals> {
        let (pulse, service) = (Arc::clone(self), service.clone());
        let Config { webhook, journal, overload, .. } = config;
        let bounds = Bounds {
            in_flight: webhook.limits.max_in_flight,
            in_flight_bytes: webhook.limits.max_in_flight_bytes,
            connections: webhook.limits.connections,
            journal: journal.max_size,
            on_failure: journal.on_failure,
            overload: match overload {
                Overload::Answer => OnOverload::Answer,
                Overload::Refuse => OnOverload::Refuse,
            },
            config: file.map(|file| std::path::absolute(file).unwrap_or_else(|_| file.to_owned())),
        };
        Arc::new(move || Vitals {
            readings: pulse.readings(),
            bounds: bounds.clone(),
            can_enforce: service.can_enforce(),
        })
    }

    /// One that is an hour old is kept, to compare with.
    fn keep(&self, reading: Reading) {
        let edge = reading.at.0.saturating_sub(SPAN);
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        readings.push_back(Arc::new(reading));
        while readings.get(1).is_some_and(|second| second.at.0 <= edge) {
            readings.pop_front();
        }
    }
}

fn read(registry: &Mutex<Registry>) -> Reading {
    let mut text = String::new();
    let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
    encode(&mut text, &registry).expect("a String takes everything");
    drop(registry);
    Reading::of(Timestamp::now(), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_with_the_reading_before_it() {
        let pulse = Pulse::begin(&Arc::default());
        let start = pulse.readings()[0].at.0;
        let at = |minute: i64| Timestamp(start + minute * 60_000);
        for minute in 1..=90 {
            pulse.keep(Reading::of(at(minute), ""));
        }
        let kept = pulse.readings();
        assert_eq!((kept[0].at, kept[60].at, kept.len()), (at(30), at(90), 62));
    }
}
