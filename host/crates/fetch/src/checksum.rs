//! What a download must hash to: `algorithm:hexadecimal digits`.

use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Sha256, Sha384, Sha512};

/// A checksum as `ADD --checksum` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a checksum: write sha256: (or sha384:, sha512:) and hexadecimal digits")]
pub struct ParseChecksumError(String);

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }
}

impl Checksum {
    /// The SHA-256 digest, where it is one.
    pub fn sha256(&self) -> Option<&str> {
        (self.algorithm == Algorithm::Sha256).then_some(&self.hex)
    }

    /// The checksum of that kind that `input` really has.
    pub fn of_same_kind(&self, input: impl Read) -> io::Result<Self> {
        let hex = match self.algorithm {
            Algorithm::Sha256 => hash::<Sha256>(input)?,
            Algorithm::Sha384 => hash::<Sha384>(input)?,
            Algorithm::Sha512 => hash::<Sha512>(input)?,
        };
        Ok(Self { algorithm: self.algorithm, hex })
    }
}

fn hash<H: sha2::Digest>(mut input: impl Read) -> io::Result<String> {
    let mut hasher = H::new();
    let mut block = vec![0; 128 << 10];
    loop {
        match input.read(&mut block)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => hasher.update(&block[..read]),
        }
    }
}

impl FromStr for Checksum {
    type Err = ParseChecksumError;

    fn from_str(text: &str) -> Result<Self, ParseChecksumError> {
        let wrong = || ParseChecksumError(text.to_owned());
        let (name, hex) = text.split_once(':').ok_or_else(wrong)?;
        let known = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];
        let algorithm = known.into_iter().find(|algorithm| algorithm.name() == name).ok_or_else(wrong)?;
        let is_hex = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() != algorithm.digits() || !is_hex {
            return Err(wrong());
        }
        Ok(Self { algorithm, hex: hex.to_owned() })
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_and_computed() {
        let zeros = |digits: usize| "0".repeat(digits);
        for (text, found) in [
            (
                format!("sha256:{}", zeros(64)),
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (format!("sha384:{}", zeros(96)), "sha384:cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"),
            (format!("sha512:{}", zeros(128)), "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea2"),
        ] {
            let checksum: Checksum = text.parse().expect("a checksum");
            assert_eq!(checksum.to_string(), text);
            assert!(checksum.of_same_kind(&b"abc"[..]).expect("in memory").to_string().starts_with(found), "{text}");
        }
        for text in ["", "abc", "sha256:", "sha256:xyz", "md5:00", &format!("sha256:{}", zeros(63)), "SHA256:00"] {
            assert!(text.parse::<Checksum>().is_err(), "{text}");
        }
    }
}
