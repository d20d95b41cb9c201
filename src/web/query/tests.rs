use jiff::tz::TimeZone;

use super::*;

const NOON: Timestamp = Timestamp(1_795_435_200_000); // 2026-11-23T12:00:00Z

fn parse(query: &str) -> Parameters {
    Parameters::parse(Some(query)).expect("a good query")
}

fn utc() -> Zone {
    Zone::new(TimeZone::UTC)
}

fn filter(query: &str) -> Result<Filter, BadParameter> {
    parse(query).filter(Now { at: NOON, zone: &utc() }, &Reach::Everything)
}

#[test]
fn every_filter_is_read() {
    let got = filter(
        "since=2026-11-23T10:00:00Z&until=2026-11-23T11:00:00.250Z&cluster=prod&namespace=shop&workload=Deployment/web&user=alice\
         &policy=images&rule=no-latest\
         &image=docker.io%2F**&repository=docker.io/library/nginx&to_blame=true&uid=u-1&answer=failed&would_reject=false&dry_run=true\
         &candidate=images-next&candidate_live=allow&candidate_verdict=deny\
         &webhook=bouncer&local=images&local_verdict=allow&webhook_verdict=deny&agreement=only_webhook",
    );
    let want = Filter {
        reach: Reach::Everything,
        since: Some(Timestamp(NOON.0 - 7_200_000)),
        until: Some(Timestamp(NOON.0 - 3_600_000 + 250)),
        cluster: Some("prod".into()),
        namespace: Some("shop".into()),
        workload: Some(Workload { kind: "Deployment".into(), name: "web".into() }),
        user: Some("alice".into()),
        policy: Some("images".into()),
        rule: Some("no-latest".into()),
        image: Some("docker.io/**".into()),
        repository: Some("docker.io/library/nginx".into()),
        blame: Blame::Only,
        uid: Some("u-1".into()),
        answer: Some(Answer::Failed),
        would_reject: Some(false),
        dry_run: Some(true),
        compared: Some(ComparedFilter {
            candidate: "images-next".into(),
            live: Some(Stance::Allow),
            silent: Some(Stance::Deny),
        }),
        agreed: Some(AgreedFilter {
            pair: Pair { webhook: "bouncer".into(), local: Some("images".into()) },
            local_said: Some(Stance::Allow),
            webhook_said: Some(Stance::Deny),
            accord: Some(Accord::OnlyWebhook),
        }),
    };
    assert_eq!(got, Ok(want));
}

#[test]
fn an_unknown_parameter_is_told_which_there_are() {
    let message = |known: &[&str]| parse("limt=5").only(known).expect_err("unknown").message;
    assert_eq!(message(&["limit", "after"]), "there is no such parameter; there are limit, after");
    assert_eq!(message(&[]), "there is no such parameter; this address takes none");
}

#[test]
fn what_is_in_no_namespace_is_asked_for_by_its_own_name() {
    assert_eq!(filter("cluster_wide=true").map(|filter| filter.namespace), Ok(Some(String::new())));
    assert_eq!(filter("namespace=").map(|filter| filter.namespace), Ok(None));
    for (kind, name) in [("Deployment", "web"), ("Pods", "running docker.io/library/nginx, quay.io/a/b")] {
        let workload = Workload { kind: kind.into(), name: name.into() };
        assert_eq!(sentence::workload_of(&sentence::workload(&workload)), Some(workload));
    }
}

#[test]
fn an_empty_value_is_absent() {
    assert_eq!(filter("cluster=&answer=&since=&would_reject"), Ok(Filter::default()));
}

#[test]
fn times_are_read_in_every_form() {
    let east = Zone::new(TimeZone::fixed(jiff::tz::offset(2)));
    let now = Now { at: NOON, zone: &east };
    for (text, hours) in [
        ("2026-11-23T10:00:00Z", -2),
        ("2026-11-23T12:00:00%2B02:00", -2),
        ("2026-11-23T12:00:00+02:00", -2),
        ("2026-11-23T12:00", -2),
        ("2026-11-23 12:00", -2),
        ("2026-11-23+12:00:00", -2),
        ("2026-11-23", -14),
        ("24h", -24),
        ("-24h", -24),
        ("90m", -2),
        ("7d", -168),
        ("1w", -168),
    ] {
        let got = parse(&format!("since={text}")).filter(now, &Reach::Everything).expect(text).since.expect(text);
        assert_eq!((got.0 - NOON.0).div_euclid(3_600_000), hours, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (query, parameter, part) in [
        ("since=yesterday", "since", "how long ago"),
        ("until=24", "until", "not a time"),
        ("since=99999999999999999999d", "since", "not a time"),
        ("since=9999999d", "since", "not a time"),
        ("since=%C3%A9h", "since", "not a time"),
        ("since=1h&until=2h", "until", "not after since"),
        ("answer=Denied", "answer", "allowed, denied, failed"),
        ("would_reject=yes", "would_reject", "true, false"),
        ("dry_run=include", "dry_run", "true, false"),
        ("workload=web", "workload", "Deployment/checkout"),
        ("cluster_wide=false", "cluster_wide", "is none of true"),
        ("cluster_wide=true&namespace=shop", "cluster_wide", "in no namespace"),
    ] {
        let error = filter(query).expect_err(query);
        assert_eq!(error.parameter, parameter, "{query}");
        assert!(error.message.contains(part), "{query}: {error}");
    }
    assert_eq!(Parameters::parse(Some("image=%ff")).expect_err("not UTF-8").parameter, "image");
    assert_eq!(Parameters::parse(Some(&format!("uid={}", "x".repeat(20_000)))).expect_err("long").parameter, "uid");
}

#[test]
fn unknown_and_repeated_parameters_are_found() {
    assert!(parse("cluster=a&uid=b").only(&FILTERS).is_ok());
    let unknown = parse("cluster=a&image_name=b").only(&FILTERS).expect_err("unknown");
    assert_eq!(unknown.parameter, "image_name");
    assert!(unknown.message.contains("would_reject"), "{unknown}");
    assert_eq!(parse("uid=a&uid=b").only(&FILTERS).expect_err("twice").parameter, "uid");
}

#[test]
fn limits_have_bounds() {
    for (query, want) in [
        ("", Some(50)),
        ("limit=1", Some(1)),
        ("limit=1000", Some(1000)),
        ("limit=0", None),
        ("limit=1001", None),
        ("limit=-1", None),
        ("limit=ten", None),
    ] {
        assert_eq!(parse(query).limit(50, 1000).ok(), want, "{query}");
    }
}

#[test]
fn a_scope_leaves_dry_runs_out_unless_asked() {
    let now = Now { at: NOON, zone: &utc() };
    assert_eq!(parse("").scope(now, &Reach::Everything).expect("empty").dry_run, DryRuns::Exclude);
    assert_eq!(parse("dry_run=only").scope(now, &Reach::Everything).expect("only").dry_run, DryRuns::Only);
    assert_eq!(parse("dry_run=include").scope(now, &Reach::Everything).expect("include").dry_run, DryRuns::Include);
    assert_eq!(parse("dry_run=true").scope(now, &Reach::Everything).expect_err("not of figures").parameter, "dry_run");
}

#[test]
fn an_address_carries_what_was_given() {
    let address = parse("since=7d&cluster=prod&colour=red&tz=").address("/decisions", &["since", "cluster", "tz"]);
    assert_eq!(address.to_string(), "/decisions?since=7d&cluster=prod");
}
