//! Private keys of every kind that is met on ports and in files, made by the `openssl` program.
//!
//! An elliptic key is made anew each time. An RSA key costs up to seconds, so each kind is made once per process
//! and shared, unless a request asks for a key of its own.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::program;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Key {
    /// RSA of 1024 bits: broken, and still found.
    Rsa1024,
    /// RSA of 2048 bits.
    Rsa2048,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
    /// A key that may only sign with RSASSA-PSS (`id-RSASSA-PSS`), of 2048 bits.
    RsaPss,
    /// ECDSA on P-256.
    #[default]
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// Ed25519.
    Ed25519,
    /// Ed448.
    Ed448,
}

impl Key {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Rsa1024,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::RsaPss,
        Self::P256,
        Self::P384,
        Self::P521,
        Self::Ed25519,
        Self::Ed448,
    ];

    /// What `openssl genpkey` is told.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Rsa1024 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"],
            Self::Rsa2048 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Rsa3072 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
            Self::Rsa4096 => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
            Self::RsaPss => &["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::P256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::P384 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            Self::P521 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
            Self::Ed25519 => &["-algorithm", "ED25519"],
            Self::Ed448 => &["-algorithm", "ED448"],
        }
    }

    /// Whether making one takes long enough to share it.
    fn is_costly(self) -> bool {
        matches!(self, Self::Rsa1024 | Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 | Self::RsaPss)
    }

    /// A key of this kind as PKCS#8 PEM: a shared one where that saves time, unless a fresh one is wanted.
    ///
    /// # Panics
    /// When `openssl` fails: no test can go on without a key.
    #[must_use]
    pub fn pem(self, fresh: bool) -> String {
        static MADE: OnceLock<Mutex<HashMap<Key, String>>> = OnceLock::new();
        if fresh || !self.is_costly() {
            return self.make();
        }
        // The lock is held while the key is made, so that parallel tests wait for one key and do not make ten.
        let mut made =
            MADE.get_or_init(Mutex::default).lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        made.entry(self).or_insert_with(|| self.make()).clone()
    }

    /// Makes a key.
    fn make(self) -> String {
        let mut command = Command::new("openssl");
        command.arg("genpkey").args(self.arguments());
        program::run(&mut command).unwrap_or_else(|error| panic!("{error}")).text()
    }
}
