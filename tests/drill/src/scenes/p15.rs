//! P15: the identity provider changes its key at T0; its metadata ends then, and a partner has an older copy.

use notafter_lab::{NotRun, base64};

use crate::client::{self, Said};
use crate::pki::{Cert, Make};
use crate::program::rfc3339;
use crate::scene::Scene;
use crate::servers::python;
use crate::site::Site;

pub(crate) const SCENE: Scene =
    Scene { text: include_str!("../../scenes/p15/scene.toml"), build, client: fails, look: None };

fn build(site: &mut Site) -> Result<(), NotRun> {
    let signer = |what: &str, from: i64, until: i64| {
        Make::plain(&format!("idp {what} {}", site.id), site.day(from), site.day(until)).self_signed()
    };
    let (current, next) = if site.twin {
        (signer("current", -400, 700), signer("next", -95, 1500))
    } else {
        (signer("current", -730, 0), signer("next", -95, 1500))
    };
    let name = site.fqdn("idp");
    let end = if site.twin { site.day(200) } else { site.t0 };
    let whole = metadata(&name, end, &[&current, &next]);
    let old = if site.twin { whole.clone() } else { metadata(&name, site.day(200), &[&current]) };
    site.hide("current.pem", &current.pem);
    site.hide("next.pem", &next.pem);
    let idp = site.write("idp/metadata.xml", whole);
    let sp = site.write("sp/idp-metadata.xml", old);
    site.places.push(format!("saml:{}", idp.display()));
    site.places.push(format!("saml:{}", sp.display()));
    Ok(())
}

/// The metadata of an identity provider.
fn metadata(name: &str, until: i64, signers: &[&Cert]) -> String {
    let keys: String = signers
        .iter()
        .map(|signer| {
            format!(
                "    <md:KeyDescriptor use=\"signing\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}\
                 </ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>\n",
                base64::encode(&signer.der)
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor \
         xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
         entityID=\"https://{name}/saml\" validUntil=\"{}\">\n  <md:IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\n{keys}    <md:SingleSignOnService \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"https://{name}/sso\"/>\n  \
         </md:IDPSSODescriptor>\n</md:EntityDescriptor>\n",
        rfc3339(until)
    )
}

/// A partner that takes an assertion if its signer is in the partner's copy, in date, and the metadata has not ended.
fn fails(site: &Site, at: i64) -> Result<Said, NotRun> {
    let signer = if at < site.t0 { "current.pem" } else { "next.pem" };
    let mut partner = python("partner.py")?;
    partner.args(["sp/idp-metadata.xml", "idp/metadata.xml"].map(|path| site.folder.join(path)));
    partner.arg(site.work.join(signer)).arg(at.to_string());
    let known = client::content(&mut partner, "")?;
    let signer = site.work.join(signer);
    let dated = client::verify(site, &signer, &signer, at, &[])?;
    Ok(Said::new(known.works && dated.works, format!("{}; {}", known.line, dated.line)))
}
