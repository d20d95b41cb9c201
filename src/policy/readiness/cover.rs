//! The fewest things that touch every pair: of namespaces and globs of images, the fewest exemptions.
//!
//! An exemption is of one namespace (with the globs that it needs there) or of one glob (with the namespaces that
//! need it), and lets nothing through beside these pairs. So the fewest exemptions are the fewest namespaces and
//! globs that touch every pair, which by the theorem of König is what a largest matching says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A pair's two ends, by number.
pub type Pair = (usize, usize);

/// What touches every pair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cover {
    pub lefts: BTreeSet<usize>,
    pub rights: BTreeSet<usize>,
}

/// Who is matched with whom.
#[derive(Debug, Default)]
struct Matching {
    of_left: BTreeMap<usize, usize>,
    of_right: BTreeMap<usize, usize>,
}

/// One of the smallest covers, the same for the same pairs.
pub fn smallest(pairs: &BTreeSet<Pair>) -> Cover {
    let mut partners: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &(left, right) in pairs {
        partners.entry(left).or_default().push(right);
    }
    let mut matching = Matching::default();
    for &left in partners.keys() {
        matching.augment(left, &partners);
    }
    let (lefts, rights) = matching.reached(&partners);
    Cover { lefts: partners.keys().copied().filter(|left| !lefts.contains(left)).collect(), rights }
}

// === impl Matching ===

impl Matching {
    /// Matches `left` too, if there is a way to: breadth first, so that the way is short and the stack flat.
    fn augment(&mut self, left: usize, partners: &BTreeMap<usize, Vec<usize>>) {
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waiting = VecDeque::from([left]);
        while let Some(at) = waiting.pop_front() {
            for &right in partners.get(&at).into_iter().flatten() {
                if came_from.contains_key(&right) {
                    continue;
                }
                came_from.insert(right, at);
                match self.of_right.get(&right) {
                    Some(&next) => waiting.push_back(next),
                    None => return self.turn(right, &came_from),
                }
            }
        }
    }

    /// Along the way that ends at the free `right`.
    fn turn(&mut self, right: usize, came_from: &BTreeMap<usize, usize>) {
        let mut free = Some(right);
        while let Some(right) = free {
            let left = came_from[&right];
            free = self.of_left.insert(left, right);
            self.of_right.insert(right, left);
        }
    }

    /// What alternating ways lead to from the lefts that nobody is matched with.
    fn reached(&self, partners: &BTreeMap<usize, Vec<usize>>) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let mut lefts: BTreeSet<usize> =
            partners.keys().copied().filter(|left| !self.of_left.contains_key(left)).collect();
        let mut rights = BTreeSet::new();
        let mut waiting: VecDeque<usize> = lefts.iter().copied().collect();
        while let Some(left) = waiting.pop_front() {
            for &right in partners.get(&left).into_iter().flatten() {
                if rights.insert(right)
                    && let Some(&next) = self.of_right.get(&right)
                    && lefts.insert(next)
                {
                    waiting.push_back(next);
                }
            }
        }
        (lefts, rights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By trying every choice.
    fn fewest(pairs: &BTreeSet<Pair>) -> usize {
        let ends: Vec<(bool, usize)> = {
            let lefts = pairs.iter().map(|&(left, _)| (true, left));
            lefts.chain(pairs.iter().map(|&(_, right)| (false, right))).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let touches = |choice: u32| {
            let has =
                |end: (bool, usize)| ends.iter().position(|one| *one == end).is_some_and(|at| choice & (1 << at) != 0);
            pairs.iter().all(|&(left, right)| has((true, left)) || has((false, right)))
        };
        let choices = (0..1_u32 << ends.len()).filter(|&choice| touches(choice));
        choices.map(|choice| choice.count_ones() as usize).min().unwrap_or(0)
    }

    #[test]
    fn it_touches_every_pair_with_as_few_as_any_choice_does() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut sizes = BTreeSet::new();
        for _ in 0..400 {
            let (lefts, rights) = (rng.usize(1..6), rng.usize(1..7));
            let count = rng.usize(0..=lefts * rights);
            let pairs: BTreeSet<Pair> = (0..count).map(|_| (rng.usize(0..lefts), rng.usize(0..rights))).collect();
            let Cover { lefts, rights } = smallest(&pairs);
            assert!(pairs.iter().all(|(left, right)| lefts.contains(left) || rights.contains(right)), "{pairs:?}");
            assert_eq!(lefts.len() + rights.len(), fewest(&pairs), "{pairs:?}");
            sizes.insert(lefts.len() + rights.len());
        }
        assert!(sizes.len() > 4, "{sizes:?}");
    }

    #[test]
    fn a_repository_of_many_namespaces_is_one_and_a_namespace_of_many_repositories_is_one() {
        let everywhere = (0..1_000).map(|namespace| (namespace, 0));
        let everything = (1..1_000).map(|repository| (7, repository));
        let cover = smallest(&everywhere.chain(everything).collect());
        assert_eq!((cover.lefts, cover.rights), (BTreeSet::from([7]), BTreeSet::from([0])));
    }
}
