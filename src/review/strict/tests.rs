use proptest::prelude::*;

use super::*;

#[track_caller]
fn refused(body: &[u8], line: usize, column: usize, problem: &str) {
    let error = check(body).expect_err("it should be refused");
    assert!(error.problem.contains(problem), "{error}");
    assert_eq!((error.line, error.column), (line, column), "{error}");
}

#[test]
fn json_is_accepted() {
    for text in [
        "{}",
        "[]",
        " \t\r\n{ \"a\" : [ 1 , -0 , 0.5e+10 , 1E-2 , true , false , null ] , \"b\" : { } } \n",
        r#""é\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t""#,
        "0",
        "null",
    ] {
        assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused_where_it_goes_wrong() {
    refused(b"", 1, 1, "ends before");
    refused(b"{\"a\":1", 1, 7, "ends before");
    refused(b"{\"a\":tru", 1, 9, "ends before");
    refused(b"{\"a\":\"x", 1, 8, "ends before");
    refused(b"{\n  \"a\": nope\n}", 2, 8, "no JSON value");
    refused(b"{} x", 1, 4, "follows");
    refused(b"{}{}", 1, 3, "follows");
    refused(b"[1,]", 1, 4, "no JSON value");
    refused(b"{\"a\":1,}", 1, 8, "key in double quotes");
    refused(b"{'a':1}", 1, 2, "key in double quotes");
    refused(b"{\"a\" 1}", 1, 6, "`:`");
    refused(b"[1 2]", 1, 4, "`,` or `]`");
    refused(b"{\"a\":1 2}", 1, 8, "`,` or `}`");
    refused(b"01", 1, 2, "begins with 0");
    refused(b"1.x", 1, 3, "digit");
    refused(b"-", 1, 2, "ends before");
    refused(b"NaN", 1, 1, "no JSON value");
    refused(b"\"a\nb\"", 1, 3, "control character");
    refused(br#""\x""#, 1, 2, "escape");
    refused(br#""\u12g4""#, 1, 2, "hexadecimal");
    refused(br#""\ud800""#, 1, 2, "surrogate");
    refused(br#""\ud800\u0041""#, 1, 2, "surrogate");
    refused(br#""\udc00""#, 1, 2, "surrogate");
    refused(b"{\"a\":\"\xff\"}", 1, 7, "UTF-8");
    refused(b"\"\xe2\x82", 1, 2, "ends inside a character");
    refused("\u{feff}{}".as_bytes(), 1, 1, "no JSON value");
}

#[test]
fn a_depth_of_128_is_the_most() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(check(nested(128).as_bytes()), Ok(()));
    refused(nested(129).as_bytes(), 1, 129, "128 deep");
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    assert_eq!(check(objects(128).as_bytes()), Ok(()));
    refused(objects(129).as_bytes(), 1, 128 * 5 + 1, "128 deep");
    refused("[".repeat(5_000_000).as_bytes(), 1, 129, "128 deep");
}

#[test]
fn a_key_is_there_once_at_every_depth_and_in_every_spelling() {
    refused(br#"{"a":1,"a":2}"#, 1, 8, "\"a\" is there twice");
    refused(b"{\"x\":[{\"a\":1,\n\"b\":{},\"a\":2}]}", 2, 8, "\"a\" is there twice");
    refused(br#"{"allowed":1,"\u0061llowed":2}"#, 1, 14, "\"allowed\" is there twice");
    refused(br#"{"\u0061":1,"\u0061":2}"#, 1, 13, "\"a\" is there twice");
    refused(br#"{"":1,"":2}"#, 1, 7, "twice");
    assert_eq!(check(br#"{"a":{"a":1},"b":{"a":1},"A":[{"a":1},{"a":1}]}"#), Ok(()));
    for keys in [15, 16, 17, 18, 40] {
        let members: Vec<String> = (0..keys).map(|n| format!("\"k{n}\":{{\"k0\":1}}")).collect();
        let once = members.join(",");
        assert_eq!(check(format!("{{{once}}}").as_bytes()), Ok(()), "{keys}");
        for again in [0, keys - 1] {
            let twice = format!("{{{once},\"k{again}\":0}}");
            refused(twice.as_bytes(), 1, once.len() + 3, "twice");
        }
    }
}

#[test]
fn the_position_is_in_bytes_from_one_and_the_offset_from_zero() {
    let error = check("{\"é\":\n  x}".as_bytes()).expect_err("x is no value");
    assert_eq!((error.line, error.column, error.offset), (2, 3, 9));
    assert_eq!(error.to_string(), "no JSON value begins like this at line 2 column 3");
}

#[test]
fn what_was_checked_can_be_walked() {
    let document = parse(br#"{"a":[1,{"b\n":"x\u00e9"}],"c":null,"d":{}}"#).expect("JSON");
    let root = document.root();
    let inner = root.member("a").expect("there").items().nth(1).expect("there");
    let text = inner.member("b\n").expect("there");
    assert_eq!(text.text().as_deref(), Some("xé"));
    assert_eq!(text.path(), "a[1].b\n");
    assert_eq!(text.position(), (1, 16));
    assert!(root.member("c").is_none() && root.member("nothing").is_none());
    assert_eq!(root.member("d").expect("there").members().count(), 0);
    assert_eq!(root.members().count(), 3);
    assert_eq!(inner.raw(), r#"{"b\n":"x\u00e9"}"#);
}

proptest! {
    /// serde_json reads the same language, but for numbers past a double and keys that are there twice.
    #[test]
    fn serde_json_agrees(text in r#"([\[\]{},:\" 0-9a-b.eE+-]|\\\\|\\n|\\u00e9|\\ud83d|\\ude00|true|null|"a":|"b"){0,24}"#) {
        let ours = check(text.as_bytes());
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (ours, theirs) {
            (Ok(()), Err(error)) => prop_assert!(error.to_string().contains("out of range"), "{text}: {error}"),
            (Err(error), Ok(_)) => prop_assert!(error.problem.contains("twice"), "{text}: {error}"),
            _ => {}
        }
    }

    #[test]
    fn strings_survive(text in any::<String>()) {
        let json = serde_json::to_string(&text).expect("a string");
        let document = parse(json.as_bytes()).expect("JSON");
        prop_assert_eq!(document.root().text(), Some(std::borrow::Cow::Borrowed(text.as_str())));
        let mut ours = String::new();
        crate::review::json::write_string(&text, &mut ours);
        prop_assert_eq!(serde_json::from_str::<String>(&ours).expect("JSON"), text);
    }

    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = check(&bytes) {
            prop_assert!(error.offset <= bytes.len() && error.line >= 1 && error.column >= 1);
        }
    }
}

#[test]
fn a_byte_that_ends_a_plain_run_is_found_wherever_it_stands() {
    for special in [b'"', b'\\', 0, b'\n', 0x1f] {
        for at in 0..20 {
            let mut bytes = [b' '; 20];
            bytes[at] = special;
            assert_eq!(plain_until(&bytes, 0), at, "{special:#x}");
            bytes[at + 1..].fill(special);
            assert_eq!(plain_until(&bytes, at / 2), at, "{special:#x}, and more of it behind");
        }
    }
    let plain: Vec<u8> = (0x20..=0xff).filter(|byte| !b"\"\\".contains(byte)).collect();
    assert_eq!(plain_until(&plain, 0), plain.len());
    assert_eq!(plain_until(b"", 0), 0);
}
