//! etcd: a store whose clients come by TLS. It reads its certificate for each connection.

use super::{command, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server};

/// Starts an etcd of one member.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "etcd", 2, |folder, ports| {
        let mut etcd = command("etcd")?;
        install("etcd", folder, leaf, None)?;
        let (client, peer) = (ports[0].local(), ports[1].local());
        etcd.arg("--data-dir").arg(folder.join("data"));
        etcd.arg("--cert-file").arg(folder.join("tls/fullchain.pem"));
        etcd.arg("--key-file").arg(folder.join("tls/key.pem"));
        etcd.args(["--name", "lab", "--initial-cluster", &format!("lab=http://{peer}")]);
        etcd.args(["--listen-peer-urls", &format!("http://{peer}")]);
        etcd.args(["--initial-advertise-peer-urls", &format!("http://{peer}")]);
        etcd.args(["--listen-client-urls", &format!("https://{client}")]);
        etcd.args(["--advertise-client-urls", &format!("https://{client}")]);
        let endpoints = vec![local("etcd", &ports[0], Starttls::Direct)];
        Ok(Recipe::new(etcd, endpoints, Reload::Itself))
    })
}
