//! How long the mending of a finding takes: one table from what is wrong to a class of effort.
//!
//! The classes are those of the outage drill (docs/guide/drill.md): minutes, hours, days, weeks, months. They order what
//! is told and say what a person woken at night can hope for; no date and no severity follows from them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::finding::Kind;
use crate::location::Location;

/// How long it takes to mend something. Ordered: the quickest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Fix {
    /// Minutes: a reload, a switch, a word to somebody.
    F0,
    /// Hours: install something on one's own machines.
    #[default]
    F1,
    /// Days: a CA, a partner or a registrar has to act.
    F2,
    /// Weeks: every machine of a fleet, or a release of an application.
    F3,
    /// Months: firmware or hardware.
    F4,
}

impl Fix {
    /// Every class.
    pub const ALL: &'static [Self] = &[Self::F0, Self::F1, Self::F2, Self::F3, Self::F4];

    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F0 => "F0",
            Self::F1 => "F1",
            Self::F2 => "F2",
            Self::F3 => "F3",
            Self::F4 => "F4",
        }
    }

    /// The class of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|fix| fix.as_str() == word)
    }

    /// How long, in a word.
    pub fn takes(self) -> &'static str {
        match self {
            Self::F0 => "minutes",
            Self::F1 => "hours",
            Self::F2 => "days",
            Self::F3 => "weeks",
            Self::F4 => "months",
        }
    }

    /// What it is, in a few words.
    pub fn doc(self) -> &'static str {
        match self {
            Self::F0 => "a reload or a switch",
            Self::F1 => "something to install",
            Self::F2 => "a CA, a partner or a registrar has to act",
            Self::F3 => "a whole fleet, or a release",
            Self::F4 => "firmware or hardware",
        }
    }

    /// The class of a finding of this kind at these places.
    pub fn of<'l>(kind: Kind, places: impl IntoIterator<Item = &'l Location>) -> Self {
        let usual = TABLE.iter().find(|(known, ..)| *known == kind);
        let Some((_, usual, shipped)) = usual else { return Self::F1 };
        // One place outside of what is shipped can be mended by itself.
        let mut places = places.into_iter().peekable();
        let inside =
            places.peek().is_some() && places.all(|place| place.is_embedded() || place.is_published());
        if inside { *shipped } else { *usual }
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is wrong; how long that takes to mend; and how long where it lies only inside of what is shipped and replaced as
/// a whole: a program, an image, a package.
const TABLE: &[(Kind, Fix, Fix)] = &[
    (Kind::Expired, Fix::F1, Fix::F4),
    (Kind::ExpiresSoon, Fix::F1, Fix::F4),
    (Kind::NotYetValid, Fix::F1, Fix::F4),
    (Kind::RenewalOverdue, Fix::F1, Fix::F1),
    (Kind::RenewalFailing, Fix::F1, Fix::F1),
    (Kind::RenewerDead, Fix::F0, Fix::F0),
    (Kind::RenewerCredentialExpires, Fix::F1, Fix::F1),
    (Kind::RenewedNotLoaded, Fix::F0, Fix::F0),
    (Kind::StoredNotDeployed, Fix::F1, Fix::F1),
    (Kind::InconsistentEndpoint, Fix::F1, Fix::F1),
    (Kind::UnmonitoredEndpoint, Fix::F0, Fix::F0),
    (Kind::UnexpectedIssuance, Fix::F2, Fix::F2),
    (Kind::ChainIncomplete, Fix::F1, Fix::F1),
    // A newer certificate of the issuer, or a leaf of another one: the CA's to give.
    (Kind::ChainExpiresFirst, Fix::F2, Fix::F4),
    (Kind::ChainWrongOrder, Fix::F1, Fix::F1),
    (Kind::PathExpiresForClients, Fix::F1, Fix::F4),
    (Kind::UntrustedChain, Fix::F1, Fix::F4),
    (Kind::NameMismatch, Fix::F1, Fix::F1),
    (Kind::DefaultVhostStale, Fix::F1, Fix::F1),
    (Kind::EmbeddedAnchorExpires, Fix::F4, Fix::F4),
    // Whoever holds the anchor needs the new one: every client of it.
    (Kind::AnchorExpires, Fix::F3, Fix::F4),
    (Kind::IssuerOutlived, Fix::F2, Fix::F2),
    // The other side has to take the new key first.
    (Kind::TokenSignerExpires, Fix::F2, Fix::F4),
    (Kind::SamlCertificateExpires, Fix::F2, Fix::F4),
    (Kind::MetadataExpires, Fix::F1, Fix::F4),
    (Kind::CopyDiffers, Fix::F2, Fix::F2),
    (Kind::ClientCertificateExpires, Fix::F2, Fix::F4),
    (Kind::ClientCopyStale, Fix::F3, Fix::F4),
    (Kind::CrlExpires, Fix::F1, Fix::F4),
    (Kind::StapleExpires, Fix::F0, Fix::F0),
    (Kind::SignatureDies, Fix::F3, Fix::F3),
    (Kind::KeyExpires, Fix::F3, Fix::F4),
    (Kind::TokenExpires, Fix::F1, Fix::F4),
    (Kind::DomainExpires, Fix::F2, Fix::F2),
    (Kind::DomainHold, Fix::F2, Fix::F2),
    (Kind::DnssecSignatureExpires, Fix::F1, Fix::F1),
    (Kind::TrustAnchorStale, Fix::F1, Fix::F4),
    (Kind::ExpiredInUse, Fix::F1, Fix::F4),
    (Kind::ExpiredButTolerated, Fix::F1, Fix::F4),
    (Kind::RenewalChanged, Fix::F2, Fix::F2),
    (Kind::StillInUse, Fix::F1, Fix::F4),
    (Kind::FlowSilent, Fix::F1, Fix::F1),
    (Kind::ExpiryCliff, Fix::F2, Fix::F2),
    (Kind::ExpiresInFreeze, Fix::F1, Fix::F4),
    (Kind::ClockSkew, Fix::F0, Fix::F0),
    (Kind::KeyMismatch, Fix::F1, Fix::F4),
    (Kind::KeyExposed, Fix::F1, Fix::F4),
    (Kind::KeyReused, Fix::F1, Fix::F4),
    (Kind::WeakKey, Fix::F1, Fix::F4),
    (Kind::WeakSignature, Fix::F2, Fix::F4),
    (Kind::LifetimeExceedsPolicy, Fix::F2, Fix::F4),
    (Kind::PurposeUnfit, Fix::F2, Fix::F4),
    (Kind::Revoked, Fix::F2, Fix::F4),
    (Kind::CaaForbids, Fix::F1, Fix::F1),
    (Kind::PolicyDate, Fix::F2, Fix::F4),
    (Kind::Unowned, Fix::F0, Fix::F0),
    (Kind::OwnerUnreachable, Fix::F0, Fix::F0),
    (Kind::AlertUndelivered, Fix::F0, Fix::F0),
    (Kind::SourceStale, Fix::F0, Fix::F0),
    (Kind::CannotRead, Fix::F0, Fix::F0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_in_the_table_once_and_in_order() {
        let listed: Vec<Kind> = TABLE.iter().map(|(kind, ..)| *kind).collect();
        assert_eq!(listed, Kind::ALL);
        assert!(TABLE.iter().all(|(_, usual, shipped)| usual <= shipped));
        assert!(Fix::ALL.iter().all(|fix| Fix::named(fix.as_str()) == Some(*fix)));
    }

    fn check(kind: Kind, places: &[&str], expected: Fix) {
        let places: Vec<Location> = places.iter().filter_map(|text| Location::parse(text)).collect();
        assert_eq!(Fix::of(kind, &places), expected, "{kind} {places:?}");
    }

    #[test]
    fn what_is_shipped_takes_longest() {
        check(Kind::RenewedNotLoaded, &["tls://10.0.0.5:443", "file:///etc/a.pem"], Fix::F0);
        check(Kind::ExpiredInUse, &["tls://10.0.0.5:443"], Fix::F1);
        check(Kind::ExpiredInUse, &["file:///srv/router.img@0x40"], Fix::F4);
        check(Kind::ExpiredInUse, &["file:///srv/router.img@0x40", "tls://10.0.0.5:443"], Fix::F1);
        check(Kind::SignatureDies, &["file:///srv/app.jar!/META-INF/A.RSA"], Fix::F3);
        check(Kind::DomainHold, &["domain:a.test"], Fix::F2);
        check(Kind::ExpiryCliff, &[], Fix::F2);
    }
}
