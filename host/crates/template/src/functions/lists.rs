//! `index`, `slice` and `len`.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use crate::value::{Shape, Types, Val};

pub(super) fn len<'a>(value: &Val<'_>, types: &Types) -> Result<Val<'a>, String> {
    match value.length() {
        Some(length) => Ok(Val::Whole(length as i128)),
        None if value.is_nil() => Err("len of nil pointer".to_owned()),
        None => Err(format!("len of type {}", value.type_name(types))),
    }
}

/// `index x 1 "b"` is `x[1]["b"]`.
pub(super) fn index<'a>(values: &[Val<'a>], types: &Types) -> Result<Val<'a>, String> {
    let mut value = values[0].clone();
    for index in &values[1..] {
        value = match (&value, index) {
            (Val::Object(map, Shape::Map), Val::Text(key)) => match value.field(key, types) {
                Some(value) => value,
                // The zero value of a Go map's type; that of a map of texts is an empty one.
                None if map.values().all(Value::is_string) => Val::text(""),
                None => Val::Missing,
            },
            (Val::Null(Shape::Map), Val::Text(_)) => Val::text(""),
            (Val::Object(_, Shape::Map) | Val::Null(Shape::Map), index) if index.is_nil() => {
                return Err("value is nil; should be of type string".to_owned());
            }
            (Val::Object(_, Shape::Map) | Val::Null(Shape::Map), index) => {
                return Err(format!("value has type {}; should be string", index.type_name(types)));
            }
            (Val::Text(text), _) => {
                let at = position(index, text.len(), text.len(), types)?;
                Val::Whole(text.as_bytes()[at].into())
            }
            (value, _) if value.is_list() => {
                let length = value.length().unwrap_or(0);
                value.item(position(index, length, length, types)?).unwrap_or(Val::Missing)
            }
            (value, _) if value.is_nil() => return Err("index of untyped nil".to_owned()),
            (value, _) => return Err(format!("can't index item of type {}", value.type_name(types))),
        };
    }
    Ok(value)
}

/// `slice x 1 2` is `x[1:2]`.
pub(super) fn slice<'a>(values: &[Val<'a>], types: &Types) -> Result<Val<'a>, String> {
    let (value, indexes) = (&values[0], &values[1..]);
    if value.is_nil() && !value.is_list() {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let is_text = matches!(value, Val::Text(_));
    if is_text && indexes.len() == 3 {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let length = match value.length() {
        Some(length) if is_text || value.is_list() => length,
        _ => return Err(format!("can't slice item of type {}", value.type_name(types))),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, length, length + 1, types)?;
    }
    let [start, end, capacity] = bounds;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    if end > capacity {
        return Err(format!("invalid slice index: {end} > {capacity}"));
    }
    match value {
        Val::Text(text) => {
            let part = text.get(start..end).ok_or("a slice must not cut a character in two")?;
            Ok(Val::Text(Cow::Owned(part.to_owned())))
        }
        Val::Array(list, shape) => Ok(Val::Array(&list[start..end], *shape)),
        Val::List(list) => Ok(Val::List(Rc::from(&list[start..end]))),
        _ => Ok(value.clone()),
    }
}

fn position(index: &Val<'_>, length: usize, end: usize, types: &Types) -> Result<usize, String> {
    match index {
        Val::Whole(at) => usize::try_from(*at)
            .ok()
            .filter(|&at| at < end)
            .ok_or_else(|| format!("index out of range: {at} (there are {length})")),
        _ if index.is_nil() => Err("cannot index slice/array with nil".to_owned()),
        _ => Err(format!("cannot index slice/array with type {}", index.type_name(types))),
    }
}
