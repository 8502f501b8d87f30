//! What was typed after `adopt`, `revoke` and `issuer`: taking over what others keep, and taking back what was issued.
//!
//! Types and their help, as in `cli.rs`; nothing is done here.

use std::path::PathBuf;

use clap::Args;

use super::waiting;
use crate::commands::Usage;

/// Into the configuration.
#[derive(Args)]
#[command(
    after_help = "Nothing is issued and nothing installed by this. Check and reload come from presets alone."
)]
pub(crate) struct Adopt {
    /// A certificate as `ls` prints it (sha256:...), or a server or file as for `scan`
    #[arg(value_name = "ID|TARGET")]
    pub(crate) item: String,
    /// What it is called in the configuration [default: its first name]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Who issues it: an [[issuer]] of the configuration [default: the one that fits, else the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) issuer: Option<String>,
    /// How control of its names is proved: http-01:/var/www/html, http-01, tls-alpn-01, or { kind = "...", ... }
    /// [default: as it is today]
    #[arg(long, value_name = "SOLVER")]
    pub(crate) solver: Option<String>,
    /// A further place that has to show it; can be given again
    #[arg(long, value_name = "TARGET")]
    pub(crate) prove: Vec<String>,
    /// Print what would be added, and add nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Add it without asking
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

/// A revocation.
#[derive(Args)]
pub(crate) struct Revoke {
    /// The certificate's name in the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Why, in the words of RFC 5280: keyCompromise, affiliationChanged, superseded, cessationOfOperation, unspecified
    #[arg(long, value_name = "REASON")]
    pub(crate) reason: String,
    /// The one with this generation [default: what was issued last]
    #[arg(long, value_name = "N", conflicts_with_all = ["serial", "file"])]
    pub(crate) generation: Option<u64>,
    /// The one with this serial number, in hexadecimal
    #[arg(long, value_name = "HEX", conflicts_with = "file")]
    pub(crate) serial: Option<String>,
    /// The one in this file: one that was issued before Notafter kept it
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Signed with the certificate's own key instead of the account's, for when the account is gone (RFC 8555 section 7.6)
    #[arg(long)]
    pub(crate) with_key: bool,
    /// Also while it is still in use somewhere: clients that look will refuse it there
    #[arg(long)]
    pub(crate) in_use: bool,
    /// Without asking
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// After a key compromise: how long to stay and watch the renewal
    #[arg(long, value_name = "TIME", default_value = "10m")]
    wait: String,
}

impl Revoke {
    pub(crate) fn wait(&self) -> Result<std::time::Duration, Usage> {
        waiting(&self.wait)
    }
}

/// An account of another client.
#[derive(Args)]
pub(crate) struct IssuerImport {
    /// Its folder (/etc/letsencrypt, ~/.acme.sh, .lego), or the file of the key
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The [[issuer]] whose account it becomes [default: the one with the same CA, else a new one]
    #[arg(long, value_name = "NAME")]
    pub(crate) issuer: Option<String>,
    /// The CA's directory, where the state does not say it
    #[arg(long, value_name = "URL")]
    pub(crate) directory: Option<String>,
    /// The CA's own HTTPS root, where it is a private one (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Do not ask the CA whether it knows the account
    #[arg(long)]
    pub(crate) offline: bool,
    /// Print what was found and would be added, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Without asking
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}
