//! What became of suites, tests and cases, and how that is printed: line by line as gator does.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug)]
pub struct SuiteResult {
    pub path: PathBuf,
    pub took: Duration,
    pub tests: Vec<TestResult>,
}

#[derive(Debug)]
pub struct TestResult {
    pub name: String,
    pub end: End,
    pub cases: Vec<CaseResult>,
}

#[derive(Debug)]
pub struct CaseResult {
    pub name: String,
    pub end: End,
}

#[derive(Debug)]
pub enum End {
    Skipped,
    /// What it asks for is not done here.
    LeftOut(&'static str),
    Passed(Duration),
    Failed(Duration, String),
}

// === impl SuiteResult ===

impl SuiteResult {
    pub fn is_failure(&self) -> bool {
        self.tests.iter().any(TestResult::is_failure)
    }
}

// === impl TestResult ===

impl TestResult {
    fn is_failure(&self) -> bool {
        let failed = |end: &End| matches!(end, End::Failed(..));
        failed(&self.end) || self.cases.iter().any(|case| failed(&case.end))
    }
}

pub fn print(suites: &[SuiteResult], verbose: bool) -> String {
    let mut out = String::new();
    for suite in suites {
        for test in &suite.tests {
            print_test(test, verbose, &mut out);
        }
        let word = if suite.is_failure() { "FAIL" } else { "ok" };
        line(&mut out, format_args!("{word}\t{}\t{}", suite.path.display(), seconds(suite.took)));
    }
    let failed = suites.iter().any(SuiteResult::is_failure);
    line(&mut out, format_args!("{}", if failed { "FAIL" } else { "PASS" }));
    out
}

fn print_test(test: &TestResult, verbose: bool, out: &mut String) {
    let name = &test.name;
    if !begin("", name, &test.end, verbose, out) {
        return;
    }
    for case in &test.cases {
        if begin("    ", &case.name, &case.end, verbose, out) {
            end("    ", &case.name, &case.end, verbose, out);
        }
    }
    match &test.end {
        End::Passed(took) if test.is_failure() => line(out, format_args!("--- FAIL: {name}\t({})", seconds(*took))),
        other => end("", name, other, verbose, out),
    }
}

/// False where there is nothing more to say of it.
fn begin(indent: &str, name: &str, end: &End, verbose: bool, out: &mut String) -> bool {
    match end {
        End::Skipped if verbose => line(out, format_args!("{indent}=== SKIP  {name}")),
        End::Skipped => {}
        // Said in any case: it is not for its author's sake that it is not run.
        End::LeftOut(why) => line(out, format_args!("{indent}=== SKIP  {name}: {why}")),
        End::Passed(_) | End::Failed(..) => {
            if verbose {
                line(out, format_args!("{indent}=== RUN   {name}"));
            }
            return true;
        }
    }
    false
}

fn end(indent: &str, name: &str, end: &End, verbose: bool, out: &mut String) {
    match end {
        End::Failed(took, why) => {
            line(out, format_args!("{indent}--- FAIL: {name}\t({})", seconds(*took)));
            let deeper = if indent.is_empty() { "  " } else { "        " };
            line(out, format_args!("{deeper}{why}"));
        }
        End::Passed(took) if verbose => line(out, format_args!("{indent}--- PASS: {name}\t({})", seconds(*took))),
        End::Passed(_) | End::Skipped | End::LeftOut(_) => {}
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

fn seconds(took: Duration) -> String {
    format!("{:.3}s", took.as_secs_f64())
}
