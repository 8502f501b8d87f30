//! What a look showed, as blackbox_exporter and ssl_exporter would write it.
//!
//! `probe_success` and `ssl_probe_success` are 1 when a certificate was shown that verifies: a path out of
//! what was sent leads to a root we trust, every member is within its dates, and the name fits. The facts
//! about certificates are there whenever one was shown; where no path is known,
//! `probe_ssl_last_chain_expiry_timestamp_seconds` speaks of what was sent, rather than of nothing.

use std::collections::HashSet;
use std::io;

use notafter_core::UnixTime;
use notafter_core::finding::{Kind, Severity};
use notafter_core::inventory::{Asset, AssetIx, AssetKind, Placement};
use notafter_core::trust::TrustStores;
use notafter_engine::pipeline::Report;
use notafter_pki::certificate::Certificate;
use notafter_pki::chain::{End, Graph};
use notafter_pki::extension::GeneralName;

use super::Looked;
use super::target::{Asked, is_metadata};
use crate::metrics::text::Text;

/// So many certificates are printed.
const CERTIFICATES_MAX: usize = 100;
/// A serial number of more bytes is printed in hex.
const SERIAL_MAX: usize = 64;
/// The contents octets of the object identifier of organizationalUnitName, 2.5.4.11.
const OU: &[u8] = &[0x55, 0x04, 0x0b];

/// Writes the whole answer. `trust` is whom a client trusts.
pub(crate) fn write(asked: &Asked, looked: &Looked, trust: &TrustStores) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory cannot fail.
    let _ = fill(asked, looked, trust, &mut Text::new(&mut out));
    out
}

fn fill(asked: &Asked, looked: &Looked, trust: &TrustStores, text: &mut Text<'_>) -> io::Result<()> {
    let chains = looked.report.as_ref().map(chains).unwrap_or_default();
    let paths = looked.report.as_ref().and_then(|report| paths(report, &chains, trust, looked.at));
    let verified = paths.is_some();
    let is_file = asked.prober == "file";
    let success = f64::from(u8::from(!chains.is_empty() && (verified || is_file)));
    text.family("probe_success", "gauge", "Displays whether or not the probe was a success")?;
    text.sample(&[], success)?;
    text.family("probe_duration_seconds", "gauge", "Returns how long the probe took to complete in seconds")?;
    text.sample(&[], looked.seconds)?;
    text.family("ssl_probe_success", "gauge", "If the probe was a success")?;
    text.sample(&[], success)?;
    text.family("ssl_prober", "gauge", "The prober used by the exporter to connect to the target")?;
    text.sample(&[("prober", asked.prober)], 1.0)?;
    text.family("notafter_probe_verified", "gauge", "1 when what was shown would be accepted by a client")?;
    text.sample(&[], f64::from(u8::from(verified)))?;
    if let Some(reason) = looked.failure {
        text.family("notafter_probe_failure_info", "gauge", "Why nothing was seen, in one of a few words")?;
        text.sample(&[("reason", reason)], 1.0)?;
    }
    let Some(report) = &looked.report else { return Ok(()) };
    if let (Some((first, _)), false) = (chains.first(), is_file) {
        connection(first, text)?;
    }
    let shown = Shown::of(report, &chains);
    if shown.0.is_empty() {
        return Ok(());
    }
    if is_file {
        shown.write(["ssl_file_cert_not_after", "ssl_file_cert_not_before"], Extra::File, text)
    } else {
        blackbox(report, &chains, paths.as_ref(), text)?;
        shown.write(["ssl_cert_not_after", "ssl_cert_not_before"], Extra::Nothing, text)?;
        match &paths {
            Some(paths) => {
                let names = ["ssl_verified_cert_not_after", "ssl_verified_cert_not_before"];
                paths.write(names, Extra::Chain, text)
            }
            None => Ok(()),
        }
    }
}

type Chain<'r> = (&'r Placement, Vec<AssetIx>);

/// The chains that were shown, each with the placement that leads it. What was served by a place that is
/// never looked at was not asked for: should a prober have gone there all the same, nothing of it is told.
fn chains(report: &Report) -> Vec<Chain<'_>> {
    let placements = report.inventory.placements().iter();
    placements
        .filter(|p| p.location.ip().is_none_or(|ip| !is_metadata(ip)))
        .filter_map(|p| p.chain.as_ref().map(|chain| (p, chain.to_vec())))
        .filter(|(_, chain)| {
            chain.iter().any(|ix| report.inventory.asset(*ix).kind == AssetKind::Certificate)
        })
        .collect()
}

/// The verified path of each chain, root included; `None` unless a client would accept every one.
///
/// Only what was sent may stand between a leaf and a root, as for a client that fetches nothing.
fn paths(report: &Report, chains: &[Chain<'_>], trust: &TrustStores, at: UnixTime) -> Option<Shown> {
    let breaks = |kind| matches!(kind, Kind::NameMismatch | Kind::Revoked | Kind::WeakSignature);
    let broken = report.findings.iter().any(|f| breaks(f.kind) && f.severity == Severity::Critical);
    if chains.is_empty() || broken {
        return None;
    }
    let inventory = &report.inventory;
    let mut out = Vec::new();
    for (n, (placement, chain)) in chains.iter().enumerate() {
        let bytes: Vec<_> = chain.iter().take(CERTIFICATES_MAX).map(|ix| inventory.bytes(*ix)).collect();
        let mut sent = bytes.iter().filter_map(|der| Certificate::parse(der).ok());
        let leaf = sent.next()?;
        let mut graph = Graph::new();
        for (der, set) in trust.iter() {
            if let Ok(root) = Certificate::parse(der) {
                graph.add(root, set);
            }
        }
        let sent: Vec<_> = sent.filter(Certificate::is_ca).map(|c| graph.add(c, 0)).collect();
        let path = graph.best_path(&leaf, &sent);
        if !matches!(path.end, End::Anchor(_)) {
            return None;
        }
        let issuers = path.issuers.iter().map(|node| graph.certificate(*node));
        for certificate in std::iter::once(leaf).chain(issuers) {
            let began = certificate.not_before().is_some_and(|t| t <= at);
            if !began || certificate.not_after().is_none_or(|t| t < at) {
                return None;
            }
            out.push(Labelled {
                chain: n,
                file: file_of(placement),
                labels: labels(&certificate),
                not_after: certificate.not_after().map(|t| t.0 as f64),
                not_before: certificate.not_before().map(|t| t.0 as f64),
            });
        }
    }
    Some(Shown(out))
}

fn connection(placement: &Placement, text: &mut Text<'_>) -> io::Result<()> {
    if let Some(ip) = placement.location.ip() {
        let help = "Specifies whether probe ip protocol is IP4 or IP6";
        text.family("probe_ip_protocol", "gauge", help)?;
        text.sample(&[], if ip.is_ipv4() { 4.0 } else { 6.0 })?;
    }
    if let Some(version) = placement.facts.tls_version {
        let name = match version {
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            0x0304 => "TLS 1.3",
            _ => "unknown",
        };
        text.family("probe_tls_version_info", "gauge", "Returns the TLS version used")?;
        text.sample(&[("version", name)], 1.0)?;
        text.family("ssl_tls_version_info", "gauge", "The TLS version used")?;
        text.sample(&[("version", name)], 1.0)?;
    }
    if let Some(name) = placement.facts.cipher.and_then(notafter_core::cipher::name) {
        text.family("probe_tls_cipher_info", "gauge", "Returns the TLS cipher negotiated during handshake")?;
        text.sample(&[("cipher", name)], 1.0)?;
    }
    Ok(())
}

fn blackbox(
    report: &Report,
    chains: &[Chain<'_>],
    paths: Option<&Shown>,
    text: &mut Text<'_>,
) -> io::Result<()> {
    let inventory = &report.inventory;
    let end = |chain: &[AssetIx]| chain.iter().filter_map(|ix| inventory.asset(*ix).not_after).min();
    if let Some(earliest) = chains.iter().filter_map(|(_, chain)| end(chain)).min() {
        let help = "Returns earliest SSL cert expiry in unixtime";
        text.family("probe_ssl_earliest_cert_expiry", "gauge", help)?;
        text.sample(&[], earliest.0 as f64)?;
    }
    let Some((_, first)) = chains.first() else { return Ok(()) };
    let sent = || end(first).map(|t| t.0 as f64);
    if let Some(last) = paths.map_or_else(sent, Shown::first_end) {
        let help = "Returns last SSL chain expiry in unixtime";
        text.family("probe_ssl_last_chain_expiry_timestamp_seconds", "gauge", help)?;
        text.sample(&[], last)?;
    }
    let Some(leaf) = first.first() else { return Ok(()) };
    let bytes = inventory.bytes(*leaf);
    if let Ok(certificate) = Certificate::parse(&bytes) {
        let names = Names::of(&certificate);
        // Go prints a serial's magnitude, without the byte that only keeps it positive.
        let serial = certificate.serial();
        let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
        text.family("probe_ssl_last_chain_info", "gauge", "Contains SSL leaf certificate information")?;
        text.sample(
            &[
                ("fingerprint_sha256", &notafter_pki::fingerprint::hex(&inventory.asset(*leaf).id.0)),
                ("subject", &certificate.subject().to_rfc4514()),
                ("issuer", &certificate.issuer_name().to_rfc4514()),
                ("subjectalternative", &names.dns.join(",")),
                ("serialnumber", &notafter_pki::fingerprint::hex(serial)),
            ],
            1.0,
        )?;
    }
    Ok(())
}

/// Names by kind, as ssl_exporter sorts them.
#[derive(Default)]
struct Names {
    dns: Vec<String>,
    ips: Vec<String>,
    emails: Vec<String>,
}

impl Names {
    fn of(certificate: &Certificate<'_>) -> Self {
        let mut out = Self::default();
        // A label is cut anyway; reading ten thousand names for it is enough.
        for name in certificate.subject_alt_names().take(10_000) {
            match name {
                GeneralName::Dns(_) => out.dns.push(name.to_text()),
                GeneralName::Ip(_) => out.ips.push(name.to_text()),
                GeneralName::Email(_) => out.emails.push(name.to_text()),
                _ => {}
            }
        }
        out
    }
}

/// What stands before ssl_exporter's own labels.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    Nothing,
    Chain,
    File,
}

/// A certificate with ssl_exporter's labels.
struct Labelled {
    chain: usize,
    file: String,
    labels: [String; 7],
    not_after: Option<f64>,
    not_before: Option<f64>,
}

const LABELS: [&str; 7] = ["serial_no", "issuer_cn", "cn", "dnsnames", "ips", "emails", "ou"];

struct Shown(Vec<Labelled>);

impl Shown {
    fn of(report: &Report, chains: &[Chain<'_>]) -> Self {
        let inventory = &report.inventory;
        let mut out = Vec::new();
        for (n, (placement, chain)) in chains.iter().enumerate() {
            for ix in chain {
                let asset = inventory.asset(*ix);
                if asset.kind == AssetKind::Certificate && out.len() < CERTIFICATES_MAX {
                    let bytes = inventory.bytes(*ix);
                    out.push(Labelled {
                        chain: n,
                        file: file_of(placement),
                        labels: Certificate::parse(&bytes)
                            .map_or_else(|_| unread(asset), |certificate| labels(&certificate)),
                        not_after: asset.not_after.map(|t| t.0 as f64),
                        not_before: asset.not_before.map(|t| t.0 as f64),
                    });
                }
            }
        }
        Self(out)
    }

    /// When the first of the first chain ends.
    fn first_end(&self) -> Option<f64> {
        let first = self.0.iter().filter(|c| c.chain == 0);
        first.filter_map(|c| c.not_after).min_by(f64::total_cmp)
    }

    fn write(&self, names: [&'static str; 2], extra: Extra, text: &mut Text<'_>) -> io::Result<()> {
        let [after, before] = names;
        self.family(after, "NotAfter expressed as a Unix Epoch Time", extra, |c| c.not_after, text)?;
        self.family(before, "NotBefore expressed as a Unix Epoch Time", extra, |c| c.not_before, text)
    }

    fn family(
        &self,
        name: &'static str,
        help: &str,
        extra: Extra,
        value: fn(&Labelled) -> Option<f64>,
        text: &mut Text<'_>,
    ) -> io::Result<()> {
        text.family(name, "gauge", help)?;
        // The same certificate in two chains, or two that differ in nothing that a label shows.
        let mut seen = HashSet::new();
        for one in &self.0 {
            let chain = one.chain.to_string();
            let mut labels: Vec<(&str, &str)> = Vec::with_capacity(8);
            match extra {
                Extra::Nothing => {}
                Extra::Chain => labels.push(("chain_no", &chain)),
                Extra::File => labels.push(("file", &one.file)),
            }
            labels.extend(LABELS.into_iter().zip(one.labels.iter().map(String::as_str)));
            let first = seen.insert(labels.iter().map(|(_, v)| (*v).to_owned()).collect::<Vec<_>>());
            if let (Some(value), true) = (value(one), first) {
                text.sample(&labels, value)?;
            }
        }
        Ok(())
    }
}

/// The path of a file, as it was named.
fn file_of(placement: &Placement) -> String {
    let path = placement.location.path().map(|p| String::from_utf8_lossy(&p).into_owned());
    path.unwrap_or_else(|| placement.location.to_string())
}

/// A certificate that cannot be read is there all the same: known by its identity.
fn unread(asset: &Asset) -> [String; 7] {
    let mut out: [String; 7] = Default::default();
    out[2] = asset.id.to_string();
    out
}

fn labels(certificate: &Certificate<'_>) -> [String; 7] {
    let names = Names::of(certificate);
    let units: Vec<_> = certificate
        .subject()
        .attributes()
        .filter(|attribute| attribute.oid == OU)
        .map(|attribute| notafter_pki::name::printable(&attribute.text_lossy()))
        .collect();
    [
        decimal(certificate.serial()),
        certificate.issuer_name().common_name().unwrap_or_default(),
        certificate.subject().common_name().unwrap_or_default(),
        wrapped(&names.dns),
        wrapped(&names.ips),
        wrapped(&names.emails),
        wrapped(&units),
    ]
}

/// `,a,b,`: so that a query for `.*,a,.*` finds whole names. Nothing for none.
fn wrapped(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(",{},", names.join(",")) }
}

/// A serial number as Go prints a big integer.
fn decimal(serial: &[u8]) -> String {
    if serial.len() > SERIAL_MAX {
        return format!("0x{}", notafter_pki::fingerprint::hex(serial));
    }
    let negative = serial.first().is_some_and(|b| b & 0x80 != 0);
    // Groups of nine digits, least first.
    let mut groups: Vec<u64> = vec![0];
    let mut push = |byte: u8| {
        let mut carry = u64::from(byte);
        for group in &mut groups {
            let value = *group * 256 + carry;
            *group = value % 1_000_000_000;
            carry = value / 1_000_000_000;
        }
        if carry > 0 {
            groups.push(carry);
        }
    };
    if negative {
        // Two's complement: the magnitude is all bits turned round, plus one.
        let mut bytes: Vec<u8> = serial.iter().map(|b| !b).collect();
        for byte in bytes.iter_mut().rev() {
            let (sum, over) = byte.overflowing_add(1);
            *byte = sum;
            if !over {
                break;
            }
        }
        bytes.into_iter().for_each(&mut push);
    } else {
        serial.iter().copied().for_each(&mut push);
    }
    let mut out = if negative { "-".to_owned() } else { String::new() };
    let mut rest = groups.iter().rev();
    out.push_str(&rest.next().map(u64::to_string).unwrap_or_default());
    rest.for_each(|group| out.push_str(&format!("{group:09}")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_as_go_prints_them() {
        for (serial, expected) in [
            (&[][..], "0"),
            (&[0], "0"),
            (&[5], "5"),
            (&[0, 0xff], "255"),
            (&[0xff], "-1"),
            (&[0x80], "-128"),
            (&[0x3b, 0x9a, 0xca, 0x00], "1000000000"),
            (&[0x01; 16], "1334440654591915542993625911497130241"),
        ] {
            assert_eq!(decimal(serial), expected, "{serial:02x?}");
        }
        assert!(decimal(&[1; 200]).starts_with("0x01"));
    }

    #[test]
    fn names_are_wrapped_in_commas() {
        assert_eq!(wrapped(&[]), "");
        assert_eq!(wrapped(&["a.test".into(), "b.test".into()]), ",a.test,b.test,");
    }
}
