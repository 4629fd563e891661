//! Metadata: everything in a checkpoint that is not a tensor's values, in the order it was stored.

use super::TensorId;

/// One metadata value. Trees are bounded in depth and size by whoever builds them
/// ([`crate::raw::limits::METADATA_DEPTH`], [`crate::raw::limits::METADATA_NODES`]), so plain recursion over them is safe.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// None, null.
    #[default]
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// An integer that does not fit `i64`, in decimal.
    BigInt(String),
    /// A floating-point number; may be NaN or infinite.
    Float(f64),
    /// Text.
    Text(String),
    /// Bytes that are not text; `preview` holds the first few, or all where they are not many.
    Bytes {
        /// How many there are.
        len: u64,
        /// The first few of them.
        preview: Vec<u8>,
    },
    /// A list, tuple or set.
    List(Vec<Value>),
    /// A dictionary, in stored order. Keys that are not text are written as Python would print them.
    Map(Vec<(String, Value)>),
    /// A tensor of the catalogue.
    Tensor(TensorId),
    /// An object of a class that this program does not interpret: its class and what it holds.
    Object {
        /// `module.Class`.
        class: String,
        /// Attributes or constructor arguments.
        fields: Vec<(String, Value)>,
    },
    /// Left out, with the reason: a cycle, or more than the limit.
    Elided(&'static str),
}

impl Value {
    /// An empty map.
    pub fn empty() -> Self {
        Self::Map(Vec::new())
    }

    /// The value of a map's or object's key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Map(entries) | Self::Object { fields: entries, .. } => {
                entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The text of a [`Value::Text`].
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            _ => false,
        }
    }

    /// As JSON. What JSON lacks is text (`"NaN"`, `"Infinity"`, `"-Infinity"`) or an object that says what it is
    /// (`{"__tensor__": name}`, `{"__bytes__": length}`, `{"__elided__": reason}`).
    pub fn to_json(&self, name_of: &dyn Fn(TensorId) -> String) -> serde_json::Value {
        let entries = |entries: &[(String, Value)]| -> serde_json::Map<String, serde_json::Value> {
            entries.iter().map(|(key, value)| (key.clone(), value.to_json(name_of))).collect()
        };
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(flag) => (*flag).into(),
            Self::Int(int) => (*int).into(),
            Self::BigInt(digits) => digits.parse::<u64>().map_or_else(|_| digits.clone().into(), Into::into),
            Self::Float(float) if float.is_finite() => (*float).into(),
            Self::Float(float) if float.is_nan() => "NaN".into(),
            Self::Float(float) => if *float > 0.0 { "Infinity" } else { "-Infinity" }.into(),
            Self::Text(text) => text.clone().into(),
            Self::Bytes { len, .. } => serde_json::json!({ "__bytes__": len }),
            Self::List(items) => items.iter().map(|item| item.to_json(name_of)).collect(),
            Self::Map(map) => entries(map).into(),
            Self::Tensor(id) => serde_json::json!({ "__tensor__": name_of(*id) }),
            Self::Object { class, fields } => {
                let mut map = entries(fields);
                map.insert("__class__".to_owned(), class.clone().into());
                map.into()
            }
            Self::Elided(reason) => serde_json::json!({ "__elided__": reason }),
        }
    }

    /// From parsed JSON, which `serde_json` bounds in depth.
    pub fn from_json(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(flag) => Self::Bool(flag),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(int) => Self::Int(int),
                None if number.is_u64() => Self::BigInt(number.to_string()),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            serde_json::Value::Object(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, Self::from_json(value))).collect())
            }
        }
    }
}
