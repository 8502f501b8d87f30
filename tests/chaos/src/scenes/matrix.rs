//! Every way a CA may be: nonces refused, authorizations used again, chains, bindings. All of it ends in use.

use notafter_lab::pebble;

use crate::house::{House, Plan};
use crate::{Options, Row, facts};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let hmac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    for nonce_reject in [0, 20, 90] {
        for authz_reuse in [0, 50, 100] {
            for chain_length in [1, 2, 3] {
                for bound in [false, true] {
                    // Quick: the corners.
                    let corner = (nonce_reject, authz_reuse, chain_length, bound);
                    if options.quick && !matches!(corner, (0, 100, 3, true) | (20, 0, 1, false)) {
                        continue;
                    }
                    let ca = pebble::Options {
                        nonce_reject,
                        authz_reuse,
                        chain_length,
                        eab: bound.then(|| ("kid-1".to_owned(), hmac.to_owned())),
                        ..pebble::Options::default()
                    };
                    let mut plan = Plan { ca, ..Plan::default() };
                    let mut row = Row::of(
                        "F21, F25",
                        format!(
                            "nonces refused {nonce_reject} %, authorizations reused {authz_reuse} %, chain {chain_length}, binding {}",
                            if bound { "yes" } else { "no" }
                        ),
                    );
                    let house = House::new(options, "matrix", &plan)?;
                    if bound {
                        let file = house.lab.path().join("hmac");
                        std::fs::write(&file, hmac).map_err(|e| e.to_string())?;
                        plan.issuer = format!(
                            "eab = {{ kid = \"kid-1\", hmac = {{ file = \"{}\" }} }}\n",
                            file.display()
                        );
                        house.write(&plan, &house.ca.directory());
                    }
                    let mut took = Vec::new();
                    for round in 0..2 {
                        let run = house.renew();
                        row.points += 1;
                        took.push(run.took.as_millis());
                        let proved = run.code == Some(0) && run.json()["state"] == "proved";
                        row.must(proved, || format!("renewal {round}: {}", run.words()));
                        let shown = facts::shown(&house.web);
                        let lies = facts::leaf(&house.certificate());
                        row.must(shown.is_ok() && shown == lies, || {
                            format!("shown {shown:?}, in the file {lies:?}")
                        });
                    }
                    let length =
                        notafter_lab::peer::served(&house.web.endpoints()[0]).map_or(0, |s| s.chain.len());
                    row.must(length == chain_length as usize + 1, || {
                        format!("{length} certificates are shown")
                    });
                    let done = row.points - row.bad.len().min(row.points);
                    eprintln!("  {}: {done}/{}", row.what, row.points);
                    rows.push(row.note(format!("{done}/2 proved, {took:?} ms")));
                }
            }
        }
    }
    Ok(rows)
}
