//! What openssl, jarsigner and osslsigncode make: OCSP responses, CMS, JARs, signed programs and scripts, mail.

use std::io::Read;

use notafter_pki::StatementKind;
use notafter_pki::container::sniff::Markers;
use notafter_pki::container::{Content, Format};
use notafter_pki::statement::cms::jar_signature;
use notafter_pki::statement::ocsp::OcspResponse;

use super::tools::{Scratch, has, opened, statements, until};

/// A CA and certificates under it, made by openssl; all end on the same day.
fn authority(scratch: &Scratch) {
    scratch.write(
        "ca.cnf",
        "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=Test CA\n[ca]\nbasicConstraints=critical,CA:true\n\
         [code]\nextendedKeyUsage=codeSigning\n[lifetime]\nextendedKeyUsage=codeSigning,1.3.6.1.4.1.311.10.3.13\n\
         [tsa]\nextendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n\
         [mail]\nextendedKeyUsage=emailProtection\n[ocsp]\nextendedKeyUsage=OCSPSigning\n",
    );
    scratch.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -config ca.cnf -extensions ca",
    );
    for name in ["code", "lifetime", "tsa", "mail", "ocsp"] {
        scratch.run(&format!(
            "openssl req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name} -config ca.cnf"
        ));
        scratch.run(&format!(
            "openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 365 \
             -extfile ca.cnf -extensions {name}"
        ));
    }
}

/// When a certificate ends, as openssl says it.
fn end_of(scratch: &Scratch, name: &str) -> Option<String> {
    let bytes = scratch.read(name);
    let opened = opened(&bytes);
    let der = opened.certificates().next().expect("a certificate");
    notafter_pki::Certificate::parse(der).expect("parses").not_after().map(|time| time.to_string())
}

#[test]
fn ocsp_by_openssl() {
    if !has("ocsp_by_openssl", "openssl") {
        return;
    }
    let scratch = Scratch::new("ocsp");
    // Serial numbers whose highest bit is set: DER puts an octet of zero before them, which openssl does not print.
    scratch.write("ca.srl", "800000000000000000000000000000000000a0\n");
    authority(&scratch);
    let serial = scratch.run("openssl x509 -in code.pem -noout -serial").trim().replace("serial=", "");
    let other = scratch.run("openssl x509 -in mail.pem -noout -serial").trim().replace("serial=", "");
    scratch.write(
        "index.txt",
        &format!(
            "V\t350101000000Z\t\t{serial}\tunknown\t/CN=code\nR\t350101000000Z\t260101000000Z,keyCompromise\t{other}\tunknown\t/CN=mail\n"
        ),
    );
    scratch.run(
        "openssl ocsp -index index.txt -CA ca.pem -rsigner ocsp.pem -rkey ocsp.key -issuer ca.pem -cert code.pem -cert \
         mail.pem -cert tsa.pem -respout answer.der -ndays 7",
    );
    let der = scratch.read("answer.der");
    let found = statements(&der, StatementKind::OcspResponse);
    let status: Vec<_> = found.iter().map(|(_, s)| s.fact_of("status").unwrap_or("")).collect();
    assert_eq!(status, ["good", "revoked", "unknown"]);
    let first = &found[0].1;
    assert_eq!(first.fact_of("serial").map(str::to_ascii_uppercase), Some(format!("00{serial}")));
    let week = first.not_after().expect("an end").0 - first.not_before().expect("a beginning").0;
    assert_eq!(week, 7 * 86_400);
    assert_eq!(found[1].1.fact_of("reason"), Some("keyCompromise"));
    assert_eq!(opened(&der).certificates().count(), 1);
    let response = OcspResponse::parse(&der).expect("a response");
    let signer = response.certificates().next().expect("a signer");
    let signer = notafter_pki::Certificate::parse(signer).expect("parses");
    let verdict = notafter_pki::verify_signature(
        response.signature_algorithm(),
        signer.spki(),
        response.tbs(),
        response.signature(),
    );
    assert_eq!(verdict, notafter_pki::SignatureVerdict::Good);
    // As HAProxy keeps them, and as base64 in a configuration.
    let text = format!("staple: {}\n", notafter_pki::container::base64::encode(&der));
    assert_eq!(statements(text.as_bytes(), StatementKind::OcspResponse).len(), 3);
}

#[test]
fn cms_and_mail_by_openssl() {
    if !has("cms_and_mail_by_openssl", "openssl") {
        return;
    }
    let scratch = Scratch::new("cms");
    authority(&scratch);
    scratch.write("data", "some data\n");
    for (options, detached) in
        [("", true), ("-nodetach", false), ("-keyid", true), ("-nodetach -stream -keyid", false)]
    {
        for form in ["DER", "PEM"] {
            scratch.run(&format!(
                "openssl cms -sign -binary -in data -signer code.pem -inkey code.key -outform {form} -out out {options}"
            ));
            let bytes = scratch.read("out");
            let found = statements(&bytes, StatementKind::CodeSignature);
            let [(_, one)] = found.as_slice() else { panic!("{options} {form}: {found:?}") };
            assert_eq!((one.title(), one.fact_of("timestamp")), ("signature of code", Some("none")));
            assert_eq!(until(one), end_of(&scratch, "code.pem"));
            assert_eq!(one.fact_of("detached").is_some(), detached, "{options}");
        }
    }
    scratch.run("openssl cms -sign -in data -signer mail.pem -inkey mail.key -text -out mail.eml");
    scratch.run("openssl cms -sign -in data -signer mail.pem -inkey mail.key -nodetach -out opaque.eml");
    scratch.run("openssl cms -encrypt -in data -out sealed.eml mail.pem");
    for (name, count) in [("mail.eml", 1), ("opaque.eml", 1), ("sealed.eml", 0)] {
        let bytes = scratch.read(name);
        let mbox = [
            b"From a@b Thu Jan  1 00:00:00 2026\n",
            &bytes[..],
            b"\nFrom c@d Thu Jan  1 00:00:00 2026\n",
            &bytes,
        ]
        .concat();
        for (bytes, times) in [(&bytes, 1), (&mbox, 2)] {
            let opened = opened(bytes);
            assert_eq!(opened.certificates().count(), count * times, "{name} {opened:?}");
            assert_eq!(opened.problems, [], "{name}");
            if count > 0 {
                assert!(Markers::new().first(bytes).is_some(), "{name}: the crawler would not read it");
            }
            assert_eq!(statements(bytes, StatementKind::CodeSignature), [], "{name}");
        }
    }
}

/// The smallest program that a signer takes.
fn program() -> Vec<u8> {
    let mut out = vec![0; 1024];
    let mut put = |at: usize, octets: &[u8]| out[at..at + octets.len()].copy_from_slice(octets);
    put(0, b"MZ");
    put(0x3c, &128u32.to_le_bytes());
    put(128, b"PE\0\0");
    put(132, &0x8664u16.to_le_bytes());
    put(134, &1u16.to_le_bytes());
    put(148, &240u16.to_le_bytes());
    put(150, &0x22u16.to_le_bytes());
    put(152, &0x20bu16.to_le_bytes());
    for (at, value) in [(184, 4096u32), (188, 512), (208, 8192), (212, 512), (260, 16)] {
        put(at, &value.to_le_bytes());
    }
    put(392, b".text\0\0\0");
    for (at, value) in [(400, 512u32), (404, 4096), (408, 512), (412, 512)] {
        put(at, &value.to_le_bytes());
    }
    out
}

#[test]
fn programs_and_scripts_by_osslsigncode() {
    let test = "programs_and_scripts_by_osslsigncode";
    if !has(test, "openssl") || !has(test, "osslsigncode") {
        return;
    }
    let scratch = Scratch::new("pe");
    authority(&scratch);
    std::fs::write(scratch.path("plain.exe"), program()).expect("a program");
    scratch.write("plain.ps1", "Write-Host 'hello'\r\n");
    assert_eq!(opened(&program()).format, Format::Nothing);
    let stamp = "-TSA-certs tsa.pem -TSA-key tsa.key";
    let mut made = 0;
    for (name, carrier) in [("plain.exe", "authenticode"), ("plain.ps1", "powershell")] {
        for (signer, options, state, dies) in
            [("code", "", "none", true), ("code", stamp, "valid", false), ("lifetime", stamp, "valid", true)]
        {
            let out = format!("{signer}{}-{name}", options.len());
            let line = format!(
                "osslsigncode sign -certs {signer}.pem -key {signer}.key -h sha256 {options} -in {name} -out {out}"
            );
            scratch.run(&line);
            let bytes = scratch.read(&out);
            let found = statements(&bytes, StatementKind::CodeSignature);
            let [(place, one)] = found.as_slice() else { panic!("{line}: {found:?}") };
            assert_eq!(place, &format!("#{carrier}/1"));
            assert_eq!(
                (one.fact_of("carrier"), one.fact_of("timestamp")),
                (Some(carrier), Some(state)),
                "{line}"
            );
            let end = dies.then(|| end_of(&scratch, &format!("{signer}.pem"))).flatten();
            assert_eq!(until(one), end, "{line}");
            assert_eq!(opened(&bytes).problems, []);
            made += 1;
        }
    }
    println!("signatures: {made} of {made} made by osslsigncode die on their day");
}

/// The first member of a zip archive whose name ends like this, by its central directory.
fn member(zip: &[u8], ending: &str) -> Vec<u8> {
    let u16_at = |at: usize| usize::from(u16::from_le_bytes(zip[at..at + 2].try_into().expect("two")));
    let u32_at = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().expect("four")) as usize;
    let directory = zip.windows(4).rposition(|four| four == b"PK\x05\x06").expect("an end");
    let mut at = u32_at(directory + 16);
    while zip[at..].starts_with(b"PK\x01\x02") {
        let (name, extra, comment) = (u16_at(at + 28), u16_at(at + 30), u16_at(at + 32));
        if zip[at + 46..at + 46 + name].ends_with(ending.as_bytes()) {
            let (method, packed, local) = (u16_at(at + 10), u32_at(at + 20), u32_at(at + 42));
            let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
            let data = &zip[start..start + packed];
            let mut out = Vec::new();
            match method {
                0 => out.extend_from_slice(data),
                _ => drop(flate2::read::DeflateDecoder::new(data).read_to_end(&mut out)),
            }
            return out;
        }
        at += 46 + name + extra + comment;
    }
    panic!("no member {ending}");
}

/// An archive of one stored file.
fn archive() -> Vec<u8> {
    let (name, data) = (b"a.txt", b"hello\n");
    let sum = flate2::Crc::new();
    let mut sum = sum;
    sum.update(data);
    let fields = [
        &[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0][..],
        &sum.sum().to_le_bytes(),
        &(data.len() as u32).to_le_bytes(),
        &(data.len() as u32).to_le_bytes(),
        &(name.len() as u16).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04"[..], &fields, name, data].concat();
    let central = [&b"PK\x01\x02\x14\0"[..], &fields, &[0; 14], name].concat();
    let end = [
        &b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..],
        &(central.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0, 0],
    ]
    .concat();
    [local, central, end].concat()
}

#[test]
fn archives_by_jarsigner() {
    let test = "archives_by_jarsigner";
    if !has(test, "keytool") || !has(test, "jarsigner") {
        return;
    }
    let scratch = Scratch::new("jar");
    for (alias, algorithm, ending) in [("rsa", "RSA", ".RSA"), ("ec", "EC", ".EC"), ("dsa", "DSA", ".DSA")] {
        scratch.run(&format!(
            "keytool -genkeypair -alias {alias} -keyalg {algorithm} -dname CN={alias} -validity 100 -keystore store.p12 \
             -storepass changeit -storetype PKCS12"
        ));
        std::fs::write(scratch.path("a.jar"), archive()).expect("an archive");
        scratch.run(&format!("jarsigner -keystore store.p12 -storepass changeit a.jar {alias}"));
        scratch.run(&format!(
            "keytool -exportcert -alias {alias} -keystore store.p12 -storepass changeit -file {alias}.der"
        ));
        let block = member(&scratch.read("a.jar"), ending);
        let found = jar_signature(&block);
        let [one] = found.as_slice() else { panic!("{alias}: {found:?}") };
        assert_eq!(
            (one.title(), one.fact_of("carrier")),
            (format!("signature of {alias}").as_str(), Some("jar"))
        );
        assert_eq!(until(one), end_of(&scratch, &format!("{alias}.der")), "{alias}");
        let opened = opened(&block);
        assert!(opened.found.iter().any(|one| matches!(one.content, Content::Statement(_))));
    }
}
