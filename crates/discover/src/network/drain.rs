//! Drains answers: each becomes an observation, a blind spot or a count, and some call for a second look.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notafter_core::Fingerprint;
use notafter_core::clock::Clock;
use notafter_core::inventory::AssetKind;
use notafter_core::joints::{Resume, Sink};
use notafter_core::location::Location;
use notafter_core::observation::{Facts, Link, LinkKind, Observation, Possession, Reason, Seen};
use notafter_core::scan::Progress;
use notafter_pki::certificate::Certificate;
use notafter_pki::name::Name;
use notafter_pki::statement::ocsp::OcspResponse;
use notafter_wire::starttls::Protocol;
use notafter_wire::tls::grab::{Grab, Grabber, NoBatch, Starttls, Target};
use notafter_wire::tls::hello::Offer;
use notafter_wire::tls::outcome::{Flight, Outcome, Stage};
use notafter_wire::tls::prove;

use super::feed::{Agenda, LONG, Look, Walk, feed, tag, untag};
use super::plan::{Heard, Plan};
use super::prove::{Answer, Job, Pool};
use super::{Settings, Ticks, location};
use crate::local::{self, Processes};

/// The alert that asks for another name (RFC 6066 section 3).
const UNRECOGNIZED_NAME: u8 = 112;
/// How long the drain waits for answers before it looks at the stop flag again.
const NAP: Duration = Duration::from_millis(50);
/// How many names are tried on an endpoint that wants one.
const NAMES_MAX: usize = 64;
/// No stapled answer is larger, in octets: with a post-quantum signature and its certificate it has a tenth.
const STAPLE_MAX: usize = 256 << 10;
/// So many answers of one staple are kept: it is about one certificate.
const STAPLED_MAX: usize = 4;

/// One scan, owned by its thread.
pub(super) struct Work {
    pub(super) plan: Arc<Plan>,
    pub(super) settings: Settings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) progress: Arc<Progress>,
    pub(super) out: Arc<dyn Sink>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) start: Walk,
    pub(super) resume: Arc<dyn Resume>,
}

/// How often a long walk says how far it has come.
const MARK_EVERY: Duration = Duration::from_secs(10);

impl Work {
    /// Asks everything; returns when all is answered or the stop flag is set.
    pub(super) fn run(self) -> std::io::Result<()> {
        let (grabber, feeder, results) =
            Grabber::start(self.settings.grab(), Arc::new(Ticks(Arc::clone(&self.clock))))?;
        let agenda = Agenda::new();
        std::thread::scope(|scope| {
            let (plan, settings, clock, agenda_of_feeder, start, stop) =
                (&*self.plan, &self.settings, &*self.clock, &agenda, self.start, &*self.stop);
            scope.spawn(move || {
                feed(plan, settings, clock, agenda_of_feeder, &feeder, start, stop);
                // With the last feeder gone, the loops finish what they have and the results end.
                drop(feeder);
            });
            let mut drain = Drain::new(&self, &agenda);
            let mut marked = self.clock.monotonic();
            loop {
                let now = self.clock.monotonic();
                if plan.len() >= LONG && now.saturating_sub(marked) >= MARK_EVERY {
                    self.resume.reached(plan.cursor(Walk { step: agenda.reached(), ..start }));
                    marked = now;
                }
                // A stop must not wait for answers: the grabber is dropped, and with it the connections.
                if self.stop.load(Ordering::Relaxed) {
                    break;
                }
                let batch = match results.recv_within(NAP) {
                    Ok(batch) => batch,
                    Err(NoBatch::Yet) => continue,
                    Err(NoBatch::Ever) => break,
                };
                let answered = batch.len() as u64;
                for grab in batch {
                    drain.answer(grab);
                }
                while let Some(answer) = drain.pool.ready() {
                    drain.proved(answer);
                }
                if agenda.answered(answered) && !drain.second_round() {
                    agenda.close();
                }
            }
            if agenda.is_idle() {
                // For the rare end in which the last questions were excluded: no second asking any more,
                // but what was not seen is still said.
                drain.second_round();
                while let Some(answer) = drain.pool.finish() {
                    drain.proved(answer);
                }
                drain.silent_servers();
            }
            agenda.close();
            drop(results);
        });
        drop(grabber);
        Ok(())
    }
}

struct Drain<'w> {
    work: &'w Work,
    agenda: &'w Agenda,
    /// The leaf seen first at an endpoint that gets a second look, by question.
    first: HashMap<u64, Fingerprint>,
    /// Endpoints that want a name, and which of them were tried with all known names.
    nameless: Vec<(u64, SocketAddr, Option<Protocol>)>,
    names: HashSet<Arc<str>>,
    named_round_done: bool,
    processes: Option<Processes>,
    linked: HashSet<SocketAddr>,
    /// The files on the command line of a process, read once however many addresses it answers at.
    named_files: HashMap<u32, Vec<(usize, PathBuf)>>,
    pool: Pool,
}

impl<'w> Drain<'w> {
    fn new(work: &'w Work, agenda: &'w Agenda) -> Self {
        let names = work.settings.sni.iter().map(|n| Arc::from(n.as_str())).collect();
        Self {
            work,
            agenda,
            first: HashMap::new(),
            nameless: Vec::new(),
            names,
            named_round_done: false,
            processes: None,
            linked: HashSet::new(),
            named_files: HashMap::new(),
            pool: Pool::new(),
        }
    }

    fn answer(&mut self, grab: Grab) {
        let (look, number) = untag(grab.target.tag);
        let full = grab.for_full_client();
        let Grab { target, outcome, protocol, .. } = grab;
        if let Outcome::Certificates(flight) = outcome {
            if matches!(look, Look::First | Look::KnownName) {
                self.count(number, Heard::Open, true);
            }
            return self.certificates(look, number, target, protocol, flight);
        }
        match outcome {
            // A name known from elsewhere is a question of its own.
            outcome if look == Look::KnownName => self.count(number, heard(&outcome), false),
            // A second look that finds nothing has found that there is nothing more.
            _ if look != Look::First => {}
            outcome => match full {
                Some(target) => {
                    let grabbed = Err(outcome);
                    self.shake_hands(Job { look, number, target, protocol, grabbed });
                }
                None => self.missed(number, &target, protocol, &outcome),
            },
        }
    }

    /// A first look that came to nothing.
    fn missed(&mut self, number: u64, target: &Target, protocol: Option<Protocol>, outcome: &Outcome) {
        self.count(number, heard(outcome), false);
        if wants_name(outcome) {
            self.nameless.push((number, target.addr, protocol));
            return;
        }
        let exact = self.work.plan.question(number).block.named.as_ref().is_some_and(|n| n.exact);
        self.failed(target, protocol, outcome, exact);
    }

    fn count(&self, number: u64, heard: Heard, reached: bool) {
        let progress = &self.work.progress;
        Progress::add(&progress.attempted, 1);
        Progress::add(if reached { &progress.reached } else { &progress.unreachable }, 1);
        self.agenda.settled(number);
        if let Some(named) = &self.work.plan.question(number).block.named {
            named.note(heard);
        }
    }

    fn shake_hands(&mut self, job: Job) {
        let work = self.work;
        if let Err(job) = self.pool.add(job, &work.settings.grab(), &work.clock, &work.stop) {
            let Job { look, number, target, protocol, grabbed } = *job;
            let why = Outcome::NoResources { what: "threads" };
            self.proved(Answer { job: Job { look, number, target, protocol, grabbed }, result: Err(why) });
        }
    }

    /// A full handshake was made, for proof or because nothing less would do.
    fn proved(&mut self, answer: Answer) {
        let Answer { job: Job { look, number, target, protocol, grabbed }, result } = answer;
        match (grabbed, result) {
            (Err(outcome), Err(_)) => self.missed(number, &target, protocol, &outcome),
            (Ok(flight), Err(_)) => self.seen(&target, protocol, &flight, Possession::Unverified),
            (grabbed, Ok(proved)) => {
                let possession = match proved.possession {
                    prove::Possession::Verified => Possession::Verified,
                    prove::Possession::NotVerified { .. } => Possession::Unverified,
                };
                match grabbed {
                    // A server with two keys showed another one this time: both are there.
                    Ok(flight) if flight.certificates.leaf() != proved.flight.certificates.leaf() => {
                        self.seen(&target, protocol, &flight, Possession::Unverified);
                    }
                    Ok(_) => {}
                    Err(_) if look == Look::First => self.count(number, Heard::Open, true),
                    Err(_) => {}
                }
                self.seen(&target, protocol, &proved.flight, possession);
            }
        }
    }

    fn certificates(
        &mut self,
        look: Look,
        number: u64,
        target: Target,
        protocol: Option<Protocol>,
        flight: Box<Flight>,
    ) {
        let named = self.work.plan.question(number).block.named.as_ref();
        let by_name = named.is_some_and(|n| n.by_name);
        match look {
            Look::First => {
                if by_name || self.work.settings.both {
                    self.second_looks(number, &target, protocol, flight.certificates.leaf(), by_name);
                }
            }
            // The same certificate once more is no news.
            Look::OtherKey | Look::NoName => {
                if self.first.get(&number) == Some(&Fingerprint::of(flight.certificates.leaf())) {
                    return;
                }
            }
            Look::KnownName => {}
        }
        if self.names.len() < NAMES_MAX {
            self.learn_names(flight.certificates.leaf());
        }
        if self.work.settings.prove {
            let grabbed = Ok(flight);
            return self.shake_hands(Job { look, number, target, protocol, grabbed });
        }
        self.seen(&target, protocol, &flight, Possession::Unverified);
    }

    fn seen(&mut self, target: &Target, protocol: Option<Protocol>, flight: &Flight, possession: Possession) {
        let chain: Vec<Arc<[u8]>> = flight.certificates.iter().map(Arc::from).collect();
        let facts = self.facts(target, protocol, flight, possession);
        let place = location(protocol, target.addr, target.sni.as_deref());
        self.put(place.clone(), Seen::Chain { chain, role: None, leads: true, facts: facts.clone() });
        if let Some(staple) = flight.staple.as_deref().filter(|der| der.len() <= STAPLE_MAX)
            && let Ok(response) = OcspResponse::parse(staple)
        {
            for statement in response.statements().take(STAPLED_MAX) {
                let (kind, facts) = (AssetKind::OcspResponse, facts.clone());
                self.put(place.clone(), Seen::Dated { kind, der: statement.to_bytes().into(), facts });
            }
        }
    }

    fn second_looks(
        &mut self,
        number: u64,
        target: &Target,
        protocol: Option<Protocol>,
        leaf: &[u8],
        by_name: bool,
    ) {
        self.first.insert(number, Fingerprint::of(leaf));
        let is_rsa = Certificate::parse(leaf).is_ok_and(|c| c.public_key().algorithm() == "RSA");
        let offer = if is_rsa { Offer::EcdsaOnly } else { Offer::RsaOnly };
        // How TLS begins there is known by now: nothing is guessed twice.
        let target = Target { starttls: protocol.map_or(Starttls::No, Starttls::Named), ..target.clone() };
        if by_name && target.sni.is_some() {
            self.agenda.again(Target { tag: tag(Look::NoName, number), sni: None, ..target.clone() });
        }
        self.agenda.again(Target { tag: tag(Look::OtherKey, number), offer, ..target });
    }

    fn facts(
        &mut self,
        target: &Target,
        protocol: Option<Protocol>,
        flight: &Flight,
        possession: Possession,
    ) -> Facts {
        let protocol = protocol.map_or_else(|| Arc::from("tls"), |p| Arc::from(format!("starttls:{p}")));
        let client_cas = flight.client_auth.as_ref().map(|auth| {
            auth.ca_names.iter().map(|der| Name::new(der).to_rfc4514()).collect::<Vec<_>>().into()
        });
        let own = is_own(target.addr.ip());
        let process = own.then(|| self.process(target.addr)).flatten();
        let connected = own && self.processes.as_ref().is_some_and(|p| p.connected(target.addr));
        Facts {
            protocol: Some(protocol),
            tls_version: Some(flight.version),
            cipher: Some(flight.cipher),
            possession: Some(possession),
            client_cas,
            process,
            connected,
            ..Facts::default()
        }
    }

    /// The process behind an endpoint of this host. Its command line is evidence of what it serves.
    fn process(&mut self, address: SocketAddr) -> Option<Arc<notafter_core::observation::Process>> {
        let process = self.processes.get_or_insert_with(Processes::look).at(address)?;
        if self.linked.insert(address) {
            self.named_files.entry(process.pid).or_insert_with(|| local::named_files(process.pid));
            for (number, path) in &self.named_files[&process.pid] {
                use std::os::unix::ffi::OsStrExt;
                let link = Link {
                    kind: LinkKind::Serves,
                    from: Location::file(path.as_os_str().as_bytes(), ""),
                    to: Location::endpoint("tls", address, None),
                    evidence: format!(
                        "argument {number} of the command line of {} (pid {})",
                        process.name, process.pid
                    ),
                };
                self.put(link.to.clone(), Seen::Linked(link));
            }
        }
        Some(process)
    }

    fn learn_names(&mut self, leaf: &[u8]) {
        let Ok(certificate) = Certificate::parse(leaf) else { return };
        for name in certificate.subject_alt_names() {
            if let notafter_pki::GeneralName::Dns(bytes) = name
                && let Ok(text) = std::str::from_utf8(bytes)
                && !text.contains('*')
                && self.names.len() < NAMES_MAX
            {
                self.names.insert(Arc::from(text.to_ascii_lowercase()));
            }
        }
    }

    /// When all is answered: servers that want a name are asked with every name known by now. Gives
    /// whether there is anything more to wait for.
    fn second_round(&mut self) -> bool {
        if self.named_round_done {
            return false;
        }
        self.named_round_done = true;
        let blocks = self.work.plan.blocks.iter().filter_map(|b| b.named.as_ref());
        self.names.extend(blocks.filter(|n| n.by_name).map(|n| Arc::from(n.host.as_str())));
        let nameless = std::mem::take(&mut self.nameless);
        let mut any = false;
        for (number, address, protocol) in &nameless {
            for name in self.names.iter().take(NAMES_MAX) {
                any = true;
                self.agenda.again(Target {
                    tag: tag(Look::KnownName, *number),
                    addr: *address,
                    sni: Some(Arc::clone(name)),
                    starttls: protocol.map_or(Starttls::No, Starttls::Named),
                    offer: Offer::Any,
                    want_client_cas: false,
                });
            }
            let detail = "the server wants to be asked by name; give one with --sni".to_owned();
            let sni = self.work.plan.question(*number).sni.map(|s| s.to_string());
            let place = location(*protocol, *address, sni.as_deref());
            self.put(place, Seen::Failed { reason: Reason::Handshake, detail });
        }
        any
    }

    /// Named servers of which no port answered at all.
    fn silent_servers(&self) {
        for named in self.work.plan.blocks.iter().filter_map(|b| b.named.as_ref()).filter(|n| !n.exact) {
            let (reason, detail) = match named.heard() {
                Heard::Open => continue,
                Heard::Refused => (Reason::Refused, "none of the ports asked is open"),
                Heard::Nothing => (Reason::Timeout, "nothing answered on any of the ports asked"),
            };
            let place = Location::named_endpoint("tls", &named.host, None);
            self.put(place, Seen::Failed { reason, detail: detail.to_owned() });
        }
    }

    fn failed(&self, target: &Target, protocol: Option<Protocol>, outcome: &Outcome, exact: bool) {
        let Some((reason, detail, closed)) = why(outcome) else { return };
        if closed && !exact {
            return;
        }
        let place = location(protocol, target.addr, target.sni.as_deref());
        self.put(place, Seen::Failed { reason, detail });
    }

    fn put(&self, location: Location, seen: Seen) {
        self.work.out.put(Observation { at: self.work.clock.now(), location, seen });
    }
}

pub(super) fn is_own(ip: std::net::IpAddr) -> bool {
    ip.is_loopback() || local_addresses().contains(&ip)
}

/// The addresses at which something of this host listens by name of address; enough to tell our own.
fn local_addresses() -> &'static HashSet<std::net::IpAddr> {
    static OWN: std::sync::OnceLock<HashSet<std::net::IpAddr>> = std::sync::OnceLock::new();
    OWN.get_or_init(|| local::listeners().iter().map(|l| l.reachable().ip()).collect())
}

/// Does the server refuse because it was not asked by a name it serves? TLS says so by an alert, XMPP by
/// an error of its own (RFC 6120 section 4.9.3.6).
fn wants_name(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Alert { description, .. } => *description == UNRECOGNIZED_NAME,
        Outcome::StarttlsRefused { reply } => reply.contains("host-unknown"),
        _ => false,
    }
}

fn heard(outcome: &Outcome) -> Heard {
    match why(outcome) {
        Some((Reason::Refused, ..)) => Heard::Refused,
        Some((.., true)) => Heard::Nothing,
        _ => Heard::Open,
    }
}

/// An outcome in the words of the closed list, what exactly happened, and whether the port is as good as
/// closed. `None` for success.
fn why(outcome: &Outcome) -> Option<(Reason, String, bool)> {
    let stage_text = |stage: &Stage| match stage {
        Stage::Connect => "while connecting",
        Stage::Greeting => "while it should have greeted",
        Stage::Handshake => "during the handshake",
    };
    Some(match outcome {
        Outcome::Certificates(_) => return None,
        Outcome::Refused => (Reason::Refused, "connection refused".to_owned(), true),
        Outcome::Unreachable { errno } => {
            let text = std::io::Error::from_raw_os_error(*errno).to_string();
            (Reason::Refused, text, true)
        }
        Outcome::Timeout { stage } => {
            (Reason::Timeout, format!("no answer in time {}", stage_text(stage)), *stage == Stage::Connect)
        }
        Outcome::Alert { description, .. } => (
            Reason::Handshake,
            format!("the server refused with TLS alert {description} ({})", alert(*description)),
            false,
        ),
        Outcome::Reset { stage } => {
            (Reason::Handshake, format!("connection reset {}", stage_text(stage)), false)
        }
        Outcome::Closed { stage } => {
            (Reason::Handshake, format!("connection closed {}", stage_text(stage)), false)
        }
        Outcome::NotTls { first } => {
            let said = notafter_pki::name::printable(&String::from_utf8_lossy(first));
            (Reason::NoTls, format!("it does not speak TLS; it said: {said}"), false)
        }
        Outcome::TooLarge { what, size } => {
            (Reason::TooLarge, format!("{what} of {size} is too large"), false)
        }
        Outcome::Malformed { what } => (Reason::Malformed, format!("it broke the protocol: {what}"), false),
        Outcome::Unsupported { group } => {
            (Reason::Handshake, format!("it insists on key exchange group {group:#06x}"), false)
        }
        Outcome::NoCertificate => {
            (Reason::Handshake, "it chose a cipher suite without certificates".to_owned(), false)
        }
        Outcome::StarttlsRefused { reply } => {
            (Reason::NoTls, format!("it will not start TLS: {}", notafter_pki::name::printable(reply)), false)
        }
        Outcome::NoResources { what } => (Reason::Budget, format!("this machine ran out of {what}"), false),
    })
}

/// Names of the alerts that servers send (RFC 8446 section 6.2).
fn alert(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => "unknown",
    }
}
