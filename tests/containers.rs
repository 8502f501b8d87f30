//! Containers in containers: what the tools of the field pack, found at the end of the way that leads there.
//!
//! Every archive here is made by its own tool (tar, zip, jar, dpkg-deb, cpio, rpmbuild, xz, ...); manifests are written
//! as people write them. Archives that no tool makes are in `discover/src/files/archive/tests.rs`.

#![allow(clippy::print_stdout, reason = "what was not run, and how much was, is said")]

mod run;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use notafter_lab::stores::{self, Java, Pkcs12};
use notafter_lab::{Authority, Lab, Leaf, Request, base64, need};
use run::{Scan, scan};

struct Folder {
    lab: Lab,
    tree: PathBuf,
    leaf: Leaf,
}

impl Folder {
    /// A folder to be scanned, and beside it one with the leaf in every form: `c.pem`, `c.der`, `keys.jks`, `c.p12`.
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let leaf = Authority::new(&lab).issue(&Request::server());
        let (tree, work) = (lab.path().join("tree"), lab.path().join("work"));
        fs::create_dir_all(&tree).unwrap();
        fs::create_dir_all(&work).unwrap();
        fs::copy(&leaf.cert_pem, work.join("c.pem")).unwrap();
        stores::der(&work.join("c.der"), &leaf);
        for made in [
            stores::java(&work.join("keys.jks"), &leaf, Java::Jks, "secret word"),
            stores::pkcs12(&work.join("c.p12"), &leaf, Pkcs12::Modern, "secret word"),
        ] {
            let _ = need(made);
        }
        Self { lab, tree, leaf }
    }

    fn work(&self, name: &str) -> PathBuf {
        self.lab.path().join("work").join(name)
    }

    /// Runs a line of shell in the work folder, `$T` being the tree. Gives whether the program is there.
    fn make(&self, program: &str, line: &str) -> bool {
        if Command::new("which").arg(program).output().is_ok_and(|o| !o.status.success()) {
            println!("NOT RUN: {program} is not installed: {line}");
            return false;
        }
        let run = Command::new("sh")
            .args(["-ec", line])
            .env("T", &self.tree)
            .current_dir(self.lab.path().join("work"))
            .output()
            .expect("a shell");
        assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
        true
    }

    fn scan(&self) -> Scan {
        let passwords = self.lab.path().join("passwords");
        fs::write(&passwords, "wrong\nsecret word\n").unwrap();
        scan(&[self.tree.to_str().unwrap(), "--password-file", passwords.to_str().unwrap()])
    }

    /// Where the leaf is, below the tree, and as what.
    fn places(&self, found: &Scan) -> Vec<String> {
        let id = format!("sha256:{}", self.leaf.sha256);
        let here = found.placements().iter().filter(|p| p["asset"] == id.as_str() && p["role"] != "key");
        let tail = |p: &serde_json::Value| {
            let place = p["location"].as_str()?.rsplit_once("/tree/")?.1;
            Some(if p["role"] == "leaf" {
                place.to_owned()
            } else {
                format!("{place} {}", p["role"].as_str()?)
            })
        };
        let mut out: Vec<_> = here.filter_map(tail).collect();
        out.sort();
        out
    }
}

#[test]
fn archives_of_every_tool() {
    let f = Folder::new("archives");
    let mut expected: Vec<String> = Vec::new();
    let mut made = |program: &str, line: &str, places: &[&str]| {
        if f.make(program, line) {
            expected.extend(places.iter().map(|p| (*p).to_owned()));
        }
    };
    made("zip", "zip -q $T/a.zip c.pem c.der", &["a.zip!/c.der", "a.zip!/c.pem#1"]);
    made(
        "zip",
        "zip -q -0 $T/stored.zip c.der keys.jks",
        &["stored.zip!/c.der", "stored.zip!/keys.jks#leaf"],
    );
    made(
        "jar",
        "mkdir -p WEB-INF/lib; jar cf WEB-INF/lib/b.jar keys.jks; jar cf $T/a.war WEB-INF",
        &["a.war!/WEB-INF/lib/b.jar!/keys.jks#leaf"],
    );
    // A service that starts itself: a script, and the archive behind it.
    made(
        "zip",
        "zip -q b.zip c.der; (echo '#!/bin/sh'; yes '#' | head -c 200000; cat b.zip) > $T/service.jar",
        &["service.jar!/c.der"],
    );
    for form in ["ustar", "pax", "gnu", "v7"] {
        let line = format!("tar --format={form} -cf $T/{form}.tar ./c.pem c.der");
        made("tar", &line, &[&format!("{form}.tar!/c.der"), &format!("{form}.tar!/c.pem#1")]);
    }
    let deep = "d/".repeat(120);
    let line = format!("mkdir -p {deep}; cp c.der {deep}; tar --format=gnu -cf $T/deep.tar {deep}c.der");
    made("tar", &line, &[&format!("deep.tar!/{deep}c.der")]);
    for (program, flag, ending) in
        [("gzip", "-z", "tgz"), ("bzip2", "-j", "tbz"), ("xz", "-J", "txz"), ("zstd", "--zstd", "tzst")]
    {
        made(program, &format!("tar {flag} -cf $T/a.{ending} c.der"), &[&format!("a.{ending}!/c.der")]);
    }
    made("gzip", "gzip -c c.pem > $T/c.pem.gz; cat $T/c.pem.gz > $T/c.pem.Z", &["c.pem.Z#1", "c.pem.gz#1"]);
    made("xz", "xz -c c.der > $T/c.der.xz", &["c.der.xz"]);
    made("zstd", "zstd -q -c c.der > $T/c.der.zst", &["c.der.zst"]);
    let control =
        "Package: a\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b.test>\\nDescription: x\\n";
    for form in ["gzip", "xz", "zstd"] {
        let ending = match form {
            "gzip" => "gz",
            "zstd" => "zst",
            other => other,
        };
        let line = format!(
            "mkdir -p deb/DEBIAN deb/etc; printf '{control}' > deb/DEBIAN/control; cp c.der deb/etc; dpkg-deb -Z{form} -b deb $T/{form}.deb"
        );
        made("dpkg-deb", &line, &[&format!("{form}.deb!/data.tar.{ending}!/etc/c.der")]);
    }
    let spec = "Name: a\\nVersion: 1\\nRelease: 1\\nSummary: x\\nLicense: x\\nBuildArch: noarch\\n%%description\\nx\\n%%files\\n/c.der\\n";
    let line = format!(
        "printf '{spec}' > a.spec; W=$PWD; printf '%%install\\nmkdir -p %%{{buildroot}}; cp '$W'/c.der %%{{buildroot}}/\\n' >> a.spec; rpmbuild --quiet --define \"_topdir $W/top\" -bb a.spec; cp top/RPMS/*/*.rpm $T/a.rpm"
    );
    made("rpmbuild", &line, &["a.rpm!/c.der"]);
    for form in ["newc", "odc"] {
        let line = format!("ls c.pem c.der | cpio --quiet -o -H {form} > $T/{form}.cpio");
        made("cpio", &line, &[&format!("{form}.cpio!/c.der"), &format!("{form}.cpio!/c.pem#1")]);
    }
    made(
        "cpio",
        "(echo c.pem | cpio --quiet -o -H newc; echo c.der | cpio --quiet -o -H newc | gzip) > $T/initrd",
        &["initrd!/c.der", "initrd!/c.pem#1"],
    );
    made("zip", "zip -q -P x $T/locked.zip c.pem", &[]);
    made("tar", "tar -cf n.tar c.p12; gzip -c n.tar | head -c 400 > $T/cut.tgz", &[]);
    expected.sort();
    let found = f.scan();
    // Names of entries are those that the lab gave them.
    let plain = |place: &String| {
        place.split_once("keys.jks#").map_or(place.clone(), |(a, _)| format!("{a}keys.jks#leaf"))
    };
    assert_eq!(f.places(&found).iter().map(plain).collect::<Vec<_>>(), expected);
    let mut blind: Vec<_> = found
        .blind_spots()
        .iter()
        .map(|b| (b["location"].as_str().unwrap().rsplit('/').next().unwrap(), b["reason"].as_str().unwrap()))
        .collect();
    blind.sort_unstable();
    assert_eq!(blind, [("cut.tgz", "malformed"), ("locked.zip", "unsupported-format")]);
}

#[test]
fn what_a_later_layer_deletes_is_not_in_the_image() {
    let f = Folder::new("layers");
    f.make(
        "tar",
        "mkdir -p etc opt; cp c.pem etc/gone.pem; cp c.pem etc/stays.pem; cp c.pem opt/new.pem; tar -cf 1.tar etc opt; \
         rm etc/*.pem; touch etc/.wh.gone.pem; cp c.der opt/new.pem; tar -czf 2.tar etc opt; \
         echo '[{\"Layers\":[\"1.tar\",\"2.tar\"]}]' > manifest.json; tar -cf $T/image.tar 1.tar 2.tar manifest.json",
    );
    let found = f.scan();
    assert_eq!(f.places(&found), ["image.tar!/1.tar!/etc/stays.pem#1", "image.tar!/2.tar!/opt/new.pem"]);
    let [spot] = found.blind_spots() else { panic!("{:?}", found.blind_spots()) };
    assert_eq!(spot["reason"], "excluded");
    assert!(spot["location"].as_str().is_some_and(|l| l.ends_with("image.tar!/1.tar")), "{spot}");
}

/// The same in a layout as a folder, where each layer is a file of its own; beside it what is left of an earlier image.
#[test]
fn a_layout_is_judged_by_its_index() {
    let f = Folder::new("layout");
    let put = "put() { n=$(sha256sum < $1 | cut -d' ' -f1); mv $1 $T/img/blobs/sha256/$n; echo $n; }; \
               mkdir -p $T/img/blobs/sha256 etc opt/app; cp c.pem etc/gone.pem; cp c.pem etc/stays.pem; cp c.pem opt/app/old.pem; \
               tar -czf 1 etc opt; rm etc/*.pem opt/app/*; touch etc/.wh.gone.pem opt/app/.wh..wh..opq; cp c.der opt/app/new.der; \
               tar -c etc opt | zstd -q > 2; rm -r etc opt; mkdir old; cp c.pem old/left.pem; tar -cf 3 old; \
               A=$(put 1); B=$(put 2); C=$(put 3); \
               image() { printf '{\"schemaVersion\":2,\"layers\":[{\"digest\":\"sha256:%s\"},{\"digest\":\"sha256:%s\"}]}' $1 $2; }; \
               image $A $B > m; M=$(put m); image $A $C > o; put o > /dev/null; \
               printf '{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:%s\",\"platform\":{\"os\":\"linux\"}}]}' $M > l; L=$(put l); \
               echo '{\"imageLayoutVersion\":\"1.0.0\"}' > $T/img/oci-layout; \
               printf '{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:%s\"}]}' $L > $T/img/index.json";
    if !f.make("zstd", put) {
        return;
    }
    let found = f.scan();
    let places = f.places(&found);
    let mut ends: Vec<&str> =
        places.iter().filter_map(|place| place.split_once("!/").map(|(_, inner)| inner)).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["etc/stays.pem#1", "old/left.pem#1", "opt/app/new.der"], "{places:?}");
    // What the later layer takes away is said, at the layer that still has it.
    let [spot] = found.blind_spots() else { panic!("{:?}", found.blind_spots()) };
    let detail = spot["detail"].as_str().unwrap_or("");
    assert_eq!(spot["reason"], "excluded");
    assert!(detail.starts_with("2 things") && detail.contains("etc/gone.pem"), "{detail}");
    assert!(spot["location"].as_str().is_some_and(|l| l.contains("/img/blobs/sha256/")), "{spot}");
    // Without its index each manifest is an image, and in the other one they are still there.
    fs::remove_file(f.tree.join("img/index.json")).unwrap();
    let found = f.scan();
    assert_eq!(f.places(&found).len(), 5, "{:?}", f.places(&found));
}

/// An image as buildah really makes one: a file that is there in the first layer and deleted in the second.
#[test]
fn an_image_by_buildah() {
    let f = Folder::new("buildah");
    let line = "B=\"buildah --root $PWD/store --runroot $PWD/run --storage-driver vfs\"; \
                one=$($B from scratch); $B copy -q $one c.pem /etc/gone.pem > /dev/null; $B copy -q $one c.der /opt/stays.der > /dev/null; \
                $B commit -q $one first > /dev/null; two=$($B from --pull-never localhost/first); m=$($B mount $two); rm $m/etc/gone.pem; \
                $B umount $two > /dev/null; $B commit -q $two second > /dev/null; $B push -q localhost/second oci:$T/img:latest";
    if !f.make("buildah", "true") {
        return;
    }
    let script = f.work("build.sh");
    fs::write(&script, line).unwrap();
    let run = Command::new("sh")
        .arg("-e")
        .arg(&script)
        .env("T", &f.tree)
        .env("BUILDAH_ISOLATION", "chroot")
        .current_dir(f.lab.path().join("work"))
        .output()
        .expect("a shell");
    if !run.status.success() {
        println!("NOT RUN: buildah does not work here: {}", String::from_utf8_lossy(&run.stderr));
        return;
    }
    let found = f.scan();
    let places = f.places(&found);
    assert_eq!(places.len(), 1, "{places:?}");
    assert!(
        places[0].starts_with("img/blobs/sha256/") && places[0].ends_with("!/opt/stays.der"),
        "{places:?}"
    );
    assert_eq!(found.blind_spots()[0]["reason"], "excluded", "{:?}", found.blind_spots());
}

#[test]
fn octets_in_the_source_of_a_program() {
    let f = Folder::new("octets");
    let mut expected: Vec<String> = Vec::new();
    let mut made = |program: &str, line: &str, place: &str| {
        if f.make(program, line) {
            expected.push(place.to_owned());
        }
    };
    made("xxd", "xxd -i c.der > $T/xxd.h", "xxd.h#1");
    made(
        "xxd",
        "(echo 'static const uint8_t CERT[] = {'; xxd -p c.der | tr -d '\\n' | sed 's/../0x&,/g'; echo '};') > $T/dense.c",
        "dense.c#1",
    );
    made(
        "xxd",
        "(echo 'const char *cert ='; xxd -p -c 16 c.der | sed 's/../\\\\x&/g; s/.*/  \"&\"/'; echo ';') > $T/text.c",
        "text.c#1",
    );
    made(
        "python3",
        "python3 -c \"print('CERT =', repr(open('c.der', 'rb').read()))\" > $T/cert.py",
        "cert.py#1",
    );
    made(
        "python3",
        "python3 -c \"print('let c: [u8; _] = [' + ', '.join('0x%02x' % b for b in open('c.der', 'rb').read()) + '];')\" > $T/c.rs",
        "c.rs#1",
    );
    // What merely begins like one.
    fs::write(
        f.tree.join("table.c"),
        format!("int t[] = {{ 0x30, 0x82, 0x01, 0x00, {} }};\n", "0x30, ".repeat(300)),
    )
    .unwrap();
    let found = f.scan();
    expected.sort();
    assert_eq!(f.places(&found), expected);
    assert!(found.blind_spots().is_empty(), "{:?}", found.blind_spots());
}

#[test]
fn streams_in_an_image_of_flash() {
    let f = Folder::new("flash");
    let mut line = "mkdir -p etc/ssl; cp c.pem etc/ssl/ca.pem; tar -cz etc > a; xz -kc c.der > b; zstd -qc c.der > c; \
                    (cd etc && find . | cpio -o -H newc --quiet) | gzip -9 > d; z() { head -c $1 /dev/zero; }; \
                    (z 4096; cat a; z 100; cat b; z 31; cat c; z 1; cat d; z 512) > $T/flash.img; \
                    (z 64; head -c 3000000 /dev/urandom) > $T/noise.bin; \
                    mkdir up; cp $T/flash.img up/; (cd up && zip -q $T/update.zip flash.img)"
        .to_owned();
    for program in ["cpio", "zip", "zstd"] {
        if !f.make(program, "true") {
            return;
        }
    }
    line.push_str("; stat -c %s a b c d > sizes");
    f.make("xz", &line);
    let sizes = fs::read_to_string(f.work("sizes")).unwrap();
    let sizes: Vec<usize> = sizes.lines().map(|size| size.parse().unwrap()).collect();
    let (a, b) = (4096, 4096 + sizes[0] + 100);
    let c = b + sizes[1] + 31;
    let d = c + sizes[2] + 1;
    let inside = |file: &str| {
        vec![
            format!("{file}@{a:#x}!/etc/ssl/ca.pem#1"),
            format!("{file}@{b:#x}"),
            format!("{file}@{c:#x}"),
            format!("{file}@{d:#x}!/ssl/ca.pem#1"),
        ]
    };
    let found = f.scan();
    let mut expected = [inside("flash.img"), inside("update.zip!/flash.img")].concat();
    expected.sort();
    assert_eq!(f.places(&found), expected);
    assert!(found.blind_spots().is_empty(), "{:?}", found.blind_spots());
}

/// As cloud-init's own `make-mime` writes it: with Python's library for mail.
#[test]
fn user_data_of_several_parts() {
    let f = Folder::new("cloud");
    let script = "import base64, gzip, sys\n\
                  from email.mime.multipart import MIMEMultipart\n\
                  from email.mime.text import MIMEText\n\
                  pem = open('c.pem').read()\n\
                  packed = base64.b64encode(gzip.compress(pem.encode())).decode()\n\
                  config = '#cloud-config\\nwrite_files:\\n- path: /etc/a.pem\\n  encoding: gzip+base64\\n  content: ' + packed + '\\n'\n\
                  config += '- path: /etc/b.pem\\n  content: |\\n' + ''.join('    ' + l + '\\n' for l in pem.splitlines())\n\
                  whole = MIMEMultipart()\n\
                  for kind, name, text in [('cloud-config', 'cloud.cfg', config), ('x-shellscript', 'run.sh', '#!/bin/sh\\ncat > /c.pem <<E\\n' + pem + 'E\\n')]:\n\
                  \x20   part = MIMEText(text, kind, 'utf-8')\n\
                  \x20   part.add_header('Content-Disposition', 'attachment', filename=name)\n\
                  \x20   whole.attach(part)\n\
                  open(sys.argv[1], 'w').write(whole.as_string())\n";
    fs::write(f.work("make.py"), script).unwrap();
    if !f.make("python3", "python3 make.py $T/user-data; gzip -c $T/user-data > $T/user-data.gz") {
        return;
    }
    let found = f.scan();
    let within = |file: &str| {
        ["cloud.cfg.write_files[0].content", "cloud.cfg.write_files[1].content", "run.sh"]
            .map(|value| format!("{file}#{value}"))
    };
    assert_eq!(f.places(&found), [within("user-data"), within("user-data.gz")].concat());
    assert!(found.blind_spots().is_empty(), "{:?}", found.blind_spots());
}

#[test]
fn an_image_as_a_folder_is_opened_layer_by_layer() {
    let f = Folder::new("oci");
    let put = "put() { n=$(sha256sum < $1 | cut -d' ' -f1); mv $1 $T/img/blobs/sha256/$n; echo $n; }; \
               mkdir -p $T/img/blobs/sha256 etc opt; cp c.pem etc/a.pem; cp c.der opt/b.der; \
               tar -czf 1 etc; tar -cf 2 opt; A=$(put 1); B=$(put 2); \
               M=application/vnd.oci.image; \
               echo \"{\\\"schemaVersion\\\":2,\\\"layers\\\":[{\\\"mediaType\\\":\\\"$M.layer.v1.tar+gzip\\\",\\\"digest\\\":\\\"sha256:$A\\\"},\
               {\\\"mediaType\\\":\\\"$M.layer.v1.tar\\\",\\\"digest\\\":\\\"sha256:$B\\\"}]}\" > 3; C=$(put 3); \
               echo '{\"imageLayoutVersion\":\"1.0.0\"}' > $T/img/oci-layout; \
               echo \"{\\\"schemaVersion\\\":2,\\\"manifests\\\":[{\\\"digest\\\":\\\"sha256:$C\\\"}]}\" > $T/img/index.json";
    f.make("sha256sum", put);
    let found = f.scan();
    let places = f.places(&found);
    let mut ends: Vec<&str> = places
        .iter()
        .filter_map(|place| place.strip_prefix("img/blobs/sha256/")?.split_once("!/").map(|(_, inner)| inner))
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["etc/a.pem#1", "opt/b.der"], "{places:?}");
    assert!(found.blind_spots().is_empty(), "{:?}", found.blind_spots());
}

#[test]
fn values_that_were_compressed_first() {
    let f = Folder::new("packed");
    let pem = fs::read_to_string(f.work("c.pem")).unwrap();
    let manifest = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: tls\ndata:\n  tls.crt: {}\n---\napiVersion: v1\n\
         kind: Service\nmetadata:\n  name: web\n",
        base64::encode(pem.as_bytes())
    );
    let release = serde_json::json!({ "name": "shop", "version": 1, "manifest": manifest }).to_string();
    fs::write(f.work("release.json"), release).unwrap();
    f.make(
        "gzip",
        "R=$(gzip -9 -c release.json | base64 -w0 | base64 -w0); \
         printf 'apiVersion: v1\\ndata:\\n  release: %s\\nkind: Secret\\nmetadata:\\n  name: sh.helm.release.v1.shop.v1\\ntype: helm.sh/release.v1\\n' $R > $T/helm.yaml; \
         printf '#cloud-config\\nwrite_files:\\n- path: /etc/a.pem\\n  encoding: gz+b64\\n  content: %s\\n' \
         $(gzip -c c.pem | base64 -w0) > $T/user-data",
    );
    let found = f.scan();
    assert_eq!(
        f.places(&found),
        ["helm.yaml#data.release.manifest.Secret/tls.data.tls.crt", "user-data#write_files[0].content"]
    );
}

#[test]
fn firmware_is_carved() {
    let f = Folder::new("carved");
    f.make("head", "(head -c 5000 /dev/zero; cat c.pem; head -c 300000 /dev/urandom; cat c.der; head -c 99 /dev/zero) > $T/fw.bin");
    let found = f.scan();
    let second = 5000 + fs::metadata(f.work("c.pem")).unwrap().len() + 300_000;
    let mut expected = ["fw.bin@0x1388".to_owned(), format!("fw.bin@{second:#x}")];
    expected.sort();
    assert_eq!(f.places(&found), expected);
    // Half a certificate is none, and neither is one with another length.
    let der = fs::read(f.work("c.der")).unwrap();
    let mut wrong = der.clone();
    wrong[3] ^= 1;
    let bytes = [&[0; 50][..], &der[..der.len() / 2], &[0; 50], &wrong, &[0; 900]].concat();
    fs::write(f.tree.join("fw.bin"), bytes).unwrap();
    assert_eq!(f.places(&f.scan()), [""; 0]);
}

#[test]
fn the_roots_in_a_library_are_anchors() {
    let library = Path::new("/usr/lib/x86_64-linux-gnu/nss/libnssckbi.so");
    if !library.exists() {
        println!("NOT RUN: no {}", library.display());
        return;
    }
    let found = scan(&[library.to_str().unwrap()]);
    let roots = found.placements().iter().filter(|p| p["role"] == "trust-anchor").count();
    println!("libnssckbi.so: {roots} roots of {} placements", found.placements().len());
    assert!(roots > 100 && roots == found.placements().len());
    assert_eq!(found.findings(), []);
}

#[test]
fn manifests_and_kubeconfigs() {
    let f = Folder::new("manifests");
    let text = |name: &str| fs::read(f.work(name)).unwrap();
    let encoded = |name: &str| base64::encode(&text(name));
    let (pem, der, p12, jks) = (encoded("c.pem"), encoded("c.der"), encoded("c.p12"), encoded("keys.jks"));
    let plain = String::from_utf8(text("c.pem")).unwrap();
    let indented: String = plain.lines().map(|l| format!("    {l}\n")).collect();
    let write = |name: &str, text: String| fs::write(f.tree.join(name), text).unwrap();
    write(
        "shop.yaml",
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: api, namespace: shop}}\ndata:\n  tls.crt: {pem}\n  \
             keystore.p12: {p12}\n  keystore.jks: {jks}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: trust\n\
             data:\n  tls.pem: |\n{indented}---\nkind: List\napiVersion: v1\nitems:\n- kind: Secret\n  metadata:\n    \
             name: last\n  stringData:\n    app.der: {der}\n"
        ),
    );
    write("one.yml", format!("kind: Secret\nstringData:\n  tls.crt: |\n{indented}"));
    write(
        "kubelet.conf",
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority: c.pem\nusers:\n- name: a\n  \
             user:\n    client-certificate-data: {pem}\n- name: b\n  user:\n    client-certificate: nowhere.pem\n"
        ),
    );
    fs::copy(f.work("c.pem"), f.tree.join("c.pem")).unwrap();
    let line = plain.replace('\n', "\\n");
    write("app.json", format!("{{\"tls\": [{{\"cert\": \"{line}\", \"der\": \"{der}\"}}]}}"));
    write("values.yaml", format!("ingress:\n  tls:\n    crt: \"{line}\"\n# {{{{ .Values.x }}}}\n"));
    fs::create_dir_all(f.tree.join("etc/credstore.encrypted")).unwrap();
    write("etc/credstore.encrypted/app", "Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAAB".to_owned());
    let found = f.scan();
    let alias = |place: String| match place.split_once("keystore.") {
        Some((before, after)) => format!("{before}keystore.{}/alias", after.split('/').next().unwrap()),
        None => place,
    };
    let places: Vec<_> = f.places(&found).into_iter().map(alias).collect();
    assert_eq!(
        places,
        [
            "app.json#tls[0].cert",
            "app.json#tls[0].der",
            "c.pem#1",
            "kubelet.conf#users[0].user.client-certificate-data client",
            "one.yml#stringData.tls.crt",
            "shop.yaml#ConfigMap/trust.data.tls.pem",
            "shop.yaml#Secret/last.stringData.app.der",
            "shop.yaml#Secret/shop/api.data.keystore.jks/alias",
            "shop.yaml#Secret/shop/api.data.keystore.p12/alias",
            "shop.yaml#Secret/shop/api.data.tls.crt",
            "values.yaml#ingress.tls.crt",
        ]
    );
    let mut blind: Vec<_> = found
        .blind_spots()
        .iter()
        .map(|b| (b["location"].as_str().unwrap().rsplit('/').next().unwrap(), b["reason"].as_str().unwrap()))
        .collect();
    blind.sort_unstable();
    assert_eq!(blind, [("app", "unsupported-format"), ("nowhere.pem", "not-found")]);
}

/// Every certificate that a plain search sees in the corpus, in base64 or not: found, and all but one by its name.
#[test]
fn published_manifests() {
    let root = std::env::var_os("NOTAFTER_CORPORA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora"),
        PathBuf::from,
    );
    let Ok(folder) = root.join("manifests").canonicalize() else {
        println!("NOT RUN: no corpus manifests at {}", root.display());
        return;
    };
    let mut seen = 0;
    let mut without: Vec<String> = Vec::new();
    let found = scan(&[folder.to_str().unwrap(), "--at", "2026-11-21"]);
    let (mut all, mut named) = (0, 0);
    for path in yaml(&folder) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let count = |text: &str| text.matches("-----BEGIN CERTIFICATE-----").count();
        let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/' | '='));
        let encoded = runs.filter(|run| run.len() >= 24).map(base64::decode);
        let here = count(&text) + encoded.map(|b| count(&String::from_utf8_lossy(&b))).sum::<usize>();
        seen += here;
        let file = format!("file://{}#", path.display());
        let places: Vec<_> = found
            .placements()
            .iter()
            .filter(|p| p["role"] != "key")
            .filter_map(|p| p["location"].as_str()?.strip_prefix(&file))
            .collect();
        all += places.len();
        named += places.iter().filter(|p| !p.starts_with(|c: char| c.is_ascii_digit())).count();
        if places.len() < here {
            assert!(places.is_empty(), "{file}: {places:?}");
            without.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    without.sort();
    println!(
        "manifests: {all} of {seen} certificates, {named} by the name of their value; none in {without:?}"
    );
    // The others are headers with nothing between them, which is what those tests of Traefik are about; the one
    // without a name stands in a comment.
    assert_eq!((all, named, seen, without.len()), (27, 26, 48, 13));
}

fn yaml(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(yaml(&path));
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            out.push(path);
        }
    }
    out.sort();
    out
}
