//! A clock that is behind (trust F8), and days at which calendars and clocks break (F9): the first end well when it is right
//! again, and the second are days like others.

use std::fs;
use std::process::Command;
use std::time::Duration;

use notafter_lab::program;

use crate::house::{House, Plan, Running, at_another_time};
use crate::{Options, Row, facts};

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![behind(options)?, odd(options)?])
}

/// The clock is set back under what was renewed.
fn behind(options: &Options) -> Result<Row, String> {
    let plan = Plan { head: "[server]\nlisten = \"127.0.0.1:0\"\n".to_owned(), ..Plan::default() };
    let mut house = House::new(options, "behind", &plan)?;
    let first = house.renew();
    if first.code != Some(0) {
        return Err(first.words());
    }
    house.keep();
    let offsets: &[&str] = if options.quick { &["-1d"] } else { &["-1h", "-1d", "-60d", "-20y"] };
    let mut row = Row::of("F8", "a clock that is set back after a renewal").asks(2 * offsets.len());
    for offset in offsets {
        house.back()?;
        let (old, issued) = (facts::leaf(&house.certificate())?, house.orders());
        let at = |what: String| format!("{offset}: {what}");
        // A server that is not due to do anything does nothing.
        let server = Running::start(
            at_another_time(house.command(&["serve"]), offset),
            &house.lab.path().join(format!("serve{offset}.out")),
        );
        std::thread::sleep(Duration::from_secs(6));
        row.points += 1;
        row.must(!server.words().contains("panicked"), || at(server.words()));
        row.must(house.orders() == issued, || at(format!("the server ordered: {}", server.words())));
        drop(server);
        let listed = house.later(offset, &["ls", "--json"]);
        row.must(!listed.out.contains("\"days_left\": -"), || at(format!("negative days: {}", listed.out)));
        // Somebody asks for one. The CA's own certificate is of the future then: whatever it comes to, it is told.
        let run = house.later(offset, &["renew", "web", "--json", "--wait", "5s"]);
        row.points += 1;
        row.must(run.code.is_some_and(|code| (0..=2).contains(&code)) && run.words().len() > 40, || {
            at(run.words())
        });
        let agree = facts::agree(&house.certificate(), &house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        let started = facts::would_start(&house.web);
        row.must(started.is_ok(), || at(started.clone().unwrap_err()));
        if run.code != Some(0) {
            row.must(facts::leaf(&house.certificate())? == old, || {
                at("it failed, and something was installed".into())
            });
        }
        // Set right again: once more is asked for, and one certificate is enough for both.
        let again = house.run(&["renew", "web", "--json", "--wait", "60s"]);
        row.must(again.code == Some(0), || at(format!("set right again: {}", again.words())));
        let made = house.orders().1 - issued.1;
        row.must(made <= 1 + usize::from(run.code == Some(0)), || at(format!("{made} certificates")));
    }
    Ok(row)
}

/// `openssl`'s word for a date of a certificate, as it is encoded: the kind of time, and the time.
fn encoded(file: &std::path::Path) -> Result<Vec<String>, String> {
    let mut openssl = Command::new("openssl");
    openssl.args(["asn1parse", "-in"]).arg(file);
    let text = program::run(&mut openssl).map_err(|e| e.to_string())?.text();
    Ok(text
        .lines()
        .filter(|l| l.contains("TIME"))
        .map(|l| l.split("prim:").nth(1).unwrap_or(l).trim().to_owned())
        .collect())
}

/// Renewals by a CA of one's own, whose certificates begin and end on such days.
fn odd(options: &Options) -> Result<Row, String> {
    let mut house = House::new(options, "odd", &Plan::default())?;
    let tls = house.tls().display().to_string();
    let text = format!(
        "[[issuer]]\nname = \"house\"\nkind = \"ca\"\nnames = [\"*.test\"]\nmax_days = 30\n\
         [[certificate]]\nname = \"web\"\nnames = [\"srv.test\"]\nissuer = \"house\"\ngrace = \"5s\"\n\
         [[certificate.target]]\nkind = \"files\"\ncertificate = \"{tls}/fullchain.pem\"\nkey = \"{tls}/key.pem\"\n\
         prove = [\"tls://{}?sni=srv.test\"]\n{}",
        house.web.address(),
        house.reload()
    );
    fs::write(&house.config, text).map_err(|e| e.to_string())?;
    house.keep();
    let days: &[&str] = &[
        "2028-02-29 23:59:50",
        "2028-02-01 12:00:00",
        "2038-01-19 03:14:06",
        "2037-12-31 12:00:00",
        "2049-12-31 23:59:40",
        "2049-12-15 12:00:00",
        "2050-01-01 00:00:01",
        "2027-03-28 01:59:58",
        "2027-10-31 02:30:00",
        "2099-12-31 23:59:58",
    ];
    let days = if options.quick { &days[4..6] } else { days };
    let mut row = Row::of(
        "F9",
        "renewals on leap days, at the ends of clocks and encodings, when summer begins and ends",
    )
    .asks(days.len());
    let mut slowest = Duration::ZERO;
    for day in days {
        house.back()?;
        let old = facts::leaf(&house.certificate())?;
        let at = |what: String| format!("{day}: {what}");
        // Its own zone has a summer.
        let then = |words: &[&str]| {
            let mut command = at_another_time(house.command(words), &format!("@{day}"));
            command.env("TZ", "Europe/Berlin");
            crate::house::finish(command, Duration::from_secs(90))
        };
        let made = then(&["ca", "init", "--subject", "CN=House"]);
        row.must(made.code == Some(0), || at(made.words()));
        let run = then(&["renew", "web", "--json", "--wait", "40s"]);
        slowest = slowest.max(run.took);
        row.points += 1;
        row.must(run.code == Some(0) && run.json()["state"] == "proved", || at(run.words()));
        let new = facts::leaf(&house.certificate())?;
        row.must(new != old, || at("the old one is still there".to_owned()));
        let shown = house.shows(&new);
        row.must(shown.is_ok(), || at(shown.clone().unwrap_err()));
        // RFC 5280 section 4.1.2.5: two digits of the year until 2049, four from 2050 on.
        let times = encoded(&house.certificate())?;
        row.must(times.len() == 2, || at(format!("{times:?}")));
        for time in &times {
            let (kind, digits) = time.split_once(':').map_or(("", ""), |(k, d)| (k.trim(), d.trim()));
            let fits = match kind {
                "UTCTIME" => digits.len() == 13 && &digits[..2] < "50",
                "GENERALIZEDTIME" => digits.len() == 15 && digits >= "2050",
                _ => false,
            };
            row.must(fits, || at(format!("encoded as {time}")));
        }
        let listed = then(&["prove", "web", "--json"]);
        row.must(listed.code == Some(0), || at(listed.words()));
    }
    Ok(row.note(format!("slowest {} s", slowest.as_secs())))
}
