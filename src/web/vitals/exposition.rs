//! One line of the OpenMetrics text format, as our own registry writes it.

/// A value of a series.
#[derive(Debug, PartialEq)]
pub struct Sample<'a> {
    pub name: &'a str,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// `None`: a comment, or nothing that is a sample.
pub fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' ']).filter(|_| !line.starts_with('#'))?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // What may follow is a time or an exemplar.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name, labels, value })
}

/// Up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, value) = rest.strip_prefix(',').unwrap_or(rest).split_once("=\"")?;
        let (value, after) = quoted(value)?;
        labels.push((name.to_owned(), value));
        rest = after;
    }
}

/// Up to the closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_whatever_its_labels_hold() {
        let line = r#"ends{role="server",name="CN=a, O=\"b\\c\" {x}"} 1790000000"#;
        let read = sample(line).expect("a sample");
        assert_eq!((read.name, read.value), ("ends", 1_790_000_000.0));
        assert_eq!(read.labels[1], ("name".to_owned(), r#"CN=a, O="b\c" {x}"#.to_owned()));
        assert_eq!(sample("up 0.5").expect("a sample").value, 0.5);
        assert_eq!(sample("buckets{le=\"+Inf\"} 3").expect("a sample").labels[0].1, "+Inf");
        for line in ["# HELP up Whether", "# EOF", "", "up", "broken{a=\"b 1"] {
            assert_eq!(sample(line), None, "{line}");
        }
    }

    #[test]
    fn what_the_registry_writes_is_read() {
        let mut registry = prometheus_client::registry::Registry::default();
        let family = prometheus_client::metrics::family::Family::<
            Vec<(String, String)>,
            prometheus_client::metrics::gauge::Gauge,
        >::default();
        let name = "a\"b\\c\nd, {e}".to_owned();
        family.get_or_create(&vec![("name".to_owned(), name.clone())]).set(7);
        registry.register("ends", "When", family);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a String takes everything");
        let read: Vec<Sample<'_>> = text.lines().filter_map(sample).collect();
        assert_eq!(read.len(), 1, "{text}");
        assert_eq!(read[0].labels, [("name".to_owned(), name)]);
    }
}
