//! Work that no review waits for, on a thread of its own behind all others.

use std::io;
use std::thread;

use tokio::sync::oneshot;
use tracing::debug;

/// A nice value. Of a core that reviews want too, such a thread has a tenth: enough to end.
const BEHIND: i32 = 10;

#[derive(Debug, thiserror::Error)]
pub enum AsideError {
    #[error("it panicked, which the log has with its place")]
    Panicked,
    #[error("no thread could be started for it: {0}")]
    NoThread(#[source] io::Error),
}

pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, AsideError> {
    let (done, result) = oneshot::channel();
    let thread = thread::Builder::new().name("aside".to_owned()).spawn(move || {
        step_behind();
        // Nobody is there to hear it where the process stops.
        let _ = done.send(work());
    });
    thread.map_err(AsideError::NoThread)?;
    result.await.map_err(|_| AsideError::Panicked)
}

/// Linux alone has a nice value for each thread. One that is as far behind already, since the whole process is, stays
/// there: the nice value is set, not added to.
fn step_behind() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let set = rustix::process::getpriority_process(None).and_then(|present| match present < BEHIND {
        true => rustix::process::setpriority_process(None, BEHIND),
        false => Ok(()),
    });
    if let Err(error) = set {
        debug!("work that no review waits for runs beside all others: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_behind_and_the_thread_that_waits_for_it_is_not() {
        let nice = || rustix::process::getpriority_process(None).expect("a nice value");
        let before = nice();
        let there = aside(nice).await.expect("an end");
        assert_eq!(there, if cfg!(target_os = "linux") { before.max(BEHIND) } else { before });
        assert_eq!(nice(), before);
    }

    /// It was set to that of [`BEHIND`], which is before them.
    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_further_behind_stays_there() {
        // The end of the scale, which everybody may go to.
        const FURTHER: i32 = 19;
        let there = thread::spawn(|| {
            rustix::process::setpriority_process(None, FURTHER).expect("no right is needed");
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(aside(|| rustix::process::getpriority_process(None).expect("a nice value")))
        });
        assert_eq!(there.join().expect("no panic").expect("an end"), FURTHER);
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let told = aside(|| panic!("on purpose")).await.expect_err("no result");
        assert!(matches!(told, AsideError::Panicked), "{told}");
    }
}
