//! Where the items of lists begin: a value alone does not say it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The lines of the `items` of one document; none of anything that has no such list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines(pub Vec<usize>);

/// A document, or what stands under `items`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Document,
    Items,
}

/// Of each document of a text, which is known to be YAML.
pub fn lines(text: &str) -> Vec<Lines> {
    serde_saphyr::from_multiple(text).unwrap_or_default()
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Part::Document)
    }
}

/// What stands under `items`.
struct Items(Lines);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Part::Items).map(Self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lines, A::Error> {
        let mut lines = Lines::default();
        while let Some(key) = map.next_key::<String>()? {
            if self == Self::Document && key == "items" {
                lines = map.next_value::<Items>()?.0;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(lines)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Lines, A::Error> {
        let mut lines = Lines::default();
        while let Some(item) = list.next_element::<Spanned<IgnoredAny>>()? {
            lines.0.push(usize::try_from(item.referenced.line()).unwrap_or(1));
        }
        Ok(if self == Self::Items { lines } else { Lines::default() })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Lines, E> {
        Ok(Lines::default())
    }

    fn visit_none<E: Error>(self) -> Result<Lines, E> {
        Ok(Lines::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_of_a_list_has_its_line_and_nothing_else_has() {
        let text =
            "a: 1\nitems: {x: y}\n---\nkind: List\nitems:\n- a: 1\n  b: [{c: 2}]\n\n- {d: 3}\n---\n- 1\n---\nx\n";
        let found: Vec<Vec<usize>> = lines(text).into_iter().map(|lines| lines.0).collect();
        assert_eq!(found, [vec![], vec![6, 9], vec![], vec![]]);
    }
}
