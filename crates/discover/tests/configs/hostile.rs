//! Mutations of configurations that are met in the world: nothing panics and nothing takes long.

use std::path::{Path, PathBuf};

use notafter_discover::configs::{SERVERS, read_with};
use notafter_discover::renewers::{self, RENEWERS};
use notafter_discover::tree::{Entry, Tree};

/// Texts that use much of each syntax.
const SEEDS: &[&str] = &[
    "http { include /y; map $ssl_server_name $c { default a; ~b c; } server { listen [::]:443-445 ssl; ssl_certificate /c/${c}.pem; content_by_lua_block { [[ } ]] } } }",
    "Define a b\n<VirtualHost *:443 [::1]:*>\nInclude /y\nSSLCertificateFile ${a} \\\n x\n<Macro M $x>\nUse M $x$x\n</Macro>\nUse M ${a}\n</VirtualHost>\n",
    "global\n setenv A \"${B}x\"\n.if !defined(A)\n.else\nfrontend f\n bind :443,quic6@[::]:1-9 ssl crt \"$A\" crt-list /y\n ssl-f-use crt @s/x sni *.a\ncrt-store s\n load crt x alias x\n.endif\n",
    "a = ${b?{$c}:{d}}\nsmtpd_tls_chain_files = $a,\n ${e:/f}\nsmtpd_use_tls = yes\ntls_server_sni_maps = inline:{ a=b c, {d=e} } hash:/y\n",
    "protocols = $protocols imap\nssl_cert = </a # b\nlocal_name \"a b\" {\n protocol imap {\n ssl_key = <b\n}\n}\n!include /y\nservice x {\n inet_listener y {\n ssl = yes\n port=1\n}\n}\n",
    "{\n https_port 1\n}\n(s) {\n tls {args[0]} `b\n`\n}\na.b, c:1 {\n import s {$X:y}\n import /y\n bind 1.2.3.4 x\n}\n",
    "tls:\n  certificates: [{certFile: a, \"keyFile\": 'b''c'}]\n  stores: &x {default: *x}\nentryPoints:\n- - a: |\n    b\n  c: >-\n  d\n",
    "{\"apps\":{\"tls\":{\"certificates\":{\"load_files\":[{\"certificate\":\"\\u00e9\",\"key\":null}]}}},\"le\":{\"Certificates\":[{\"domain\":{\"main\":\"x\"}}]}}",
    "$SERVER[\"socket\"] == \"[::]:443\" { ssl.engine = \"enable\"\n ssl.pemfile = var.a + \"b\" }\ninclude \"/y\"\n",
    "A = B\nB = A A\n.ifdef A\ntls_certificate = ${if {A}{/b}}\n.include /y\nlocal_interfaces = <; ::1 ; 1.2.3.4.5\n.endif\n",
    "<Server><Connector port='1' SSLEnabled=\"true\" keystoreFile=\"${a:-b}&amp;\"><SSLHostConfig><Certificate certificateFile='x'/><!-- --></Connector>",
    "[{rabbit,[{ssl_listeners,[{\"::1\",5671}]},{ssl_options,[{certfile,\"a\\\"b\"}]}]}]. % x",
    "[a]\naccept = [::1]:1\nsni = a:b\ninclude = /\ncert=x\n[mysqld]\n!includedir /\nssl-cert=\"x\" # y\nssl = on\nssl_cert_file 'a''b'\ninclude_dir '/'\n",
    "listener 8883 ::1\ncertfile é\nconnection x\ninclude_dir /\n<ca>\nx\n</ca>\ndev tun\ncert [inline]\nconfig /y\nremote a 1\n",
    "static_resources:\n  listeners:\n  - address: {socket_address: {address: ::, port_value: 1}}\n    filter_chains: [{tls_context: {common_tls_context: {tls_certificates: [{certificate_chain: {filename: x}}]}}}]\n",
    "[renewalparams]\nserver = a://b\naccount = c\nfullchain = /x\n[[webroot_map]]\n2025-11-20 03:14:07,1:ERROR:a:b:/renewal/a.conf (failure)\n[Thu Nov 20 00:10:00 UTC 2025] Renewing: 'a'\nLe_Domain='a'\n",
];

struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        // Knuth's constants: the same mutations in every run.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most.max(1)
    }
}

fn mutated(dice: &mut Dice) -> Vec<u8> {
    let mut text = SEEDS[dice.below(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..dice.below(8) {
        let at = dice.below(text.len());
        match dice.below(5) {
            0 => text.truncate(at),
            1 => text.insert(at, b"{}[]<>\"'\\$#;=:\n /\xc3\xa9,*&|-"[dice.below(24)]),
            2 if at < text.len() => {
                text.remove(at);
            }
            3 => {
                let end = at + dice.below(text.len() - at.min(text.len()));
                let part = text[at.min(end)..end].to_vec();
                text.splice(at..at, part);
            }
            _ => {
                let other = SEEDS[dice.below(SEEDS.len())].as_bytes();
                let from = dice.below(other.len());
                text.truncate(at);
                text.extend_from_slice(&other[from..]);
            }
        }
    }
    text
}

#[test]
fn mutations_never_panic() {
    let mut dice = Dice(7);
    let (mut servings, mut blind) = (0, 0);
    for round in 0..1000 {
        let (text, second) = (mutated(&mut dice), mutated(&mut dice));
        let path = ["/x.conf", "/x.json", "/x.toml", "/x.config", "/slapd.ldif"][round % 5];
        let tree = Tree::memory([
            (PathBuf::from(path), Entry::file(&text)),
            ("/y".into(), Entry::file(&second)),
            ("/master.cf".into(), Entry::file(&second)),
        ]);
        for server in SERVERS {
            let found = read_with(&tree, server, Path::new(path));
            found.servings.iter().for_each(|s| drop(s.links(&tree)));
            servings += found.servings.len();
            blind += found.blind.len();
        }
        let files = [
            "/h/renewal/a.conf",
            "/h/a/a.conf",
            "/h/certificates/a.json",
            "/h/certificates/b/a/a.json",
            "/h/domains.txt",
            "/h/config",
            "/h/acme.sh.log",
            "/var/log/letsencrypt/letsencrypt.log",
        ];
        let both = [&text, &second];
        let tree =
            Tree::memory(files.iter().enumerate().map(|(n, f)| (PathBuf::from(f), Entry::file(both[n % 2]))));
        for renewer in RENEWERS {
            renewers::read_with(&tree, renewer, Path::new("/h"));
        }
    }
    // Much of it is still read, and what is not is said.
    assert!(servings > 500 && blind > 1000, "{servings} servings, {blind} blind spots");
}
