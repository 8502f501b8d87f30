//! P18: an installer, an update and a plug-in, signed without a timestamp: they die with their signer.

use notafter_lab::{NotRun, program};
use rcgen::ExtendedKeyUsagePurpose;

use crate::client::{self, Said};
use crate::pki::Make;
use crate::scene::Scene;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p18/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    // The twin's signer has been dead for long; its signatures were stamped while it lived.
    let (from, until) = if site.twin { (-800, -200) } else { (-265, 0) };
    let make = Make::plain(&format!("Drill Code Signing {}", site.id), site.day(from), site.day(until));
    let signer = site.ca.issue(&make.usages(&[ExtendedKeyUsagePurpose::CodeSigning]));
    let stamper = Make::plain(&format!("Drill Timestamps {}", site.id), site.day(-900), site.day(3000));
    let usage = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
    // Its purpose must be critical, which a plain list of purposes is not.
    let stamper = site.ca.issue(&make_critical(stamper, &usage));
    site.hide("sign.pem", signer.chain());
    site.hide("sign.key", &signer.key);
    site.hide("issuer.pem", &site.ca.pem);
    site.hide("tsa.pem", stamper.chain());
    site.hide("tsa.key", &stamper.key);
    site.hide("app.exe", smallest_exe());
    let when = site.day(from + 100).to_string();
    let exe = site.folder.join("dist/app.exe");
    site.write("dist/README", "What is shipped.\n");
    let out = exe.display().to_string();
    let mut words = vec!["sign", "-certs", "sign.pem", "-key", "sign.key", "-h", "sha256", "-time", &when];
    if site.twin {
        words.extend(["-TSA-certs", "tsa.pem", "-TSA-key", "tsa.key", "-TSA-time", &when]);
    }
    words.extend(["-in", "app.exe", "-out", &out]);
    site.run("osslsigncode", &words)?;
    site.place(exe);
    if site.twin {
        return Ok(());
    }
    let update = site.write("dist/update.bin", "the next version\n").display().to_string();
    let signature = site.folder.join("dist/update.p7s");
    let mut cms = client::at_time(site, "openssl", site.day(-100))?;
    cms.args([
        "cms",
        "-sign",
        "-binary",
        "-signer",
        "sign.pem",
        "-inkey",
        "sign.key",
        "-certfile",
        "issuer.pem",
        "-outform",
    ]);
    program::run(cms.args(["DER", "-in", &update, "-out"]).arg(&signature))?;
    site.place(signature);
    jar(site)
}

/// A jar signed by the same signer. Java reads its keys from a store.
fn jar(site: &mut Site) -> Result<(), NotRun> {
    let jar = site.folder.join("dist/plugin.jar");
    let shown = jar.display().to_string();
    site.hide("plugin/Main.txt", "not really a class\n");
    site.run("python3", &["-m", "zipfile", "-c", &shown, "plugin"])?;
    let store =
        ["pkcs12", "-export", "-in", "sign.pem", "-inkey", "sign.key", "-name", "signer", "-out", "sign.p12"];
    site.run("openssl", &[&store[..], &["-passout", "pass:drill-sign"]].concat())?;
    let words =
        ["-keystore", "sign.p12", "-storepass", "drill-sign", "-storetype", "PKCS12", &shown, "signer"];
    site.run("jarsigner", &words)?;
    site.place(jar);
    Ok(())
}

/// With the purpose of a stamper, critical.
fn make_critical(make: Make, usage: &[u8]) -> Make {
    make.critical(&[2, 5, 29, 37], usage)
}

/// A program for Windows that does nothing: the least that a signer takes for one.
fn smallest_exe() -> Vec<u8> {
    let mut exe = vec![0_u8; 1024];
    let mut put = |at: usize, bytes: &[u8]| exe[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    // i386, one section, optional header of 224 bytes, executable.
    put(0x84, &[0x4c, 0x01, 1, 0]);
    put(0x94, &[0xe0, 0, 0x02, 0x01]);
    let optional = 0x98;
    put(optional, &[0x0b, 0x01]);
    for (at, value) in [
        (16, 0x1000_u32),
        (20, 0x1000),
        (28, 0x40_0000),
        (32, 0x1000),
        (36, 0x200),
        (56, 0x2000),
        (60, 0x200),
        (92, 16),
    ] {
        put(optional + at, &value.to_le_bytes());
    }
    put(optional + 40, &[4, 0]);
    put(optional + 48, &[4, 0]);
    put(optional + 68, &[3, 0]);
    let section = optional + 224;
    put(section, b".text");
    for (at, value) in [(8, 0x200_u32), (12, 0x1000), (16, 0x200), (20, 0x200), (36, 0x6000_0020)] {
        put(section + at, &value.to_le_bytes());
    }
    put(0x200, &[0xc3]);
    exe
}

fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let root = site.root_file().display().to_string();
    let exe = site.folder.join("dist/app.exe").display().to_string();
    let mut command = site.command("osslsigncode")?;
    command.args(["verify", "-CAfile", &root, "-TSA-CAfile", &root, "-time", &at.to_string(), "-in", &exe]);
    let signed = client::content(&mut command, "Signature verification")?;
    if site.twin {
        return Ok(signed);
    }
    let folder = site.folder.join("dist");
    let mut command = site.command("openssl")?;
    command.args([
        "cms",
        "-verify",
        "-binary",
        "-purpose",
        "any",
        "-inform",
        "DER",
        "-attime",
        &at.to_string(),
    ]);
    command.arg("-in").arg(folder.join("update.p7s")).arg("-content").arg(folder.join("update.bin"));
    command.args(["-out", "/dev/null", "-CAfile", &root]);
    let update = client::content(&mut command, "erif")?;
    if update.works != signed.works {
        return Err(NotRun::new("proof", format!("{}; {}", signed.line, update.line)));
    }
    Ok(Said::new(signed.works, format!("{}; {}", signed.line, update.line)))
}
