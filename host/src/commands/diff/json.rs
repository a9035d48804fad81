//! The differences as one JSON document.

use std::io::Write;

use kiln_image::{Aspect, FileDifference, Found, History};
use kiln_types::paths;
use serde_json::{Map, Value, json};

use super::{Comparison, Side, files};

pub(super) fn write(comparison: &Comparison, out: &mut impl Write) -> anyhow::Result<()> {
    let Comparison { before, after, files, fields, history } = comparison;
    let fields = fields.iter().map(|field| json!({"field": field.name, "before": field.before, "after": field.after}));
    let steps = |steps: &[History]| serde_json::to_value(steps);
    let shared = before.layers - before.own_layers.len();
    let document = json!({
        "equal": comparison.is_empty(),
        "before": side(before),
        "after": side(after),
        "files": files.iter().map(file).collect::<Vec<_>>(),
        "config": fields.collect::<Vec<_>>(),
        "history": {"removed": steps(&history.removed)?, "added": steps(&history.added)?},
        "layers": {"shared": shared, "removed": layers(before), "added": layers(after)},
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn side(side: &Side) -> Value {
    let platform = side.image.config.platform().to_string();
    json!({"name": side.name, "id": side.image.id, "platform": platform, "size": side.size})
}

fn layers(side: &Side) -> Vec<Value> {
    side.own_layers.iter().map(|(diff_id, size)| json!({"diffId": diff_id, "size": size})).collect()
}

fn file(difference: &FileDifference) -> Value {
    let change = match (&difference.before, &difference.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    let mut object = Map::new();
    object.insert("path".to_owned(), paths::display(difference.path()).into());
    object.insert("change".to_owned(), change.into());
    if !difference.aspects.is_empty() {
        object.insert("differs".to_owned(), difference.aspects.iter().map(|&aspect| name(aspect)).collect());
    }
    for (key, found) in [("before", &difference.before), ("after", &difference.after)] {
        if let Some(found) = found {
            object.insert(key.to_owned(), facts(found));
        }
    }
    Value::Object(object)
}

fn name(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Kind => "type",
        Aspect::Content => "content",
        Aspect::Target => "target",
        Aspect::Device => "device",
        Aspect::Mode => "mode",
        Aspect::Owner => "owner",
        Aspect::Xattrs => "xattrs",
        Aspect::Time => "time",
    }
}

fn facts(found: &Found) -> Value {
    let mut facts = json!({
        "type": files::kind(found),
        "mode": files::mode(found),
        "uid": found.meta.uid,
        "gid": found.meta.gid,
        "mtime": found.meta.mtime,
    });
    let optional = [
        ("size", found.digest.map(|_| files::size(found).into())),
        ("digest", found.digest.map(|digest| digest.to_string().into())),
        ("target", files::target(found).map(Value::from)),
        ("device", files::device(found).map(Value::from)),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            facts[key] = value;
        }
    }
    facts
}
