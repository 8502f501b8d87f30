//! The tree that is crawled: 300,000 files, 2,100 of which hold a certificate, each in a way of its own.
//!
//! 3,000 folders of 100; 60 % text of 0.2-12 kB, 40 % programs of 0.5-40 kB (an ELF head and noise). Among
//! them 500 each of PEM, DER, PKCS#12 and of settings with a PEM at offset 6,000, and 100 JKS. The same
//! bytes on every machine but for the keys. Made once and kept.

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::Result;
use crate::keystore;

const FOLDERS: usize = 3_000;
const FILES: usize = 100;
/// So many different PKCS#12 files: `openssl` makes them one by one.
const KEYSTORES: usize = 50;

/// Makes the tree, unless it is there whole.
pub(crate) fn make(folder: &Path) -> Result<Value> {
    let done = folder.with_extension("complete");
    if !done.exists() {
        let _ = fs::remove_dir_all(folder);
        fill(folder)?;
        fs::write(&done, "")?;
    }
    Ok(json!({ "files": FOLDERS * FILES, "pem": 500, "der": 500, "p12": 500, "conf": 500, "jks": 100 }))
}

fn fill(root: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    let key = KeyPair::generate()?;
    let mut noise = Noise(1);
    let stores = (0..KEYSTORES).map(|n| pkcs12(root, n, &key)).collect::<Result<Vec<_>>>()?;
    for number in 0..FOLDERS * FILES {
        let folder = root.join(format!("d{:02}/d{:02}", number / FILES / 60, number / FILES % 60));
        if number % FILES == 0 {
            fs::create_dir_all(&folder)?;
        }
        // Every 142nd file holds a certificate: 2,112 of them, the kinds in turn, until there are enough.
        let holder = (number % 142 == 7).then_some(number / 142).filter(|n| *n < 2_100);
        let (name, bytes) = match holder {
            Some(n) => holding(n, &key, &stores, &mut noise)?,
            None if noise.below(10) < 6 => (format!("f{number}.txt"), noise.text(200, 12_000)),
            None => (format!("f{number}"), noise.program(500, 40_000)),
        };
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn holding(n: usize, key: &KeyPair, stores: &[Vec<u8>], noise: &mut Noise) -> Result<(String, Vec<u8>)> {
    let kind = if n < 2_000 { n % 4 } else { 4 };
    if kind == 2 {
        return Ok((format!("store-{n}.p12"), stores[n / 4 % stores.len()].clone()));
    }
    let certificate = certificate(n, key)?;
    Ok(match kind {
        0 => (format!("api-{n}.pem"), certificate.pem().into_bytes()),
        1 => (format!("api-{n}.der"), certificate.der().to_vec()),
        3 => {
            let mut bytes = noise.text(6_000, 6_000);
            bytes.push(b'\n');
            bytes.extend(certificate.pem().into_bytes());
            (format!("vpn-{n}.conf"), bytes)
        }
        _ => (format!("trust-{n}.jks"), keystore::jks(certificate.der())),
    })
}

fn certificate(n: usize, key: &KeyPair) -> Result<rcgen::Certificate> {
    Ok(CertificateParams::new(vec![format!("host-{n}.example.com")])?.self_signed(key)?)
}

fn pkcs12(root: &Path, n: usize, key: &KeyPair) -> Result<Vec<u8>> {
    let (pem, out) = (root.with_extension("in"), root.with_extension("out"));
    fs::write(&pem, certificate(100_000 + n, key)?.pem() + &key.serialize_pem())?;
    let status = Command::new("openssl")
        .args(["pkcs12", "-export", "-passout", "pass:changeit", "-name", "server", "-in"])
        .arg(&pem)
        .arg("-out")
        .arg(&out)
        .status()?;
    if !status.success() {
        return Err("openssl pkcs12 failed".into());
    }
    let bytes = fs::read(&out)?;
    fs::remove_file(&pem)?;
    fs::remove_file(&out)?;
    Ok(bytes)
}

/// Numbers that look random and are the same every time (a linear congruential generator).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    fn text(&mut self, least: usize, most: usize) -> Vec<u8> {
        const WORDS: &[&str] = &[
            "server",
            "listen",
            "443",
            "location",
            "/",
            "{",
            "}",
            "return",
            "the",
            "of",
            "and",
            "#",
            "--",
            "->",
            "certificate",
            "key",
            "path",
            "=",
            "true",
            "false",
            "0x7f",
            "begin",
            "end",
            "upstream",
            "\n",
        ];
        let size = least + self.below(most - least + 1);
        let mut out = Vec::with_capacity(size + 16);
        while out.len() < size {
            out.extend(WORDS[self.below(WORDS.len())].as_bytes());
            out.push(if self.below(9) == 0 { b'\n' } else { b' ' });
        }
        out.truncate(size);
        out
    }

    fn program(&mut self, least: usize, most: usize) -> Vec<u8> {
        let size = least + self.below(most - least + 1);
        let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
        while out.len() < size {
            // Programs are not noise alone: half of them is text and zeros.
            match self.below(4) {
                0 => out.extend([0; 64]),
                1 => out.extend(b"/usr/lib/x86_64-linux-gnu/libcrypto.so.3\0"),
                _ => (0..16).for_each(|_| out.extend((self.next() as u32).to_le_bytes())),
            }
        }
        out.truncate(size);
        out
    }
}
