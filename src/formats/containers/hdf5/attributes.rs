//! Attributes of groups and datasets as metadata values.

use std::collections::HashMap;

use hdf5::{AttrValue, Datatype};

use crate::model::Value;

/// Attributes sorted by name, and why they could not be read.
type Attributes = (Vec<(String, Value)>, Option<String>);

/// A group's attributes.
pub(super) fn of_group(group: &hdf5::Group) -> Attributes {
    convert(group.attrs(), || group.attr_datatypes())
}

/// A dataset's attributes.
pub(super) fn of_dataset(dataset: &hdf5::Dataset) -> Attributes {
    convert(dataset.attrs(), || dataset.attr_datatypes())
}

fn convert(
    values: Result<HashMap<String, AttrValue>, hdf5::Error>,
    types: impl FnOnce() -> Result<HashMap<String, Datatype>, hdf5::Error>,
) -> Attributes {
    let values = match values {
        Ok(values) => values,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut attributes = Vec::with_capacity(values.len());
    // The library leaves out what it has no value for (opaque, compound, references) and does not say so;
    // the types list every attribute.
    match types() {
        Ok(types) => {
            for (name, datatype) in &types {
                let value = match values.get(name) {
                    Some(value) if is_boolean(datatype) => to_boolean(to_value(value)),
                    Some(value) => to_value(value),
                    None => Value::Elided("an attribute of a type that is not interpreted"),
                };
                attributes.push((name.clone(), value));
            }
        }
        Err(_) => attributes.extend(values.iter().map(|(name, value)| (name.clone(), to_value(value)))),
    }
    attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    (attributes, None)
}

/// h5py writes a truth value as an enumeration of FALSE and TRUE over one byte.
pub(super) fn is_boolean(datatype: &Datatype) -> bool {
    let Datatype::Enumeration { members, size: 1, .. } = datatype else { return false };
    let mut names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    names.sort_unstable();
    names == ["FALSE", "TRUE"]
}

fn to_boolean(value: Value) -> Value {
    match value {
        Value::Int(int) => Value::Bool(int != 0),
        Value::List(items) => Value::List(items.into_iter().map(to_boolean).collect()),
        other => other,
    }
}

fn to_value(value: &AttrValue) -> Value {
    fn ints<T: Copy + Into<i64>>(items: &[T]) -> Value {
        Value::List(items.iter().map(|&item| Value::Int(item.into())).collect())
    }
    let unsigned = |int: u64| i64::try_from(int).map_or_else(|_| Value::BigInt(int.to_string()), Value::Int);
    match value {
        AttrValue::F32(float) => Value::Float(f64::from(*float)),
        AttrValue::F64(float) => Value::Float(*float),
        AttrValue::F32Array(items) => {
            Value::List(items.iter().map(|&item| Value::Float(f64::from(item))).collect())
        }
        AttrValue::F64Array(items) => Value::List(items.iter().map(|&item| Value::Float(item)).collect()),
        AttrValue::I8(int) => Value::Int(i64::from(*int)),
        AttrValue::I16(int) => Value::Int(i64::from(*int)),
        AttrValue::I32(int) => Value::Int(i64::from(*int)),
        AttrValue::I64(int) => Value::Int(*int),
        AttrValue::U8(int) => Value::Int(i64::from(*int)),
        AttrValue::U16(int) => Value::Int(i64::from(*int)),
        AttrValue::U32(int) => Value::Int(i64::from(*int)),
        AttrValue::U64(int) => unsigned(*int),
        AttrValue::I8Array(items) => ints(items),
        AttrValue::I16Array(items) => ints(items),
        AttrValue::I32Array(items) => ints(items),
        AttrValue::I64Array(items) => ints(items),
        AttrValue::U8Array(items) => ints(items),
        AttrValue::U16Array(items) => ints(items),
        AttrValue::U32Array(items) => ints(items),
        AttrValue::U64Array(items) => Value::List(items.iter().map(|&item| unsigned(item)).collect()),
        AttrValue::StringArray(_)
        | AttrValue::StringArraySized { .. }
        | AttrValue::AsciiStringArray(_)
        | AttrValue::AsciiStringArraySized { .. }
        | AttrValue::VarLenAsciiCharArray(_)
        | AttrValue::VarLenStringArray(_)
        | AttrValue::VarLenAsciiStringArray(_) => Value::List(
            value.as_strings().unwrap_or_default().iter().map(|text| Value::Text(text.clone())).collect(),
        ),
        other => {
            other.as_str().map_or(Value::Elided("an attribute of a type that is not interpreted"), |text| {
                Value::Text(text.to_owned())
            })
        }
    }
}
