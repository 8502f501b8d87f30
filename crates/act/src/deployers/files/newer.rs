//! Is what is in place newer than what is to be installed? Then it is left alone.
//!
//! Another tool renewed it meanwhile, or we did: a process that was stopped in the middle of an older renewal goes on
//! hours later. Pure. A way back by receipt is another matter: there an older one is what is wanted.

use notafter_core::fault::{Fault, FaultKind, Retry};
use notafter_core::review::names_of;
use notafter_pki::certificate::Certificate;
use notafter_pki::time::DAY;

use super::render::Goods;

/// CAs set their beginnings back by an hour or to midnight: of two CAs, less than a day says nothing.
const OTHER_CA: i64 = DAY;

/// Refuses to put an older one in its place.
pub(in crate::deployers) fn refused(there: &[u8]) -> Fault {
    let begun = Certificate::parse(there).ok().and_then(|c| c.not_before());
    let since = begun.map(|t| format!(", of {t}")).unwrap_or_default();
    Fault::new(FaultKind::Refused, format!("what is in place is newer{since}, and is left alone"))
        .retry(Retry::Never)
        .hint("does another tool renew it, too? Only one of the two may; `notafter renew` issues one that is newer still")
}

/// Is `there` newer than the leaf of `goods`, and for the same names? `generation`: the one of ours that it is.
pub(in crate::deployers) fn is_newer(there: &[u8], generation: Option<u64>, goods: &Goods) -> bool {
    let (Ok(there), Ok(ours)) = (Certificate::parse(there), Certificate::parse(goods.leaf())) else {
        return false;
    };
    let (Some(begins), Some(ends), Some(begun)) = (there.not_before(), there.not_after(), ours.not_before())
    else {
        return false;
    };
    // What holds a place until a CA has issued something is no competitor, and neither is what nobody accepts today.
    let holds_today = begins.0 <= goods.now && goods.now < ends.0;
    if there.is_self_issued() || !holds_today || there.fingerprint() == ours.fingerprint() {
        return false;
    }
    if !names_of(&there).is_superset(&names_of(&ours)) {
        return false;
    }
    if let Some(generation) = generation {
        return generation > goods.generation && begins >= begun;
    }
    let same_ca = there.issuer_name().der() == ours.issuer_name().der();
    begins.0 > begun.0 + if same_ca { 0 } else { OTHER_CA }
}
