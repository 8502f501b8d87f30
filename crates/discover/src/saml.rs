//! SAML metadata by file or address: `saml:/srv/idp/metadata.xml`, `saml:https://federation.example/metadata`.
//!
//! Read as they come in, so that an aggregate of a hundred megabytes costs little memory, larger than a walk through
//! files would read. Addresses are those that the operator named; no address that stands within metadata is followed, and
//! no signature is checked.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::inventory::{AssetKind, Role};
use notafter_core::joints::{BoxFuture, Cx, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, FileFacts, Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use notafter_pki::container::{self, Content, Found};
use notafter_pki::statement::saml::Metadata;
use notafter_pki::statement::xml::XmlError;
use rustix::fs::{FileType, Mode, OFlags};

use crate::files::why;
use crate::http::reach::Allow;
use crate::http::{Ask, Client};
use crate::parts;
use crate::sources::{Given, Order, SourceKind};
use crate::target::NoTarget;

/// The kind.
pub const SAML: SourceKind = SourceKind {
    name: "saml",
    words: &["saml"],
    doc: "SAML metadata: keys of identity and service providers, and until when they may be used",
    every: 6 * 3600,
    outside: Some("the addresses of `metadata` are fetched; nothing is sent to them"),
    keys: &["metadata"],
    build,
};

/// The largest aggregate read, in octets: eduGAIN's has a tenth.
const SIZE_MAX: usize = 1 << 30;
/// How long one may take.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How much of a file is read at once.
const CHUNK: usize = 256 << 10;

/// Where metadata are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Spot {
    File(PathBuf),
    Url(String),
}

/// Some metadata.
struct Saml {
    spots: Vec<Spot>,
    given: Given,
}

fn build(order: Order<'_>) -> Result<Box<dyn Source>, NoTarget> {
    let from_words = order.targets.iter().map(|text| text.split_once(':').map_or("", |(_, rest)| rest));
    let texts: Vec<String> = if order.targets.is_empty() {
        order.texts("metadata")?
    } else {
        from_words.map(str::to_owned).collect()
    };
    if texts.is_empty() {
        return Err(wrong("it names no metadata"));
    }
    let spots = texts.iter().map(|text| spot(text)).collect::<Result<_, _>>()?;
    Ok(Box::new(Saml { spots, given: order.given.clone() }))
}

fn wrong(message: &str) -> NoTarget {
    NoTarget {
        message: message.to_owned(),
        hint: "write saml:/path/to/metadata.xml, saml:https://host/metadata, or metadata = [\"...\"]"
            .to_owned(),
    }
}

fn spot(text: &str) -> Result<Spot, NoTarget> {
    if text.is_empty() {
        return Err(wrong("`saml:` names no metadata"));
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        // What is refused is refused now, not at the first run.
        Allow::default().add(text)?;
        return Ok(Spot::Url(text.to_owned()));
    }
    Ok(Spot::File(PathBuf::from(text.strip_prefix("file://").unwrap_or(text))))
}

impl Source for Saml {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let mut allow = Allow::default();
            let mut files = Vec::new();
            let mut urls = Vec::new();
            for spot in &self.spots {
                match spot {
                    Spot::File(path) => files.push(path.clone()),
                    Spot::Url(url) => {
                        let _ = allow.add(url);
                        urls.push(url);
                    }
                }
            }
            if !urls.is_empty() {
                let client = Client::new(&self.given, allow, Arc::clone(&cx.clock))
                    .map_err(|e| Fault::new(FaultKind::Exhausted, e))?;
                for url in urls {
                    fetch(&client, url, cx, &*out).await;
                }
            }
            if !files.is_empty() {
                walk(files, cx, &out).await?;
            }
            Ok(cx.progress.scan())
        })
    }
}

/// Fetches one address.
async fn fetch(client: &Client, url: &str, cx: &Cx, out: &dyn Sink) {
    Progress::add(&cx.progress.attempted, 1);
    let Some(place) = Location::parse(url.split('#').next().unwrap_or(url)) else { return };
    let at = cx.clock.now();
    let ask = Ask {
        accept: "application/samlmetadata+xml, application/xml;q=0.9, */*;q=0.1",
        size_max: SIZE_MAX,
        time_max: TIME_MAX,
        ..Ask::default()
    };
    let mut reading = Reading::new(place.clone(), at, Facts::default());
    let got = client.stream(url, &ask, &mut |chunk| reading.push(chunk, out)).await;
    match got.and_then(crate::http::Answer::success) {
        Ok(_) => {
            Progress::add(&cx.progress.reached, 1);
            reading.finish(out);
        }
        Err(failure) => {
            Progress::add(&cx.progress.unreachable, 1);
            out.put(Observation { at, location: place, seen: failure.seen() });
        }
    }
}

/// Reads files, on a thread of their own.
async fn walk(files: Vec<PathBuf>, cx: &Cx, out: &Arc<dyn Sink>) -> Result<(), Fault> {
    let stop = Arc::new(AtomicBool::new(false));
    let (out, at, progress, stopped) =
        (Arc::clone(out), cx.clock.now(), Arc::clone(&cx.progress), Arc::clone(&stop));
    let (done, finished) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("saml".to_owned())
        .spawn(move || {
            for path in &files {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Progress::add(&progress.files, 1);
                if let Err((reason, detail)) = read(&path, at, &*out, &stopped) {
                    let location = Location::file(path.as_os_str().as_bytes(), "");
                    out.put(Observation { at, location, seen: Seen::Failed { reason, detail } });
                }
            }
            let _ = done.send(());
        })
        .map_err(|e| Fault::new(FaultKind::Exhausted, format!("no thread for SAML metadata: {e}")))?;
    let _guard = crate::guard::Guard::new(stop, thread);
    finished.await.map_err(|_| Fault::new(FaultKind::System, "reading SAML metadata ended before its end"))
}

fn read(path: &Path, at: UnixTime, out: &dyn Sink, stop: &AtomicBool) -> Result<(), (Reason, String)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let system = |error: rustix::io::Errno| why(&error.into());
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(system)?;
    let stat = rustix::fs::fstat(&file).map_err(system)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err((Reason::SpecialFile, "it is not a regular file".to_owned()));
    }
    if u64::try_from(stat.st_size).unwrap_or(0) > SIZE_MAX as u64 {
        return Err((Reason::TooLarge, format!("it has more than the {SIZE_MAX} octets that are read")));
    }
    let facts = FileFacts {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        owner: crate::passwd::user_name(stat.st_uid),
        mtime: UnixTime(stat.st_mtime),
        reachable_by_others: false,
    };
    let facts = Facts { file: Some(Arc::new(facts)), ..Facts::default() };
    let place = Location::file(path.as_os_str().as_bytes(), "");
    let mut reading = Reading::new(place, at, facts);
    let mut chunk = vec![0; CHUNK];
    loop {
        match rustix::io::read(&file, &mut chunk) {
            Ok(0) => break,
            Ok(_) if stop.load(Ordering::Relaxed) => return Ok(()),
            Ok(n) => reading.push(&chunk[..n], out),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system(error)),
        }
    }
    reading.finish(out);
    Ok(())
}

/// One document as it comes in. What is found waits until it is known whether it is one of very many.
struct Reading {
    place: Location,
    at: UnixTime,
    facts: Facts,
    metadata: Option<Metadata>,
    failed: Option<XmlError>,
    waiting: Vec<Found<'static>>,
    entities: Vec<String>,
    any: bool,
}

impl Reading {
    fn new(place: Location, at: UnixTime, facts: Facts) -> Self {
        Self {
            place,
            at,
            facts,
            metadata: Some(Metadata::new()),
            failed: None,
            waiting: Vec::new(),
            entities: Vec::new(),
            any: false,
        }
    }

    fn push(&mut self, chunk: &[u8], out: &dyn Sink) {
        let Some(metadata) = self.metadata.as_mut().filter(|_| self.failed.is_none()) else { return };
        let waiting = &mut self.waiting;
        if let Err(error) = metadata.push(chunk, |found| waiting.push(found)) {
            self.failed = Some(error);
        }
        for found in &self.waiting {
            let entity = parts::entity(found.place.as_str());
            if self.entities.len() <= parts::CROWD && !self.entities.iter().any(|known| known == entity) {
                self.entities.push(entity.to_owned());
            }
        }
        if self.entities.len() > parts::CROWD {
            self.put(true, out);
        }
    }

    fn put(&mut self, crowd: bool, out: &dyn Sink) {
        for found in std::mem::take(&mut self.waiting) {
            self.any = true;
            let part = parts::metadata(&found, crowd).map(Arc::new);
            let facts = Facts { part, ..self.facts.clone() };
            let fragment = found.place.as_str();
            let location = match fragment {
                "" => Some(self.place.clone()),
                fragment => Location::parse(&format!("{}#{fragment}", self.place.container())),
            };
            let Some(location) = location else { continue };
            let seen = match found.content {
                Content::Certificate(der) => Seen::Chain {
                    chain: vec![der.into_owned().into()],
                    role: Some(Role::Signer),
                    leads: false,
                    facts,
                },
                Content::Statement(statement) => Seen::Dated {
                    kind: AssetKind::of_statement(statement.kind()),
                    der: statement.to_bytes().into(),
                    facts,
                },
                _ => continue,
            };
            out.put(Observation { at: self.at, location, seen });
        }
    }

    fn finish(mut self, out: &dyn Sink) {
        let crowd = self.entities.len() > parts::CROWD;
        self.put(crowd, out);
        let ended = match (self.failed, self.metadata.take()) {
            (Some(error), _) => Err(error),
            // Its entities were put; what breaks off within one is said below.
            (None, Some(metadata)) => metadata.finish(|_| {}),
            (None, None) => return,
        };
        let blind = |reason, detail: String| {
            let seen = Seen::Failed { reason, detail };
            out.put(Observation { at: self.at, location: self.place.clone(), seen });
        };
        match ended {
            Ok(problems) => {
                for problem in problems {
                    let reason = match problem.reason {
                        container::Reason::TooLarge => Reason::TooLarge,
                        container::Reason::UnsupportedFormat => Reason::UnsupportedFormat,
                        container::Reason::WrongPassword | container::Reason::Malformed => Reason::Malformed,
                    };
                    blind(reason, problem.detail);
                }
                if !self.any {
                    blind(Reason::UnsupportedFormat, "it holds no SAML metadata".to_owned());
                }
            }
            Err(error) => {
                let reason = match error {
                    XmlError::DocumentType => Reason::UnsupportedFormat,
                    XmlError::Malformed => Reason::Malformed,
                    XmlError::TooLarge => Reason::TooLarge,
                };
                blind(reason, format!("SAML metadata: {error}"));
            }
        }
    }
}
