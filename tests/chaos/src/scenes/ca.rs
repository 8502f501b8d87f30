//! A CA that answers with errors, pages, halves, nothing, limits and somebody else's certificate (trust F22 to F24, F26),
//! and one that means harm (F27).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use notafter_lab::{Authority, Port, Request, base64, program};

use crate::house::{House, Plan};
use crate::proxy::{Act, Editor, Files, Proxy, answer};
use crate::{Dice, Options, Row, facts};

const RENEW: &[&str] = &["renew", "web", "--json", "--wait", "5s"];
const LATER: &[&str] = &["renew", "web", "--json", "--wait", "60s"];

/// What pebble calls what is asked for.
const ASKED: &[&str] = &[
    "/dir",
    "/nonce-plz",
    "/sign-me-up",
    "/order-plz",
    "/authZ/",
    "/chalZ/",
    "/finalize-order/",
    "/my-order/",
    "/certZ/",
];

struct Street {
    house: House,
    proxy: Proxy,
    authority: Authority,
    /// The root that the proxy's own certificate leads to.
    root: PathBuf,
}

impl Street {
    fn new(options: &Options, name: &str) -> Result<Self, String> {
        let plan = Plan { issuer: "timeout = \"4s\"\n".to_owned(), ..Plan::default() };
        let house = House::new(options, name, &plan)?;
        let authority = Authority::new(&house.lab);
        let pem = fs::read_to_string(house.ca.ca_file()).map_err(|e| e.to_string())?;
        let root = base64::blocks(&pem, "CERTIFICATE").pop().ok_or("the CA has no root")?;
        // The proxy shows a certificate of an authority of its own: both are trusted.
        let leaf = authority.issue(&Request::server());
        let upstream = house.ca.directory();
        let port = upstream.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse::<u16>().ok());
        let upstream = std::net::SocketAddr::from(([127, 0, 0, 1], port.ok_or("no port")?));
        let proxy = Proxy::start(upstream, &root, &leaf)?;
        let street = Self { house, proxy, authority, root: leaf.root_pem };
        street.write(&plan)?;
        Ok(street)
    }

    /// Writes the configuration, with the proxy in the CA's place.
    fn write(&self, plan: &Plan) -> Result<(), String> {
        self.house.write(plan, &self.proxy.directory());
        let config = fs::read_to_string(&self.house.config).map_err(|e| e.to_string())?;
        let own = self.house.ca.ca_file().display().to_string();
        let config = config.replace(&own, &self.root.display().to_string());
        fs::write(&self.house.config, config).map_err(|e| e.to_string())
    }
}

fn problem(status: &str, kind: &str, wait: Option<u32>) -> Act {
    let mut headers = HashMap::from([("Content-Type", "application/problem+json".to_owned())]);
    if let Some(wait) = wait {
        headers.insert("Retry-After", wait.to_string());
    }
    let body = format!("{{\"type\":\"urn:ietf:params:acme:error:{kind}\",\"detail\":\"made by the lab\"}}");
    Act::Say(answer(status, &headers, &body))
}

fn page(status: &str) -> Act {
    let headers = HashMap::from([("Content-Type", "text/html".to_owned())]);
    Act::Say(answer(status, &headers, "<html><title>Please sign in</title></html>"))
}

fn faults() -> Vec<(&'static str, Act)> {
    vec![
        ("500 and a problem", problem("500 Internal Server Error", "serverInternal", None)),
        ("503 and a page", page("503 Service Unavailable")),
        ("200 and a page", page("200 OK")),
        ("half an answer", Act::Half),
        ("no answer", Act::Nothing),
        ("an answer that drips", Act::Drip),
        ("429 and a minute", problem("429 Too Many Requests", "rateLimited", Some(60))),
    ]
}

pub(super) fn play(options: &Options) -> Result<Vec<Row>, String> {
    Ok(vec![answers(options)?, limits(options)?, wrong(options)?, hostile(options)?])
}

/// Each fault once, at each thing that is asked for; some minutes later all is well.
fn answers(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F22, F24", "each bad answer, once, to each request of a renewal");
    let mut street = Street::new(options, "answers")?;
    street.house.keep();
    let all: Vec<(&str, &str, Act)> = ASKED
        .iter()
        .flat_map(|asked| faults().into_iter().map(move |(name, act)| (*asked, name, act)))
        .collect();
    let chosen = Dice::new(options.seed).spread(&all, options.points.max(4));
    row.asked = chosen.len();
    let (mut at_once, mut again) = (0, 0);
    for (n, (asked, name, act)) in chosen.iter().enumerate() {
        eprint!("\r  answers: {}/{} ", n + 1, chosen.len());
        street.house.back()?;
        let (old, issued) = (facts::leaf(&street.house.certificate())?, street.house.orders().1);
        let (left, asked, act) = (Arc::new(AtomicUsize::new(1)), *asked, act.clone());
        street.proxy.decide(move |_, path| {
            let hit = path.starts_with(asked)
                && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
            if hit { act.clone() } else { Act::Pass }
        });
        let run = street.house.run(RENEW);
        row.points += 1;
        let at = |what: String| format!("{name} to {asked}: {what}");
        let done = run.code == Some(0);
        at_once += usize::from(done);
        if !done {
            let document = run.json();
            let said = document["said"].as_str().unwrap_or_default();
            row.must(!said.is_empty(), || at(format!("nothing is said: {}", run.words())));
            row.must(document["state"] != "waits-for-person", || at(format!("given up: {}", run.words())));
            let lies = facts::leaf(&street.house.certificate())?;
            let waits = document["state"] == "waits-for-issuer";
            row.must(lies == old || !waits, || at("something was installed before it was issued".into()));
            street.proxy.pass();
            let run = street.house.later("+12m", LATER);
            again += 1;
            row.must(run.code == Some(0), || at(format!("some minutes later: {}", run.words())));
        }
        let made = street.house.orders().1 - issued;
        row.must(made == 1, || at(format!("{made} certificates")));
        let agree = facts::agree(&street.house.certificate(), &street.house.key());
        row.must(agree.is_ok(), || at(agree.clone().unwrap_err()));
        street.proxy.pass();
    }
    eprintln!();
    Ok(row.note(format!("{at_once} done all the same, {again} at the next try")))
}

/// 429: kept to across restarts, and said with its date.
fn limits(options: &Options) -> Result<Row, String> {
    let mut row = Row::of("F23", "429 with Retry-After: 3600 is kept to by every later run");
    let street = Street::new(options, "limits")?;
    street.proxy.decide(|_, path| match path {
        "/order-plz" => problem("429 Too Many Requests", "rateLimited", Some(3_600)),
        _ => Act::Pass,
    });
    let run = street.house.run(RENEW);
    let asked = street.proxy.asked("/order-plz");
    row.must(asked == 1, || format!("asked {asked} times: {}", run.words()));
    let document = run.json();
    row.must(document["next"].as_str().is_some(), || format!("no date is said: {}", run.words()));
    for offset in ["+1m", "+20m", "+50m"] {
        let run = street.house.later(offset, RENEW);
        row.points += 1;
        let now = street.proxy.asked("/order-plz");
        row.must(now == asked, || format!("{offset}: asked again: {}", run.words()));
    }
    street.proxy.pass();
    let run = street.house.later("+62m", LATER);
    row.points += 1;
    row.must(run.code == Some(0), || format!("after the hour: {}", run.words()));
    Ok(row)
}

/// Another certificate than the one that was asked for is never installed.
fn wrong(options: &Options) -> Result<Row, String> {
    let mut told = Vec::new();
    let mut row = Row::of("F26", "a wrong certificate is refused, and nothing is touched");
    let mut street = Street::new(options, "wrong")?;
    street.house.keep();
    let read = |path| fs::read_to_string(path).map_err(|e: std::io::Error| e.to_string());
    let other = read(street.authority.issue(&Request::new(&["srv.test"])).fullchain_pem)?;
    let first = street.house.renew();
    let own = read(street.house.certificate())?;
    if first.code != Some(0) {
        return Err(first.words());
    }
    let blocks: Vec<String> = own
        .split_inclusive("-----END CERTIFICATE-----\n")
        .map(str::to_owned)
        .filter(|b| b.contains("BEGIN"))
        .collect();
    let instead = |text: &str| Act::Instead(text.to_owned());
    let mut acts = vec![
        ("for another key", instead(&other)),
        ("the one before", instead(&own)),
        ("the CA's certificate first", instead(&blocks.iter().rev().cloned().collect::<String>())),
        ("no certificate at all", instead("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        ("nothing", instead("")),
    ];
    // For the key that asked, signed by a CA of the lab, with something wrong in it.
    let lines = "subjectAltName=DNS:srv.test\nextendedKeyUsage=serverAuth\nkeyUsage=digitalSignature\n";
    let ca = &street.authority.intermediates()[0];
    let above = read(ca.cert_pem.clone())?;
    let stranger = Authority::new(&street.house.lab);
    let elsewhere = read(stranger.intermediates()[0].cert_pem.clone())?;
    let place = street.house.lab.subfolder("signed");
    let made = |lines: &str, days: &'static str, above: &str| {
        let (place, lines, above) = (place.clone(), lines.to_owned(), above.to_owned());
        let (certificate, key) = (ca.cert_pem.clone(), ca.key_pem.clone());
        Act::Issue(Arc::new(move |csr: &[u8]| {
            let leaf = sign(&place, csr, (&certificate, &key), &lines, days);
            leaf.unwrap_or_else(|error| format!("the lab could not sign: {error}")) + &above
        }))
    };
    acts.extend([
        ("without a name that was asked for", made(&lines.replace("srv.test", "other.test"), "90", &above)),
        (
            "with a name that nobody asked for",
            made(&lines.replace("srv.test", "srv.test,DNS:evil.test"), "90", &above),
        ),
        ("of a CA", made(&format!("{lines}basicConstraints=critical,CA:TRUE\n"), "90", &above)),
        ("for clients alone", made(&lines.replace("serverAuth", "clientAuth"), "90", &above)),
        ("of minutes where it was months", made(lines, "minutes", &above)),
        ("that has ended", made(lines, "ended", &above)),
        ("that begins next week", made(lines, "future", &above)),
        ("with nothing above it", made(lines, "90", "")),
        ("with a chain that leads elsewhere", made(lines, "90", &elsewhere)),
    ]);
    row.asked = acts.len();
    for (name, act) in acts {
        street.house.back()?;
        let old = facts::leaf(&street.house.certificate())?;
        street.proxy.decide(move |_, path| match path.starts_with("/certZ/") {
            true => act.clone(),
            false => Act::Pass,
        });
        let run = street.house.run(RENEW);
        row.points += 1;
        row.must(run.code == Some(1), || format!("{name}: {}", run.words()));
        let said = run.json()["said"].as_str().unwrap_or_default().to_owned();
        row.must(!said.is_empty(), || format!("{name}: nothing is said: {}", run.words()));
        let lies = facts::leaf(&street.house.certificate())?;
        row.must(lies == old, || format!("{name}: something was installed"));
        row.must(!run.words().contains("the lab could not sign"), || format!("{name}: {}", run.words()));
        told.push(name);
    }
    Ok(row.note(told.join(", ")))
}

/// Signs what was asked for, in the lab's own words. `days`: how many, or a word for dates that are not right.
fn sign(
    place: &Path,
    csr: &[u8],
    (ca, key): (&Path, &Path),
    lines: &str,
    days: &str,
) -> Result<String, String> {
    let at = |name: &str| place.join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(at(name), bytes).map_err(|error| error.to_string());
    write("csr.der", csr)?;
    write("index.txt", b"")?;
    let config = format!(
        "[ca]\ndefault_ca=c\n[c]\ndatabase={0}/index.txt\nrand_serial=yes\nnew_certs_dir={0}\ndefault_md=sha256\npolicy=p\n\
         email_in_dn=no\nunique_subject=no\n[p]\ncommonName=optional\n[x]\n{lines}",
        place.display()
    );
    write("ca.cnf", config.as_bytes())?;
    let mut pem = Command::new("openssl");
    pem.args(["req", "-inform", "DER", "-in"]).arg(at("csr.der")).arg("-out").arg(at("csr.pem"));
    program::run(&mut pem).map_err(|error| error.to_string())?;
    let date = |offset: i64| notafter_lab::calendar::generalized(notafter_lab::calendar::now() + offset);
    let day = notafter_lab::calendar::DAY;
    let (from, until) = match days {
        "minutes" => (-60, 240),
        "ended" => (-90 * day, -day),
        "future" => (7 * day, 97 * day),
        days => (-60, days.parse::<i64>().unwrap_or(90) * day),
    };
    let mut openssl = Command::new("openssl");
    openssl.args(["ca", "-batch", "-notext", "-extensions", "x", "-config"]).arg(at("ca.cnf"));
    openssl.arg("-cert").arg(ca).arg("-keyfile").arg(key).arg("-in").arg(at("csr.pem"));
    openssl.args(["-subj", "/CN=srv.test", "-startdate", &date(from), "-enddate", &date(until)]);
    Ok(program::run(&mut openssl).map_err(|error| error.to_string())?.text())
}

/// Something that has to be asked by no child of ours, at a port that the lab gives to nobody else. How often it was, so
/// far. Whoever else runs here may look at every port of this machine: that is what the program is for.
fn canary() -> Result<(Port, Arc<AtomicUsize>), String> {
    let port = Port::free();
    let listener = std::net::TcpListener::bind(port.local()).map_err(|error| error.to_string())?;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    // It ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let ours = stream.peer_addr().is_ok_and(|peer| is_childs(peer.port()));
            count.fetch_add(usize::from(ours), Ordering::SeqCst);
        }
    });
    Ok((port, asked))
}

/// Is the connection from this port of 127.0.0.1 held by a process that this one has begun?
fn is_childs(port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let from = format!("0100007F:{port:04X}");
    let row = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|r| r.get(1) == Some(&from.as_str()));
    let Some(socket) = row.and_then(|r| Some(format!("socket:[{}]", r.get(9)?))) else { return false };
    let children = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = children.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| is_below(*pid)).any(|pid| {
        let held = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        held.filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|at| at.as_os_str() == socket.as_str())
    })
}

/// Was it begun by this process, or by one that was?
fn is_below(mut pid: u32) -> bool {
    let own = std::process::id();
    while pid > 1 && pid != own {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let above = text.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        let Some(above) = above else { return false };
        pid = above;
    }
    pid == own
}

/// A CA that sends its clients inward, and names files for them to write.
fn hostile(options: &Options) -> Result<Row, String> {
    let mut row =
        Row::of("F27", "a CA that means harm: addresses inward, tokens that are paths, commands, megabytes");
    let mut street = Street::new(options, "hostile")?;
    let (canary_port, asked) = canary()?;
    let canary = canary_port.number();
    let (root, port) = (street.house.lab.subfolder("webroot"), street.house.ca.http_port());
    let _files = Files::start(port, root.clone())?;
    let solver = format!(
        "{{ kind = \"http-01\", webroot = \"{}\", port = {port}, address = \"127.0.0.1\" }}",
        root.display()
    );
    let plan = Plan { issuer: "timeout = \"4s\"\n".to_owned(), solver: Some(solver), ..Plan::default() };
    street.write(&plan)?;
    street.house.keep();
    // Where, what in its answer, and what stands there instead.
    let inward = [
        format!("http://127.0.0.1:{canary}/x"),
        format!("https://127.0.0.1:{canary}/x"),
        "file:///etc/passwd".to_owned(),
    ];
    let mut tricks: Vec<(&str, &str, String)> = Vec::new();
    for address in inward {
        // Hosts that a directory lists over HTTPS are the CA's own, and this CA is inside of the network itself.
        for key in
            ["newNonce", "newAccount", "newOrder"].into_iter().filter(|_| !address.starts_with("https:"))
        {
            tricks.push(("/dir", key, address.clone()));
        }
        for (path, key) in [
            ("/order-plz", "authorizations"),
            ("/order-plz", "finalize"),
            ("/authZ/", "url"),
            ("/my-order/", "certificate"),
        ] {
            tricks.push((path, key, address.clone()));
        }
    }
    let evil = street.house.lab.path().join("evil");
    for token in [
        format!("../../../../../../../../..{}", evil.display()),
        evil.display().to_string(),
        format!("$(touch {})", evil.display()),
        format!("`touch {}`", evil.display()),
        "a\r\nb".to_owned(),
        String::new(),
        ".".to_owned(),
        "A".repeat(1 << 20),
    ] {
        tricks.push(("/authZ/", "token", token));
    }
    let chosen = Dice::new(options.seed).spread(&tricks, options.points.max(6));
    row.asked = chosen.len();
    for (n, (path, key, value)) in chosen.iter().enumerate() {
        eprint!("\r  hostile: {}/{} ", n + 1, chosen.len());
        street.house.back()?;
        let old = facts::leaf(&street.house.certificate())?;
        let (path, key, value) = (*path, *key, value.clone());
        let shown: String = value.chars().take(60).collect();
        let at = |what: String| format!("{path} says {key} {shown:?}: {what}");
        let edit: Arc<Editor> = Arc::new(move |body: &str| twisted(body, key, &value));
        street.proxy.decide(move |_, asked| match asked.starts_with(path) {
            true => Act::Edit(Arc::clone(&edit)),
            false => Act::Pass,
        });
        let before = asked.load(Ordering::SeqCst);
        let run = street.house.run(RENEW);
        street.proxy.pass();
        row.points += 1;
        row.must(run.code == Some(1), || at(run.words().chars().take(800).collect()));
        row.must(!run.err.contains("panicked"), || at(run.words()));
        let said = run.json()["said"].as_str().unwrap_or_default().to_owned();
        row.must(!said.is_empty() && said.len() < 4_000, || at(format!("{} octets are said", said.len())));
        let asked = asked.load(Ordering::SeqCst) - before;
        row.must(asked == 0, || at(format!("it was led there {asked} times")));
        row.must(!evil.exists(), || at("it wrote a file or ran a command".to_owned()));
        let lies = facts::leaf(&street.house.certificate())?;
        row.must(lies == old, || at("something was installed".to_owned()));
        let strange: Vec<_> =
            files_below(&root).into_iter().filter(|f| !f.contains(".well-known/acme-challenge/")).collect();
        row.must(strange.is_empty(), || at(format!("{strange:?} is in the webroot")));
    }
    eprintln!();
    // The same program at the same CA, when that is honest again.
    street.house.back()?;
    let run = street.house.run(LATER);
    row.must(run.code == Some(0), || format!("with an honest CA: {}", run.words()));
    Ok(row)
}

fn files_below(folder: &Path) -> Vec<String> {
    let found = Command::new("find").arg(folder).args(["-type", "f"]).output();
    found.map_or_else(
        |_| Vec::new(),
        |out| String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect(),
    )
}

/// An answer in which this stands under the key, wherever the key is.
fn twisted(body: &str, key: &str, value: &str) -> String {
    fn walk(node: &mut serde_json::Value, key: &str, value: &str) {
        match node {
            serde_json::Value::Object(map) => {
                for (name, inner) in map.iter_mut() {
                    match inner {
                        serde_json::Value::Array(all) if name == key => {
                            all.iter_mut().for_each(|one| *one = value.into());
                        }
                        inner if name == key => *inner = value.into(),
                        inner => walk(inner, key, value),
                    }
                }
            }
            serde_json::Value::Array(all) => all.iter_mut().for_each(|one| walk(one, key, value)),
            _ => {}
        }
    }
    let Ok(mut document) = serde_json::from_str(body) else { return body.to_owned() };
    walk(&mut document, key, value);
    document.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_hears_children_and_nobody_else() {
        let (port, asked) = canary().expect("a port");
        let asks = format!("exec 3<>/dev/tcp/127.0.0.1/{}; sleep 1", port.number());
        let run = |script: &str| {
            Command::new("bash").args(["-c", script, "bash", &asks]).status().expect("bash");
            std::thread::sleep(std::time::Duration::from_millis(500));
            asked.load(Ordering::SeqCst)
        };
        // Whoever was begun by nobody who still runs is a stranger.
        assert_eq!(run("setsid bash -c \"sleep 0.2; $1\" & exit 0"), 0);
        assert_eq!(run("bash -c \"$1\""), 1);
    }
}
