//! `revoke`: takes a certificate back at its issuer (RFC 5280 section 5.3.1, RFC 8555 section 7.6).
//!
//! Not while it is still in use, unless that is said: clients that look would refuse the service. After a key compromise
//! a renewal is begun at once, with a new key. What is about to be done stands in the audit trail before it is done.

use std::path::Path;
use std::sync::Arc;

use notafter_act::issuers::acme::Acme;
use notafter_core::Fingerprint;
use notafter_core::deployment::Key;
use notafter_core::inventory::Role;
use notafter_core::issuance::RevocationReason;
use notafter_core::observation::Seen;
use notafter_core::query::nearest;
use notafter_core::renew::{IssuedBy, Renewal, State};
use notafter_engine::renew::{Managed, issuer_of, told};
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::hex;
use notafter_store::alerts::AuditLine;
use notafter_store::works;
use serde_json::json;

use super::issuer::acme_of;
use super::renew::{Bench, ask, finish};
use super::{End, Usage, no_rows, runtime};
use crate::amend;
use crate::assemble;
use crate::cli::{Format, Global, Revoke};
use crate::data::who;
use crate::print;

/// So many generations are looked through for a serial number.
const GENERATIONS_MAX: usize = 1_000;

/// The reasons of RFC 5280 section 5.3.1, and whether a CA takes them for the certificate of a server.
const REASONS: &[(&str, Option<RevocationReason>)] = &[
    ("unspecified", Some(RevocationReason::Unspecified)),
    ("keyCompromise", Some(RevocationReason::KeyCompromise)),
    ("cACompromise", None),
    ("affiliationChanged", Some(RevocationReason::AffiliationChanged)),
    ("superseded", Some(RevocationReason::Superseded)),
    ("cessationOfOperation", Some(RevocationReason::CessationOfOperation)),
    ("certificateHold", None),
    ("removeFromCRL", None),
    ("privilegeWithdrawn", None),
    ("aACompromise", None),
];

/// Reads a reason: as the RFC writes it, or with hyphens.
fn reason(text: &str) -> Result<(&'static str, RevocationReason), Usage> {
    let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
    let ours = || REASONS.iter().filter(|(_, r)| r.is_some()).map(|(name, _)| *name);
    let hint = || format!("write one of {}", ours().collect::<Vec<_>>().join(", "));
    match REASONS.iter().find(|(name, _)| plain(name) == plain(text)) {
        Some((name, Some(reason))) => Ok((name, *reason)),
        Some((name, None)) => {
            Err(Usage::new(format!("{name} is not for the certificate of a server: it is for a CA to say"))
                .hint(hint()))
        }
        None => {
            let near = nearest(text, ours()).map(|near| format!("did you mean `{near}`?"));
            Err(Usage::new(format!("`{}` is no reason of RFC 5280", text.escape_debug()))
                .hint(near.unwrap_or_else(hint)))
        }
    }
}

/// What is taken back.
struct Subject {
    der: Vec<u8>,
    /// The renewal that it came of; `None`: it was issued before Notafter kept it.
    renewal: Option<Renewal>,
    /// Is it what was issued last?
    is_newest: bool,
}

pub(crate) fn run(global: &Global, args: &Revoke) -> Result<End, Usage> {
    no_rows(global, "revoke")?;
    let (word, reason) = reason(&args.reason)?;
    let wait = args.wait()?;
    let bench = Bench::open(global, Some(&args.name))?;
    bench.may_act(false)?;
    let managed = bench.find(&args.name)?.clone();
    let subject = subject(&bench, &managed, args)?;
    let parsed = Certificate::parse(&subject.der).map_err(|_| {
        Usage::new("the certificate cannot be read, so no issuer can be told which one it is")
    })?;
    let (id, serial) = (parsed.fingerprint(), hex(parsed.serial()));
    // Only who issued it can take it back; what was not issued here is the first one's, as far as anybody knows.
    let asked = match &subject.renewal {
        Some(renewal) => issuer_of(&managed, renewal),
        None => managed.issuers.first(),
    };
    let Some((issuer_name, issuer)) = asked else {
        return Err(Usage::new(
            "who issued it is not among its issuers any more, and nobody else can take it back",
        )
        .hint(format!("write {} into `issuer` of `{}` again", issued_by(&subject), managed.name)));
    };
    let key = args.with_key.then(|| with_key(&bench, issuer_name, &subject)).transpose()?;
    let compromised = reason == RevocationReason::KeyCompromise;
    runtime()?.block_on(async {
        let in_use = seen_in_use(&bench, &managed, id).await?;
        if !in_use.is_empty() && !args.in_use {
            let shown: Vec<&str> = in_use.iter().take(8).map(String::as_str).collect();
            let more = in_use.len().saturating_sub(shown.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let renew = format!("notafter renew {}", managed.name);
            let hint = match compromised {
                true => format!(
                    "{renew} replaces it first; or --in-use: revoked at once and replaced right after, and until then clients that look refuse it"
                ),
                false => format!("{renew} replaces it first; --in-use revokes it all the same"),
            };
            return Err(Usage::new(format!(
                "it is still in use: {}{more}. Nothing was revoked",
                shown.join(", ")
            ))
            .hint(hint));
        }
        let what = format!(
            "{}: serial {serial}, {}, until {}",
            managed.name,
            parsed.subject_alt_names().take(4).map(|n| n.to_text()).collect::<Vec<_>>().join(" "),
            parsed.not_after().map_or_else(|| "?".to_owned(), |t| t.to_string()),
        );
        print::note(&notafter_pki::name::printable(&what));
        print::note(&format!("{issuer_name} will be told that it is not to be trusted any more ({word}). That cannot be taken back"));
        // One that is older and still in use somewhere is no better for being older.
        let replaces = compromised && (subject.is_newest || !in_use.is_empty());
        if replaces {
            print::note("a renewal with a new key is begun right after");
        }
        if !amend::agreed("Revoke it?", args.yes, "nothing was revoked")? {
            print::note("nothing was revoked");
            return Ok(End::Failed);
        }
        // Whoever is about to install it must not.
        let is_of = |r: &Renewal| r.chain.first() == Some(&subject.der);
        if bench.newest(&managed)?.is_some_and(|r| !r.state.is_over() && is_of(&r)) {
            let why = format!("its certificate was revoked by {}", who());
            if !bench.renewer().abandon(&managed, &why).await.map_err(|e| bench.data.explain(&e))? {
                return Err(Usage::new("another process is about to install it: nothing was revoked")
                    .hint("wait until it is done, then revoke it and renew"));
            }
        }
        let detail = format!("serial {serial}, {word}, at {issuer_name}");
        audit(&bench, &managed, "revoking", &detail)?;
        let asked = match &key {
            Some((acme, key)) => acme.revoke_with_key(&bench.cx, &subject.der, key.expose(), reason).await,
            None => issuer.revoke(&bench.cx, &subject.der, reason).await,
        };
        if let Err(fault) = asked {
            audit(&bench, &managed, "revocation-failed", &format!("{detail}: {}", told(&fault)))?;
            let usage = Usage::new(format!("{issuer_name}: {fault}"));
            let hint = fault.hint.unwrap_or_else(|| {
                "an account revokes what it issued, or whose names it has proved lately (RFC 8555 section 7.6)".to_owned()
            });
            let usage = usage.hint(hint);
            print::error(&usage.message, usage.hint.as_deref());
            return Ok(End::Failed);
        }
        audit(&bench, &managed, "revoked", &detail)?;
        bench.note_revoked(&id).map_err(|e| bench.data.explain(&e))?;
        // A CA of one's own has a list to write, too.
        let unlisted = issuer.tend(&bench.cx).await.err();
        if let Some(fault) = &unlisted {
            print::error(&format!("it is revoked, and {issuer_name}'s list does not say so yet: {fault}"), fault.hint.as_deref());
        }
        let mut answer = json!({
            "name": managed.name, "fingerprint": id.to_string(), "serial": serial, "reason": word,
            "issuer": issuer_name, "generation": subject.renewal.as_ref().map(|r| r.generation),
            "revoked": true, "in_use": in_use, "renewal": null, "unlisted": unlisted.as_ref().map(told),
        });
        let table = global.format() == Format::Table;
        if table {
            print::out(format!("revoked: {} at {issuer_name}, serial {serial} ({word})\n", managed.name).as_bytes());
        }
        if !replaces {
            if !table {
                print::out(format!("{answer}\n").as_bytes());
            }
            return Ok(if unlisted.is_some() { End::Failed } else { End::Done });
        }
        // An open one has a key of its own, and goes on at once.
        let cause = format!("its key is compromised, said {}", who());
        let before = subject.is_newest.then_some(subject.der.as_slice());
        ask(&bench, &managed, false, (&cause, before)).await?;
        let renewal = bench.go_on(&managed, wait).await?;
        if table {
            return Ok(finish(global, renewal.as_ref(), "revoked"));
        }
        answer["renewal"] = renewal.as_ref().map(super::renew::document).into();
        print::out(format!("{answer}\n").as_bytes());
        Ok(if renewal.is_some_and(|r| r.state == State::Proved) { End::Done } else { End::Failed })
    })
}

/// The issuer and the certificate's own key, for a revocation that the key signs.
fn with_key(bench: &Bench, issuer: &str, subject: &Subject) -> Result<(Acme, Key), Usage> {
    let acme = acme_of(&bench.sheet, issuer, Arc::clone(&bench.keep))?;
    let name = subject.renewal.as_ref().map(Renewal::key_name);
    let key = name.map(|name| bench.keep.kept(&name)).transpose()?.flatten();
    let key = key.ok_or_else(|| {
        Usage::new("its private key is not kept here, so it cannot sign the revocation")
            .hint("the keys of the last two generations are kept; without --with-key the account asks for it")
    })?;
    Ok((acme, Key::new(key)))
}

/// Who issued it, in words.
fn issued_by(subject: &Subject) -> String {
    match subject.renewal.as_ref().map(|r| &r.issuer) {
        Some(IssuedBy::Name(name)) => format!("\"{}\"", name.escape_debug()),
        _ => "that issuer".to_owned(),
    }
}

/// The certificate that is meant.
fn subject(bench: &Bench, managed: &Managed, args: &Revoke) -> Result<Subject, Usage> {
    let kept = bench.store.works_of(&managed.name, GENERATIONS_MAX).map_err(|e| bench.data.explain(&e))?;
    let issued: Vec<Renewal> = kept.into_iter().map(|w| w.renewal).filter(|r| !r.chain.is_empty()).collect();
    let newest = issued.first().map(|r| r.generation);
    let found = |renewal: Renewal| {
        let is_newest = Some(renewal.generation) == newest;
        let der = renewal.chain.first().cloned().unwrap_or_default();
        Subject { der, renewal: Some(renewal), is_newest }
    };
    if let Some(file) = &args.file {
        return in_file(managed, file, issued);
    }
    let hint = format!(
        "notafter prove {} shows what is in use; --file names a certificate from elsewhere",
        managed.name
    );
    let missing = |what: String| Usage::new(what).hint(hint.clone());
    if let Some(serial) = &args.serial {
        let wanted: String = serial.chars().filter(|c| *c != ':').collect::<String>().to_ascii_lowercase();
        let wanted = wanted.trim_start_matches("0x").trim_start_matches('0');
        let fits = |r: &Renewal| {
            let leaf = r.chain.first().and_then(|der| Certificate::parse(der).ok());
            !wanted.is_empty() && leaf.is_some_and(|c| hex(c.serial()).trim_start_matches('0') == wanted)
        };
        return issued.into_iter().find(fits).map(found).ok_or_else(|| {
            missing(format!(
                "nothing with the serial number {} was issued for it here",
                serial.escape_debug()
            ))
        });
    }
    let wanted = args.generation.or(newest);
    issued.into_iter().find(|r| Some(r.generation) == wanted).map(found).ok_or_else(|| {
        missing(match args.generation {
            Some(n) => format!("no generation {n} of `{}` is kept here", managed.name),
            None => format!("nothing was issued for `{}` yet", managed.name),
        })
    })
}

/// One that Notafter may not know. It has to be for a name of the certificate it is said to be of.
fn in_file(managed: &Managed, file: &Path, issued: Vec<Renewal>) -> Result<Subject, Usage> {
    let der = assemble::certificates(file)?.first().map(|der| der.to_vec()).unwrap_or_default();
    let newest = issued.first().map(|r| r.generation);
    if let Some(renewal) = issued.into_iter().find(|r| r.chain.first() == Some(&der)) {
        let is_newest = Some(renewal.generation) == newest;
        return Ok(Subject { der, renewal: Some(renewal), is_newest });
    }
    let names = super::adopt::plan::names(&der);
    let ours = |name: &String| managed.names.iter().any(|n| n.to_string() == *name);
    if !names.iter().any(ours) {
        return Err(Usage::new(format!(
            "the certificate in {} is for {}, and `{}` is for none of these",
            file.display(),
            if names.is_empty() { "no name".to_owned() } else { names.join(", ") },
            managed.name
        ))
        .hint("name the [[certificate]] it belongs to: its issuer is asked"));
    }
    // Where nothing was issued here yet, it is what is in use.
    Ok(Subject { der, renewal: None, is_newest: newest.is_none() })
}

/// Where it is still seen: at every place that it is to be proved at, now, and wherever else the memory has it.
async fn seen_in_use(bench: &Bench, managed: &Managed, id: Fingerprint) -> Result<Vec<String>, Usage> {
    let mut out: Vec<String> = Vec::new();
    let mut looked: Vec<String> = Vec::new();
    for target in &managed.targets {
        let written = target.deployer.places();
        for place in target.prove.iter().cloned().chain(written.iter().map(|l| l.as_str().to_owned())) {
            if looked.contains(&place) {
                continue;
            }
            if let Ok(seen) = bench.tools.probe.probe(&bench.cx, &place).await {
                for one in seen {
                    // What did not answer may still show it: there the memory counts.
                    if !matches!(&one.seen, Seen::Chain { .. }) {
                        continue;
                    }
                    looked.push(one.location.as_str().to_owned());
                    let shows = matches!(&one.seen, Seen::Chain { chain, .. } if chain.first().is_some_and(|der| Fingerprint::of(der) == id));
                    if shows && !out.iter().any(|o| o == one.location.as_str()) {
                        out.push(one.location.as_str().to_owned());
                    }
                }
            }
        }
    }
    let kept = bench.store.asset(&id).map_err(|e| bench.data.explain(&e))?;
    for place in kept.iter().flat_map(|whole| &whole.placements) {
        let text = place.location.as_str();
        // What was looked at just now is known better than by the memory.
        let counts = place.gone.is_none() && place.role == Role::Leaf && place.location.is_endpoint();
        if counts && !looked.iter().chain(&out).any(|known| known == text) {
            out.push(text.to_owned());
        }
    }
    Ok(out)
}

fn audit(bench: &Bench, managed: &Managed, what: &str, detail: &str) -> Result<(), Usage> {
    let line = AuditLine {
        at: bench.now(),
        who: who(),
        what: what.to_owned(),
        subject: works::subject(&managed.name),
        detail: detail.to_owned(),
    };
    bench.store.audit(&line).map_err(|e| bench.data.explain(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_of_the_rfc() {
        for text in ["keyCompromise", "key-compromise", "KEYCOMPROMISE"] {
            assert_eq!(reason(text).ok().map(|(_, r)| r.code()), Some(1), "{text}");
        }
        let said = |text: &str| {
            let usage = reason(text).err();
            usage.map(|u| format!("{} {}", u.message, u.hint.unwrap_or_default())).unwrap_or_default()
        };
        assert!(said("certificateHold").contains("for a CA to say"));
        assert!(said("keyCompromised").contains("did you mean `keyCompromise`?"));
        assert!(said("").contains("write one of unspecified"));
        // Every reason that a CA can be told has a name here.
        for (word, known, _) in RevocationReason::ALL {
            assert_eq!(reason(word).ok().map(|(_, r)| r), Some(*known), "{word}");
        }
    }
}
