//! The functions of templates: Go's own, and those that Docker adds.

mod compare;
mod docker;
mod escape;
mod lists;

use crate::printf::{self, Limits, TooMuch};
use crate::value::Val;

/// What a function takes in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Any,
    Text,
    Whole,
}

pub(crate) struct Function {
    pub(crate) parameters: &'static [Parameter],
    /// Of the arguments beyond those, if there may be any.
    pub(crate) more: Option<Parameter>,
    pub(crate) run: Run,
}

/// The arguments fit the parameters. The error lacks its place.
type Run = for<'a> fn(&[Val<'a>], Limits<'_>) -> Result<Val<'a>, String>;

pub(crate) fn exists(name: &str) -> bool {
    is_lazy(name) || find(name).is_some()
}

/// `and` and `or` do not evaluate all their arguments: the execution does them itself.
pub(crate) fn is_lazy(name: &str) -> bool {
    matches!(name, "and" | "or")
}

/// Functions that leave the name of a column as it is.
pub(crate) fn keeps_header(name: &str) -> bool {
    matches!(name, "json" | "split" | "join" | "title" | "lower" | "upper" | "truncate")
}

pub(crate) fn find(name: &str) -> Option<Function> {
    use Parameter::{Any, Text, Whole};
    let none: &[Parameter] = &[];
    let (parameters, more, run): (_, _, Run) = match name {
        "not" => (&[Any][..], None, |values, _| Ok(Val::Bool(!values[0].truth()))),
        "eq" => (&[Any], Some(Any), |values, limits| compare::equal(values, limits.types).map(Val::Bool)),
        "ne" => (&[Any, Any], None, |values, limits| compare::equal(values, limits.types).map(not)),
        "lt" => (&[Any, Any], None, |values, limits| compare::less(values, limits.types).map(Val::Bool)),
        "le" => (&[Any, Any], None, |values, limits| compare::less_or_equal(values, limits.types).map(Val::Bool)),
        "gt" => (&[Any, Any], None, |values, limits| compare::less_or_equal(values, limits.types).map(not)),
        "ge" => (&[Any, Any], None, |values, limits| compare::less(values, limits.types).map(not)),
        "index" => (&[Any], Some(Any), |values, limits| lists::index(values, limits.types)),
        "slice" => (&[Any], Some(Any), |values, limits| lists::slice(values, limits.types)),
        "len" => (&[Any], None, |values, limits| lists::len(&values[0], limits.types)),
        "print" => (none, Some(Any), |values, limits| printed(printf::print(values, limits))),
        "println" => (none, Some(Any), |values, limits| printed(printf::println(values, limits))),
        "printf" => {
            (&[Text], Some(Any), |values, limits| printed(printf::printf(text(&values[0]), &values[1..], limits)))
        }
        "html" => (none, Some(Any), |values, limits| escaped(values, limits, escape::html)),
        "js" => (none, Some(Any), |values, limits| escaped(values, limits, escape::js)),
        "urlquery" => (none, Some(Any), |values, limits| escaped(values, limits, escape::url_query)),
        "json" => (&[Any], None, |values, _| Ok(Val::text(docker::json(&values[0])))),
        "split" => (&[Text, Text], None, |values, _| Ok(docker::split(text(&values[0]), text(&values[1])))),
        "join" => (&[Any, Text], None, |values, limits| docker::join(&values[0], text(&values[1]), limits)),
        "title" => (&[Text], None, |values, _| Ok(Val::text(docker::title(text(&values[0]))))),
        "lower" => (&[Text], None, |values, _| Ok(Val::text(text(&values[0]).to_lowercase()))),
        "upper" => (&[Text], None, |values, _| Ok(Val::text(text(&values[0]).to_uppercase()))),
        "truncate" => (&[Text, Whole], None, |values, _| docker::truncate(text(&values[0]), whole(&values[1]))),
        "pad" => (&[Text, Whole, Whole], None, |values, limits| {
            docker::pad(text(&values[0]), whole(&values[1]), whole(&values[2]), limits)
        }),
        _ => return None,
    };
    Some(Function { parameters, more, run })
}

fn not<'a>(answer: bool) -> Val<'a> {
    Val::Bool(!answer)
}

fn printed<'a>(result: Result<String, TooMuch>) -> Result<Val<'a>, String> {
    result.map(Val::text).map_err(|TooMuch| "it writes too much".to_owned())
}

fn escaped<'a>(values: &[Val<'_>], limits: Limits<'_>, escape: fn(&str) -> String) -> Result<Val<'a>, String> {
    let values: Vec<Val<'_>> =
        values.iter().map(|value| if value.is_nil() { Val::text("<no value>") } else { value.clone() }).collect();
    printed(printf::print(&values, limits).map(|text| escape(&text)))
}

fn text<'v>(value: &'v Val<'_>) -> &'v str {
    if let Val::Text(text) = value { text } else { "" }
}

fn whole(value: &Val<'_>) -> i128 {
    if let Val::Whole(whole) = value { *whole } else { 0 }
}
