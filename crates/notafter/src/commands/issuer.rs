//! `issuer import`: goes on with the ACME account of certbot, acme.sh or lego.
//!
//! ```text
//! what lies there → which CA → [[issuer]] shown → asked → the CA asked, the key sealed → the table added
//! ```
//!
//! `issuer rollover` gives such an account another key.
//!
//! The key is copied into the memory, sealed; the files of the other client stay as they are, and both may go on with the
//! same account. Nothing is ordered.

use std::sync::Arc;

use notafter_act::issuers::BuildCx;
use notafter_act::issuers::acme::{self, Acme, FoundAccount};
use notafter_act::roots::Roots;
use notafter_core::clock::Clock;
use notafter_core::issuance::KeyType;
use notafter_core::joints::{Cx, Keep};
use notafter_core::query::nearest;
use notafter_engine::clock::SystemClock;
use notafter_engine::renew::told;
use notafter_pki::name::printable;
use notafter_store::alerts::AuditLine;
use serde_json::{Value, json};

use super::adopt::plan::{IssuerTable, issuer_table};
use super::adopt::who::{PUBLIC, named_after};
use super::{End, Usage, no_rows, runtime};
use crate::amend::{self, Amendment, string};
use crate::assemble;
use crate::cli::{Format, Global, IssuerImport, IssuerRollover};
use crate::config::managed::settings;
use crate::config::plan::Sheet;
use crate::data::{Data, no_dumps, who};
use crate::keeping::{self, Yard};
use crate::print;
use crate::print::paper::{Ink, Paper};

/// The issuer that the account is for.
enum For {
    /// One of the configuration.
    Known { name: String, table: Value },
    /// One that is added.
    New { name: String, directory: String },
}

pub(crate) fn import(global: &Global, args: &IssuerImport) -> Result<End, Usage> {
    no_rows(global, "issuer import")?;
    let (sheet, path) = amend::sheet(global)?;
    let global = &Global { config: sheet.file.clone(), ..global.clone() };
    let found = acme::accounts(&args.folder).map_err(|e| assemble::explain_plain(&e))?;
    let table = global.format() == Format::Table;
    if table {
        list(global, &found);
    }
    let (account, issuer) = choose(&sheet, args, &found)?;
    let text = new_table(args, account, &issuer);
    let change = text.as_deref().map(|text| Amendment::append(&sheet, &path, text)).transpose()?;
    let clock = Arc::new(SystemClock::new());
    if let Some(change) = &change {
        change.check(&sheet)?;
    }
    let (name, given) = match &issuer {
        For::Known { name, table } => (name.clone(), table.clone()),
        For::New { name, directory } => {
            let mut given = json!({ "directory": directory });
            if let Some(file) = &args.ca_file {
                given["ca_file"] = json!(std::path::absolute(file).unwrap_or_else(|_| file.clone()));
            }
            (name.clone(), given)
        }
    };
    let mut answer = json!({
        "found": found.iter().map(document).collect::<Vec<_>>(), "taken": document(account), "issuer": name,
        "file": change.as_ref().map(Amendment::path), "toml": text, "diff": change.as_ref().map(Amendment::diff),
        "imported": false,
    });
    if let (true, Some(change)) = (table, &change) {
        print::out(change.diff().as_bytes());
    }
    if args.dry_run {
        if !table {
            print::out(format!("{answer}\n").as_bytes());
        }
        return Ok(End::Done);
    }
    print::note(&format!(
        "the key in {} is copied into the memory, sealed; {} keeps its own, and both use one account",
        account.file.display(),
        account.client
    ));
    if !amend::agreed(&format!("Go on with it as `{name}`?"), args.yes, "nothing was imported")? {
        print::note("nothing was imported");
        return Ok(End::Failed);
    }
    let data = Data::find(global, &sheet)?;
    let store = data.open(clock.now())?;
    let keep = keeping::keep(&sheet, &data, &store).map_err(|e| assemble::explain_plain(&e))?;
    let built = Acme::open(given, &BuildCx { name: name.clone(), roots: Roots::read(), keep, act: None });
    let issuer = built.map_err(|e| assemble::explain_plain(&format!("issuer `{name}`: {e}")))?;
    let cx = Cx::new(clock, assemble::vantage());
    let url = runtime()?
        .block_on(async {
            match args.offline {
                true => issuer.import_unasked(&account.file).await.map(|()| None),
                false => issuer.import_account(&cx, &account.file).await.map(|i| Some(i.account)),
            }
        })
        .map_err(|fault| {
            let hint = fault.hint.clone().unwrap_or_else(|| "nothing was imported".to_owned());
            Usage::new(fault.to_string()).hint(hint)
        })?;
    let line = AuditLine {
        at: cx.clock.now(),
        who: who(),
        what: "account-imported".to_owned(),
        subject: format!("issuer:{name}"),
        detail: format!("{}'s, from {}", account.client, account.file.display()),
    };
    store.audit(&line).map_err(|e| data.explain(&e))?;
    let backup = change.as_ref().map(Amendment::write).transpose()?.flatten();
    answer["imported"] = true.into();
    answer["account"] = json!(url);
    answer["backup"] = backup.as_ref().map(|b| b.display().to_string()).into();
    if !table {
        print::out(format!("{answer}\n").as_bytes());
        return Ok(End::Done);
    }
    let said = match &url {
        Some(url) => format!("the CA knows it: {}", printable(url)),
        None => "the CA was not asked: whether it knows the account shows at the first order".to_owned(),
    };
    print::out(format!("{name} goes on with {}'s account; {said}\n", account.client).as_bytes());
    if let Some(change) = &change {
        let kept = backup.map(|b| format!("; what was there before is {}", b.display())).unwrap_or_default();
        print::out(format!("added to {}{kept}\n", change.path().display()).as_bytes());
    }
    Ok(End::Done)
}

/// The ACME issuer of this name, ready to be asked.
///
/// # Errors
/// There is none, or it is of another kind.
pub(super) fn acme_of(sheet: &Sheet, name: &str, keep: Arc<dyn Keep>) -> Result<Acme, Usage> {
    let acmes = || sheet.config.issuer.iter().filter(|t| t.kind == acme::NAME);
    let Some(table) = acmes().find(|t| t.name.get_ref() == name) else {
        if sheet.config.issuer.iter().any(|t| t.name.get_ref() == name) {
            return Err(Usage::new(format!("the issuer `{}` speaks no ACME", name.escape_debug()))
                .hint("only an ACME CA has accounts with keys"));
        }
        let known: Vec<&str> = acmes().map(|t| t.name.get_ref().as_str()).collect();
        let hint = match (nearest(name, known.iter().copied()), known.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "write an [[issuer]] table with kind = \"acme\"".to_owned(),
            (None, false) => format!("there are {}", known.join(", ")),
        };
        return Err(Usage::new(format!("no issuer is called `{}`", name.escape_debug())).hint(hint));
    };
    let wrong = |what: String| {
        let what = sheet.wrong(Some(table.name.span().start), format!("issuer `{name}`: {what}"));
        assemble::explained(sheet, &what)
    };
    let cx = BuildCx { name: name.to_owned(), roots: Roots::read(), keep, act: None };
    Acme::open(settings(&table.rest).map_err(wrong)?, &cx).map_err(wrong)
}

/// `issuer rollover`: another key for the account. The new one is kept before the CA hears of it.
pub(crate) fn rollover(global: &Global, args: &IssuerRollover) -> Result<End, Usage> {
    no_rows(global, "issuer rollover")?;
    no_dumps();
    let kind = args.key.as_deref().map(|text| {
        KeyType::parse(text).ok_or_else(|| {
            let known: Vec<&str> = KeyType::ALL.iter().map(|(name, _)| *name).collect();
            Usage::new(format!("`{}` is no kind of key", text.escape_debug()))
                .hint(format!("write one of {}", known.join(", ")))
        })
    });
    let kind = kind.transpose()?;
    let sheet = assemble::read_sheet(global.config.as_deref())?;
    acme_of(&sheet, &args.name, Yard::checking().keep)?;
    let clock = Arc::new(SystemClock::new());
    let data = Data::find(global, &sheet)?;
    let store = data.open_existing(clock.now())?;
    let keep = keeping::keep(&sheet, &data, &store).map_err(|e| assemble::explain_plain(&e))?;
    let acme = acme_of(&sheet, &args.name, keep)?;
    print::note(&format!(
        "the account at `{}` gets another key; whoever else uses the account (another client, another memory) is left out from then on",
        args.name
    ));
    if !amend::agreed("Change it?", args.yes, "nothing was changed")? {
        print::note("nothing was changed");
        return Ok(End::Failed);
    }
    let audit = |what: &str, detail: String| {
        let subject = format!("issuer:{}", args.name);
        let line = AuditLine { at: clock.now(), who: who(), what: what.to_owned(), subject, detail };
        store.audit(&line).map_err(|e| data.explain(&e))
    };
    audit("account-key-changing", String::new())?;
    let cx = Cx::new(Arc::clone(&clock) as Arc<dyn Clock>, assemble::vantage());
    if let Err(fault) = runtime()?.block_on(acme.roll_over(&cx, kind)) {
        audit("account-key-kept", told(&fault))?;
        let hint = "which key is in force is asked of the CA before the account is used again";
        print::error(&format!("{}: {fault}", args.name), Some(fault.hint.as_deref().unwrap_or(hint)));
        return Ok(End::Failed);
    }
    audit("account-key-changed", String::new())?;
    match global.format() {
        Format::Table => print::out(format!("the account at {} has another key\n", args.name).as_bytes()),
        _ => print::out(format!("{}\n", json!({ "issuer": args.name, "changed": true })).as_bytes()),
    };
    Ok(End::Done)
}

/// Which account, and for which issuer.
fn choose<'f>(
    sheet: &Sheet,
    args: &IssuerImport,
    found: &'f [FoundAccount],
) -> Result<(&'f FoundAccount, For), Usage> {
    let named = args.issuer.as_deref();
    let acmes = || sheet.config.issuer.iter().filter(|t| t.kind == acme::NAME);
    let of_table = |table: &crate::config::managed::IssuerTable| {
        table.rest.get("directory").and_then(toml::Value::as_str).map(str::to_owned)
    };
    let known = match named {
        Some(name) => acmes().find(|t| t.name.get_ref() == name),
        None => None,
    };
    if let Some(name) = named
        && known.is_none()
        && sheet.config.issuer.iter().any(|t| t.name.get_ref() == name)
    {
        return Err(Usage::new(format!("the issuer `{}` speaks no ACME", name.escape_debug()))
            .hint("accounts are imported for kind = \"acme\""));
    }
    let wanted = known.and_then(of_table).or_else(|| args.directory.clone());
    let fits = |account: &&FoundAccount| match (&wanted, &account.host) {
        (Some(url), Some(host)) => host_of(url).is_none_or(|h| same_ca(&h, host)),
        _ => true,
    };
    let fitting: Vec<&FoundAccount> = found.iter().filter(fits).collect();
    let account = match fitting.as_slice() {
        [one] => *one,
        [] => {
            let hosts: Vec<&str> = found.iter().filter_map(|a| a.host.as_deref()).collect();
            return Err(Usage::new(format!(
                "none of these accounts is at {}",
                wanted.as_deref().unwrap_or("that CA")
            ))
            .hint(format!("they are at {}", hosts.join(", "))));
        }
        several => {
            return Err(Usage::new(format!("{} accounts are there, and one CA has one here", several.len()))
                .hint("name the CA with --issuer or --directory, or the file of the one key"));
        }
    };
    if let Some(table) = known {
        let name = table.name.get_ref().clone();
        return Ok((account, For::Known { name, table: settings(&table.rest).map_err(Usage::new)? }));
    }
    let directory = args.directory.clone().or_else(|| account.directory.clone()).or_else(|| {
        let host = account.host.as_deref()?;
        PUBLIC
            .iter()
            .find(|ca| host_of(ca.directory).as_deref() == Some(host))
            .map(|ca| ca.directory.to_owned())
    });
    // The one of the configuration with the same CA.
    let same = acmes().find(|t| {
        let url = of_table(t);
        match (&directory, &account.host, &url) {
            (Some(directory), _, Some(url)) => directory == url,
            (None, Some(host), Some(url)) => host_of(url).is_some_and(|h| same_ca(&h, host)),
            _ => false,
        }
    });
    if let (Some(table), None) = (same, named) {
        let name = table.name.get_ref().clone();
        return Ok((account, For::Known { name, table: settings(&table.rest).map_err(Usage::new)? }));
    }
    let Some(directory) = directory else {
        let at = account.host.as_deref().map(|h| format!(" at {h}")).unwrap_or_default();
        return Err(Usage::new(format!(
            "{} does not say where the directory of its CA{at} is",
            account.client
        ))
        .hint("--directory URL, as the CA's own page has it"));
    };
    let public = PUBLIC.iter().find(|ca| ca.directory == directory);
    let base = named.map(str::to_owned);
    let base =
        base.unwrap_or_else(|| public.map_or_else(|| named_after(&directory), |ca| ca.name.to_owned()));
    let taken = |name: &str| sheet.config.issuer.iter().any(|t| t.name.get_ref() == name);
    let mut name = base.clone();
    let mut n = 2;
    while taken(&name) {
        name = format!("{base}-{n}");
        n += 1;
    }
    Ok((account, For::New { name, directory }))
}

/// The table that is added, if one is.
fn new_table(args: &IssuerImport, account: &FoundAccount, issuer: &For) -> Option<String> {
    let For::New { name, directory } = issuer else { return None };
    let ca_file =
        args.ca_file.as_ref().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone()));
    let rest: Vec<(&str, String)> =
        ca_file.iter().map(|file| ("ca_file", string(&file.to_string_lossy()))).collect();
    Some(issuer_table(&IssuerTable {
        name,
        directory,
        why: &format!("its account is {}'s, imported from {}", account.client, account.file.display()),
        public: PUBLIC.iter().find(|ca| ca.directory == directory),
        contact: account.contact.first().map(String::as_str),
        go_on: None,
        rest: &rest,
    }))
}

/// The host of a URL, with its port.
fn host_of(url: &str) -> Option<String> {
    Some(url.split_once("://")?.1.split('/').next()?.to_owned())
}

/// Are these hosts of one CA? acme.sh leaves the port out.
fn same_ca(a: &str, b: &str) -> bool {
    let bare = |host: &str| host.split(':').next().unwrap_or(host).to_owned();
    a == b || (bare(a) == bare(b) && (!a.contains(':') || !b.contains(':')))
}

fn document(account: &FoundAccount) -> Value {
    json!({
        "client": account.client, "file": account.file, "directory": account.directory, "host": account.host,
        "account": account.account, "contact": account.contact, "key": account.key,
    })
}

fn list(global: &Global, found: &[FoundAccount]) {
    let mut paper = Paper::new(print::colours(global.color), print::width());
    for account in found {
        let at =
            account.directory.as_deref().or(account.host.as_deref()).unwrap_or("a CA that it does not name");
        paper
            .put(Ink::Bold, &printable(&format!("{}  ", account.client)))
            .line(Ink::Plain, &printable(&format!("{at}  {}  {}", account.key, account.contact.join(" "))));
        paper.line(Ink::Dim, &printable(&format!("  {}", account.file.display())));
        if let Some(url) = &account.account {
            paper.line(Ink::Dim, &printable(&format!("  {url}")));
        }
    }
    print::out(paper.into_text().as_bytes());
}
