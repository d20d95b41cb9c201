//! How far somebody has followed, as an event and an address hold it: `1:55,2:90`.

use crate::store::read::Followed;

/// More replicas than anybody runs.
const MOST: usize = 1_000;

pub fn encode(Followed(last): &Followed) -> String {
    let pairs: Vec<String> = last.iter().map(|(replica, batch)| format!("{replica}:{batch}")).collect();
    pairs.join(",")
}

pub fn decode(text: &str) -> Option<Followed> {
    let pair = |pair: &str| {
        let (replica, batch) = pair.split_once(':')?;
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        Some((number(replica)?, number(batch)?))
    };
    let pairs = text.split(',').filter(|pair| !pair.is_empty()).take(MOST);
    pairs.map(pair).collect::<Option<_>>().map(Followed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_decoded_and_anything_else_refused() {
        for pairs in [vec![], vec![(1, 0)], vec![(1, 55), (12, i64::MAX)]] {
            let followed = Followed(pairs.into_iter().collect());
            assert_eq!(decode(&encode(&followed)), Some(followed));
        }
        for text in ["1", "1:", "1:x", "1:-2", "a:1", "1:2:3", "1:2,,x"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
