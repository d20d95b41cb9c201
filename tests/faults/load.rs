//! Reviews, as many as are answered, each with an id of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::harness::Rehearsal;
use crate::harness::reviews::pod_review;

/// Clients that send one review after the other, until they are stopped or nobody answers.
pub struct Load {
    answers: UnboundedReceiver<(String, u16)>,
    stop: Arc<AtomicBool>,
    answered: BTreeSet<String>,
    /// Statuses other than 200.
    refused: Vec<u16>,
}

/// What became of a load.
#[derive(Debug)]
pub struct Outcome {
    /// Ids of the reviews that got a 200.
    pub answered: BTreeSet<String>,
    pub refused: Vec<u16>,
}

// === impl Load ===

impl Load {
    /// `clients` of them; ids begin with `prefix`.
    pub fn begin(rehearsal: &Rehearsal, prefix: &str, clients: usize) -> Self {
        let (sender, answers) = unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        for number in 0..clients {
            let (client, url) = (rehearsal.client().clone(), format!("{}/review/lab", rehearsal.webhook_url()));
            let (sender, stop, prefix) = (sender.clone(), Arc::clone(&stop), format!("{prefix}-{number}"));
            tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Acquire) {
                        break;
                    }
                    let uid = format!("{prefix}-{n}");
                    let Ok(response) = client.try_post(&url, review(&uid, n)).await else { break };
                    // The test may have seen enough.
                    let _ = sender.send((uid, response.status));
                }
            });
        }
        Self { answers, stop, answered: BTreeSet::new(), refused: Vec::new() }
    }

    /// Waits for that many answers with a 200 in all.
    pub async fn reach(&mut self, answered: usize) {
        while self.answered.len() < answered {
            let answer = self.answers.recv().await.expect("somebody answers");
            self.take(answer);
        }
    }

    /// Tells the clients to end, and waits for the answers that are on their way.
    pub async fn end(self) -> Outcome {
        self.stop.store(true, Ordering::Release);
        self.until_nobody_answers().await
    }

    /// Until the clients have ended by themselves.
    pub async fn until_nobody_answers(mut self) -> Outcome {
        while let Some(answer) = self.answers.recv().await {
            self.take(answer);
        }
        Outcome { answered: self.answered, refused: self.refused }
    }

    fn take(&mut self, (uid, status): (String, u16)) {
        if status == 200 {
            assert!(self.answered.insert(uid), "each id is sent once");
        } else {
            self.refused.push(status);
        }
    }
}

/// A few namespaces, workloads and images; every third image would be rejected by the policy of the default.
fn review(uid: &str, n: usize) -> String {
    let image = if n.is_multiple_of(3) {
        "nginx:latest".to_owned()
    } else {
        format!("registry.test/app-{}:1.{}", n % 5, n % 7)
    };
    pod_review(uid, &format!("team-{}", n % 4), &format!("web-{}", n % 6), &[&image]).to_string()
}
