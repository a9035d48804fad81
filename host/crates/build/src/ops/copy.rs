//! COPY and ADD: which files go where, and the key over exactly those.

use std::io;
use std::path::Path;

use kiln_dockerfile::{Span, glob};
use kiln_image::{Change, Node, View, compare_paths};
use kiln_store::HashCache;
use kiln_types::{Digest, Hasher, Platform, paths};
use rayon::prelude::*;

use super::destination::{Destination, destination, existing_parents, made_directory};
use super::tree::{Item, Known, Tree, inline};
use crate::context::EntryKind;
use crate::key::Key;
use crate::plan::{Copy, CopySource};
use crate::state::State;
use crate::{Context, Located};

/// Everything a COPY will do, before any content is written.
pub(crate) struct Prepared {
    /// Sorted as change sets are.
    files: Vec<Planned>,
    /// Over all files: what history shows after `file:`, `dir:` or `multi:`.
    digest: Digest,
    kind: &'static str,
}

struct Planned {
    change: Change,
    /// Its path in the context, stage or image it comes from; empty for what is made.
    source: Vec<u8>,
    known: Known,
    /// In the context, where an archive may have to be unpacked in its place.
    archive: Option<Archive>,
}

struct Archive {
    source: Vec<u8>,
    stat: kiln_store::Stat,
    /// The directory to unpack into.
    below: Vec<u8>,
}

/// What a COPY works on.
pub(crate) struct Inputs<'a> {
    pub(crate) copy: &'a Copy,
    /// The image so far.
    pub(crate) view: &'a View,
    /// The stage or image of `--from`.
    pub(crate) from: Option<View>,
    pub(crate) context: Option<&'a Context>,
    pub(crate) hashes: &'a HashCache,
    pub(crate) span: Span,
}

/// Finds the files and where they go.
pub(crate) fn prepare(inputs: &Inputs<'_>) -> Result<Prepared, Located> {
    let Inputs { copy, view, span, .. } = *inputs;
    let image_error = |error: kiln_image::Error| Located::new("bad-image", span, error.to_string()).source(error);
    let tree = match (&inputs.from, inputs.context) {
        (Some(from), _) => Some(Tree::Image(from.clone())),
        (None, Some(context)) => Some(Tree::Context(context)),
        (None, None) => None,
    };
    let sources = sources(inputs, tree.as_ref())?;
    let place = destination(view, &copy.target)
        .map_err(|error| Located::new("bad-destination", span, error.to_string()).source(error))?;
    let into_directory = copy.target.ends_with(b"/") || place.is_directory();
    if sources.len() > 1 && !copy.target.ends_with(b"/") {
        let message = format!("several files cannot be copied to the one file {}", copy.destination);
        return Err(Located::new("destination-not-a-directory", span, message)
            .hint(format!("end the destination with a slash: {}/", copy.destination)));
    }
    let owner = match &copy.chown {
        None => None,
        Some(spec) => Some(
            kiln_image::resolve_owner(view, spec)
                .map_err(|error| Located::new("unknown-owner", span, error.to_string()).source(error))?,
        ),
    };
    let kind = match &sources[..] {
        [one] if one.node.is_directory() => "dir",
        [_] => "file",
        _ => "multi",
    };
    let (uid, gid) = owner.unwrap_or((0, 0));
    let mut placing = Placing { inputs, place: &place, owner, files: Vec::new() };
    if copy.target.ends_with(b"/") && place.existing.is_some() && !place.is_directory() {
        return Err(
            placing.conflict(&place.path, "it is a file, and a destination that ends with a slash is a directory")
        );
    }
    for parent in existing_parents(view, &place.path).map_err(image_error)? {
        placing.made(parent);
    }
    if let Some(existing) = &place.existing
        && place.is_directory()
        && !place.path.is_empty()
    {
        // Into a directory that the image has: it stays as it is.
        let change = Change { path: place.path.clone(), meta: existing.meta.clone(), node: existing.node.clone() };
        placing.made(change);
    }
    for directory in &place.missing {
        placing.made(made_directory(directory.clone(), uid, gid));
    }
    let all_files = sources.iter().all(|source| !source.node.is_directory());
    if (into_directory || !all_files) && place.existing.is_none() && !place.path.is_empty() {
        placing.made(made_directory(place.path.clone(), uid, gid));
    }
    for source in sources {
        if source.node.is_directory() {
            let below = tree.as_ref().map_or(Ok(Vec::new()), |tree| tree.below(&source.path)).map_err(image_error)?;
            placing.directory(source, below)?;
        } else {
            placing.file(source, into_directory)?;
        }
    }
    let mut files = placing.files;
    last_wins(&mut files, |file| &file.change.path);
    let digest = digest(inputs, &mut files)?;
    Ok(Prepared { files, digest, kind })
}

/// Sorts by path; of several for one place the last one stays.
fn last_wins<T>(list: &mut Vec<T>, path: impl Fn(&T) -> &[u8]) {
    list.sort_by(|a, b| compare_paths(path(a), path(b)));
    list.dedup_by(|later, earlier| {
        let same = path(later) == path(earlier);
        if same {
            std::mem::swap(later, earlier);
        }
        same
    });
}

/// Puts files at their places and refuses what cannot be there.
struct Placing<'a> {
    inputs: &'a Inputs<'a>,
    place: &'a Destination,
    owner: Option<(u32, u32)>,
    files: Vec<Planned>,
}

impl Placing<'_> {
    /// A directory that no source brings along.
    fn made(&mut self, change: Change) {
        self.files.push(Planned { change, source: Vec::new(), known: Known::Nothing, archive: None });
    }

    fn item(&mut self, path: Vec<u8>, item: Item, archive: Option<Archive>) {
        let Item { path: source, mut meta, node, known } = item;
        if let Some((uid, gid)) = self.owner {
            (meta.uid, meta.gid) = (uid, gid);
        }
        if let Some(chmod) = &self.inputs.copy.chmod
            && !matches!(node, Node::Symlink(_))
        {
            meta.mode = chmod.apply(meta.mode, node.is_directory());
        }
        self.files.push(Planned { change: Change { path, meta, node }, source, known, archive });
    }

    fn file(&mut self, item: Item, into_directory: bool) -> Result<(), Located> {
        let path = if into_directory {
            paths::join(&self.place.path, paths::name(&item.path))
        } else {
            self.place.path.clone()
        };
        self.check(&path, &item)?;
        let archive = match item.known {
            Known::Stat(stat) if self.inputs.copy.unpack => {
                Some(Archive { source: item.path.clone(), stat, below: self.place.path.clone() })
            }
            _ => None,
        };
        self.item(path, item, archive);
        Ok(())
    }

    /// A directory's contents go into the destination, not the directory itself.
    fn directory(&mut self, directory: Item, below: Vec<Item>) -> Result<(), Located> {
        if self.place.existing.is_some() && !self.place.is_directory() {
            return Err(self.conflict(&self.place.path, "a directory cannot replace a file"));
        }
        let root = directory.path;
        for item in below {
            let relative = if root.is_empty() { &item.path[..] } else { &item.path[root.len() + 1..] };
            let path = paths::join(&self.place.path, relative);
            if self.place.is_directory() {
                self.check(&path, &item)?;
            }
            self.item(path, item, None);
        }
        Ok(())
    }

    /// A directory and something that is none cannot take each other's place.
    fn check(&self, path: &[u8], item: &Item) -> Result<(), Located> {
        let existing = self
            .inputs
            .view
            .lookup(path)
            .map_err(|error| Located::new("bad-image", self.inputs.span, error.to_string()).source(error))?;
        match existing {
            Some(existing) if existing.node.is_directory() != item.node.is_directory() => Err(self.conflict(
                path,
                if item.node.is_directory() {
                    "a directory cannot replace a file or a link"
                } else {
                    "a file cannot replace a directory"
                },
            )),
            _ => Ok(()),
        }
    }

    fn conflict(&self, path: &[u8], why: &str) -> Located {
        Located::new("type-conflict", self.inputs.span, format!("cannot copy to {}: {why}", paths::display(path)))
            .hint("remove what is there in a RUN step, or choose another destination")
    }
}

/// The items that the sources name.
fn sources(inputs: &Inputs<'_>, tree: Option<&Tree<'_>>) -> Result<Vec<Item>, Located> {
    let mut items = Vec::new();
    for source in &inputs.copy.sources {
        match source {
            CopySource::Inline { name, content } => items.push(inline(name, content.clone())),
            CopySource::Path { pattern, span } => {
                let tree = tree.ok_or_else(|| {
                    Located::new("no-context", *span, format!("there is no build context to copy `{pattern}` from"))
                        .hint("give `kiln build` a directory instead of `-`")
                })?;
                items.extend(matching(inputs, tree, pattern, *span)?);
            }
        }
    }
    Ok(items)
}

/// What one source names: a path, or everything that a pattern matches.
fn matching(inputs: &Inputs<'_>, tree: &Tree<'_>, pattern: &str, span: Span) -> Result<Vec<Item>, Located> {
    let image_error = |error: kiln_image::Error| Located::new("bad-image", span, error.to_string()).source(error);
    let clean = paths::clean(pattern);
    let candidates = if glob::has_wildcard(&clean) {
        glob_paths(tree, &clean)
            .map_err(image_error)?
            .ok_or_else(|| Located::new("bad-pattern", span, format!("`{pattern}` is not a valid pattern")))?
    } else {
        vec![clean.clone()]
    };
    let mut items = Vec::new();
    for path in candidates {
        if let Some(found) = tree.follow(&path).map_err(image_error)? {
            // The name is that of the link, the content that of its target.
            let named = if found.node.is_directory() { found } else { Item { path, ..found } };
            items.push(named);
        }
    }
    if items.is_empty() {
        return Err(not_found(inputs, pattern, &clean, span));
    }
    Ok(items)
}

/// Matches component by component, as Go's filepath.Match never lets `*` match a slash. `None`: not a pattern.
fn glob_paths(tree: &Tree<'_>, pattern: &[u8]) -> Result<Option<Vec<Vec<u8>>>, kiln_image::Error> {
    let mut found = vec![Vec::new()];
    for part in paths::components(pattern) {
        let mut next = Vec::new();
        for directory in found {
            for child in tree.children(&directory)? {
                match glob::matches(part, paths::name(&child.path)) {
                    Ok(true) => next.push(child.path),
                    Ok(false) => {}
                    Err(_) => return Ok(None),
                }
            }
        }
        found = next;
    }
    Ok(Some(found))
}

fn not_found(inputs: &Inputs<'_>, pattern: &str, clean: &[u8], span: Span) -> Located {
    let place = if inputs.from.is_some() { "the stage or image it is copied from" } else { "the build context" };
    let problem = Located::new("copy-not-found", span, format!("`{pattern}` is not in {place}"));
    if inputs.from.is_some() {
        return problem;
    }
    let Some(context) = inputs.context else { return problem };
    let outside = kiln_types::paths::components(pattern.as_bytes()).next() == Some(b"..");
    let kind = context.get(clean).map(|entry| &entry.kind);
    if outside {
        problem.hint("files outside the build context cannot be copied: build from a directory further up, with -f for the Dockerfile")
    } else if matches!(kind, Some(EntryKind::Special)) {
        problem.hint("it is there, but it is a socket, a pipe or a device, which cannot be copied")
    } else if matches!(kind, Some(EntryKind::Symlink(_))) {
        problem.hint(
            "it is a symbolic link that does not lead to a file inside the build context, and links lead nowhere else",
        )
    } else if context.ignores(clean) {
        problem.hint("the ignore file excludes it: add an exception, a line that begins with `!`")
    } else {
        problem.hint("paths are relative to the directory that `kiln build` was given")
    }
}

/// The digest over all that will be in the layer, times left out; contents that are not known are read now.
fn digest(inputs: &Inputs<'_>, files: &mut [Planned]) -> Result<Digest, Located> {
    let unknown = |planned: &Planned| match planned.known {
        Known::Stat(stat) => inputs.hashes.get(&stat).is_none(),
        Known::Nothing | Known::Digest(_) => false,
    };
    let digests: Vec<Option<Digest>> = files
        .par_iter()
        .with_min_len(if files.iter().any(unknown) { 1 } else { 4096 })
        .map(|planned| match planned.known {
            Known::Nothing => Ok(None),
            Known::Digest(digest) => Ok(Some(digest)),
            Known::Stat(stat) => file_digest(inputs, planned, stat).map(Some),
        })
        .collect::<Result<_, _>>()?;
    let mut hasher = Hasher::new();
    for (planned, digest) in files.iter_mut().zip(digests) {
        let Change { path, meta, node } = &planned.change;
        hasher.field(path);
        hasher.update(meta.mode.to_le_bytes());
        hasher.update(meta.uid.to_le_bytes());
        hasher.update(meta.gid.to_le_bytes());
        for (name, value) in &meta.xattrs {
            hasher.field(name);
            hasher.field(value);
        }
        hasher.field(description(node));
        if let Some(digest) = digest {
            hasher.update(digest.as_bytes());
            planned.known = Known::Digest(digest);
        }
    }
    Ok(hasher.finish())
}

fn description(node: &Node) -> Vec<u8> {
    match node {
        Node::Directory { .. } => b"directory".to_vec(),
        Node::File(_) => b"file".to_vec(),
        Node::Symlink(target) => [b"symlink ", &target[..]].concat(),
        Node::HardLink(target) => [b"hardlink ", &target[..]].concat(),
        Node::CharDevice { major, minor } => format!("character device {major} {minor}").into_bytes(),
        Node::BlockDevice { major, minor } => format!("block device {major} {minor}").into_bytes(),
        Node::Fifo => b"fifo".to_vec(),
        Node::Whiteout => b"whiteout".to_vec(),
    }
}

fn file_digest(inputs: &Inputs<'_>, planned: &Planned, stat: kiln_store::Stat) -> Result<Digest, Located> {
    if let Some(digest) = inputs.hashes.get(&stat) {
        return Ok(digest);
    }
    let Node::File(content) = &planned.change.node else { unreachable!("only files have a stat") };
    let digest = content.open().and_then(|mut file| hash(&mut file, stat.size)).map_err(|error| {
        let path = String::from_utf8_lossy(&planned.source);
        Located::new("unreadable-file", inputs.span, format!("cannot read `{path}` of the build context")).source(error)
    })?;
    inputs.hashes.insert(&stat, digest);
    Ok(digest)
}

fn hash(file: &mut dyn io::Read, size: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut block = vec![0; usize::try_from(size.clamp(1, 1 << 20)).expect("at most 1 MiB")];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&block[..read]),
        }
    }
}

impl Prepared {
    pub(crate) fn key(&self, copy: &Copy, state: &State, platform: &Platform) -> Key {
        let mut key = Key::new(if copy.unpack { "add" } else { "copy" }, state.content, platform);
        key.add("instruction", format!("{} in {}", copy.keyword, copy.destination));
        key.add("files", self.digest.to_string());
        key
    }

    /// What history says after `#(nop) `.
    pub(crate) fn comment(&self, copy: &Copy) -> String {
        let chown = copy.chown.as_ref().map(|owner| format!("--chown={owner} ")).unwrap_or_default();
        format!("{} {chown}{}:{} in {} ", copy.keyword, self.kind, self.digest.hex(), copy.destination)
    }

    /// The change set; ADD's archives are unpacked here, spooled in `spool`.
    pub(crate) fn changes(self, inputs: &Inputs<'_>, spool: &Path) -> Result<Vec<Change>, Located> {
        let mut changes = Vec::with_capacity(self.files.len());
        let mut unpacked = false;
        for Planned { change, archive, .. } in self.files {
            let contents = archive.map(|archive| unpack(inputs, &archive, spool)).transpose()?.flatten();
            match contents {
                Some(contents) => {
                    changes.extend(contents);
                    unpacked = true;
                }
                None => changes.push(change),
            }
        }
        if unpacked {
            last_wins(&mut changes, |change| &change.path);
        }
        Ok(changes)
    }
}

/// The files in an archive of the context; `None` if it is no archive.
fn unpack(inputs: &Inputs<'_>, archive: &Archive, spool: &Path) -> Result<Option<Vec<Change>>, Located> {
    let Some(context) = inputs.context else { return Ok(None) };
    let name = paths::display(&archive.source);
    let failed = |error: String| {
        Located::new("bad-archive", inputs.span, format!("cannot unpack {name} of the build context: {error}"))
            .hint("use COPY to take the file as it is")
    };
    let file = context.open_file(&archive.source, archive.stat).map_err(|error| failed(error.to_string()))?;
    let changes =
        kiln_image::archive_changes(file, &archive.below, spool).map_err(|error| failed(error.to_string()))?;
    let Some(mut changes) = changes else { return Ok(None) };
    if let Some(owner) = &inputs.copy.chown {
        let (uid, gid) =
            kiln_image::resolve_owner(inputs.view, owner).map_err(|error| failed(error.to_string()).source(error))?;
        changes.iter_mut().for_each(|change| (change.meta.uid, change.meta.gid) = (uid, gid));
    }
    Ok(Some(changes))
}
