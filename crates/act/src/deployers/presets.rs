//! Servers, one row each: where they read, in what layout, how to check and reload them, and how they pick up a change.
//!
//! Data. `preset = "nginx"` in a target fills what is not given there; `adopt` and the guide read the same rows. What a
//! row says about picking up was measured against the real server where the note names a version, and is its manual's
//! word (`doc`) otherwise. In a command, `{certificate}` and `{key}` stand for the paths of the target.

/// One server.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// `preset = "..."`.
    pub name: &'static str,
    /// Its directives for certificate and key.
    pub reads: &'static str,
    /// What it wants in them.
    pub layout: Layout,
    /// Settings and paths that the server reads when its configuration names none.
    pub paths: &'static [(&'static str, &'static str)],
    /// Says whether it would start. Empty: it has no such command.
    pub check: &'static [&'static str],
    /// Makes it read the new files. Empty: it does by itself.
    pub reload: &'static [&'static str],
    /// How it picks up new files.
    pub pick_up: PickUp,
    /// What else one has to know.
    pub note: &'static str,
    /// Its manual.
    pub doc: &'static str,
}

/// How certificate and key lie in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// All in one file: `combined`.
    Combined,
    /// `certificate` with the intermediates after it, and `key`.
    Separate,
    /// `certificate` alone, `chain`, and `key`.
    ChainFile,
}

/// How a server comes to use what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickUp {
    /// When it is told to reload.
    Reload,
    /// Only when it is started again: connections break.
    Restart,
    /// With the next connection.
    NextConnection,
    /// It watches the files.
    Watches,
}

impl Layout {
    /// The settings of a target that it takes.
    pub fn settings(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Separate => "certificate, key",
            Self::ChainFile => "certificate, chain, key",
        }
    }
}

impl PickUp {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::NextConnection => "next connection",
            Self::Watches => "watches the files",
        }
    }
}

/// Every server, by name.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "apache",
        reads: "SSLCertificateFile, SSLCertificateKeyFile",
        layout: Layout::Separate,
        paths: &[],
        check: &["apachectl", "configtest"],
        reload: &["apachectl", "graceful"],
        pick_up: PickUp::Reload,
        note: "before 2.4.8 the intermediates are read from SSLCertificateChainFile: set `chain`",
        doc: "https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#sslcertificatefile",
    },
    Preset {
        name: "caddy",
        reads: "tls CERT KEY",
        layout: Layout::Separate,
        paths: &[],
        check: &["caddy", "validate", "--config", "/etc/caddy/Caddyfile"],
        reload: &["caddy", "reload", "--force", "--config", "/etc/caddy/Caddyfile"],
        pick_up: PickUp::Reload,
        note: "without --force a configuration that did not change is not loaded again (measured with 2.6)",
        doc: "https://caddyserver.com/docs/command-line#caddy-reload",
    },
    Preset {
        name: "dovecot",
        reads: "ssl_cert, ssl_key (2.4: ssl_server_cert_file, ssl_server_key_file)",
        layout: Layout::Separate,
        paths: &[],
        check: &["doveconf", "-n"],
        reload: &["doveadm", "reload"],
        pick_up: PickUp::Reload,
        note: "measured with 2.3",
        doc: "https://doc.dovecot.org/2.3/configuration_manual/dovecot_ssl_configuration/",
    },
    Preset {
        name: "etcd",
        reads: "--cert-file, --key-file, --peer-cert-file, --peer-key-file",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &[],
        pick_up: PickUp::NextConnection,
        note: "read anew at each handshake (measured with 3.4)",
        doc: "https://etcd.io/docs/v3.5/op-guide/security/",
    },
    Preset {
        name: "exim",
        reads: "tls_certificate, tls_privatekey",
        layout: Layout::Separate,
        paths: &[],
        check: &["exim", "-bV"],
        reload: &[],
        pick_up: PickUp::Watches,
        note: "seen about four seconds after the files changed (measured with 4.96)",
        doc: "https://www.exim.org/exim-html-current/doc/html/spec_html/ch-encrypted_smtp_connections_using_tlsssl.html",
    },
    Preset {
        name: "haproxy",
        reads: "bind ... ssl crt FILE",
        layout: Layout::Combined,
        paths: &[],
        check: &["haproxy", "-c", "-f", "/etc/haproxy/haproxy.cfg"],
        reload: &["systemctl", "reload", "haproxy"],
        pick_up: PickUp::Reload,
        note: "with `haproxy_socket` the running process is told as well, and no connection is touched; then reload = [\"true\"] spares the reload",
        doc: "https://docs.haproxy.org/2.6/management.html#9.3-set%20ssl%20cert",
    },
    Preset {
        name: "hitch",
        reads: "pem-file",
        layout: Layout::Combined,
        paths: &[],
        check: &["hitch", "--test", "--config=/etc/hitch/hitch.conf"],
        reload: &["systemctl", "reload", "hitch"],
        pick_up: PickUp::Reload,
        note: "SIGHUP; it reads again only a file that is younger than the one it has read, and files that are put back are dated anew for that; measured with 1.7",
        doc: "https://github.com/varnish/hitch/blob/master/docs/configuration.md",
    },
    Preset {
        name: "lighttpd",
        reads: "ssl.pemfile, ssl.privkey",
        layout: Layout::Separate,
        paths: &[],
        check: &["lighttpd", "-tt", "-f", "/etc/lighttpd/lighttpd.conf"],
        reload: &["systemctl", "restart", "lighttpd"],
        pick_up: PickUp::Restart,
        note: "a reload (SIGUSR1, from 1.4.46 on) reads them too, but ends the server where its own account cannot read the key; where ssl.privkey is not set, ssl.pemfile holds the key too: set `combined`",
        doc: "https://redmine.lighttpd.net/projects/lighttpd/wiki/Docs_SSL",
    },
    Preset {
        name: "mariadb",
        reads: "ssl_cert, ssl_key",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["mariadb", "-e", "FLUSH SSL"],
        pick_up: PickUp::Reload,
        note: "FLUSH SSL is known from 10.4 on and needs the RELOAD privilege; the key must be readable by mysql; measured with 10.11",
        doc: "https://mariadb.com/kb/en/flush/",
    },
    Preset {
        name: "mosquitto",
        reads: "certfile, keyfile",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["systemctl", "reload", "mosquitto"],
        pick_up: PickUp::Reload,
        note: "SIGHUP, from 2.0 on; measured with 2.0",
        doc: "https://mosquitto.org/blog/2015/12/using-lets-encrypt-certificates-with-mosquitto",
    },
    Preset {
        name: "mysql",
        reads: "ssl_cert, ssl_key",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["mysql", "-e", "ALTER INSTANCE RELOAD TLS"],
        pick_up: PickUp::Reload,
        note: "needs the CONNECTION_ADMIN privilege; open connections keep the old certificate; a pair that does not fit is refused and the old one stays in use; measured with 9.7",
        doc: "https://dev.mysql.com/doc/refman/8.0/en/alter-instance.html",
    },
    Preset {
        name: "nats",
        reads: "tls { cert_file, key_file }",
        layout: Layout::Separate,
        paths: &[],
        check: &["nats-server", "-t", "-c", "/etc/nats-server.conf"],
        reload: &["nats-server", "--signal", "reload"],
        pick_up: PickUp::Reload,
        note: "SIGHUP; measured with 2.9",
        doc: "https://docs.nats.io/running-a-nats-service/nats_admin/signals",
    },
    Preset {
        name: "nginx",
        reads: "ssl_certificate, ssl_certificate_key",
        layout: Layout::Separate,
        paths: &[],
        check: &["nginx", "-t"],
        reload: &["nginx", "-s", "reload"],
        pick_up: PickUp::Reload,
        note: "a reload that the new processes refuse leaves the old ones at work and exits 0: only the proof tells",
        doc: "https://nginx.org/en/docs/control.html",
    },
    Preset {
        name: "postfix",
        reads: "smtpd_tls_cert_file, smtpd_tls_key_file; from 3.4 on smtpd_tls_chain_files",
        layout: Layout::Separate,
        paths: &[],
        check: &["postfix", "check"],
        reload: &["postfix", "reload"],
        pick_up: PickUp::Reload,
        note: "for smtpd_tls_chain_files set `combined`: it wants the key first, as is the default here",
        doc: "https://www.postfix.org/postconf.5.html#smtpd_tls_chain_files",
    },
    Preset {
        name: "postgresql",
        reads: "ssl_cert_file, ssl_key_file",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["systemctl", "reload", "postgresql"],
        pick_up: PickUp::Reload,
        note: "the key belongs to the database's account with 0600, or to root with 0640; a reload with files in error is ignored and only logged",
        doc: "https://www.postgresql.org/docs/current/ssl-tcp.html",
    },
    Preset {
        name: "proftpd",
        reads: "TLSRSACertificateFile, TLSRSACertificateKeyFile (TLSEC... for elliptic curves), TLSCertificateChainFile",
        layout: Layout::ChainFile,
        paths: &[],
        check: &["proftpd", "-t"],
        reload: &["systemctl", "reload", "proftpd"],
        pick_up: PickUp::NextConnection,
        note: "read by each session (measured with 1.3.8); the reload is for the log",
        doc: "http://www.proftpd.org/docs/contrib/mod_tls.html",
    },
    Preset {
        name: "prosody",
        reads: "ssl = { certificate, key }, or the folder of `certificates`",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["prosodyctl", "reload"],
        pick_up: PickUp::Reload,
        note: "SIGHUP; the key must be readable by prosody; measured with 0.12",
        doc: "https://prosody.im/doc/certificates",
    },
    Preset {
        name: "rabbitmq",
        reads: "ssl_options.certfile, ssl_options.keyfile",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["rabbitmqctl", "eval", "ssl:clear_pem_cache()."],
        pick_up: PickUp::Reload,
        note: "Erlang keeps files for two minutes, which the command cuts short; measured with 3.10",
        doc: "https://www.rabbitmq.com/docs/ssl",
    },
    Preset {
        name: "redis",
        reads: "tls-cert-file, tls-key-file",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &[
            "redis-cli",
            "-e",
            "CONFIG",
            "SET",
            "tls-cert-file",
            "{certificate}",
            "tls-key-file",
            "{key}",
        ],
        pick_up: PickUp::Reload,
        note: "several at once, and -e, are known from 7.0 on (measured with 7.0); a server with a password or without a plain port needs a reload of its own",
        doc: "https://redis.io/docs/latest/operate/oss_and_stack/management/security/encryption/",
    },
    Preset {
        name: "slapd",
        reads: "olcTLSCertificateFile, olcTLSCertificateKeyFile",
        layout: Layout::Separate,
        paths: &[],
        check: &["slaptest", "-u"],
        reload: &["systemctl", "restart", "slapd"],
        pick_up: PickUp::Restart,
        note: "without a restart: replace both attributes by the same paths with ldapmodify (measured with 2.5)",
        doc: "https://www.openldap.org/doc/admin26/tls.html",
    },
    Preset {
        name: "stunnel",
        reads: "cert, key",
        layout: Layout::Separate,
        paths: &[],
        check: &[],
        reload: &["systemctl", "reload", "stunnel4"],
        pick_up: PickUp::Reload,
        note: "SIGHUP; the name of the service differs between distributions; measured with 5.68",
        doc: "https://www.stunnel.org/static/stunnel.html",
    },
    Preset {
        name: "tomcat",
        reads: "certificateFile, certificateKeyFile, certificateChainFile; certificateKeystoreFile for `pkcs12` and `jks`",
        layout: Layout::ChainFile,
        paths: &[],
        check: &[],
        reload: &["systemctl", "restart", "tomcat10"],
        pick_up: PickUp::Restart,
        note: "a store rewritten is not read again (measured with 10.1); the name of the service ends with the version",
        doc: "https://tomcat.apache.org/tomcat-10.1-doc/config/http.html",
    },
    Preset {
        name: "unbound",
        reads: "tls-service-pem, tls-service-key",
        layout: Layout::Separate,
        paths: &[],
        check: &["unbound-checkconf"],
        reload: &["systemctl", "restart", "unbound"],
        pick_up: PickUp::Restart,
        note: "unbound-control reload does not read them again (measured with 1.17)",
        doc: "https://unbound.docs.nlnetlabs.nl/en/latest/manpages/unbound.conf.html",
    },
    Preset {
        name: "vsftpd",
        reads: "rsa_cert_file, rsa_private_key_file",
        layout: Layout::Combined,
        paths: &[("combined", "/usr/share/ssl/certs/vsftpd.pem")],
        check: &[],
        reload: &["systemctl", "restart", "vsftpd"],
        pick_up: PickUp::Restart,
        note: "SIGHUP does not read them again (measured with 3.0.3)",
        doc: "https://security.appspot.com/vsftpd/vsftpd_conf.html",
    },
];

/// The commands of a server whose configuration is not where its preset takes it to be.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere {
    /// The preset's name.
    pub preset: &'static str,
    /// Main files, as patterns, for which the preset's own commands are right.
    pub usual: &'static [&'static str],
    /// Says whether it would start. `{config}` stands for its main file, `{folder}` for the folder of that. Empty: it has
    /// no such command.
    pub check: &'static [&'static str],
    /// Makes it read the new files. Empty: no command is known that needs nothing but the configuration.
    pub reload: &'static [&'static str],
    /// Which process that tells.
    pub reaches: Reaches,
    /// What else the program of these commands is called, or what calls it with its environment: the first of them that a
    /// machine has is run in its place.
    pub also: &'static [&'static str],
}

/// How a reload finds the process that it tells. A machine may have several of one kind, and a copy of a configuration
/// leads to the process of the original.
#[derive(Clone, Copy, Debug)]
pub enum Reaches {
    /// There is no reload for a configuration elsewhere.
    None,
    /// By the number in a file that a directive of the main file names; `tail` stands behind its value.
    Process {
        /// The directive.
        directive: &'static str,
        /// What stands behind its value.
        tail: &'static str,
    },
    /// By the folder of its configuration, which two of them cannot share while they run.
    Folder,
    /// By an address that a directive of the main file names.
    Address {
        /// The directive.
        directive: &'static str,
        /// Values that are the machine's own.
        usual: &'static [&'static str],
    },
}

/// What is known of servers that were started with a configuration of their own, from their manuals. A preset whose
/// commands reach one service has a row, and one without takes any main file that its reader knows.
pub const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        preset: "apache",
        usual: &[
            "/etc/apache2/apache2.conf",
            "/etc/httpd/conf/httpd.conf",
            "/usr/local/etc/apache24/httpd.conf",
        ],
        check: &["apache2", "-t", "-f", "{config}"],
        reload: &["apache2", "-k", "graceful", "-f", "{config}"],
        reaches: Reaches::Process { directive: "PidFile", tail: "" },
        // Debian's has settings like APACHE_RUN_DIR from its own script; elsewhere it is called by its own name.
        also: &["apache2ctl", "httpd"],
    },
    Elsewhere {
        preset: "caddy",
        usual: &["/etc/caddy/Caddyfile"],
        check: &["caddy", "validate", "--config", "{config}"],
        reload: &["caddy", "reload", "--force", "--config", "{config}"],
        reaches: Reaches::Address {
            directive: "admin",
            usual: &["localhost:2019", "127.0.0.1:2019", "[::1]:2019", ":2019"],
        },
        also: &[],
    },
    Elsewhere {
        preset: "dovecot",
        usual: &["/etc/dovecot/dovecot.conf", "/usr/local/etc/dovecot/dovecot.conf"],
        check: &["doveconf", "-c", "{config}", "-n"],
        reload: &["doveadm", "-c", "{config}", "reload"],
        reaches: Reaches::Process { directive: "base_dir", tail: "/master.pid" },
        also: &[],
    },
    Elsewhere {
        preset: "haproxy",
        usual: &["/etc/haproxy/haproxy.cfg"],
        check: &["haproxy", "-c", "-f", "{config}"],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "hitch",
        usual: &["/etc/hitch/hitch.conf"],
        check: &["hitch", "--test", "--config={config}"],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "lighttpd",
        usual: &["/etc/lighttpd/lighttpd.conf"],
        check: &["lighttpd", "-tt", "-f", "{config}"],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "mariadb",
        usual: &["/etc/mysql/my.cnf", "/etc/my.cnf", "/usr/local/etc/my.cnf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "mosquitto",
        usual: &["/etc/mosquitto/mosquitto.conf", "/usr/local/etc/mosquitto/mosquitto.conf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "mysql",
        usual: &["/etc/mysql/my.cnf", "/etc/my.cnf", "/usr/local/etc/my.cnf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "nats",
        usual: &["/etc/nats-server.conf"],
        check: &["nats-server", "-t", "-c", "{config}"],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "nginx",
        usual: &["/etc/nginx/nginx.conf", "/usr/local/etc/nginx/nginx.conf"],
        check: &["nginx", "-t", "-c", "{config}"],
        reload: &["nginx", "-s", "reload", "-c", "{config}"],
        reaches: Reaches::Process { directive: "pid", tail: "" },
        also: &[],
    },
    Elsewhere {
        preset: "postfix",
        usual: &["/etc/postfix/main.cf", "/usr/local/etc/postfix/main.cf"],
        check: &["postfix", "-c", "{folder}", "check"],
        reload: &["postfix", "-c", "{folder}", "reload"],
        reaches: Reaches::Folder,
        also: &[],
    },
    Elsewhere {
        preset: "postgresql",
        usual: &["/etc/postgresql/*/*/postgresql.conf", "/var/lib/pgsql/data/postgresql.conf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "proftpd",
        usual: &["/etc/proftpd/proftpd.conf", "/etc/proftpd.conf"],
        check: &["proftpd", "-t", "-c", "{config}"],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "prosody",
        usual: &["/etc/prosody/prosody.cfg.lua"],
        check: &[],
        reload: &["prosodyctl", "--config", "{config}", "reload"],
        reaches: Reaches::Process { directive: "pidfile", tail: "" },
        also: &[],
    },
    Elsewhere {
        preset: "rabbitmq",
        usual: &[
            "/etc/rabbitmq/rabbitmq.conf",
            "/etc/rabbitmq/rabbitmq.config",
            "/etc/rabbitmq/advanced.config",
        ],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "redis",
        usual: &["/etc/redis/redis.conf", "/etc/redis.conf", "/usr/local/etc/redis.conf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "slapd",
        usual: &[
            "/etc/ldap/slapd.d/cn=config.ldif",
            "/etc/openldap/slapd.d/cn=config.ldif",
            "/etc/ldap/slapd.conf",
            "/etc/openldap/slapd.conf",
        ],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "stunnel",
        usual: &["/etc/stunnel/*.conf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "tomcat",
        usual: &["/etc/tomcat10/server.xml", "/var/lib/tomcat10/conf/server.xml"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "unbound",
        usual: &["/etc/unbound/unbound.conf"],
        check: &["unbound-checkconf", "{config}"],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
    Elsewhere {
        preset: "vsftpd",
        usual: &["/etc/vsftpd.conf", "/etc/vsftpd/vsftpd.conf"],
        check: &[],
        reload: &[],
        reaches: Reaches::None,
        also: &[],
    },
];

/// The row of this name.
///
/// # Errors
/// A sentence that names the nearest one.
pub fn find(name: &str) -> Result<&'static Preset, String> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let hint = match crate::settings::nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the presets are {}", names.join(", ")),
        };
        format!("there is no preset `{}`\nhint: {hint}", name.escape_debug())
    })
}

/// The table of the guide.
pub fn table() -> String {
    let mut out = String::from(
        "| `preset` | reads | settings | check | reload | picks up | note |\n|---|---|---|---|---|---|---|\n",
    );
    let command =
        |argv: &[&str]| if argv.is_empty() { "none".to_owned() } else { format!("`{}`", argv.join(" ")) };
    for p in PRESETS {
        out.push_str(&format!(
            "| [{}]({}) | {} | {} | {} | {} | {} | {} |\n",
            p.name,
            p.doc,
            p.reads,
            p.layout.settings(),
            command(p.check),
            command(p.reload),
            p.pick_up.as_str(),
            p.note
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_whole() {
        assert!(PRESETS.is_sorted_by_key(|p| p.name));
        for p in PRESETS {
            assert!(!p.reads.is_empty() && p.doc.starts_with("http") && !p.note.contains('|'), "{}", p.name);
            let tells = p.reload.is_empty() == matches!(p.pick_up, PickUp::NextConnection | PickUp::Watches);
            assert!(tells || p.name == "proftpd", "{}: reload and pick_up disagree", p.name);
            for argv in [p.check, p.reload].into_iter().filter(|argv| !argv.is_empty()) {
                let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
                super::super::command::check_argv(&argv).unwrap();
            }
        }
        assert!(find("nginxx").unwrap_err().contains("did you mean `nginx`?"));
        assert!(ELSEWHERE.is_sorted_by_key(|row| row.preset));
        // Whoever tells a service, or a client's usual server, says for which main file.
        for p in PRESETS.iter().filter(|p| !p.reload.is_empty()) {
            assert!(ELSEWHERE.iter().any(|row| row.preset == p.name), "{}", p.name);
        }
        for row in ELSEWHERE {
            assert!(find(row.preset).is_ok() && !row.usual.is_empty(), "{row:?}");
            assert_eq!(row.reload.is_empty(), matches!(row.reaches, Reaches::None), "{row:?}");
        }
    }

    #[test]
    fn the_guide_has_the_same_table() {
        let guide = include_str!("../../../../docs/guide/deploy.md");
        assert!(guide.contains(&table()), "docs/guide/deploy.md: put this table there\n{}", table());
    }
}
