//! `rehearsal verify` on suites in the format of `gator verify`.

mod harness;

use harness::process::Ended;
use harness::{Rehearsal, fixtures, run};

fn verify(args: &[&str]) -> Ended {
    run(&fixtures().join("gatekeeper"), &[&["verify"], args].concat())
}

/// Without the times.
fn lines(ended: &Ended) -> Vec<String> {
    let times = regex::Regex::new(r"\d+\.\d{3}s").expect("a regular expression");
    ended.stdout.lines().map(|line| times.replace_all(line, "TIME").into_owned()).collect()
}

#[test]
fn a_library_passes_as_it_is() {
    let ended = verify(&["./..."]);
    assert_eq!(
        lines(&ended),
        [
            "=== SKIP  schema: a constraint is not held against its template's schema here",
            "ok\t./repos/suite.yaml\tTIME",
            "ok\t./unique/suite.yaml\tTIME",
            "PASS",
        ]
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn every_case_is_told_where_that_is_asked_for() {
    let ended = verify(&["--verbose", "unique"]);
    assert_eq!(
        lines(&ended),
        [
            "=== RUN   hosts",
            "    === RUN   taken",
            "    --- PASS: taken\t(TIME)",
            "    === RUN   private-namespace",
            "    --- PASS: private-namespace\t(TIME)",
            "--- PASS: hosts\t(TIME)",
            "ok\tunique/suite.yaml\tTIME",
            "PASS",
        ]
    );
}

#[test]
fn some_are_run_by_their_names() {
    let run = |filter: &str| lines(&verify(&["-v", "--run", filter, "repos/suite.yaml"]));
    let ran = |lines: Vec<String>| -> Vec<String> {
        lines.iter().filter_map(|line| line.trim().strip_prefix("=== RUN   ").map(str::to_owned)).collect()
    };
    assert_eq!(ran(run("pods//^mixed$")), ["pods", "mixed"]);
    assert_eq!(ran(run("ours")), ["pods", "ours"]);
    assert_eq!(ran(run("nothing")), Vec::<String>::new());
    let wrong = verify(&["--run", "a//b//c", "repos"]);
    assert_eq!(
        (wrong.code, wrong.stderr.trim()),
        (Some(1), "error: --run: \"a//b//c\" has more than one `//`; write TEST//CASE")
    );
}

#[test]
fn what_does_not_hold_is_told_and_fails() {
    let library = Rehearsal::builder();
    for name in ["template.yaml", "constraint.yaml"] {
        let from = fixtures().join("gatekeeper/repos").join(name);
        std::fs::copy(from, library.dir().join(name)).expect("a copy");
    }
    let from = fixtures().join("gatekeeper/repos/samples/mixed.yaml");
    std::fs::copy(from, library.dir().join("mixed.yaml")).expect("a copy");
    let suite = "kind: Suite\napiVersion: test.gatekeeper.sh/v1alpha1\ntests:
- name: pods
  template: template.yaml
  constraint: constraint.yaml
  cases:
  - {name: none, object: mixed.yaml, assertions: [{violations: no}]}
  - {name: three, object: mixed.yaml, assertions: [{violations: 3, message: proxy}]}
  - {name: nothing-asked, object: mixed.yaml}
  - {name: absent, object: absent.yaml, assertions: [{violations: no}]}
- name: no-template
  template: absent.yaml
  constraint: constraint.yaml\n";
    let library = library.file("suite.yaml", suite);
    let ended = run(library.dir(), &["verify", "suite.yaml"]);
    assert_eq!(ended.code, Some(1));
    let lines = lines(&ended);
    let told = |what: &str| assert!(lines.iter().any(|line| line.contains(what)), "{what}: {lines:#?}");
    told("    --- FAIL: none\t(TIME)");
    told("unexpected number of violations: got 2 violations but want none: got messages [container <");
    told("got 1 violations containing \"proxy\" but want exactly 3");
    told("        invalid case: assertions must be non-empty");
    told("absent.yaml cannot be read: No such file or directory");
    told("--- FAIL: pods\t(TIME)");
    told("--- FAIL: no-template\t(TIME)");
    assert_eq!(lines.last().map(String::as_str), Some("FAIL"));
}
