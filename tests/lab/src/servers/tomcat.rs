//! Tomcat: certificate, chain and key in files of their own. It reads them once.

use std::process::Command;

use super::{configure, folder_of, install};
use crate::server::{self, Recipe, Reload, Starttls, local};
use crate::{Lab, Leaf, NotRun, Server, program};

/// Starts a Tomcat without applications.
///
/// # Errors
/// When it is not installed or does not start.
pub fn start(lab: &Lab, leaf: &Leaf) -> Result<Server, NotRun> {
    server::start(lab, "tomcat", 1, |folder, ports| {
        let script = program::find_in("tomcat10-common", "/usr/share/tomcat10/bin/catalina.sh")?;
        let home = script.parent().and_then(|bin| bin.parent()).unwrap_or(&script).to_owned();
        install("tomcat", folder, leaf, None)?;
        for name in ["conf", "logs", "temp", "webapps", "work"] {
            folder_of(&folder.join(name), 0o755, None)?;
        }
        configure(folder, "conf/server.xml", TEMPLATE, &[("PORT", ports[0].number().to_string())]);
        configure(folder, "conf/web.xml", WEB, &[]);
        // It becomes Java by exec.
        let mut tomcat = Command::new(script);
        tomcat.arg("run").env("CATALINA_HOME", home).env("CATALINA_BASE", folder).env("LC_ALL", "C");
        tomcat.env("CATALINA_OPTS", "-Xmx128m -Djava.security.egd=file:/dev/urandom");
        let mut recipe = Recipe::new(
            tomcat,
            vec![local("https", &ports[0], Starttls::Direct)],
            Reload::OnlyRestart("CONT"),
        );
        recipe.ready = Some("Server startup in");
        Ok(recipe)
    })
}

/// The configuration.
const TEMPLATE: &str = "<Server port=\"-1\">
  <Service name=\"Catalina\">
    <Connector address=\"127.0.0.1\" port=\"@PORT@\" protocol=\"org.apache.coyote.http11.Http11NioProtocol\" SSLEnabled=\"true\" scheme=\"https\" secure=\"true\">
      <SSLHostConfig>
        <Certificate certificateFile=\"@DIR@/tls/cert.pem\" certificateChainFile=\"@DIR@/tls/rest.pem\" certificateKeyFile=\"@DIR@/tls/key.pem\" type=\"EC\" />
      </SSLHostConfig>
    </Connector>
    <Engine name=\"Catalina\" defaultHost=\"localhost\">
      <Host name=\"localhost\" appBase=\"webapps\" />
    </Engine>
  </Service>
</Server>
";

/// The usual settings of applications, of which there are none.
const WEB: &str = "<web-app xmlns=\"https://jakarta.ee/xml/ns/jakartaee\" version=\"6.0\"></web-app>\n";
