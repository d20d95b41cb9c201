//! Broken documents with the exact messages that each gets: `mistakes.txt` has a document, `>>>`, its messages
//! (without the name of the file), `=====`, and so on.

use super::*;

#[test]
fn every_mistake_is_reported_at_once_with_its_place_and_what_would_be_right() {
    let mut tried = 0;
    for case in include_str!("mistakes.txt").split("=====\n") {
        let (yaml, expected) = case.split_once(">>>\n").unwrap();
        let written = Written::new(yaml);
        let errors = written.load().expect_err(yaml);
        let lines: Vec<String> =
            written.lines(&errors).iter().map(|line| line.replacen("rehearsal.yaml:", "", 1)).collect();
        assert_eq!(lines, expected.lines().collect::<Vec<_>>(), "of the document\n{yaml}");
        tried += 1;
    }
    assert!(tried > 30, "only {tried} cases");
}

#[test]
fn a_file_that_cannot_be_read_is_one_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("absent.yaml");
    let errors = load(Some(&file), std::iter::empty()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        format!(
            "{}: the file cannot be read: no such file or directory; name a file that is there and that this user may read",
            file.display()
        )
    );
    std::fs::write(&file, b"cluster: a\n# \xc3\xa4 \xff\n").unwrap();
    let errors = load(Some(&file), std::iter::empty()).unwrap_err();
    assert_eq!(
        errors.to_string(),
        format!("{}:2:5: this is not UTF-8; save the file in the encoding UTF-8", file.display())
    );
}

#[test]
fn aliases_cannot_blow_a_small_file_up() {
    let mut yaml = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (last, next) in ('a'..='i').zip('b'..='j') {
        yaml.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 10].join(", ")));
    }
    let errors = Written::new(&yaml).load().unwrap_err();
    assert_eq!(errors.mistakes.len(), 1);
    assert!(errors.mistakes[0].wrong.problem.starts_with("aliases repeat more than 100000 values"), "{errors}");
}

/// They had no room beside the bound on aliases.
#[test]
fn twenty_thousand_rules_are_written_out_and_loaded() {
    let mut yaml = "policies:\n  - name: images\n    rules:\n".to_owned();
    for number in 0..20_000 {
        yaml.push_str(&format!("      - {{id: r{number}, deny: {{tag: v{number}}}, namespaces: [a, b]}}\n"));
    }
    assert!(Written::new(&yaml).load().is_ok());
}

#[test]
fn what_is_shown_of_a_value_stays_on_its_line() {
    let errors = Written::new("cluster: \"a\\nb\\u202Ec\\e[31m\"\n").load().unwrap_err().to_string();
    assert!(errors.contains(r#""a\nb\u{202e}c\u{1b}[31m" is not a DNS label"#), "{errors}");
    let long = format!("cluster: {}\n", "x".repeat(5000));
    assert!(Written::new(&long).load().unwrap_err().to_string().len() < 400);
}
