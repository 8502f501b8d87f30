//! A clock that is sixty days ahead (trust F7): nothing is renewed that is not due by the CA's clock too.

use std::fmt::Write;
use std::fs;
use std::time::Duration;

use crate::house::{House, Plan, Running, at_another_time, until};
use crate::{Options, Row};

/// The certificates of the fleet.
const FLEET: usize = 12;

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    let house = House::new(options, "clock", &Plan::default())?;
    let folder = house.lab.subfolder("fleet");
    let port = house.ca.http_port();
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[[issuer]]\nname = \"pebble\"\nkind = \"acme\"\ndirectory = \"{}\"\nca_file = \"{}\"\n",
        house.ca.directory(),
        house.ca.ca_file().display()
    );
    for n in 0..FLEET {
        let place = folder.join(n.to_string());
        fs::create_dir_all(&place).map_err(|e| e.to_string())?;
        let _ = write!(
            text,
            "[[certificate]]\nname = \"c{n}\"\nnames = [\"c{n}.test\"]\nissuer = \"pebble\"\n\
             solver = {{ kind = \"http-01\", listen = \"127.0.0.1:{port}\", port = {port}, address = \"127.0.0.1\" }}\n\
             [[certificate.target]]\nkind = \"files\"\ncertificate = \"{0}/cert.pem\"\nkey = \"{0}/key.pem\"\n",
            place.display()
        );
    }
    fs::write(&house.config, &text).map_err(|e| e.to_string())?;
    let issued = || house.orders().1;
    let mut row = Row::of("F7", "a clock sixty days ahead at the start: orders of a fleet that is not due");
    let server = house.start(&["serve"], "first.out");
    let all = until(Duration::from_secs(60), || (issued() == FLEET).then_some(()));
    if all.is_none() {
        return Err(format!("{} of {FLEET} issued: {}", issued(), server.words()));
    }
    std::thread::sleep(Duration::from_secs(2));
    drop(server);
    let ahead = at_another_time(house.command(&["serve"]), "+60d");
    let server = Running::start(ahead, &house.lab.path().join("ahead.out"));
    std::thread::sleep(Duration::from_secs(if options.quick { 8 } else { 20 }));
    row.points = FLEET;
    row.must(issued() == FLEET, || format!("{} of {FLEET} were renewed", issued() - FLEET));
    let words = server.words();
    row.must(words.contains("clock"), || format!("nothing is said of it: {words}"));
    drop(server);
    let server = house.start(&["serve"], "again.out");
    std::thread::sleep(Duration::from_secs(4));
    row.must(issued() == FLEET, || format!("with the clock set right: {} orders", issued() - FLEET));
    drop(server);

    // Really due: by the CA's clock, too. Their names have changed, which is a wish and no date.
    let mut wanted = Row::of("F7", "names that were added are no matter of the clock");
    fs::write(&house.config, text.replace("[\"c0.test\"]", "[\"c0.test\", \"d0.test\"]"))
        .map_err(|e| e.to_string())?;
    let ahead = at_another_time(house.command(&["serve"]), "+60d");
    let server = Running::start(ahead, &house.lab.path().join("wanted.out"));
    let one = until(Duration::from_secs(20), || (issued() == FLEET + 1).then_some(()));
    wanted.points = 1;
    wanted.must(one.is_some(), || format!("{} orders: {}", issued() - FLEET, server.words()));
    Ok(vec![row, wanted])
}
