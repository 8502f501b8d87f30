//! P20: an access token in an environment file and a secret in a catalogue; the API takes neither after their end.

use notafter_lab::calendar::DAY;
use notafter_lab::{NotRun, program};

use crate::client::{self, Said};
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::servers::python;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p20/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let (from, until) = if site.twin { (site.t0, site.t0 + 7200) } else { (site.day(-365), site.t0) };
    let token = mint(from, until)?;
    let env =
        site.secret("srv/ci/.env", format!("API_URL=http://api.drill.test/\nAPI_TOKEN={token}\nLOG=debug\n"));
    let end = if site.twin { site.day(400) } else { site.t0 };
    let catalogue = site.write(
        "srv/ci/catalogue.json",
        format!(
            "{{\"value\": [{{\"displayName\": \"ci pipeline\", \"appId\": \"5c1d8a8e-0000-4000-8000-0000000000{:02}\", \
             \"passwordCredentials\": [{{\"displayName\": \"runner\", \"startDateTime\": \"{}\", \"endDateTime\": \"{}\", \
             \"keyId\": \"11111111-2222-4333-8444-555555555555\"}}]}}]}}\n",
            site.port(0) % 100,
            rfc3339(site.day(-365)),
            rfc3339(end)
        ),
    );
    // The same tokens, moved so that T0 is an hour ago: the API's clock is the real one.
    let now = site.t0 - 89 * DAY;
    site.hide("before", mint(now - 90 * DAY, now + DAY)?);
    site.hide(
        "after",
        if site.twin { mint(now - 3600, now + 3600)? } else { mint(now - 365 * DAY, now - 3600)? },
    );
    let address = site.address(1, 0);
    let mut api = python("token.py")?;
    api.arg("serve").arg(address.ip().to_string()).arg(address.port().to_string());
    site.serve("api", api, &[address])?;
    site.place(env);
    site.place(catalogue);
    Ok(())
}

/// A signed token, good from one instant to another.
fn mint(from: i64, until: i64) -> Result<String, NotRun> {
    let mut command = python("token.py")?;
    Ok(program::run(command.arg("mint").arg(from.to_string()).arg(until.to_string()))?
        .text()
        .trim()
        .to_owned())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let token = std::fs::read_to_string(site.work.join(if at < site.t0 { "before" } else { "after" }));
    let token = token.map_err(|error| NotRun::new("token", error.to_string()))?;
    let mut curl = site.command("curl")?;
    curl.args([
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "HTTP %{http_code}\n",
        "-H",
        &format!("Authorization: Bearer {token}"),
    ]);
    let said = client::content(curl.arg(format!("http://{}/", site.address(1, 0))), "HTTP ")?;
    Ok(Said::new(said.line == "HTTP 200", said.line))
}
