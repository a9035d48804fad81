//! Differences of configurations, field by field: `config.Env.PATH`, `config.Cmd`, `architecture`.

use std::collections::BTreeMap;

use kiln_image::ImageConfig;
use serde_json::Value;

/// A field that one of the configurations lacks, or that has another value.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

pub(super) fn compare(before: &ImageConfig, after: &ImageConfig, times: bool) -> Vec<Field> {
    let (mut before, mut after) = (fields(before, times), fields(after, times));
    before.retain(|name, value| match after.get(name) {
        Some(other) if other == value => {
            after.remove(name);
            false
        }
        _ => true,
    });
    let mut pairs: BTreeMap<String, (Option<Value>, Option<Value>)> =
        before.into_iter().map(|(name, value)| (name, (Some(value), None))).collect();
    for (name, value) in after {
        pairs.entry(name).or_default().1 = Some(value);
    }
    pairs.into_iter().map(|(name, (before, after))| Field { name, before, after }).collect()
}

/// Everything but what is compared as files, layers and history.
fn fields(config: &ImageConfig, times: bool) -> BTreeMap<String, Value> {
    let mut fields = BTreeMap::new();
    if let Ok(Value::Object(mut document)) = serde_json::to_value(config) {
        document.remove("rootfs");
        document.remove("history");
        if !times {
            document.remove("created");
        }
        document.into_iter().for_each(|(name, value)| flatten(name, value, &mut fields));
    }
    fields
}

fn flatten(name: String, value: Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.into_iter().for_each(|(key, value)| flatten(format!("{name}.{key}"), value, fields));
        }
        Value::Array(lines) if name == "config.Env" => {
            for line in lines {
                let text = line.as_str().unwrap_or_default();
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                fields.insert(format!("{name}.{key}"), value.into());
            }
        }
        // Nothing, written down.
        Value::Object(_) if name == "config" => {}
        value => drop(fields.insert(name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ImageConfig {
        let text = format!(r#"{{"rootfs":{{"type":"layers"}},"os":"linux","config":{text}}}"#);
        ImageConfig::parse(text.as_bytes()).expect("a configuration")
    }

    #[test]
    fn each_field_for_itself() {
        let before = config(r#"{"Env":["A=1","B=2=3","PATH=/bin"],"Cmd":["a"],"Labels":{"x":"y"}}"#);
        let after = config(r#"{"Env":["PATH=/bin","A=2","C="],"Cmd":["a","b"],"ExposedPorts":{"80/tcp":{}}}"#);
        let show = |value: Option<Value>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let found: Vec<_> = compare(&before, &after, false)
            .into_iter()
            .map(|field| format!("{} {} {}", field.name, show(field.before), show(field.after)))
            .collect();
        assert_eq!(
            found,
            [
                r#"config.Cmd ["a"] ["a","b"]"#,
                r#"config.Env.A "1" "2""#,
                r#"config.Env.B "2=3" -"#,
                r#"config.Env.C - """#,
                r"config.ExposedPorts.80/tcp - {}",
                r#"config.Labels.x "y" -"#,
            ]
        );
        assert!(compare(&before, &before, true).is_empty());
    }
}
