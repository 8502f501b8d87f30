//! `client-copy-stale`: the key was extended where it is published, and a copy of it still says the old end.
//!
//! Whoever verifies with the old copy refuses from the old date on, although everything upstream is in order
//! (repositories whose keyring package was not updated). Subkeys go with their primary key.

use crate::UnixTime;
use crate::dossier::Dossier;
use crate::ending;
use crate::finding::{Finding, Kind, Severity, WHEN};
use crate::inventory::AssetKind;
use crate::joints::{Rule, RuleInfo, Verdict};
use notafter_pki::time::DAY;

/// The rule.
pub struct ClientCopyStale;

/// So long before the old end it is worth a warning, after which it is urgent, and until when it still breaks things.
const WARNING: i64 = 180 * DAY;
const CRITICAL: i64 = 14 * DAY;
const STILL: i64 = 30 * DAY;

impl Rule for ClientCopyStale {
    fn info(&self) -> &RuleInfo {
        &RuleInfo {
            kind: Kind::ClientCopyStale,
            doc: "a copy of an OpenPGP key says an earlier end than another copy of the same key",
            citation: "RFC 9580 section 5.2.3.13: the latest self-signature counts, and only for who has it",
        }
    }

    fn check(&self, dossier: &Dossier<'_>, now: UnixTime) -> Verdict {
        let Some(view) = ending::of_kind(dossier, &[AssetKind::OpenpgpKey]) else {
            return Verdict::NotApplicable;
        };
        let is_subkey = view.statement.as_ref().is_some_and(|s| s.fact_of("primary").is_some());
        let Some(end) = view.asset.not_after.filter(|end| !is_subkey && *end < UnixTime::NO_EXPIRY) else {
            return Verdict::NotApplicable;
        };
        let Some((_, newer_at)) = view.around.extended.first() else {
            return Verdict::Pass { holds_until: None };
        };
        // A file that has the newer copy, too, is read with the newer one.
        let has_newer =
            |container: &str| view.around.extended.iter().any(|(_, l)| l.container() == container);
        let stale: Vec<_> = view.locations().filter(|l| !has_newer(l.container())).collect();
        if stale.is_empty() {
            return Verdict::Pass { holds_until: None };
        }
        let (severity, next) = match () {
            () if now <= end.plus(-WARNING) => (Severity::Info, Some(end.plus(1 - WARNING))),
            () if now <= end.plus(-CRITICAL) => (Severity::Warning, Some(end.plus(1 - CRITICAL))),
            () if now <= end.plus(STILL) => (Severity::Critical, Some(end.plus(STILL + 1))),
            () => (Severity::Info, None),
        };
        let title = view.title();
        let until = view.around.extended.iter().filter_map(|(asset, _)| asset.not_after).max();
        let finding = Finding::new(Kind::ClientCopyStale, severity, Some(view.asset.id), "")
            .at(stale)
            .at(view.around.extended.iter().map(|(_, location)| *location))
            .deadline(Some(end))
            .summary(format!("an old copy of {title} lapses {WHEN}; the key was extended elsewhere"))
            .hint("bring the newer copy to every place that has the old one; nothing has to be signed anew")
            .evidence("newer_at", *newer_at)
            .evidence("newer_until", until.map_or("never".to_owned(), |t| t.to_string()));
        Verdict::found(finding, next)
    }
}

#[cfg(test)]
mod tests {
    use crate::dossier::Around;
    use crate::ending::scene::check_stated;
    use crate::finding::{Kind, Severity};
    use crate::inventory::{Asset, AssetKind, BytesAt};
    use crate::location::Location;
    use crate::observation::Facts;
    use crate::rules::scene::days;
    use crate::{Fingerprint, UnixTime};

    fn check(left: i64, newer: Option<&str>, subkey: bool, expected: Option<Severity>) {
        let kind = AssetKind::OpenpgpKey;
        let bytes = BytesAt { offset: 0, length: 0 };
        let asset = Asset {
            id: Fingerprint([6; 32]),
            kind,
            bytes,
            not_before: Some(UnixTime(0)),
            not_after: Some(days(700)),
            key: None,
        };
        let place = newer.map(|path| Location::file(path.as_bytes(), ""));
        check_stated(
            &super::ClientCopyStale,
            kind,
            (365, left),
            "/etc/apt/keyrings/a.gpg",
            |s| if subkey { s.fact("primary", "AB") } else { s },
            Facts::default(),
            // The newer copy outlives this call.
            |_| Around {
                extended: place
                    .iter()
                    .map(|p| (&*Box::leak(Box::new(asset.clone())), &*Box::leak(Box::new(p.clone()))))
                    .collect(),
                ..Around::default()
            },
            expected.map(|s| (Kind::ClientCopyStale, s)),
        );
    }

    #[test]
    fn an_old_copy() {
        check(170, Some("/srv/repo/a.gpg"), false, Some(Severity::Warning));
        check(13, Some("/srv/repo/a.gpg"), false, Some(Severity::Critical));
        check(-1, Some("/srv/repo/a.gpg"), false, Some(Severity::Critical));
        check(-31, Some("/srv/repo/a.gpg"), false, Some(Severity::Info));
        check(200, Some("/srv/repo/a.gpg"), false, Some(Severity::Info));
    }

    #[test]
    fn healthy() {
        check(13, None, false, None);
        check(13, Some("/etc/apt/keyrings/a.gpg"), false, None);
        check(13, Some("/srv/repo/a.gpg"), true, None);
    }
}
