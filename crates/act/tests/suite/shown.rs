//! What people see, by channel: one snapshot each.

use notafter_core::notice::{Event, Notice};
use notafter_lab::Lab;

use crate::{notice, preview, table};

fn check(name: &str, to: Option<&str>, notice: &Notice) {
    let lab = Lab::new("shown");
    let secret = lab.path().join("secret");
    std::fs::write(&secret, "123456:s3cret\n").unwrap();
    let url = "https://hooks.example.com/hidden-path";
    insta::assert_snapshot!(name, preview(name, table(name, url, &secret), to, notice));
}

#[test]
fn previews() {
    let notice = notice(Event::Alert);
    for name in [
        "alertmanager",
        "discord",
        "email",
        "exec",
        "ntfy",
        "opsgenie",
        "pagerduty",
        "slack",
        "teams",
        "telegram",
        "webhook",
    ] {
        check(name, None, &notice);
    }
}
