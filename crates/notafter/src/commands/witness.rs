//! `prove FILE [PLACE...]`: the proof for what somebody else renews. What a renewer wrote into its file has to be in use where
//! the one before was, seen from outside; nothing is configured, written or reloaded here.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use notafter_core::Fingerprint;
use notafter_core::clock::Clock;
use notafter_core::inventory::Role;
use notafter_core::joints::{Cx, Probe as _};
use notafter_core::location::Location;
use notafter_core::proof::{self, Expectation, PlaceProof};
use notafter_core::query::Query;
use notafter_core::rules::name_mismatch::covers;
use notafter_engine::clock::SystemClock;
use notafter_pki::Certificate;
use notafter_pki::fingerprint::hex;
use serde_json::json;

use super::renew::{place_document, place_lines};
use super::{End, Usage, runtime};
use crate::assemble;
use crate::cli::{Format, Global, Prove};
use crate::config::plan::Sheet;
use crate::data::Data;
use crate::keeping;
use crate::places::Places;
use crate::print;
use crate::print::paper::{Ink, Paper};

/// Is a file meant, rather than a certificate of the configuration?
pub(crate) fn is_file(name: &str) -> bool {
    name.contains('/') && Path::new(name).is_file()
}

pub(crate) fn prove(global: &Global, args: &Prove) -> Result<End, Usage> {
    let clock = Arc::new(SystemClock::new());
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    let probe = Places::near(&sheet, keeping::deployers_of(&sheet));
    let cx = Cx::new(Arc::clone(&clock) as Arc<dyn Clock>, assemble::vantage());
    let runtime = runtime()?;
    let path = std::path::absolute(&args.name).unwrap_or_else(|_| args.name.clone().into());
    let file = Location::file(path.as_os_str().as_encoded_bytes(), "");
    let chain = runtime.block_on(leading(&probe, &cx, file.as_str()))?;
    let places = match args.places.is_empty() {
        false => args.places.clone(),
        true => known_places(global, &sheet, &chain, &clock)?,
    };
    if places.is_empty() {
        return Err(Usage::new(format!("it is not known where {} is in use", args.name))
            .hint("name the places: notafter prove FILE tls://10.0.0.5:443?sni=example.com; or let the server find them first"));
    }
    let Some((leaf, above)) = chain.split_first() else {
        return Err(Usage::new(format!("{} has no certificate of a server in it", args.name)));
    };
    let above = above.iter().filter(|der| !Certificate::parse(der).is_ok_and(|c| c.is_self_issued()));
    let expected = Expectation::new(leaf, above.map(|der| Fingerprint::of(der)), None);
    let mut proofs = Vec::new();
    for location in places {
        let mut proof = PlaceProof::of(location);
        match runtime.block_on(probe.probe(&cx, &proof.location)) {
            Ok(seen) => proof.judge(&expected, &seen, &cx.vantage),
            Err(fault) => proof.last = fault.to_string(),
        }
        proofs.push(proof);
    }
    let proved = proofs.iter().all(PlaceProof::is_settled);
    let id = format!("sha256:{}", hex(&expected.leaf.0));
    let text = match global.format() {
        Format::Table => {
            let mut paper = Paper::new(print::colours(global.color), print::width());
            paper.line(Ink::Bold, &format!("{}, {}", args.name, &id[..19]));
            place_lines(&mut paper, &proofs);
            paper.into_text()
        }
        _ => {
            let places: Vec<_> = proofs.iter().map(place_document).collect();
            format!("{}\n", json!({"file": args.name, "leaf": id, "proved": proved, "places": places}))
        }
    };
    print::out(text.as_bytes());
    Ok(if proved { End::Done } else { End::Failed })
}

/// The leaf of a file and what stands behind it.
async fn leading(probe: &Places, cx: &Cx, file: &str) -> Result<Vec<Vec<u8>>, Usage> {
    let seen = probe
        .probe(cx, file)
        .await
        .map_err(|fault| Usage { message: fault.context.clone(), hint: fault.hint.clone() })?;
    let chain = proof::leading(&seen, &[]).unwrap_or_default();
    Ok(chain.iter().map(|der| der.to_vec()).collect())
}

/// Where a certificate for one of its names is served, by the inventory: by whoever looked last.
fn known_places(
    global: &Global,
    sheet: &Sheet,
    chain: &[Vec<u8>],
    clock: &SystemClock,
) -> Result<Vec<String>, Usage> {
    let now = clock.now();
    let data = Data::find(global, sheet)?;
    let Ok(store) = data.open_existing(now) else { return Ok(Vec::new()) };
    let Some(leaf) = chain.first().and_then(|der| Certificate::parse(der).ok()) else {
        return Ok(Vec::new());
    };
    let names: Vec<String> = notafter_core::review::names_of(&leaf).iter().map(ToString::to_string).collect();
    let mut out = BTreeSet::new();
    for name in &names {
        let Ok(query) = Query::parse(&format!("name:\"{name}\"")) else { continue };
        let took = store.each_placement(&query, now, &mut |_, placement| {
            let served = placement.role == Role::Leaf && placement.location.is_endpoint();
            // One address serves many names: only where one of these was asked for, or none was.
            let asked = placement.location.sni().is_none_or(|sni| names.iter().any(|name| covers(name, sni)));
            if served && asked {
                out.insert(placement.location.to_string());
            }
            true
        });
        took.map_err(|e| data.explain(&e))?;
    }
    Ok(out.into_iter().collect())
}
