//! RabbitMQ: AMQP over TLS. Erlang keeps what it has read of files for a while, and can be told to forget it.
//!
//! Its node is found by name through a program of its own on a fixed port (epmd), so that it is at home in a machine of its
//! own (`machine.rs`).

use std::process::Command;

use super::{account, command, configure, folder_of, install, only_root};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a RabbitMQ whose node is `rabbit@localhost`.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "rabbitmq", 2, |folder, ports| {
        only_root("rabbitmq")?;
        let owner = account("rabbitmq")?;
        install("rabbitmq", folder, leaf, owner)?;
        folder_of(&folder.join("data"), 0o750, owner)?;
        configure(folder, "rabbitmq.conf", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        configure(folder, "plugins", "[].\n", &[]);
        let mut rabbit = command("rabbitmq-server")?;
        let data = folder.join("data");
        let at = |command: &mut Command| {
            command.env("RABBITMQ_NODENAME", "rabbit@localhost").env("ERL_EPMD_ADDRESS", "127.0.0.1");
            command.env("RABBITMQ_DIST_PORT", ports[1].number().to_string());
        };
        at(&mut rabbit);
        rabbit.env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf")).env("RABBITMQ_MNESIA_BASE", &data);
        rabbit.env("RABBITMQ_LOG_BASE", &data).env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"));
        let reload = || {
            let mut tell = command("rabbitmqctl")?;
            tell.args(["-n", "rabbit@localhost", "eval", "ssl:clear_pem_cache()."]);
            program::run(&mut tell).map(drop)
        };
        let endpoints = vec![local("amqps", &ports[0], Starttls::Direct)];
        let mut recipe = Recipe::new(rabbit, endpoints, Reload::Call(Box::new(reload)));
        recipe.owner = owner;
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "listeners.tcp = none
listeners.ssl.default = 127.0.0.1:@PORT@
ssl_options.certfile = @DIR@/tls/fullchain.pem
ssl_options.keyfile = @DIR@/tls/key.pem
ssl_options.verify = verify_none
ssl_options.fail_if_no_peer_cert = false
";
