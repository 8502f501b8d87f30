//! Which password a keystore is written with: the one that it has, so that the server which reads it still opens it.
//!
//! One that is set has to open what is there. Where none is set, a well-known one that opens it is kept. Nothing else is ever
//! written over a keystore, and none is made with a password that nobody chose. Nothing here touches a disk.

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::container::{Limits, Reason, open_with};
use zeroize::Zeroizing;

use super::{jks, pkcs12};
use crate::deployers::files::secret;
use crate::secret::Secret;

/// `changeit` is what Java's tools take for their own stores, and its manual for cacerts; then the empty one.
const WELL_KNOWN: [&str; 2] = ["changeit", ""];

/// The kinds of keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deployers) enum Kind {
    Pkcs12,
    Jks,
}

impl Kind {
    /// The setting that it stands under.
    pub(in crate::deployers) fn setting(self) -> &'static str {
        match self {
            Self::Pkcs12 => "pkcs12",
            Self::Jks => "jks",
        }
    }

    /// Is it the password of this store, and no other?
    pub(in crate::deployers) fn opens(self, bytes: &[u8], password: &str) -> bool {
        let by_seal = match self {
            Self::Pkcs12 => pkcs12::is_of(bytes, password),
            Self::Jks => jks::is_of(bytes, password),
        };
        by_seal.unwrap_or_else(|| {
            let opened = open_with(bytes, &[password], &Limits::default());
            let closed = [Reason::WrongPassword, Reason::UnsupportedFormat, Reason::TooLarge];
            !opened.problems.iter().any(|problem| closed.contains(&problem.reason))
        })
    }
}

/// The one to write with, over what is there.
pub(in crate::deployers) fn choose(
    kind: Kind,
    set: Option<&Secret>,
    there: Option<&[u8]>,
) -> Result<Zeroizing<String>, Fault> {
    let setting = kind.setting();
    let refused =
        |what: String, hint: String| Err(Fault::new(FaultKind::Refused, what).retry(Retry::Never).hint(hint));
    let known = |bytes: &[u8]| WELL_KNOWN.into_iter().find(|password| kind.opens(bytes, password));
    let example = format!("password = {{ file = \"/etc/notafter/{setting}.password\" }} in `{setting}`");
    let Some(set) = set else {
        return match there.map(known) {
            Some(Some(password)) => Ok(Zeroizing::new(password.to_owned())),
            Some(None) => refused(
                "no well-known password opens the keystore that is there, and none is set".to_owned(),
                format!("{example}: the one that the server has"),
            ),
            None => refused(
                "there is no keystore yet, and no password for a new one".to_owned(),
                format!("{example}: the one that the server is given, too"),
            ),
        };
    };
    let password = set.read().map_err(secret)?;
    let Some(bytes) = there.filter(|bytes| !kind.opens(bytes, &password)) else {
        return Ok(Zeroizing::new(password.to_string()));
    };
    let but = match known(bytes) {
        Some("") => "; an empty one does".to_owned(),
        Some(other) => format!("; the well-known `{other}` does"),
        None => String::new(),
    };
    refused(
        format!("the password does not open the keystore that is there{but}"),
        format!("set the password that the server has in `{setting}`, or remove the file first"),
    )
}
