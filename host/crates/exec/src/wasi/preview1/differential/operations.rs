//! What a program could do next, and how it is asked for.

use proptest::prelude::*;

use super::hosts::{Host, PREOPEN};

/// Places for descriptors; the first is the directory that is open from the beginning.
pub(super) const SLOTS: usize = 6;
/// A descriptor that is never open.
const CLOSED: u32 = 1000;

const PLAIN: usize = 13;
/// The first are plain.
const PATHS: [&str; 32] = [
    "a", "b", "c", "d", "a/x", "a/y", "b/x", "c/x", "d/x", "a/x/p", "a/x/q", "b/x/p", "c/x/p", "a/", "b/", "c/",
    "a/x/", "a//x", "./a", "a/.", "b/.", ".", "", "a/..", "b/../a", "c/../b", "a/x/../y", "d/../c/x", "./", "a/./x",
    "b/x/.", "d/",
];
const TARGETS: [&str; 11] = ["a", "b", "c", "d", "a/x", "x", "../b", "a/", "nowhere", ".", "b/x/p"];

/// Without those that Rust's standard library refuses for wasi-common: a directory to be created or truncated.
const OPEN_FLAGS: [u32; 9] = [0, 1, O_DIRECTORY, 4, 5, O_TRUNCATE, O_TRUNCATE | 1, O_TRUNCATE | 4, O_TRUNCATE | 5];
pub(super) const O_DIRECTORY: u32 = 2;
const O_TRUNCATE: u32 = 8;
const FD_READ: u64 = 1 << 1;
const FD_WRITE: u64 = 1 << 6;

/// The number of that file type.
const DIRECTORY: u8 = 3;

/// Where things are in the guest's memory, which both hosts get alike.
const OUT: u64 = 64;
const FIRST_PATH: u64 = 256;
const SECOND_PATH: u64 = 512;
const VECTORS: u64 = 768;
const BUFFER: u64 = 1024;
const MEMORY: usize = 2 << 10;

/// A directory's descriptor and a path beneath it.
#[derive(Debug, Clone)]
pub(super) struct At {
    slot: usize,
    path: &'static str,
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    Open {
        at: At,
        follow: bool,
        how: u32,
        read: bool,
        write: bool,
        append: bool,
        into: usize,
    },
    Close(usize),
    Renumber(usize, usize),
    Read(usize, u16),
    ReadAt(usize, u16, u64),
    Write(usize, Vec<u8>),
    WriteAt(usize, Vec<u8>, u64),
    Seek(usize, i64, u32),
    Tell(usize),
    Resize(usize, u64),
    SetFlags(usize, u32),
    Advise(usize, u32),
    Sync(usize),
    State(usize),
    Stat(usize),
    SetTimes(usize, u32),
    /// With so much room at once.
    List(usize, u64),
    MakeDirectory(At),
    RemoveDirectory(At),
    Unlink(At),
    Rename(At, At),
    Link(At, At),
    Symlink(&'static str, At),
    ReadLink(At, u64),
    PathStat(At, bool),
    PathSetTimes(At, bool, u32),
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let slot = || prop_oneof![1 => Just(0), 4 => 1..SLOTS];
    let own_slot = || 1..SLOTS;
    let path = || prop_oneof![2 => 0..PLAIN, 1 => 0..PATHS.len()].prop_map(|index| PATHS[index]);
    let at = || (prop_oneof![4 => Just(0), 1 => 1..SLOTS], path()).prop_map(|(slot, path)| At { slot, path });
    let bytes = || proptest::collection::vec(any::<u8>(), 0..9);
    let some_bytes = || proptest::collection::vec(any::<u8>(), 1..9);
    let offset =
        || prop_oneof![6 => 0..20_u64, 1 => 65_530..65_545_u64, 1 => Just(u64::MAX), 1 => Just(i64::MAX as u64)];
    let size = || prop_oneof![6 => 0..20_u64, 1 => 65_530..65_545_u64, 1 => Just(u64::MAX)];
    let relative = || prop_oneof![6 => -10..20_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let open = (at(), any::<bool>(), 0..OPEN_FLAGS.len(), any::<[bool; 3]>(), own_slot()).prop_map(
        |(at, follow, how, [read, write, append], into)| {
            // The same library truncates and appends only what is opened for writing, and not both.
            let how = OPEN_FLAGS[how];
            let append = append && how & O_TRUNCATE == 0;
            let write = write || append || how & O_TRUNCATE != 0;
            Open { at, follow, how, read, write, append, into }
        },
    );
    prop_oneof![
        12 => open,
        1 => own_slot().prop_map(Close),
        1 => (own_slot(), own_slot()).prop_map(|(from, to)| Renumber(from, to)),
        3 => (slot(), 0..12_u16).prop_map(|(slot, length)| Read(slot, length)),
        2 => (slot(), 1..12_u16, offset()).prop_map(|(slot, length, at)| ReadAt(slot, length, at)),
        6 => (slot(), bytes()).prop_map(|(slot, bytes)| Write(slot, bytes)),
        2 => (slot(), some_bytes(), offset()).prop_map(|(slot, bytes, at)| WriteAt(slot, bytes, at)),
        2 => (slot(), relative(), 0..3_u32).prop_map(|(slot, offset, whence)| Seek(slot, offset, whence)),
        1 => slot().prop_map(Tell),
        2 => (slot(), size()).prop_map(|(slot, size)| Resize(slot, size)),
        1 => (slot(), 0..2_u32).prop_map(|(slot, flags)| SetFlags(slot, flags)),
        1 => (slot(), 0..6_u32).prop_map(|(slot, advice)| Advise(slot, advice)),
        1 => slot().prop_map(Sync),
        2 => slot().prop_map(State),
        2 => slot().prop_map(Stat),
        1 => (slot(), 0..16_u32).prop_map(|(slot, flags)| SetTimes(slot, flags)),
        2 => (slot(), 40..200_u64).prop_map(|(slot, room)| List(slot, room)),
        6 => at().prop_map(MakeDirectory),
        3 => at().prop_map(RemoveDirectory),
        4 => at().prop_map(Unlink),
        6 => (at(), at()).prop_map(|(from, to)| Rename(from, to)),
        4 => (at(), at()).prop_map(|(from, to)| Link(from, to)),
        4 => (0..TARGETS.len(), at()).prop_map(|(target, at)| Symlink(TARGETS[target], at)),
        2 => (at(), 0..12_u64).prop_map(|(at, room)| ReadLink(at, room)),
        4 => (at(), any::<bool>()).prop_map(|(at, follow)| PathStat(at, follow)),
        1 => (at(), any::<bool>(), 0..16_u32).prop_map(|(at, follow, flags)| PathSetTimes(at, follow, flags)),
    ]
}

impl Operation {
    /// Does it concern a name that ends in a slash or in a dot?
    pub(super) fn has_open_end(&self) -> bool {
        use Operation::*;
        let open = |at: &At| at.path.ends_with(['/', '.']);
        match self {
            Open { at, .. } | MakeDirectory(at) | RemoveDirectory(at) | Unlink(at) | Symlink(_, at) => open(at),
            ReadLink(at, _) | PathStat(at, _) | PathSetTimes(at, ..) => open(at),
            Rename(from, to) | Link(from, to) => open(from) || open(to),
            _ => false,
        }
    }
}

/// What a program learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) errno: u32,
    pub(super) data: Vec<u8>,
}

/// A program on one of the hosts.
pub(super) struct Program<H> {
    pub(super) host: H,
    slots: [Option<u32>; SLOTS],
    memory: Vec<u8>,
}

impl<H: Host> Program<H> {
    pub(super) fn new(host: H) -> Self {
        let mut slots = [None; SLOTS];
        slots[0] = Some(PREOPEN);
        Self { host, slots, memory: vec![0; MEMORY] }
    }

    fn fd(&self, slot: usize) -> u64 {
        self.slots[slot].unwrap_or(CLOSED).into()
    }

    fn put(&mut self, place: u64, bytes: &[u8]) -> u64 {
        self.memory[place as usize..][..bytes.len()].copy_from_slice(bytes);
        bytes.len() as u64
    }

    fn out(&self, place: u64, length: usize) -> Vec<u8> {
        self.memory[place as usize..][..length].to_vec()
    }

    fn out_u32(&self) -> usize {
        let bytes = self.memory[OUT as usize..][..4].try_into();
        u32::from_le_bytes(bytes.expect("four bytes")) as usize
    }

    fn vectors(&mut self, vectors: &[(u64, u64)]) {
        let list: Vec<u8> = vectors
            .iter()
            .flat_map(|&(address, length)| [(address as u32).to_le_bytes(), (length as u32).to_le_bytes()])
            .flatten()
            .collect();
        self.put(VECTORS, &list);
    }

    /// Calls; `data` is what it tells where it succeeds.
    fn call(&mut self, function: &str, arguments: &[u64], data: impl FnOnce(&Self) -> Vec<u8>) -> Answer {
        let errno = self.host.call(&mut self.memory, function, arguments);
        Answer { errno, data: if errno == 0 { data(self) } else { Vec::new() } }
    }

    fn quiet(&mut self, function: &str, arguments: &[u64]) -> Answer {
        self.call(function, arguments, |_| Vec::new())
    }

    pub(super) fn perform(&mut self, operation: &Operation) -> Answer {
        use Operation::*;
        self.memory[BUFFER as usize..].fill(0);
        match operation {
            Open { at, follow, how, read, write, append, into } => {
                let length = self.put(FIRST_PATH, at.path.as_bytes());
                let rights = if *read { FD_READ } else { 0 } | if *write { FD_WRITE } else { 0 };
                let fd = self.fd(at.slot);
                let (follow, how, append) = (u64::from(*follow), u64::from(*how), u64::from(*append));
                let arguments = [fd, follow, FIRST_PATH, length, how, rights, 0, append, OUT];
                let answer = self.quiet("path_open", &arguments);
                if answer.errno == 0 {
                    let old = self.slots[*into].replace(self.out_u32() as u32);
                    if let Some(old) = old {
                        self.quiet("fd_close", &[old.into()]);
                    }
                }
                answer
            }
            Close(slot) => {
                let fd = self.fd(*slot);
                self.slots[*slot] = None;
                self.quiet("fd_close", &[fd])
            }
            Renumber(from, to) => {
                let answer = self.quiet("fd_renumber", &[self.fd(*from), self.fd(*to)]);
                if answer.errno == 0 && from != to {
                    self.slots[*from] = None;
                }
                answer
            }
            // wasi-common fills only the first buffer that has room.
            Read(slot, length) => {
                self.vectors(&[(BUFFER + 64, 0), (BUFFER, u64::from(*length))]);
                self.call("fd_read", &[self.fd(*slot), VECTORS, 2, OUT], |program| {
                    [program.out(OUT, 4), program.out(BUFFER, 16)].concat()
                })
            }
            ReadAt(slot, length, offset) => {
                self.vectors(&[(BUFFER, u64::from(*length))]);
                self.call("fd_pread", &[self.fd(*slot), VECTORS, 1, *offset, OUT], |program| {
                    [program.out(OUT, 4), program.out(BUFFER, 16)].concat()
                })
            }
            Write(slot, bytes) => {
                let length = self.put(BUFFER, bytes);
                self.vectors(&[(BUFFER, length / 2), (BUFFER + length / 2, length - length / 2)]);
                self.call("fd_write", &[self.fd(*slot), VECTORS, 2, OUT], |program| program.out(OUT, 4))
            }
            WriteAt(slot, bytes, offset) => {
                // Linux heeds no offset while appending; POSIX wants it to.
                self.quiet("fd_fdstat_set_flags", &[self.fd(*slot), 0]);
                let length = self.put(BUFFER, bytes);
                self.vectors(&[(BUFFER, length)]);
                self.call("fd_pwrite", &[self.fd(*slot), VECTORS, 1, *offset, OUT], |program| program.out(OUT, 4))
            }
            Seek(slot, offset, whence) => {
                let arguments = [self.fd(*slot), *offset as u64, u64::from(*whence), OUT];
                self.call("fd_seek", &arguments, |program| program.out(OUT, 8))
            }
            Tell(slot) => self.call("fd_tell", &[self.fd(*slot), OUT], |program| program.out(OUT, 8)),
            Resize(slot, size) => self.quiet("fd_filestat_set_size", &[self.fd(*slot), *size]),
            SetFlags(slot, flags) => self.quiet("fd_fdstat_set_flags", &[self.fd(*slot), u64::from(*flags)]),
            Advise(slot, advice) => self.quiet("fd_advise", &[self.fd(*slot), 0, 9, u64::from(*advice)]),
            Sync(slot) => self.quiet("fd_sync", &[self.fd(*slot)]),
            State(slot) => self.call("fd_fdstat_get", &[self.fd(*slot), OUT], |program| {
                // The type; of anything but a directory, the flags. Not the rights.
                let file_type = program.out(OUT, 1);
                let flags = if file_type == [DIRECTORY] { Vec::new() } else { program.out(OUT + 2, 2) };
                [file_type, flags].concat()
            }),
            Stat(slot) => self.call("fd_filestat_get", &[self.fd(*slot), OUT], Self::stat),
            SetTimes(slot, flags) => {
                let arguments = [self.fd(*slot), 1_500_000_000, 2_500_000_000, u64::from(*flags)];
                let set = self.quiet("fd_filestat_set_times", &arguments);
                let seen = self.call("fd_filestat_get", &[self.fd(*slot), OUT], |program| program.times(*flags));
                if set.errno == 0 { seen } else { set }
            }
            List(slot, room) => self.list(*slot, *room),
            MakeDirectory(at) => self.at("path_create_directory", at),
            RemoveDirectory(at) => self.at("path_remove_directory", at),
            Unlink(at) => self.at("path_unlink_file", at),
            Rename(from, to) => {
                let (length, other) = self.two(from.path, to.path);
                let arguments = [self.fd(from.slot), FIRST_PATH, length, self.fd(to.slot), SECOND_PATH, other];
                self.quiet("path_rename", &arguments)
            }
            Link(from, to) => {
                let (length, other) = self.two(from.path, to.path);
                let arguments = [self.fd(from.slot), 0, FIRST_PATH, length, self.fd(to.slot), SECOND_PATH, other];
                self.quiet("path_link", &arguments)
            }
            Symlink(target, at) => {
                let (length, other) = self.two(target, at.path);
                self.quiet("path_symlink", &[FIRST_PATH, length, self.fd(at.slot), SECOND_PATH, other])
            }
            ReadLink(at, room) => {
                let length = self.put(FIRST_PATH, at.path.as_bytes());
                let arguments = [self.fd(at.slot), FIRST_PATH, length, BUFFER, *room, OUT];
                self.call("path_readlink", &arguments, |program| {
                    [program.out(OUT, 4), program.out(BUFFER, 12)].concat()
                })
            }
            PathStat(at, follow) => {
                let length = self.put(FIRST_PATH, at.path.as_bytes());
                let arguments = [self.fd(at.slot), u64::from(*follow), FIRST_PATH, length, OUT];
                self.call("path_filestat_get", &arguments, Self::stat)
            }
            PathSetTimes(at, follow, flags) => {
                let length = self.put(FIRST_PATH, at.path.as_bytes());
                let (fd, follow, how) = (self.fd(at.slot), u64::from(*follow), u64::from(*flags));
                let arguments = [fd, follow, FIRST_PATH, length, 1_500_000_000, 2_500_000_000, how];
                let set = self.quiet("path_filestat_set_times", &arguments);
                let arguments = [fd, follow, FIRST_PATH, length, OUT];
                let seen = self.call("path_filestat_get", &arguments, |program| program.times(*flags));
                if set.errno == 0 { seen } else { set }
            }
        }
    }

    fn at(&mut self, function: &str, at: &At) -> Answer {
        let length = self.put(FIRST_PATH, at.path.as_bytes());
        self.quiet(function, &[self.fd(at.slot), FIRST_PATH, length])
    }

    fn two(&mut self, first: &str, second: &str) -> (u64, u64) {
        (self.put(FIRST_PATH, first.as_bytes()), self.put(SECOND_PATH, second.as_bytes()))
    }

    /// The type; of anything but a directory, links and size. Devices, inodes and times differ.
    fn stat(&self) -> Vec<u8> {
        let file_type = self.out(OUT + 16, 1);
        let details = if file_type == [DIRECTORY] { Vec::new() } else { self.out(OUT + 24, 16) };
        [file_type, details].concat()
    }

    /// The times of access and modification that were given.
    fn times(&self, flags: u32) -> Vec<u8> {
        let given = |flag: u32, place| if flags & flag != 0 { self.out(place, 8) } else { Vec::new() };
        [given(1, OUT + 40), given(4, OUT + 48)].concat()
    }

    /// Types and names, sorted.
    fn list(&mut self, slot: usize, room: u64) -> Answer {
        let (mut cookie, mut names) = (0, Vec::new());
        loop {
            let answer = self.quiet("fd_readdir", &[self.fd(slot), BUFFER, room, cookie, OUT]);
            if answer.errno != 0 {
                return answer;
            }
            let used = self.out_u32();
            let mut rest = &self.memory[BUFFER as usize..][..used];
            while let Some((head, tail)) = rest.split_at_checked(24) {
                let length = u32::from_le_bytes(head[16..20].try_into().expect("four bytes")) as usize;
                let Some((name, tail)) = tail.split_at_checked(length) else { break };
                cookie = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
                // wasi-common leaves the other bytes of the type as they are.
                names.push([name, &head[20..21], b"\n"].concat());
                rest = tail;
            }
            if used < room as usize {
                names.sort();
                return Answer { errno: 0, data: names.concat() };
            }
        }
    }
}
