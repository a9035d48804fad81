//! A guest's linear memory as the host sees it: every address and length a guest passes is checked here.

use super::errno::Errno;

const PATH_LENGTH: u32 = 4096;
const VECTORS: u32 = 1024;

pub(crate) struct GuestMemory<'a>(pub(crate) &'a mut [u8]);

/// Address and length of a buffer in the guest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vector {
    pub(crate) address: u32,
    pub(crate) length: u32,
}

impl GuestMemory<'_> {
    pub(crate) fn bytes(&self, address: u32, length: u32) -> Result<&[u8], Errno> {
        let start = address as usize;
        let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
        self.0.get(start..end).ok_or(Errno::Fault)
    }

    pub(crate) fn bytes_mut(&mut self, address: u32, length: u32) -> Result<&mut [u8], Errno> {
        let start = address as usize;
        let end = start.checked_add(length as usize).ok_or(Errno::Fault)?;
        self.0.get_mut(start..end).ok_or(Errno::Fault)
    }

    fn array<const N: usize>(&self, address: u32) -> Result<[u8; N], Errno> {
        let bytes = self.bytes(address, N as u32)?;
        bytes.try_into().map_err(|_| Errno::Fault)
    }

    pub(crate) fn read_u16(&self, address: u32) -> Result<u16, Errno> {
        self.array(address).map(u16::from_le_bytes)
    }

    pub(crate) fn read_u32(&self, address: u32) -> Result<u32, Errno> {
        self.array(address).map(u32::from_le_bytes)
    }

    pub(crate) fn read_u64(&self, address: u32) -> Result<u64, Errno> {
        self.array(address).map(u64::from_le_bytes)
    }

    pub(crate) fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        self.bytes_mut(address, length)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn write_u32(&mut self, address: u32, value: u32) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, address: u32, value: u64) -> Result<(), Errno> {
        self.write(address, &value.to_le_bytes())
    }

    /// A path's bytes. Copied: the guest may hand in the same memory for what it gets back.
    pub(crate) fn path(&self, address: u32, length: u32) -> Result<Vec<u8>, Errno> {
        if length > PATH_LENGTH {
            return Err(Errno::NameTooLong);
        }
        self.bytes(address, length).map(<[u8]>::to_vec)
    }

    /// The buffers of a scattered read or write, each of them inside the memory.
    pub(crate) fn vectors(&self, address: u32, count: u32) -> Result<Vec<Vector>, Errno> {
        if count > VECTORS {
            return Err(Errno::Invalid);
        }
        let mut total = 0_u32;
        let list = self.bytes(address, count * 8)?;
        list.chunks_exact(8)
            .map(|pair| {
                let number = |at: usize| u32::from_le_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
                let vector = Vector { address: number(0), length: number(4) };
                self.bytes(vector.address, vector.length)?;
                // What is read or written is reported in 32 bits.
                total = total.checked_add(vector.length).ok_or(Errno::Invalid)?;
                Ok(vector)
            })
            .collect()
    }

    pub(crate) fn vector(&self, vector: Vector) -> Result<&[u8], Errno> {
        self.bytes(vector.address, vector.length)
    }

    pub(crate) fn vector_mut(&mut self, vector: Vector) -> Result<&mut [u8], Errno> {
        self.bytes_mut(vector.address, vector.length)
    }

    /// Strings in the form of `args_get` and `environ_get`: pointers at `table`, the strings from `buffer` on.
    pub(crate) fn write_strings(&mut self, table: u32, buffer: u32, strings: &[Vec<u8>]) -> Result<(), Errno> {
        let (mut pointer, mut at) = (table, buffer);
        for string in strings {
            self.write_u32(pointer, at)?;
            self.write(at, string)?;
            at = at.checked_add(string.len() as u32).ok_or(Errno::Fault)?;
            self.write(at, &[0])?;
            at = at.checked_add(1).ok_or(Errno::Fault)?;
            pointer = pointer.checked_add(4).ok_or(Errno::Fault)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_reached() {
        let mut bytes = [0; 64];
        let mut memory = GuestMemory(&mut bytes);
        for (address, length) in [(0, 65), (64, 1), (65, 0), (u32::MAX, 1), (u32::MAX, u32::MAX), (1, u32::MAX)] {
            assert_eq!(memory.bytes(address, length), Err(Errno::Fault), "{address} {length}");
            assert_eq!(memory.bytes_mut(address, length).map(drop), Err(Errno::Fault));
        }
        assert_eq!(memory.bytes(64, 0), Ok(&[][..]));
        assert_eq!(memory.write_u64(57, 1), Err(Errno::Fault));
        assert_eq!(memory.path(0, 4097), Err(Errno::NameTooLong));
    }

    #[test]
    fn vectors_are_checked_before_use() {
        let mut bytes = [0; 64];
        let mut memory = GuestMemory(&mut bytes);
        memory.write(0, &[16, 0, 0, 0, 48, 0, 0, 0, 32, 0, 0, 0, 33, 0, 0, 0]).expect("write");
        assert_eq!(memory.vectors(0, 1).map(|list| list.len()), Ok(1));
        assert_eq!(memory.vectors(0, 2).map(drop), Err(Errno::Fault));
        assert_eq!(memory.vectors(0, u32::MAX).map(drop), Err(Errno::Invalid));
        assert_eq!(memory.vectors(60, 1).map(drop), Err(Errno::Fault));
    }
}
