//! `verify`: would a client accept this chain? The offline judge.
//!
//! Reads the files, puts the question to `pki::verdict`, prints the answer. Judges nothing itself, and connects
//! to nothing: what the chain lacks, it lacks.

pub(in crate::commands) mod client;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::clock::Clock as _;
use notafter_engine::clock::SystemClock;
use notafter_pki::container::{self, Content, Limits};
use notafter_pki::time::DAY;
use notafter_pki::verdict::{
    Profile, Purpose, Question, Reason, Rules, ServerName, Verdict, judge, second_opinion,
};
use notafter_pki::{Certificate, Crl};
use serde_json::{Value, json};

use self::client::Client;
use super::{End, Usage, no_rows};
use crate::cli::{self, Format, Global, Verify};
use crate::{assemble, moment, print};

/// It is judged so many days later, too.
const LOOKS: &[i64] = &[1, 30, 90];

/// A chain has a handful of certificates; a bundle of more is no chain.
const SENT_MAX: usize = 1_000;

pub(crate) fn run(global: &Global, args: Verify) -> Result<End, Usage> {
    no_rows(global, "verify")?;
    let clock = SystemClock::new();
    let at = match &global.at {
        Some(text) => moment::parse_at(text, clock.now()).map_err(Usage::new)?,
        None => clock.now(),
    };
    let name = match &args.name {
        Some(text) => Some(text.parse::<ServerName>().map_err(|e| {
            Usage::new(format!("`{text}` is {e}"))
                .hint("write a name as in example.com (xn--... for others) or an address")
        })?),
        None => None,
    };
    let chain = assemble::certificates(&args.chain)?;
    if chain.len() > SENT_MAX {
        let message =
            format!("{} holds {} certificates: that is no chain", args.chain.display(), chain.len());
        return Err(Usage::new(message).hint("`notafter scan FILE` judges each by itself"));
    }
    let files = chain;
    let (chain, mut notes) = parsed(&files, &args.chain);
    let client = client(&args, &files)?;
    notes.extend(client.notes.iter().cloned());
    let roots = &client.roots;
    let anchors: Vec<Certificate<'_>> = roots.iter().filter_map(|der| Certificate::parse(der).ok()).collect();
    // Of a list of fingerprints, none may be at hand: then nothing is trusted, and a note says so.
    if anchors.is_empty() && !roots.is_empty() {
        return Err(
            Usage::new("none of the roots can be read").hint("name a PEM or DER file of CA certificates")
        );
    }
    if anchors.len() < roots.len() {
        notes.push(format!(
            "{} of {} roots cannot be read, and are left out",
            roots.len() - anchors.len(),
            roots.len()
        ));
    }
    let lists = lists(&args.crl)?;
    let crls: Vec<Crl<'_>> = lists.iter().filter_map(|der| Crl::parse(der).ok()).collect();
    let Some(leaf) = leaf(&chain, &mut notes) else {
        return Err(Usage::new(format!("{} holds no certificate that can be read", args.chain.display())));
    };
    let sent: Vec<Certificate<'_>> = chain.iter().filter(|c| c.der() != leaf.der()).copied().collect();
    let purpose = match args.purpose {
        cli::Purpose::Server => Purpose::Server,
        cli::Purpose::Client => Purpose::Client,
    };
    let rules = Rules { anchor_expiry: client.heeds_anchor, ..Rules::default() };
    let narrowed = client.narrowed(&leaf, &sent, &anchors);
    let (sent, anchors) = narrowed.as_ref().map_or((&sent, &anchors), |(sent, anchors)| (sent, anchors));
    let question = Question { leaf, sent, anchors, name: name.as_ref(), at, purpose, crls: &crls, rules };
    let verdict = judge(&question);
    let later: Vec<(UnixTime, Verdict<'_>)> = LOOKS
        .iter()
        .map(|days| at.plus(days * DAY))
        .map(|at| (at, judge(&Question { at, ..question })))
        .collect();
    if let Verdict::Trusted { notes: more, .. } = &verdict {
        notes.extend(more.iter().cloned());
    }
    let strict = judge(&Question { rules: Rules { profile: Profile::Rfc5280, ..rules }, ..question });
    if let (true, Verdict::Untrusted { detail, .. }) = (verdict.is_trusted(), &strict) {
        notes.push(format!(
            "strict clients (Python 3.13 and later, openssl -x509_strict) may refuse it: {detail}"
        ));
    }
    let rustls = second_opinion(&question);
    if let Some(note) = disagreement(&verdict, &rustls, !crls.is_empty()) {
        notes.push(note);
    }
    let answer = Answer { verdict: &verdict, at, later: &later, notes: &notes, rustls: &rustls };
    let text = match global.format() {
        Format::Json => format!("{:#}\n", answer.json()),
        Format::Ndjson => format!("{}\n", answer.json()),
        Format::Table | Format::Csv => answer.text(global.quiet),
    };
    print::out(text.as_bytes());
    Ok(if verdict.is_trusted() { End::Done } else { End::Failed })
}

/// The certificates that can be read; says of the others that they cannot.
fn parsed<'d>(ders: &'d [Arc<[u8]>], file: &Path) -> (Vec<Certificate<'d>>, Vec<String>) {
    let mut notes = Vec::new();
    let mut out = Vec::with_capacity(ders.len());
    for (number, der) in (1..).zip(ders) {
        match Certificate::parse(der) {
            Ok(certificate) => out.push(certificate),
            Err(error) => {
                notes.push(format!("certificate {number} of {} is left out: {error}", file.display()))
            }
        }
    }
    (out, notes)
}

/// The certificate to judge: the first, as TLS sends it; where that is a CA, the first that is none.
fn leaf<'d>(chain: &[Certificate<'d>], notes: &mut Vec<String>) -> Option<Certificate<'d>> {
    let first = *chain.first()?;
    if !first.is_ca() {
        return Some(first);
    }
    let Some(position) = chain.iter().position(|certificate| !certificate.is_ca()) else {
        return Some(first);
    };
    let leaf = *chain.get(position)?;
    notes.push(format!(
        "the file begins with a CA; certificate {} ({}) is judged as the leaf. Servers must send the leaf first (RFC 8446 section 4.4.2)",
        position + 1,
        leaf.subject().to_rfc4514()
    ));
    Some(leaf)
}

/// Who judges; with the roots of `--roots`, where there are any.
fn client(args: &Verify, chain: &[Arc<[u8]>]) -> Result<Client, Usage> {
    let mut client = Client::named(&args.client, chain)?;
    if !args.roots.is_empty() {
        (client.roots, client.notes) = (Vec::new(), Vec::new());
        for file in &args.roots {
            client.roots.extend(assemble::certificates(file)?);
        }
    }
    Ok(client)
}

/// The CRLs in the files that were named.
fn lists(files: &[std::path::PathBuf]) -> Result<Vec<Vec<u8>>, Usage> {
    let mut out = Vec::new();
    for file in files {
        let bytes =
            std::fs::read(file).map_err(|e| Usage::new(format!("cannot read {}: {e}", file.display())))?;
        let opened = container::open(&bytes, &[], &Limits::default());
        let before = out.len();
        for found in opened.found {
            if let Content::Crl(der) = found.content
                && Crl::parse(&der).is_ok()
            {
                out.push(Cow::into_owned(der));
            }
        }
        if out.len() == before {
            return Err(Usage::new(format!("{} holds no CRL", file.display())).hint("name a PEM or DER file"));
        }
    }
    Ok(out)
}

/// Where rustls, which many clients use, would say otherwise.
fn disagreement(verdict: &Verdict<'_>, rustls: &Result<(), String>, revocation: bool) -> Option<String> {
    match (verdict.reason(), rustls) {
        (None, Err(error)) => Some(format!("clients built on rustls refuse it ({error})")),
        // It was not asked about revocation.
        (Some(Reason::Revoked | Reason::RevocationUnknown), Ok(())) if revocation => None,
        (Some(_), Ok(())) => Some("clients built on rustls would accept it all the same".to_owned()),
        _ => None,
    }
}

struct Answer<'v> {
    verdict: &'v Verdict<'v>,
    at: UnixTime,
    later: &'v [(UnixTime, Verdict<'v>)],
    notes: &'v [String],
    rustls: &'v Result<(), String>,
}

impl Answer<'_> {
    fn path(&self) -> &[Certificate<'_>] {
        match self.verdict {
            Verdict::Trusted { path, .. } | Verdict::Untrusted { path, .. } => path,
        }
    }

    fn json(&self) -> Value {
        let path: Vec<Value> = self
            .path()
            .iter()
            .map(|certificate| {
                json!({
                    "id": certificate.fingerprint().to_string(),
                    "subject": certificate.subject().to_rfc4514(),
                    "not_after": certificate.not_after().map(|end| end.to_string()),
                })
            })
            .collect();
        let (word, reason, detail, expires, hint) = match self.verdict {
            Verdict::Trusted { expires, .. } => ("trusted", None, None, Some(expires.to_string()), None),
            Verdict::Untrusted { reason, detail, .. } => {
                ("untrusted", Some(reason.name()), Some(detail), None, Some(reason.hint()))
            }
        };
        let later: Vec<Value> = self
            .later
            .iter()
            .map(|(at, verdict)| {
                let word = if verdict.is_trusted() { "trusted" } else { "untrusted" };
                json!({"at": at.to_string(), "verdict": word, "reason": verdict.reason().map(Reason::name)})
            })
            .collect();
        json!({
            "verdict": word,
            "reason": reason,
            "detail": detail,
            "path": path,
            "expires": expires,
            "at": self.at.to_string(),
            "later": later,
            "hint": hint,
            "notes": self.notes,
            "rustls": self.rustls.as_ref().err().map_or("trusted", String::as_str),
        })
    }

    fn text(&self, quiet: bool) -> String {
        let mut out = String::new();
        let _ = match self.verdict {
            Verdict::Trusted { expires, .. } => {
                writeln!(out, "trusted until {expires} ({:.1} days)", expires.days_after(self.at))
            }
            Verdict::Untrusted { reason, detail, .. } => writeln!(out, "untrusted ({reason}): {detail}"),
        };
        for (depth, certificate) in self.path().iter().enumerate() {
            let subject = certificate.subject();
            let subject = if subject.is_empty() { "(no subject)".to_owned() } else { subject.to_rfc4514() };
            let end = certificate
                .not_after()
                .map_or_else(|| "an unreadable date".to_owned(), |end| end.to_string());
            let _ = writeln!(out, "  {depth}  {end}  {subject}");
        }
        if quiet {
            return out;
        }
        let turns = self.later.iter().find(|(_, verdict)| !verdict.is_trusted());
        if let (true, Some((at, Verdict::Untrusted { reason, detail, .. }))) =
            (self.verdict.is_trusted(), turns)
        {
            let _ = writeln!(out, "note: on {at} it is untrusted ({reason}): {detail}");
        }
        for note in self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        if let Verdict::Untrusted { reason, .. } = self.verdict {
            let _ = writeln!(out, "hint: {}", reason.hint());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: &Verdict<'_>, rustls: Result<(), &str>, revocation: bool, note: Option<&str>) {
        let got = disagreement(verdict, &rustls.map_err(str::to_owned), revocation);
        match (&got, note) {
            (Some(got), Some(note)) => assert!(got.contains(note), "{got}"),
            (got, note) => assert_eq!(got.is_some(), note.is_some(), "{got:?}"),
        }
    }

    #[test]
    fn disagreements() {
        let untrusted = |reason| Verdict::Untrusted { reason, detail: String::new(), path: vec![] };
        let trusted = Verdict::Trusted { path: vec![], expires: UnixTime(0), notes: vec![] };
        check(&trusted, Ok(()), false, None);
        check(&trusted, Err("CaUsedAsEndEntity"), false, Some("refuse it (CaUsedAsEndEntity)"));
        check(&untrusted(Reason::Expired), Err("UnknownIssuer"), false, None);
        check(&untrusted(Reason::Expired), Ok(()), false, Some("accept it all the same"));
        check(&untrusted(Reason::Revoked), Ok(()), true, None);
    }

    #[test]
    fn what_a_person_and_a_program_see() {
        let verdict = Verdict::Untrusted {
            reason: Reason::UnknownIssuer,
            detail: "no issuer".to_owned(),
            path: vec![],
        };
        let notes = ["a note".to_owned()];
        let answer = Answer {
            verdict: &verdict,
            at: UnixTime(0),
            later: &[],
            notes: &notes,
            rustls: &Err("UnknownIssuer".to_owned()),
        };
        let hint = format!("hint: {}\n", Reason::UnknownIssuer.hint());
        assert_eq!(
            answer.text(false),
            format!("untrusted (unknown-issuer): no issuer\nnote: a note\n{hint}")
        );
        assert_eq!(answer.text(true), "untrusted (unknown-issuer): no issuer\n");
        let json = answer.json();
        assert_eq!((&json["verdict"], &json["reason"]), (&json!("untrusted"), &json!("unknown-issuer")));
        assert_eq!((&json["path"], &json["expires"]), (&json!([]), &Value::Null));
    }
}
