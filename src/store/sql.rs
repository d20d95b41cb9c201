//! Statements and rows apart from any driver: both databases run the same text.
//!
//! Every value is bound at a `?` as the text grows, so the order of the two is always the same. (SQLite walks a list to
//! find a numbered or named parameter, but not a plain one: with thousands of values that is the difference.)

use std::borrow::Cow;

use uuid::Uuid;

use super::error::StoreError;
use super::key;
use crate::review::clock::DecisionId;

/// A walk of a short list on the left that looks each row up on the right: SQLite's planner does not turn it round.
/// (To Postgres it is a join like any other.)
pub(super) const FOR_EACH_JOIN: &str = "CROSS JOIN";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Value {
    Null,
    Int(i64),
    /// SQLite has none: 0 or 1.
    Bool(bool),
    Text(String),
    Blob(Vec<u8>),
    /// SQLite has none: 16 bytes.
    Uuid(Uuid),
}

/// A statement and its values.
#[derive(Debug, Clone, Default)]
pub(super) struct Sql {
    pub text: String,
    pub values: Vec<Value>,
}

/// Rows for one table. `values` holds them one after the other.
#[derive(Debug)]
pub(super) struct Insert {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub values: Vec<Value>,
    /// `ON CONFLICT ...`, or empty.
    pub conflict: &'static str,
}

/// One row of an answer, its columns by position.
#[derive(Debug)]
pub(super) struct Row(pub Vec<Value>);

// === impl Value ===

/// A text as it is stored and looked for: Postgres has no NUL in its texts, so that U+FFFD stands for it in both.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Uuid> for Value {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

impl From<DecisionId> for Value {
    fn from(DecisionId(value): DecisionId) -> Self {
        Self::Uuid(value)
    }
}

/// Counts past the range of a database integer stay at its end.
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(storable(value).into_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        match storable(&value) {
            Cow::Borrowed(_) => Self::Text(value),
            Cow::Owned(replaced) => Self::Text(replaced),
        }
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Blob(value.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

// === impl Sql ===

impl Sql {
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.text.push('?');
        self.values.push(value.into());
        self
    }

    pub fn append(&mut self, other: Sql) -> &mut Self {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
        self
    }

    /// `(?, ?, ...)`.
    pub fn list<T: Into<Value>>(&mut self, values: impl IntoIterator<Item = T>) -> &mut Self {
        self.push("(");
        for (at, value) in values.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " }).bind(value);
        }
        self.push(")")
    }

    /// The same of numbers, written out: of thousands of places there are more than a statement takes values.
    pub fn numbers(&mut self, numbers: impl IntoIterator<Item = i64>) -> &mut Self {
        self.push("(");
        for (at, number) in numbers.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " }).push(&number.to_string());
        }
        self.push(")")
    }

    /// `VALUES (..), (..)`. There must be a row: no database has an empty `VALUES`.
    pub fn values<R: IntoIterator<Item: Into<Value>>>(&mut self, rows: impl IntoIterator<Item = R>) -> &mut Self {
        self.push("VALUES ");
        for (at, row) in rows.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " }).list(row);
        }
        self
    }

    /// The same of numbers, written out.
    pub fn rows_of_numbers<R: IntoIterator<Item = i64>>(&mut self, rows: impl IntoIterator<Item = R>) -> &mut Self {
        self.push("VALUES ");
        for (at, row) in rows.into_iter().enumerate() {
            self.push(if at == 0 { "" } else { ", " }).numbers(row);
        }
        self
    }
}

// === impl Insert ===

impl Insert {
    pub fn into(table: &'static str, columns: &'static [&'static str], conflict: &'static str) -> Self {
        Self { table, columns, values: Vec::new(), conflict }
    }

    pub fn row<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N, self.columns.len(), "{}", self.table);
        self.values.extend(row);
    }
}

// === impl Row ===

impl Row {
    pub fn int(&self, at: usize) -> Result<i64, StoreError> {
        self.opt_int(at)?.ok_or_else(|| self.unexpected(at, "a number"))
    }

    pub fn opt_int(&self, at: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(at) {
            Some(Value::Int(value)) => Ok(Some(*value)),
            Some(Value::Null) => Ok(None),
            _ => Err(self.unexpected(at, "a number or nothing")),
        }
    }

    /// A count: never below 0.
    pub fn count(&self, at: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(at)?).map_err(|_| self.unexpected(at, "a count"))
    }

    pub fn flag(&self, at: usize) -> Result<bool, StoreError> {
        match self.0.get(at) {
            Some(Value::Bool(value)) => Ok(*value),
            _ => Ok(self.int(at)? != 0),
        }
    }

    pub fn uuid(&self, at: usize) -> Result<Uuid, StoreError> {
        self.opt_uuid(at)?.ok_or_else(|| self.unexpected(at, "a UUID"))
    }

    pub fn opt_uuid(&self, at: usize) -> Result<Option<Uuid>, StoreError> {
        match self.0.get(at) {
            Some(Value::Uuid(value)) => Ok(Some(*value)),
            Some(Value::Blob(bytes)) => Uuid::from_slice(bytes).map(Some).map_err(|_| self.unexpected(at, "a UUID")),
            Some(Value::Null) => Ok(None),
            _ => Err(self.unexpected(at, "a UUID or nothing")),
        }
    }

    /// The id of a decision, or of anything that is named as decisions are.
    pub fn id(&self, at: usize) -> Result<DecisionId, StoreError> {
        self.uuid(at).map(DecisionId)
    }

    /// The id of the decision at `key`, as its row holds it.
    pub fn id_at(&self, key: i64, at: usize) -> Result<DecisionId, StoreError> {
        let id = match self.0.get(at) {
            Some(Value::Blob(held)) => key::whole(key, held),
            _ => None,
        };
        id.ok_or_else(|| self.unexpected(at, "an id"))
    }

    /// Moves the text out.
    pub fn text(&mut self, at: usize) -> Result<String, StoreError> {
        self.opt_text(at)?.ok_or_else(|| self.unexpected(at, "text"))
    }

    /// Moves the text out.
    pub fn opt_text(&mut self, at: usize) -> Result<Option<String>, StoreError> {
        match self.0.get_mut(at) {
            Some(Value::Text(value)) => Ok(Some(std::mem::take(value))),
            Some(Value::Null) => Ok(None),
            _ => Err(self.unexpected(at, "text or nothing")),
        }
    }

    pub fn is_some(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|value| *value != Value::Null)
    }

    /// A SHA-256.
    pub fn hash(&self, at: usize) -> Result<[u8; 32], StoreError> {
        match self.0.get(at) {
            Some(Value::Blob(value)) => value.as_slice().try_into().map_err(|_| self.unexpected(at, "32 bytes")),
            _ => Err(self.unexpected(at, "32 bytes")),
        }
    }

    fn unexpected(&self, at: usize, wanted: &str) -> StoreError {
        StoreError::broken(format!("column {at} of a row holds {:?}, not {wanted}", self.0.get(at)))
    }
}
