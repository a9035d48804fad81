//! What would be executed: a WebAssembly program, a native one, or nothing.
//!
//! Decided by the first bytes of the file that the image has, while planning, never by trial.

use std::io::Read as _;

use kiln_image::{Content, Found, Node, View};
use kiln_types::paths;

use crate::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Wasm,
    Native,
    Missing,
}

/// How many interpreters may interpret one another.
const MAX_INTERPRETERS: usize = 4;
/// The kernel reads no more of a `#!` line.
const FIRST_BYTES: u64 = 256;
/// What a container engine searches where the image sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Looks up `program` as a shell would, in the value of PATH or relative to `cwd`, and says what it is and why.
pub fn classify(view: &View, program: &str, path: &str, cwd: &str) -> Result<(Kind, String), Error> {
    let Some(mut found) = find(view, program, path, cwd)? else {
        return Ok((Kind::Missing, format!("`{program}` is not in the image")));
    };
    let mut name = program.to_owned();
    let mut through = String::new();
    for _ in 0..=MAX_INTERPRETERS {
        let Node::File(content) = &found.node else {
            return Err(not_executable(program, format!("`{name}` is not a file")));
        };
        match format_of(&first_bytes(content, &found.path)?) {
            Format::Wasm(Err(reason)) => return Err(not_executable(program, format!("`{name}` {reason}"))),
            Format::Wasm(Ok(())) => return Ok((Kind::Wasm, format!("`{program}` is{through} a WebAssembly program"))),
            Format::Elf => return Ok((Kind::Native, format!("`{program}` is{through} a Linux program"))),
            Format::Unknown => {
                let reason = format!("`{name}` has no format that kiln knows, so the kernel decides");
                return Ok((Kind::Native, reason));
            }
            Format::Foreign(system) => {
                let reason = format!("`{name}` is a {system} program; kiln runs Linux and WebAssembly programs");
                return Err(not_executable(program, reason));
            }
            Format::Script(interpreter) => {
                let interpreter = String::from_utf8_lossy(&interpreter).into_owned();
                let Some(next) = resolve(view, &absolute(cwd, interpreter.as_bytes()))? else {
                    let reason = format!("`{name}` names the interpreter `{interpreter}`, which is not in the image");
                    return Ok((Kind::Missing, reason));
                };
                through = format!(" a script of `{interpreter}`,");
                (found, name) = (next, interpreter);
            }
        }
    }
    Err(not_executable(program, format!("its interpreters are scripts, more than {MAX_INTERPRETERS} deep")))
}

/// Where `program` may be, in the order of search; relative paths are relative to the working directory.
pub(crate) fn candidates(program: &str, path: &str) -> Vec<Vec<u8>> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![program.as_bytes().to_vec()];
    }
    let path = if path.is_empty() { DEFAULT_PATH } else { path };
    path.split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| format!("{directory}/{program}").into_bytes())
        .collect()
}

/// The file that would be executed for `program`, looked up as in [`classify`].
pub fn find(view: &View, program: &str, path: &str, cwd: &str) -> Result<Option<Found>, Error> {
    let searched = !program.contains('/');
    for candidate in candidates(program, path) {
        match resolve(view, &absolute(cwd, &candidate))? {
            // A search passes over what cannot be executed; a path that was given is what it is.
            Some(found) if searched && !is_executable(&found) => {}
            Some(found) => return Ok(Some(found)),
            None => {}
        }
    }
    Ok(None)
}

/// `..` is not resolved by the text here: behind a symbolic link it means something else.
fn absolute(cwd: &str, path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") { path.to_vec() } else { [cwd.as_bytes(), path].join(&b'/') }
}

fn resolve(view: &View, path: &[u8]) -> Result<Option<Found>, Error> {
    Ok(view.resolve(path, true)?)
}

fn is_executable(found: &Found) -> bool {
    matches!(found.node, Node::File(_)) && found.meta.mode & 0o111 != 0
}

fn first_bytes(content: &Content, path: &[u8]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    content
        .open()
        .and_then(|input| input.take(FIRST_BYTES).read_to_end(&mut bytes))
        .map_err(|source| Error::System { action: format!("read {}", paths::display(path)), source })?;
    Ok(bytes)
}

#[derive(Debug, PartialEq, Eq)]
enum Format {
    /// Or why it is not a core module.
    Wasm(Result<(), &'static str>),
    Elf,
    /// The interpreter after `#!`.
    Script(Vec<u8>),
    /// Of another operating system.
    Foreign(&'static str),
    Unknown,
}

fn format_of(bytes: &[u8]) -> Format {
    match bytes {
        [0, b'a', b's', b'm', header @ ..] => Format::Wasm(check_version(header)),
        [0x7f, b'E', b'L', b'F', ..] => Format::Elf,
        [b'#', b'!', line @ ..] => {
            let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
            let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
            words.next().map_or(Format::Unknown, |interpreter| Format::Script(interpreter.to_vec()))
        }
        [b'M', b'Z', ..] => Format::Foreign("Windows"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => Format::Foreign("macOS"),
        // A universal binary says how many it holds, where a Java class, of the same magic, has a version of 45 or more.
        [0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 0..45, ..] => Format::Foreign("macOS"),
        _ => Format::Unknown,
    }
}

/// What follows the magic of WebAssembly: a version, and what kind of thing it is the version of.
pub(crate) fn check_version(header: &[u8]) -> Result<(), &'static str> {
    match header {
        [1, 0, 0, 0, ..] => Ok(()),
        [_, _, 1, 0, ..] => {
            Err("is a WebAssembly component (WASI 0.2), and kiln runs core modules only: build it for \
                                 wasm32-wasip1, or, where it was made from such a module, take that out again with \
                                 `wasm-tools component unbundle`")
        }
        [_, _, _, _, ..] => Err("has a version of WebAssembly that is not known: kiln runs version 1"),
        _ => Err("is cut off: it ends within the first eight bytes of a WebAssembly module"),
    }
}

fn not_executable(program: &str, reason: String) -> Error {
    Error::NotExecutable { program: program.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kiln_image::{Change, Layer, Meta, write_layer};

    use super::*;

    fn view(files: &[(&str, Node)]) -> View {
        let mut changes: Vec<Change> = files
            .iter()
            .map(|(path, node)| Change {
                path: path.as_bytes().to_vec(),
                meta: Meta { mode: if path.ends_with(".data") { 0o644 } else { 0o755 }, ..Meta::default() },
                node: node.clone(),
            })
            .collect();
        changes.sort_by(|a, b| kiln_image::compare_paths(&a.path, &b.path));
        let file = tempfile::tempfile().expect("temporary file");
        let written = write_layer(changes, &file).expect("layer");
        let layer = Layer { diff_id: written.diff_id, size: written.size, tar: Arc::new(file), index: written.index };
        View::new(vec![Arc::new(layer)])
    }

    fn file(bytes: &[u8]) -> Node {
        Node::File(Content::bytes(bytes.to_vec()))
    }

    #[test]
    fn the_first_bytes_decide() {
        let link = |target: &str| Node::Symlink(target.as_bytes().to_vec());
        let view = view(&[
            ("app.wasm", file(b"\0asm\x01\0\0\0")),
            ("bin/busybox", file(b"\x7fELF\x02\x01\x01")),
            ("bin/sh", link("busybox")),
            ("bin/tool.data", file(b"\x7fELF")),
            ("usr/bin/tool.data", file(b"\0asm\x01\0\0\0")),
            ("deep", link("usr/local")),
            ("usr/local", Node::Directory { opaque: false }),
            ("usr/app", file(b"\0asm\x01\0\0\0")),
            ("component", file(b"\0asm\x0d\0\x01\0")),
            ("later", file(b"\0asm\x02\0\0\0")),
            ("cut", file(b"\0asm\x01")),
            ("component-script", file(b"#!/component\n")),
            ("script", file(b"#!/bin/sh -e\necho hi\n")),
            ("wasm-script", file(b"#! /app.wasm\n")),
            ("nowhere", file(b"#!/bin/bash\n")),
            ("loop", file(b"#!/loop\n")),
            ("empty", file(b"")),
            ("plain", file(b"echo hi\n")),
            ("windows.exe", file(b"MZ\x90\0")),
            ("universal", file(b"\xca\xfe\xba\xbe\0\0\0\x02")),
            ("Main.class", file(b"\xca\xfe\xba\xbe\0\0\0\x34")),
        ]);
        for (program, cwd, expected) in [
            ("/app.wasm", "/", Some(Kind::Wasm)),
            ("app.wasm", "/", Some(Kind::Wasm)),
            ("./app.wasm", "/", Some(Kind::Wasm)),
            ("../app", "/deep", Some(Kind::Wasm)),
            ("sh", "/", Some(Kind::Native)),
            ("tool.data", "/", Some(Kind::Missing)),
            ("/script", "/", Some(Kind::Native)),
            ("/wasm-script", "/", Some(Kind::Wasm)),
            ("/nowhere", "/", Some(Kind::Missing)),
            ("/missing", "/", Some(Kind::Missing)),
            ("", "/", Some(Kind::Missing)),
            ("/plain", "/", Some(Kind::Native)),
            ("/empty", "/", Some(Kind::Native)),
            ("/Main.class", "/", Some(Kind::Native)),
            ("/component", "/", None),
            ("/component-script", "/", None),
            ("/later", "/", None),
            ("/cut", "/", None),
            ("/loop", "/", None),
            ("/windows.exe", "/", None),
            ("/universal", "/", None),
            ("/bin", "/", None),
        ] {
            // The last part of PATH is empty and means the working directory.
            let kind = classify(&view, program, "/usr/bin:/bin:", cwd).ok().map(|(kind, _)| kind);
            assert_eq!(kind, expected, "{program}");
        }
        assert_eq!(classify(&view, "sh", "", "/").ok().map(|(kind, _)| kind), Some(Kind::Native));
    }

    #[test]
    fn the_reason_names_the_interpreter() {
        let view = view(&[("bin/sh", file(b"\x7fELF")), ("run", file(b"#!/bin/sh\n"))]);
        let (_, reason) = classify(&view, "/run", "", "/").expect("classified");
        assert_eq!(reason, "`/run` is a script of `/bin/sh`, a Linux program");
    }
}
