//! Values of every type go in, and come back by fetching and by OUT variables.

use oracle::Connection;
use oracle::sql_type::{OracleType, Timestamp, ToSql};

use crate::support::{connect, server};

/// Assigns a value to an OUT variable of the type, and reads it.
fn there_and_back<T: oracle::sql_type::FromSql>(
    connection: &Connection,
    value: &dyn ToSql,
    kind: &OracleType,
) -> T {
    let mut statement = connection
        .statement("BEGIN :back := :there; END;")
        .build()
        .unwrap();
    statement
        .execute_named(&[("there", value), ("back", kind)])
        .unwrap();
    statement.bind_value("back").unwrap()
}

#[test]
fn numbers() {
    let connection = connect(&server("numbers"));
    let number = OracleType::Number(0, 0);
    for value in [0, 1, -1, 100, 4_294_967_296, i64::MAX, i64::MIN] {
        assert_eq!(there_and_back::<i64>(&connection, &value, &number), value);
    }
    for value in [0.5, -1234.5678, 0.000_001] {
        let back: f64 = there_and_back(&connection, &value, &number);
        assert!((back - value).abs() < 1e-12, "{back}");
    }
    let none: Option<i64> = there_and_back(&connection, &None::<i64>, &number);
    assert_eq!(none, None);
}

#[test]
fn texts_below_and_above_the_limit_of_plsql() {
    let connection = connect(&server("texts"));
    for length in [1, 4_000, 32_767, 32_768, 200_010] {
        let text = "x".repeat(length - 1) + "y";
        let back: String = there_and_back(&connection, &text.as_str(), &OracleType::CLOB);
        assert_eq!(back, text, "{length}");
    }
    let text = "größer als Ä, und 🦀";
    let back: String = there_and_back(&connection, &text, &OracleType::Varchar2(100));
    assert_eq!(back, text);
    assert_eq!(
        there_and_back::<String>(&connection, &text, &OracleType::CLOB),
        text
    );
    let empty: Option<String> = there_and_back(&connection, &"", &OracleType::Varchar2(10));
    assert_eq!(empty, None, "the empty string is NULL");
}

#[test]
fn bytes() {
    let connection = connect(&server("bytes"));
    let id: Vec<u8> = (0..16).collect();
    assert_eq!(
        there_and_back::<Vec<u8>>(&connection, &id, &OracleType::Raw(16)),
        id
    );
    let long: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert_eq!(
        there_and_back::<Vec<u8>>(&connection, &long, &OracleType::BLOB),
        long
    );
}

#[test]
fn timestamps() {
    let connection = connect(&server("timestamps"));
    let moment = Timestamp::new(2024, 2, 29, 23, 59, 58, 123_456_000).unwrap();
    let back: Timestamp = there_and_back(&connection, &moment, &OracleType::Timestamp(6));
    assert_eq!(back, moment);
}

#[test]
fn a_row_is_fetched() {
    let connection = connect(&server("row"));
    let long = "z".repeat(70_000);
    let (number, text, bytes) = connection
        .query_row_as::<(i64, String, Vec<u8>)>(
            "SELECT :a, :b, :c FROM dual",
            &[&7, &long, &vec![1_u8, 2]],
        )
        .unwrap();
    assert_eq!((number, text, bytes), (7, long, vec![1, 2]));
}

#[test]
fn a_variable_too_small_is_refused() {
    let connection = connect(&server("small"));
    let mut statement = connection
        .statement("BEGIN :back := :there; END;")
        .build()
        .unwrap();
    let error = statement
        .execute_named(&[("there", &"too long"), ("back", &OracleType::Varchar2(1))])
        .unwrap_err();
    assert_eq!(error.oci_code(), Some(6502));
    assert!(statement.execute_named(&[("nobody", &1)]).is_err());
}

#[test]
fn an_array_of_binds_runs_once_for_each_row() {
    let server = server("array");
    let connection = connect(&server);
    let mut batch = connection
        .batch("BEGIN :back := :there; END;", 3)
        .build()
        .unwrap();
    batch.set_type(1, &OracleType::Number(0, 0)).unwrap();
    batch.set_type(2, &OracleType::Number(0, 0)).unwrap();
    for row in 0..3 {
        batch.append_row(&[&row, &row]).unwrap();
    }
    batch.execute().unwrap();
    assert_eq!(server.calls(":back := :there").unwrap(), 3);
}
