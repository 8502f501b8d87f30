//! What a person brings for a renewal whose issuer has no API, over a page or the API.
//!
//! The engine and the issuer judge it and keep it; here it is handed on and put into words. It lies in the data folder
//! afterwards and nowhere else, whoever installs.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::fault::FaultKind;
use notafter_core::joints::Cx;
use notafter_core::renew::Renewal;
use notafter_engine::renew::{Awaited, Managed, Renewer, Replied, awaited};
use notafter_engine::setup::Setup;
use notafter_pki::container::pem;
use notafter_store::StoreError;

use crate::app::App;

/// What came of it.
pub(crate) enum Given {
    /// It is what was waited for.
    Taken { issuer: String, not_after: Option<UnixTime> },
    /// No such certificate is kept alive here.
    Unknown,
    /// It waits for nothing that a person could bring.
    Unasked,
    /// It is not what was asked for, and why.
    Refused(String),
    /// It could not be looked at or kept.
    Broken(String),
}

fn managed<'s>(setup: &'s Setup, name: &str) -> Option<&'s Managed> {
    setup.keeping.as_deref()?.managed.iter().find(|managed| managed.name == name)
}

/// Hands it on. Blocks, on a thread of the runtime's for that.
pub(crate) fn give(app: &Arc<App>, name: &str, octets: &[u8], who: &str) -> Result<Given, StoreError> {
    let setup = app.handle.setup();
    let (Some(managed), Some(keeping)) = (managed(&setup, name), setup.keeping.as_deref()) else {
        return Ok(Given::Unknown);
    };
    let cx = Cx::new(Arc::clone(&app.handle.clock), "this host".into());
    let renewer = Renewer { store: &app.handle.store, tools: &keeping.tools, cx: &cx };
    let replied = tokio::runtime::Handle::current().block_on(renewer.reply(managed, octets, who))?;
    Ok(match replied {
        Replied::Taken { issuer, not_after } => {
            app.handle.wake();
            Given::Taken { issuer, not_after }
        }
        Replied::Unasked => Given::Unasked,
        Replied::Refused(fault) => match fault.kind {
            FaultKind::Refused => Given::Refused(fault.context),
            _ => Given::Broken(fault.context),
        },
    })
}

/// The request that somebody has to carry to a CA, as PEM (RFC 7468), while a renewal waits for what it is answered.
pub(crate) fn request(setup: &Setup, renewal: &Renewal) -> Option<String> {
    let Awaited { request, .. } = awaited(managed(setup, &renewal.name)?, renewal)?;
    Some(pem::encode("CERTIFICATE REQUEST", &request.csr))
}
