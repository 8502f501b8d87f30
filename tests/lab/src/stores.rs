//! Key stores and carrier files of every kind, made by the programs that people make them with.
//!
//! Each function writes one file from a [`Leaf`]; the path is the caller's choice, because where a file lies and
//! what it is called is part of what a test is about.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::material::write;
use crate::{Leaf, NotRun, base64, program};

/// How a PKCS#12 file is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pkcs12 {
    /// PBES2 with AES-256 and an HMAC over SHA-256, as OpenSSL 3 makes it.
    Modern,
    /// RC2-40, 3DES and SHA-1, as OpenSSL 1 and Windows made it for decades.
    Legacy,
    /// Neither encrypted nor authenticated.
    Unprotected,
}

/// The kinds of store that Java's `keytool` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Java {
    /// The classic store.
    Jks,
    /// The classic store with stronger encryption.
    Jceks,
    /// PKCS#12 as Java writes it.
    Pkcs12,
}

impl Java {
    /// What `keytool` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Jks => "JKS",
            Self::Jceks => "JCEKS",
            Self::Pkcs12 => "PKCS12",
        }
    }
}

/// Writes certificate, chain and key as PKCS#12. The password may be empty.
///
/// # Errors
/// When `openssl` fails.
pub fn pkcs12(path: &Path, leaf: &Leaf, kind: Pkcs12, password: &str) -> Result<(), NotRun> {
    let mut command = Command::new("openssl");
    command.args(["pkcs12", "-export", "-name", "srv.test", "-passout", &format!("pass:{password}"), "-in"]);
    command.arg(&leaf.fullchain_pem).arg("-inkey").arg(&leaf.key_pem).arg("-out").arg(path);
    match kind {
        Pkcs12::Modern => &mut command,
        Pkcs12::Legacy => command.arg("-legacy"),
        Pkcs12::Unprotected => command.args(["-keypbe", "NONE", "-certpbe", "NONE", "-nomac"]),
    };
    program::run(&mut command).map(|_| ())
}

/// Writes certificate, chain and key into a Java store, under the alias `srv.test`.
///
/// # Errors
/// When `keytool` is not installed or fails.
pub fn java(path: &Path, leaf: &Leaf, kind: Java, password: &str) -> Result<(), NotRun> {
    let source = path.with_extension("source.p12");
    pkcs12(&source, leaf, Pkcs12::Modern, password)?;
    let _ = fs::remove_file(path);
    let mut command = keytool()?;
    command.args(["-importkeystore", "-noprompt", "-srcstoretype", "PKCS12", "-srcstorepass", password]);
    command.arg("-srckeystore").arg(&source).arg("-destkeystore").arg(path);
    command.args(["-deststoretype", kind.name(), "-deststorepass", password, "-destkeypass", password]);
    let made = program::run(&mut command).map(|_| ());
    let _ = fs::remove_file(source);
    made
}

/// Writes certificates into a Java trust store, under the aliases `ca-0`, `ca-1` and so on.
///
/// # Errors
/// When `keytool` is not installed or fails.
pub fn java_trust(path: &Path, trusted: &[&Leaf], kind: Java, password: &str) -> Result<(), NotRun> {
    let _ = fs::remove_file(path);
    for (number, leaf) in trusted.iter().enumerate() {
        let mut command = keytool()?;
        command.args(["-importcert", "-noprompt", "-alias", &format!("ca-{number}"), "-file"]);
        command.arg(&leaf.cert_pem).arg("-keystore").arg(path);
        program::run(command.args(["-storetype", kind.name(), "-storepass", password]))?;
    }
    Ok(())
}

/// Java's store program.
fn keytool() -> Result<Command, NotRun> {
    Ok(Command::new(program::find("keytool")?))
}

/// Writes certificate and chain as PKCS#7, DER.
///
/// # Errors
/// When `openssl` fails.
pub fn pkcs7_der(path: &Path, leaf: &Leaf) -> Result<(), NotRun> {
    pkcs7(path, leaf, "DER")
}

/// Writes certificate and chain as PKCS#7, PEM.
///
/// # Errors
/// When `openssl` fails.
pub fn pkcs7_pem(path: &Path, leaf: &Leaf) -> Result<(), NotRun> {
    pkcs7(path, leaf, "PEM")
}

/// Writes certificate and chain as PKCS#7.
fn pkcs7(path: &Path, leaf: &Leaf, form: &str) -> Result<(), NotRun> {
    let mut command = Command::new("openssl");
    command.args(["crl2pkcs7", "-nocrl", "-outform", form, "-certfile"]).arg(&leaf.fullchain_pem);
    program::run(command.arg("-out").arg(path)).map(|_| ())
}

/// Writes the certificate alone as DER.
pub fn der(path: &Path, leaf: &Leaf) {
    write(path, leaf.der());
}

/// Writes a Kubernetes Secret of type `kubernetes.io/tls` as YAML.
pub fn kubernetes_secret(path: &Path, leaf: &Leaf, name: &str) {
    let (chain, key) = (base64_of(&leaf.fullchain_pem), base64_of(&leaf.key_pem));
    write(
        path,
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: lab\n\
             type: kubernetes.io/tls\ndata:\n  tls.crt: {chain}\n  tls.key: {key}\n"
        ),
    );
}

/// Writes a kubeconfig in which the certificate is the client's and its root the cluster's.
pub fn kubeconfig(path: &Path, leaf: &Leaf) {
    let (root, cert, key) = (base64_of(&leaf.root_pem), base64_of(&leaf.cert_pem), base64_of(&leaf.key_pem));
    write(
        path,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters:\n- name: lab\n  cluster:\n    server: https://127.0.0.1:6443\n    \
             certificate-authority-data: {root}\n\
             contexts:\n- name: lab\n  context:\n    cluster: lab\n    user: lab\n\
             users:\n- name: lab\n  user:\n    client-certificate-data: {cert}\n    client-key-data: {key}\n"
        ),
    );
}

/// Writes JSON in which the certificate's PEM is one string with `\n` in it.
pub fn json(path: &Path, leaf: &Leaf) {
    let one_line = |path: &Path| text(path).replace('\n', "\\n");
    write(
        path,
        format!(
            "{{\n  \"name\": \"srv.test\",\n  \"certificate\": \"{}\",\n  \"private_key\": \"{}\"\n}}\n",
            one_line(&leaf.cert_pem),
            one_line(&leaf.key_pem)
        ),
    );
}

/// A file of a leaf, as base64 in one line.
fn base64_of(path: &Path) -> String {
    base64::encode(text(path).as_bytes())
}

/// A file of a leaf.
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
