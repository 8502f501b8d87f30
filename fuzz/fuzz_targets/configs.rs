//! Configurations of every server: the first byte says which, the rest is the text, which may include itself
//! and the other file that is there.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use notafter_discover::configs::{SERVERS, read_with, recognise};
use notafter_discover::tree::{Entry, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let server = &SERVERS[usize::from(*which) % SERVERS.len()];
    let (first, second) = text.split_at(text.len() / 2);
    let path = if which & 0x80 == 0 { "/etc/x.conf" } else { "/etc/x.json" };
    let tree = Tree::memory([
        (path.into(), Entry::file(text)),
        ("/etc/a".into(), Entry::file(first)),
        ("/etc/b".into(), Entry::file(second)),
        ("/etc/master.cf".into(), Entry::file(second)),
        ("/etc/link".into(), Entry::link("a")),
    ]);
    let found = read_with(&tree, server, Path::new(path));
    for serving in &found.servings {
        let _ = serving.links(&tree);
    }
    let _ = (found.missing(&tree).len(), recognise(Path::new(path), text).map(|s| s.name));
});
