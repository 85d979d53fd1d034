//! Keys and values as any format gives them, and what can be made of them.

use std::fmt;
use std::time::Duration;

use events_core::{Error, Result};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::parse_duration;

/// The keys of a configuration in the order of the file, each once.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<(String, Value)>);

impl Keys {
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }

    /// Takes a key out; its value must be a string.
    pub(super) fn take_text(&mut self, key: &str) -> Result<Option<String>> {
        let Some(at) = self.0.iter().position(|(known, _)| known == key) else {
            return Ok(None);
        };
        match self.0.remove(at).1 {
            Value::Text(text) => Ok(Some(text)),
            // It may hold a password, so the value is not shown.
            other => Err(Error::invalid_config(format!(
                "{key} must be a string, not {}",
                other.kind()
            ))),
        }
    }

    pub(super) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.0.iter().map(|(key, value)| Item { key, value })
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;

        impl<'de> Visitor<'de> for Map {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of options")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Keys::default();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if keys.has(&key) {
                        let twice = format!("{key:?} stands there twice; keep one");
                        return Err(serde::de::Error::custom(twice));
                    }
                    keys.0.push((key, value));
                }
                Ok(keys)
            }
        }

        deserializer.deserialize_map(Map)
    }
}

/// A value that an option can have, or the name of what it cannot be.
#[derive(Debug)]
enum Value {
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    Other(&'static str),
}

impl Value {
    fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "true or false",
            Self::Whole(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Other(kind) => kind,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(64).collect::<String>()),
            Self::Other(kind) => f.write_str(kind),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the value of an option")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
                Ok(Value::Flag(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Whole(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                // What is larger fits no option.
                Ok(Value::Whole(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Other("nothing"))
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Other("nothing"))
            }

            fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
                Value::deserialize(value)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Other("a list"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Other("a table"))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// A key with its value, and what can be made of it.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) key: &'a str,
    value: &'a Value,
}

impl<'a> Item<'a> {
    fn bad(&self, rule: &str) -> Error {
        Error::invalid_config(format!("{} must be {rule}, not {}", self.key, self.value))
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        match self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.bad("a string")),
        }
    }

    /// Whether it is the word that stands for the default.
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self.value, Value::Text(text) if text == word)
    }

    pub(super) fn flag(&self) -> Result<bool> {
        match self.value {
            Value::Flag(flag) => Ok(*flag),
            _ => Err(self.bad("true or false")),
        }
    }

    pub(super) fn whole<T: TryFrom<i64>>(&self) -> Result<T> {
        let number = match self.value {
            Value::Whole(number) if *number >= 1 => T::try_from(*number).ok(),
            _ => None,
        };
        number.ok_or_else(|| self.bad("a positive whole number"))
    }

    pub(super) fn duration(&self) -> Result<Duration> {
        let time = match self.value {
            Value::Whole(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::Number(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Value::Text(text) => parse_duration(text).ok(),
            _ => None,
        };
        time.ok_or_else(|| {
            self.bad(
                "a number of seconds, or a string like \"250ms\", \"5s\", \"2m\", \"1h\" or \"1d\"",
            )
        })
    }

    pub(super) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T> {
        let text = self.text()?;
        choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                self.bad(&format!("one of {}", names.join(", ")))
            })
    }
}
