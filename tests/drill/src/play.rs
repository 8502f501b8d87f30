//! One drill from beginning to end: build, prove, look, judge.
//!
//! Scenes are built and proven side by side, because most of that is waiting for other programs. The looks come
//! after that, over all scenes at once: they are kept apart by their folders, ports and names.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use notafter_lab::calendar::{DAY, now};
use notafter_lab::{NotRun, Server, program as tool, server};

use crate::Options;
use crate::board::{Board, Row};
use crate::peers;
use crate::pki::Make;
use crate::program::{Program, Seen};
use crate::scene::{Scene, Text};
use crate::scenes::SCENES;
use crate::score::{self, Looked};
use crate::site::Site;

/// How many things are done at once.
const HANDS: usize = 4;

/// From today to T0, in days: every look then lies ahead of us, or just behind.
const AHEAD: i64 = 89;

/// How many days before T0 the program looks, for every scene, and what only scenes with a longer lead need.
const LOOKS: &[i64] = &[90, 30, 28, 14, 7, 1, -1];
const FAR_LOOKS: &[i64] = &[365, 180, 60];

/// A scene with its place and its twin's.
struct Played {
    scene: &'static Scene,
    text: Text,
    /// The scene's, then its twin's.
    sites: Vec<Site>,
    dishonest: Vec<String>,
    not_run: Vec<String>,
    proof: Vec<String>,
}

/// The moment of a look. A minute inside, so that a limit of so many days has been crossed.
fn moment(t0: i64, lead: i64) -> i64 {
    if lead < 0 { t0 + 3600 } else { t0 - lead * DAY + 60 }
}

/// Plays it.
pub(crate) fn play(options: &Options, top: &Path) -> Result<Board, String> {
    let mut program = Program::find(&top.join("told"))?;
    let t0 = now() + AHEAD * DAY;
    let root = Make::authority("Drill Root", t0 - 5 * 365 * DAY, t0 + 15 * 365 * DAY).self_signed();
    let mut jobs = VecDeque::new();
    for scene in SCENES {
        let text = Text::read(scene.text)?;
        if options.only.is_empty() || options.only.contains(&text.id) {
            jobs.push_back((*scene, text));
        }
    }
    if jobs.is_empty() {
        return Err("drill: no such scene".to_owned());
    }
    let (jobs, done) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("the jobs").pop_front();
                    let Some((scene, text)) = job else { break };
                    let sites = [false, true].map(|twin| Site::new(top, text.number(), twin, t0, &root));
                    let played = prepare(scene, text, sites);
                    done.lock().expect("what is done").push(played);
                }
            });
        }
    });
    let mut played = done.into_inner().expect("what is done");
    played.sort_by_key(|p| p.text.number());

    let zone = Zone::serve(top, &played);
    if let Err(why) = &zone {
        program.notes.push(why.to_string());
    }
    tell(&mut program, root.pem.clone(), &played, zone.is_ok());
    let zone_target = "zone:drill.test@127.0.0.1:18053";
    let knows_zones = zone.is_ok() && program.knows(zone_target);
    let mut rows: Vec<Row> = played.iter().map(row).collect();
    let far = played.iter().map(|p| p.text.early()).max().unwrap_or_default();
    let leads: Vec<i64> = FAR_LOOKS.iter().filter(|lead| **lead <= far).chain(LOOKS).copied().collect();
    let targets = [
        [
            vec!["127.0.1.0/28:18000-18999".to_owned(), top.join("root").display().to_string()],
            if knows_zones { vec![zone_target.to_owned()] } else { Vec::new() },
        ]
        .concat(),
        hosts(&played),
        places(&mut program, &played),
    ];
    // The looks that scenes bring themselves mostly wait; the shared ones go on beside them.
    let (own, levels) = thread::scope(|scope| {
        let own = scope.spawn(|| own_looks(&program, &played, t0, &leads));
        let levels: Result<Vec<Vec<Looked>>, String> =
            targets.iter().map(|targets| look_all(&program, targets, t0, &leads)).collect();
        (own.join().expect("the scenes' own looks"), levels)
    });
    for (number, failed) in own.iter().filter_map(|(n, _, seen)| Some((n, seen.as_ref().err()?))) {
        rows[*number].missing.push(format!("its own look: {failed}"));
    }
    for (level, mut looks) in levels?.into_iter().enumerate() {
        for look in &mut looks {
            let more = own.iter().filter(|(_, lead, _)| *lead == look.lead);
            look.seen.extend(more.filter_map(|(_, _, seen)| seen.as_ref().ok()).flatten().cloned());
        }
        judge(level, &played, &looks, &mut rows);
    }
    if options.peers {
        let whole = |p: &&Played| p.not_run.is_empty() && p.sites.len() == 2;
        let scenes: Vec<_> = played
            .iter()
            .filter(whole)
            .map(|p| (p.text.number(), &p.text, &p.sites[0], &p.sites[1]))
            .collect();
        for (row, said) in peers::ask_all(&scenes, &program.folder) {
            if let Some(row) =
                played.iter().position(|p| p.text.number() == row).and_then(|n| rows.get_mut(n))
            {
                row.peers = said;
            }
        }
    }
    let version = tool::finish(program.command().arg("--version"), b"", std::time::Duration::from_secs(10));
    Ok(Board {
        date: String::new(),
        program: version.map(|ran| ran.text().trim().to_owned()).unwrap_or_default(),
        rows,
        notes: program.notes.clone(),
        seconds: 0.0,
    })
}

/// Builds a scene and its twin and lets their clients say whether they are honest.
fn prepare(scene: &'static Scene, text: Text, sites: [Site; 2]) -> Played {
    let mut played = Played {
        scene,
        text,
        sites: Vec::new(),
        dishonest: Vec::new(),
        not_run: Vec::new(),
        proof: Vec::new(),
    };
    for mut site in sites {
        let made = catch_unwind(AssertUnwindSafe(|| (scene.build)(&mut site)));
        match made {
            Ok(Ok(())) => prove(&mut played, &site),
            Ok(Err(error)) => played.not_run.push(format!("{}: {error}", site.id)),
            Err(panic) => played.not_run.push(format!("{}: {}", site.id, said(&*panic))),
        }
        played.sites.push(site);
    }
    played
}

/// Asks a site's client just before and just after T0.
fn prove(played: &mut Played, site: &Site) {
    for (when, at) in [("before", site.t0 - DAY), ("after", site.t0 + 3600)] {
        let works = site.twin || (when == "before" && !played.text.broken_at_once);
        let outcome = catch_unwind(AssertUnwindSafe(|| (played.scene.client)(site, at)));
        match outcome {
            Ok(Ok(said)) => {
                let line = format!(
                    "{} {when} T0: {}: {}",
                    site.id,
                    if said.works { "works" } else { "fails" },
                    said.line
                );
                if said.works != works {
                    played.dishonest.push(line.clone());
                }
                played.proof.push(line);
            }
            Ok(Err(error)) => played.not_run.push(format!("{}: its client: {error}", site.id)),
            Err(panic) => played.not_run.push(format!("{}: its client: {}", site.id, said(&*panic))),
        }
    }
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned())).unwrap_or_default()
}

/// What an organisation has anyway is told at every level: roots, owners, passwords, a name server.
fn tell(program: &mut Program, mut roots: String, played: &[Played], resolver: bool) {
    let folder = program.folder.clone();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path.display().to_string()
    };
    let sites = || played.iter().flat_map(|p| &p.sites);
    roots.extend(sites().flat_map(|site| site.trusted.clone()));
    write("roots.pem", roots);
    let owners: String = sites().map(|site| site.owner() + "\n").collect();
    let owners = write("owners.toml", owners);
    let passwords =
        write("passwords", sites().flat_map(|s| s.passwords.clone()).collect::<Vec<_>>().join("\n"));
    program.tell(&["--owner-file", &owners, "--password-file", &passwords]);
    if resolver {
        program.tell(&["--resolver", "127.0.0.1:18053"]);
    }
    let config =
        program.accepted("notafter.toml", &crate::scenes::configuration(&sites().collect::<Vec<_>>()));
    program.tell(&["--config", &config.display().to_string()]);
}

/// Level 1: every scene's hosts with its ports, by address and by name, and its folder.
fn hosts(played: &[Played]) -> Vec<String> {
    let mut all = Vec::new();
    for site in played.iter().flat_map(|p| &p.sites) {
        all.extend(site.hosts().iter().map(|ip| format!("{ip}:{}", site.range())));
        let mut endpoints = site.endpoints.clone();
        endpoints.sort_unstable();
        endpoints.dedup();
        all.extend(endpoints);
        all.push(site.folder.display().to_string());
    }
    all
}

/// Level 2: exactly where it is.
fn places(program: &mut Program, played: &[Played]) -> Vec<String> {
    let all: Vec<String> = played.iter().flat_map(|p| &p.sites).flat_map(|s| s.places.clone()).collect();
    let mut known: Vec<(String, bool)> = Vec::new();
    all.into_iter()
        .filter(|place| {
            let Some((scheme, _)) = place.split_once(':').filter(|_| !place.starts_with('/')) else {
                return true;
            };
            if let Some((_, knows)) = known.iter().find(|(s, _)| s == scheme) {
                return *knows;
            }
            let knows = program.knows(place);
            known.push((scheme.to_owned(), knows));
            knows
        })
        .collect()
}

/// What one of the scenes' own looks saw: the scene's row, the lead, the findings.
type OwnLook = (usize, i64, Result<Seen, NotRun>);

/// The looks that some scenes bring themselves, once for all levels.
fn own_looks(program: &Program, played: &[Played], t0: i64, leads: &[i64]) -> Vec<OwnLook> {
    let mut jobs = VecDeque::new();
    for (number, played) in played.iter().enumerate() {
        let wanted = |lead: &&i64| **lead <= played.text.early().max(90).min(played.text.since_days);
        for (look, site) in
            played.scene.look.iter().flat_map(|look| played.sites.iter().map(move |s| (look, s)))
        {
            jobs.extend(leads.iter().filter(wanted).map(|lead| (number, *look, site, *lead)));
        }
    }
    let (jobs, done) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        // Many hands: a server's life is waiting.
        for _ in 0..4 * HANDS {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("the looks").pop_front();
                    let Some((number, look, site, lead)) = job else { break };
                    let seen = look(site, program, moment(t0, lead));
                    done.lock().expect("what was seen").push((number, lead, seen));
                }
            });
        }
    });
    done.into_inner().expect("what was seen")
}

/// Lets the program look at everything from each moment.
fn look_all(program: &Program, targets: &[String], t0: i64, leads: &[i64]) -> Result<Vec<Looked>, String> {
    let (queue, done) = (Mutex::new(leads.to_vec()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let lead = queue.lock().expect("the leads").pop();
                    let Some(lead) = lead else { break };
                    let seen = program.scan(targets, moment(t0, lead));
                    done.lock().expect("the looks").push((lead, seen));
                }
            });
        }
    });
    let done: Vec<(i64, Result<Seen, NotRun>)> = done.into_inner().expect("the looks");
    let mut looks = Vec::new();
    for (lead, seen) in done {
        looks.push(Looked { lead, seen: seen.map_err(|error| error.to_string())? });
    }
    Ok(looks)
}

/// Gives the grades of one level.
fn judge(level: usize, played: &[Played], looks: &[Looked], rows: &mut [Row]) {
    let looks: Vec<&Looked> = looks.iter().collect();
    for (played, row) in played.iter().zip(rows) {
        let [scene, twin] = played.sites.as_slice() else { continue };
        let verdict = score::judge(&played.text, scene, &looks);
        row.grades[level] = played.not_run.is_empty().then_some((verdict.grade, verdict.lead));
        for (kind, grade) in verdict.missing {
            row.missing.push(format!("level {level}: {kind}: {}", grade.word()));
        }
        row.heard[level] = score::heard(scene, &looks);
        for alarm in score::false_alarms(&played.text, twin, &looks) {
            let place = alarm.locations.first().cloned().unwrap_or_default();
            let end = alarm.not_after.unwrap_or_default();
            let line = format!("{} {} {} {place} ({end})", alarm.severity, alarm.kind, alarm.summary);
            if !row.alarms.contains(&line) {
                row.alarms.push(line);
            }
        }
    }
}

/// The row of a scene before anything was looked at.
fn row(played: &Played) -> Row {
    Row {
        id: played.text.id.clone(),
        title: played.text.title.clone(),
        pattern: played.text.pattern.clone(),
        twin: played.text.twin.clone(),
        incident: played.text.incident.clone(),
        fix: played.text.fix.clone(),
        dishonest: played.dishonest.clone(),
        not_run: played.not_run.clone(),
        proof: played.proof.clone(),
        grades: vec![None; 3],
        missing: Vec::new(),
        heard: vec![Vec::new(); 3],
        alarms: Vec::new(),
        peers: Vec::new(),
    }
}

/// The organisation's zone, served by a real name server; ends with this value.
struct Zone {
    _server: Server,
}

impl Zone {
    /// Writes the zone of all scenes and serves it, transfers included.
    fn serve(top: &Path, played: &[Played]) -> Result<Self, NotRun> {
        let named = tool::find("named")?;
        let folder = top.join("work/zone");
        let write = |path: &Path, text: String| {
            let made = std::fs::create_dir_all(path.parent().unwrap_or(path));
            made.and_then(|()| std::fs::write(path, text)).map_err(|e| NotRun::new("named", e.to_string()))
        };
        let mut zone = "$TTL 300\n@ SOA ns.drill.test. hostmaster.drill.test. 1 3600 600 86400 300\n@ NS ns.drill.test.\n\
                        ns A 127.0.1.1\n"
            .to_owned();
        for (name, address) in played.iter().flat_map(|p| &p.sites).flat_map(|s| &s.names) {
            let address: &Ipv4Addr = address;
            zone += &format!("{name}. A {address}\n");
        }
        let file = top.join("root/zones/drill.test.zone");
        write(&file, zone)?;
        let conf = folder.join("named.conf");
        let text = format!(
            "options {{ directory \"{0}\"; pid-file \"{0}/pid\"; session-keyfile \"{0}/key\"; listen-on port 18053 \
             {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; allow-transfer {{ any; }}; \
             dnssec-validation no; }};\ncontrols {{ }};\nzone \"drill.test\" {{ type primary; file \"{1}\"; }};\n",
            folder.display(),
            file.display()
        );
        write(&conf, text)?;
        let mut command = std::process::Command::new(named);
        command.arg("-g").arg("-c").arg(&conf).args(["-n", "1"]);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 18_053));
        Ok(Self { _server: server::attend("named", &folder, command, &[address])? })
    }
}
