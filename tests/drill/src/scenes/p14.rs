//! P14: the key behind every sign-in has a certificate that is on no port, only in a key set.

use notafter_lab::{NotRun, base64};

use crate::client::{self, Said};
use crate::pki::{Cert, Make};
use crate::scene::Scene;
use crate::servers::{Vhost, nginx};
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p14/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.host("login", 1);
    let key = site.rsa("signer")?;
    let signer =
        Make::plain(&format!("Drill Token Signer {}", site.id), site.day(-730), site.day(0)).key(&key);
    let mut keys = vec![key_of(site, "current", &signer.self_signed())?];
    if site.twin {
        let key = site.rsa("next")?;
        let next =
            Make::plain(&format!("Drill Token Signer {} next", site.id), site.day(-400), site.day(1500));
        keys.push(key_of(site, "next", &next.key(&key).self_signed())?);
    }
    let set = site.write("var/lib/idp/jwks.json", format!("{{\"keys\": [{}]}}\n", keys.join(", ")));
    let issuer = format!("https://{name}:{}", site.port(0));
    let discovery = site.write(
        "var/lib/idp/openid-configuration",
        format!("{{\"issuer\": \"{issuer}\", \"jwks_uri\": \"{issuer}/.well-known/jwks.json\"}}\n"),
    );
    let cert = site.ca.issue(&Make::server(&[&name], site.day(-400), site.day(400)));
    let path = site.install("etc/nginx/login", &cert);
    let more = format!(
        "    location = /.well-known/jwks.json {{ alias {}; }}\n    \
         location = /.well-known/openid-configuration {{ alias {}; }}\n",
        set.display(),
        discovery.display()
    );
    nginx(site, &[Vhost::new(site.address(1, 0), &name, &path).more(&more)])?;
    site.tls_place(1, 0, &name);
    site.places.push(format!("oidc:{issuer}"));
    site.place(set);
    Ok(())
}

/// A key of the set, with its certificate; the key itself is kept for signing.
fn key_of(site: &Site, kid: &str, cert: &Cert) -> Result<String, NotRun> {
    let key = site.hide(&format!("{kid}.key"), &cert.key).display().to_string();
    let modulus = site.run("openssl", &["rsa", "-noout", "-modulus", "-in", &key])?.text();
    let modulus = modulus.trim().rsplit('=').next().unwrap_or_default().to_owned();
    let bytes: Vec<u8> = (0..modulus.len() / 2)
        .filter_map(|n| u8::from_str_radix(&modulus[2 * n..2 * n + 2], 16).ok())
        .collect();
    let url = base64::encode(&bytes).replace('+', "-").replace('/', "_").replace('=', "");
    Ok(format!(
        "{{\"kty\": \"RSA\", \"use\": \"sig\", \"alg\": \"RS256\", \"kid\": \"{kid}\", \"n\": \"{url}\", \"e\": \"AQAB\", \
         \"x5c\": [\"{}\"]}}",
        base64::encode(&cert.der)
    ))
}

/// Signs a token as the issuer would at this moment, and verifies it as a relying party does: key set, date, signature.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let kid = if site.twin && at >= site.t0 { "next" } else { "current" };
    let token = site.hide(&format!("token-{at}"), format!("eyJhbGciOiJSUzI1NiJ9.{at}")).display().to_string();
    let (key, signature) = (format!("{kid}.key"), format!("token-{at}.sig"));
    site.run("openssl", &["dgst", "-sha256", "-sign", &key, "-out", &signature, &token])?;
    let resolve = format!("{}:{}:127.0.1.1", site.fqdn("login"), site.port(0));
    let url = format!("https://{}:{}/.well-known/jwks.json", site.fqdn("login"), site.port(0));
    let root = site.root_file().display().to_string();
    let set = site.run("curl", &["-sSf", "--cacert", &root, "--resolve", &resolve, &url])?.text();
    let set: serde_json::Value =
        serde_json::from_str(&set).map_err(|e| NotRun::new("jwks", e.to_string()))?;
    let found = set["keys"].as_array().into_iter().flatten().find(|key| key["kid"] == kid);
    let x5c = found.and_then(|key| key["x5c"][0].as_str()).unwrap_or_default();
    let lines: Vec<&str> = (0..x5c.len()).step_by(64).map(|n| &x5c[n..x5c.len().min(n + 64)]).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    let pem = site.hide(&format!("signer-{at}.pem"), pem);
    let dated = client::verify(site, &pem, &pem, at, &[])?;
    let public =
        site.run("openssl", &["x509", "-pubkey", "-noout", "-in", &pem.display().to_string()])?.stdout;
    let public = site.hide(&format!("public-{at}.pem"), public).display().to_string();
    site.run("openssl", &["dgst", "-sha256", "-verify", &public, "-signature", &signature, &token])?;
    Ok(dated)
}
