//! The files that the sources of a COPY or ADD name.

use kiln_dockerfile::{IgnoreFile, Span, glob};
use kiln_types::{Digest, paths};

use super::super::tree::{Item, Known, Tree, inline};
use super::select::{Include, Selection};
use super::{Inputs, Remote, image_error};
use crate::Located;
use crate::context::EntryKind;
use crate::plan::CopySource;

/// One thing that is copied, with all that comes along if it is a directory.
pub(super) struct Taken {
    pub(super) item: Item,
    /// Its path, links followed.
    pub(super) place: Vec<u8>,
    pub(super) below: Vec<Item>,
    /// An archive is unpacked.
    pub(super) unpack: bool,
    /// Two files are names of one only if they come from the same source.
    pub(super) source: usize,
}

/// What was found, and what the user should know about it.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) taken: Vec<Taken>,
    pub(super) notes: Vec<String>,
}

pub(super) fn find(inputs: &Inputs<'_>) -> Result<Sources, Located> {
    let tree = match (&inputs.from, inputs.context) {
        (Some(from), _) => Some(Tree::Image(from.clone())),
        (None, Some(context)) => Some(Tree::Context(context)),
        (None, None) => None,
    };
    let exclude = exclude(inputs)?;
    let mut found = Sources::default();
    for (number, source) in inputs.copy.sources.iter().enumerate() {
        match source {
            CopySource::Inline { name, content } => found.add(number, inline(name, content.clone()), Vec::new(), false),
            CopySource::Path { pattern, span } => {
                let tree = tree.as_ref().ok_or_else(|| no_context(pattern, *span))?;
                let mut one = One { inputs, tree, number, pattern, span: *span, found: &mut found };
                if inputs.copy.parents { one.with_parents(&exclude)? } else { one.named(&exclude)? }
            }
            CopySource::Exactly { path, span } => {
                let tree = tree.as_ref().ok_or_else(|| no_context(path, *span))?;
                let mut one = One { inputs, tree, number, pattern: path, span: *span, found: &mut found };
                one.take(paths::clean(path), &Selection::default())?;
            }
            CopySource::Url { span, .. } | CopySource::Git { span, .. } => match inputs.remotes.get(number) {
                Some(Some(Remote::File(file))) => found.add(number, file.item(), Vec::new(), inputs.copy.unpack_remote),
                Some(Some(Remote::Tree(context))) => {
                    let tree = Tree::Context(context);
                    let selection = Selection { include: None, exclude: exclude.clone() };
                    let below = selection.of(&tree, b"").map_err(image_error(*span))?;
                    let root = tree.get(b"").map_err(image_error(*span))?.expect("every tree has a root");
                    found.add(number, root, below, false);
                }
                Some(None) | None => unreachable!("remote sources are fetched before their files are looked for"),
            },
        }
    }
    Ok(found)
}

fn no_context(path: &str, span: Span) -> Located {
    Located::new("no-context", span, format!("there is no build context to take `{path}` from"))
        .hint("give `kiln build` a directory instead of `-`")
}

fn exclude(inputs: &Inputs<'_>) -> Result<Option<IgnoreFile>, Located> {
    if inputs.copy.exclude.is_empty() {
        return Ok(None);
    }
    let patterns = IgnoreFile::from_patterns(inputs.copy.exclude.iter().map(String::as_str));
    patterns.map(Some).map_err(|_| {
        let message = format!("--exclude has a pattern that is none: {}", inputs.copy.exclude.join(", "));
        Located::new("bad-pattern", inputs.span, message).hint("a bracket or a backslash is out of place")
    })
}

impl Sources {
    fn add(&mut self, source: usize, item: Item, below: Vec<Item>, unpack: bool) {
        let place = item.path.to_vec();
        self.taken.push(Taken { item, place, below, unpack, source });
    }
}

/// One source that is a path or a pattern.
struct One<'a> {
    inputs: &'a Inputs<'a>,
    tree: &'a Tree<'a>,
    number: usize,
    pattern: &'a str,
    span: Span,
    found: &'a mut Sources,
}

impl One<'_> {
    fn named(&mut self, exclude: &Option<IgnoreFile>) -> Result<(), Located> {
        let selection = Selection { include: None, exclude: exclude.clone() };
        for path in self.matching(self.pattern)? {
            self.take(path, &selection)?;
        }
        Ok(())
    }

    /// The directories above what is named come along, from the pivot point `/./` on.
    fn with_parents(&mut self, exclude: &Option<IgnoreFile>) -> Result<(), Located> {
        let (base, rest) = self.pattern.split_once("/./").unwrap_or(("", self.pattern));
        let pattern = paths::clean(rest);
        let bases = self.matching(base)?;
        if !has_wildcard(base.as_bytes()) && !has_wildcard(&pattern) {
            let whole = paths::join(&paths::clean(base), &pattern);
            if self.tree.follow(&whole).map_err(image_error(self.span))?.is_none() {
                return Err(self.not_found(&whole));
            }
        }
        let include = if pattern.is_empty() {
            None
        } else {
            let text = String::from_utf8_lossy(&pattern).into_owned();
            let matcher = IgnoreFile::from_patterns([text.as_str()]).map_err(|_| self.bad_pattern(self.pattern))?;
            Some(Include { pattern, matcher })
        };
        let selection = Selection { include, exclude: exclude.clone() };
        for base in bases {
            self.take(base, &selection)?;
        }
        Ok(())
    }

    fn take(&mut self, path: Vec<u8>, selection: &Selection) -> Result<(), Located> {
        let Some(found) = self.tree.follow(&path).map_err(image_error(self.span))? else {
            return Err(self.not_found(&path));
        };
        if found.node.is_directory() {
            let below = selection.of(self.tree, &found.path).map_err(image_error(self.span))?;
            self.found.add(self.number, found, below, false);
        } else if selection.takes(paths::name(&path)) {
            // The name is that of the link, the content that of its target.
            let place = found.path.to_vec();
            let (item, source, unpack) = (Item { path: path.into(), ..found }, self.number, self.inputs.copy.unpack);
            self.found.taken.push(Taken { item, place, below: Vec::new(), unpack, source });
        }
        Ok(())
    }

    /// The path itself, or everything that a pattern matches: perhaps nothing.
    fn matching(&mut self, pattern: &str) -> Result<Vec<Vec<u8>>, Located> {
        let clean = paths::clean(pattern);
        if !has_wildcard(&clean) {
            return Ok(vec![clean]);
        }
        let parts: Vec<&[u8]> = paths::components(&clean).collect();
        let literal = parts.iter().take_while(|part| !has_wildcard(part)).count();
        let prefix = parts[..literal].join(&b'/');
        // Only the part before the first wildcard leads through links.
        let start = self.tree.follow(&prefix).map_err(image_error(self.span))?;
        let mut found: Vec<Vec<u8>> = start.into_iter().map(|start| start.path.to_vec()).collect();
        for part in &parts[literal..] {
            let mut next = Vec::new();
            for directory in found {
                for child in self.tree.children(&directory).map_err(image_error(self.span))? {
                    let matches =
                        glob::matches(part, paths::name(&child.path)).map_err(|_| self.bad_pattern(pattern))?;
                    if matches {
                        next.push(child.path.to_vec());
                    }
                }
            }
            found = next;
        }
        if found.is_empty() {
            self.found.notes.push(format!("nothing matches `{pattern}`, so nothing is copied for it"));
        }
        Ok(found)
    }

    fn bad_pattern(&self, pattern: &str) -> Located {
        let hint = "a bracket is not closed, or empty: [[] means the bracket itself; a JSON array has all its elements in \
                    double quotes";
        Located::new("bad-pattern", self.span, format!("`{pattern}` is not a valid pattern")).hint(hint)
    }

    /// The nearest name to the first part of `path` that is not there, in the directory where it would be.
    fn nearest(&self, path: &[u8]) -> Option<String> {
        let mut above: Vec<u8> = Vec::new();
        for part in paths::components(path) {
            let here = paths::join(&above, part);
            if self.tree.follow(&here).ok()?.is_some() {
                above = here;
                continue;
            }
            let beside = self.tree.children(&above).ok()?;
            let names: Vec<&str> =
                beside.iter().filter_map(|item| std::str::from_utf8(paths::name(&item.path)).ok()).collect();
            let near = kiln_dockerfile::closest(std::str::from_utf8(part).ok()?, names)?;
            return Some(paths::display(&paths::join(&above, near.as_bytes())).trim_start_matches('/').to_owned());
        }
        None
    }

    fn not_found(&self, path: &[u8]) -> Located {
        let Self { inputs, pattern, span, .. } = self;
        let place = if inputs.from.is_some() { "the stage or image it is copied from" } else { "the build context" };
        let what = if has_wildcard(pattern.as_bytes()) {
            format!("`{}`, which `{pattern}` matches,", String::from_utf8_lossy(path))
        } else {
            format!("`{pattern}`")
        };
        let problem = Located::new("copy-not-found", *span, format!("{what} is not in {place}"));
        let nearest = self.nearest(path).map(|near| format!("did you mean `{near}`?"));
        let Some(context) = inputs.context.filter(|_| inputs.from.is_none()) else {
            return match nearest {
                Some(nearest) => problem.hint(nearest),
                None => problem,
            };
        };
        let outside = paths::components(pattern.as_bytes()).next() == Some(b"..");
        if outside {
            problem.hint("files outside the build context cannot be copied: build from a directory further up, with -f for the Dockerfile")
        } else if matches!(context.get(path).map(|entry| &entry.kind), Some(EntryKind::Symlink(_))) {
            problem.hint(
                "it is a symbolic link that does not lead to a file inside the build context, and links lead nowhere else",
            )
        } else if context.ignores(path) {
            problem.hint("the ignore file excludes it: add an exception, a line that begins with `!`")
        } else if inputs.copy.keyword == "ADD" && pattern.contains("://") {
            problem.hint("ADD fetches http:// and https:// URLs and git repositories; this is taken as a path")
        } else if let Some(nearest) = nearest {
            problem.hint(nearest)
        } else {
            problem.hint("paths are relative to the directory that `kiln build` was given")
        }
    }
}

/// A backslash takes the meaning of what follows it and is none itself, as BuildKit decides what is a pattern.
fn has_wildcard(pattern: &[u8]) -> bool {
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

impl crate::remote::Downloaded {
    /// As BuildKit has downloads: for their owner alone, and as old as the server says.
    fn item(&self) -> Item {
        let meta = kiln_image::Meta { mode: 0o600, mtime: self.modified, ..Default::default() };
        let digest: Digest = self.digest;
        Item {
            path: self.name.as_bytes().into(),
            meta,
            node: kiln_image::Node::File(self.content.clone()),
            known: Known::Digest(digest),
            inode: None,
        }
    }
}
