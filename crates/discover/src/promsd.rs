//! Target lists that somebody keeps for Prometheus, as what there is to look at: files of `file_sd_configs` (JSON and
//! YAML), answers of `http_sd_configs`, and `prometheus.yml` itself.
//!
//! Of a `prometheus.yml` those jobs count that speak TLS: with `scheme: https`, or with the usual relabelling for
//! blackbox_exporter, by which the targets are what is probed. Other relabelling is not computed, and so is no other
//! kind of discovery: a job with one of these says less here than in Prometheus. The looking is `network.rs`'s.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_core::fault::{Fault, FaultKind};
use notafter_core::glob;
use notafter_core::joints::{BoxFuture, Cx, Fresh, Sink, Source};
use notafter_core::location::Location;
use notafter_core::observation::{Observation, Reason, Seen};
use notafter_core::scan::{Progress, Scan};
use notafter_pki::name::printable;

use crate::configs::value::Node;
use crate::http::reach::Allow;
use crate::http::{Ask, Client};
use crate::named_file;
use crate::network::Network;
use crate::sources::{Given, Order, SourceKind};
use crate::target::{Hosts, NetworkTarget, NoTarget, PortRange, Target};

/// In the list of sources.
pub(crate) const KIND: SourceKind = SourceKind {
    name: "targets",
    words: &["targets"],
    doc: "servers that a list for Prometheus names: file_sd, http_sd, prometheus.yml",
    every: 3600,
    outside: Some("the addresses of lists that are fetched"),
    keys: &["file", "url", "allow"],
    build: |order| Ok(Box::new(Lists::new(&order)?)),
};

/// A list may have so many octets.
const SIZE_MAX: usize = 32 << 20;
/// So many targets are taken of all lists together.
const TARGETS_MAX: usize = 200_000;
/// So many further files and addresses a `prometheus.yml` may name.
const LISTS_MAX: usize = 200;

/// Where a list is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    File(PathBuf),
    Url(String),
}

impl Place {
    fn location(&self) -> Location {
        match self {
            Self::Url(url) => {
                Location::parse(url).unwrap_or_else(|| Location::named_endpoint("http", url, None))
            }
            Self::File(path) => {
                use std::os::unix::ffi::OsStrExt;
                let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Location::file(whole.as_os_str().as_bytes(), "")
            }
        }
    }
}

/// Lists to read.
struct Lists {
    places: Vec<Place>,
    allow: Allow,
    given: Given,
}

impl Lists {
    fn new(order: &Order<'_>) -> Result<Self, NoTarget> {
        let wrong = |message: String| {
            NoTarget {
            message,
            hint: "write targets:FILE or targets:https://HOST/PATH; in a [[source]], file = \"...\" or url = \"...\""
                .to_owned(),
        }
        };
        let texts = |key: &str| -> Result<Vec<String>, NoTarget> {
            let value = match order.settings.get(key) {
                None => return Ok(Vec::new()),
                Some(serde_json::Value::Array(list)) => list.clone(),
                Some(one) => vec![one.clone()],
            };
            let text = |one: &serde_json::Value| one.as_str().map(str::to_owned);
            value.iter().map(text).collect::<Option<_>>().ok_or_else(|| wrong(format!("`{key}` is no text")))
        };
        let mut places = Vec::new();
        let mut allow = Allow::default();
        for range in texts("allow")? {
            allow.add(&range)?;
        }
        let (mut files, mut urls) = (texts("file")?, texts("url")?);
        if !order.targets.is_empty() {
            let words = order.targets.iter().map(|t| t.split_once(':').map_or(t.as_str(), |(_, rest)| rest));
            (urls, files) = words.map(str::to_owned).partition(|text| text.contains("://"));
        }
        for url in urls {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(wrong(format!("`{url}` is no web address")));
            }
            allow.add(&url)?;
            places.push(Place::Url(url));
        }
        for file in files {
            if file.is_empty() {
                return Err(wrong("no list is named".to_owned()));
            }
            places.push(Place::File(file.into()));
        }
        if places.is_empty() {
            return Err(wrong("no list is named".to_owned()));
        }
        Ok(Self { places, allow, given: order.given.clone() })
    }
}

impl Source for Lists {
    fn discover<'a>(&'a self, cx: &'a Cx, out: Arc<dyn Sink>) -> BoxFuture<'a, Result<Scan, Fault>> {
        Box::pin(async move {
            let client = Client::new(&self.given, self.allow.clone(), Arc::clone(&cx.clock));
            let client = client.map_err(|why| Fault::new(FaultKind::System, why))?;
            let mut found = Found::default();
            let mut queue = self.places.clone();
            let mut known = BTreeSet::new();
            while let Some(place) = queue.pop() {
                if !known.insert(place.clone()) || known.len() > self.places.len() + LISTS_MAX {
                    continue;
                }
                let read = match &place {
                    Place::File(path) => named_file::read(path.clone(), SIZE_MAX).await,
                    Place::Url(url) => {
                        let ask = Ask { accept: "application/json", size_max: SIZE_MAX, ..Ask::default() };
                        let answer = client.get(url, &ask).await.and_then(|answer| answer.success());
                        answer.map(|answer| answer.body).map_err(|why| (why.reason, why.detail))
                    }
                };
                let folder = match &place {
                    Place::File(path) => path.parent().map(Path::to_owned),
                    Place::Url(_) => None,
                };
                let done = read.and_then(|bytes| found.read(&bytes, folder.as_deref()));
                let done = match (done, std::mem::take(&mut found.refused)) {
                    (Ok(more), refused) if refused.is_empty() => Ok(more),
                    (Ok(more), refused) => {
                        queue.extend(more);
                        let shown = printable(&refused.join(" ").chars().take(200).collect::<String>());
                        let detail = "names ranges, which are only looked at when a configuration has them";
                        Err((Reason::Budget, format!("{detail}: {shown}")))
                    }
                    (wrong, _) => wrong,
                };
                match done {
                    Ok(more) => queue.extend(more),
                    Err((reason, detail)) => {
                        Progress::add(&cx.progress.attempted, 1);
                        Progress::add(&cx.progress.unreachable, 1);
                        let seen = Seen::Failed { reason, detail };
                        out.put(Observation { at: cx.clock.now(), location: place.location(), seen });
                    }
                }
            }
            if found.targets.is_empty() {
                return Ok(cx.progress.scan());
            }
            // The cursor of a run is of one plan; the lists are read anew each time.
            let cx = Cx { resume: Arc::new(Fresh), ..cx.clone() };
            let settings = self.given.network.clone();
            Network { targets: found.targets, this_host: false, settings }.discover(&cx, out).await
        })
    }
}

/// What lists name.
#[derive(Default)]
struct Found {
    targets: Vec<NetworkTarget>,
    seen: BTreeSet<String>,
    /// Ranges, as they were written.
    refused: Vec<String>,
}

/// What is to be said of a list that cannot be read.
type Wrong = (Reason, String);

impl Found {
    /// Reads a list: groups of targets, or a `prometheus.yml`, which may name further lists. `folder`: where the file is.
    fn read(&mut self, bytes: &[u8], folder: Option<&Path>) -> Result<Vec<Place>, Wrong> {
        let no_list = || {
            let detail = "it is neither a list of target groups nor a configuration of Prometheus";
            (Reason::UnsupportedFormat, detail.to_owned())
        };
        let text = std::str::from_utf8(bytes).map_err(|_| no_list())?;
        let root = Node::yaml(text).into_iter().next().ok_or_else(no_list)?;
        let jobs = root.get("scrape_configs");
        if !jobs.is_some() {
            let groups = root.items();
            let empty = matches!(text.trim(), "[]" | "");
            if !empty && !groups.iter().any(|group| group.get("targets").is_some()) {
                return Err(no_list());
            }
            groups.iter().for_each(|group| self.group(group, false));
            return Ok(Vec::new());
        }
        let mut more = Vec::new();
        for job in jobs.items() {
            let probed = is_probed(job);
            if !probed && job.get("scheme").text() != Some("https") {
                continue;
            }
            job.get("static_configs").items().iter().for_each(|group| self.group(group, true));
            for file in job.get("file_sd_configs").items().iter().flat_map(|one| one.get("files").items()) {
                more.extend(
                    file.text().zip(folder).into_iter().flat_map(|(file, folder)| files(folder, file)),
                );
            }
            // Addresses that a file names: the guarded client judges them, and refuses those inside the house unless allowed.
            let urls = job.get("http_sd_configs").items().iter().filter_map(|one| one.get("url").text());
            more.extend(urls.map(|url| Place::Url(url.to_owned())));
        }
        more.truncate(LISTS_MAX);
        Ok(more)
    }

    /// The targets of a group. `tls`: a port says nothing of how they are spoken to, the job does.
    fn group(&mut self, group: &Node, tls: bool) {
        let scheme = group.at(&["labels", "__scheme__"]).text();
        for target in group.get("targets").items().iter().filter_map(Node::text) {
            if self.targets.len() >= TARGETS_MAX || scheme == Some("http") {
                return;
            }
            match target_of(target, tls) {
                Some(found) if !is_one(&found) => self.refused.push(target.to_owned()),
                Some(found) if self.seen.insert(format!("{found:?}")) => self.targets.push(found),
                _ => {}
            }
        }
    }
}

/// Are the targets of this job what blackbox_exporter probes? Then `__address__` goes into `__param_target`.
fn is_probed(job: &Node) -> bool {
    job.get("relabel_configs").items().iter().any(|step| {
        let from = step.get("source_labels");
        let address = from.items().iter().any(|label| label.text() == Some("__address__"));
        address && step.get("target_label").text() == Some("__param_target")
    })
}

/// Is it one server at one port? A list that somebody else writes does not send us through a network.
fn is_one(target: &NetworkTarget) -> bool {
    let host = match &target.hosts {
        Hosts::Name(_) => true,
        Hosts::Addresses(range) => range.first == range.last,
    };
    host && target.ports.iter().flatten().all(|ports| ports.first == ports.last)
        && target.ports.as_ref().is_none_or(|ports| ports.len() <= 1)
}

/// A target as Prometheus writes it: `host:port`, or an address for blackbox_exporter. What speaks no TLS is none.
fn target_of(text: &str, tls: bool) -> Option<NetworkTarget> {
    if text.starts_with("http://") || text.contains(char::is_whitespace) || text.starts_with(['/', '.', '~'])
    {
        return None;
    }
    let Ok(Target::Network(mut target)) = Target::parse(text, |_| false) else { return None };
    if target.ports.is_none() && tls {
        target.ports = Some(vec![PortRange { first: 443, last: 443 }]);
    }
    Some(target)
}

/// The files that a pattern means, from the folder of the configuration. Only the last part may have wildcards.
fn files(folder: &Path, pattern: &str) -> Vec<Place> {
    let path = folder.join(pattern);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Vec::new();
    };
    if !name.contains('*') {
        return vec![Place::File(path)];
    }
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut out: Vec<Place> = entries
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|file| glob::matches(name.as_bytes(), file.as_bytes()))
        })
        .map(|entry| Place::File(entry.path()))
        .take(LISTS_MAX)
        .collect();
    out.sort();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Hosts, Start};

    fn check(text: &str, expected: Result<&[&str], Reason>) {
        let mut found = Found::default();
        let read = found.read(text.as_bytes(), Some(Path::new("/etc/prometheus")));
        let shown = |target: &NetworkTarget| {
            let host = match &target.hosts {
                Hosts::Name(name) => name.clone(),
                Hosts::Addresses(range) => range.first.to_string(),
            };
            let ports: Vec<_> = target.ports.iter().flatten().map(|p| p.first.to_string()).collect();
            let start = match target.start {
                Some(Start::Tls) => "tls ",
                Some(Start::Starttls(protocol)) => protocol.name(),
                None => "",
            };
            format!("{start}{host}:{}", ports.join(","))
        };
        let mut got: Vec<String> = found.targets.iter().map(shown).collect();
        match read {
            Ok(more) => got.extend(more.iter().map(|place| format!("{place:?}"))),
            Err((reason, _)) => return assert_eq!(Err(reason), expected, "{text}"),
        }
        assert_eq!(expected, Ok(&got.iter().map(String::as_str).collect::<Vec<_>>()[..]), "{text}");
    }

    #[test]
    fn groups_of_targets() {
        check(
            r#"[{"targets": ["a.test:443", "10.0.0.5:8443", "a.test:443"], "labels": {"env": "prod"}},
                {"targets": ["https://b.test/health", "http://c.test/", "d.test"]}]"#,
            Ok(&["a.test:443", "10.0.0.5:8443", "tls b.test:443", "d.test:"]),
        );
        check(
            "- targets:\n    - a.test:443\n    - '[::1]:8443'\n  labels:\n    job: web\n- targets: [b.test:25]\n",
            Ok(&["a.test:443", "::1:8443", "b.test:25"]),
        );
        check(r#"[{"targets": ["a.test:80"], "labels": {"__scheme__": "http"}}]"#, Ok(&[]));
        check("[]", Ok(&[]));
        // Neither a file nor a list of our own is let in by a list of others.
        check(
            r#"[{"targets": ["/etc/passwd", "@/etc/passwd", "file:///etc", "zone:a.test", "-", "localhost"]}]"#,
            Ok(&[]),
        );
        // Nor does one send us through a network.
        let mut found = Found::default();
        let ranges =
            r#"[{"targets": ["0.0.0.0/0:1-65535", "10.0.0.1-9:443", "a.test:443,444", "b.test:443"]}]"#;
        found.read(ranges.as_bytes(), None).unwrap();
        assert_eq!((found.targets.len(), found.refused.len()), (1, 3), "{:?}", found.refused);
        for text in ["", "{}", "hello", "[1, 2]", "[{\"a\": 1}]", "{\"a\""] {
            check(text, Err(Reason::UnsupportedFormat));
        }
    }

    #[test]
    fn a_configuration_of_prometheus() {
        check(
            r#"
global: {scrape_interval: 15s}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["plain.test:9100"]}]
  - job_name: api
    scheme: https
    static_configs:
      - targets: ["api.test:9443", "api2.test"]
    file_sd_configs:
      - files: ["targets/api.json", "/srv/other.yml"]
  - job_name: blackbox
    metrics_path: /probe
    params: {module: [http_2xx]}
    static_configs:
      - targets: [https://www.test/login, "mail.test:25", "http://plain.test"]
    http_sd_configs: [{url: "https://sd.test/list"}]
    relabel_configs:
      - source_labels: [__address__]
        target_label: __param_target
      - source_labels: [__param_target]
        target_label: instance
      - target_label: __address__
        replacement: 127.0.0.1:9115
"#,
            Ok(&[
                "api.test:9443",
                "api2.test:443",
                "tls www.test:443",
                "mail.test:25",
                r#"File("/etc/prometheus/targets/api.json")"#,
                r#"File("/srv/other.yml")"#,
                r#"Url("https://sd.test/list")"#,
            ]),
        );
    }

    #[test]
    fn files_by_pattern() {
        let folder = std::env::temp_dir().join(format!("notafter-sd-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["b.json", "a.json", "c.yml"] {
            std::fs::write(folder.join(name), "[]").unwrap();
        }
        let found = files(&folder, "*.json");
        let expected = ["a.json", "b.json"].map(|name| Place::File(folder.join(name)));
        assert_eq!(found, expected);
        assert_eq!(files(&folder, "none/*.json"), []);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
