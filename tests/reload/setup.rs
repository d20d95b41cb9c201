//! A process whose configuration the test writes again.

use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;

use super::harness::reviews::image_review;
use super::harness::{Builder, Rehearsal, wait_for};

/// Denies images of this tag.
pub fn denies(tag: &str) -> String {
    format!(
        "policies:\n  - name: images\n    mode: enforce\n    rules:\n      - {{id: no-{tag}, deny: {{tag: {tag}}}}}\n"
    )
}

/// On a configuration that stays as the test writes it, over restarts too.
pub fn on(text: &str) -> Builder {
    Rehearsal::builder()
        .file("c.yaml", text)
        .args(&["serve", "--config", "c.yaml"])
        .env("REHEARSAL_JOURNAL_MAX_WAIT", "5s")
}

/// Whole at once, as an editor writes it.
pub fn write(dir: &Path, name: &str, text: &str) {
    let new = dir.join(format!(".{name}.new"));
    std::fs::write(&new, text).expect("the test's directory is writable");
    std::fs::rename(new, dir.join(name)).expect("the test's directory is writable");
}

/// Lays `files` out as the kubelet mounts a ConfigMap, in place of what was there.
pub fn mount(dir: &Path, generation: &str, files: &[(&str, &str)]) {
    std::fs::create_dir_all(dir.join(generation)).expect("a folder");
    for (name, content) in files {
        std::fs::write(dir.join(generation).join(name), content).expect("writable");
    }
    symlink(generation, dir.join("..data_tmp")).expect("a symlink");
    std::fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("the swap");
    for (name, _) in files {
        if std::fs::symlink_metadata(dir.join(name)).is_err() {
            symlink(format!("..data/{name}"), dir.join(name)).expect("a symlink");
        }
    }
}

/// Whether a pod with the image of this tag may come.
pub async fn allows(rehearsal: &Rehearsal, tag: &str) -> bool {
    rehearsal.review("/review/lab", &image_review("team-a", &[&format!("nginx:{tag}")])).await.allowed()
}

pub async fn reloads(rehearsal: &Rehearsal, result: &str) -> u64 {
    let label = format!("result=\"{result}\"");
    rehearsal.metric("rehearsal_reloads_total", &[&label]).await.round() as u64
}

pub async fn wait_for_reloads(rehearsal: &Rehearsal, result: &str, count: u64) {
    wait_for(&format!("{count} reloads: {result}"), || async {
        (reloads(rehearsal, result).await == count).then_some(())
    })
    .await;
}

/// What `/readyz` says.
pub async fn degraded(rehearsal: &Rehearsal) -> Vec<String> {
    let ready = rehearsal.get_json("/readyz").await;
    let said = ready["degraded"].as_array().expect("a list");
    said.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The name of what is in force.
pub async fn revision(rehearsal: &Rehearsal) -> String {
    let text = rehearsal.get("/metrics").await.text();
    let line = text.lines().find(|line| line.starts_with("rehearsal_revision_loaded_timestamp_seconds{"));
    line.and_then(|line| line.split('"').nth(1)).expect("one is loaded").to_owned()
}
