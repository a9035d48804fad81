//! Reading and writing: files at once, pipes when there is something, the step's output in order.

use std::io;

use super::Done;
use crate::wasi::errno::Errno;
use crate::wasi::fs::{Device, NodeId};
use crate::wasi::guest_memory::{GuestMemory, Vector};
use crate::wasi::processes::{APPEND, Failure, Guest, NONBLOCK, Open, Target};

/// Pieces in which output is handed on.
const PIECE: usize = 64 << 10;

pub(super) fn read(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    out: u32,
) -> Done {
    let open = guest.descriptors.open(fd)?;
    let vectors = memory.vectors(vectors, count)?;
    let length = match &open.target {
        _ if !open.readable => return Err(Errno::BadDescriptor.into()),
        Target::File(handle) => {
            let mut position = open.position();
            let length = read_file(guest, memory, handle.node, &vectors, position.offset)?;
            position.offset = position.offset.saturating_add(u64::from(length));
            length
        }
        Target::Reader(reader) | Target::Terminal(reader) => {
            let wait = open.position().flags & NONBLOCK == 0;
            // What is there goes to the first buffer that has room; waiting for the rest would be wrong.
            match vectors.iter().find(|vector| vector.length > 0) {
                Some(vector) => reader.read(memory.vector_mut(*vector)?, wait, &guest.stop)? as u32,
                None => 0,
            }
        }
        Target::Device(_, device) => read_device(guest, memory, *device, &vectors)?,
        Target::Empty => 0,
        Target::Directory(_) => return Err(Errno::IsDirectory.into()),
        Target::Writer(_) | Target::Stream(_) => return Err(Errno::BadDescriptor.into()),
    };
    Ok(memory.write_u32(out, length)?)
}

pub(super) fn pread(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Done {
    let open = guest.descriptors.open(fd)?;
    let vectors = memory.vectors(vectors, count)?;
    let length = match &open.target {
        _ if !open.readable => return Err(Errno::BadDescriptor.into()),
        Target::File(_) if !is_offset(offset, &vectors) => return Err(Errno::Invalid.into()),
        Target::File(handle) => read_file(guest, memory, handle.node, &vectors, offset)?,
        Target::Device(_, device) => read_device(guest, memory, *device, &vectors)?,
        Target::Directory(_) => return Err(Errno::IsDirectory.into()),
        _ => return Err(Errno::NoSeek.into()),
    };
    Ok(memory.write_u32(out, length)?)
}

/// As on Linux, the end of what is transferred is a signed number.
fn is_offset(offset: u64, vectors: &[Vector]) -> bool {
    let length = vectors.iter().map(|vector| u64::from(vector.length)).sum();
    offset.checked_add(length).is_some_and(|end| i64::try_from(end).is_ok())
}

fn read_file(
    guest: &Guest,
    memory: &mut GuestMemory<'_>,
    node: NodeId,
    vectors: &[Vector],
    offset: u64,
) -> Result<u32, Errno> {
    let tree = guest.step.filesystem.lock();
    let lower = tree.unchanged(node)?;
    // A file of a lower layer is read while others use the tree.
    let tree = if lower.is_some() { None } else { Some(tree) };
    let mut total = 0;
    for vector in vectors {
        let buffer = memory.vector_mut(*vector)?;
        let Some(from) = offset.checked_add(u64::from(total)) else { break };
        let length = match (&lower, &tree) {
            (Some(content), _) => read_content(content, buffer, from)
                .map_err(|error| guest.step.fatal.host("read a file of the image", error))?,
            (None, Some(tree)) => tree.read_at(node, buffer, from)?,
            (None, None) => 0,
        };
        total += length as u32;
        if length < vector.length as usize {
            break;
        }
    }
    Ok(total)
}

/// One read of the host where it answers whole, and none past the end.
fn read_content(content: &kiln_image::Content, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let left = usize::try_from(content.size().saturating_sub(offset)).unwrap_or(usize::MAX);
    let length = buffer.len().min(left);
    let mut done = 0;
    while done < length {
        match content.read_at(&mut buffer[done..length], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => done += more,
        }
    }
    Ok(length)
}

fn read_device(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    device: Device,
    vectors: &[Vector],
) -> Result<u32, Errno> {
    if device == Device::Null {
        return Ok(0);
    }
    let mut total = 0;
    for vector in vectors {
        let buffer = memory.vector_mut(*vector)?;
        if device == Device::Random {
            guest.fill_random(buffer);
        } else {
            buffer.fill(0);
        }
        total += vector.length;
    }
    Ok(total)
}

pub(super) fn write(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    out: u32,
) -> Done {
    let open = guest.descriptors.open(fd)?;
    let vectors = memory.vectors(vectors, count)?;
    let length = match &open.target {
        _ if !open.writable => return Err(Errno::BadDescriptor.into()),
        Target::File(handle) => {
            let mut position = open.position();
            let append = position.flags & APPEND != 0;
            let (length, end) = write_file(guest, memory, handle.node, &vectors, position.offset, append)?;
            position.offset = end;
            length
        }
        Target::Writer(_) | Target::Stream(_) | Target::Device(..) => write_stream(guest, memory, &open, &vectors)?,
        Target::Directory(_) | Target::Reader(_) | Target::Terminal(_) | Target::Empty => {
            return Err(Errno::BadDescriptor.into());
        }
    };
    Ok(memory.write_u32(out, length)?)
}

pub(super) fn pwrite(
    guest: &mut Guest,
    memory: &mut GuestMemory<'_>,
    fd: u32,
    vectors: u32,
    count: u32,
    offset: u64,
    out: u32,
) -> Done {
    let open = guest.descriptors.open(fd)?;
    let vectors = memory.vectors(vectors, count)?;
    let length = match &open.target {
        _ if !open.writable => return Err(Errno::BadDescriptor.into()),
        Target::File(_) if !is_offset(offset, &vectors) => return Err(Errno::Invalid.into()),
        Target::File(handle) => write_file(guest, memory, handle.node, &vectors, offset, false)?.0,
        Target::Device(..) => write_stream(guest, memory, &open, &vectors)?,
        _ => return Err(Errno::NoSeek.into()),
    };
    Ok(memory.write_u32(out, length)?)
}

/// How much was written, and where it ends.
fn write_file(
    guest: &Guest,
    memory: &GuestMemory<'_>,
    node: NodeId,
    vectors: &[Vector],
    offset: u64,
    append: bool,
) -> Result<(u32, u64), Errno> {
    let mut tree = guest.step.filesystem.lock();
    let mut end = if append { tree.size(node) } else { offset };
    let mut total = 0;
    for vector in vectors {
        match tree.write_at(node, memory.vector(*vector)?, end) {
            Ok(()) => {
                total += vector.length;
                end += u64::from(vector.length);
            }
            // What is written is written; the next attempt gets the error.
            Err(_) if total > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok((total, end))
}

fn write_stream(guest: &mut Guest, memory: &GuestMemory<'_>, open: &Open, vectors: &[Vector]) -> Result<u32, Failure> {
    let mut bytes = Vec::with_capacity(PIECE);
    let mut written = 0;
    for (index, vector) in vectors.iter().enumerate() {
        for piece in memory.vector(*vector)?.chunks(PIECE) {
            if bytes.len() + piece.len() > PIECE {
                let length = put(guest, open, &bytes)?;
                written += length as u32;
                if length < bytes.len() {
                    return Ok(written);
                }
                bytes.clear();
            }
            bytes.extend_from_slice(piece);
        }
        if index + 1 == vectors.len() && !bytes.is_empty() {
            written += put(guest, open, &bytes)? as u32;
        }
    }
    Ok(written)
}

fn put(guest: &Guest, open: &Open, bytes: &[u8]) -> Result<usize, Failure> {
    match &open.target {
        Target::Writer(writer) => {
            // Not held while waiting: others may look at the flags.
            let wait = open.position().flags & NONBLOCK == 0;
            writer.write(bytes, wait, &guest.stop)
        }
        Target::Device(_, Device::Full) => Err(Errno::NoSpace.into()),
        Target::Device(..) => Ok(bytes.len()),
        Target::Stream(stream) => {
            guest.step.write(*stream, bytes)?;
            Ok(bytes.len())
        }
        _ => Err(Errno::BadDescriptor.into()),
    }
}
