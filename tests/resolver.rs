//! A name server with a few names of its own and nothing else. Shared by the end-to-end tests.

use std::process::{Child, Command, Stdio};

use notafter_lab::{NotRun, Port, need};

/// A dnsmasq that knows a few names under `.lab` and nothing else.
pub(crate) struct Dns {
    child: Child,
    pub(crate) address: String,
    _port: Port,
}

impl Dns {
    pub(crate) fn start() -> Option<Self> {
        let port = Port::free();
        let records = [
            "--host-record=farm.lab,127.0.0.1",
            "--host-record=farm.lab,127.0.0.2",
            "--host-record=farm.lab,::1",
            "--host-record=six.lab,::1",
        ];
        let child = Command::new("dnsmasq")
            .args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                "--conf-file=/dev/null",
            ])
            .args(["--listen-address=127.0.0.1", "--pid-file=", "--user=", "--local=/lab/"])
            .args(records)
            .arg(format!("--port={}", port.number()))
            .stderr(Stdio::null())
            .spawn();
        let child = need(child.map_err(|e| NotRun::new("dnsmasq", e.to_string())))?;
        let address = format!("127.0.0.1:{}", port.number());
        for _ in 0..100 {
            if std::net::TcpStream::connect(&address).is_ok() {
                break;
            }
            let _ = Command::new("sleep").arg("0.05").status();
        }
        Some(Self { child, address, _port: port })
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
