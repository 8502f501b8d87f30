//! One certificate: checked by the policy, signed, written down, and only then handed out.
//!
//! The serial number is chosen before and stands in the ticket, so that whoever asks again after a crash is given what was
//! signed the first time.

use notafter_core::UnixTime;
use notafter_core::fault::{Fault, FaultKind};
use notafter_core::issuance::Identifier;
use notafter_pki::certificate::Certificate;
use notafter_pki::csr::Csr;
use notafter_pki::fingerprint::hex;
use notafter_pki::oid;
use serde::{Deserialize, Serialize};

use super::book::{Made, Record};
use super::make::{newest, unreadable};
use super::policy::{self, Asked};
use super::write::{self, Draft};
use super::{BACKDATE_S, Ca, serial};

/// A common name has no more characters (RFC 5280 appendix A.1, ub-common-name).
const COMMON_NAME_MAX: usize = 64;

/// What is known before it is issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slip {
    /// The CA.
    pub(super) ca: String,
    /// The serial number it will have, in hexadecimal.
    pub(super) serial: String,
    /// It stands on this page or a later one, if it was issued.
    pub(super) page: u64,
}

impl Ca {
    /// Chooses a serial number.
    pub(super) fn slip(&self) -> Result<Slip, Fault> {
        Ok(Slip { ca: self.name.clone(), serial: hex(&serial()?), page: self.book.here()? })
    }

    /// Issues what is asked, or hands out again what was issued for this slip.
    pub(super) fn issue_for(&self, slip: &Slip, asked: &Asked<'_>, now: UnixTime) -> Result<Record, Fault> {
        let life = self.plan.policy.check(asked)?;
        let csr = Csr::parse(asked.csr)
            .map_err(|_| Fault::new(FaultKind::Invalid, "the request cannot be read any more"))?;
        if let Some(done) = self.book.find(&slip.serial, slip.page)? {
            let leaf = done.leaf()?;
            let same = Certificate::parse(&leaf).is_ok_and(|c| c.spki() == csr.public_key().spki());
            return match same {
                true => Ok(done),
                false => Err(Fault::new(FaultKind::Invalid, "this ticket belongs to another request")),
            };
        }
        let made = self.fresh(self.made()?, now)?;
        let intermediate = newest(&made)?;
        let above = Certificate::parse(&intermediate).map_err(|_| unreadable())?;
        if let Some(name) = policy::outside(&above, asked.names) {
            return Err(policy::too_narrow(&name, &self.name));
        }
        let record =
            self.sign_leaf(&made, &above, (slip, asked.names, csr.public_key().spki(), life), now)?;
        self.book.append(&record)?;
        Ok(record)
    }

    /// Signs, whatever the policy says: it was asked before. Nothing is written down.
    pub(super) fn sign_leaf(
        &self,
        made: &Made,
        above: &Certificate<'_>,
        (slip, names, spki, life): (&Slip, &[Identifier], &[u8], i64),
        now: UnixTime,
    ) -> Result<Record, Fault> {
        let (Some(begin), Some(end)) = (above.not_before(), above.not_after()) else {
            return Err(unreadable());
        };
        if end <= now {
            return Err(self.over("its intermediate has ended, and its root with it"));
        }
        let signer = self.book.signer(&made.intermediate_key, made.key_type)?;
        // A short life is not made of backdating: half of it would be over at once.
        let not_before = begin.max(now.plus(-BACKDATE_S.min(life / 10)));
        let not_after = end.min(now.plus(life));
        let number = super::book::bytes(&slip.serial)?;
        let subject = subject(names);
        let is_rsa = notafter_pki::key::PublicKey::read(spki).algorithm_identifier().oid == oid::RSA;
        let purposes: Vec<&[u8]> = self.plan.policy.purposes.iter().map(|p| p.oid()).collect();
        let sans: Vec<Vec<u8>> = names
            .iter()
            .map(|name| match name {
                Identifier::Dns(dns) => write::dns(dns),
                Identifier::Ip(std::net::IpAddr::V4(ip)) => write::ip(&ip.octets()),
                Identifier::Ip(std::net::IpAddr::V6(ip)) => write::ip(&ip.octets()),
            })
            .collect();
        let mut extensions = vec![
            write::basic_constraints(None),
            // keyEncipherment is for the key transport of RSA (RFC 5246 section 7.4.2).
            write::key_usage(if is_rsa { &[0, 2] } else { &[0] }),
            write::extended_key_usage(&purposes),
            write::subject_key_id(spki),
            write::authority_key_id(above.subject_key_id().unwrap_or_default()),
            write::subject_alt_name(&sans, subject.is_none()),
        ];
        extensions.extend(self.plan.policy.crl_url.as_deref().map(write::distribution_point));
        let draft = Draft {
            serial: &number,
            algorithm: &signer.algorithm(),
            issuer: above.subject().der(),
            not_before,
            not_after,
            subject: &subject.unwrap_or_else(|| write::sequence(&[])),
            spki,
            extensions,
        };
        let leaf = signer.sign(&draft.tbs())?;
        Ok(Record {
            serial: slip.serial.clone(),
            names: names.iter().map(ToString::to_string).collect(),
            at: now.0,
            not_after: not_after.0,
            leaf: hex(&leaf),
            above: made.intermediates.len().saturating_sub(1),
        })
    }
}

/// The first DNS name as common name, for whoever still looks there. None where it does not fit: then nothing, rather
/// than an address, which clients would hold against the constraints of DNS names.
fn subject(names: &[Identifier]) -> Option<Vec<u8>> {
    let name = names.iter().find_map(|name| match name {
        Identifier::Dns(dns) if dns.len() <= COMMON_NAME_MAX => Some(dns),
        _ => None,
    });
    name.map(|name| super::subject::Subject::common(name).der())
}
