//! A small reader of EROFS images, written from the kernel's description of the format and not from kiln's writer.
//!
//! It panics at whatever would make the kernel read what is not the image's or the tar's, and at all that the kernel
//! would refuse.

use std::collections::{BTreeMap, HashMap};

use kiln_image::{Index, Kind};

const BLOCK: usize = 512;

pub(crate) struct Image<'a> {
    bytes: &'a [u8],
    blocks: usize,
    tar_blocks: usize,
}

struct Inode<'a> {
    mode: u32,
    size: u64,
    place: u32,
    owner: (u32, u32),
    mtime: i64,
    links: u32,
    inline: bool,
    attributes: &'a [u8],
    /// Of what may stand after it.
    end: usize,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out[..N].copy_from_slice(&bytes[at..at + N]);
    u64::from_le_bytes(out)
}

/// Checks the image in an index's file against the index. False if there is none.
pub(crate) fn check(file: &[u8], index: &Index, tar_size: u64) -> bool {
    // Where the image ends is kiln's to know.
    let end = number::<8>(file, 136) as usize;
    if end == 1024 {
        return false;
    }
    let image = Image::open(&file[..end]);
    assert!(image.tar_blocks as u64 * BLOCK as u64 <= tar_size);
    image.check(index);
    true
}

impl<'a> Image<'a> {
    fn open(bytes: &'a [u8]) -> Self {
        let superblock = &bytes[1024..1152];
        assert_eq!(number::<4>(superblock, 0), 0xe0f5_e1e2);
        assert_eq!(superblock[12], 9, "block bits");
        assert_eq!(
            (number::<4>(superblock, 40), superblock[90]),
            (0, 0),
            "metadata begin at 0, directories have such blocks"
        );
        assert_eq!((number::<4>(superblock, 80), number::<2>(superblock, 86)), (8, 1), "one device");
        let slot = &bytes[number::<2>(superblock, 88) as usize * 128..][..128];
        let blocks = number::<4>(superblock, 36) as usize;
        assert_eq!(bytes.len(), blocks * BLOCK);
        assert_eq!(number::<4>(slot, 68) as usize, blocks, "the tar's blocks follow those of the image");
        Self { bytes, blocks, tar_blocks: number::<4>(slot, 64) as usize }
    }

    fn check(&self, index: &Index) {
        let root = number::<2>(self.bytes, 1024 + 14);
        let mut found = BTreeMap::new();
        let mut names: HashMap<u64, u32> = HashMap::new();
        let mut left = vec![(Vec::new(), root, root)];
        while let Some((path, number, parent)) = left.pop() {
            assert!(found.len() < 4_000_000, "no circles");
            *names.entry(number).or_default() += 1;
            let inode = self.inode(number);
            if inode.mode >> 12 == 4 {
                for (name, child, _) in self.directory(&inode, number, parent) {
                    left.push((kiln_types::paths::join(&path, &name), child, number));
                }
            }
            found.insert(path, (number, inode));
        }
        assert_eq!(found.len(), index.len());
        let mut inodes = HashMap::new();
        for entry in index.iter().map(|entry| entry.expect("whole")) {
            let (number, inode) = &found[entry.path];
            let first = match entry.kind {
                Kind::HardLink(target) => index.get(target).expect("whole").expect("target"),
                _ => entry,
            };
            assert_eq!(*inodes.entry(first.number).or_insert(*number), *number, "hard links share an inode");
            self.compare(&first, inode, index);
            if inode.mode >> 12 != 4 {
                assert_eq!(inode.links, names[number]);
            }
        }
        assert_eq!(inodes.values().collect::<std::collections::HashSet<_>>().len(), inodes.len(), "others share none");
    }

    fn compare(&self, entry: &kiln_image::Entry<'_>, inode: &Inode<'_>, index: &Index) {
        let device = |major: u32, minor: u32| (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
        let kind = match entry.kind {
            Kind::Directory { .. } => {
                let subdirectories =
                    index.children(entry.path).expect("whole").iter().filter(|child| child.is_directory()).count();
                assert_eq!(inode.links as usize, subdirectories + 2);
                4
            }
            Kind::File { offset, size, .. } => {
                assert_eq!(inode.size, size);
                if size > 0 {
                    let first = inode.place as usize;
                    let last = first + (size as usize).div_ceil(BLOCK);
                    assert!(
                        !inode.inline && first >= self.blocks && last <= self.blocks + self.tar_blocks,
                        "the tar's"
                    );
                    assert_eq!((first - self.blocks) as u64 * BLOCK as u64, offset);
                }
                8
            }
            Kind::Symlink(target) => {
                assert_eq!(self.data(inode), target);
                10
            }
            Kind::CharDevice { major, minor } => {
                assert_eq!(inode.place, device(major, minor));
                2
            }
            Kind::BlockDevice { major, minor } => {
                assert_eq!(inode.place, device(major, minor));
                6
            }
            Kind::Whiteout => {
                assert_eq!(inode.place, 0);
                2
            }
            Kind::Fifo => 1,
            Kind::HardLink(_) => unreachable!("a target is none"),
        };
        assert_eq!((inode.mode >> 12, inode.mode & 0o7777), (kind, entry.mode));
        assert_eq!((inode.owner, inode.mtime), ((entry.uid, entry.gid), entry.mtime));
        let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = entry.meta().xattrs;
        expected.retain(|name, _| !name.starts_with(b"trusted.overlay.") && !name.starts_with(b"user.overlay."));
        if let Kind::Directory { opaque: true } = entry.kind {
            expected.insert(b"trusted.overlay.opaque".to_vec(), b"y".to_vec());
        }
        assert_eq!(attributes(inode.attributes), expected);
    }

    fn inode(&self, number_: u64) -> Inode<'a> {
        let at = usize::try_from(number_).expect("small") * 32;
        let bytes = &self.bytes[at..at + 64];
        let format = number::<2>(bytes, 0);
        assert!(format == 1 || format == 5, "extended, plain or inline");
        let attributes = match number::<2>(bytes, 2) as usize {
            0 => 0,
            count => 12 + 4 * (count - 1),
        };
        Inode {
            mode: number::<2>(bytes, 4) as u32,
            size: number::<8>(bytes, 8),
            place: number::<4>(bytes, 16) as u32,
            owner: (number::<4>(bytes, 24) as u32, number::<4>(bytes, 28) as u32),
            mtime: number::<8>(bytes, 32).cast_signed(),
            links: number::<4>(bytes, 44) as u32,
            inline: format == 5,
            attributes: &self.bytes[at + 64..at + 64 + attributes],
            end: at + 64 + attributes,
        }
    }

    /// What the image itself has of an inode.
    fn data(&self, inode: &Inode<'_>) -> Vec<u8> {
        let size = usize::try_from(inode.size).expect("small");
        let tail = if inode.inline { size % BLOCK } else { 0 };
        assert!(!inode.inline || tail > 0 && inode.end % BLOCK + tail <= BLOCK, "inline data stay in their block");
        let start = inode.place as usize * BLOCK;
        let whole = if size > tail { &self.bytes[start..start + size - tail] } else { &[] };
        [whole, &self.bytes[inode.end..inode.end + tail]].concat()
    }

    /// Names, numbers and types, without `.` and `..`.
    fn directory(&self, inode: &Inode<'_>, own: u64, parent: u64) -> Vec<(Vec<u8>, u64, u8)> {
        let data = self.data(inode);
        let mut entries = Vec::new();
        for block in data.chunks(BLOCK) {
            let count = number::<2>(block, 8) as usize / 12;
            for at in 0..count {
                let entry = &block[at * 12..at * 12 + 12];
                let start = number::<2>(entry, 8) as usize;
                let end = if at + 1 < count { number::<2>(block, at * 12 + 20) as usize } else { block.len() };
                let name = block[start..end].split(|&byte| byte == 0).next().unwrap_or_default();
                assert!(!name.is_empty() && name.len() <= 255 && !name.contains(&b'/'));
                entries.push((name.to_vec(), number::<8>(entry, 0), entry[10]));
            }
        }
        assert!(entries.is_sorted_by(|(a, ..), (b, ..)| a < b), "names are in order");
        for (name, number, kind) in &entries {
            let expected = [0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7];
            assert_eq!(*kind, expected[(self.inode(*number).mode >> 12) as usize]);
            match &name[..] {
                b"." => assert_eq!(*number, own),
                b".." => assert_eq!(*number, parent),
                _ => {}
            }
        }
        let all = entries.len();
        entries.retain(|(name, ..)| name != b"." && name != b"..");
        assert_eq!(all, entries.len() + 2);
        entries
    }
}

fn attributes(bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut rest = bytes.get(12..).unwrap_or_default();
    while !rest.is_empty() {
        let prefix: &[u8] = match rest[1] {
            1 => b"user.",
            4 => b"trusted.",
            6 => b"security.",
            other => panic!("name space {other}"),
        };
        let (name, value) = (rest[0] as usize, number::<2>(rest, 2) as usize);
        out.insert([prefix, &rest[4..4 + name]].concat(), rest[4 + name..4 + name + value].to_vec());
        rest = &rest[(4 + name + value).next_multiple_of(4)..];
    }
    out
}
