//! `kiln diff`: what a container has changed, or what differs between two images.

mod config;
mod container;
mod files;
mod json;
mod text;

use std::io::Write;
use std::process::ExitCode;

use kiln_container::Container;
use kiln_image::{FileDifference, History, compare_files};
use kiln_store::{Image, Store};
use kiln_types::Digest;

use crate::cli::diff::Diff;
use crate::session::Session;

/// It could be told, and something differs.
const DIFFERENT: u8 = 1;

/// Two images and their differences.
struct Comparison {
    before: Side,
    after: Side,
    files: Vec<FileDifference>,
    fields: Vec<config::Field>,
    history: Steps,
}

struct Side {
    /// As the user called it.
    name: String,
    image: Image,
    size: u64,
    /// Layers that only this side has, with their sizes.
    own_layers: Vec<(Digest, u64)>,
    layers: usize,
}

/// Steps of the two histories between what both begin and end with.
struct Steps {
    removed: Vec<History>,
    added: Vec<History>,
}

pub(super) fn run(options: &Diff, session: &Session) -> anyhow::Result<ExitCode> {
    let store = session.store_to_read()?;
    let mut out = super::stdout();
    let different = match &options.after {
        Some(after) => {
            let comparison = compare(options, after, &store)?;
            if options.json {
                json::write(&comparison, &mut out)?;
            } else {
                text::write(&comparison, &mut out)?;
            }
            !comparison.is_empty()
        }
        None => {
            let container = Container::find(&store, &options.before)?;
            let image = store.container_image(&container.folder.record)?;
            let image = super::export::view(&store, &image.config.rootfs.diff_ids)?;
            let changes = container::compare(&container.changes()?, &image)?;
            container::write(&container, &changes, options.json, &mut out)?;
            !changes.is_empty()
        }
    };
    out.flush()?;
    Ok(if options.exit_code && different { ExitCode::from(DIFFERENT) } else { ExitCode::SUCCESS })
}

impl Comparison {
    /// Layers may be cut otherwise without anything in them being different.
    fn is_empty(&self) -> bool {
        self.files.is_empty()
            && self.fields.is_empty()
            && self.history.removed.is_empty()
            && self.history.added.is_empty()
    }
}

fn compare(options: &Diff, after: &str, store: &Store) -> anyhow::Result<Comparison> {
    let (old, new) = (store.resolve(&options.before)?, store.resolve(after)?);
    let files = if old.config.rootfs.diff_ids == new.config.rootfs.diff_ids {
        Vec::new()
    } else {
        let view = |image: &Image| super::export::view(store, &image.config.rootfs.diff_ids);
        compare_files(&view(&old)?, &view(&new)?, options.times)?
    };
    let fields = config::compare(&old.config, &new.config, options.times);
    let history = steps(&old.config.history, &new.config.history, options.times);
    Ok(Comparison {
        before: side(store, &options.before, &old, &new)?,
        after: side(store, after, &new, &old)?,
        files,
        fields,
        history,
    })
}

fn side(store: &Store, name: &str, image: &Image, other: &Image) -> anyhow::Result<Side> {
    let layers = &image.config.rootfs.diff_ids;
    let mut own_layers = Vec::new();
    for diff_id in layers.iter().filter(|diff_id| !other.config.rootfs.diff_ids.contains(diff_id)) {
        own_layers.push((*diff_id, store.layer(diff_id)?.index.files_size()));
    }
    let size = store.size(&image.id)?;
    Ok(Side { name: name.to_owned(), image: image.clone(), size, own_layers, layers: layers.len() })
}

fn steps(before: &[History], after: &[History], times: bool) -> Steps {
    let without_time = |step: &History| History { created: step.created.clone().filter(|_| times), ..step.clone() };
    let same = |(a, b): &(&History, &History)| without_time(a) == without_time(b);
    let start = before.iter().zip(after).take_while(same).count();
    let (before, after) = (&before[start..], &after[start..]);
    let end = before.iter().rev().zip(after.iter().rev()).take_while(same).count();
    Steps { removed: before[..before.len() - end].to_vec(), added: after[..after.len() - end].to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_between_what_is_common() {
        let history = |text: &str| {
            let step = |by: char| History { created_by: Some(by.to_string()), ..History::default() };
            text.chars().map(step).collect::<Vec<_>>()
        };
        let names = |steps: Vec<History>| steps.into_iter().filter_map(|step| step.created_by).collect::<String>();
        for (before, after, removed, added) in [
            ("abc", "abc", "", ""),
            ("abc", "abxc", "", "x"),
            ("abc", "axc", "b", "x"),
            ("aa", "a", "a", ""),
            ("", "ab", "", "ab"),
        ] {
            let Steps { removed: left, added: right } = steps(&history(before), &history(after), false);
            assert_eq!((names(left).as_str(), names(right).as_str()), (removed, added), "{before} {after}");
        }
    }
}
