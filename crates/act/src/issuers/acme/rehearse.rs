//! Would an order work today? The directory is read, the account asked for, the profile, the binding and the limits
//! compared, the CAA records of the names looked up (`caa.rs`). Nothing is made and nothing ordered.

use notafter_core::deployment::Check;
use notafter_core::fault::Fault;
use notafter_core::issuance::{ChallengeType, Request};
use notafter_core::joints::Cx;
use notafter_pki::name::printable;

use super::Acme;
use super::document::Directory;
use crate::text::cut;

/// A fault as the answer to a question.
fn failed(what: &str, fault: Fault) -> Check {
    Check::fails(what, fault.context, fault.hint.unwrap_or_else(|| "look at the CA's status page".to_owned()))
}

impl Acme {
    pub(super) async fn checks(&self, cx: &Cx, request: &Request, method: ChallengeType) -> Vec<Check> {
        let host = self.ca.address().host_str().unwrap_or_default();
        let what = format!("directory of {host}");
        let directory = match self.ca.directory(cx).await {
            Ok(directory) => directory,
            Err(fault) => return vec![failed(&what, fault)],
        };
        let mut checks = vec![Check::works(what, format!("{} answers", self.ca.address()))];
        checks.push(self.account_check(cx, &directory).await);
        checks.extend(self.profile_check(request, &directory));
        checks.push(match self.ledger.predict(&request.names, cx.clock.now()) {
            Ok(()) => Check::works("limits of the CA", "none that is known would be passed"),
            Err(fault) => failed("limits of the CA", fault),
        });
        checks.extend(self.caa_checks(cx, request, &directory, method).await);
        checks
    }

    async fn account_check(&self, cx: &Cx, directory: &Directory) -> Check {
        let what = "account at the CA";
        let kept = match self.kept_account() {
            Ok(Some((_, kept))) if kept.url.is_some() => kept,
            Ok(_) => return self.would_be_made(directory),
            Err(fault) => return failed(what, fault),
        };
        let key = match kept.key() {
            Ok(key) => key,
            Err(fault) => return failed(what, fault),
        };
        match self.find(cx, &key).await {
            Ok(Some(url)) => {
                let terms = directory.meta.terms_of_service.as_deref();
                let changed = terms.filter(|_| kept.terms.as_deref() != terms);
                let more = changed
                    .map(|url| format!("; its terms of service changed: {}", cut(&printable(url), 200)));
                Check::works(
                    what,
                    format!("{} is usable{}", cut(&printable(&url), 200), more.unwrap_or_default()),
                )
            }
            Ok(None) => Check::fails(
                what,
                "the CA does not know the account key (any more)",
                "it is made anew with the same key at the next order, if the CA lets it; look whether its authorizations elsewhere (CAA accounturi) name the old one",
            ),
            Err(trouble) => {
                failed(what, trouble.fault("the CA does not answer for the account", cx.clock.now()))
            }
        }
    }

    fn would_be_made(&self, directory: &Directory) -> Check {
        let what = "account at the CA";
        if directory.meta.external_account_required && self.settings.eab.is_none() {
            return Check::fails(
                what,
                "there is none, and the CA makes one only for those it knows",
                "set eab = { kid = \"...\", hmac = { file = \"...\" } } to what the CA's own page gave you",
            );
        }
        match &directory.meta.terms_of_service {
            Some(terms) if self.settings.agree_tos == Some(false) => {
                let said = format!(
                    "there is none, and the terms of service at {} are not agreed to",
                    cut(&printable(terms), 200)
                );
                Check::fails(what, said, "to agree, leave out agree_tos or set it to true")
            }
            _ => Check::works(what, "there is none yet; it is made with the first order"),
        }
    }

    fn profile_check(&self, request: &Request, directory: &Directory) -> Option<Check> {
        let wanted = request.profile.clone().or_else(|| self.settings.profile())?;
        let what = format!("profile {}", wanted.name);
        Some(match self.profile_for(request, directory) {
            Ok(Some(_)) => Check::works(what, "the CA offers it"),
            Ok(None) => {
                Check::works(what, "the CA does not offer it, and it is not required: its default is taken")
            }
            Err(fault) => failed(&what, fault),
        })
    }
}
