//! Does the process that installs answer, and is it given the same tables? It is asked, and nothing is changed.

use notafter_act::privsep::message::{Answer, Order};
use notafter_act::privsep::{self, Client};
use notafter_core::fault::Fault;

use crate::config::plan::Sheet;
use crate::trusted;

/// What was found: is it well, and in words.
pub(crate) type Said = (bool, String);

/// Asks. Empty: this process installs by itself.
///
/// # Errors
/// The table itself is wrong.
pub(crate) fn visit(sheet: &Sheet) -> Result<Vec<Said>, String> {
    let Some(client) = sheet.apart()? else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    if let (Some(file), account) = (&sheet.file, sheet.acts_as()?)
        && let Err(why) = trusted::solely_of(file, account)
    {
        out.push((false, format!("if it is given this file: {}", why.replace("\nhint: ", "; "))));
    }
    let runtime = super::super::runtime().map_err(|e| e.message)?;
    runtime.block_on(async {
        match client.ask(&Order::Greet).await {
            Ok(Answer::Here(version)) if version == env!("CARGO_PKG_VERSION") => {
                out.push((true, format!("{} answers", client.socket().display())));
                out.extend(targets(sheet, &client).await);
            }
            Ok(Answer::Here(version)) => {
                let own = env!("CARGO_PKG_VERSION");
                out.push((false, format!("it is of version {version}, and this is {own}: restart both")));
            }
            Ok(_) => out.push((false, "what it answers is not understood: restart both".to_owned())),
            Err(fault) => out.push((false, told(&fault))),
        }
    });
    Ok(out)
}

/// Every target that it does not know, or knows otherwise.
async fn targets(sheet: &Sheet, client: &Client) -> Vec<Said> {
    let mut out = Vec::new();
    let Ok(written) = sheet.written() else { return out };
    for certificate in &sheet.config.certificate {
        let name = certificate.name.get_ref();
        for (n, table) in certificate.target.iter().enumerate() {
            let label = table.label(n);
            let of_it = written.iter().filter(|w| w.certificate == *name && w.target == label);
            match privsep::places(client, name, &label).await {
                Err(fault) => out.push((false, format!("{name}, {label}: {}", told(&fault)))),
                Ok(far) if far.iter().map(String::as_str).eq(of_it.map(|w| w.place.as_str())) => {}
                Ok(far) => out.push((false, format!("{name}, {label}: it would write {}", far.join(", ")))),
            }
        }
    }
    out
}

fn told(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{fault}; {hint}"),
        None => fault.to_string(),
    }
}
