//! Rows into a table, many at once.

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::super::error::StoreError;
use super::super::sql::{Insert, Value};
use super::connections::within;
use super::copy::copy;

/// Rows inserted in one statement: a few thousand share out its cost.
const ROWS: usize = 4_000;

/// The values of one column, in the type of the first.
enum Column {
    Int(Vec<Option<i64>>),
    Bool(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
    Blob(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Option<Uuid>>),
}

/// As many rows are worth a COPY, which takes the server half the time of an INSERT but is two messages in a row: the
/// second waits until the first is acknowledged, for up to 40 ms over TCP. (It knows no conflict.)
const COPIED: usize = 500;

/// All of them, in as few statements as can be.
pub(super) async fn insert(connection: &mut PgConnection, insert: Insert) -> Result<(), StoreError> {
    let rows = insert.values.len() / insert.columns.len();
    if insert.conflict.is_empty() && rows >= COPIED {
        copy(connection, &insert).await
    } else {
        upsert(connection, insert).await
    }
}

/// One array for each column: a statement's text does not grow with its rows.
async fn upsert(connection: &mut PgConnection, insert: Insert) -> Result<(), StoreError> {
    let Insert { table, columns, values, conflict } = insert;
    let mut values = values.into_iter();
    while values.len() > 0 {
        let rows: Vec<Value> = values.by_ref().take(ROWS * columns.len()).collect();
        let (names, arrays) = arrays(columns, rows)?;
        let places = (1..=names.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let names = names.join(", ");
        let text = format!("INSERT INTO {table} ({names}) SELECT * FROM unnest({places}) {conflict}");
        let query = arrays.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, array| match array {
            Column::Int(values) => query.bind(values),
            Column::Bool(values) => query.bind(values),
            Column::Text(values) => query.bind(values),
            Column::Blob(values) => query.bind(values),
            Column::Uuid(values) => query.bind(values),
        });
        within(query.execute(&mut *connection)).await?;
    }
    Ok(())
}

// === impl Column ===

impl Column {
    /// `None`: the value says nothing of its column's type.
    fn like(value: &Value, rows: usize) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Int(_) => Self::Int(Vec::with_capacity(rows)),
            Value::Bool(_) => Self::Bool(Vec::with_capacity(rows)),
            Value::Text(_) => Self::Text(Vec::with_capacity(rows)),
            Value::Blob(_) => Self::Blob(Vec::with_capacity(rows)),
            Value::Uuid(_) => Self::Uuid(Vec::with_capacity(rows)),
        })
    }

    fn push(&mut self, value: Value) -> Result<(), StoreError> {
        match (self, value) {
            (Self::Int(values), Value::Int(value)) => values.push(Some(value)),
            (Self::Int(values), Value::Null) => values.push(None),
            (Self::Bool(values), Value::Bool(value)) => values.push(Some(value)),
            (Self::Bool(values), Value::Null) => values.push(None),
            (Self::Text(values), Value::Text(value)) => values.push(Some(value)),
            (Self::Text(values), Value::Null) => values.push(None),
            (Self::Blob(values), Value::Blob(value)) => values.push(Some(value)),
            (Self::Blob(values), Value::Null) => values.push(None),
            (Self::Uuid(values), Value::Uuid(value)) => values.push(Some(value)),
            (Self::Uuid(values), Value::Null) => values.push(None),
            (_, value) => {
                return Err(StoreError::broken(format!("a column has values of two types, one is {value:?}")));
            }
        }
        Ok(())
    }
}

/// The columns that hold anything, each as one array.
fn arrays<'a>(columns: &[&'a str], values: Vec<Value>) -> Result<(Vec<&'a str>, Vec<Column>), StoreError> {
    let width = columns.len();
    let rows = values.len() / width;
    let kind = |at: usize| values.iter().skip(at).step_by(width).find_map(|value| Column::like(value, rows));
    let mut arrays: Vec<Option<Column>> = (0..width).map(kind).collect();
    for (at, value) in values.into_iter().enumerate() {
        if let Some(array) = &mut arrays[at % width] {
            array.push(value)?;
        }
    }
    Ok(columns.iter().copied().zip(arrays).filter_map(|(name, array)| Some((name, array?))).unzip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_a_value_is_left_out() {
        let values = [Value::Int(1), Value::Null, Value::Null, Value::Int(2), Value::Null, "x".into()];
        let (names, arrays) = arrays(&["a", "b", "c"], values.to_vec()).expect("arrays");
        assert_eq!(names, ["a", "c"]);
        assert!(matches!(&arrays[1], Column::Text(values) if values == &[None, Some("x".to_owned())]));
        let mixed = vec![Value::Int(1), Value::Bool(true)];
        assert!(super::arrays(&["a"], mixed).is_err());
    }
}
