//! `ca init | issue | revoke | crl | show`: a CA of one's own, by hand.
//!
//! The CA is `act/issuers/ca.rs`'s; here a person asks it, files are written that nobody else may read, and what was done
//! goes into the audit trail. Nothing that is there is overwritten, but a revocation list by a newer one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notafter_act::issuers::ca::{Ca, Founding, Record, Revoking, put};
use notafter_act::roots::Roots;
use notafter_act::{issuers, request};
use notafter_core::clock::Clock;
use notafter_core::issuance::{Identifier, KeyType, RevocationReason};
use notafter_core::query::nearest;
use notafter_core::review::names_of;
use notafter_core::{Fingerprint, UnixTime};
use notafter_engine::clock::SystemClock;
use notafter_engine::renew::pass::tended;
use notafter_engine::renew::told;
use notafter_pki::certificate::Certificate;
use notafter_pki::container::pem;
use notafter_pki::container::{self, Content, Limits};
use notafter_pki::csr::Csr;
use notafter_pki::extension::GeneralName;
use notafter_pki::fingerprint::sha256;
use notafter_pki::time::DAY;
use notafter_store::Store;
use notafter_store::alerts::AuditLine;
use serde_json::{Value, json};

use super::{End, Usage, no_rows};
use crate::assemble;
use crate::cli::{CaCommand, CaCrl, CaInit, CaIssue, CaRevoke, CaShow, Format, Global};
use crate::config::managed::{IssuerTable, identifier, settings};
use crate::config::plan::Sheet;
use crate::data::{Data, shown, who};
use crate::keeping::{self, Yard};
use crate::print;
use crate::print::paper::{Ink, Paper};

/// No request is larger.
const REQUEST_MAX: u64 = 1 << 20;

pub(crate) fn run(global: &Global, command: &CaCommand) -> Result<End, Usage> {
    no_rows(global, "ca")?;
    match command {
        CaCommand::Init(args) => init(global, args),
        CaCommand::Issue(args) => issue(global, args),
        CaCommand::Revoke(args) => revoke(global, args),
        CaCommand::Crl(args) => crl(global, args),
        CaCommand::Show(args) => show(global, args),
    }
}

/// A CA, ready to be asked.
struct Desk {
    name: String,
    ca: Ca,
    data: Data,
    store: Arc<Store>,
    now: UnixTime,
}

impl Desk {
    /// Of this name, or the only one. `make`: the memory is made if there is none.
    fn open(global: &Global, name: Option<&str>, make: bool) -> Result<Self, Usage> {
        let now = SystemClock::new().now();
        let sheet = assemble::read_sheet(global.config.as_deref())?;
        let table = chosen(&sheet, name)?;
        let name = table.name.get_ref().clone();
        let wrong = |what: String| {
            let what = sheet.wrong(Some(table.name.span().start), format!("issuer `{name}`: {what}"));
            assemble::explained(&sheet, &what)
        };
        let settings = settings(&table.rest).map_err(wrong)?;
        // Its table is checked before anything is made.
        let check = Yard::checking().cx(&name, &Roots::none());
        Ca::open(settings.clone(), &check).map_err(wrong)?;
        let data = Data::find(global, &sheet)?;
        let store = if make { data.open(now)? } else { data.open_existing(now)? };
        let keep = keeping::keep(&sheet, &data, &store).map_err(|e| assemble::explain_plain(&e))?;
        let yard = Yard { keep, rehearsal: false };
        let act = sheet.apart().map_err(|e| assemble::explained(&sheet, &e))?;
        let cx = issuers::BuildCx { act, ..yard.cx(&name, &Roots::none()) };
        let ca = Ca::open(settings, &cx).map_err(wrong)?;
        Ok(Self { name, ca, data, store, now })
    }

    /// A line in the audit trail.
    fn note(&self, what: &str, detail: String) -> Result<(), Usage> {
        let subject = format!("issuer:{}", self.name);
        let line = AuditLine { at: self.now, who: who(), what: what.to_owned(), subject, detail };
        self.store.audit(&line).map_err(|e| self.data.explain(&e))
    }
}

/// The table of this name, or the only one of a CA.
fn chosen<'a>(sheet: &'a Sheet, name: Option<&str>) -> Result<&'a IssuerTable, Usage> {
    let all: Vec<&IssuerTable> = sheet.config.issuer.iter().filter(|t| t.kind == issuers::ca::NAME).collect();
    let names = || all.iter().map(|t| t.name.get_ref().as_str());
    let example =
        "write [[issuer]] name = \"house\" kind = \"ca\" names = [\"*.internal.example\"] into notafter.toml";
    match (name, &all[..]) {
        (_, []) => Err(Usage::new("there is no issuer of kind \"ca\" in the configuration").hint(example)),
        (None, [one]) => Ok(one),
        (None, _) => Err(Usage::new("there are several CAs of your own")
            .hint(format!("name one: {}", names().collect::<Vec<_>>().join(", ")))),
        (Some(name), _) => all.iter().find(|t| t.name.get_ref() == name).copied().ok_or_else(|| {
            let hint = match nearest(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
            };
            Usage::new(format!("no issuer of kind \"ca\" is called `{}`", name.escape_debug())).hint(hint)
        }),
    }
}

fn say(global: &Global, paper: Paper, document: &Value) {
    let text = match global.format() {
        Format::Table => paper.into_text(),
        _ => format!("{document}\n"),
    };
    print::out(text.as_bytes());
}

fn paper(global: &Global) -> Paper {
    Paper::new(print::colours(global.color), print::width())
}

/// Subject, end and fingerprint of one of the CA's own certificates; the fingerprint as `openssl x509 -fingerprint -sha256`
/// writes it, because people compare the two.
fn described(der: &[u8]) -> (String, String, String) {
    let parsed = Certificate::parse(der).ok();
    let subject = parsed.as_ref().map(|c| c.subject().to_rfc4514()).unwrap_or_default();
    let end = parsed.and_then(|c| c.not_after()).map(|t| t.to_string()).unwrap_or_default();
    let print: Vec<String> = sha256(der).iter().map(|octet| format!("{octet:02X}")).collect();
    (subject, end, print.join(":"))
}

fn document_of(der: &[u8]) -> Value {
    let (subject, not_after, _) = described(der);
    json!({"subject": subject, "not_after": not_after, "fingerprint": Fingerprint::of(der).to_string()})
}

fn init(global: &Global, args: &CaInit) -> Result<End, Usage> {
    let desk = Desk::open(global, args.name.as_deref(), true)?;
    if args.renew_intermediate {
        desk.ca.renew_intermediate(desk.now)?;
        let standing = desk.ca.standing(0)?;
        let (subject, end, print) = described(&standing.intermediate);
        desk.note("ca-renewed", format!("the intermediate, until {end}"))?;
        let mut paper = paper(global);
        paper.line(Ink::Bold, &format!("the intermediate of {} is signed anew", desk.name));
        paper.line(Ink::Plain, &format!("  {subject}, until {end}"));
        paper.line(Ink::Plain, &format!("  SHA-256 {print}"));
        paper.paragraph(
            Ink::Dim,
            2,
            "Certificates that are issued from now on bring it along. Those in use keep the one before.",
        );
        say(global, paper, &json!({"name": desk.name, "intermediate": document_of(&standing.intermediate)}));
        return Ok(End::Done);
    }
    let file =
        args.out.clone().unwrap_or_else(|| desk.data.folder.join(format!("ca-{}-root.pem", desk.name)));
    if args.out.is_some() && file.exists() {
        return Err(Usage::new(format!("{} is there already: no CA was made", file.display()))
            .hint("name another file with --out"));
    }
    desk.ca.found(&Founding { subject: args.subject.clone(), days: args.days }, desk.now)?;
    let standing = desk.ca.standing(0)?;
    let (subject, end, print) = described(&standing.root);
    desk.note("ca-made", format!("{subject}, SHA-256 {print}"))?;
    // Who trusts the root may ask for the list at once.
    if let Err(fault) = desk.ca.publish(desk.now) {
        print::note(&format!("{fault}; `notafter serve` tries again"));
    }
    let written = write_new(&file, pem::encode("CERTIFICATE", &standing.root).as_bytes(), 0o644);
    let mut paper = paper(global);
    paper.line(Ink::Bold, &format!("the CA {} was made", desk.name));
    paper.line(Ink::Plain, &format!("  root          {subject}, until {end}"));
    paper.line(Ink::Plain, &format!("                SHA-256 {print}"));
    let (below, below_end, _) = described(&standing.intermediate);
    paper.line(Ink::Plain, &format!("  intermediate  {below}, until {below_end}"));
    let place = match &written {
        Ok(()) => shown(&file),
        Err(error) => {
            print::note(&format!("the root's certificate was not written to {}: {error}", file.display()));
            print::note(&format!("hint: notafter ca show {} --root prints it", desk.name));
            "root.pem".to_owned()
        }
    };
    paper.line(Ink::Plain, "");
    paper.line(Ink::Plain, &format!("Clients trust what it issues once they have the root: {place}"));
    for (what, how) in [
        (
            "Debian, Ubuntu",
            format!("cp {place} /usr/local/share/ca-certificates/{}.crt; update-ca-certificates", desk.name),
        ),
        ("Fedora, RHEL", format!("cp {place} /etc/pki/ca-trust/source/anchors/; update-ca-trust")),
        ("one program", format!("curl --cacert {place} https://...")),
    ] {
        paper.line(Ink::Plain, &format!("  {what:<15} {how}"));
    }
    paper.paragraph(
        Ink::Dim,
        0,
        "Its keys are sealed in the memory. `notafter backup` copies them, and the master key opens them: keep both, in two places.",
    );
    let mut root = document_of(&standing.root);
    if written.is_ok() {
        root["file"] = json!(place);
    }
    let document =
        json!({"name": desk.name, "root": root, "intermediate": document_of(&standing.intermediate)});
    say(global, paper, &document);
    Ok(End::Done)
}

/// A new file and nothing else; whole on the disk when it returns.
fn write_new(path: &Path, octets: &[u8], mode: u32) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    fill(file, octets)
}

fn fill(mut file: File, octets: &[u8]) -> std::io::Result<()> {
    file.write_all(octets)?;
    file.sync_all()
}

/// Files that were made for a certificate, and go again if there is none.
struct Reserved(Vec<(PathBuf, Option<File>)>);

impl Reserved {
    fn add(&mut self, path: PathBuf, mode: u32) -> Result<(), Usage> {
        match OpenOptions::new().write(true).create_new(true).mode(mode).open(&path) {
            Ok(file) => {
                self.0.push((path, Some(file)));
                Ok(())
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Usage::new(format!("{} is there already: nothing was issued", path.display()))
                    .hint("name another folder with --out"))
            }
            Err(e) => Err(Usage::new(format!("cannot write {}: {e}; nothing was issued", path.display()))
                .hint("name a folder that is there, and where you may write, with --out")),
        }
    }

    /// Fills the n-th.
    fn fill(&mut self, n: usize, octets: &[u8]) -> Result<(), Usage> {
        let Some((path, file)) = self.0.get_mut(n) else { return Ok(()) };
        let written = file.take().map_or(Ok(()), |file| fill(file, octets));
        written.map_err(|e| Usage::new(format!("cannot write {}: {e}", path.display())))
    }

    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        for (path, _) in &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Reads a file that a person names, or standard input; bounded.
pub(super) fn read_input(path: &Path, most: u64) -> Result<Vec<u8>, Usage> {
    let told = |e: std::io::Error| Usage::new(format!("cannot read {}: {e}", path.display()));
    let mut octets = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(most + 1).read_to_end(&mut octets).map_err(told)?;
    } else {
        File::open(path).and_then(|f| f.take(most + 1).read_to_end(&mut octets)).map_err(told)?;
    }
    if octets.len() as u64 > most {
        return Err(Usage::new(format!(
            "{} is larger than {} KiB: that is none",
            path.display(),
            most >> 10
        )));
    }
    Ok(octets)
}

fn read_request(path: &Path) -> Result<Vec<u8>, Usage> {
    let octets = read_input(path, REQUEST_MAX)?;
    let opened = container::open(&octets, &[], &Limits::default());
    let csr = opened.found.into_iter().find_map(|found| match found.content {
        Content::Csr(der) => Some(der.into_owned()),
        _ => None,
    });
    csr.ok_or_else(|| {
        Usage::new(format!("{} holds no request (PKCS#10)", path.display()))
            .hint("openssl req -new -key key.pem -subj / -addext subjectAltName=DNS:api.internal.example")
    })
}

/// The names a request asks for.
fn asked(der: &[u8]) -> Result<Vec<Identifier>, Usage> {
    let none = || {
        Usage::new("the request asks for no name (subjectAltName) that this CA could certify")
            .hint("name them: --names api.internal.example")
    };
    let csr = Csr::parse(der).map_err(|_| none())?;
    let mut out = Vec::new();
    for name in csr.subject_alt_names() {
        let read = match name {
            GeneralName::Dns(text) => Identifier::parse(&String::from_utf8_lossy(text)),
            GeneralName::Ip(octets) => match octets.len() {
                4 => <[u8; 4]>::try_from(octets).ok().map(|o| Identifier::Ip(o.into())),
                16 => <[u8; 16]>::try_from(octets).ok().map(|o| Identifier::Ip(o.into())),
                _ => None,
            },
            _ => None,
        };
        // What cannot be certified is not left out silently.
        out.push(read.ok_or_else(none)?);
    }
    if out.is_empty() { Err(none()) } else { Ok(out) }
}

/// The beginning of the names of its files: a name is letters, digits, `-`, `_` and dots.
fn stem(name: &Identifier) -> String {
    name.to_string().replace("*.", "wildcard.").replace(':', "-")
}

fn issue(global: &Global, args: &CaIssue) -> Result<End, Usage> {
    let mut names = Vec::new();
    for text in &args.names {
        names.push(identifier(text.trim()).map_err(|said| {
            let (what, hint) =
                said.split_once("\nhint: ").unwrap_or((&said, "write a DNS name or an address"));
            Usage::new(what).hint(hint)
        })?);
    }
    let key_type = match &args.key {
        None => KeyType::default(),
        Some(text) => KeyType::parse(text).ok_or_else(|| {
            let known: Vec<&str> = KeyType::ALL.iter().map(|(name, _)| *name).collect();
            Usage::new(format!("`{}` is no kind of key", text.escape_debug()))
                .hint(format!("write one of {}", known.join(", ")))
        })?,
    };
    let csr = args.csr.as_deref().map(read_request).transpose()?;
    if let (true, Some(csr)) = (names.is_empty(), &csr) {
        names = asked(csr)?;
    }
    let desk = Desk::open(global, args.name.as_deref(), false)?;
    let (key, csr) = match csr {
        Some(csr) => (None, csr),
        None => {
            let (key, csr) = request::make(&names, key_type, None)?;
            (Some(key), csr)
        }
    };
    let Some(first) = names.first().map(stem) else {
        return Err(Usage::new("there is no name to issue for").hint("--names api.internal.example"));
    };
    let mut files = Reserved(Vec::new());
    files.add(args.out.join(format!("{first}.pem")), 0o644)?;
    if key.is_some() {
        files.add(args.out.join(format!("{first}.key")), 0o600)?;
    }
    let record = desk.ca.issue(&names, &csr, args.days.map(|d| i64::from(d) * DAY), desk.now)?;
    desk.note("ca-issued", format!("{}, serial {}", record.names.join(", "), record.serial))?;
    let chain = desk.ca.chain(&record)?;
    let text: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
    files.fill(0, text.as_bytes())?;
    if let Some(key) = &key {
        files.fill(1, pem::encode("PRIVATE KEY", key.expose()).as_bytes())?;
    }
    let places: Vec<String> = files.0.iter().map(|(path, _)| shown(path)).collect();
    files.keep();
    let end = UnixTime(record.not_after);
    let mut paper = paper(global);
    paper.line(Ink::Bold, &format!("issued for {}, until {end}", record.names.join(", ")));
    paper.line(Ink::Plain, &format!("  serial       {}", record.serial));
    for (what, place) in ["certificate ", "key         "].iter().zip(&places) {
        paper.line(Ink::Plain, &format!("  {what} {place}"));
    }
    if key.is_some() {
        paper.paragraph(Ink::Dim, 2, "Nobody renews it. A [[certificate]] of the configuration is renewed.");
    }
    let mut document = issued(&record);
    document["certificate"] = json!(places.first());
    if let Some(key) = places.get(1) {
        document["key"] = json!(key);
    }
    say(global, paper, &document);
    Ok(End::Done)
}

fn issued(record: &Record) -> Value {
    let leaf = record.leaf().unwrap_or_default();
    json!({
        "serial": record.serial,
        "names": record.names,
        "not_after": UnixTime(record.not_after).to_string(),
        "fingerprint": Fingerprint::of(&leaf).to_string(),
    })
}

fn revoke(global: &Global, args: &CaRevoke) -> Result<End, Usage> {
    let reason = RevocationReason::parse(&args.reason).ok_or_else(|| {
        let words: Vec<&str> = RevocationReason::ALL.iter().map(|(word, ..)| *word).collect();
        Usage::new(format!("`{}` is no reason", args.reason.escape_debug()))
            .hint(format!("write one of {}", words.join(", ")))
    })?;
    let desk = Desk::open(global, args.name.as_deref(), false)?;
    let leaf = match (&args.certificate, &args.serial) {
        (Some(file), _) => assemble::certificates(file)?
            .first()
            .map(|der| der.to_vec())
            .ok_or_else(|| Usage::new(format!("{} holds no certificate", file.display())))?,
        (None, serial) => {
            let serial = serial.as_deref().unwrap_or_default().to_ascii_lowercase().replace(':', "");
            let found = desk.ca.issued(&serial)?.ok_or_else(|| {
                Usage::new(format!(
                    "{} issued nothing with the serial number {}",
                    desk.name,
                    serial.escape_debug()
                ))
                .hint(format!(
                    "notafter ca show {} lists them; or give the certificate with --certificate",
                    desk.name
                ))
            })?;
            found.leaf()?
        }
    };
    let Revoking { news, unlisted } = desk.ca.revoke_leaf(&leaf, reason, desk.now)?;
    let (serial, names) = match Certificate::parse(&leaf) {
        Ok(c) => (
            notafter_pki::fingerprint::hex(c.serial()),
            names_of(&c).iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        ),
        Err(_) => (String::new(), String::new()),
    };
    if news {
        desk.note("ca-revoked", format!("{names}, serial {serial}: {}", args.reason))?;
    }
    let lists = desk.ca.lists(desk.now)?;
    let mut paper = paper(global);
    let headline = if news { "is revoked" } else { "was revoked already, or has ended" };
    paper.line(Ink::Bold, &format!("{serial} ({names}) {headline}"));
    paper.paragraph(
        Ink::Plain,
        2,
        &format!(
            "Clients learn it from revocation list number {}: notafter ca crl {} --out FILE",
            lists.number, desk.name
        ),
    );
    let document = json!({
        "serial": serial, "revoked": true, "new": news, "crl_number": lists.number,
        "unlisted": unlisted.as_ref().map(told),
    });
    say(global, paper, &document);
    let Some(fault) = unlisted else { return Ok(End::Done) };
    let hint = "the server writes it as soon as it can; or, once that is mended: notafter ca crl --out FILE";
    print::error(
        &format!("it is revoked, and the list that clients read does not say so yet: {fault}"),
        Some(fault.hint.as_deref().unwrap_or(hint)),
    );
    Ok(End::Failed)
}

fn crl(global: &Global, args: &CaCrl) -> Result<End, Usage> {
    let desk = Desk::open(global, args.name.as_deref(), false)?;
    let lists = desk.ca.lists(desk.now)?;
    let mut document = json!({
        "number": lists.number,
        "this_update": lists.at.to_string(),
        "next_update": lists.next.to_string(),
        "revoked": lists.revoked,
    });
    match &args.out {
        Some(file) => {
            put(file, &lists)?;
            document["file"] = json!(shown(file));
            let mut paper = paper(global);
            paper.line(
                Ink::Plain,
                &format!(
                    "{}: number {}, {} revoked, to be replaced before {}",
                    shown(file),
                    lists.number,
                    lists.revoked,
                    lists.next
                ),
            );
            say(global, paper, &document);
        }
        None if global.format() == Format::Table => {
            print::out(lists.pem().as_bytes());
        }
        None => {
            document["pem"] = json!(lists.pem());
            print::out(format!("{document}\n").as_bytes());
        }
    }
    Ok(End::Done)
}

fn show(global: &Global, args: &CaShow) -> Result<End, Usage> {
    let desk = Desk::open(global, args.name.as_deref(), false)?;
    let standing = desk.ca.standing(args.limit)?;
    if args.root {
        print::out(pem::encode("CERTIFICATE", &standing.root).as_bytes());
        return Ok(End::Done);
    }
    let trouble = desk.store.kept(&tended(&desk.name)).map_err(|e| desk.data.explain(&e))?;
    let trouble =
        trouble.map(|kept| String::from_utf8_lossy(&kept.value).into_owned()).filter(|t| !t.is_empty());
    let mut paper = paper(global);
    paper.line(Ink::Bold, &format!("{}, made at {}", desk.name, standing.made));
    for (what, der) in [("root        ", &standing.root), ("intermediate", &standing.intermediate)] {
        let (subject, end, print) = described(der);
        paper.line(Ink::Plain, &format!("  {what}  {subject}, until {end}"));
        paper.line(Ink::Dim, &format!("                SHA-256 {print}"));
    }
    if let Some(trouble) = &trouble {
        paper.paragraph(Ink::Red, 2, trouble);
    }
    for record in &standing.issued {
        let revoked = standing.revoked.iter().find(|r| r.serial == record.serial);
        let (ink, state) = match revoked {
            Some(r) => (Ink::Yellow, format!("revoked at {}", UnixTime(r.at))),
            None if record.not_after < desk.now.0 => (Ink::Dim, "ended".to_owned()),
            None => (Ink::Plain, format!("until {}", UnixTime(record.not_after))),
        };
        paper.line(ink, &format!("  {}  {state}  {}", record.serial, record.names.join(", ")));
    }
    if standing.issued.is_empty() {
        paper.line(Ink::Dim, "  nothing was issued yet");
    }
    let list: Vec<Value> = standing.issued.iter().map(issued).collect();
    let revoked: Vec<Value> = standing
        .revoked
        .iter()
        .map(|r| json!({"serial": r.serial, "at": UnixTime(r.at).to_string(), "reason": r.reason}))
        .collect();
    let mut root = document_of(&standing.root);
    root["pem"] = json!(pem::encode("CERTIFICATE", &standing.root));
    let document = json!({
        "name": desk.name,
        "made": standing.made.to_string(),
        "root": root,
        "intermediate": document_of(&standing.intermediate),
        "trouble": trouble,
        "issued": list,
        "revoked": revoked,
    });
    say(global, paper, &document);
    Ok(End::Done)
}
