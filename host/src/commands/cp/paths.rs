//! The rules by which `docker cp` reads its paths: what is meant by the slashes and dots at their ends, and where a source
//! comes to lie.

use kiln_types::paths;

/// One of the two arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    /// A tar on standard input or output.
    Stream,
    Here(Vec<u8>),
    There {
        container: String,
        path: Vec<u8>,
    },
}

impl Argument {
    /// A colon parts a container from a path, unless what is before it looks like a path.
    pub(super) fn parse(text: &[u8]) -> Self {
        if text == b"-" {
            return Self::Stream;
        }
        match text.iter().position(|&byte| byte == b':') {
            Some(colon) if !text.starts_with(b"/") && !text.starts_with(b".") && colon > 0 => Self::There {
                container: String::from_utf8_lossy(&text[..colon]).into_owned(),
                path: text[colon + 1..].to_vec(),
            },
            _ => Self::Here(text.to_vec()),
        }
    }
}

/// How a path was written at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Plain,
    Slash,
    /// `/.`
    Dot,
}

/// An absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// Clean, without the slash at its beginning.
    pub(super) path: Vec<u8>,
    end: End,
}

impl Location {
    /// A path as the user wrote it, relative to `base`.
    pub(super) fn new(base: &[u8], text: &[u8]) -> Self {
        let trimmed = text.iter().rposition(|&byte| byte != b'/').map_or(&b""[..], |last| &text[..=last]);
        let last = trimmed.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let end = match last {
            b"." => End::Dot,
            _ if text.is_empty() || text.ends_with(b"/") => End::Slash,
            _ => End::Plain,
        };
        Self { path: paths::join(base, text), end }
    }

    /// The same path, which was found to lead to another one.
    pub(super) fn leading_to(&self, path: Vec<u8>) -> Self {
        Self { path, end: self.end }
    }

    /// Whether only a directory can be meant: then a symbolic link at the end is followed.
    pub(super) fn is_directory(&self) -> bool {
        self.end != End::Plain || self.path.is_empty()
    }

    /// What a copy of it is called: nothing where only what is in it is meant.
    pub(super) fn name(&self) -> &[u8] {
        match self.end {
            End::Dot => b"",
            End::Plain | End::Slash => paths::name(&self.path),
        }
    }

    /// The directory that it is in, and its name there.
    fn split(&self) -> (Vec<u8>, Vec<u8>) {
        match self.end {
            End::Dot => (self.path.clone(), Vec::new()),
            End::Plain | End::Slash => {
                (paths::parent(&self.path).unwrap_or_default().to_vec(), paths::name(&self.path).to_vec())
            }
        }
    }

    pub(super) fn display(&self) -> String {
        let end = match self.end {
            _ if self.path.is_empty() => "",
            End::Plain => "",
            End::Slash => "/",
            End::Dot => "/.",
        };
        format!("{}{end}", paths::display(&self.path))
    }
}

/// What is at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    Nothing,
    Directory,
    Other,
}

/// Where a source comes to lie.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placement {
    /// Must exist.
    pub(super) directory: Vec<u8>,
    /// Empty where what is in the source goes into the directory itself.
    pub(super) name: Vec<u8>,
}

/// Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("cannot copy directory")]
    DirectoryOntoFile,
    #[error("no such directory")]
    NoDirectory,
    #[error("not a directory")]
    NotADirectory,
}

/// `source` is a directory or not.
pub(super) fn place(
    source: &Location,
    is_directory: bool,
    destination: &Location,
    existing: Existing,
) -> Result<Placement, Refusal> {
    let (directory, name) = match existing {
        Existing::Directory => (destination.path.clone(), source.name().to_vec()),
        Existing::Other if is_directory => return Err(Refusal::DirectoryOntoFile),
        Existing::Other if destination.is_directory() => return Err(Refusal::NotADirectory),
        Existing::Nothing if destination.is_directory() && !is_directory => return Err(Refusal::NoDirectory),
        Existing::Other | Existing::Nothing => destination.split(),
    };
    Ok(Placement { directory, name })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Location {
        Location::new(b"base", text.as_bytes())
    }

    #[test]
    fn arguments_are_containers_or_paths() {
        let there = |container: &str, path: &str| Argument::There { container: container.into(), path: path.into() };
        for (text, expected) in [
            ("web:/etc", there("web", "/etc")),
            ("web:", there("web", "")),
            ("web:a:b", there("web", "a:b")),
            ("./a:b", Argument::Here("./a:b".into())),
            ("/a:b", Argument::Here("/a:b".into())),
            ("../a:b", Argument::Here("../a:b".into())),
            (".hidden:b", Argument::Here(".hidden:b".into())),
            (":b", Argument::Here(":b".into())),
            ("a", Argument::Here("a".into())),
            ("-", Argument::Stream),
        ] {
            assert_eq!(Argument::parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn ends_of_paths() {
        for (text, path, is_directory, name) in [
            ("a", "/base/a", false, "a"),
            ("a/", "/base/a/", true, "a"),
            ("a/.", "/base/a/.", true, ""),
            ("a/./", "/base/a/.", true, ""),
            (".", "/base/.", true, ""),
            ("..", "/", true, ""),
            ("/", "/", true, ""),
            ("/a/../b", "/b", false, "b"),
            ("", "/base/", true, "base"),
        ] {
            let found = at(text);
            let name_found = String::from_utf8_lossy(found.name()).into_owned();
            assert_eq!(
                (found.display().as_str(), found.is_directory(), name_found.as_str()),
                (path, is_directory, name),
                "{text}"
            );
        }
    }

    /// The table of Docker's manual.
    #[test]
    fn where_sources_come_to_lie() {
        use Existing::{Directory, Nothing, Other};
        let placed = |directory: &str, name: &str| Ok((directory.to_owned(), name.to_owned()));
        for (source, is_directory, destination, existing, expected) in [
            // A file: created, refused, overwritten, copied into.
            ("f", false, "/d", Nothing, placed("", "d")),
            ("f", false, "/x/d", Nothing, placed("x", "d")),
            ("f", false, "/d/", Nothing, Err(Refusal::NoDirectory)),
            ("f", false, "/d", Other, placed("", "d")),
            ("f", false, "/d/", Other, Err(Refusal::NotADirectory)),
            ("f", false, "/d", Directory, placed("d", "f")),
            ("f", false, "/", Directory, placed("", "f")),
            // A directory: created with its content, refused, copied into, or only its content.
            ("s", true, "/d", Nothing, placed("", "d")),
            ("s", true, "/d/", Nothing, placed("", "d")),
            ("s/.", true, "/d", Nothing, placed("", "d")),
            ("s", true, "/d/.", Nothing, placed("d", "")),
            ("s", true, "/d", Other, Err(Refusal::DirectoryOntoFile)),
            ("s", true, "/d", Directory, placed("d", "s")),
            ("s/", true, "/d", Directory, placed("d", "s")),
            ("s/.", true, "/d", Directory, placed("d", "")),
            ("/", true, "/d", Directory, placed("d", "")),
        ] {
            let found = place(&at(source), is_directory, &at(destination), existing);
            let found = found.map(|Placement { directory, name }| {
                (String::from_utf8_lossy(&directory).into_owned(), String::from_utf8_lossy(&name).into_owned())
            });
            assert_eq!(found, expected, "{source} {destination} {existing:?}");
        }
    }

    proptest! {
        #[test]
        fn no_source_leads_out_of_its_destination(
            source in "[a./]{0,12}", destination in "[b./]{0,12}", is_directory: bool, kind in 0..3usize,
        ) {
            let existing = [Existing::Nothing, Existing::Directory, Existing::Other][kind];
            let destination = at(&destination);
            if let Ok(Placement { directory, name }) = place(&at(&source), is_directory, &destination, existing) {
                prop_assert!(!name.contains(&b'/') && name != b".." && name != b".");
                prop_assert!(directory == destination.path || destination.path.starts_with(&directory));
                prop_assert_eq!(paths::clean(&directory), directory);
            }
        }
    }
}
