//! Values as engines see them, and the columns and binds that hold them.

use crate::OraError;

/// One value of a bind or a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL; Oracle's empty string is one.
    Null,
    /// A VARCHAR2, or a CLOB: the kind of the bind or column says which.
    Text(String),
    /// A NUMBER without a fraction.
    Integer(i64),
    /// Any other NUMBER, or a BINARY_DOUBLE.
    Float(f64),
    /// A RAW, or a BLOB.
    Bytes(Vec<u8>),
    /// A TIMESTAMP as microseconds since 1970, without a zone.
    Timestamp(i64),
}

impl Value {
    /// The text, or `None` for NULL.
    ///
    /// # Errors
    ///
    /// ORA-00932 when it is something else.
    pub fn text(&self) -> Result<Option<&str>, OraError> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            other => Err(inconsistent("text", other)),
        }
    }

    /// The whole number, or `None` for NULL.
    ///
    /// # Errors
    ///
    /// ORA-00932 when it is something else.
    pub fn integer(&self) -> Result<Option<i64>, OraError> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(number) => Ok(Some(*number)),
            other => Err(inconsistent("a whole number", other)),
        }
    }

    /// The bytes, or `None` for NULL.
    ///
    /// # Errors
    ///
    /// ORA-00932 when it is something else.
    pub fn bytes(&self) -> Result<Option<&[u8]>, OraError> {
        match self {
            Self::Null => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            other => Err(inconsistent("bytes", other)),
        }
    }
}

fn inconsistent(wanted: &str, got: &Value) -> OraError {
    let got = match got {
        Value::Null => "NULL",
        Value::Text(_) => "text",
        Value::Integer(_) | Value::Float(_) => "NUMBER",
        Value::Bytes(_) => "RAW",
        Value::Timestamp(_) => "TIMESTAMP",
    };
    OraError::new(
        932,
        format_args!("inconsistent datatypes: expected {wanted} got {got}"),
    )
}

/// The type of a column or bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// VARCHAR2 of at most so many bytes.
    Varchar(u32),
    /// NUMBER.
    Number,
    /// BINARY_DOUBLE.
    Double,
    /// RAW of at most so many bytes.
    Raw(u32),
    /// CLOB.
    Clob,
    /// BLOB.
    Blob,
    /// TIMESTAMP(6) without a zone.
    Timestamp,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, upper case as Oracle tells it.
    pub name: String,
    /// Its type.
    pub kind: Kind,
}

impl Column {
    /// A column of this name and type.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
        }
    }
}

/// One bound variable of an execution.
#[derive(Debug, Clone, PartialEq)]
pub struct Bind {
    /// Its name as it was given, without the colon, upper case.
    pub name: String,
    /// The type the program bound it with.
    pub kind: Kind,
    /// What the program put in; what the program finds afterwards when `set`.
    pub value: Value,
    /// Whether the engine gave it a value.
    pub set: bool,
}

/// The variables of one execution, by name.
#[derive(Debug, Clone, Default)]
pub struct Binds(pub Vec<Bind>);

impl Binds {
    /// The variable `name` (without the colon, any case).
    ///
    /// # Errors
    ///
    /// ORA-01008 when it is not bound.
    pub fn get(&self, name: &str) -> Result<&Value, OraError> {
        self.0
            .iter()
            .find(|bind| bind.name.eq_ignore_ascii_case(name))
            .map(|bind| &bind.value)
            .ok_or_else(|| not_bound(name))
    }

    /// Gives the OUT variable `name` a value.
    ///
    /// # Errors
    ///
    /// ORA-01008 when it is not bound.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), OraError> {
        let bind = self
            .0
            .iter_mut()
            .find(|bind| bind.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| not_bound(name))?;
        bind.value = value;
        bind.set = true;
        Ok(())
    }

    /// Refuses an execution whose variables are not exactly `names`.
    ///
    /// # Errors
    ///
    /// ORA-01036 when one is bound that the statement does not have, ORA-01008 when one is missing.
    pub fn expect(&self, names: &[&str]) -> Result<(), OraError> {
        for name in names {
            self.get(name)?;
        }
        let foreign = self.0.iter().find(|bind| {
            !names
                .iter()
                .any(|name| bind.name.eq_ignore_ascii_case(name))
        });
        match foreign {
            None => Ok(()),
            Some(bind) => Err(OraError::new(
                1036,
                format_args!("unrecognized bind variable '{}'", bind.name),
            )),
        }
    }
}

fn not_bound(name: &str) -> OraError {
    OraError::new(1008, format_args!("not all variables bound: {name}"))
}
