//! The values a template works with: JSON, seen with Go's eyes.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::{Map, Value};

/// What JSON does not say of the data: which objects are maps. All others are structs, whose fields must exist.
#[derive(Debug, Clone, Copy)]
pub struct Types {
    /// What the data is called in errors.
    pub name: &'static str,
    /// Names of the fields, at any depth, that hold maps with any keys.
    pub maps: &'static [&'static str],
    /// Names of the fields, at any depth, that hold lists: where they are null, empty ones.
    pub lists: &'static [&'static str],
    /// Those of the maps that are methods: `{{.Label "key"}}` is what is under the key, or the empty text.
    pub methods: &'static [&'static str],
}

/// What is expected of a piece of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Struct,
    Map,
    List,
}

#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    /// What is not in a map.
    Missing,
    Null(Shape),
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(Cow<'a, str>),
    Object(&'a Map<String, Value>, Shape),
    Array(&'a [Value], Shape),
    /// A list that a function made.
    List(Rc<[Val<'a>]>),
}

impl<'a> Val<'a> {
    /// What stands in data of that shape.
    pub(crate) fn of(json: &'a Value, shape: Shape) -> Self {
        match json {
            Value::Null => Self::Null(Shape::Struct),
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Self::Whole(whole.into()),
                (None, Some(whole)) => Self::Whole(whole.into()),
                (None, None) => Self::Float(number.as_f64().unwrap_or(0.0)),
            },
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            // What is in a list of structs is a struct.
            Value::Array(list) => Self::Array(list, if shape == Shape::List { Shape::Struct } else { shape }),
            Value::Object(object) => Self::Object(object, shape),
        }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(Cow::Owned(text.into()))
    }

    /// What it costs to copy it.
    pub(crate) fn weight(&self) -> usize {
        if let Self::Text(Cow::Owned(text)) = self { text.len() } else { 0 }
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Self::Missing | Self::Null(_))
    }

    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Missing | Self::Null(_) => false,
            Self::Bool(value) => *value,
            Self::Whole(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Object(_, Shape::Struct | Shape::List) => true,
            _ => self.length().is_some_and(|length| length > 0),
        }
    }

    /// Of texts in bytes, as Go counts.
    pub(crate) fn length(&self) -> Option<usize> {
        match self {
            Self::Text(text) => Some(text.len()),
            Self::Array(list, _) => Some(list.len()),
            Self::List(list) => Some(list.len()),
            Self::Object(map, Shape::Map) => Some(map.len()),
            Self::Null(Shape::Map | Shape::List) => Some(0),
            _ => None,
        }
    }

    /// One of a list.
    pub(crate) fn item(&self, at: usize) -> Option<Self> {
        match self {
            Self::Array(list, shape) => list.get(at).map(|json| Self::of(json, *shape)),
            Self::List(list) => list.get(at).cloned(),
            _ => None,
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::Array(..) | Self::List(_) | Self::Null(Shape::List))
    }

    /// What an object has under a name.
    pub(crate) fn field(&self, name: &str, types: &Types) -> Option<Self> {
        let Self::Object(map, shape) = self else { return None };
        let shape = match shape {
            Shape::Map => return map.get(name).map(|json| Self::of(json, Shape::Map)),
            _ if types.maps.contains(&name) => Shape::Map,
            _ if types.lists.contains(&name) => Shape::List,
            _ => Shape::Struct,
        };
        map.get(name).map(|json| if json.is_null() { Self::Null(shape) } else { Self::of(json, shape) })
    }

    /// Go's name of the type.
    pub(crate) fn type_name(&self, types: &Types) -> &'static str {
        match self {
            Self::Missing | Self::Null(Shape::Struct) => "nil",
            Self::Bool(_) => "bool",
            Self::Whole(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::Object(_, Shape::Map) | Self::Null(Shape::Map) => "map[string]interface {}",
            Self::Object(..) => types.name,
            Self::Array(..) | Self::List(_) | Self::Null(Shape::List) => "[]interface {}",
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Missing | Self::Null(_) => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Whole(value) => i64::try_from(*value)
                .map(Value::from)
                .or_else(|_| u64::try_from(*value).map(Value::from))
                .unwrap_or(Value::Null),
            Self::Float(value) => Value::from(*value),
            Self::Text(text) => Value::from(text.as_ref()),
            Self::Object(map, _) => Value::Object((*map).clone()),
            Self::Array(list, _) => Value::Array(list.to_vec()),
            Self::List(list) => Value::Array(list.iter().map(Self::to_json).collect()),
        }
    }
}
