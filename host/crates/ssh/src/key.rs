//! One private key: its public half as ssh writes it (RFC 4253, 5656, 8709), and its signatures.

use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
};

use crate::Error;
use crate::container;
use crate::wire::{put_integer, put_string};

/// Of a sign request: which hash an RSA key is to sign with.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

pub struct Key {
    public: Vec<u8>,
    private: Private,
}

pub(crate) enum Private {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair, &'static Curve),
    Rsa(RsaKeyPair),
}

/// One that ring signs with.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// Of a key with it.
    pub(crate) kind: &'static str,
    pub(crate) algorithm: &'static EcdsaSigningAlgorithm,
    /// The length of a private key.
    pub(crate) length: usize,
    /// Its number in DER.
    pub(crate) identifier: &'static [u8],
}

pub(crate) static CURVES: [Curve; 2] = [
    Curve {
        name: "nistp256",
        kind: "ecdsa-sha2-nistp256",
        algorithm: &ECDSA_P256_SHA256_FIXED_SIGNING,
        length: 32,
        identifier: &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    },
    Curve {
        name: "nistp384",
        kind: "ecdsa-sha2-nistp384",
        algorithm: &ECDSA_P384_SHA384_FIXED_SIGNING,
        length: 48,
        identifier: &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22],
    },
];

impl Key {
    /// Longer files are no keys.
    pub const LONGEST_FILE: usize = 100 << 10;

    /// Reads a private key in PEM: OpenSSH's own, PKCS#8, PKCS#1 (RSA) or SEC 1 (ECDSA).
    pub fn parse(file: &[u8]) -> Result<Self, Error> {
        container::parse(file).map(Self::new)
    }

    fn new(private: Private) -> Self {
        let mut public = Vec::new();
        match &private {
            Private::Ed25519(pair) => {
                put_string(&mut public, b"ssh-ed25519");
                put_string(&mut public, pair.public_key().as_ref());
            }
            Private::Ecdsa(pair, curve) => {
                put_string(&mut public, curve.kind.as_bytes());
                put_string(&mut public, curve.name.as_bytes());
                put_string(&mut public, pair.public_key().as_ref());
            }
            Private::Rsa(pair) => {
                let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                put_string(&mut public, b"ssh-rsa");
                put_integer(&mut public, &parts.e);
                put_integer(&mut public, &parts.n);
            }
        }
        Self { public, private }
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// With the algorithm's name before it. Nothing for RSA with SHA-1, which no server of today takes.
    pub(crate) fn sign(&self, message: &[u8], flags: u32) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let mut signed = Vec::new();
        match &self.private {
            Private::Ed25519(pair) => {
                put_string(&mut signed, b"ssh-ed25519");
                put_string(&mut signed, pair.sign(message).as_ref());
            }
            Private::Ecdsa(pair, curve) => {
                let signature = pair.sign(&random, message).ok()?;
                let (r, s) = signature.as_ref().split_at_checked(curve.length)?;
                let mut parts = Vec::new();
                put_integer(&mut parts, r);
                put_integer(&mut parts, s);
                put_string(&mut signed, curve.kind.as_bytes());
                put_string(&mut signed, &parts);
            }
            Private::Rsa(pair) => {
                let (name, padding) = match flags {
                    flags if flags & RSA_SHA2_512 != 0 => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
                    flags if flags & RSA_SHA2_256 != 0 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
                    _ => return None,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).ok()?;
                put_string(&mut signed, name.as_bytes());
                put_string(&mut signed, &signature);
            }
        }
        Some(signed)
    }
}
