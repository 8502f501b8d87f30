//! Mosquitto: MQTT over TLS.

use super::{command, configure, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts a Mosquitto.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "mosquitto", 1, |folder, ports| {
        let mut mosquitto = command("mosquitto")?;
        install("mosquitto", folder, leaf, None)?;
        configure(folder, "mosquitto.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        mosquitto.arg("-c").arg(folder.join("mosquitto.conf"));
        Ok(Recipe::new(mosquitto, vec![local("mqtts", &ports[0], Starttls::Direct)], Reload::Signal("HUP")))
    })
}

/// The configuration. Started by root it would otherwise become an account that cannot read the key again.
const TEMPLATE: &str = "user root
listener @PORT@ 127.0.0.1
allow_anonymous true
certfile @DIR@/tls/fullchain.pem
keyfile @DIR@/tls/key.pem
ciphers DEFAULT:@SECLEVEL=0
";
