//! Making a CA, and renewing its intermediate. Only ever because a person said so, but for one thing: an intermediate
//! that would soon cut lives short is renewed with the same key, the same name and the same constraints.

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::certificate::Certificate;
use notafter_pki::fingerprint::hex;
use notafter_pki::oid;
use notafter_pki::time::DAY;

use super::book::{Made, bytes};
use super::sign::Signer;
use super::subject::Subject;
use super::write::{self, Draft};
use super::{BACKDATE_S, Ca, serial};

/// How long a root lives where nothing else is said, in days: people install it by hand.
const ROOT_DAYS: u32 = 3_650;
/// And an intermediate, in days.
const INTERMEDIATE_DAYS: i64 = 1_095;

/// How a CA is made.
#[derive(Clone, Debug, Default)]
pub struct Founding {
    /// The root's name, as `CN=House CA,O=Example`. Without it the issuer's name is in it.
    pub subject: Option<String>,
    /// How long the root lives, in days.
    pub days: Option<u32>,
}

impl Ca {
    /// Makes root and intermediate.
    ///
    /// # Errors
    /// There is one already; the name; the memory.
    pub fn found(&self, how: &Founding, now: UnixTime) -> Result<(), Fault> {
        if let Some(made) = self.book.made()? {
            let root = bytes(&made.root)?;
            let print = notafter_core::Fingerprint::of(&root);
            return Err(Fault::new(
                FaultKind::Refused,
                format!(
                    "the CA `{}` was made already, at {}; its root is {print}",
                    self.name,
                    UnixTime(made.at)
                ),
            )
            .retry(Retry::Never)
            .hint(
                "another CA needs an [[issuer]] of another name; a new intermediate: --renew-intermediate",
            ));
        }
        let invalid = |said: String| Fault::new(FaultKind::Invalid, said);
        let subject = match &how.subject {
            Some(text) => Subject::parse(text).map_err(|said| {
                let (what, hint) = said.split_once("\nhint: ").unwrap_or((&said, ""));
                invalid(format!("the subject: {what}")).hint(hint)
            })?,
            None => Subject::common(&format!("{} root", self.name)),
        };
        let days = how.days.unwrap_or(ROOT_DAYS);
        let least = self.plan.policy.max_s / DAY;
        if i64::from(days) <= least || days > 36_500 {
            return Err(invalid(format!(
                "a root of {days} days is no root: more than the {least} of a certificate, and at most 36500"
            ))
            .hint(format!("leave --days out: {ROOT_DAYS}")));
        }
        let key_type = self.plan.ca_key;
        let (root_key, root_secret) = Signer::make(key_type)?;
        let (below_key, below_secret) = Signer::make(key_type)?;
        let not_before = now.plus(-BACKDATE_S);
        let root_name = subject.der();
        let spki = root_key.spki();
        let root = root_key.sign(
            &Draft {
                serial: &serial()?,
                algorithm: &root_key.algorithm(),
                issuer: &root_name,
                not_before,
                not_after: now.plus(i64::from(days) * DAY),
                subject: &root_name,
                spki: &spki,
                extensions: vec![
                    write::basic_constraints(Some(1)),
                    write::key_usage(&[5, 6]),
                    write::subject_key_id(&spki),
                ],
            }
            .tbs(),
        )?;
        let intermediate = self.intermediate(
            &root_key,
            &root,
            (&subject.below().der(), &below_key.spki()),
            self.plan.policy.constraints(),
            now,
        )?;
        // Keys first, under names of their own; whoever writes the last entry made the CA.
        let id = hex(&serial()?);
        let root_name = self.book.keep_key(&format!("root-{id}"), &root_secret)?;
        let below_name = self.book.keep_key(&format!("intermediate-{id}"), &below_secret)?;
        let made = Made {
            at: now.0,
            key_type,
            root_key: root_name.clone(),
            root: hex(&root),
            intermediate_key: below_name.clone(),
            intermediates: vec![hex(&intermediate)],
        };
        if self.book.make(&made)? {
            return Ok(());
        }
        self.book.forget_key(&root_name, &root_secret);
        self.book.forget_key(&below_name, &below_secret);
        Err(Fault::new(
            FaultKind::Refused,
            format!("the CA `{}` was made by somebody else at this moment", self.name),
        )
        .retry(Retry::Never)
        .hint(format!("notafter ca show {}", self.name)))
    }

    /// Signs an intermediate: name and key given, path length 0, bound by `constraints`.
    fn intermediate(
        &self,
        root_key: &Signer,
        root: &[u8],
        (subject, spki): (&[u8], &[u8]),
        constraints: Vec<Vec<u8>>,
        now: UnixTime,
    ) -> Result<Vec<u8>, Fault> {
        let root = Certificate::parse(root).map_err(|_| unreadable())?;
        let (Some(begin), Some(end)) = (root.not_before(), root.not_after()) else {
            return Err(unreadable());
        };
        let life = (INTERMEDIATE_DAYS * DAY).max(4 * self.plan.policy.max_s);
        let mut extensions = vec![
            write::basic_constraints(Some(0)),
            write::key_usage(&[5, 6]),
            write::subject_key_id(spki),
            write::authority_key_id(root.subject_key_id().unwrap_or_default()),
        ];
        extensions.extend(constraints);
        let draft = Draft {
            serial: &serial()?,
            algorithm: &root_key.algorithm(),
            issuer: root.subject().der(),
            not_before: begin.max(now.plus(-BACKDATE_S)),
            not_after: end.min(now.plus(life)),
            subject,
            spki,
            extensions,
        };
        root_key.sign(&draft.tbs())
    }

    /// Renews the intermediate by hand: the same key and name, other dates, and what the policy says now.
    ///
    /// # Errors
    /// There is no CA; its root has ended; the memory.
    pub fn renew_intermediate(&self, now: UnixTime) -> Result<(), Fault> {
        let made = self.made()?;
        self.renewed(&made, self.plan.policy.constraints(), now).map(drop)
    }

    /// The CA, its intermediate renewed if it would cut short what is issued now.
    pub(super) fn fresh(&self, made: Made, now: UnixTime) -> Result<Made, Fault> {
        let (root, newest) = (bytes(&made.root)?, newest(&made)?);
        let end =
            |der: &[u8]| Certificate::parse(der).ok().and_then(|c| c.not_after()).ok_or_else(unreadable);
        let (root_end, own_end) = (end(&root)?, end(&newest)?);
        // Nothing is won within a day of the root's end.
        if own_end.0 >= now.0 + self.plan.policy.max_s || root_end.0 <= own_end.0 + DAY || root_end <= now {
            return Ok(made);
        }
        let before = Certificate::parse(&newest).map_err(|_| unreadable())?;
        let kept = [(oid::EXTENDED_KEY_USAGE, false), (oid::NAME_CONSTRAINTS, true)];
        let constraints = kept
            .into_iter()
            .filter_map(|(oid, critical)| Some(write::extension(oid, critical, before.extension(oid)?.value)))
            .collect();
        self.renewed(&made, constraints, now)
    }

    fn renewed(&self, made: &Made, constraints: Vec<Vec<u8>>, now: UnixTime) -> Result<Made, Fault> {
        let (root, newest) = (bytes(&made.root)?, newest(made)?);
        if Certificate::parse(&root).ok().and_then(|c| c.not_after()).is_none_or(|end| end <= now) {
            return Err(self.over("its root has ended"));
        }
        let before = Certificate::parse(&newest).map_err(|_| unreadable())?;
        let root_key = self.book.signer(&made.root_key, made.key_type)?;
        let who = (before.subject().der(), before.spki());
        let certificate = self.intermediate(&root_key, &root, who, constraints, now)?;
        self.book.renewed(made, &certificate)
    }

    /// It issues no more.
    pub(super) fn over(&self, why: &str) -> Fault {
        Fault::new(FaultKind::Refused, format!("the CA `{}` issues no more: {why}", self.name))
            .retry(Retry::Never)
            .hint("make another one: an [[issuer]] of another name, and notafter ca init")
    }
}

pub(super) fn unreadable() -> Fault {
    Fault::new(FaultKind::Invalid, "a certificate of the CA is kept, and cannot be read any more")
        .hint("put back the last backup: notafter restore FILE")
}

/// The newest certificate of the intermediate.
pub(super) fn newest(made: &Made) -> Result<Vec<u8>, Fault> {
    bytes(made.intermediates.last().map_or("", String::as_str))
}
