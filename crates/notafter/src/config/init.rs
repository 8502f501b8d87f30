//! What `notafter config init` writes: every table with its meaning, switched off by a comment.

/// The file.
pub(crate) const TEXT: &str = r##"# Notafter. Everything here has a default: without this file, `notafter serve` looks at this machine.
# Check it with: notafter config check

[server]
# listen = "127.0.0.1:4747"            # any other address needs a public_url with https, and behind_proxy
# public_url = "https://certs.example.com"   # for links in messages
# behind_proxy = false                 # a proxy in front speaks https for us
# open_reads = true                    # no token for pages and metrics; the default where only this machine can ask
# data = "./notafter-data"
# database = "postgres://notafter@localhost/notafter"   # instead of the file in the data folder
# gone_after = "7d"                    # a place unseen for so long: its owner is asked whether it is gone
# digest = "mon 08:00"                 # the week's summary, UTC; "off" for none
# roots = ["/etc/ssl/our-root.pem"]    # trusted here besides the usual roots

# Where to look. With any [[source]], only these are looked at.
# [[source]]
# kind = "network"
# targets = ["localhost", "example.com", "10.0.0.0/24", "smtp://mail.example.com:25"]
# ports = [443, 8443, "9000-9100"]     # for targets that name none
# every = "1h"
#
# [[source]]
# kind = "files"
# paths = ["/etc", "/opt"]
# every = "6h"
# password_file = ["/etc/notafter/keystore-passwords"]
#
# [[source]]
# kind = "domain"                      # asks public registries (RDAP, WHOIS) about these names
# domains = ["example.com"]
# every = "1d"

# Channels to people. Secrets are named, never written here: { env = "X" }, { file = "/path" }, { credential = "x" }.
# [[notifier]]
# name = "mail"
# kind = "email"
# server = "smtp.example.com:587"
# tls = "starttls"
# from = "notafter@example.com"
# user = "notafter"
# password = { env = "SMTP_PASSWORD" }
#
# [[notifier]]
# name = "oncall"
# kind = "webhook"
# url = "https://hooks.example.com/notafter"
# secret = { env = "HOOK_SECRET" }
# severity = "critical"                # only what is critical

# Who answers for what: the first that matches. One should be the default.
# [[owner]]
# name = "web"
# match = ["name:*.example.com", "location:10.0.3.0/24", "path:/etc/nginx/**"]
# notify = ["mail:web@example.com", "oncall"]
# escalate_to = "platform"
# escalate_after = "8h"
# needs_days = 14                      # how long a replacement takes them
#
# [[owner]]
# name = "platform"
# notify = ["mail:platform@example.com"]
# default = true

# [[absence]]
# owner = "web"
# from = "2026-12-20"
# until = "2027-01-06"

# A date that no source can see.
# [[manual]]
# name = "contract with the payment partner"
# deadline = "2027-03-01"
# owner = "web"
# note = "three months' notice"

# A counter that should move: what fails in silence shows by it.
# [[flow]]
# name = "records to the partner"
# file = "/var/log/partner/records.log"  # lines with a date, and a number or one line a record
# floor_per_hour = 10

# Rows of the status page.
# [[service]]
# name = "Sign-in"
# places = ["name:login.example.com"]
# public = true

# Told that this server lives; what is on the other side rings when it stops.
# [heartbeat]
# url = "https://hc.example.com/ping/..."
# every = "5m"

# [scan]
# exclude = ["10.0.0.13", "/srv/huge"]

# [policy]
# max_days = 200
# issuers = ["Let's Encrypt"]  # who may issue for our names

# [metrics]
# max_series = 20000

# Who issues certificates for what is kept alive here.
# [[issuer]]
# name = "letsencrypt"
# kind = "acme"
# directory = "https://acme-v02.api.letsencrypt.org/directory"
# contact = "mailto:certs@example.com"
# staging = "https://acme-staging-v02.api.letsencrypt.org/directory"  # where rehearsals order

# Renewed in time, installed, and done when it was seen in use at every place.
# [[certificate]]
# name = "api"
# names = ["api.example.com"]
# issuer = "letsencrypt"
# key = "ecdsa-p256"
# solver = { kind = "http-01", webroot = "/var/www/html" }
#
# [[certificate.target]]
# kind = "files"
# certificate = "/etc/nginx/api.pem"
# key = "/etc/nginx/api.key"
# check = ["nginx", "-t"]
# reload = ["systemctl", "reload", "nginx"]
# prove = ["tls://10.0.0.5:443?sni=api.example.com"]

# Another process installs, with rights that the server has not: `notafter act`, as root.
# [act]
# socket = "/run/notafter/act.sock"
# user = "notafter"                    # who may ask it, besides root

# When new ones may be installed.
# [[window]]
# match = ["name:*.example.com"]
# cron = "0 2 * * 2"
# duration = "2h"
# timezone = "Europe/Berlin"

# Nothing is installed meanwhile, unless a date comes first.
# [[freeze]]
# from = "2026-12-15"
# until = "2027-01-05"
# reason = "year-end freeze"
"##;

#[cfg(test)]
mod tests {
    /// Every line that is switched off must be right when it is switched on.
    #[test]
    fn the_commented_file_is_a_right_one() {
        let on: String = super::TEXT
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest)
                    if rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(k, _)| is_key(k)) =>
                {
                    format!("{rest}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let config = crate::config::parse(&on).unwrap();
        assert_eq!((config.source.len(), config.notifier.len(), config.owner.len()), (3, 2, 2));
        let kept = (config.issuer.len(), config.certificate.len(), config.window.len());
        assert_eq!(kept, (1, 1, 1));
        assert_eq!(config.certificate[0].target.len(), 1);
        assert!(config.act.socket.is_some());
        assert!(config.server.gone_after.is_some() && config.heartbeat.is_some());
    }

    fn is_key(text: &str) -> bool {
        text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
    }
}
