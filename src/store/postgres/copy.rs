//! Rows as COPY takes them.
//!
//! Text, not binary: the types of the columns are the table's affair.
//! <https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2>

use std::io::Write as _;

use sqlx::PgConnection;

use super::super::error::StoreError;
use super::super::sql::{Insert, Value};
use super::connections::within;

pub(super) async fn copy(connection: &mut PgConnection, insert: &Insert) -> Result<(), StoreError> {
    if insert.values.is_empty() {
        return Ok(());
    }
    let rows = encoded(&insert.values, insert.columns.len());
    let text = format!("COPY {} ({}) FROM STDIN", insert.table, insert.columns.join(", "));
    within(async {
        let mut copy = connection.copy_in_raw(&text).await?;
        copy.send(rows).await?;
        copy.finish().await
    })
    .await?;
    Ok(())
}

/// A line for each row, its columns between tabs.
fn encoded(values: &[Value], width: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(values.len() * 12);
    for row in values.chunks(width) {
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                text.push(b'\t');
            }
            encode(value, &mut text);
        }
        text.push(b'\n');
    }
    text
}

fn encode(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Null => text.extend(b"\\N"),
        Value::Int(number) => write!(text, "{number}").expect("memory takes it"),
        Value::Bool(yes) => text.push(if *yes { b't' } else { b'f' }),
        Value::Text(words) => escape(words, text),
        Value::Blob(bytes) => {
            text.extend(b"\\\\x");
            text.extend(
                bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| b"0123456789abcdef"[digit as usize]),
            );
        }
        Value::Uuid(uuid) => text.extend(uuid.simple().encode_lower(&mut [0; 32]).as_bytes()),
    }
}

/// What ends a column or a row, and what takes the meaning of that.
fn escape(words: &str, text: &mut Vec<u8>) {
    for byte in words.bytes() {
        match byte {
            b'\\' => text.extend(b"\\\\"),
            b'\t' => text.extend(b"\\t"),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            plain => text.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_lines_and_nothing_in_them_ends_one() {
        let uuid = uuid::Uuid::from_u128(0xa1);
        let rows = [
            Value::Int(-5),
            Value::Null,
            Value::Bool(true),
            "a\tb\\N\r\n".into(),
            Value::Blob(vec![0, 0x9f]),
            uuid.into(),
        ];
        let lines = [r"-5	\N", r"t	a\tb\\N\r\n", &format!(r"\\x009f	{}", uuid.simple()), ""].join("\n");
        assert_eq!(String::from_utf8(encoded(&rows, 2)), Ok(lines));
    }
}
