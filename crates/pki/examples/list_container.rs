//! Lists what `container::open` finds in files: for establishing truth by hand next to `openssl` and
//! `keytool`. Passwords to try come from the environment variable `PASSWORDS`, separated by newlines.
#![allow(clippy::print_stdout, reason = "an example that prints is its whole purpose")]

use notafter_pki::Certificate;
use notafter_pki::container::{Content, Limits, open};

fn main() {
    let passwords = std::env::var("PASSWORDS").unwrap_or_default();
    let passwords: Vec<&str> = passwords.lines().collect();
    for path in std::env::args().skip(1) {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let opened = open(&bytes, &passwords, &Limits::default());
        println!("{path}: {:?}, {} certificates", opened.format, opened.certificates().count());
        for found in &opened.found {
            let text = match &found.content {
                Content::Certificate(der) => match Certificate::parse(der) {
                    Ok(c) => format!("certificate {} until {:?}", c.subject().to_rfc4514(), c.not_after()),
                    Err(malformed) => format!("certificate that does not parse: {malformed}"),
                },
                Content::Crl(_) => "crl".to_owned(),
                Content::Csr(_) => "request".to_owned(),
                Content::PrivateKey(key) => {
                    let algorithm = key.public_key().map(|public| public.algorithm());
                    format!("private key {:?} encrypted {} {algorithm:?}", key.format, key.encrypted)
                }
                Content::PublicKey(_) => "public key".to_owned(),
                Content::Statement(statement) => {
                    let until = statement.not_after().map_or("ever".to_owned(), |time| time.to_string());
                    format!("{} {} until {until}", statement.kind().as_str(), statement.title())
                }
            };
            println!("  {} {text}", found.place);
        }
        for problem in &opened.problems {
            println!("  ! {:?}: {}", problem.reason, problem.detail);
        }
    }
}
