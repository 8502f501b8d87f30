//! A bundle in the form that each server wants.
//!
//! Pure: octets in, octets out; what was in a keystore before comes in too, because its alias and its other entries are
//! kept. Whatever holds the key is wiped when it is dropped.

use notafter_core::deployment::Key;
use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_pki::certificate::Certificate;
use notafter_pki::container::{self, Limits, pem};
use notafter_pki::name::printable;
use notafter_pki::private_key::PrivateKey;
use zeroize::Zeroizing;

use super::settings::{Form, Order, Settings};
use crate::deployers::keystore::password::{self, Kind};
use crate::deployers::keystore::{self, jks, pkcs7, pkcs12};
use crate::privsep;

/// A bundle that belongs to the deployment.
#[derive(Clone)]
pub(in crate::deployers) struct Goods {
    pub(in crate::deployers) name: String,
    pub(in crate::deployers) generation: u64,
    pub(in crate::deployers) chain: Vec<Vec<u8>>,
    pub(in crate::deployers) key: Key,
    /// When it is written: keystores note it.
    pub(in crate::deployers) now: i64,
}

impl Goods {
    /// Takes over a bundle whose key belongs to its leaf.
    pub(in crate::deployers) fn of(
        bundle: &notafter_core::deployment::Bundle,
        now: notafter_core::UnixTime,
    ) -> Result<Self, Fault> {
        let wrong = |what: String| {
            Fault::new(FaultKind::Invalid, what).hint("nothing was touched; ask for a new certificate")
        };
        let leaf = bundle.chain.first().and_then(|der| Certificate::parse(der).ok());
        let Some(leaf) = leaf else {
            return Err(wrong(format!("the bundle of {} holds no certificate", bundle.name)));
        };
        privsep::is_here(&bundle.key, &bundle.name)?;
        let key = PrivateKey::recognise(bundle.key.expose()).and_then(|key| key.key_id());
        if key != Some(leaf.key_id()) {
            return Err(wrong(format!(
                "the private key of {} does not belong to its certificate",
                bundle.name
            )));
        }
        Ok(Self {
            name: bundle.name.clone(),
            generation: bundle.generation,
            chain: bundle.chain.clone(),
            key: bundle.key.clone(),
            now: now.0,
        })
    }

    pub(in crate::deployers) fn leaf(&self) -> &[u8] {
        self.chain.first().map_or(&[], Vec::as_slice)
    }

    pub(in crate::deployers) fn rest(&self) -> &[Vec<u8>] {
        self.chain.get(1..).unwrap_or(&[])
    }
}

/// One file.
pub(super) fn render(
    settings: &Settings,
    form: Form,
    goods: &Goods,
    existing: Option<&[u8]>,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let certificates =
        |ders: &[Vec<u8>]| ders.iter().map(|der| pem::encode("CERTIFICATE", der)).collect::<String>();
    let text = |text: String| Zeroizing::new(text.into_bytes());
    let key = || keystore::key_pem(goods.key.expose(), settings.key_format);
    Ok(match form {
        Form::Key => key()?,
        Form::Certificate if settings.chain.is_some() => text(pem::encode("CERTIFICATE", goods.leaf())),
        Form::Certificate | Form::Fullchain => text(certificates(&goods.chain)),
        Form::Chain => text(certificates(goods.rest())),
        Form::Combined => {
            let (key, chain) = (key()?, certificates(&goods.chain));
            let mut all = Zeroizing::new(Vec::with_capacity(key.len() + chain.len()));
            let parts: [&[u8]; 2] = match settings.combined_order {
                Order::KeyFirst => [&key, chain.as_bytes()],
                Order::CertificateFirst => [chain.as_bytes(), &key],
            };
            parts.iter().for_each(|part| all.extend_from_slice(part));
            all
        }
        Form::Der => Zeroizing::new(goods.leaf().to_vec()),
        Form::Pkcs7 => {
            let der = pkcs7::write(&goods.chain);
            let path = settings.pkcs7.as_deref().and_then(|p| p.extension());
            let is_der = path.is_some_and(|e| e.eq_ignore_ascii_case("p7c") || e.eq_ignore_ascii_case("der"));
            if is_der { Zeroizing::new(der) } else { text(pem::encode("PKCS7", &der)) }
        }
        Form::Pkcs12 => {
            let Some(own) = &settings.pkcs12 else { return Err(unset("pkcs12")) };
            let password = password::choose(Kind::Pkcs12, own.password.as_ref(), existing)?;
            let there = existing.map(|bytes| keystore::look(bytes, &password));
            if let Some(there) = &there
                && there.keys > 1
            {
                return Err(Fault::new(
                    FaultKind::Refused,
                    format!(
                        "the PKCS#12 file that is there holds {} keys, and a new one would hold one",
                        there.keys
                    ),
                )
                .retry(Retry::Never)
                .hint("give this certificate a file of its own"));
            }
            if let Some(stranger) = there.as_ref().and_then(|t| t.stranger.as_ref()) {
                let stranger = printable(stranger);
                let said =
                    format!("the PKCS#12 file that is there holds {stranger}, too, and a new one would not");
                return Err(Fault::new(FaultKind::Refused, said)
                    .retry(Retry::Never)
                    .hint("move what the server trusts into a trust store of its own, then take it out of this file"));
            }
            let alias =
                own.alias.clone().or(there.and_then(|t| t.alias)).unwrap_or_else(|| goods.name.clone());
            pkcs12::write(&goods.chain, goods.key.expose(), &password, &alias, own.form)?
        }
        Form::Jks => {
            let Some(own) = &settings.jks else { return Err(unset("jks")) };
            let password = password::choose(Kind::Jks, own.password.as_ref(), existing)?;
            let alias = own.alias.as_deref();
            jks::write(&goods.chain, goods.key.expose(), &password, alias, &goods.name, existing, goods.now)?
        }
    })
}

/// Does a keystore still open with the password that is set, or with a well-known one where none is? Other files always fit.
pub(super) fn fits(settings: &Settings, form: Form, bytes: &[u8]) -> bool {
    settings.keystore(form).is_none_or(|(kind, set)| password::choose(kind, set, Some(bytes)).is_ok())
}

/// The certificate of a server in one of its files: the first that is there.
pub(super) fn leaf_of(settings: &Settings, form: Form, bytes: &[u8]) -> Option<Vec<u8>> {
    if matches!(form, Form::Key | Form::Chain) {
        return None;
    }
    let password =
        settings.passwords().find(|(f, ..)| *f == form).and_then(|(.., secret)| secret.read().ok());
    let passwords: Vec<&str> = password.as_ref().map(|p| p.as_str()).into_iter().collect();
    let opened = container::open(bytes, &passwords, &Limits::default());
    // A keystore may hold anchors first: the leaf is the first that is no CA.
    let parsed = |der: &[u8]| Certificate::parse(der).ok().filter(|c| !c.is_ca()).map(|_| der.to_vec());
    opened.certificates().find_map(parsed).or_else(|| opened.certificates().next().map(<[u8]>::to_vec))
}

pub(in crate::deployers) fn secret(why: String) -> Fault {
    let (what, hint) = why.split_once("\nhint: ").unwrap_or((&why, "put the secret back where it was"));
    Fault::new(FaultKind::NotFound, what).hint(hint)
}

fn unset(name: &str) -> Fault {
    Fault::new(FaultKind::Invalid, format!("`{name}` is not set"))
}
