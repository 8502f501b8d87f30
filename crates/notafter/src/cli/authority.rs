//! What is typed about a CA of one's own and about replies of CAs without an API.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// About a CA of one's own.
#[derive(Subcommand)]
pub(crate) enum CaCommand {
    /// Make the CA of an [[issuer]] of kind "ca": a root, and an intermediate bound by its policy
    Init(CaInit),
    /// Issue one certificate by hand, by the same policy
    Issue(CaIssue),
    /// Revoke a certificate that this CA issued, and make the new list
    Revoke(CaRevoke),
    /// Write the revocation list
    Crl(CaCrl),
    /// Print what the CA is, and what it issued last
    Show(CaShow),
}

/// The CA is made.
#[derive(Args)]
pub(crate) struct CaInit {
    /// The issuer's name in the configuration [default: the only one of kind "ca"]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// What the root is called: "CN=House CA,O=Example,C=DE" [default: CN=NAME root]
    #[arg(long, value_name = "NAMES", conflicts_with = "renew_intermediate")]
    pub(crate) subject: Option<String>,
    /// How long the root lives [default: 3650]
    #[arg(long, value_name = "DAYS", conflicts_with = "renew_intermediate")]
    pub(crate) days: Option<u32>,
    /// Where the root's certificate is written [default: ca-NAME-root.pem in the data folder]
    #[arg(long, value_name = "FILE", conflicts_with = "renew_intermediate")]
    pub(crate) out: Option<PathBuf>,
    /// The CA is there: sign its intermediate anew, with the same key and what the policy says now
    #[arg(long)]
    pub(crate) renew_intermediate: bool,
}

/// One certificate.
#[derive(Args)]
pub(crate) struct CaIssue {
    /// The issuer's name in the configuration [default: the only one of kind "ca"]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// For which names and addresses: a,b [default with --csr: those it asks for]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present = "csr")]
    pub(crate) names: Vec<String>,
    /// A request (PKCS#10, PEM or DER; - for standard input): its key is certified, and none is made
    #[arg(long, value_name = "FILE")]
    pub(crate) csr: Option<PathBuf>,
    /// The key that is made [default: ecdsa-p256]
    #[arg(long, value_name = "KIND", conflicts_with = "csr")]
    pub(crate) key: Option<String>,
    /// How long it lives [default: max_days of the issuer]
    #[arg(long, value_name = "DAYS")]
    pub(crate) days: Option<u32>,
    /// The folder for NAME.pem and NAME.key; nothing there is overwritten
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
}

/// One is revoked.
#[derive(Args)]
pub(crate) struct CaRevoke {
    /// The issuer's name in the configuration [default: the only one of kind "ca"]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The certificate
    #[arg(long, value_name = "FILE", required_unless_present = "serial", conflicts_with = "serial")]
    pub(crate) certificate: Option<PathBuf>,
    /// Its serial number, as `ca show` prints it
    #[arg(long, value_name = "HEX")]
    pub(crate) serial: Option<String>,
    /// unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation
    #[arg(long, value_name = "WORD", default_value = "unspecified")]
    pub(crate) reason: String,
}

/// The list.
#[derive(Args)]
pub(crate) struct CaCrl {
    /// The issuer's name in the configuration [default: the only one of kind "ca"]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Into this file: DER where it ends in .crl or .der, else PEM [default: PEM to standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// What it is.
#[derive(Args)]
pub(crate) struct CaShow {
    /// The issuer's name in the configuration [default: the only one of kind "ca"]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Print the root's certificate as PEM, and nothing else
    #[arg(long)]
    pub(crate) root: bool,
    /// So many of the newest certificates
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) limit: usize,
}

/// About issuers.
#[derive(Subcommand)]
pub(crate) enum IssuerCommand {
    /// Go on with the ACME account of certbot, acme.sh or lego
    Import(super::IssuerImport),
    /// Give the account at an ACME CA another key (RFC 8555 section 7.3.5): the old one is worth nothing afterwards
    Rollover(IssuerRollover),
    /// Print the request that a CA without an API is to answer
    Request(IssuerRequest),
    /// Give the certificate that a CA without an API sent, for the request that waits for it
    Reply(IssuerReply),
}

/// Another key for an account.
#[derive(Args)]
pub(crate) struct IssuerRollover {
    /// The [[issuer]]'s name in the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Its kind: ecdsa-p256, ecdsa-p384, rsa-2048 ... [default: the issuer's account_key_type, else ecdsa-p256]
    #[arg(long, value_name = "KIND")]
    pub(crate) key: Option<String>,
    /// Without asking
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

/// A request.
#[derive(Args)]
pub(crate) struct IssuerRequest {
    /// The certificate's name in the configuration, or that of its issuer of kind "csr"
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// A reply.
#[derive(Args)]
pub(crate) struct IssuerReply {
    /// The certificate's name in the configuration, or that of its issuer of kind "csr"
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What came: PEM, DER or PKCS#7, the chain in any order; - for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}
