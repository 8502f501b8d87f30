//! dns-01 at real name servers: one that is behind, one that is silent, an alias (trust F28); a record that is left by a kill, and
//! others' records beside it (F29).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use notafter_lab::dns::{self, Daemon, Dns, Role, Tsig, Zone};
use notafter_lab::{NotRun, Port, pebble};

use crate::house::{House, Plan};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "15s"];
const OTHERS: &str = "_acme-challenge.a TXT \"somebody-elses\"";

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![behind(options)?, left(options)?])
}

fn broke(error: NotRun) -> String {
    error.to_string()
}

/// A house whose certificate is for a name in a zone of its own, at this server.
///
/// `asked`: whom the CA asks, after up to so many seconds.
fn house(
    options: &Options,
    name: &str,
    dns: &Dns,
    (asked, pause): (SocketAddr, u32),
) -> Result<House, String> {
    let ca = pebble::Options { resolver: Some(asked), pause, ..pebble::Options::default() };
    let mut plan = Plan { ca, names: vec!["a.dns.test"], ..Plan::default() };
    let house = House::new(options, name, &plan)?;
    let secret = house.lab.path().join("tsig");
    fs::write(&secret, &dns.key().secret).map_err(|e| e.to_string())?;
    plan.solver = Some(format!(
        "{{ kind = \"dns-01\", provider = \"rfc2136\", server = \"{0}\", key = \"{1}\", algorithm = \"{2}\", \
         secret = {{ file = \"{3}\" }}, resolver = \"{0}\", port = {4}, propagation = \"6s\" }}",
        dns.address(),
        dns.key().name,
        dns.key().algorithm,
        secret.display(),
        dns.address().port()
    ));
    house.write(&plan, &house.ca.directory());
    let text = fs::read_to_string(&house.config).map_err(|e| e.to_string())?;
    fs::write(&house.config, text.replace("sni=srv.test", "sni=a.dns.test")).map_err(|e| e.to_string())?;
    Ok(house)
}

/// The CA is asked only when every server of the zone has the record.
fn behind(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F28", "a name server that is behind: the CA is not asked; one that is silent, servers in step, an alias: it is").asks(4);
    for what in ["behind", "silent", "in step", "an alias"] {
        let lab = notafter_lab::Lab::new("chaos-zone");
        let port = Port::free();
        let (first, second) = (port.local(), SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), port.number())));
        let alias = "_acme-challenge.a CNAME a.hand.test.\n";
        let mut zone = Zone::new("dns.test", if what == "an alias" { alias } else { OTHERS });
        zone.servers.push(
            *match second {
                SocketAddr::V4(ref at) => at,
                SocketAddr::V6(_) => unreachable!(),
            }
            .ip(),
        );
        let zones = [zone, Zone::new("hand.test", "")];
        let key = Tsig::new("hmac-sha256");
        let told =
            Role::Primary(if what == "in step" || what == "an alias" { vec![second] } else { Vec::new() });
        let primary = dns::start_at(&lab, Daemon::Knot, first, &zones, &key, &told).map_err(broke)?;
        let role = match what {
            "behind" => Some(Role::Frozen),
            "silent" => None,
            _ => Some(Role::Secondary(first)),
        };
        let other =
            role.map(|role| dns::start_at(&lab, Daemon::Knot, second, &zones, &key, &role)).transpose();
        let _other = other.map_err(broke)?;
        // Whom a CA asks: somebody who follows an alias into another zone.
        let resolver = dns::resolver(&lab, &[("dns.test", first), ("hand.test", first)]).map_err(broke)?;
        let asked = if what == "an alias" { &resolver } else { &primary };
        let house = house(options, "zone", &primary, (asked.address(), 0))?;
        let old = facts::leaf(&house.certificate())?;
        let run = house.run(&["renew", "web", "--json", "--wait", "30s"]);
        row.points += 1;
        let at = |text: String| format!("{what}: {text}");
        // A CA that gets no answer goes on to the next server, so that a silent one is no reason to wait (decision 0034).
        let works = what != "behind";
        row.must((run.code == Some(0)) == works, || at(run.words()));
        if !works {
            // What it has asked the CA to validate would count against the name for an hour.
            let log = house.ca.log();
            row.must(!log.contains("Pulled a task") && house.orders().1 == 0, || {
                at("the CA was asked to look".into())
            });
            let said = run.json()["said"].as_str().unwrap_or_default().to_owned();
            row.must(said.contains("127.0.0.2"), || at(format!("it does not say which: {}", run.words())));
            row.must(facts::leaf(&house.certificate())? == old, || at("something was installed".into()));
        }
        // What was shown is taken back, and nothing else is.
        let texts = primary.texts("_acme-challenge.a.dns.test").map_err(broke)?;
        let mine = if what == "an alias" { primary.texts("a.hand.test").map_err(broke)? } else { Vec::new() };
        let expected: &[&str] = if what == "an alias" { &[] } else { &["somebody-elses"] };
        let open = run.json()["state"] != "proved";
        row.must(open || (texts == expected && mine.is_empty()), || {
            at(format!("left in the zone: {texts:?} {mine:?}"))
        });
        row.must(what == "an alias" || texts.iter().any(|t| t == "somebody-elses"), || {
            at("somebody else's is gone".into())
        });
    }
    Ok(row)
}

/// Killed at any time: the record is taken back by whoever goes on, and others' stay.
fn left(options: &Options) -> Result<Row, String> {
    let rounds = options.points.min(if options.quick { 2 } else { 12 });
    let mut row =
        Row::of("F29", "killed while a record is shown: it is taken back, and others' records stay")
            .asks(rounds);
    let lab = notafter_lab::Lab::new("chaos-left");
    let zones = [Zone::new("dns.test", OTHERS)];
    let dns = dns::start(&lab, Daemon::Knot, &zones, &Tsig::new("hmac-sha256")).map_err(broke)?;
    let mut house = house(options, "left", &dns, (dns.address(), 3))?;
    house.keep();
    let texts = || dns.texts("_acme-challenge.a.dns.test").map_err(broke);
    let mut dice = Dice::new(options.seed);
    let mut amid = 0;
    for round in 0..rounds {
        eprint!("\r  left: {}/{rounds} ", round + 1);
        house.back()?;
        let mut one = house.start(RENEW, "left.out");
        let begun = std::time::Instant::now();
        // From its first sight on, and sometimes before.
        let early = dice.below(4) == 0;
        while !early
            && texts()?.len() < 2
            && begun.elapsed() < Duration::from_secs(10)
            && one.end(Duration::ZERO).is_none()
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(dice.below(if early { 600 } else { 250 })));
        one.kill();
        amid += usize::from(texts()?.len() > 1);
        let run = house.renew();
        row.points += 1;
        let at = |text: String| format!("round {round}: {text}");
        row.must(run.code == Some(0), || at(run.words()));
        let left = texts()?;
        row.must(left == ["somebody-elses"], || at(format!("in the zone: {left:?}")));
    }
    eprintln!();
    Ok(row.note(format!("{amid} with the record in the zone")))
}
