//! Reading a log: its head, and its entries from one number to another, in either of the two ways in which logs are
//! read: static-ct tiles (c2sp.org/static-ct-api) and `get-entries` (RFC 6962 section 4.6).
//!
//! It fetches and hands over octets of entries; which of them matter is the filter's business. A log that wants to be
//! asked less often is waited for a little and no longer. That the entries add up to the signed root is not computed; that
//! the log only grows is `proof.rs`'s.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use notafter_core::UnixTime;
use notafter_core::observation::Reason;
use serde::Deserialize;

use super::entry::{Entry, Malformed, of_tile};
use super::head::Head;
use crate::http::{Answer, Ask, Client, Failure};

/// Entries in a full tile.
pub const TILE: u64 = 256;
/// A tile, or an answer of `get-entries`, may have so many octets, unpacked.
const SIZE_MAX: usize = 16 << 20;
/// A log that wants more patience than this is left for the next run, in seconds.
const PATIENCE: i64 = 30;
/// So often it is asked again when it wants to be asked less often.
const TRIES: usize = 3;

/// Takes an entry with its number, or why it cannot be read.
pub type Take<'t> = &'t mut (dyn FnMut(u64, Result<&Entry<'_>, Malformed>) + Send);

/// How a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Tiles, as files.
    StaticCt,
    /// `get-sth` and `get-entries`.
    Rfc6962,
}

impl Api {
    /// The word used in settings and as the protocol of a place.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaticCt => "static-ct",
            Self::Rfc6962 => "rfc6962",
        }
    }
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where it is read, with a slash at the end.
    pub url: String,
    /// Its SubjectPublicKeyInfo, where it was given.
    pub key: Option<Vec<u8>>,
    /// How it is read; `None`: to be found out.
    pub api: Option<Api>,
}

impl Log {
    /// What it is called in the location of an entry: its address without the scheme.
    pub fn name(&self) -> &str {
        let bare = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        bare.trim_end_matches('/')
    }

    /// The head as of now, and how the log is read.
    ///
    /// # Errors
    /// When the log does not answer, or with what is no head of it.
    pub async fn head(&self, client: &Client, now: UnixTime) -> Result<(Head, Api), Failure> {
        let refused = |why: &str| failure(Reason::Malformed, format!("{}: {why}", self.name()));
        let key = self.key.as_deref();
        let of_tiles = if self.api == Some(Api::Rfc6962) {
            None
        } else {
            Some(fetch(client, &format!("{}checkpoint", self.url), 64 << 10, now).await)
        };
        match of_tiles {
            Some(Ok(answer)) => match Head::of_checkpoint(&answer.body, key) {
                Ok(head) => return Ok((head, Api::StaticCt)),
                Err(why) if self.api.is_some() || answer.body.contains(&b'\n') => return Err(refused(why)),
                Err(_) => {}
            },
            Some(Err(why)) if self.api.is_some() || !speaks(why.reason) => return Err(why),
            Some(Err(_)) | None => {}
        }
        let answer = fetch(client, &format!("{}ct/v1/get-sth", self.url), 64 << 10, now).await?;
        Ok((Head::of_sth(&answer.body, key).map_err(refused)?, Api::Rfc6962))
    }

    /// Hands over entries from `start` up to `end`, which lies in the same tile or directly behind it; `size` is the
    /// size of the tree. Each with its number.
    ///
    /// # Errors
    /// When the log does not answer, or with what are not these entries. What was handed over before holds.
    pub async fn entries(
        &self,
        client: &Client,
        api: Api,
        (start, end): (u64, u64),
        size: u64,
        now: UnixTime,
        take: Take<'_>,
    ) -> Result<(), Failure> {
        match api {
            Api::StaticCt => self.tile(client, (start, end), size, now, take).await,
            Api::Rfc6962 => {
                let mut at = start;
                while at < end {
                    at = self.get_entries(client, (at, end), now, take).await?;
                }
                Ok(())
            }
        }
    }

    async fn tile(
        &self,
        client: &Client,
        (start, end): (u64, u64),
        size: u64,
        now: UnixTime,
        take: Take<'_>,
    ) -> Result<(), Failure> {
        let number = start / TILE;
        let first = number.saturating_mul(TILE);
        let width = size.saturating_sub(first).min(TILE);
        let full = format!("{}tile/data/{}", self.url, tile_path(number));
        let answer = if width == TILE {
            fetch(client, &full, SIZE_MAX, now).await?
        } else {
            // A log may drop a partial tile once the full one is there.
            match fetch(client, &format!("{full}.p/{width}"), SIZE_MAX, now).await {
                Err(why) if why.reason == Reason::NotFound => fetch(client, &full, SIZE_MAX, now).await?,
                other => other?,
            }
        };
        let bad = |why: &str| {
            failure(Reason::Malformed, format!("{}: tile {number} cannot be read: {why}", self.name()))
        };
        let unpacked = unpack(answer.body).map_err(bad)?;
        let mut at = first;
        for entry in of_tile(&unpacked).take(TILE as usize) {
            let entry = entry.map_err(bad)?;
            if entry.index().is_some_and(|index| index != at) {
                return Err(bad("its entries have other numbers"));
            }
            if (start..end).contains(&at) {
                take(at, Ok(&entry));
            }
            at += 1;
        }
        if at < first + width { Err(bad("it has fewer entries than it should")) } else { Ok(()) }
    }

    /// Asks once; the answer may stop short of the end. Returns where to go on.
    async fn get_entries(
        &self,
        client: &Client,
        (start, end): (u64, u64),
        now: UnixTime,
        take: Take<'_>,
    ) -> Result<u64, Failure> {
        let url = format!("{}ct/v1/get-entries?start={start}&end={}", self.url, end.saturating_sub(1));
        let answer = fetch(client, &url, SIZE_MAX, now).await?;
        let bad =
            |why: &str| failure(Reason::Malformed, format!("{}: entry {start} and on: {why}", self.name()));
        let list: Entries<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| bad("what came is no list of entries"))?;
        let mut at = start;
        for one in list.entries {
            if at >= end {
                break;
            }
            let decoded = STANDARD.decode(one.leaf_input.as_bytes()).ok().zip(
                // Half of what comes: read all the same, because the precertificate is in it.
                STANDARD.decode(one.extra_data.as_bytes()).ok(),
            );
            let (leaf, extra) = decoded.ok_or_else(|| bad("it is no base64"))?;
            // Each stands for itself: one that cannot be read costs no other.
            match Entry::of_leaf(&leaf, &extra) {
                Ok(entry) => take(at, Ok(&entry)),
                Err(why) => take(at, Err(why)),
            }
            at += 1;
        }
        if at == start { Err(bad("it comes back empty")) } else { Ok(at) }
    }
}

#[derive(Deserialize)]
struct Entries<'a> {
    #[serde(borrow)]
    entries: Vec<Leaf<'a>>,
}

#[derive(Deserialize)]
struct Leaf<'a> {
    #[serde(borrow)]
    leaf_input: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    extra_data: std::borrow::Cow<'a, str>,
}

/// Did a server that is there say that it has no such thing?
fn speaks(reason: Reason) -> bool {
    matches!(reason, Reason::NotFound | Reason::PermissionDenied | Reason::Malformed | Reason::Refused)
}

/// `x001/x234/067`: three digits at a time, all but the last after an `x` (c2sp.org/tlog-tiles).
pub fn tile_path(number: u64) -> String {
    let mut out = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        out = format!("x{:03}/{out}", rest % 1000);
        rest /= 1000;
    }
    out
}

/// Some logs keep their tiles gzipped and serve them so to everybody. A tile begins with a time, and no time begins as
/// gzip does.
fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    let read = flate2::read::MultiGzDecoder::new(&*bytes).take(SIZE_MAX as u64 + 1).read_to_end(&mut out);
    match read {
        Ok(n) if n <= SIZE_MAX => Ok(out),
        Ok(_) => Err("it unpacks to too much"),
        Err(_) => Err("it is gzip that does not unpack"),
    }
}

/// Fetches, and waits a little where it is told to.
pub(super) async fn fetch(
    client: &Client,
    url: &str,
    size_max: usize,
    now: UnixTime,
) -> Result<Answer, Failure> {
    let ask = Ask { size_max, time_max: Duration::from_secs(60), ..Ask::default() };
    let mut tries = 0;
    loop {
        tries += 1;
        match client.get(url, &ask).await?.success() {
            Err(why) if why.reason == Reason::Budget && tries < TRIES => {
                let wait = why.again.map_or(2, |at| at.0.saturating_sub(now.0));
                if wait > PATIENCE {
                    return Err(why);
                }
                tokio::time::sleep(Duration::from_secs(wait.max(1) as u64)).await;
            }
            other => return other,
        }
    }
}

pub(super) fn failure(reason: Reason, detail: impl Into<String>) -> Failure {
    Failure { reason, detail: detail.into(), again: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_tiles() {
        for (number, path) in [
            (0, "000"),
            (999, "999"),
            (1000, "x001/000"),
            (1_234_067, "x001/x234/067"),
            (123_456_789_000, "x123/x456/x789/000"),
        ] {
            assert_eq!(tile_path(number), path);
        }
    }

    #[test]
    fn gzip_is_unpacked_and_bounded() {
        use std::io::Write as _;
        let pack = |bytes: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        assert_eq!(unpack(b"plain".to_vec()).unwrap(), b"plain");
        assert_eq!(unpack(pack(b"packed")).unwrap(), b"packed");
        assert!(unpack(pack(&vec![0; SIZE_MAX + 1])).is_err());
        assert!(unpack(b"\x1f\x8b\x08broken".to_vec()).is_err());
    }
}
