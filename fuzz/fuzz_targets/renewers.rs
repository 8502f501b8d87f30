//! State of every renewer: the first byte says whose, the rest is what stands in each of its files.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use notafter_discover::renewers::{RENEWERS, read_with};
use notafter_discover::tree::{Entry, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let renewer = &RENEWERS[usize::from(*which) % RENEWERS.len()];
    let (first, second) = text.split_at(text.len() / 2);
    let files = [
        ("/h/renewal/a.conf", first),
        ("/h/cli.ini", second),
        ("/var/log/letsencrypt/letsencrypt.log", second),
        ("/h/a.test/a.test.conf", first),
        ("/h/account.conf", second),
        ("/h/acme.sh.log", second),
        ("/h/certificates/a.json", first),
        ("/h/certificates/ca/a/a.json", first),
        ("/h/config", first),
        ("/h/domains.txt", second),
        ("/etc/cron.d/x", second),
        ("/etc/systemd/system/certbot.timer", second),
    ];
    let tree = Tree::memory(files.map(|(path, text)| (path.into(), Entry::file(text))));
    let found = read_with(&tree, renewer, Path::new("/h"));
    let _ = (found.renewed.len(), found.blind.len());
});
