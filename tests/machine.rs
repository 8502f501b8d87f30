//! What the machine does to the server: a file system that becomes read-only under it, a process that stands still, dates
//! at the ends of the calendar, and systemd as its keeper. The real binary throughout.

// Real servers and real time: the clocks and sleeps that the product may not have.
#![allow(clippy::disallowed_methods)]

mod run;
mod serving;
mod web;

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use notafter_lab::calendar::faketime;
use notafter_lab::servers::nginx;
use notafter_lab::sinks::http::{Answer, Receiver};
use notafter_lab::{Authority, Lab, NotRun, Request, need};
use serving::Serving;
use web::{get, try_ask};

const DAY: i64 = 86_400;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// A certificate of ninety days with so many seconds of them left.
fn left(seconds: i64) -> Request {
    Request::server().between(now() + seconds - 90 * DAY, now() + seconds)
}

fn files(folder: &Path) -> String {
    format!(
        "[[source]]\nname = \"files\"\nkind = \"files\"\npaths = [\"{}\"]\nevery = \"2s\"\n",
        folder.display()
    )
}

fn hook(receiver: &Receiver) -> String {
    format!(
        "[[notifier]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\n\
         [[owner]]\nname = \"web\"\nnotify = [\"hook\"]\ndefault = true\n",
        receiver.url("/n")
    )
}

/// The ids of the messages that speak of this, each once.
fn told(receiver: &Receiver, about: &str) -> Vec<String> {
    let bodies = receiver.received().into_iter().map(|r| r.text()).filter(|text| text.contains(about));
    let id = |text: String| {
        let body: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(body["id"].as_str()?.to_owned())
    };
    let mut ids: Vec<_> = bodies.filter_map(id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn install(authority: &Authority, folder: &Path, name: &str, request: &Request) {
    let leaf = authority.issue(&request.clone().sans(&[&format!("DNS:{name}")]));
    // Whole at once, as whoever installs one should.
    let beside = folder.join(format!(".{name}"));
    fs::copy(leaf.cert_pem, &beside).expect("copied");
    fs::rename(beside, folder.join(format!("{name}.pem"))).expect("renamed");
}

/// A disk of its own under a folder: ext4 in a file, which the kernel makes read-only at the first error.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

fn done(program: &str, arguments: &[&str]) -> Result<Output, NotRun> {
    let failed = |why: String| NotRun::new("a disk of its own", format!("{program} {arguments:?}: {why}"));
    let out = Command::new(program).args(arguments).output().map_err(|e| failed(e.to_string()))?;
    if out.status.success() {
        Ok(out)
    } else {
        Err(failed(String::from_utf8_lossy(&out.stderr).into_owned()))
    }
}

impl Disk {
    fn new(lab: &Lab, at: PathBuf) -> Result<Self, NotRun> {
        let image = lab.path().join("disk.img");
        let cannot = |e: std::io::Error| NotRun::new("a disk of its own", e.to_string());
        fs::File::create(&image).and_then(|f| f.set_len(64 << 20)).map_err(cannot)?;
        done("mkfs.ext4", &["-q", &image.display().to_string()])?;
        fs::create_dir_all(&at).map_err(cannot)?;
        let disk = Self { image, at };
        disk.mount()?;
        done("chmod", &["700", &disk.at.display().to_string()])?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), NotRun> {
        let (image, at) = (self.image.display().to_string(), self.at.display().to_string());
        done("mount", &["-o", "loop,errors=remount-ro", &image, &at]).map(drop)
    }

    /// Has the kernel meet an error on it: from then on it is read-only, for files that are open, too.
    fn fail(&self) {
        let out = done("findmnt", &["-no", "SOURCE", &self.at.display().to_string()]).expect("it is mounted");
        let device = String::from_utf8_lossy(&out.stdout).trim().replace("/dev/", "");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").expect("root may");
    }

    /// What an administrator does then.
    fn mend(&self) {
        done("umount", &[&self.at.display().to_string()]).expect("nobody uses it any more");
        let _ = Command::new("e2fsck").arg("-fy").arg(&self.image).output();
        self.mount().expect("it is whole again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

#[test]
fn a_disk_that_becomes_read_only_stops_nothing_but_writing() {
    let lab = Lab::new("machine-readonly");
    let authority = Authority::new(&lab);
    let Some(disk) = need(Disk::new(&lab, lab.path().join("data"))) else { return };
    let folder = lab.subfolder("grows");
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let mut serving = Serving::start(&lab, &format!("{}{}", files(&folder), hook(&heard)));
    install(&authority, &folder, "before.test", &left(8 * DAY));
    serving.until("the first message", || (!told(&heard, "before.test").is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    // A disk that fails loses what the kernel had not written yet, as a power cut does: here it has.
    done("sync", &["-f", &serving.folder.display().to_string()]).expect("it is written");
    disk.fail();
    // Another day, or both would be one alert and one message.
    install(&authority, &folder, "later.test", &left(15 * DAY));
    let health = || get(&format!("{}/healthz", serving.url()));
    serving.until("what is wrong", || (health().status == 503).then_some(()));
    // Reading goes on, it says what is the matter, and it goes on saying so.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        assert_eq!(health().status, 503, "{}", serving.words());
        for page in ["/", "/inventory", "/api/v1/totals"] {
            assert_eq!(get(&format!("{}{page}", serving.url())).status, 200, "{page}");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(serving.words().contains("trouble: "), "{}", serving.words());
    let doctor = serving.ask(&["doctor"]);
    assert!(doctor.code != 0 && !doctor.err.contains("panicked"), "{}{}", doctor.out, doctor.err);
    // What could not be kept was told to nobody: it will be, once.
    assert!(told(&heard, "later.test").is_empty());
    let begun = Instant::now();
    assert_eq!(serving.stop(), 0, "{}", serving.words());
    assert!(begun.elapsed() < Duration::from_secs(20), "it ends although nothing can be kept");
    // Started on it as it is, it says what is wrong, or serves what is there; it never pretends.
    let text = serving.words();
    assert!(!text.contains("panicked"), "{text}");
    disk.mend();
    serving.crash_and_restart(lab.path());
    serving.until("what came meanwhile", || (!told(&heard, "later.test").is_empty()).then_some(()));
    serving
        .until("its recovery", || (get(&format!("{}/healthz", serving.url())).status == 200).then_some(()));
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((told(&heard, "before.test").len(), told(&heard, "later.test").len()), (1, 1));
    assert_eq!(serving.ask(&["doctor"]).out.matches("failed memory").count(), 0);
}

#[test]
fn a_server_that_stood_still_looks_before_it_speaks() {
    let lab = Lab::new("machine-stopped");
    let authority = Authority::new(&lab);
    // A quarter of its life is the warning; it begins while nobody is there to see it.
    let soon = 90 * DAY / 4 + 45;
    let Some(mut web) = need(nginx::start(&lab, &authority.issue(&left(soon)))) else { return };
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let source = format!(
        "[[source]]\nname = \"office\"\nkind = \"network\"\ntargets = [\"tls://{}?sni=srv.test\"]\nevery = \"3s\"\n",
        web.address()
    );
    let serving = Serving::start(&lab, &format!("{source}{}", hook(&heard)));
    let findings = || serving.ask(&["ls", "--findings"]).out;
    serving
        .until("the first look", || serving.ask(&["ls", "srv.test"]).out.contains("srv.test").then_some(()));
    assert!(!findings().contains("expires-soon"), "{}", findings());
    serving.signal("STOP");
    web.replace(&authority.issue(&left(89 * DAY))).expect("the new one is written");
    web.reload().expect("nginx reloads");
    std::thread::sleep(Duration::from_secs(100));
    serving.signal("CONT");
    serving.until("that it looks first", || {
        serving.words().contains("look before anybody is told").then_some(())
    });
    serving.until("the new one", || {
        let listed = serving.ask(&["ls", "name:srv.test", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.out).ok()?;
        let ends =
            listed["items"].as_array()?.iter().any(|i| i["days_left"].as_f64().is_some_and(|d| d > 80.0));
        ends.then_some(())
    });
    std::thread::sleep(Duration::from_secs(10));
    // Nothing is wrong with the clock, no source is called late, and nobody hears of what is over.
    assert_eq!(told(&heard, "srv.test"), Vec::<String>::new());
    let left = findings();
    for kind in ["clock-skew", "source-stale", "expires-soon"] {
        assert!(!left.contains(kind), "{kind}: {left}");
    }
    assert_eq!(get(&format!("{}/healthz", serving.url())).status, 200);
}

#[test]
fn dates_at_the_ends_of_the_calendar_are_dates() {
    let lab = Lab::new("machine-calendar");
    let authority = Authority::new(&lab);
    let folder = lab.subfolder("dates");
    let at = |text: &str| {
        let out = Command::new("date").args(["-u", "-d", text, "+%s"]).output().expect("date runs");
        String::from_utf8_lossy(&out.stdout).trim().parse::<i64>().expect("seconds")
    };
    // UTCTime ends with 2049, a signed 32-bit clock in January 2038; 9999 says that there is no end (RFC 5280, 4.1.2.5).
    let ends = [
        ("leap", "2028-02-29T23:59:59Z"),
        ("clock32", "2038-01-19T03:14:08Z"),
        ("utctime", "2049-12-31T23:59:59Z"),
        ("generalized", "2050-01-01T00:00:00Z"),
        ("never", "9999-12-31T23:59:59Z"),
        ("summer", "2027-03-28T01:30:00Z"),
    ];
    for (name, end) in ends {
        let request = Request::server().between(now() - DAY, at(end));
        install(&authority, &folder, &format!("{name}.test"), &request);
    }
    let serving = Serving::start(&lab, &files(&folder));
    let listed = serving.until("all of them", || {
        let listed = serving.ask(&["ls", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.out).ok()?;
        (listed["items"].as_array()?.len() == ends.len()).then(|| listed["items"].clone())
    });
    for (name, end) in ends {
        let found = listed.as_array().into_iter().flatten().find(|i| i["title"] == format!("{name}.test"));
        assert_eq!(found.map(|i| &i["not_after"]), Some(&end.into()), "{name}: {listed:#}");
    }
    // A day before the leap day's end it is due, and not a day later; what never ends is in no forecast.
    let on = |at: &str, query: &str| serving.ask(&["ls", query, "--at", at]).out;
    assert!(on("2028-02-29T12:00:00Z", "expires<1d").contains("leap.test"));
    assert!(on("2028-03-01T00:00:00Z", "is:expired").contains("leap.test"));
    assert!(!on("2028-02-29T23:59:59Z", "is:expired").contains("leap.test"));
    assert!(on("2038-01-19T03:14:09Z", "is:expired").contains("clock32.test"));
    assert!(on("2050-01-01T00:00:01Z", "is:expired").contains("generalized.test"));
    assert!(!on("2049-12-31T23:59:59Z", "is:expired").contains("utctime.test"));
    let never = serving.ask(&["ls", "name:never.test", "--at", "2100-01-01"]).out;
    assert!(never.contains("never.test") && !never.contains("expired"), "{never}");
    for page in ["/", "/inventory", "/forecast", "/metrics"] {
        assert_eq!(get(&format!("{}{page}", serving.url())).status, 200, "{page}");
    }
    let calendar = serving.ask(&["export", "--as", "ics"]).out;
    assert!(calendar.contains("20280229T235959Z") || calendar.contains("20280229"), "{calendar}");
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}

/// systemd's own judge of units.
fn analyze() -> Result<(), NotRun> {
    let there = Command::new("systemd-analyze").arg("--version").output();
    if there.is_ok_and(|out| out.status.success()) {
        Ok(())
    } else {
        Err(NotRun::new("systemd-analyze", "it is not installed: apt-get install systemd"))
    }
}

#[test]
fn systemd_understands_the_units() {
    // The exposure, from 0 to 100: below 20 is what can be had without rights, below 33 what root can have that becomes the
    // accounts of servers.
    for (name, threshold) in [("notafter.service", 20), ("notafter-act.service", 33)] {
        understands(name, threshold);
    }
}

fn understands(name: &str, threshold: u32) {
    let lab = Lab::new("machine-unit");
    let Some(()) = need(analyze()) else { return };
    let unit = format!("{}/../../packaging/{name}", env!("CARGO_MANIFEST_DIR"));
    let unit = unit.as_str();
    let text = fs::read_to_string(unit).expect("the unit");
    // The program is not installed where the tests run: the one that was built takes its place.
    let text = text.replace("/usr/bin/notafter", env!("CARGO_BIN_EXE_notafter"));
    let copy = lab.path().join(name);
    fs::write(&copy, text).expect("written");
    let copy = copy.display().to_string();
    let said = |arguments: &[&str]| {
        let out = Command::new("systemd-analyze").args(arguments).output().expect("it runs");
        let text =
            format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.success(), text)
    };
    let (well, text) = said(&["verify", "--man=no", "--recursive-errors=no", &copy]);
    let ours: Vec<_> = text.lines().filter(|line| line.contains("notafter")).collect();
    assert!(well && ours.is_empty(), "{text}");
    let threshold = format!("--threshold={threshold}");
    let (well, text) = said(&["security", "--offline=true", "--no-pager", &threshold, &copy]);
    assert!(well, "{}", text.lines().last().unwrap_or_default());
    for line in ["Type=notify", "WatchdogSec=", "Restart=on-failure"] {
        assert!(fs::read_to_string(unit).expect("the unit").contains(line), "{line}");
    }
}

#[test]
fn it_tells_its_keeper_that_it_is_ready_lives_and_ends() {
    let lab = Lab::new("machine-notify");
    let place = lab.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a bound");
    let hear = |what: &str| {
        let mut text = [0; 4096];
        let begun = Instant::now();
        loop {
            let length = socket.recv(&mut text).unwrap_or_else(|e| panic!("no {what}: {e}"));
            let said = String::from_utf8_lossy(&text[..length]).into_owned();
            if said.lines().any(|line| line == what) {
                return said;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{said} instead of {what}");
        }
    };
    let folder = lab.subfolder("nothing");
    let file = lab.path().join("notafter.toml");
    fs::write(&file, format!("[server]\nlisten = \"127.0.0.1:0\"\n{}", files(&folder))).expect("written");
    let environment = [("NOTIFY_SOCKET", place.to_str().expect("a plain path"))];
    let mut serving = Serving::with(lab.path(), lab.path().join("data"), file, &environment);
    hear("READY=1");
    // It is ready when it is: whoever is started after it can ask.
    assert_eq!(get(&format!("{}/healthz", serving.url())).status, 200);
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    // One that stands still says nothing, and would be started again.
    serving.signal("STOP");
    socket.set_nonblocking(true).expect("set");
    let mut left = [0; 4096];
    while socket.recv(&mut left).is_ok() {}
    std::thread::sleep(Duration::from_secs(5));
    assert!(socket.recv(&mut left).is_err(), "a stopped process gave a sign of life");
    socket.set_nonblocking(false).expect("set");
    serving.signal("CONT");
    hear("WATCHDOG=1");
    serving.signal("TERM");
    hear("STOPPING=1");
    assert_eq!(serving.ended(), 0);
}

/// A program that holds a thread.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stops one thread of a process and no other, for as long as what is returned lives.
fn hold_thread(pid: u32, name: &str) -> Result<Held, NotRun> {
    let script = "import ctypes,os,sys,time\n\
        libc=ctypes.CDLL(None,use_errno=True)\n\
        tasks='/proc/%s/task'%sys.argv[1]\n\
        tid=next(int(t) for t in os.listdir(tasks) if open(tasks+'/'+t+'/comm').read().strip()==sys.argv[2])\n\
        for ask in (0x4206,0x4207):\n\
        \x20   if libc.ptrace(ask,tid,None,None): sys.exit('ptrace: '+os.strerror(ctypes.get_errno()))\n\
        os.waitpid(tid,0x40000000)\n\
        print('held',flush=True)\n\
        time.sleep(600)\n";
    let mut child = Command::new("python3")
        .args(["-c", script, &pid.to_string(), name])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut said = [0; 4];
    match child.stdout.as_mut().expect("its words").read_exact(&mut said) {
        Ok(()) => Ok(Held(child)),
        Err(_) => Err(NotRun::new("a thread held by itself", "ptrace is not allowed here")),
    }
}

/// trust.md F56: the pages answer, the sockets are open, and nobody looks at anything any more.
#[test]
fn an_engine_that_stands_still_is_said_and_ends_the_process() {
    let lab = Lab::new("machine-still");
    let folder = lab.subfolder("nothing");
    let place = lab.path().join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket.set_nonblocking(true).expect("set");
    let mut text = [0; 4096];
    let mut signs = || {
        let mut count = 0;
        while let Ok(length) = socket.recv(&mut text) {
            count += usize::from(String::from_utf8_lossy(&text[..length]).contains("WATCHDOG=1"));
        }
        count
    };
    let file = lab.path().join("notafter.toml");
    let service = "[[service]]\nname = \"shop\"\npublic = true\nplaces = [\"name:a.test\"]\n";
    fs::write(&file, format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{service}", files(&folder)))
        .expect("written");
    let environment = [("NOTIFY_SOCKET", place.to_str().expect("a plain path"))];
    let mut serving = Serving::with(lab.path(), lab.path().join("data"), file, &environment);
    let url = serving.url();
    let health = || get(&format!("{url}/healthz"));
    serving.until("a sign of life", || (signs() > 0).then_some(()));
    // For a while it may be busy.
    let Some(held) = need(hold_thread(serving.pid(), "engine")) else { return };
    let begun = Instant::now();
    while health().status == 200 {
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "nothing is wrong with an engine that stands still"
        );
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(begun.elapsed() > Duration::from_secs(60), "{:?}", begun.elapsed());
    assert!(health().body.contains("made its last pass"), "{}", health().body);
    std::thread::sleep(Duration::from_secs(3));
    signs();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(signs(), 0, "a sign of life without an engine");
    let page = get(&format!("{url}/"));
    assert!(page.status == 200 && page.body.contains("no sign of life"), "{}", page.body);
    // Nobody comes: whoever keeps this process is told by its end.
    while !serving.words().contains("stands still") && begun.elapsed() < Duration::from_secs(200) {
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(serving.words().contains("the engine stands still"), "{}", serving.words());
    std::thread::sleep(Duration::from_secs(10));
    // It is over by now; only its tracer can let it be buried.
    assert!(try_ask("GET", &format!("{url}/healthz"), &[], "").is_err(), "it goes on");
    drop(held);
    assert_ne!(serving.ended(), 0);
}

/// A night with a clock sixty days ahead, then the right one and a new start: what was concluded is taken back, and
/// nothing is put off until the day that was reached.
#[test]
fn a_start_after_a_clock_that_ran_ahead() {
    let lab = Lab::new("machine-ahead");
    let Some(library) = need(faketime()) else { return };
    let authority = Authority::new(&lab);
    let folder = lab.subfolder("certificates");
    install(&authority, &folder, "first.test", &left(65 * DAY));
    let heard = Receiver::start(Answer::status(200, "", "ok"));
    let file = lab.path().join("notafter.toml");
    fs::write(&file, format!("[server]\nlisten = \"127.0.0.1:0\"\n{}{}", files(&folder), hook(&heard)))
        .expect("written");
    let library = library.display().to_string();
    let ahead =
        [("LD_PRELOAD", library.as_str()), ("FAKETIME", "+60d"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let data = lab.path().join("data");
    let mut serving = Serving::with(lab.path(), data.clone(), file.clone(), &ahead);
    serving.until("what is told by a wrong clock", || (!told(&heard, "first.test").is_empty()).then_some(()));
    assert_eq!(serving.stop(), 0);
    fs::remove_file(lab.path().join("serve.out")).expect("its words");
    let before = heard.received().len();
    install(&authority, &folder, "second.test", &left(80 * DAY));
    let mut serving = Serving::on(lab.path(), data, file);
    serving.until("a look, by the right clock", || {
        serving.ask(&["ls", "second.test"]).out.contains("second.test").then_some(())
    });
    serving.until("the end of what was wrong", || {
        let open = serving.ask(&["ls", "--findings"]).out;
        (!open.contains("first.test")).then_some(())
    });
    std::thread::sleep(Duration::from_secs(5));
    let since: Vec<_> = heard.received().into_iter().skip(before).map(|r| r.text()).collect();
    assert!(!since.iter().any(|text| text.contains("second.test")), "{since:?}");
    assert!(
        !since.iter().any(|text| text.contains("first.test") && text.contains("expires in")),
        "{since:?}"
    );
    // It warns again when the day has come: nothing is remembered as told.
    install(&authority, &folder, "third.test", &left(4 * DAY));
    serving.until("a warning by the right clock", || (!told(&heard, "third.test").is_empty()).then_some(()));
    assert_eq!(serving.stop(), 0);
    assert!(!serving.words().contains("panicked"), "{}", serving.words());
}
