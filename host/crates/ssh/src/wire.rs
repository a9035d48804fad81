//! Strings and numbers as the ssh protocols write them (RFC 4251, section 5).

use crate::Error;

/// What is left to read.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Result<u32, Error> {
        let (number, rest) = self.0.split_first_chunk().ok_or(Error::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*number))
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.number()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or(Error::Damaged("it ends too early"))?;
        self.0 = rest;
        Ok(string)
    }

    /// A positive number of any length, without zeros before it.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], Error> {
        Ok(without_zeros(self.string()?))
    }
}

pub(crate) fn without_zeros(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|&&byte| byte == 0).count();
    &integer[zeros..]
}

pub(crate) fn put_string(to: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).expect("keys, signatures and lists of them are short");
    to.extend(length.to_be_bytes());
    to.extend(string);
}

/// A positive number: one that begins with a set bit would be negative.
pub(crate) fn put_integer(to: &mut Vec<u8>, integer: &[u8]) {
    let integer = without_zeros(integer);
    if integer.first().is_some_and(|&byte| byte >= 0x80) {
        put_string(to, &[&[0], integer].concat());
    } else {
        put_string(to, integer);
    }
}
