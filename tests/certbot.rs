//! A machine on which certbot renews one certificate, as files below a folder. Shared by the end-to-end tests.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use notafter_lab::calendar::DAY;
use notafter_lab::{Authority, Request};

/// An instant so many seconds from now.
fn from_now(seconds: i64) -> i64 {
    notafter_lab::calendar::now() + seconds
}

/// certbot's state below a folder that stands for a machine: a lineage of a certificate that has lived for so many of
/// its ninety days, a line of cron, and a log that says this of its last runs.
pub(crate) fn machine(
    machine: &Path,
    authority: &Authority,
    request: &Request,
    lived: i64,
    cron: bool,
    log: &str,
) -> String {
    let leaf =
        authority.issue(&request.clone().between(from_now(-lived * DAY), from_now((90 - lived) * DAY)));
    let write = |path: &str, text: &str| {
        let path = machine.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    write("etc/letsencrypt/archive/a/fullchain1.pem", &read(&leaf.fullchain_pem));
    write("etc/letsencrypt/archive/a/privkey1.pem", &read(&leaf.key_pem));
    let key = machine.join("etc/letsencrypt/archive/a/privkey1.pem");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(key, private).unwrap();
    let live = machine.join("etc/letsencrypt/live/a");
    std::fs::create_dir_all(&live).unwrap();
    let mut conf = "version = 2.1.0\narchive_dir = /etc/letsencrypt/archive/a\n".to_owned();
    for kind in ["fullchain", "privkey"] {
        let target = format!("../../archive/a/{kind}1.pem");
        std::os::unix::fs::symlink(target, live.join(format!("{kind}.pem"))).unwrap();
        conf += &format!("{kind} = /etc/letsencrypt/live/a/{kind}.pem\n");
    }
    conf += "[renewalparams]\nauthenticator = dns-x\ndns_x_credentials = /etc/x.ini\n";
    write("etc/letsencrypt/renewal/a.conf", &conf);
    write("etc/x.ini", "dns_x_token = 0123456789012345678901234567890123456789\n");
    write("etc/cron.d/other", "5 5 * * * root /bin/true # a machine with cron that has other things to do\n");
    if cron {
        write("etc/cron.d/certbot", "0 */12 * * * root certbot -q renew --no-random-sleep-on-renew\n");
    }
    write("var/log/letsencrypt/letsencrypt.log", log);
    machine.to_string_lossy().into_owned()
}

/// A line of certbot's log, so many days ago.
pub(crate) fn said(days: i64, text: &str) -> String {
    let at = notafter_lab::calendar::generalized(from_now(-days * DAY - 60));
    let (time, date) = (&at[8..], date(&at));
    format!("{date} {}:{}:{},000:{text}\n", &time[..2], &time[2..4], &time[4..6])
}

/// `2026-12-01` of `20261201...`.
pub(crate) fn date(at: &str) -> String {
    format!("{}-{}-{}", &at[..4], &at[4..6], &at[6..8])
}
