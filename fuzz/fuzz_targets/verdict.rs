//! Certificates of any kind as a chain: judged by every profile, and searched for a path, both with a budget.

#![no_main]

use libfuzzer_sys::fuzz_target;
use notafter_pki::certificate::Certificate;
use notafter_pki::chain::{Client, Graph};
use notafter_pki::container::{Limits, open};
use notafter_pki::time::UnixTime;
use notafter_pki::verdict::{Profile, Purpose, Question, Rules, ServerName, judge};

fuzz_target!(|bytes: &[u8]| {
    let opened = open(bytes, &[], &Limits { found: 16, ..Limits::default() });
    let all: Vec<Certificate<'_>> =
        opened.certificates().filter_map(|der| Certificate::parse(der).ok()).collect();
    let Some((leaf, sent)) = all.split_first() else { return };
    let name = "a.test".parse::<ServerName>().ok();
    for profile in [Profile::Common, Profile::Rfc5280, Profile::WebPki] {
        let question = Question {
            leaf: *leaf,
            sent,
            anchors: &all[all.len() / 2..],
            name: name.as_ref(),
            at: UnixTime(1_700_000_000),
            purpose: Purpose::Server,
            crls: &[],
            rules: Rules { profile, ..Rules::default() },
        };
        let _ = judge(&question).is_trusted();
    }
    let mut graph = Graph::new();
    for certificate in sent {
        graph.add(*certificate, 1);
    }
    let _ = graph.best_path_of(Client { trusts: 1, only_sent: false }, leaf, &[]);
});
