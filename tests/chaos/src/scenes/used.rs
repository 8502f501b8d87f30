//! A certificate that somebody does away with while it is in use (trust F20): what is ours to refuse is refused and the places
//! are named; what is not is put back by the next renewal. The server could start at any time in between but for the files that
//! somebody else took.

use std::fs;

use crate::house::{House, Plan};
use crate::{Options, Row, facts};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let mut house = House::new(options, "used", &Plan::default())?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    house.keep();
    Ok(vec![ours(&mut house)?, theirs(&mut house)?])
}

/// What could be asked of us.
fn ours(house: &mut House) -> Result<Row, String> {
    let mut row = Row::of(
        "F20",
        "taken back, taken out of the configuration, its generations swept: what is in use stays",
    );
    house.back()?;
    let place = house.web.address().to_string();
    let whole = |house: &House, row: &mut Row, what: &str| {
        row.points += 1;
        let started = facts::would_start(&house.web);
        row.must(started.is_ok(), || format!("{what}: {}", started.clone().unwrap_err()));
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || format!("{what}: {}", agree.clone().unwrap_err()));
        let lies = facts::leaf(&house.certificate()).unwrap_or_default();
        let shown = house.shows(&lies);
        row.must(shown.is_ok(), || format!("{what}: {}", shown.clone().unwrap_err()));
    };
    let run = house.run(&["revoke", "web", "--reason", "superseded", "--yes"]);
    row.must(run.code == Some(2) && run.err.contains("in use"), || {
        format!("revoked in use: {}", run.words())
    });
    row.must(run.words().contains(&place), || format!("who uses it is not said: {}", run.words()));
    whole(house, &mut row, "revoke");
    // Its table is gone, and a server runs on what is left.
    let text = fs::read_to_string(&house.config).map_err(|e| e.to_string())?;
    let without = text.split("[[certificate]]").next().unwrap_or_default().to_owned();
    fs::write(&house.config, format!("[server]\nlisten = \"127.0.0.1:0\"\n{without}"))
        .map_err(|e| e.to_string())?;
    let server = house.start(&["serve"], "without.out");
    std::thread::sleep(std::time::Duration::from_secs(5));
    row.must(!server.words().contains("panicked"), || server.words());
    drop(server);
    whole(house, &mut row, "its table taken out");
    fs::write(&house.config, text).map_err(|e| e.to_string())?;
    // Only the last generations are kept: never the one in force.
    for n in 0..4 {
        let run = house.renew();
        row.must(run.code == Some(0), || run.words());
        whole(house, &mut row, &format!("renewal {n}"));
    }
    Ok(row)
}

/// What somebody else does to the files.
fn theirs(house: &mut House) -> Result<Row, String> {
    let mut row = Row::of("F20", "files and generations deleted by somebody: put back by the next renewal");
    let store = house.tls().join(".key.pem.notafter");
    let (certificate, key) = (house.certificate(), house.key());
    let deletions: Vec<(&str, Vec<std::path::PathBuf>)> = vec![
        ("the certificate", vec![certificate.clone()]),
        ("the key", vec![key.clone()]),
        ("both", vec![certificate, key]),
        ("the generations", vec![store.clone()]),
        ("everything", vec![house.certificate(), house.key(), store]),
    ];
    row.asked = deletions.len();
    let mut unseen = Vec::new();
    for (what, paths) in deletions {
        house.back()?;
        for path in &paths {
            let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            gone.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        row.points += 1;
        let at = |text: String| format!("{what} deleted: {text}");
        let proved = house.run(&["prove", "web", "--json"]);
        // The server still has them in memory: a look at the port alone would say that all is well. Places are certificates,
        // not keys.
        let is_seen = ["the certificate", "both", "everything"].contains(&what);
        row.must(!is_seen || proved.code == Some(1), || at(format!("it is not found: {}", proved.words())));
        if proved.code == Some(0) {
            unseen.push(what);
        }
        let run = house.renew();
        row.must(run.code == Some(0), || at(run.words()));
        let started = facts::would_start(&house.web);
        row.must(started.is_ok(), || at(started.clone().unwrap_err()));
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        let lies = facts::leaf(&house.certificate()).unwrap_or_default();
        let shown = house.shows(&lies);
        row.must(shown.is_ok(), || at(shown.clone().unwrap_err()));
    }
    Ok(row.note(format!("`prove` alone does not see that {} is gone", unseen.join(" or "))))
}
