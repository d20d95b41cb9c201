//! A driver's rows become ours.

use sqlx::{TypeInfo as _, ValueRef as _};

use super::error::StoreError;
use super::sql::{Row, Value};

/// `value` reads the column at a place, of the type of that name; `None`: there is no such value among ours.
pub(super) fn row<R: sqlx::Row>(
    row: &R,
    value: impl Fn(&R, usize, &str) -> Result<Option<Value>, sqlx::Error>,
) -> Result<Row, StoreError>
where
    usize: sqlx::ColumnIndex<R>,
{
    let column = |at: usize| {
        let raw = row.try_get_raw(at)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let kind = raw.type_info();
        let name = kind.name();
        value(row, at, name)?.ok_or_else(|| StoreError::broken(format!("column {at} of a row is {name}")))
    };
    (0..row.len()).map(column).collect::<Result<_, _>>().map(Row)
}
