//! Full handshakes, a few at a time: for `--prove`, and for servers that the fast hello cannot satisfy.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use notafter_core::observation::Possession;
use notafter_wire::tls::grab::Target;
use notafter_wire::tls::outcome::{Flight, Outcome};

/// A full handshake's result.
pub(super) struct Proved {
    pub(super) target: Target,
    pub(super) outcome: Outcome,
    pub(super) possession: Possession,
    pub(super) protocol: Option<notafter_wire::starttls::Protocol>,
}

pub(super) type Unused = (Arc<Mutex<Option<Flight>>>, Condvar, Duration);
