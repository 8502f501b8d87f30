//! Postfix: SMTP and submission with STARTTLS, and smtps. Runs as root only.

use super::{account, command, configure, folder_of, install, only_root};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a Postfix with its own queue; it delivers nothing.
///
/// # Errors
/// When it is not installed, does not start, or we are not root.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "postfix", 3, |folder, ports| {
        let mut postfix = command("postfix")?;
        only_root("postfix")?;
        install("postfix", folder, leaf, None)?;
        let etc = folder.join("etc");
        folder_of(&etc, 0o755, None)?;
        folder_of(&folder.join("queue"), 0o755, None)?;
        folder_of(&folder.join("data"), 0o700, account("postfix")?)?;
        configure(folder, "etc/main.cf", MAIN, &[]);
        let number = |index: usize| ports[index].number().to_string();
        let values = [("SMTP", number(0)), ("SUBMISSION", number(1)), ("SMTPS", number(2))];
        configure(folder, "etc/master.cf", MASTER, &values);

        postfix.arg("-c").arg(&etc).arg("start-fg");
        let reload = move || program::run(command("postfix")?.arg("-c").arg(&etc).arg("reload")).map(|_| ());
        let endpoints = vec![
            local("smtp", &ports[0], Starttls::Smtp),
            local("submission", &ports[1], Starttls::Smtp),
            local("smtps", &ports[2], Starttls::Direct),
        ];
        let mut recipe = Recipe::new(postfix, endpoints, Reload::Call(Box::new(reload)));
        recipe.logs.push(folder.join("mail.log"));
        Ok(recipe)
    })
}

/// The settings.
const MAIN: &str = "compatibility_level = 3.6
queue_directory = @DIR@/queue
data_directory = @DIR@/data
maillog_file = @DIR@/mail.log
maillog_file_prefixes = @DIR@
myhostname = srv.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
smtpd_tls_security_level = may
smtpd_tls_chain_files = @DIR@/tls/key.pem, @DIR@/tls/fullchain.pem
smtpd_tls_loglevel = 1
";

/// The services.
const MASTER: &str = "127.0.0.1:@SMTP@ inet n - n - - smtpd
127.0.0.1:@SUBMISSION@ inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
127.0.0.1:@SMTPS@ inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
";
