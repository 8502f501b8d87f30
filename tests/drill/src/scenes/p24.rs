//! P24: the team that is told left long ago, and its mailbox refuses.

use notafter_lab::{NotRun, Port, program};

use crate::client::{self, Said};
use crate::program::{Program, Seen, findings};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx, python};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p24/scene.toml"), build, client: fails, look: Some(lives) };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("www", 1);
    let path = site.install("etc/nginx/www", &site.subject(&[&name]));
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path)])?;
    let mut relay = python("smtp.py")?;
    // A relay without TLS that knows who works here.
    relay.arg(site.address(2, 1).ip().to_string()).arg(site.port(1).to_string());
    site.serve("relay", relay, &[site.address(2, 1)])?;
    let mailbox = if site.twin { "web-team" } else { "old-team" };
    let address = format!("{mailbox}@drill.test");
    site.hide("mailbox", &address);
    site.write(
        "staff.csv",
        "team,mailbox,state\nweb,web-team@drill.test,here\nold,old-team@drill.test,dissolved\n",
    );
    site.tls_place(1, 0, &name);
    Ok(())
}

/// The server's life: it looks, it tells, and it should notice that nobody is there. Its clock is at the moment.
fn lives(site: &Site, program: &Program, at: i64) -> Result<Seen, NotRun> {
    let folder = site.work.join(format!("serve-{at}"));
    let made = std::fs::create_dir_all(&folder);
    made.map_err(|error| NotRun::new("serve", error.to_string()))?;
    let port = Port::free();
    let mailbox = std::fs::read_to_string(site.work.join("mailbox")).unwrap_or_default();
    let config = format!(
        "[server]\nlisten = \"{0}\"\ndata = \"{1}/data\"\nroots = [\"{2}\"]\n\n[[source]]\nkind = \"network\"\ntargets = \
         [\"tls://{3}?sni={4}\"]\nevery = \"1h\"\n\n[[owner]]\nname = \"team-{5}\"\nmatch = [\"name:*.{5}.drill.test\"]\n\
         notify = [\"mail:{mailbox}\"]\n\n[[owner]]\nname = \"platform\"\ndefault = true\nnotify = \
         [\"mail:platform@drill.test\"]\n\n[[notifier]]\nname = \"mail\"\nkind = \"email\"\nserver = \"{6}\"\n\
         tls = \"none\"\nfrom = \"notafter@drill.test\"\n",
        port.local(),
        folder.display(),
        program.folder.join("roots.pem").display(),
        site.address(1, 0),
        site.fqdn("www"),
        site.id,
        site.address(2, 1)
    );
    let path = folder.join("notafter.toml");
    std::fs::write(&path, config).map_err(|error| NotRun::new("serve", error.to_string()))?;
    let mut command = client::ahead(program.command(), at - notafter_lab::calendar::now())?;
    command.args(["serve", "--config"]).arg(&path);
    let server = notafter_lab::server::attend("serve", &folder, command, &[port.local()])?;
    let mut seen = Seen::new();
    // It looks at once; before it tells, it may wait a while for what belongs to the same story.
    for _ in 0..65 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        seen = asked(site, &port.local().to_string())?;
        if seen
            .iter()
            .any(|finding| finding.kind == "owner-unreachable" || finding.kind == "alert-undelivered")
        {
            break;
        }
    }
    drop(server);
    Ok(seen)
}

/// What the running server has found.
fn asked(site: &Site, address: &str) -> Result<Seen, NotRun> {
    let mut curl = site.command("curl")?;
    curl.args(["-sSf", &format!("http://{address}/api/v1/findings?limit=100")]);
    let text = program::run(&mut curl)?.text();
    let all: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| NotRun::new("findings", e.to_string()))?;
    let mut seen = findings(&serde_json::json!({"findings": all["items"]}).to_string())?;
    for finding in &mut seen {
        // It is about the team: that is where it is.
        if finding.locations.is_empty() {
            finding.locations.push(format!("owner team at {}", site.fqdn("www")));
        }
    }
    Ok(seen)
}

/// Whether anybody would have read it.
fn fails(site: &Site, _at: i64) -> Result<Said, NotRun> {
    let mut mail = python("greet.py")?;
    mail.arg(site.address(2, 1).ip().to_string()).arg(site.port(1).to_string());
    mail.arg(std::fs::read_to_string(site.work.join("mailbox")).unwrap_or_default());
    client::content(&mut mail, "")
}
