//! Dovecot: IMAP, POP3, LMTP and ManageSieve with STARTTLS, and imaps and pop3s. Runs as root only.

use std::fs;

use super::{command, configure, install, only_root};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a Dovecot with one mailbox for everybody.
///
/// # Errors
/// When it or one of its protocols is not installed, does not start, or we are not root.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "dovecot", 6, |folder, ports| {
        let mut dovecot = command("dovecot")?;
        for protocol in ["imap", "pop3", "lmtp", "managesieve"] {
            let path = format!("/usr/lib/dovecot/{protocol}");
            if !fs::exists(&path).unwrap_or(false) {
                return Err(NotRun::new("dovecot", format!("{path} is not installed")));
            }
        }
        only_root("dovecot")?;
        install("dovecot", folder, leaf, None)?;
        let words = ["IMAP", "IMAPS", "POP3", "POP3S", "LMTP", "SIEVE"];
        let values: Vec<_> =
            words.iter().zip(ports).map(|(&word, port)| (word, port.number().to_string())).collect();
        configure(folder, "dovecot.conf", TEMPLATE, &values);

        let conf = folder.join("dovecot.conf");
        dovecot.arg("-F").arg("-c").arg(&conf);
        let reload = move || program::run(command("doveadm")?.arg("-c").arg(&conf).arg("reload")).map(|_| ());
        let endpoints = vec![
            local("imap", &ports[0], Starttls::Imap),
            local("imaps", &ports[1], Starttls::Direct),
            local("pop3", &ports[2], Starttls::Pop3),
            local("pop3s", &ports[3], Starttls::Direct),
            local("lmtp", &ports[4], Starttls::Lmtp),
            local("sieve", &ports[5], Starttls::Sieve),
        ];
        let mut recipe = Recipe::new(dovecot, endpoints, Reload::Call(Box::new(reload)));
        recipe.logs.push(folder.join("dovecot.log"));
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "protocols = imap pop3 lmtp sieve
listen = 127.0.0.1
base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/dovecot.log
mail_location = maildir:@DIR@/mail
ssl = yes
ssl_cert = <@DIR@/tls/fullchain.pem
ssl_key = <@DIR@/tls/key.pem
ssl_cipher_list = DEFAULT:@SECLEVEL=0
passdb {
  driver = static
  args = password=lab
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=@DIR@/mail
}
service imap-login {
  inet_listener imap {
    port = @IMAP@
  }
  inet_listener imaps {
    port = @IMAPS@
    ssl = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    port = @POP3@
  }
  inet_listener pop3s {
    port = @POP3S@
    ssl = yes
  }
}
service lmtp {
  inet_listener lmtp {
    port = @LMTP@
  }
}
service managesieve-login {
  inet_listener sieve {
    port = @SIEVE@
  }
}
";
