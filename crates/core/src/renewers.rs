//! What the rules about renewers have in common: why a lineage is stuck, and what to type.

use crate::UnixTime;
use crate::deadline::{Ladder, Step};
use crate::dossier::{AssetView, ManagedView};
use crate::finding::Severity;
use crate::upkeep::Upkeep;

/// Why a renewal did not come, the likeliest first.
pub(crate) enum Cause<'a> {
    /// It is tried and fails.
    Fails(&'a crate::upkeep::Failures),
    /// Something it signs in with has ended.
    Credential(&'a crate::upkeep::Credential),
    /// Its state will not let it.
    Broken(&'a str),
    /// Nothing starts it, or nothing has for long.
    Dead,
    /// Its state does not say.
    Unknown,
}

impl<'a> Cause<'a> {
    pub(crate) fn of(one: &ManagedView<'a>, view: &AssetView<'_>, now: UnixTime) -> Self {
        let renewal = one.renewal;
        if let Some(ended) = renewal.credentials.iter().find(|c| c.until <= now) {
            return Self::Credential(ended);
        }
        if let Some(failures) = failures(one, view, now) {
            return Self::Fails(failures);
        }
        if let Some(broken) = renewal.broken.first() {
            return Self::Broken(broken);
        }
        let dead = renewal.dead_from().is_some_and(|from| from <= one.known_until(now));
        if dead || renewal.nothing_starts_it() { Self::Dead } else { Self::Unknown }
    }

    pub(crate) fn words(&self, renewal: &Upkeep) -> String {
        match self {
            Self::Fails(failures) => {
                format!("it has failed since {}: {}", failures.first, failures.message.trim())
            }
            Self::Credential(ended) => {
                format!("its {} in {} has ended on {}", ended.what, ended.place, ended.until)
            }
            Self::Broken(why) => (*why).to_owned(),
            Self::Dead => dead(renewal),
            Self::Unknown => format!("{} runs, as far as can be told, and does not say why", renewal.tool),
        }
    }

    /// What to do now, in order.
    pub(crate) fn hint(&self, renewal: &Upkeep) -> String {
        let (try_it, renew) = (dry_run(renewal), by_hand(renewal));
        let then = if try_it == renew {
            "and see that what is served has changed".to_owned()
        } else {
            format!("then `{renew}`, and see that what is served has changed")
        };
        match self {
            Self::Fails(failures) => {
                format!(
                    "read the reason ({}) and mend it; see that `{try_it}` goes well, {then}",
                    failures.place
                )
            }
            Self::Credential(ended) => {
                format!(
                    "put a new {} into {}; see that `{try_it}` goes well, {then}",
                    ended.what, ended.place
                )
            }
            Self::Broken(why) => format!("mend it ({why}); see that `{try_it}` goes well, {then}"),
            Self::Dead => {
                format!("run `{renew}` now; {}; see that what is served has changed", revive(renewal))
            }
            Self::Unknown => format!("run `{try_it}` and read what it says, {then}"),
        }
    }
}

/// What starts it, or does not, in words.
pub(crate) fn dead(renewal: &Upkeep) -> String {
    let ran = renewal.last_run.map_or_else(String::new, |last| format!(", and it last ran on {last}"));
    match &renewal.starter {
        Some(starter) if !starter.enabled => format!("{} is there and will not start it{ran}", starter.what),
        Some(starter) => format!("{} should start it{ran}", starter.what),
        None if renewal.starter_known => format!("no timer and no line of cron starts it{ran}"),
        None => format!("what starts it is not known{ran}"),
    }
}

/// How to have it started again.
pub(crate) fn revive(renewal: &Upkeep) -> String {
    match &renewal.starter {
        Some(s) if s.what.ends_with(".timer") && !s.enabled => {
            let unit = plain(&s.what).unwrap_or("the timer");
            format!("then have it started again: `systemctl unmask {unit}`, `systemctl enable --now {unit}`")
        }
        Some(s) if s.what.ends_with(".timer") => {
            let unit = plain(&s.what).unwrap_or("the timer");
            format!(
                "then see why it is not started: `systemctl status {unit}`, `systemctl list-timers {unit}`"
            )
        }
        Some(s) => format!("then see why cron does not run the line in {}", s.place),
        None => format!("then give {} a timer or a line of cron, twice a day", renewal.tool),
    }
}

/// The failures that count now: not what lies ahead, not what this very certificate came after.
pub(crate) fn failures<'a>(
    one: &ManagedView<'a>,
    view: &AssetView<'_>,
    now: UnixTime,
) -> Option<&'a crate::upkeep::Failures> {
    let began = view.asset.not_before.unwrap_or(UnixTime(i64::MIN));
    one.renewal.failures.as_ref().filter(|f| f.first <= now && f.last > began)
}

/// Where on the ladder to its end the certificate is: warning at least, critical where it is near.
pub(crate) fn severity(view: &AssetView<'_>, now: UnixTime) -> (Severity, Option<UnixTime>) {
    let Some(end) = view.asset.not_after else { return (Severity::Warning, None) };
    let ladder = Ladder::for_leaf(view.lifetime());
    let critical = end.plus(-ladder.critical);
    match ladder.step(end, now).0 {
        Step::Quiet | Step::Warning => (Severity::Warning, Some(critical)),
        Step::Critical | Step::Page | Step::Ended => (Severity::Critical, (now < end).then_some(end)),
    }
}

/// A word that a shell takes as it stands.
fn plain(word: &str) -> Option<&str> {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    (!word.is_empty() && !word.starts_with('-') && word.chars().all(safe)).then_some(word)
}

/// A command that tries the renewal and changes nothing, where the tool has one.
pub(crate) fn dry_run(renewal: &Upkeep) -> String {
    match (renewal.tool.as_str(), plain(&renewal.lineage)) {
        ("certbot", Some(name)) => format!("certbot renew --cert-name {name} --dry-run"),
        ("certbot", None) => "certbot renew --dry-run".to_owned(),
        ("caddy", _) => "caddy validate".to_owned(),
        _ => by_hand(renewal),
    }
}

/// The command that renews it.
pub(crate) fn by_hand(renewal: &Upkeep) -> String {
    let name = renewal.names.first().and_then(|n| plain(n));
    match (renewal.tool.as_str(), plain(&renewal.lineage)) {
        ("certbot", Some(name)) => format!("certbot renew --cert-name {name}"),
        ("certbot", None) => "certbot renew".to_owned(),
        ("acme.sh", _) => {
            let ecc = if renewal.lineage.ends_with("_ecc") { " --ecc" } else { "" };
            name.map_or_else(|| "acme.sh --cron".to_owned(), |name| format!("acme.sh --renew -d {name}{ecc}"))
        }
        ("dehydrated", _) => "dehydrated --cron".to_owned(),
        ("lego", _) => "lego ... renew".to_owned(),
        ("caddy", _) => "caddy reload --force".to_owned(),
        ("cert-manager", _) => {
            let both = renewal.lineage.split_once('/').and_then(|(ns, name)| plain(ns).zip(plain(name)));
            both.map_or_else(|| "cmctl renew".to_owned(), |(ns, name)| format!("cmctl renew -n {ns} {name}"))
        }
        // It looks at its store once a day, and at every beginning.
        ("traefik", _) => "systemctl restart traefik".to_owned(),
        _ => format!("{} renew", renewal.tool),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::scene::renewal;

    #[test]
    fn nothing_odd_gets_into_a_command() {
        let odd = Upkeep { lineage: "a;reboot".into(), names: vec!["$(x)".into()], ..renewal() };
        for tool in ["certbot", "acme.sh", "lego", "dehydrated", "caddy", "traefik", "cert-manager"] {
            let one = Upkeep { tool: tool.into(), ..odd.clone() };
            for command in [by_hand(&one), dry_run(&one)] {
                assert!(!command.contains(['$', ';']), "{command}");
            }
        }
        assert_eq!(by_hand(&renewal()), "certbot renew --cert-name a.test");
        let one = Upkeep { tool: "cert-manager".into(), lineage: "shop/web".into(), ..renewal() };
        assert_eq!(by_hand(&one), "cmctl renew -n shop web");
    }
}
