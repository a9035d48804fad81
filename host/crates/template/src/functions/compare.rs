//! Go's comparisons: never between values of different kinds.

use crate::value::{Types, Val};

const INCOMPATIBLE: &str = "incompatible types for comparison";
const INVALID: &str = "invalid type for comparison";

/// Whether the first is equal to any of the others.
pub(super) fn equal(values: &[Val<'_>], types: &Types) -> Result<bool, String> {
    let Some((first, others)) = values.split_first().filter(|(_, others)| !others.is_empty()) else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in others {
        let same = match (first, other) {
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Whole(a), Val::Whole(b)) => a == b,
            (Val::Float(a), Val::Float(b)) => a == b,
            (Val::Text(a), Val::Text(b)) => a == b,
            (a, b) if a.is_nil() || b.is_nil() => a.is_nil() && b.is_nil(),
            (a, b) if a.type_name(types) != b.type_name(types) => return Err(INCOMPATIBLE.to_owned()),
            (a, _) => return Err(format!("non-comparable type {}", a.type_name(types))),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn less(values: &[Val<'_>], types: &Types) -> Result<bool, String> {
    match (&values[0], &values[1]) {
        (Val::Whole(a), Val::Whole(b)) => Ok(a < b),
        (Val::Float(a), Val::Float(b)) => Ok(a < b),
        (Val::Text(a), Val::Text(b)) => Ok(a < b),
        (a, b) if is_basic(a) && is_basic(b) && a.type_name(types) != b.type_name(types) => {
            Err(INCOMPATIBLE.to_owned())
        }
        _ => Err(INVALID.to_owned()),
    }
}

pub(super) fn less_or_equal(values: &[Val<'_>], types: &Types) -> Result<bool, String> {
    Ok(less(values, types)? || equal(values, types)?)
}

fn is_basic(value: &Val<'_>) -> bool {
    matches!(value, Val::Bool(_) | Val::Whole(_) | Val::Float(_) | Val::Text(_))
}
