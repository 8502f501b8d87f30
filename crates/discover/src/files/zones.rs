//! Zone files met on a walk: of which zone each is, so that its registration can be asked for.
//!
//! Told by the file's name or folder and by its SOA; nothing else is read of it here. What signatures a zone has is read
//! by `pki` like every other dated thing, and who looks at its hosts is `zone.rs`, where a user named the zone.

use std::path::Path;

use notafter_pki::dns::{Data, text};

use crate::configs::has_word;

/// The SOA comes first, behind comments.
const HEAD: usize = 16 << 10;

/// The zone of this file, if it is one by its name and by its first octets.
pub(super) fn apex(path: &Path, start: &[u8]) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let origin = zone_like(path, name)?;
    let head = &start[..start.len().min(HEAD)];
    if head.contains(&0) || !has_word(head, &["SOA", "soa"]) {
        return None;
    }
    let mut out = None;
    text::read(head, origin.as_deref(), &mut |_| None, &mut |record| {
        if matches!(record.data, Data::Soa(_)) {
            out = Some(record.owner);
            return false;
        }
        true
    });
    out.filter(|zone| zone.contains('.'))
}

/// Is it called like a zone file, or in a folder of such? With the zone that its name says, if it says one.
#[allow(clippy::option_option, reason = "no zone file; a zone file; a zone file of this zone")]
fn zone_like(path: &Path, name: &str) -> Option<Option<String>> {
    const FOLDERS: &[&str] = &[
        "zones",
        "zone",
        "named",
        "bind",
        "master",
        "masters",
        "primary",
        "pri",
        "nsd",
        "knot",
        "dns",
        "zonefiles",
    ];
    const ENDINGS: &[&str] = &[".signed", ".zone", ".db", ".dns", ".hosts", ".fwd"];
    let within = path.parent().into_iter().flat_map(Path::components);
    let folder =
        within.rev().take(3).any(|part| FOLDERS.iter().any(|f| part.as_os_str().eq_ignore_ascii_case(f)));
    let mut bare = name;
    while let Some(rest) = ENDINGS.iter().find_map(|ending| bare.strip_suffix(ending)) {
        bare = rest;
    }
    let ended = bare.len() < name.len();
    let begun =
        bare.strip_prefix("db.").or_else(|| bare.strip_prefix("pri.")).or_else(|| bare.strip_prefix("zone."));
    let bare = begun.unwrap_or(bare);
    (ended || begun.is_some() || folder)
        .then(|| bare.contains('.').then(|| bare.trim_end_matches('.').to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_and_content() {
        let soa = "$TTL 300\n@ IN SOA ns1 hostmaster (1 3600 600 86400 300)\n";
        let check = |path: &str, text: &str, expected: Option<&str>| {
            assert_eq!(apex(Path::new(path), text.as_bytes()).as_deref(), expected, "{path}");
        };
        check("/etc/bind/db.example.com", soa, Some("example.com"));
        check("/srv/zones/example.com.zone.signed", soa, Some("example.com"));
        check("/srv/x/forward.zone", &format!("; ours\n$ORIGIN example.org.\n{soa}"), Some("example.org"));
        check("/var/named/example.net", "example.net. 300 IN SOA a. b. 1 2 3 4 5\n", Some("example.net"));
        check("/etc/bind/db.local", soa, None);
        check("/srv/notes.txt", soa, None);
        check("/srv/app.db", "SQLite format 3\0 SOA", None);
        check("/srv/app.db", "about the SOA of things", None);
    }
}
