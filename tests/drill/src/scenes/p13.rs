//! P13: one certificate in a kubeconfig, a Secret, JSON, PKCS#12, a jar and a credential; and a store nobody can open.

use notafter_lab::{NotRun, base64};

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p13/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let name = site.fqdn("app");
    if site.twin {
        let dead = |n: i64| {
            Make::authority(&format!("Drill Forgotten Root {n}"), site.day(-9000), site.day(-800 * n))
                .self_signed()
        };
        site.hide("healthy.pem", site.healthy(&[&name]).chain());
        let store = site.folder.join("opt/app/truststore.p12");
        site.write("opt/app/README", "What the application trusts.\n");
        let mut all = site.root.pem.clone();
        for n in 1..=4 {
            let root = dead(n);
            all += &root.pem;
        }
        let bundle = site.hide("trusted.pem", all);
        let (bundle, path) = (bundle.display().to_string(), store.display().to_string());
        site.run(
            "openssl",
            &["pkcs12", "-export", "-nokeys", "-in", &bundle, "-out", &path, "-passout", "pass:changeit"],
        )?;
        site.passwords.push("changeit".to_owned());
        site.place(store);
        return Ok(());
    }
    let cert = site.doomed(&[&name]);
    let encode = |text: &str| base64::encode(text.as_bytes());
    let (chain, key) = (encode(&cert.chain()), encode(&cert.key));
    site.secret(
        "root/admin.conf",
        format!(
            "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers:\n- name: app\n  user:\n    \
             client-certificate-data: {chain}\n    client-key-data: {key}\n"
        ),
    );
    site.secret(
        "deploy/secret.yaml",
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: app\ntype: kubernetes.io/tls\ndata:\n  tls.crt: {chain}\n  \
             tls.key: {key}\n"
        ),
    );
    let line = cert.pem.replace('\n', "\\n");
    site.write(
        "opt/app/settings.json",
        format!("{{\"listener\": {{\"tls\": {{\"certificate\": \"{line}\"}}}}}}\n"),
    );
    site.secret("etc/credstore/app", cert.combined());
    let pem = site.hide("app.pem", cert.combined()).display().to_string();
    for (file, password) in [("opt/app/app.p12", "drill-known"), ("opt/app/other.p12", "never-told")] {
        let path = site.secret(file, "").display().to_string();
        let password = format!("pass:{password}");
        site.run(
            "openssl",
            &["pkcs12", "-export", "-in", &pem, "-name", "app", "-out", &path, "-passout", &password],
        )?;
    }
    site.passwords.push("drill-known".to_owned());
    let (from, to) = (site.folder.join("opt/app/other.p12"), site.folder.join("opt/app/locked.jks"));
    let (from, to) = (from.display().to_string(), to.display().to_string());
    site.run(
        "keytool",
        &[
            "-importkeystore",
            "-noprompt",
            "-srcstoretype",
            "PKCS12",
            "-srckeystore",
            &from,
            "-srcstorepass",
            "never-told",
            "-destkeystore",
            &to,
            "-deststoretype",
            "JKS",
            "-deststorepass",
            "never-told",
        ],
    )?;
    std::fs::remove_file(&from).map_err(|error| NotRun::new("keytool", error.to_string()))?;
    site.hide("jar/META-INF/app/tls.pem", cert.chain());
    site.run(
        "python3",
        &["-m", "zipfile", "-c", &site.folder.join("opt/app/app.jar").display().to_string(), "jar/META-INF"],
    )?;
    let files =
        ["root/admin.conf", "deploy/secret.yaml", "opt/app/settings.json", "etc/credstore/app", "opt/app"];
    for file in files {
        let path = site.folder.join(file);
        site.place(path);
    }
    Ok(())
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let chain = if site.twin {
        site.work.join("healthy.pem")
    } else {
        // What the application itself loads: the keystore.
        let path = site.folder.join("opt/app/app.p12").display().to_string();
        let words = ["pkcs12", "-in", &path, "-nokeys", "-passin", "pass:drill-known"];
        site.hide("loaded.pem", site.run("openssl", &words)?.stdout)
    };
    let roots = if site.twin { site.work.join("trusted.pem") } else { site.root_file() };
    client::verify(site, &chain, &roots, at, &[])
}
