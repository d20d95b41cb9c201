use super::*;

fn settings(url: &str) -> PostgresSettings {
    PostgresSettings { url: url.parse().expect(url), password_file: None, ca: None }
}

#[test]
fn off_this_machine_the_server_is_checked_unless_the_url_says_otherwise() {
    let protection = |url: &str| settings(url).protection();
    assert_eq!(protection("postgres://u@db.example.com/d"), Protection::VerifyFull);
    assert_eq!(protection("postgres://u@10.0.0.1/d"), Protection::VerifyFull);
    assert_eq!(protection("postgres://u@db.example.com/d?sslmode=require"), Protection::Require);
    for local in ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"] {
        assert_eq!(protection(&format!("postgres://u@{local}/d")), Protection::Prefer, "{local}");
    }
    let with_ca = PostgresSettings { ca: Some("ca.crt".into()), ..settings("postgres://u@localhost/d") };
    assert_eq!(with_ca.protection(), Protection::VerifyFull);
}

#[test]
fn what_the_url_says_is_what_is_connected_to() {
    let options = settings("postgres://an%40n@DB.example.com:6000/the%20db").connect_options().unwrap();
    assert_eq!((options.get_host(), options.get_port()), ("db.example.com", 6000));
    assert_eq!((options.get_username(), options.get_database()), ("an@n", Some("the db")));
    assert_eq!(options.get_application_name(), Some("rehearsal"));
    for url in ["postgres://u@/d?host=/run/pg", "postgres://u@%2frun%2Fpg/d", "postgresql://u@/d?host=%2Frun/pg"] {
        let options = settings(url).connect_options().unwrap();
        assert_eq!(options.get_socket().map(|path| path.as_path()), Some(Path::new("/run/pg")), "{url}");
        assert!(matches!(options.get_ssl_mode(), PgSslMode::Disable), "{url}");
    }
}

#[test]
fn a_place_names_server_and_database() {
    let place = |url: &str| settings(url).place();
    assert_eq!(place("postgres://u@db.example.com/d?sslmode=require"), "db.example.com/d");
    assert_eq!(place("postgres://u@[fe80::1]:6000/d"), "[fe80::1]:6000/d");
    assert_eq!(place("postgres://u@/d?host=/run/pg"), "/run/pg/d");
}

#[test]
fn the_password_is_the_line_that_the_file_holds_now() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pg.txt");
    let settings = PostgresSettings { password_file: Some(file.clone()), ..settings("postgres://u@h/d") };
    let error = settings.connect_options().unwrap_err().to_string();
    assert!(error.starts_with(&format!("store.password_file: {} cannot be read (", file.display())), "{error}");
    for (content, expected) in [("one\n", Some("one")), (" two \r\n", Some(" two ")), ("\n", None), ("a\nb\n", None)] {
        std::fs::write(&file, content).unwrap();
        assert_eq!(password(&file).ok().as_deref(), expected, "{content:?}");
        assert_eq!(settings.connect_options().is_ok(), expected.is_some(), "{content:?}");
    }
    let error = settings.connect_options().unwrap_err().to_string();
    assert!(error.ends_with("holds no password: it must hold one line of text"), "{error}");
}

#[test]
fn what_a_url_has_too_much_is_said() {
    for (url, problem) in [
        ("postgres://u@h/", "the URL names no database"),
        ("postgres://u@h/d/x", "the URL's database has a slash"),
        ("postgres://u@h/d%00", "the URL's database has a slash, a control character"),
        ("postgres://u@h/d#old", "the URL has a `#`"),
        ("postgres://u@h/d?sslmode=require&sslmode=disable", "the URL has a parameter twice"),
        ("postgres://u@/d?host=/a&host=/b", "the URL has a parameter twice"),
    ] {
        let mistake = url.parse::<PostgresUrl>().expect_err(url).to_string();
        assert!(mistake.starts_with(problem), "{url}: {mistake}");
    }
    assert_eq!(settings("postgres://u@h/d%231").place(), "h/d#1");
}
