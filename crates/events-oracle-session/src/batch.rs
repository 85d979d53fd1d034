//! How many rows go to the server at a time: all of a batch share buffers as wide as the widest.

use crate::Value;

/// The most bytes of the buffers of one batch.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// A row of binds.
type Row<'a> = Vec<(&'a str, Value)>;

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.as_deref().map_or(0, str::len),
        Value::Bytes(bytes) => bytes.as_deref().map_or(0, <[u8]>::len),
        Value::Integer(_) | Value::Number(_) | Value::Time(_) => 0,
    }
}

/// How many of the rows, at least one, fit into one batch.
pub(crate) fn portion(rows: &[Row<'_>]) -> usize {
    let mut widths = vec![0; rows[0].len()];
    for (number, row) in rows.iter().enumerate() {
        for (width, (_, value)) in widths.iter_mut().zip(row) {
            *width = size(value).max(*width);
        }
        let bytes = widths.iter().sum::<usize>().saturating_mul(number + 1);
        if number > 0 && bytes > MOST_BYTES {
            return number;
        }
    }
    rows.len()
}

/// For each variable its longest value.
pub(crate) fn widest<'a>(rows: &'a [Row<'a>]) -> Vec<(&'a str, &'a Value)> {
    (0..rows[0].len())
        .map(|column| {
            let values = rows.iter().map(|row| &row[column].1);
            let widest = values.max_by_key(|value| size(value));
            (rows[0][column].0, widest.expect("there is a row"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(length: usize) -> Row<'static> {
        vec![
            ("payload", Value::from("x".repeat(length).as_str())),
            ("n", Value::from(1)),
        ]
    }

    #[test]
    fn the_buffers_of_a_portion_are_bounded() {
        let mib = 1024 * 1024;
        let small: Vec<_> = (0..5000).map(|_| row(100)).collect();
        assert_eq!(portion(&small), 5000);
        let large: Vec<_> = (0..20).map(|_| row(mib)).collect();
        assert_eq!(portion(&large), 16);
        // One long row makes the buffer of every other as long.
        let mut mixed = small;
        mixed[100] = row(mib);
        assert_eq!(portion(&mixed), 100);
        assert_eq!(portion(&mixed[100..]), 16);
        assert_eq!(portion(&[row(100 * mib), row(1)]), 1);
    }

    #[test]
    fn the_widest_value_decides_for_all() {
        let rows = [row(3), row(9), row(5)];
        let found = widest(&rows);
        assert_eq!(found[0], ("payload", &Value::from("xxxxxxxxx")));
        assert_eq!(found[1].0, "n");
    }
}
