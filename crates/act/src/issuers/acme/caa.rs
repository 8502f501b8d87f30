//! Do the CAA records of the names let this CA issue (RFC 8659), to our account and by our method (RFC 8657)?
//!
//! The CA is known by the domains that its directory names; where it names none, nothing is said. What counts is the
//! set nearest above a name, aliases followed by the resolver. Nothing is remembered: records change.

use std::collections::HashMap;

use notafter_core::deployment::Check;
use notafter_core::issuance::{ChallengeType, Identifier, Request};
use notafter_core::joints::Cx;
use notafter_pki::dns::zone::caa as policy_of;
use notafter_pki::dns::{Data, caa, kind, name};
use notafter_pki::name::printable;
use notafter_pki::statement::Statement;

use super::Acme;
use super::document::Directory;
use crate::solvers::Resolver;
use crate::text::cut;

/// More than any CA has.
const DOMAINS_MAX: usize = 50;
/// What resolvers say of a zone that does not answer, or whose signatures do not hold (RFC 1035 section 4.1.1).
const SERVFAIL: u8 = 2;

/// One look at the records of a request's names.
struct Look<'a> {
    resolver: Resolver,
    /// What was found at names.
    found: HashMap<String, Option<Statement>>,
    /// The CA.
    domains: Vec<&'a str>,
    /// Our account there.
    account: Option<String>,
    /// How control is proved.
    method: ChallengeType,
}

/// Why nothing was found.
enum Missed {
    /// The CA will see the same, and must not issue (RFC 8659 section 3).
    Fails(String),
    /// It says nothing about what the CA will see.
    Unknown(String),
}

impl Acme {
    pub(super) async fn caa_checks(
        &self,
        cx: &Cx,
        request: &Request,
        directory: &Directory,
        method: ChallengeType,
    ) -> Vec<Check> {
        let named = directory.meta.caa_identities.iter().take(DOMAINS_MAX);
        let domains: Vec<&str> = named.map(|d| d.trim_end_matches('.')).filter(|d| !d.is_empty()).collect();
        let Ok(resolver) = self.settings.resolver() else { return Vec::new() };
        if domains.is_empty() {
            return Vec::new();
        }
        let account = self.own_url(cx).await;
        let mut look = Look { resolver, found: HashMap::new(), domains, account, method };
        let mut checks = Vec::new();
        for identifier in &request.names {
            let Identifier::Dns(name) = identifier else { continue };
            match look.check(name).await {
                Ok(None) => {}
                Ok(Some(check)) => checks.push(check),
                Err(said) => {
                    checks.push(Check::works("CAA records", format!("not looked at: {said}")));
                    return checks;
                }
            }
        }
        if checks.is_empty() && request.names.iter().any(|name| matches!(name, Identifier::Dns(_))) {
            checks.push(Check::works("CAA records", format!("they let {} issue", look.called())));
        }
        checks
    }
}

impl Look<'_> {
    fn called(&self) -> String {
        cut(&printable(self.domains.first().unwrap_or(&"the CA")), 100)
    }

    /// What is wrong with a name. `Err`: nobody can be asked.
    async fn check(&mut self, name: &str) -> Result<Option<Check>, String> {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        let what = format!("CAA of {name}");
        match self.nearest(bare).await {
            Err(Missed::Unknown(said)) => Err(said),
            Err(Missed::Fails(said)) => Ok(Some(Check::fails(
                what,
                said,
                "a CA that gets no answer for CAA must not issue: do all servers of the zone answer for this type, and is DNSSEC in order?",
            ))),
            Ok(None) => Ok(None),
            Ok(Some(policy)) => Ok(self.objection(&policy, bare != name).map(|why| {
                let at = cut(&printable(policy.names().first().map_or(bare, String::as_str)), 260);
                Check::fails(
                    what,
                    format!("the CAA records of {at} {why}"),
                    self.hint(&policy, bare != name, &at),
                )
            })),
        }
    }

    /// The records nearest above a name (RFC 8659 section 3).
    async fn nearest(&mut self, name: &str) -> Result<Option<Statement>, Missed> {
        let mut at = Some(name);
        while let Some(here) = at.filter(|here| *here != ".") {
            let found = match self.found.get(here) {
                Some(found) => found.clone(),
                None => self.ask(here).await?,
            };
            self.found.insert(here.to_owned(), found.clone());
            if found.is_some() {
                return Ok(found);
            }
            at = name::parent(here);
        }
        Ok(None)
    }

    async fn ask(&self, name: &str) -> Result<Option<Statement>, Missed> {
        let answer = self.resolver.answer(name, kind::CAA).await.map_err(|none| match none.code {
            Some(SERVFAIL) => Missed::Fails(none.said),
            _ => Missed::Unknown(none.said),
        })?;
        // They stand at the end of aliases.
        let owner = answer.answers.iter().find(|record| matches!(record.data, Data::Caa { .. }));
        Ok(owner.and_then(|record| policy_of(&record.owner, &answer.answers)))
    }

    /// Why the CA may not issue by these records, in words that follow their name.
    fn objection(&self, policy: &Statement, wildcard: bool) -> Option<String> {
        if let Some(tag) = policy.fact_of("critical_unknown") {
            let tag = cut(&printable(tag), 100);
            return Some(format!(
                "have the critical property `{tag}`, and a CA that does not know it must not issue"
            ));
        }
        let allowed = caa::allowed(policy, wildcard)?;
        let is_ours = |value: &&String| {
            self.domains
                .iter()
                .any(|known| known.eq_ignore_ascii_case(caa::domain(value).trim_end_matches('.')))
        };
        let ours: Vec<&String> = allowed.iter().filter(is_ours).collect();
        if ours.is_empty() {
            let whom = cut(&printable(&allowed.join("\", \"")), 300);
            return Some(format!("let \"{whom}\" issue{}, and not {}", of(wildcard), self.called()));
        }
        let mut why = None;
        for value in ours {
            why = Some(self.condition(value)?);
        }
        why
    }

    /// Which condition of a value for this CA is not met.
    fn condition(&self, value: &str) -> Option<String> {
        let shown = cut(&printable(value), 300);
        let Some(all) = caa::parameters(value) else {
            return Some(format!("have `{shown}`, which is malformed and lets nobody issue"));
        };
        for (tag, wanted) in all {
            match (tag.as_str(), &self.account) {
                ("accounturi", Some(own)) if own == wanted => {}
                ("accounturi", Some(own)) => {
                    return Some(format!(
                        "have `{shown}`, and the account here is {}",
                        cut(&printable(own), 200)
                    ));
                }
                ("accounturi", None) => {
                    return Some(format!("have `{shown}`, and there is no account here yet"));
                }
                ("validationmethods", _) if !wanted.split(',').any(|one| one == self.method.as_str()) => {
                    return Some(format!(
                        "have `{shown}`, and control is proved by {}",
                        self.method.as_str()
                    ));
                }
                _ => {}
            }
        }
        None
    }

    fn hint(&self, policy: &Statement, wildcard: bool, at: &str) -> String {
        let wild = wildcard && policy.fact_of("issuewild").is_some();
        let tag = if wild { "issuewild" } else { "issue" };
        format!(
            "make it `CAA 0 {tag} \"{}\"` at {at}, or have it issued by a CA that is allowed there",
            self.called()
        )
    }
}

fn of(wildcard: bool) -> &'static str {
    if wildcard { " for wildcards" } else { "" }
}
