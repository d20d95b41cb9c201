//! What policies cost: thousands of rules, Rego at first sight and again, an OPA in their place, and a change while it runs.
//!
//! `cargo bench --bench policies -- [PAIRS] [FILTER..]`: only what holds every filter in its name, such as `rules`,
//! `first sight`, `repeat`, `OPA`, `reload`.

#[path = "../../tests/harness/mod.rs"]
mod harness;
mod opa;
mod rego;
mod reload;
mod rules;
#[path = "../support/mod.rs"]
mod support;

use support::Run;
use support::bare;

fn main() {
    bare::serve_if_asked();
    let (run, runtime) = (Run::from_args(), bare::runtime());
    rules::measure(&run, &runtime);
    rego::measure(&run, &runtime);
    opa::measure(&run, &runtime);
    reload::measure(&run, &runtime);
}
