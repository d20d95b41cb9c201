//! How many of the workloads that nobody has seen yet a rule would reject, at most.

/// What a statement is right with, one-sided.
pub const CONFIDENCE: f64 = 0.95;

/// Steps of a bisection: past these a double knows no difference.
const STEPS: usize = 80;

/// Of the share of all workloads like those that were seen, of which `rejected` of `seen` would be rejected, the exact upper
/// bound (Clopper and Pearson), from 0 to 1: the `CONFIDENCE` quantile of Beta(rejected + 1, seen - rejected). With none
/// seen nothing is known: 1.
///
/// It is the share at which so few rejected ones, or fewer, would be seen with a probability of 1 - `CONFIDENCE`.
pub fn at_most(rejected: u64, seen: u64) -> f64 {
    let missed = 1.0 - CONFIDENCE;
    match rejected {
        _ if rejected >= seen => 1.0,
        0 => 1.0 - missed.powf(1.0 / seen as f64),
        _ => {
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..STEPS {
                let middle = f64::midpoint(low, high);
                if so_few(rejected, seen, middle) > missed {
                    low = middle;
                } else {
                    high = middle;
                }
            }
            f64::midpoint(low, high)
        }
    }
}

/// The probability of at most `rejected` among `seen`, each of which is one with probability `share`, from 0 to 1. In
/// logarithms: the terms themselves leave the range of a double.
fn so_few(rejected: u64, seen: u64, share: f64) -> f64 {
    let odds = share.ln() - (-share).ln_1p();
    let mut term = seen as f64 * (-share).ln_1p();
    let mut sum = term.exp();
    for number in 1..=rejected {
        term += ((seen - number + 1) as f64 / number as f64).ln() + odds;
        sum += term.exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral of the density of Beta(a, b) from 0 to `x`, by Simpson's rule and normed by itself: nothing of it is of
    /// a binomial sum.
    fn beta(a: f64, b: f64, x: f64) -> f64 {
        let density = |t: f64| {
            if t <= 0.0 || t >= 1.0 {
                return if (t <= 0.0 && a == 1.0) || (t >= 1.0 && b == 1.0) { 1.0 } else { 0.0 };
            }
            let mode = if a + b > 2.0 { (a - 1.0) / (a + b - 2.0) } else { 0.5 };
            let log = |t: f64| {
                let of = |weight: f64, t: f64| if weight == 0.0 { 0.0 } else { weight * t.ln() };
                of(a - 1.0, t) + of(b - 1.0, 1.0 - t)
            };
            (log(t) - log(mode)).exp()
        };
        let integral = |from: f64, to: f64| {
            let pieces = 200_000;
            let step = (to - from) / f64::from(pieces);
            let inner: f64 =
                (1..pieces).map(|at| density(from + f64::from(at) * step) * if at % 2 == 1 { 4.0 } else { 2.0 }).sum();
            (density(from) + inner + density(to)) * step / 3.0
        };
        let below = integral(0.0, x);
        below / (below + integral(x, 1.0))
    }

    #[test]
    fn it_is_the_quantile_of_the_beta_distribution() {
        for (rejected, seen) in
            [(0, 1), (0, 9), (0, 59), (1, 2), (1, 10), (2, 9), (3, 100), (17, 40), (250, 1_000), (8, 9)]
        {
            let bound = at_most(rejected, seen);
            let (a, b) = (rejected as f64 + 1.0, (seen - rejected) as f64);
            let found = beta(a, b, bound);
            assert!((found - CONFIDENCE).abs() < 1e-6, "{rejected} of {seen}: {bound} is the {found} quantile");
        }
    }

    /// As tables of exact binomial limits have them.
    #[test]
    fn it_is_what_tables_say() {
        for (rejected, seen, expected) in
            [(0, 10, 0.2589), (1, 10, 0.3942), (5, 10, 0.7776), (0, 20, 0.1391), (2, 20, 0.2826), (0, 100, 0.0295)]
        {
            let found = at_most(rejected, seen);
            assert!((found - expected).abs() < 5e-5, "{rejected} of {seen}: {found}");
        }
    }

    #[test]
    fn ends_are_ends() {
        assert_eq!((at_most(0, 0), at_most(5, 5), at_most(9, 5)), (1.0, 1.0, 1.0));
        assert!((at_most(0, 1) - CONFIDENCE).abs() < 1e-12);
        let million = at_most(3, 1_000_000);
        assert!(million > 7.7e-6 && million < 7.8e-6, "{million}");
        assert!(at_most(500_000, 1_000_000) > 0.5, "a sum that a double cannot hold term by term");
    }
}
