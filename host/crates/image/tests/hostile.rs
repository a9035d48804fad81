//! Tars of other makers and of attackers: read as Docker reads them, or refused with the entry's name.

use std::io::{Cursor, Read, Write};

use kiln_image::{Change, Content, Index, Kind, Meta, Node, survey, survey_file, write_layer};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o640);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(3);
    header
}

/// Members as `kind path [target or content]`, names unchecked as an attacker would write them.
fn tar_of(members: &[(char, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for &(kind, path, rest) in members {
        let (kind, content) = match kind {
            'f' => (EntryType::Regular, rest.as_bytes()),
            'd' => (EntryType::Directory, &b""[..]),
            'h' => (EntryType::Link, &b""[..]),
            'l' => (EntryType::Symlink, &b""[..]),
            'g' => (EntryType::XGlobalHeader, rest.as_bytes()),
            's' => (EntryType::GNUSparse, &b""[..]),
            other => panic!("unknown kind {other}"),
        };
        let mut header = header(kind, content.len() as u64);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        if content.is_empty() {
            header.as_mut_bytes()[157..157 + rest.len()].copy_from_slice(rest.as_bytes());
        }
        header.set_cksum();
        builder.append(&header, content).expect("append");
    }
    builder.into_inner().expect("finish")
}

fn listing(tar: &[u8]) -> Vec<String> {
    let (index, ..) = Index::from_tar(tar).expect("a readable tar");
    Index::read(Cursor::new(index.to_bytes().expect("whole"))).expect("own index");
    index
        .iter()
        .map(|entry| entry.expect("whole"))
        .filter(|entry| !entry.path.is_empty())
        .map(|entry| {
            let path = String::from_utf8_lossy(entry.path);
            match entry.kind {
                Kind::Directory { opaque } => {
                    format!("{path}/{}{}", if opaque { "!" } else { "" }, if entry.implied { "?" } else { "" })
                }
                Kind::File { size, .. } => format!("{path}={size}"),
                Kind::Symlink(to) => format!("{path}->{}", String::from_utf8_lossy(to)),
                Kind::HardLink(to) => format!("{path}=>{}", String::from_utf8_lossy(to)),
                Kind::Whiteout => format!("-{path}"),
                kind => format!("{path} {kind:?}"),
            }
        })
        .collect()
}

#[test]
fn members_are_placed_as_an_extraction_would() {
    for (what, members, expected) in [
        (
            "names are cleaned",
            &[('f', "./a//b/./c", "1"), ('f', "/d", ""), ('f', "/../e", ""), ('f', "x/../f", "")][..],
            &["a/?", "a/b/?", "a/b/c=1", "d=0", "e=0", "f=0"][..],
        ),
        ("the last wins", &[('f', "a", "1"), ('f', "a", "22")], &["a=2"]),
        ("a file replaces a directory", &[('f', "a/b", "1"), ('f', "a", "")], &["a=0"]),
        ("a directory replaces a file", &[('f', "a", "1"), ('d', "a/", ""), ('f', "a/b", "")], &["a/", "a/b=0"]),
        ("a directory twice", &[('d', "a", ""), ('f', "a/b", ""), ('d', "a/", "")], &["a/", "a/b=0"]),
        ("whiteouts", &[('f', ".wh.a", ""), ('f', "b/.wh.c", "")], &["-a", "b/?", "-b/c"]),
        ("an opaque directory", &[('d', "a", ""), ('f', "a/.wh..wh..opq", ""), ('f', "a/b", "")], &["a/!", "a/b=0"]),
        ("opaque before its directory", &[('f', "a/.wh..wh..opq", ""), ('d', "a", "")], &["a/!"]),
        (
            "removed and made again",
            &[('f', ".wh.a", ""), ('d', "a", ""), ('f', ".wh.b", ""), ('f', "b", "")],
            &["a/!", "b=0"],
        ),
        (
            "made and removed below",
            &[('d', "a", ""), ('f', ".wh.a", ""), ('f', "b", ""), ('f', ".wh.b", "")],
            &["a/!", "b=0"],
        ),
        ("removed and made by implication", &[('f', ".wh.a", ""), ('f', "a/b", "")], &["a/!", "a/b=0"]),
        (
            "marks of old storage drivers",
            &[('d', ".wh..wh.plnk", ""), ('f', ".wh..wh.plnk/1.2", ""), ('f', ".wh..wh.aufs", ""), ('f', "a", "")],
            &["a=0"],
        ),
        (
            "through a link of the tar",
            &[('l', "lib", "usr/lib"), ('d', "usr/lib", ""), ('f', "lib/a", "")],
            &["lib->usr/lib", "usr/?", "usr/lib/", "usr/lib/a=0"],
        ),
        (
            "links never lead out",
            &[('l', "a", "../../.."), ('l', "b", "/../x"), ('f', "a/f", ""), ('f', "b/g", "")],
            &["a->../../..", "b->/../x", "f=0", "x/?", "x/g=0"],
        ),
        ("hard links", &[('f', "z", "1"), ('h', "a", "z"), ('h', "b", "./a")], &["a=1", "b=>a", "z=>a"]),
        (
            "a hard link keeps what was replaced",
            &[('f', "z", "1"), ('h', "a", "/z"), ('f', "z", "22")],
            &["a=1", "z=2"],
        ),
        ("hard links to links", &[('l', "z", "t"), ('h', "a", "z")], &["a->t", "z->t"]),
        (
            "global headers",
            &[('g', "pax_global_header", "52 comment=0123456789012345678901234567890123456789\n"), ('f', "a", "")],
            &["a=0"],
        ),
        ("nothing", &[], &[]),
    ] {
        assert_eq!(listing(&tar_of(members)), expected, "{what}");
    }
}

#[test]
fn what_no_layer_has_is_refused_with_its_name() {
    for (members, message) in [
        (&[('f', "../a", "")][..], "`../a`: its name leaves the root"),
        (&[('f', "a/../../b", "")], "leaves the root"),
        (&[('h', "a", "b")], "`a`: it is a hard link to a file that the tar does not have"),
        (&[('h', "a", "a")], "`a`: it is a hard link"),
        (&[('d', "d", ""), ('h', "a", "d")], "`a`: it is a hard link"),
        (&[('h', "a", "../x")], "leaves the root"),
        (&[('f', "a", ""), ('f', "a/b", "")], "`a/b`: what it lies in is no directory"),
        (&[('l', "a", "b"), ('l', "b", "a"), ('f', "a/c", "")], "too many levels"),
        (&[('f', "./", "")], "the root can only be a directory"),
        (&[('f', ".wh.", "")], "whiteout of nothing"),
        (&[('f', "a/.wh...", "")], "whiteout of nothing"),
        (&[('f', ".wh.a/b", "")], "in a whiteout"),
        (&[('s', "a", "")], "sparse"),
    ] {
        let error = Index::from_tar(&tar_of(members)[..]).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn memory_is_bounded() {
    let pax = |size: u64| {
        let mut header = header(EntryType::XHeader, size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let endless = std::io::Cursor::new(pax(1 << 40)).chain(std::io::repeat(b'a'));
    let error = Index::from_tar(endless).expect_err("endless pax header").to_string();
    assert!(error.contains("too long"), "{error}");
    let error = Index::from_tar(std::io::repeat(b'a')).expect_err("no tar").to_string();
    assert!(error.contains("not a tar header"), "{error}");

    // Each member is short, but implies two thousand directories of its own.
    let mut builder = Builder::new(Vec::new());
    for number in 0..200 {
        let path = format!("{number}/{}", "a/".repeat(2000));
        builder.append_pax_extensions([("path", path.as_bytes())]).expect("append");
        let mut header = header(EntryType::Directory, 0);
        header.set_cksum();
        builder.append(&header, &b""[..]).expect("append");
    }
    let error = Index::from_tar(&builder.into_inner().expect("finish")[..]).expect_err("too deep").to_string();
    assert!(error.contains("too many entries"), "{error}");
}

fn sample() -> Vec<u8> {
    let change =
        |path: &str, node| Change { path: path.into(), meta: Meta { mode: 0o755, mtime: -1, ..Meta::default() }, node };
    let changes = vec![
        change("a", Node::Directory { opaque: true }),
        change("a/b", Node::File(Content::bytes(vec![1; 700]))),
        change("a/c", Node::HardLink(b"a/b".to_vec())),
        change(&"n".repeat(120), Node::Symlink(b"a/b".to_vec())),
        change("z", Node::Whiteout),
    ];
    let mut file = tempfile::tempfile().expect("temporary file");
    write_layer(changes, &file).expect("write");
    let mut bytes = Vec::new();
    std::io::Seek::rewind(&mut file).expect("rewind");
    file.read_to_end(&mut bytes).expect("read");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(mutations in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), fix in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = sample();
        for (at, byte) in mutations {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if fix {
                // With its sum made right again, more of the reader is reached.
                let block = &mut bytes[at / 512 * 512..][..512];
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
                block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
            }
        }
        if let Ok((index, ..)) = Index::from_tar(&bytes[..]) {
            prop_assert!(Index::read(Cursor::new(index.to_bytes().expect("whole"))).is_ok());
        }
        for tar in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            let indexed = Index::from_tar(tar).ok().map(|(index, diff_id, _)| (diff_id, index.files_size()));
            prop_assert_eq!(survey(tar).ok(), indexed);
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(tar).and_then(|()| std::io::Seek::rewind(&mut file)).expect("written");
            prop_assert_eq!(survey_file(&file).ok(), indexed.map(|(_, size)| size));
        }
    }

    #[test]
    fn no_garbage_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        drop(Index::from_tar(&bytes[..]));
        drop(Index::read(Cursor::new(bytes)));
    }
}
