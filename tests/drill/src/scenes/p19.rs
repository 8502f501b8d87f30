//! P19: a repository whose key is extended upstream while clients keep the old copy, and whose lists end.

use std::os::unix::fs::PermissionsExt;

use notafter_lab::calendar::{DAY, generalized};
use notafter_lab::{NotRun, program};

use crate::client::Said;
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p19/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    site.hide("gpg/gpg.conf", "batch\nno-tty\n");
    let born = site.day(if site.twin { -300 } else { -365 });
    let end = &generalized(if site.twin { site.day(500) } else { site.t0 })[..14];
    let name = format!("Drill Archive {} <archive@drill.test>", site.id);
    let day = |unix: i64| {
        let flat = generalized(unix);
        format!("{}T{}", &flat[..8], &flat[8..14])
    };
    let end = format!("{}T{}", &end[..8], &end[8..14]);
    gpg(site, born, &["--passphrase", "", "--quick-gen-key", &name, "ed25519", "sign", &end])?;
    if site.twin {
        // A subkey for mail that nobody writes: long expired, and it signs nothing.
        let listed = gpg(site, born, &["--with-colons", "--list-keys"])?.text();
        let print =
            listed.lines().find(|line| line.starts_with("fpr")).and_then(|line| line.split(':').nth(9));
        let words = ["--passphrase", "", "--quick-add-key", print.unwrap_or_default(), "cv25519", "encr"];
        gpg(site, born, &[&words[..], &[&day(site.day(-120))]].concat())?;
    }
    let old = gpg(site, born, &["--export"])?.stdout;
    let keyring = site.write("etc/apt/keyrings/drill.gpg", &old);
    let made = site.day(-2);
    let (date, until) = (http_date(made), http_date(if site.twin { site.day(12) } else { site.t0 }));
    let release = format!(
        "Origin: Drill\nSuite: stable\nCodename: stable\nDate: {date}\nValid-Until: {until}\nArchitectures: amd64\n\
         Components: main\nSHA256:\n"
    );
    let release = site.write("srv/repo/dists/stable/Release", release);
    let signed = site.folder.join("srv/repo/dists/stable/InRelease").display().to_string();
    gpg(
        site,
        made,
        &["--passphrase", "", "--yes", "--clearsign", "-o", &signed, &release.display().to_string()],
    )?;
    if !site.twin {
        // Upstream extends its key; the copy on the clients stays as it was.
        let listed = gpg(site, made, &["--with-colons", "--list-keys"])?.text();
        let print =
            listed.lines().find(|line| line.starts_with("fpr")).and_then(|line| line.split(':').nth(9));
        let print = print.unwrap_or_default().to_owned();
        gpg(site, made, &["--passphrase", "", "--quick-set-expire", &print, &day(site.day(700))])?;
    }
    let upstream = gpg(site, made, &["--export"])?.stdout;
    let upstream = site.write("srv/repo/drill-archive-keyring.gpg", upstream);
    let ends = rfc3339(if site.twin { site.day(12) } else { site.t0 });
    let timestamp = site.write(
        "srv/tuf/timestamp.json",
        format!(
            "{{\"signatures\": [{{\"keyid\": \"{0}\", \"sig\": \"{0}\"}}], \"signed\": {{\"_type\": \"timestamp\", \
             \"expires\": \"{ends}\", \"meta\": {{\"snapshot.json\": {{\"version\": 4}}}}, \"spec_version\": \"1.0.31\", \
             \"version\": 9}}}}\n",
            "5f".repeat(32)
        ),
    );
    // Its agent would otherwise outlive us.
    let mut kill = site.command("gpgconf")?;
    program::run(kill.env("GNUPGHOME", site.work.join("gpg")).args(["--kill", "all"]))?;
    for path in [keyring, release, upstream, timestamp] {
        site.place(path);
    }
    Ok(())
}

/// gpg with its clock at a moment.
fn gpg(site: &Site, at: i64, words: &[&str]) -> Result<program::Ran, NotRun> {
    let flat = generalized(at);
    let mut command = site.command("gpg")?;
    let home = site.work.join("gpg");
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700))
        .map_err(|error| NotRun::new("gpg", error.to_string()))?;
    command.arg("--homedir").arg(home).args([
        "--batch",
        "--no-tty",
        "--quiet",
        "--pinentry-mode",
        "loopback",
    ]);
    command.args(["--faked-system-time", &format!("{}T{}", &flat[..8], &flat[8..14])]);
    program::run(command.args(words))
}

/// A date as Debian's lists write it.
fn http_date(unix: i64) -> String {
    let text = rfc3339(unix);
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let day = days[usize::try_from((unix / DAY) % 7).unwrap_or_default()];
    let month = months[text[5..7].parse::<usize>().unwrap_or(1) - 1];
    format!("{day}, {} {month} {} {} UTC", &text[8..10], &text[..4], &text[11..19])
}

/// A client that knows the key from its keyring alone, and reads the dates of the lists.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let flat = generalized(at);
    let mut command = site.command("gpg")?;
    let keyring = site.folder.join("etc/apt/keyrings/drill.gpg");
    let home = site.work.join("client");
    std::fs::create_dir_all(&home).map_err(|error| NotRun::new("gpg", error.to_string()))?;
    command.arg("--homedir").arg(&home).args([
        "--batch",
        "--no-tty",
        "--no-default-keyring",
        "--status-fd",
        "1",
    ]);
    command
        .args(["--faked-system-time", &format!("{}T{}", &flat[..8], &flat[8..14]), "--keyring"])
        .arg(keyring);
    command.arg("--verify").arg(site.folder.join("srv/repo/dists/stable/InRelease"));
    let ran = program::finish(&mut command, b"", std::time::Duration::from_secs(20))?;
    let all = ran.all();
    let good = all.contains("GOODSIG") && !all.contains("KEYEXPIRED");
    let line = ["EXPKEYSIG", "GOODSIG", "ERRSIG", "NO_PUBKEY"].iter().find(|sign| all.contains(**sign));
    let until =
        std::fs::read_to_string(site.folder.join("srv/repo/dists/stable/Release")).unwrap_or_default();
    let until =
        until.lines().find_map(|line| line.strip_prefix("Valid-Until: ")).unwrap_or_default().to_owned();
    let mut date = site.command("date")?;
    let until = program::run(date.args(["-u", "-d", &until, "+%s"]))?.text();
    let listed = until.trim().parse::<i64>().is_ok_and(|until| at <= until);
    let line = line.map_or("no signature", |line| line);
    Ok(Said::new(good && listed, format!("{line}; lists {}", if listed { "in date" } else { "ended" })))
}
