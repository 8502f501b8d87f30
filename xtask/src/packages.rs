//! The Debian packages that the end-to-end tests need, and how to get them onto a machine.
//!
//! The lab starts real servers, so the real programs must be there. [`ensure`] looks for one program or file per
//! package, installs only what is missing, and says what it does. Installing never starts a daemon (a
//! `policy-rc.d` forbids it while we install) and never removes a package that is already there (`--no-remove`):
//! packages that exclude one another are unpacked below `target/lab/unpacked` instead, where the lab finds them.
//! This does not configure anything: every server of the lab brings its own configuration.

// It waits for another apt, in real time.
#![allow(clippy::disallowed_methods)]

mod newer;
mod python;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How a package gets onto the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// Installed by apt, with its dependencies.
    Install,
    /// Downloaded and unpacked below `target/lab/unpacked/<package>`, because it excludes another one of the list.
    Unpack,
    /// The same from a newer suite, because Debian 12 does not have it.
    Newer,
}

/// One package, what proves that it is there, and why the tests want it.
struct Package {
    /// Its name in Debian 12.
    name: &'static str,
    /// A file it brings; a bare name is looked up like a program, a path as it stands.
    witness: &'static str,
    /// How it gets there.
    how: How,
    /// Why the tests need it.
    reason: &'static str,
}

/// A package that apt installs.
const fn install(name: &'static str, witness: &'static str, reason: &'static str) -> Package {
    Package { name, witness, how: How::Install, reason }
}

/// A package that is unpacked beside the system.
const fn unpack(name: &'static str, witness: &'static str, reason: &'static str) -> Package {
    Package { name, witness, how: How::Unpack, reason }
}

/// A package that is unpacked beside the system from a newer suite.
const fn newer(name: &'static str, witness: &'static str, reason: &'static str) -> Package {
    Package { name, witness, how: How::Newer, reason }
}

/// Where Debian 12 keeps shared libraries on this architecture.
#[cfg(target_arch = "aarch64")]
macro_rules! library {
    ($name:literal) => {
        concat!("/usr/lib/aarch64-linux-gnu/", $name)
    };
}
/// Where Debian 12 keeps shared libraries on this architecture.
#[cfg(not(target_arch = "aarch64"))]
macro_rules! library {
    ($name:literal) => {
        concat!("/usr/lib/x86_64-linux-gnu/", $name)
    };
}

/// What the tests need.
const TESTS: &[Package] = &[
    // Makers and judges of certificates.
    install(
        "openssl",
        "openssl",
        "makes every certificate of the lab and is the judge of what a server served",
    ),
    install("gnutls-bin", "gnutls-serv", "a second TLS stack: any priority string, Ed448, odd curves"),
    install("default-jre-headless", "keytool", "writes the JKS, JCEKS and PKCS#12 stores of the Java world"),
    install("openssh-server", "sshd", "the far host of the ssh deployer"),
    install("openssh-client", "ssh", "its way there, and the maker of its keys"),
    install("busybox", "busybox", "all tools of a small far host"),
    // Other clients of CAs, whose accounts are taken over.
    install("certbot", "certbot", "makes an account at a CA, with an RSA key as a JWK"),
    install("lego", "lego", "makes an account at a CA, with a key in SEC1"),
    // Web servers and proxies.
    install(
        "nginx-light",
        "nginx",
        "the most common place of a certificate: names, vhosts, client certificates",
    ),
    install("apache2", "apache2", "the second web server; graceful reload"),
    install("haproxy", "haproxy", "one file with chain and key; hitless reload"),
    // Mail.
    install("postfix", "/usr/lib/postfix/sbin/smtpd", "SMTP with STARTTLS, submission and smtps"),
    install("dovecot-imapd", "/usr/lib/dovecot/imap", "IMAP with STARTTLS, and imaps"),
    install("dovecot-pop3d", "/usr/lib/dovecot/pop3", "POP3 with STLS, and pop3s"),
    install("dovecot-lmtpd", "/usr/lib/dovecot/lmtp", "LMTP with STARTTLS"),
    install("dovecot-managesieved", "/usr/lib/dovecot/managesieve", "ManageSieve with STARTTLS"),
    // Directories and databases.
    install("slapd", "slapd", "LDAP with StartTLS, and ldaps"),
    install("ldap-utils", "ldapmodify", "tells slapd to read its certificate again"),
    install(
        "postgresql-15",
        "/usr/lib/postgresql/15/bin/postgres",
        "the SSLRequest handshake; also a store of ours",
    ),
    install("mariadb-server", "mariadbd", "TLS inside the MySQL handshake"),
    install("redis-server", "redis-server", "TLS on a port of its own"),
    install("mosquitto", "mosquitto", "MQTT over TLS"),
    // Files, talk, news and desktops.
    unpack("vsftpd", "/usr/sbin/vsftpd", "FTP with AUTH TLS that never reloads (excludes proftpd)"),
    install("libwrap0", library!("libwrap.so.0"), "a library of vsftpd, which is only unpacked"),
    unpack(
        "proftpd-core",
        "/usr/sbin/proftpd",
        "FTP with AUTH TLS that reads its files per session (excludes vsftpd)",
    ),
    unpack("proftpd-mod-crypto", "/usr/lib/proftpd/mod_tls.so", "the TLS module of proftpd"),
    install("libhiredis0.14", library!("libhiredis.so.0.14"), "a library of proftpd, which is only unpacked"),
    install("libmemcached11", library!("libmemcached.so.11"), "a library of proftpd, which is only unpacked"),
    install(
        "libmemcachedutil2",
        library!("libmemcachedutil.so.2"),
        "a library of proftpd, which is only unpacked",
    ),
    install(
        "libpcre2-posix3",
        library!("libpcre2-posix.so.3"),
        "a library of proftpd, which is only unpacked",
    ),
    install("prosody", "prosody", "XMPP with STARTTLS, for clients and for servers"),
    install("inspircd", "inspircd", "IRC with STARTTLS, and TLS on a port of its own"),
    unpack(
        "inn2",
        "/usr/lib/news/bin/nnrpd",
        "NNTP with STARTTLS; its reader runs alone, the news system is not wanted",
    ),
    unpack("inn2-inews", "/usr/lib/news/libinn.so.9", "a library of inn2"),
    install("libcanlock3", library!("libcanlock.so.3"), "a library of inn2, which is only unpacked"),
    install("libpython3.11", library!("libpython3.11.so.1.0"), "a library of inn2, which is only unpacked"),
    install("libperl5.36", library!("libperl.so.5.36"), "a library of inn2, which is only unpacked"),
    install("xrdp", "xrdp", "RDP: TLS after an X.224 exchange"),
    // Servers that certificates are installed for.
    install("caddy", "caddy", "reads again when it is told to, even what did not change"),
    install("etcd-server", "etcd", "reads its certificate for each connection"),
    install("hitch", "hitch", "one file with key and chain"),
    install("lighttpd", "lighttpd", "a web server with a file for each"),
    install("lighttpd-mod-openssl", "/usr/lib/lighttpd/mod_openssl.so", "the TLS module of lighttpd"),
    install("nats-server", "nats-server", "TLS after a line of the server"),
    install("rabbitmq-server", "rabbitmq-server", "forgets its certificate when it is told to"),
    install("stunnel4", "stunnel4", "TLS in front of others"),
    install("tomcat10", "/usr/lib/systemd/system/tomcat10.service", "reads its certificate once"),
    install("unbound", "unbound", "DNS over TLS that never reloads"),
    unpack("exim4-daemon-light", "/usr/sbin/exim4", "watches its certificate (excludes postfix)"),
    install("libidn12", library!("libidn.so.12"), "a library of exim, which is only unpacked"),
    install("iproute2", "ip", "brings the loopback of a machine of its own up"),
    install("util-linux", "unshare", "makes a machine of its own"),
    // Names.
    install("dnsmasq-base", "dnsmasq", "a real DNS server with names of several addresses"),
    install("bind9", "named", "gives zones away by transfer, and answers for them"),
    install("bind9-utils", "dnssec-signzone", "signs zones with any dates"),
    install("bind9-dnsutils", "dig", "asks one name server, and sends it updates (nsupdate)"),
    install("knot", "knotd", "takes dynamic updates for dns-01, and hands them on"),
    install("pdns-server", "pdns_server", "a name server with an HTTP API, for dns-01"),
    install("pdns-backend-lmdb", library!("pdns/liblmdbbackend.so"), "where PowerDNS keeps zones"),
    install("systemd", "systemd-analyze", "judges the unit"),
    install("e2fsprogs", "mkfs.ext4", "makes the disk that becomes read-only"),
    install("strace", "strace", "kills and fails system calls of a renewal"),
    install("libfaketime", library!("faketime/libfaketimeMT.so.1"), "a clock that is set ahead"),
    install("procps", "pgrep", "finds what a command left running"),
    install("zip", "zip", "packs archives"),
    install("cpio", "cpio", "packs archives"),
    install("xz-utils", "xz", "packs archives"),
    install("zstd", "zstd", "packs archives"),
    install("rpm", "rpmbuild", "builds a package of the Red Hat world"),
    // Sinks of notifications.
    install(
        "prometheus-alertmanager",
        "prometheus-alertmanager",
        "takes alerts and shows which of them fire",
    ),
    newer("ntfy", "/usr/bin/ntfy", "takes push messages and gives them back"),
    newer(
        "pebble",
        "/usr/bin/pebble-challtestsrv",
        "an ACME CA that validates for real; Debian 12's is older and lacks ARI, profiles and this DNS server",
    ),
    newer("caddy", "/usr/bin/caddy", "a second ACME CA; Debian 12's does not ask the resolver it is given"),
    newer(
        "acme.sh",
        "/usr/share/acme.sh/acme.sh",
        "reads its own dnsapi scripts, as ours does; Debian 12 has none",
    ),
    install("chromium", "chromium", "looks at every page as a person's browser does"),
    install("chromium-driver", "chromedriver", "clicks through the pages (W3C WebDriver)"),
    install("prometheus", "promtool", "scrapes us and fires on our series; promtool judges the metrics"),
    install("nagios4-core", "nagios4", "runs `notafter check` as its plugin"),
    install("python3-venv", "python3", "the environment of aiosmtpd, a mail server"),
    // Peers whose verdict ours is compared with.
    install(
        "monitoring-plugins-basic",
        "/usr/lib/nagios/plugins/check_http",
        "parity of days and exit codes",
    ),
    install(
        "monitoring-plugins-contrib",
        "/usr/lib/nagios/plugins/check_ssl_cert",
        "parity of days and exit codes",
    ),
    install("bind9-host", "host", "a program without which check_ssl_cert refuses to run"),
];

/// What only the benchmarks need.
const BENCH: &[Package] = &[
    install("ripgrep", "rg", "the floor for reading a file tree"),
    install("golang-go", "go", "builds the scanner whose speed ours is compared with"),
];

/// What the drill needs: makers, servers and judges of things with dates.
const DRILL: &[Package] = &[
    install("openssl", "openssl", "the client and judge of most scenes"),
    install("nginx-light", "nginx", "serves most scenes, on many addresses at once"),
    install("default-jre-headless", "keytool", "writes the store that nobody can open"),
    install("default-jdk-headless", "jarsigner", "signs a jar without a timestamp"),
    install("osslsigncode", "osslsigncode", "signs a program for Windows, with and without a timestamp"),
    install("gpg", "gpg", "makes and extends the key of a repository, and judges with another clock"),
    install("gpg-agent", "gpg-agent", "without which gpg signs nothing"),
    install("faketime", "faketime", "a clock ahead, for clients that have no option for it"),
    install("curl", "curl", "the client of scenes over HTTP"),
    install("python3", "python3", "plays a mail server, an API, a registry, a partner"),
    install("bind9", "named", "serves the zone of all scenes, and its transfer"),
    install("bind9-utils", "dnssec-signzone", "signs a zone with any dates, and verifies it"),
    install("bind9-dnsutils", "dig", "asks a registry's name server"),
];

/// What the drill compares with, for `--peers`: each may be missing.
const PEERS: &[Package] = &[
    install(
        "monitoring-plugins-contrib",
        "/usr/lib/nagios/plugins/check_ssl_cert",
        "a peer: one endpoint or file at a time",
    ),
    install("bind9-host", "host", "a program without which check_ssl_cert refuses to run"),
    install("ssl-cert-check", "ssl-cert-check", "a peer: one endpoint or file at a time"),
    install(
        "prometheus-blackbox-exporter",
        "prometheus-blackbox-exporter",
        "a peer: one endpoint at a time, as metrics",
    ),
];

/// What the chaos compares with.
const CHAOS: &[Package] = &[install("lego", "lego", "a peer: renews, sixteen at once")];

/// How long we wait for another apt to finish.
const PATIENCE: Duration = Duration::from_secs(600);

/// Installs or unpacks what the tests need and this machine lacks.
pub fn ensure() -> Result<(), String> {
    ensure_all(TESTS)?;
    python::ensure()
}

/// Installs what the benchmarks need on top of the tests.
pub fn ensure_bench() -> Result<(), String> {
    ensure_all(BENCH)
}

/// Installs what the drill needs.
pub fn ensure_drill() -> Result<(), String> {
    ensure_all(DRILL)
}

/// Installs what the drill compares with. What cannot be had is said, with the reason, and left out.
pub fn ensure_peers() {
    for package in PEERS {
        if let Err(why) = ensure_all(std::slice::from_ref(package)) {
            say(&format!("peers: {} cannot be had and is NOT RUN: {}", package.name, why.trim()));
        }
    }
}

/// Installs what the chaos compares with. What cannot be had is said, with the reason, and left out.
pub fn ensure_chaos() {
    if let Err(why) = ensure_all(CHAOS) {
        say(&format!("chaos: lego cannot be had and is NOT RUN: {}", why.trim()));
    }
}

/// Looks for every package of the list, and gets the missing ones.
fn ensure_all(list: &[Package]) -> Result<(), String> {
    let missing: Vec<&Package> = list.iter().filter(|package| !is_there(package)).collect();
    if missing.is_empty() {
        say(&format!("packages: all {} are there", list.len()));
        return Ok(());
    }
    for package in &missing {
        say(&format!("packages: missing {}: {}", package.name, package.reason));
    }
    let pick = |how| missing.iter().filter(|p| p.how == how).map(|p| p.name).collect::<Vec<_>>();
    let (install, unpack, newer) = (pick(How::Install), pick(How::Unpack), pick(How::Newer));

    if !is_root() && !install.is_empty() {
        return Err(by_hand(&install));
    }
    let began = Instant::now();
    if is_root() {
        apt(&["update"])?;
    }
    if !install.is_empty() {
        let _quiet = QuietInstall::begin()?;
        let mut arguments = vec!["install", "-y", "--no-install-recommends", "--no-remove"];
        arguments.extend(&install);
        apt(&arguments)?;
    }
    for name in &unpack {
        unpack_beside(name, &[])?;
    }
    if !newer.is_empty() {
        let options = newer::sources()?;
        for name in &newer {
            unpack_beside(name, &options)?;
        }
    }
    say(&format!("packages: {} done in {:.1} s", missing.len(), began.elapsed().as_secs_f64()));

    match missing.iter().find(|package| !is_there(package)) {
        None => Ok(()),
        Some(package) => Err(format!("{} was installed, yet {} is not there", package.name, package.witness)),
    }
}

/// Whether the package's witness can be found, on the system or unpacked.
fn is_there(package: &Package) -> bool {
    if package.witness.starts_with('/') {
        // Where a newer one is wanted, the system's own is not it.
        return (package.how != How::Newer && Path::new(package.witness).exists())
            || unpacked(package.name).join(&package.witness[1..]).exists();
    }
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .any(|folder| Path::new(folder).join(package.witness).exists())
}

/// Where a package is unpacked to. The lab looks there too.
fn unpacked(name: &str) -> PathBuf {
    workspace().join("target/lab/unpacked").join(name)
}

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Whether we run as root, which installing needs.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// What somebody without root is told to do.
fn by_hand(install: &[&str]) -> String {
    format!(
        "{} packages are missing and only root can install them.\n\
         hint: run this, then try again:\n  \
         sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive \
         apt-get install -y --no-install-recommends --no-remove {}",
        install.len(),
        install.join(" ")
    )
}

/// Downloads one package and unpacks it beside the system. The options say from where, if not from where apt would.
fn unpack_beside(name: &str, options: &[String]) -> Result<(), String> {
    let folder = unpacked(name);
    // Unpacked under another name first, so that an interrupted run leaves nothing that looks complete.
    let fresh = folder.with_extension("new");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;

    let mut arguments: Vec<&str> = options.iter().map(String::as_str).collect();
    arguments.extend(["-o", "APT::Sandbox::User=root", "download", name]);
    run("apt-get", &arguments, &fresh)?;
    let archive = fs::read_dir(&fresh)
        .map_err(|error| error.to_string())?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| format!("apt-get download {name} brought no archive"))?;
    run("dpkg", &["-x", &archive.to_string_lossy(), "."], &fresh)?;

    let _ = fs::remove_file(&archive);
    let _ = fs::remove_dir_all(&folder);
    fs::rename(&fresh, &folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    say(&format!("packages: unpacked {name} into {}", folder.display()));
    Ok(())
}

/// Runs apt-get and waits for another one that holds its locks.
fn apt(arguments: &[&str]) -> Result<(), String> {
    let began = Instant::now();
    // The option waits for the package database; the lists have a lock of their own, for which we try again.
    let mut all = vec!["-o", "DPkg::Lock::Timeout=600"];
    all.extend(arguments);
    loop {
        let Err(error) = run("apt-get", &all, workspace()) else { return Ok(()) };
        let locked = error.contains("Could not get lock") || error.contains("is another process using it");
        if !locked || began.elapsed() > PATIENCE {
            return Err(error);
        }
        say("packages: another apt is running, waiting");
        thread::sleep(Duration::from_secs(2));
    }
}

/// Runs one program to its end, and gives the end of what it printed if it failed.
fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<(), String> {
    say(&format!("packages: {program} {}", arguments.join(" ")));
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
    printed += &String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = printed.lines().collect();
    let tail = lines[lines.len().saturating_sub(15)..].join("\n");
    Err(format!("{program} {}: {}\n{tail}", arguments.join(" "), output.status))
}

/// While it lives, packages are installed without their daemons being started.
struct QuietInstall {
    /// Whether the file is ours to remove.
    ours: bool,
}

impl QuietInstall {
    /// The file that Debian's install scripts ask before they start anything.
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    /// Forbids starts, unless the machine already has a policy.
    fn begin() -> Result<Self, String> {
        if Path::new(Self::POLICY).exists() {
            return Ok(Self { ours: false });
        }
        fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n")
            .and_then(|()| fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755)))
            .map_err(|error| format!("{}: {error}", Self::POLICY))?;
        Ok(Self { ours: true })
    }
}

impl Drop for QuietInstall {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}

/// Tells the person at the terminal what happens; standard output is for what a task was asked.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}
