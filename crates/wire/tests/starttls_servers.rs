//! STARTTLS and kin against real servers where they are installed, and scripted preludes elsewhere.
//!
//! A scripted peer speaks the plaintext part byte by byte as its standard says and then hands the
//! connection to a real `openssl s_server`. Real servers mostly want root, to give their files away.

#[path = "support/lab.rs"]
mod lab;

use lab::*;
use notafter_wire::starttls::{Protocol, tds};
use notafter_wire::tls::grab::{Starttls, Target};
use notafter_wire::tls::prove::{Possession, prove};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

/// Asks by name and by what `Auto` makes of the port; both must find the certificate.
fn check(protocol: Protocol, port: u16, leaf: &str) {
    let named = grab(Target { starttls: Starttls::Named(protocol), ..target(port) });
    let text = summary(&named);
    assert!(text.contains(leaf) && text.starts_with("03"), "{protocol} by name: {text}");
    assert_eq!((named.protocol, named.attempts), (Some(protocol), 1));
    let target = Target { starttls: Starttls::Named(protocol), ..target(port) };
    let proved = prove(&target, &quick(), &*clock()).map(|proved| proved.possession);
    if text.starts_with("0304") {
        assert_eq!(proved, Ok(Possession::Verified), "{protocol}");
    }
    say(&format!("{protocol}: {text}, possession {proved:?}"));
}

/// What `Auto` makes of an unusual port.
fn check_auto(protocol: Protocol, port: u16, leaf: &str) {
    let auto = grab(Target { starttls: Starttls::Auto, ..target(port) });
    let text = summary(&auto);
    assert!(text.contains(leaf) && text.starts_with("03"), "{protocol} found by itself: {text}");
    assert_eq!(auto.protocol, Some(protocol), "{text}");
    say(&format!("{protocol} on an unusual port, {} connections: {text}", auto.attempts));
}

/// A directory that goes when its test is over.
struct Place(PathBuf);

impl std::ops::Deref for Place {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A directory that other users may enter, for servers that give up root.
fn open_directory(name: &str) -> Option<Place> {
    if run("id", &["-u"]) != b"0\n" {
        say(&format!("NOT RUN: {name} wants root to give its files away"));
        return None;
    }
    let directory = std::env::temp_dir().join(format!("wire-lab-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    run("chmod", &["755", &directory.display().to_string()]);
    let key = key("ec");
    std::fs::copy(&key.certificate, directory.join("tls.crt")).expect("a copy");
    std::fs::copy(&key.key, directory.join("tls.key")).expect("a copy");
    Some(Place(directory))
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(String::from).collect()
}

#[test]
fn vsftpd() {
    let Some(here) = present("vsftpd").then(|| open_directory("vsftpd")).flatten() else { return };
    let (port, d) = (free_port(), here.display());
    std::fs::create_dir_all(here.join("empty")).expect("a directory");
    let configuration = format!(
        "listen=YES\nlisten_ipv6=NO\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nseccomp_sandbox=NO\n\
         anonymous_enable=YES\nssl_enable=YES\nallow_anon_ssl=YES\nrsa_cert_file={d}/tls.crt\n\
         rsa_private_key_file={d}/tls.key\nsecure_chroot_dir={d}/empty\n"
    );
    std::fs::write(here.join("v.conf"), configuration).expect("a configuration");
    let Some(server) = serve("vsftpd", &words(&format!("{d}/v.conf")), port) else { return };
    check(Protocol::Ftp, server.port, "leaf ec");
    check_auto(Protocol::Ftp, server.port, "leaf ec");
}

#[test]
fn slapd() {
    let Some(here) = present("slapd").then(|| open_directory("slapd")).flatten() else { return };
    let (port, d) = (free_port(), here.display());
    let configuration = format!(
        "pidfile {d}/pid\nargsfile {d}/args\nTLSCertificateFile {d}/tls.crt\nTLSCertificateKeyFile {d}/tls.key\n\
         database config\nrootpw x\n"
    );
    std::fs::write(here.join("s.conf"), configuration).expect("a configuration");
    let line = format!("-d 0 -f {d}/s.conf -h ldap://127.0.0.1:{port}");
    let Some(server) = serve("slapd", &words(&line), port) else { return };
    check(Protocol::Ldap, server.port, "leaf ec");
    check_auto(Protocol::Ldap, server.port, "leaf ec");
}

#[test]
fn postgresql() {
    let Some(here) = present("initdb").then(|| open_directory("postgres")).flatten() else { return };
    let (port, d) = (free_port(), here.display());
    run("chown", &["-R", "postgres", &d.to_string()]);
    run("chmod", &["600", &format!("{d}/tls.key")]);
    let binaries = "/usr/lib/postgresql/15/bin";
    run("runuser", &["-u", "postgres", "--", &format!("{binaries}/initdb"), "-D", &format!("{d}/data")]);
    let line = format!(
        "-u postgres -- {binaries}/postgres -D {d}/data -p {port} -c listen_addresses=127.0.0.1 -c ssl=on \
         -c ssl_cert_file={d}/tls.crt -c ssl_key_file={d}/tls.key -c unix_socket_directories={d}"
    );
    let Some(server) = serve("runuser", &words(&line), port) else { return };
    check(Protocol::Postgres, server.port, "leaf ec");
    check_auto(Protocol::Postgres, server.port, "leaf ec");
}

#[test]
fn mariadb() {
    let Some(here) = present("mariadbd").then(|| open_directory("mariadb")).flatten() else { return };
    let (port, d) = (free_port(), here.display());
    run("chown", &["-R", "mysql", &d.to_string()]);
    run("mariadb-install-db", &["--no-defaults", "--user=mysql", &format!("--datadir={d}/data")]);
    let line = format!(
        "--no-defaults --user=mysql --datadir={d}/data --port={port} --bind-address=127.0.0.1 --socket={d}/sock \
         --pid-file={d}/pid --ssl-cert={d}/tls.crt --ssl-key={d}/tls.key"
    );
    let Some(server) = serve("mariadbd", &words(&line), port) else { return };
    check(Protocol::Mysql, server.port, "leaf ec");
    check_auto(Protocol::Mysql, server.port, "leaf ec");
}

#[test]
fn dovecot() {
    let Some(here) = present("dovecot").then(|| open_directory("dovecot")).flatten() else { return };
    let d = here.display();
    let has = |name: &str| PathBuf::from("/usr/lib/dovecot").join(name).exists();
    let mut services = String::new();
    let mut protocols = Vec::new();
    let mut ports = Vec::new();
    for (protocol, name, service, listener, off) in [
        (Protocol::Imap, "imap", "imap-login", "imap", "imaps"),
        (Protocol::Pop3, "pop3", "pop3-login", "pop3", "pop3s"),
        (Protocol::Sieve, "sieve", "managesieve-login", "sieve", ""),
        (Protocol::Lmtp, "lmtp", "lmtp", "lmtp", ""),
    ] {
        if !has(service) {
            say(&format!("NOT RUN: dovecot without {service}"));
            continue;
        }
        let port = free_port();
        let off =
            if off.is_empty() { String::new() } else { format!("inet_listener {off} {{\n port = 0\n }}\n") };
        services += &format!(
            "service {service} {{\n inet_listener {listener} {{\n address = 127.0.0.1\n port = {port}\n }}\n {off} }}\n"
        );
        protocols.push(name);
        ports.push((protocol, port));
    }
    let configuration = format!(
        "base_dir = {d}/run\nstate_dir = {d}/state\nlog_path = {d}/log\nprotocols = {}\nssl = yes\n\
         ssl_cert = <{d}/tls.crt\nssl_key = <{d}/tls.key\nmail_location = maildir:{d}/mail\n\
         passdb {{\n driver = static\n args = password=x\n}}\n\
         userdb {{\n driver = static\n args = uid=1000 gid=1000 home={d}\n}}\n{services}",
        protocols.join(" ")
    );
    std::fs::write(here.join("d.conf"), configuration).expect("a configuration");
    let Some(_server) = serve("dovecot", &words(&format!("-F -c {d}/d.conf")), ports[0].1) else { return };
    for (protocol, port) in ports {
        check(protocol, port, "leaf ec");
        check_auto(protocol, port, "leaf ec");
    }
}

#[test]
fn postfix() {
    let Some(here) = present("postfix").then(|| open_directory("postfix")).flatten() else { return };
    let (port, d) = (free_port(), here.display());
    let main = format!(
        "compatibility_level = 3.6\nqueue_directory = {d}/queue\ndata_directory = {d}/data\nmail_owner = postfix\n\
         setgid_group = postdrop\ncommand_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
         maillog_file = {d}/log\nmaillog_file_prefixes = {d}\nmyhostname = lab.example\ninet_interfaces = loopback-only\n\
         smtpd_tls_cert_file = {d}/tls.crt\nsmtpd_tls_key_file = {d}/tls.key\nsmtpd_tls_security_level = may\nalias_maps =\n\
         alias_database =\nmynetworks = 127.0.0.0/8\n"
    );
    let master = format!(
        "127.0.0.1:{port} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
         tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\n\
         anvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 postlogd\nproxymap unix - - n - - proxymap\n"
    );
    std::fs::create_dir_all(here.join("queue")).expect("a directory");
    std::fs::create_dir_all(here.join("data")).expect("a directory");
    run("chown", &["postfix", &format!("{d}/data")]);
    std::fs::write(here.join("main.cf"), main).expect("a configuration");
    std::fs::write(here.join("master.cf"), master).expect("a configuration");
    let Some(server) = serve("postfix", &words(&format!("-c {d} start-fg")), port) else { return };
    let end = || {
        // The master forks away from what we started.
        let _ = Command::new("postfix").args(["-c", &d.to_string(), "stop"]).output();
    };
    let result = std::panic::catch_unwind(|| {
        check(Protocol::Smtp, server.port, "leaf ec");
        check_auto(Protocol::Smtp, server.port, "leaf ec");
    });
    end();
    assert!(result.is_ok());
}

#[test]
fn prosody() {
    let Some(here) = present("prosody").then(|| open_directory("prosody")).flatten() else { return };
    let (clients, servers, d) = (free_port(), free_port(), here.display());
    let configuration = format!(
        "run_as_root = true\ndaemonize = false\npidfile = \"{d}/pid\"\ndata_path = \"{d}\"\nlog = \"{d}/log\"\n\
         interfaces = {{ \"127.0.0.1\" }}\nc2s_ports = {{ {clients} }}\ns2s_ports = {{ {servers} }}\n\
         c2s_direct_tls_ports = {{}}\ns2s_direct_tls_ports = {{}}\nhttp_ports = {{}}\nhttps_ports = {{}}\n\
         modules_enabled = {{ \"tls\"; \"saslauth\"; \"dialback\"; }}\nssl = {{ key = \"{d}/tls.key\"; certificate = \"{d}/tls.crt\"; }}\n\
         VirtualHost \"lab.example\"\n"
    );
    std::fs::write(here.join("p.lua"), configuration).expect("a configuration");
    let Some(_server) = serve("prosody", &words(&format!("--config {d}/p.lua -F")), clients) else { return };
    check(Protocol::Xmpp, clients, "leaf ec");
    check(Protocol::XmppServer, servers, "leaf ec");
    check_auto(Protocol::Xmpp, clients, "leaf ec");
}

#[test]
fn xrdp() {
    let Some(here) = present("xrdp").then(|| open_directory("xrdp")).flatten() else { return };
    let (port, d) = (free_port(), here.display());
    let configuration = format!(
        "[Globals]\nini_version=1\nfork=true\nport=tcp://127.0.0.1:{port}\nsecurity_layer=tls\ncrypt_level=high\n\
         certificate={d}/tls.crt\nkey_file={d}/tls.key\nssl_protocols=TLSv1.2, TLSv1.3\n[Logging]\nLogFile={d}/log\nEnableSyslog=false\n"
    );
    std::fs::write(here.join("x.ini"), configuration).expect("a configuration");
    let Some(server) = serve("xrdp", &words(&format!("--nodaemon --config {d}/x.ini")), port) else { return };
    check(Protocol::Rdp, server.port, "leaf ec");
}

/// A peer that plays a prelude (what it expects, what it answers) and then passes TLS on to `backend`.
fn scripted(prelude: Vec<(&'static [u8], Vec<u8>)>, backend: u16, in_tds: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let prelude = std::sync::Arc::new(prelude);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let prelude = prelude.clone();
            std::thread::spawn(move || play(client, &prelude, backend, in_tds));
        }
    });
    port
}

fn play(mut client: TcpStream, prelude: &[(&[u8], Vec<u8>)], backend: u16, in_tds: bool) -> Option<()> {
    let mut buffer = [0; 20_000];
    for (expected, answer) in prelude {
        if !expected.is_empty() {
            let count = client.read(&mut buffer).ok()?;
            if !buffer[..count].starts_with(expected) {
                return client.shutdown(Shutdown::Both).ok();
            }
        }
        client.write_all(answer).ok()?;
    }
    let mut server = TcpStream::connect(("127.0.0.1", backend)).ok()?;
    let mut hello = Vec::new();
    let count = client.read(&mut buffer).ok()?;
    match in_tds {
        false => hello.extend_from_slice(&buffer[..count]),
        true => assert!(tds::Unwrapper::default().feed(&buffer[..count], &mut hello)),
    }
    server.write_all(&hello).ok()?;
    let (mut from, to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    std::thread::spawn(move || {
        // s_server serves one connection at a time: let go of it when the client has left.
        while from.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
        let _ = to.shutdown(Shutdown::Both);
    });
    loop {
        let count = server.read(&mut buffer).ok().filter(|count| *count > 0)?;
        let mut out = Vec::new();
        match in_tds {
            false => out.extend_from_slice(&buffer[..count]),
            true => tds::wrap(&buffer[..count], &mut out),
        }
        client.write_all(&out).ok()?;
    }
}

#[test]
fn scripted_preludes() {
    let Some(backend) = s_server("-tls1_3 @rsa") else { return };
    let with = |prelude: Vec<(&'static [u8], Vec<u8>)>| scripted(prelude, backend.port, false);
    let line = |text: &str| text.as_bytes().to_vec();
    let lmtp = with(vec![
        (b"", line("220 lab LMTP ready\r\n")),
        (b"LHLO notafter\r\n", line("250-lab\r\n250-STARTTLS\r\n250 SIZE\r\n")),
        (b"STARTTLS\r\n", line("220 2.0.0 go\r\n")),
    ]);
    check(Protocol::Lmtp, lmtp, "leaf rsa");
    check_auto(Protocol::Lmtp, lmtp, "leaf rsa");
    let sieve = with(vec![
        (b"", line("\"IMPLEMENTATION\" \"lab\"\r\n\"STARTTLS\"\r\nOK\r\n")),
        (b"STARTTLS\r\n", line("OK \"begin\"\r\n")),
    ]);
    check(Protocol::Sieve, sieve, "leaf rsa");
    check_auto(Protocol::Sieve, sieve, "leaf rsa");
    let nntp = with(vec![(b"", line("200 lab ready\r\n")), (b"STARTTLS\r\n", line("382 go\r\n"))]);
    check(Protocol::Nntp, nntp, "leaf rsa");
    check_auto(Protocol::Nntp, nntp, "leaf rsa");
    let irc = with(vec![(b"STARTTLS\r\n", line(":lab NOTICE * :*** Looking up\r\n:lab 670 * :go\r\n"))]);
    check(Protocol::Irc, irc, "leaf rsa");
    let rdp = with(vec![(
        b"\x03\0\0\x13\x0e\xe0",
        b"\x03\0\0\x13\x0e\xd0\0\0\x12\x34\0\x02\x1f\x08\0\x01\0\0\0".to_vec(),
    )]);
    check(Protocol::Rdp, rdp, "leaf rsa");
    let prelogin =
        b"\x04\x01\0\x1a\0\0\x01\0\0\0\x0b\0\x06\x01\0\x11\0\x01\xff\x10\0\x07\xd0\0\0\x01".to_vec();
    let mssql = scripted(vec![(b"\x12\x01\0\x1a", prelogin)], backend.port, true);
    check(Protocol::Mssql, mssql, "leaf rsa");
    let Some(old) = s_server("-tls1_2 @rsa -cipher AES128-SHA") else { return };
    let smtp = scripted(
        vec![
            (b"", line("220-lab\r\n220 ESMTP\r\n")),
            (b"EHLO notafter\r\n", line("250-lab\r\n250 STARTTLS\r\n")),
            (b"STARTTLS\r\n", line("220 go\r\n250 injected\r\n")),
        ],
        old.port,
        false,
    );
    check(Protocol::Smtp, smtp, "leaf rsa");
}
