use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_millis(20);
const NEVER: Duration = Duration::from_secs(3600);
/// So long that only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("writable");
    }

    /// Lays `files` out as the kubelet mounts a ConfigMap or a Secret, in place of what was there.
    fn mount(&self, generation: &str, files: &[(&str, &str)]) {
        fs::create_dir(self.path(generation)).expect("a folder");
        for (name, content) in files {
            self.write(&format!("{generation}/{name}"), content);
        }
        symlink(generation, self.path("..data_tmp")).expect("a symlink");
        fs::rename(self.path("..data_tmp"), self.path("..data")).expect("the swap");
        for (name, _) in files {
            if !self.path(name).exists() {
                symlink(format!("..data/{name}"), self.path(name)).expect("a symlink");
            }
        }
    }

    /// On events alone.
    fn watch(&self, names: &[&str]) -> Watch {
        let watch = Watch::with(names.iter().map(|name| self.path(name)).collect(), SOON, NEVER);
        assert!(watch.events.are_there(), "this system gives events");
        watch
    }
}

async fn changed(watch: &mut Watch) -> Vec<PathBuf> {
    timeout(PATIENCE, watch.changed()).await.expect("the change is seen")
}

#[tokio::test]
async fn a_config_map_swap_is_seen() {
    let place = Place::new();
    place.mount("..2026_1", &[("tls.crt", "a"), ("tls.key", "b"), ("ca.crt", "c")]);
    let mut watch = place.watch(&["tls.crt", "tls.key", "ca.crt"]);
    place.mount("..2026_2", &[("tls.crt", "A"), ("tls.key", "B"), ("ca.crt", "c")]);
    fs::remove_dir_all(place.path("..2026_1")).expect("the kubelet cleans up");
    assert_eq!(changed(&mut watch).await, [place.path("tls.crt"), place.path("tls.key")]);
    place.mount("..2026_3", &[("tls.crt", "A"), ("tls.key", "B"), ("ca.crt", "C")]);
    assert_eq!(changed(&mut watch).await, [place.path("ca.crt")]);
}

#[tokio::test]
async fn a_rewritten_file_is_seen() {
    let place = Place::new();
    place.write("a", "1");
    place.write("b", "1");
    let mut watch = place.watch(&["a", "b"]);
    place.write("a", "2");
    assert_eq!(changed(&mut watch).await, [place.path("a")]);
}

#[tokio::test]
async fn a_file_renamed_over_another_is_seen() {
    let place = Place::new();
    place.write("a", "1");
    let mut watch = place.watch(&["a"]);
    place.write("a.new", "2");
    fs::rename(place.path("a.new"), place.path("a")).expect("a rename");
    assert_eq!(changed(&mut watch).await, [place.path("a")]);
}

#[tokio::test]
async fn what_vanishes_is_told_when_it_is_back_and_other() {
    let place = Place::new();
    place.write("a", "1");
    place.write("b", "1");
    let mut watch = place.watch(&["a", "b", "late"]);
    fs::remove_file(place.path("a")).expect("it was there");
    place.write("b", "2");
    assert_eq!(changed(&mut watch).await, [place.path("b")], "a vanished, which is no content");
    place.write("a", "1");
    place.write("b", "3");
    assert_eq!(changed(&mut watch).await, [place.path("b")], "a is back as it was");
    fs::remove_file(place.path("a")).expect("it was there");
    place.write("a", "2");
    assert_eq!(changed(&mut watch).await, [place.path("a")]);
    place.write("late", "1");
    assert_eq!(changed(&mut watch).await, [place.path("late")], "it was not there at the start");
}

#[tokio::test]
async fn the_same_content_and_other_files_are_no_change() {
    let place = Place::new();
    place.write("a", "1");
    place.write("b", "1");
    let mut watch = place.watch(&["a", "b"]);
    place.write("a", "1");
    place.write("unwatched", "1");
    place.write("b", "2");
    assert_eq!(changed(&mut watch).await, [place.path("b")]);
}

#[tokio::test]
async fn looking_leads_to_no_further_look() {
    let place = Place::new();
    place.write("a", "1");
    let mut watch = place.watch(&["a"]);
    place.write("a", "2");
    assert_eq!(changed(&mut watch).await, [place.path("a")]);
    // Of the write there may be one more hint; reading alone must give none. Several quiet spans are waited for.
    let mut hints = 0;
    while timeout(SOON * 10, watch.hints.recv()).await.is_ok() {
        watch.look().await;
        hints += 1;
        assert!(hints < 5, "each look is followed by another");
    }
}

#[tokio::test]
async fn what_events_do_not_tell_the_poll_sees() {
    let (place, elsewhere) = (Place::new(), Place::new());
    elsewhere.write("a", "1");
    symlink(elsewhere.path("a"), place.path("a")).expect("a symlink");
    let mut watch = Watch::with(vec![place.path("a")], SOON, SOON);
    elsewhere.write("a", "2");
    assert_eq!(changed(&mut watch).await, [place.path("a")]);
}

#[tokio::test]
async fn a_file_in_a_folder_that_is_made_later_is_seen() {
    let place = Place::new();
    let mut watch = place.watch(&["no-such-folder/b"]);
    fs::create_dir(place.path("no-such-folder")).expect("a folder");
    assert!(timeout(SOON * 10, watch.changed()).await.is_err(), "there is no content yet");
    place.write("no-such-folder/b", "1");
    assert_eq!(changed(&mut watch).await, [place.path("no-such-folder/b")]);
}

#[tokio::test]
async fn a_file_that_comes_or_goes_is_a_change_of_its_folder() {
    let place = Place::new();
    place.mount("..2026_1", &[("a.rego", "a"), ("b.rego", "b")]);
    fs::create_dir(place.path("empty")).expect("a folder");
    let mut watch = place.watch(&["", "empty", "a.rego"]);
    place.write("empty/c.rego", "c");
    assert_eq!(changed(&mut watch).await, [place.path("empty")]);
    fs::remove_file(place.path("b.rego")).expect("it was there");
    assert_eq!(changed(&mut watch).await, [place.path("")]);
    place.mount("..2026_2", &[("a.rego", "A")]);
    assert_eq!(changed(&mut watch).await, [place.path("a.rego")], "the names are the same");
}

#[tokio::test]
async fn a_folder_that_takes_another_s_place_is_watched() {
    let place = Place::new();
    for (folder, content) in [("one", "1"), ("two", "2")] {
        fs::create_dir_all(place.path(&format!("{folder}/policies"))).expect("a folder");
        place.write(&format!("{folder}/policies/a"), content);
    }
    symlink("one", place.path("current")).expect("a symlink");
    let mut watch = place.watch(&["mark", "current/policies/a"]);
    symlink("two", place.path("next")).expect("a symlink");
    fs::rename(place.path("next"), place.path("current")).expect("the swap");
    // Of a link further up the events do not tell.
    place.write("mark", "1");
    assert_eq!(changed(&mut watch).await, [place.path("mark"), place.path("current/policies/a")]);
    place.write("two/policies/a", "3");
    assert_eq!(changed(&mut watch).await, [place.path("current/policies/a")]);
}

#[tokio::test]
async fn what_is_set_is_watched_and_nothing_else() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.write(name, "1");
    }
    let mut watch = place.watch(&["a", "b"]);
    place.write("a", "2");
    assert!(watch.set(vec![place.path("a"), place.path("c")]).await, "c is new");
    assert_eq!(changed(&mut watch).await, [place.path("a")], "it changed before, which nobody was told");
    assert!(!watch.set(vec![place.path("c"), place.path("a")]).await, "both were watched");
    place.write("b", "2");
    place.write("c", "2");
    assert_eq!(changed(&mut watch).await, [place.path("c")]);
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let place = Place::new();
    place.write("a", "1");
    let mut watch = place.watch(&["a"]);
    assert!(timeout(SOON, watch.changed()).await.is_err(), "nothing has changed yet");
    place.write("a", "2");
    for _ in 0..1000 {
        if let Ok(changed) = timeout(Duration::from_micros(200), watch.changed()).await {
            assert_eq!(changed, [place.path("a")]);
            return;
        }
    }
    assert_eq!(changed(&mut watch).await, [place.path("a")]);
}
