//! COPY and ADD: which files go where, and the key over exactly those.

mod ahead;
mod digest;
mod former;
mod placing;
mod select;
mod sources;

use std::path::Path;
use std::sync::Arc;

use kiln_dockerfile::Span;
use kiln_image::{Change, Node, View, compare_paths};
use kiln_store::{HashCache, UnkeptLayer};
use kiln_types::{Digest, Platform, paths};

use super::archive;
use super::destination::destination;
use super::tree::Known;
use crate::explain::Listed;
use crate::key::Key;
use crate::plan::Copy;
use crate::remote::Downloaded;
use crate::state::State;
use crate::{Context, Located};
pub(crate) use former::Former;
use placing::Placing;

/// Everything a COPY will do, before any content is written.
pub(crate) struct Prepared {
    /// Sorted as change sets are.
    files: Vec<Planned>,
    /// Over all files: what history shows after `file:`, `dir:` or `multi:`.
    digest: Digest,
    kind: &'static str,
    /// Where the only source is, links followed.
    source: Option<Vec<u8>>,
    /// What the user should know.
    pub(crate) notes: Vec<String>,
    /// What [`Prepared::changes`] would become.
    pub(crate) layer: Option<UnkeptLayer>,
    /// The layer is worth remembering for the next time.
    pub(crate) lends: bool,
}

struct Planned {
    change: Change,
    /// Its path in the context, stage or image it comes from; empty for what is made.
    source: Arc<[u8]>,
    known: Known,
    /// The same for all names of a file: source, device, file.
    inode: Option<(usize, u64, u64)>,
    archive: Option<Box<Archive>>,
}

/// A file that ADD unpacks if it is an archive.
struct Archive {
    /// The directory to unpack into.
    below: Vec<u8>,
    /// Where the file itself goes if it is none.
    at: Vec<u8>,
}

/// What ADD took from elsewhere.
pub(crate) enum Remote {
    File(Downloaded),
    /// The files of a git repository.
    Tree(Context),
}

/// See [`Inputs::write_ahead`].
pub(crate) type WriteAhead<'a> = dyn Fn(Vec<Change>) -> Option<UnkeptLayer> + Sync + 'a;

/// What a COPY works on.
pub(crate) struct Inputs<'a> {
    pub(crate) copy: &'a Copy,
    /// The image so far.
    pub(crate) image: &'a View,
    /// The stage or image of `--from`.
    pub(crate) from: Option<View>,
    pub(crate) context: Option<&'a Context>,
    /// One for each source; those that come from elsewhere are there.
    pub(crate) remotes: &'a [Option<Remote>],
    pub(crate) hashes: &'a HashCache,
    /// Writes a layer that perhaps nobody needs; `None` where that fails.
    pub(crate) write_ahead: Option<&'a WriteAhead<'a>>,
    /// What the same step made before, of a context.
    pub(crate) former: Option<&'a Former<'a>>,
    /// Whatever is recorded, the layer is made.
    pub(crate) no_cache: bool,
    pub(crate) span: Span,
    /// A filesystem with nothing in it: what a layer of its own is made upon.
    pub(crate) nothing: View,
}

impl Inputs<'_> {
    /// What the destination is looked up in. With `--link` it is not looked up at all: the layer fits any image.
    pub(super) fn view(&self) -> &View {
        if self.copy.link { &self.nothing } else { self.image }
    }
}

/// Finds the files and where they go.
pub(crate) fn prepare(inputs: &Inputs<'_>) -> Result<Prepared, Located> {
    let Inputs { copy, span, .. } = *inputs;
    if copy.sources.len() > 1 && !copy.target.ends_with(b"/") {
        let message = format!("several files cannot be copied to the one file {}", copy.destination);
        return Err(Located::new("destination-not-a-directory", span, message)
            .hint(format!("end the destination with a slash: {}/", copy.destination)));
    }
    let sources::Sources { taken, mut notes } = sources::find(inputs)?;
    let place = destination(inputs.view(), &copy.target)
        .map_err(|error| Located::new("bad-destination", span, error.to_string()).source(error))?;
    let owner = match &copy.chown {
        None => None,
        Some(spec) => Some(
            kiln_image::resolve_owner(inputs.image, spec)
                .map_err(|error| Located::new("unknown-owner", span, error.to_string()).source(error))?,
        ),
    };
    let kind = match &taken[..] {
        [one] if one.item.node.is_directory() => "dir",
        [_] => "file",
        _ => "multi",
    };
    let into_one = taken.len() > 1 && !copy.target.ends_with(b"/") && !place.is_directory();
    if into_one && taken.iter().all(|one| !one.item.node.is_directory() && !one.unpack) {
        notes.push(format!(
            "{} files match and go to the one file {}: the last one stays",
            taken.len(),
            copy.destination
        ));
    }
    let source = if let [one] = &taken[..] { Some(one.place.clone()) } else { None };
    let mut files = Vec::new();
    // Where nothing matches, nothing is made.
    if !taken.is_empty() {
        let mut placing = Placing::new(inputs, &place, owner)?;
        for one in taken {
            placing.add(one)?;
        }
        files = placing.finish()?;
    }
    digest::recall(inputs.hashes, &mut files);
    let layer = ahead::write(inputs, &mut files);
    let digest = digest::digest(inputs, &mut files)?;
    let lends = inputs.former.is_some() && former::is_worth(&files);
    Ok(Prepared { files, digest, kind, source, notes, layer, lends })
}

fn image_error(span: Span) -> impl Fn(kiln_image::Error) -> Located {
    move |error| Located::new("bad-image", span, error.to_string()).source(error)
}

/// Of several for one place, in a sorted list, the last one stays.
fn last_wins<T>(list: &mut Vec<T>, path: impl Fn(&T) -> &[u8]) {
    list.dedup_by(|later, earlier| {
        let same = path(later) == path(earlier);
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
}

impl Prepared {
    /// Of all that will be in the layer.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn source(&self) -> Option<&[u8]> {
        self.source.as_deref()
    }

    pub(crate) fn key(&self, copy: &Copy, state: &State, platform: &Platform) -> Key {
        let unpacks = copy.unpack || copy.unpack_remote;
        let (kind, parent) = match (unpacks, copy.link) {
            (true, false) => ("add", state.content),
            (false, false) => ("copy", state.content),
            // A layer that fits any image does not depend on what is below.
            (true, true) => ("add-link", Digest::of("")),
            (false, true) => ("copy-link", Digest::of("")),
        };
        let mut key = Key::new(kind, parent, platform);
        key.add("instruction", format!("{} in {}", copy.keyword, copy.destination));
        key.add("files", self.digest.to_string());
        key
    }

    /// The files as they will be in the layer, archives not yet unpacked.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        let listed = |planned: &Planned| {
            let Planned { change: Change { path, meta, node }, known, archive, .. } = planned;
            let digest = if let Known::Digest(digest) = known { Some(*digest) } else { None };
            let what = digest::description(node);
            let (path, may_be_archive) = (path.clone(), archive.is_some());
            Listed { path, mode: meta.mode, uid: meta.uid, gid: meta.gid, what, digest, may_be_archive }
        };
        self.files.iter().map(listed).collect()
    }

    /// What history says after `#(nop) `.
    pub(crate) fn comment(&self, copy: &Copy) -> String {
        let chown = copy.chown.as_ref().map(|owner| format!("--chown={owner} ")).unwrap_or_default();
        format!("{} {chown}{}:{} in {} ", copy.keyword, self.kind, self.digest.hex(), copy.destination)
    }

    /// The change set; ADD's archives are unpacked here, spooled in `spool`.
    pub(crate) fn changes(mut self, inputs: &Inputs<'_>, spool: &Path) -> Result<Vec<Change>, Located> {
        if let Some(former) = inputs.former.filter(|_| self.lends) {
            former.lend(&mut self.files);
        }
        let mut changes = Vec::with_capacity(self.files.len());
        // What became of the destination itself, where several files that may be archives go there.
        let (mut unpacked, mut is_file) = (false, false);
        for Planned { change, source, known, archive, .. } in self.files {
            let contents = match (&archive, &change.node) {
                (Some(archive), Node::File(content)) => {
                    let file = archive::File { name: &source, content, known: &known };
                    archive::unpack(inputs, &file, &archive.below, spool)?
                }
                _ => None,
            };
            match (contents, archive) {
                (Some(contents), archive) => {
                    if let Some(archive) = archive.filter(|_| is_file) {
                        return Err(placing::conflict(inputs, &archive.below, "a directory cannot replace a file"));
                    }
                    changes.extend(contents);
                    unpacked = true;
                }
                (None, Some(archive)) => {
                    let Archive { below, at } = *archive;
                    let into = at == below && unpacked;
                    is_file |= at == below && !unpacked;
                    let at = if into { paths::join(&below, paths::name(&source)) } else { at };
                    let change = Change { path: at.clone(), ..change };
                    let existing = inputs.view().lookup(&at).map_err(image_error(inputs.span))?;
                    if existing.is_some_and(|existing| existing.node.is_directory()) {
                        return Err(placing::conflict(inputs, &at, "a file cannot replace a directory"));
                    }
                    changes.push(change);
                }
                (None, None) => changes.push(change),
            }
        }
        if unpacked || is_file {
            changes.sort_by(|a, b| compare_paths(&a.path, &b.path));
            last_wins(&mut changes, |change| &change.path);
            archive::order_links(&mut changes);
        }
        Ok(changes)
    }
}
