//! Functions that the engine lacks, and limits for those of its own that could fill the memory.
//!
//! The old ones are OPA's deprecated built-ins: `re_match`, `any`, `all`, `set_diff`, `net.cidr_overlap` and `cast_*`.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use ipnet::IpNet;
use quick_cache::sync::Cache;
use regex::Regex;
use regorus::unstable::{BUILTINS, Expr, Ref, Span};
use regorus::{Engine, Source, Value};

use crate::review::view::digest_hex;

type Result = anyhow::Result<Value>;

/// Numbers that one call makes.
const MAX_NUMBERS: i64 = 100_000;
/// Bits by which one call shifts.
const MAX_SHIFT: i64 = 4_096;
/// Bits of the addresses that one call lists.
const MAX_ADDRESS_BITS: u8 = 16;
/// Compiled expressions of one policy.
const EXPRESSIONS: usize = 256;

/// Gives them to an engine.
///
/// # Errors
/// None, but for a name that is given twice here.
pub fn add(engine: &mut Engine) -> anyhow::Result<()> {
    let expressions = Expressions::new();
    for (name, arity, function) in PLAIN {
        engine.add_extension(name.to_owned(), arity, Box::new(function))?;
    }
    for name in ["re_match", "regex.match"] {
        let expressions = expressions.clone();
        let matches = move |given: Vec<Value>| expressions.matches(&given);
        engine.add_extension(name.to_owned(), 2, Box::new(matches))?;
    }
    let all_of = move |given: Vec<Value>| expressions.submatches(&given);
    engine.add_extension("regex.find_all_string_submatch_n".to_owned(), 3, Box::new(all_of))
}

/// Name, number of arguments, and what it does.
type Function = (&'static str, u8, fn(Vec<Value>) -> Result);

const PLAIN: [Function; 16] = [
    ("any", 1, any),
    ("all", 1, all),
    ("set_diff", 2, set_diff),
    ("cast_array", 1, cast_array),
    ("cast_set", 1, cast_set),
    ("cast_string", 1, |given| cast(given, |value| value.as_string().is_ok())),
    ("cast_boolean", 1, |given| cast(given, |value| value.as_bool().is_ok())),
    ("cast_null", 1, |given| cast(given, |value| *value == Value::Null)),
    ("cast_object", 1, |given| cast(given, |value| value.as_object().is_ok())),
    ("crypto.sha256", 1, sha256),
    ("net.cidr_overlap", 2, cidr_contains),
    ("net.cidr_intersects", 2, cidr_intersects),
    ("net.cidr_expand", 1, cidr_expand),
    ("numbers.range", 2, numbers_range),
    ("numbers.range_step", 3, numbers_range),
    ("bits.lsh", 2, shift_left),
];

// === what is true of collections ===

fn any(given: Vec<Value>) -> Result {
    Ok(items(&given[0]).map_or(Value::Undefined, |items| items.contains(&Value::Bool(true)).into()))
}

fn all(given: Vec<Value>) -> Result {
    let is_true = |item: &Value| *item == Value::Bool(true);
    Ok(items(&given[0]).map_or(Value::Undefined, |items| items.iter().all(is_true).into()))
}

fn set_diff(given: Vec<Value>) -> Result {
    let [Ok(minuend), Ok(subtrahend)] = [given[0].as_set(), given[1].as_set()] else { return Ok(Value::Undefined) };
    let left = minuend.iter().filter(|item| !subtrahend.contains(item)).cloned();
    Ok(Value::from(left.collect::<std::collections::BTreeSet<_>>()))
}

fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.iter().cloned().collect()),
        Value::Set(items) => Some(items.iter().cloned().collect()),
        _ => None,
    }
}

// === casts ===

fn cast(mut given: Vec<Value>, is_one: fn(&Value) -> bool) -> Result {
    let value = given.swap_remove(0);
    Ok(if is_one(&value) { value } else { Value::Undefined })
}

fn cast_array(given: Vec<Value>) -> Result {
    Ok(items(&given[0]).map_or(Value::Undefined, Value::from))
}

fn cast_set(given: Vec<Value>) -> Result {
    let set = items(&given[0]).map(|items| items.into_iter().collect::<std::collections::BTreeSet<_>>());
    Ok(set.map_or(Value::Undefined, Value::from))
}

// === texts ===

fn sha256(given: Vec<Value>) -> Result {
    Ok(given[0].as_string().map_or(Value::Undefined, |text| digest_hex(text.as_bytes(), 64).into()))
}

/// Compiled once, and shared by all clones of an engine.
#[derive(Debug, Clone)]
struct Expressions(Arc<Cache<String, Regex>>);

// === impl Expressions ===

impl Expressions {
    fn new() -> Self {
        Self(Arc::new(Cache::new(EXPRESSIONS)))
    }

    /// `None`: it is no regular expression, which makes what it is for undefined.
    fn get(&self, pattern: &Value) -> Option<Regex> {
        let pattern = pattern.as_string().ok()?;
        self.0.get_or_insert_with(&**pattern, || Regex::new(pattern)).ok()
    }

    fn matches(&self, given: &[Value]) -> Result {
        let (Some(regex), Ok(text)) = (self.get(&given[0]), given[1].as_string()) else { return Ok(Value::Undefined) };
        Ok(regex.is_match(text).into())
    }

    fn submatches(&self, given: &[Value]) -> Result {
        let (Some(regex), Ok(text), Ok(most)) = (self.get(&given[0]), given[1].as_string(), given[2].as_i64()) else {
            return Ok(Value::Undefined);
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let group = |found: Option<regex::Match<'_>>| Value::from(found.map_or("", |found| found.as_str()));
        let one = |found: regex::Captures<'_>| Value::from(found.iter().map(group).collect::<Vec<_>>());
        Ok(regex.captures_iter(text).take(most).map(one).collect::<Vec<_>>().into())
    }
}

// === addresses ===

fn cidr_contains(given: Vec<Value>) -> Result {
    let (Some(outer), Some(inner)) = (network(&given[0]), network(&given[1])) else { return Ok(Value::Undefined) };
    Ok(outer.contains(&inner).into())
}

fn cidr_intersects(given: Vec<Value>) -> Result {
    let (Some(one), Some(other)) = (network(&given[0]), network(&given[1])) else { return Ok(Value::Undefined) };
    Ok((one.contains(&other) || other.contains(&one)).into())
}

fn cidr_expand(given: Vec<Value>) -> Result {
    if let Some(network) = network(&given[0]) {
        let bits = network.max_prefix_len() - network.prefix_len();
        ensure!(
            bits <= MAX_ADDRESS_BITS,
            "net.cidr_expand lists at most 2^{MAX_ADDRESS_BITS} addresses, {network} has 2^{bits}"
        );
    }
    built_in("net.cidr_expand", &given)
}

/// An address is a network of one.
fn network(value: &Value) -> Option<IpNet> {
    let text = value.as_string().ok()?;
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

// === limits ===

fn numbers_range(given: Vec<Value>) -> Result {
    if let (Ok(first), Ok(last)) = (given[0].as_i64(), given[1].as_i64()) {
        let step = given.get(2).and_then(|step| step.as_i64().ok()).unwrap_or(1).max(1);
        let numbers = i128::from(first).abs_diff(i128::from(last)) / step.unsigned_abs() as u128;
        ensure!(numbers <= MAX_NUMBERS as u128, "numbers.range makes at most {MAX_NUMBERS} numbers at once");
    }
    built_in(if given.len() == 2 { "numbers.range" } else { "numbers.range_step" }, &given)
}

fn shift_left(given: Vec<Value>) -> Result {
    if let Ok(by) = given[1].as_i64() {
        ensure!(by <= MAX_SHIFT, "bits.lsh shifts by at most {MAX_SHIFT} bits");
    } else if given[1].as_number().is_ok() {
        bail!("bits.lsh shifts by at most {MAX_SHIFT} bits");
    }
    built_in("bits.lsh", &given)
}

/// The engine's own.
fn built_in(name: &str, given: &[Value]) -> Result {
    let (function, _) = BUILTINS.get(name).with_context(|| format!("the engine has no {name}"))?;
    let source = Source::from_contents(name.to_owned(), name.to_owned())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
    let argument = || Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let arguments: Vec<_> = given.iter().map(|_| argument()).collect();
    function(&span, &arguments, given, false)
}
