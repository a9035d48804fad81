//! The files that private keys are in: PEM around OpenSSH's own container or around DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};

use crate::Error;
use crate::key::{CURVES, Curve, Private};
use crate::rsa;
use crate::wire::Reader;

/// What an unencrypted container of OpenSSH begins with.
const OPENSSH: &[u8] = b"openssh-key-v1\0";
/// `id-ecPublicKey` in DER.
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

pub(crate) fn parse(file: &[u8]) -> Result<Private, Error> {
    let (label, bytes) = pem(file)?;
    match label.as_str() {
        "OPENSSH" => openssh(&bytes),
        "RSA" => RsaKeyPair::from_der(&bytes).map(Private::Rsa).map_err(|_| rsa::unfit()),
        "EC" => CURVES
            .iter()
            .find_map(|curve| ecdsa_in_pkcs8(&pkcs8(curve, &bytes), curve))
            .ok_or_else(|| Error::Unknown("ecdsa with a curve that ring does not sign with".to_owned())),
        "" => in_pkcs8(&bytes),
        "ENCRYPTED" => Err(Error::Passphrase),
        other => Err(Error::Unknown(other.to_lowercase())),
    }
}

/// The first private key's kind and bytes. What is before it, such as the parameters of its curve, is passed over.
fn pem(file: &[u8]) -> Result<(String, Vec<u8>), Error> {
    let text = str::from_utf8(file).map_err(|_| Error::NoKey)?;
    let mut lines = text.lines().map(str::trim_end);
    let label = lines
        .find_map(|line| line.strip_prefix("-----BEGIN ")?.strip_suffix("PRIVATE KEY-----"))
        .ok_or(Error::NoKey)?;
    let end = format!("-----END {label}PRIVATE KEY-----");
    let mut encoded = String::new();
    let mut ended = false;
    for line in lines {
        if line == end {
            ended = true;
            break;
        }
        // Headers: `Proc-Type: 4,ENCRYPTED`.
        match line.split_once(':') {
            Some(("Proc-Type", value)) if value.contains("ENCRYPTED") => return Err(Error::Passphrase),
            Some(_) => {}
            None => encoded.push_str(line),
        }
    }
    if !ended {
        return Err(Error::Damaged("its last line is missing"));
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| Error::Damaged("it is not base64"))?;
    Ok((label.trim_end().to_owned(), bytes))
}

/// OpenSSH's PROTOCOL.key.
fn openssh(bytes: &[u8]) -> Result<Private, Error> {
    let mut reader = Reader(bytes.strip_prefix(OPENSSH).ok_or(Error::Damaged("it is no container of OpenSSH"))?);
    let (cipher, derivation) = (reader.string()?, reader.string()?);
    if (cipher, derivation) != (b"none", b"none") {
        return Err(Error::Passphrase);
    }
    let _options = reader.string()?;
    if reader.number()? != 1 {
        return Err(Error::Damaged("it holds more than one key"));
    }
    let _public = reader.string()?;
    let mut reader = Reader(reader.string()?);
    if reader.number()? != reader.number()? {
        return Err(Error::Damaged("its check numbers differ"));
    }
    let kind = reader.string()?;
    if let Some(curve) = CURVES.iter().find(|curve| curve.kind.as_bytes() == kind) {
        let _name = reader.string()?;
        let (public, private) = (reader.string()?, reader.integer()?);
        let zeros = curve.length.checked_sub(private.len()).ok_or(Error::Damaged("its number is too long"))?;
        let private = [&vec![0; zeros], private].concat();
        let pair =
            EcdsaKeyPair::from_private_key_and_public_key(curve.algorithm, &private, public, &SystemRandom::new());
        return pair.map(|pair| Private::Ecdsa(pair, curve)).map_err(|_| inconsistent());
    }
    match kind {
        b"ssh-ed25519" => {
            let (public, private) = (reader.string()?, reader.string()?);
            let seed = private.get(..32).ok_or(Error::Damaged("it ends too early"))?;
            let pair = Ed25519KeyPair::from_seed_and_public_key(seed, public);
            pair.map(Private::Ed25519).map_err(|_| inconsistent())
        }
        b"ssh-rsa" => rsa::read(&mut reader).map(Private::Rsa),
        other => Err(Error::Unknown(String::from_utf8_lossy(other).escape_debug().take(80).collect())),
    }
}

fn inconsistent() -> Error {
    Error::Damaged("its halves do not belong together")
}

fn in_pkcs8(bytes: &[u8]) -> Result<Private, Error> {
    // What OpenSSL writes lacks the public half.
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes) {
        return Ok(Private::Ed25519(pair));
    }
    if let Ok(pair) = RsaKeyPair::from_pkcs8(bytes) {
        return Ok(Private::Rsa(pair));
    }
    let ecdsa = CURVES.iter().find_map(|curve| ecdsa_in_pkcs8(bytes, curve));
    ecdsa.ok_or_else(|| Error::Unknown("PKCS#8 with an algorithm that ring does not sign with".to_owned()))
}

fn ecdsa_in_pkcs8(bytes: &[u8], curve: &'static Curve) -> Option<Private> {
    let pair = EcdsaKeyPair::from_pkcs8(curve.algorithm, bytes, &SystemRandom::new()).ok()?;
    Some(Private::Ecdsa(pair, curve))
}

/// The PKCS#8 around a key of SEC 1.
fn pkcs8(curve: &Curve, key: &[u8]) -> Vec<u8> {
    let algorithm = der(0x30, &[EC_PUBLIC_KEY, curve.identifier].concat());
    der(0x30, &[&[0x02, 0x01, 0x00][..], &algorithm, &der(0x04, key)].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(short @ ..0x80) => bytes.push(short),
        Ok(byte) => bytes.extend([0x81, byte]),
        Err(_) => {
            // Files of keys are shorter than what three bytes count.
            bytes.push(0x83);
            bytes.extend(&length.to_be_bytes()[size_of::<usize>() - 3..]);
        }
    }
    bytes.extend(content);
    bytes
}
