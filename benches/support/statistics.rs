//! Medians and the intervals around them.

/// Pairs of measurements, ours and the other, taken one after the other.
#[derive(Debug, Default, Clone)]
pub struct Pairs {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

/// A median with what lies around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub median: f64,
    /// It holds the true median with at least 95 %; of fewer than 6 values it is all of them.
    pub interval: (f64, f64),
    pub least: f64,
    pub most: f64,
}

/// What a ratio or a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
}

// === impl Pairs ===

impl Pairs {
    pub fn push(&mut self, ours: f64, theirs: f64) {
        self.ours.push(ours);
        self.theirs.push(theirs);
    }

    pub fn ours(&self) -> Estimate {
        Estimate::of(&self.ours)
    }

    pub fn theirs(&self) -> Estimate {
        Estimate::of(&self.theirs)
    }

    /// Ours divided by the other, within each pair.
    pub fn ratio(&self) -> Estimate {
        self.map(|ours, theirs| ours / theirs)
    }

    /// Any figure of each pair.
    pub fn map(&self, figure: impl Fn(f64, f64) -> f64) -> Estimate {
        let figures: Vec<f64> =
            self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| figure(*ours, *theirs)).collect();
        Estimate::of(&figures)
    }
}

// === impl Estimate ===

impl Estimate {
    /// # Panics
    /// There is no value.
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len() - 1;
        let out = left_out(sorted.len());
        Self {
            median: (sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0,
            interval: (sorted[out], sorted[last - out]),
            least: sorted[0],
            most: sorted[last],
        }
    }

    /// Whether the interval reaches the target.
    pub fn meets(&self, target: Target) -> bool {
        match target {
            Target::AtLeast(least) => self.interval.1 >= least,
            Target::AtMost(most) => self.interval.0 <= most,
        }
    }
}

/// How many values may be left out on each side of `count` so that the rest still spans the true median with 95 %: each
/// value is on either side of it with one half, so the number below it is binomial.
fn left_out(count: usize) -> usize {
    let all = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut ways, mut tail) = (1.0, 0.0);
    for out in 0..count / 2 {
        tail += ways * all;
        if 2.0 * tail > 0.05 {
            return out.saturating_sub(1);
        }
        ways *= (count - out) as f64 / (out + 1) as f64;
    }
    (count / 2).saturating_sub(1)
}

/// The value below which the share `part` of `values` lies.
///
/// # Panics
/// There is no value.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}
