//! Exactly what the user typed, as types. Validates, and does nothing: no file is opened here.

mod adopting;
mod authority;

use std::path::PathBuf;

pub(crate) use authority::*;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use adopting::{Adopt, IssuerImport, Revoke};

use crate::commands::Usage;

/// Finds every certificate on ports and in files, and says what lapses when, and what is wrong.
#[derive(Parser)]
#[command(name = "notafter", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Scan only what you may. Start with `notafter scan` alone: it looks at this machine.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Read settings from FILE [default: ./notafter.toml, else /etc/notafter/notafter.toml, else none]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder [default: as configured, else ./notafter-data]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// How to print results: table, json, ndjson (as it is seen), csv (one row a placement)
    #[arg(long, global = true, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) format: Option<Format>,
    /// The same as --format json
    #[arg(long, global = true, conflicts_with = "format")]
    pub(crate) json: bool,
    /// Judge as if it were TIME: RFC 3339, a date, or +30d
    #[arg(long, global = true, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) at: Option<String>,
    /// When to colour: auto (on a terminal, unless NO_COLOR is set), always, never
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    pub(crate) color: Color,
    /// Print results only: no progress, no notes
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print more: every place, every trust anchor, every blind spot
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format.unwrap_or(Format::Table) }
    }
}

/// How to print results.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// One document
    Json,
    /// One line each, as it is seen; in bounded memory
    Ndjson,
    /// One row a placement
    Csv,
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Look once: what lapses when, and what is wrong
    Scan(Scan),
    /// Print one asset or place whole: every fact, its chain, its findings
    Show(Show),
    /// A Nagios/Icinga plugin: one line, perfdata, exit 0/1/2/3
    Check(Check),
    /// Would a client accept this chain? The offline judge
    Verify(Verify),
    /// Triage during an outage: everything dated on the path to HOST, the culprit first
    Why(Why),
    /// The server: looks on schedule, remembers, tells people, shows pages
    Serve(Serve),
    /// Installs for the server, with the rights that the server has not: listens on a socket of this machine alone
    Act(Act),
    /// Print a link that signs one browser in, once, within ten minutes
    SignIn,
    /// Look now, and put it on the server's schedule
    Watch(WatchArgs),
    /// Ask the inventory
    #[command(after_help = LS)]
    Ls(Ls),
    /// What will lapse until a date, and who is told when
    Forecast(Forecast),
    /// "I have it": quiet until the next step
    Ack(Ack),
    /// Quiet until a date; never past the deadline
    Snooze(Snooze),
    /// Give what a query finds to an owner, with all that follows in the same lines
    Own(Own),
    /// A place is gone for good: end its alerts
    Retire(Retire),
    /// Send a real message about a thing, to see whether it arrives
    Alert {
        #[command(subcommand)]
        command: AlertCommand,
    },
    /// Replace a certificate now: issue, install everywhere, and see it in use
    Renew(Renew),
    /// Install again what was issued last, and see it in use
    Deploy(Deploy),
    /// Look whether every place shows what was issued last
    Prove(Prove),
    /// What a person has to do for a renewal, and what of it was seen to be done
    Runbook(Runbook),
    /// Would it renew today? Asks the CA, the DNS and every target, and changes nothing in use
    Rehearse(Rehearse),
    /// A CA of your own: make it, issue by hand, revoke, and its revocation list
    Ca {
        #[command(subcommand)]
        command: CaCommand,
    },
    /// From discovered to managed: show what would be added to the configuration, then add it
    Adopt(Adopt),
    /// Take a certificate back at its issuer
    Revoke(Revoke),
    /// About who issues
    Issuer {
        #[command(subcommand)]
        command: IssuerCommand,
    },
    /// A spreadsheet of certificates: what of it is there, what is gone, what it does not know; owners and dates from it
    Import(Import),
    /// The inventory as a file: CSV, XLSX, JSON, iCalendar
    Export(Export),
    /// The status page as files, to be put on another host
    Status {
        #[command(subcommand)]
        command: StatusCommand,
    },
    /// The address of an owner's calendar, with a secret of its own
    Calendar(Calendar),
    /// Copy everything that is kept into one file, while the server runs
    Backup {
        /// A new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Replace everything that is kept by a backup
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Is Notafter itself well?
    Doctor,
    /// Write, check or describe the configuration file
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
}

const TARGETS: &str = "\
Targets:
  example.com  example.com:8443  https://host/path      a host, all its addresses
  10.0.0.0/24  10.0.0.1-10.0.0.50:1-1024  [::1]:8443    addresses and ranges
  smtp://mail:25  tls://host:port?sni=name              a protocol, a name to send
  /etc  ./api.p12                                       a file or a folder
  localhost                                             what listens on this host
  @FILE  -                                              a list of targets
Without any, this machine: its listening ports and its usual certificate folders.

Exit codes: 0 done; 1 a finding reached --fail-on; 2 wrong usage, nothing was done;
3 every target failed; 130 interrupted, what was found is printed.";

/// Look once.
#[derive(Args)]
#[command(after_help = TARGETS)]
pub(crate) struct Scan {
    /// What to look at; see below
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) look: Look,
    /// Print what would be asked, and ask nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go on without asking where more than 65,536 ports or a wide public range would be asked
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
    /// Judge nothing and keep nothing in memory: only what is seen, as it is seen
    #[arg(long)]
    pub(crate) no_findings: bool,
    /// Keep what was seen in the data folder
    #[arg(long, conflicts_with = "no_findings")]
    pub(crate) save: bool,
    /// Exit with 1 when a finding is as bad as this: critical, warning, info
    #[arg(long, value_enum, value_name = "SEVERITY", hide_possible_values = true)]
    pub(crate) fail_on: Option<FailOn>,
}

/// The server.
#[derive(Args)]
pub(crate) struct Serve {
    /// Address and port [default: as configured, else 127.0.0.1:4747]
    #[arg(long, value_name = "ADDR", value_parser = listen)]
    pub(crate) listen: Option<std::net::SocketAddr>,
}

/// The process that installs.
#[derive(Args)]
pub(crate) struct Act {
    /// Where to listen [default: as configured, else /run/notafter/act.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// An address with a port; `localhost` is 127.0.0.1.
fn listen(text: &str) -> Result<std::net::SocketAddr, String> {
    let text =
        text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| "no address with a port; hint: write 127.0.0.1:4747 or [::1]:4747".to_owned())
}

/// Look now and from now on.
#[derive(Args)]
pub(crate) struct WatchArgs {
    /// What to look at, as for `scan`
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// How often [default: 1h]
    #[arg(long, value_name = "TIME")]
    pub(crate) every: Option<String>,
    /// Whom to tell: NOTIFIER or NOTIFIER:ADDRESS, as in the configuration
    #[arg(long, value_name = "NOTIFIER")]
    pub(crate) notify: Option<String>,
    /// Show what is watched
    #[arg(long, conflicts_with = "stop")]
    pub(crate) list: bool,
    /// Watch these no longer
    #[arg(long, requires = "targets")]
    pub(crate) stop: bool,
}

const LS: &str = "\
Queries are words that must all hold; - in front turns one round:
  expires<30d  owner:none  issuer:\"Let's Encrypt\"  name:*.example.com  key:rsa  kind:crl
  location:10.0.3.0/24  path:/etc/nginx/**  finding:any  severity:critical  is:unseen  seen<1d
Anything else is looked for in names, subjects, issuers, places and identities.";

/// Ask the inventory.
#[derive(Args)]
pub(crate) struct Ls {
    /// What to find; see below. Without it, everything in use
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// So many at most
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// List open alerts instead; of a query, owner:NAME, severity:critical and words of their titles can be asked
    #[arg(long)]
    pub(crate) alerts: bool,
    /// List findings instead
    #[arg(long, conflicts_with_all = ["query", "alerts"])]
    pub(crate) findings: bool,
}

/// The future.
#[derive(Args)]
pub(crate) struct Forecast {
    /// Until this date
    #[arg(long, value_name = "TIME", conflicts_with = "days")]
    pub(crate) until: Option<String>,
    /// For so many days
    #[arg(long, value_name = "N", default_value = "90")]
    pub(crate) days: u32,
    /// What it would mean if public CAs issued for so many days at most; can be given again [default: 100, 47, 6]
    #[arg(long, value_name = "DAYS", value_delimiter = ',')]
    pub(crate) lifetime: Vec<u32>,
}

/// Acknowledge.
#[derive(Args)]
pub(crate) struct Ack {
    /// An alert (a17), or a finding's id
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    /// Until then [default: the next step of the ladder]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Why, for the others
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// Be quiet.
#[derive(Args)]
pub(crate) struct Snooze {
    /// An alert (a17), or a finding's id
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    /// Until then: 3d, 2026-12-24
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// Why, for the others
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: Option<String>,
}

/// Give to an owner.
#[derive(Args)]
pub(crate) struct Own {
    /// What: a query as for `ls`
    #[arg(value_name = "QUERY")]
    pub(crate) query: String,
    /// Whom; none takes it back
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
}

/// A place is gone.
#[derive(Args)]
pub(crate) struct Retire {
    /// The place, as `ls` and messages write it
    #[arg(value_name = "LOCATION", required_unless_present = "list")]
    pub(crate) location: Option<String>,
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT", required_unless_present = "list")]
    pub(crate) reason: Option<String>,
    /// Show what is retired: when, by whom and why
    #[arg(long, conflicts_with_all = ["location", "reason"])]
    pub(crate) list: bool,
}

/// A renewal by hand.
#[derive(Args)]
pub(crate) struct Renew {
    /// The certificate's name in the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Only rehearse: order from the CA's staging where one is configured, install nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Give up one that is open and begin another, instead of going on with it
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) anew: bool,
    /// This memory was restored or copied: from now on it is this one that renews. Stop the one it comes from first
    #[arg(long)]
    pub(crate) take_over: bool,
    /// How long to stay and watch; the server goes on after that
    #[arg(long, value_name = "TIME", default_value = "10m")]
    wait: String,
}

impl Renew {
    pub(crate) fn wait(&self) -> Result<std::time::Duration, Usage> {
        waiting(&self.wait)
    }
}

/// An installation by hand.
#[derive(Args)]
pub(crate) struct Deploy {
    /// The certificate's name in the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// This one of those that were issued, and not the newest that can be installed
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// How long to stay and watch
    #[arg(long, value_name = "TIME", default_value = "10m")]
    wait: String,
}

impl Deploy {
    pub(crate) fn wait(&self) -> Result<std::time::Duration, Usage> {
        waiting(&self.wait)
    }
}

fn waiting(text: &str) -> Result<std::time::Duration, Usage> {
    let seconds = notafter_core::query::span(text).and_then(|s| u64::try_from(s).ok());
    let seconds = seconds.ok_or_else(|| {
        Usage::new(format!("--wait {} is no length of time", text.escape_debug()))
            .hint("write 30s, 10m or 1h")
    })?;
    Ok(std::time::Duration::from_secs(seconds))
}

/// A look at every place of a certificate.
#[derive(Args)]
pub(crate) struct Prove {
    /// The certificate's name in the configuration; or a file that another program renews
    #[arg(value_name = "NAME|FILE")]
    pub(crate) name: String,
    /// With a file: where it has to be in use [default: where certificates for its names were seen]
    #[arg(value_name = "PLACE")]
    pub(crate) places: Vec<String>,
}

/// What is to do by hand.
#[derive(Args)]
pub(crate) struct Runbook {
    /// The certificate's name in the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// A rehearsal.
#[derive(Args)]
pub(crate) struct Rehearse {
    /// The certificate's name in the configuration [default: all of them]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// A spreadsheet.
#[derive(Args)]
pub(crate) struct Import {
    /// CSV or XLSX, as it is
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Print the difference, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) reading: SheetReading,
    /// Who is meant in the sheet: "Web Team=web"; can be given again
    #[arg(long, value_name = "WORDS=OWNER")]
    pub(crate) owner: Vec<String>,
    /// Watch the hosts that were not found, rather than keep their dates
    #[arg(long)]
    pub(crate) watch: bool,
}

/// How a sheet is read.
#[derive(Args)]
pub(crate) struct SheetReading {
    /// What a column means, by its heading or letter: expiry=Ablauf, host=C, none=D; can be given again
    #[arg(long, value_name = "MEANING=COLUMN")]
    pub(crate) column: Vec<String>,
    /// Take this sheet alone
    #[arg(long, value_name = "NAME")]
    pub(crate) sheet: Option<String>,
    /// What comes first in 03/04/27: dmy or mdy [default: as the column shows, else as what was found shows]
    #[arg(long, value_enum, value_name = "ORDER", hide_possible_values = true)]
    pub(crate) dates: Option<DateOrder>,
}

/// Which comes first.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DateOrder {
    /// The day
    Dmy,
    /// The month
    Mdy,
}

/// The inventory as a file.
#[derive(Args)]
pub(crate) struct Export {
    /// What to find, as for `ls`; without it, everything in use
    #[arg(value_name = "QUERY")]
    pub(crate) query: Vec<String>,
    /// csv, xlsx, json, ndjson or ics [default: by the name of --output, else csv]
    #[arg(long = "as", value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Into this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// A CSV or XLSX file, given back in its own layout with what was found put right and added
    #[arg(long, value_name = "FILE", conflicts_with_all = ["query", "kind"])]
    pub(crate) like: Option<PathBuf>,
    /// Instead of the inventory the audit trail with its proofs and hashes, the newest first, as ndjson
    #[arg(long, conflicts_with_all = ["query", "kind", "like"])]
    pub(crate) trail: bool,
    #[command(flatten)]
    pub(crate) reading: SheetReading,
}

/// About the status page.
#[derive(Subcommand)]
pub(crate) enum StatusCommand {
    /// Write the page of the public services with its stylesheet into a folder
    Export {
        /// The folder
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// How long it may be believed: longer than until the next export. Then the page greys itself
        #[arg(long, value_name = "TIME", default_value = "15m")]
        valid: String,
    },
}

/// An owner's calendar.
#[derive(Args)]
pub(crate) struct Calendar {
    /// Whose
    #[arg(value_name = "OWNER")]
    pub(crate) owner: String,
    /// End the address that was given out
    #[arg(long)]
    pub(crate) revoke: bool,
}

/// About alerts.
#[derive(Subcommand)]
pub(crate) enum AlertCommand {
    /// Send a real message, end to end
    Test(AlertTest),
}

/// A test.
#[derive(Args)]
pub(crate) struct AlertTest {
    /// What it is about: an alert (a17), an owner, a finding, or a query as for `ls`; the first that is found
    #[arg(value_name = "ITEM")]
    pub(crate) item: Option<String>,
    /// Whom to tell [default: the item's owner]
    #[arg(long, value_name = "OWNER")]
    pub(crate) owner: Option<String>,
    /// Print what would be sent, secrets covered, and send nothing
    #[arg(long)]
    pub(crate) preview: bool,
}

/// About the configuration file.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a commented file
    Init,
    /// Explain mistakes, by line
    Check,
    /// Print the JSON schema
    Schema,
}

/// How to look: shared by the commands that do.
#[derive(Args, Clone)]
pub(crate) struct Look {
    /// Ports for hosts without one: a list like 443,8000-8999, `all`, or `common`
    #[arg(long, value_name = "LIST", default_value = "common")]
    pub(crate) ports: String,
    /// Begin TLS as this protocol does
    #[arg(long, value_name = "PROTO")]
    pub(crate) starttls: Option<String>,
    /// Prove that the server holds the key: a full handshake each
    #[arg(long)]
    pub(crate) prove: bool,
    /// Look for both key types at addresses too, not only at names
    #[arg(long)]
    pub(crate) both: bool,
    /// TLS 1.2 first: kinder to old and small servers
    #[arg(long)]
    pub(crate) gentle: bool,
    /// Ask this DNS server instead of the system
    #[arg(long, value_name = "ADDR")]
    pub(crate) resolver: Option<String>,
    /// Names to send to addresses, each in turn
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) sni: Vec<String>,
    /// New connections a second in all [default: 200 in each /24, 20 to each host; loopback unlimited]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Connections open at once
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) concurrency: u32,
    /// For one server, in all
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub(crate) timeout: String,
    /// Ask every address of a name (the default; =false asks the first only)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_value = "true", default_missing_value = "true", require_equals = true, action = clap::ArgAction::Set)]
    pub(crate) all_addresses: bool,
    /// Trust these roots besides the usual ones (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(crate) roots: Vec<PathBuf>,
    /// Who answers for what: a TOML file with [[owner]] tables
    #[arg(long, value_name = "FILE")]
    pub(crate) owner_file: Option<PathBuf>,
    /// Passwords to try on keystores, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Vec<PathBuf>,
    /// The key with which zones are asked for (TSIG), as tsig-keygen writes it
    #[arg(long, value_name = "FILE", env = "NOTAFTER_TSIG_FILE")]
    pub(crate) tsig_file: Option<PathBuf>,
    /// Never look at this path, host or range; @FILE for a list
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) exclude: Vec<String>,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            ports: "common".to_owned(),
            starttls: None,
            prove: false,
            both: false,
            gentle: false,
            resolver: None,
            sni: Vec::new(),
            rate: None,
            concurrency: 1000,
            timeout: "5s".to_owned(),
            all_addresses: true,
            roots: Vec::new(),
            owner_file: None,
            password_file: Vec::new(),
            tsig_file: None,
            exclude: Vec::new(),
        }
    }
}

/// A severity to fail on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Only critical findings
    Critical,
    /// Warnings and worse
    Warning,
    /// Anything
    Info,
}

/// Print one place whole.
#[derive(Args)]
pub(crate) struct Show {
    /// A host, a file or any other target of `scan`
    #[arg(value_name = "TARGET", required = true)]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// A plugin for Nagios, Icinga and their kin.
#[derive(Args)]
pub(crate) struct Check {
    /// What to check: a host or a file, as for `scan`
    #[arg(value_name = "TARGET", required_unless_present_any = ["host", "file"])]
    pub(crate) target: Option<String>,
    /// The host
    #[arg(short = 'H', long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The port
    #[arg(short, long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// A file instead of a host
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["host", "port"])]
    pub(crate) file: Option<PathBuf>,
    /// Warn when less is left: days, or 30% of the lifetime
    #[arg(short, long, value_name = "DAYS")]
    pub(crate) warning: Option<String>,
    /// Critical when less is left: days, or 15% of the lifetime
    #[arg(short, long, value_name = "DAYS")]
    pub(crate) critical: Option<String>,
    /// Both, as check_http has it: WARNING,CRITICAL
    #[arg(short = 'C', long, value_name = "DAYS,DAYS", conflicts_with_all = ["warning", "critical"])]
    pub(crate) certificate: Option<String>,
    /// The name to send and to check
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub(crate) sni: Option<String>,
    /// The protocol before TLS: smtp, imap, ...
    #[arg(short = 'P', long, visible_alias = "starttls", value_name = "PROTO")]
    pub(crate) protocol: Option<String>,
    /// Seconds until giving up on a server
    #[arg(short, long, value_name = "SECONDS", default_value = "10")]
    pub(crate) timeout: u32,
    /// Trust these roots besides the usual ones
    #[arg(short, long, visible_alias = "rootcert", value_name = "FILE")]
    pub(crate) roots: Vec<PathBuf>,
    /// Passwords to try on keystores, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Vec<PathBuf>,
    /// Ask this DNS server instead of the system
    #[arg(long, value_name = "ADDR")]
    pub(crate) resolver: Option<String>,
}

/// The offline judge.
#[derive(Args)]
pub(crate) struct Verify {
    /// The chain: leaf first, PEM or DER
    #[arg(value_name = "CHAIN")]
    pub(crate) chain: PathBuf,
    /// Trust these roots and no others
    #[arg(long, value_name = "FILE")]
    pub(crate) roots: Vec<PathBuf>,
    /// The name it must be for
    #[arg(long, value_name = "HOST")]
    pub(crate) name: Option<String>,
    /// Whose eyes to look through: mozilla, system, openssl-1.0, android-7.0 to android-12, or a FILE with its roots
    /// (a PEM bundle, or a list of SHA-256 fingerprints)
    #[arg(long, value_name = "CLIENT", default_value = "mozilla")]
    pub(crate) client: String,
    /// What it must be good for
    #[arg(long, value_enum, value_name = "PURPOSE", default_value = "server")]
    pub(crate) purpose: Purpose,
    /// Check revocation against these lists (PEM or DER)
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Vec<PathBuf>,
}

/// A purpose.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Purpose {
    /// TLS server
    Server,
    /// TLS client
    Client,
}

/// Triage.
#[derive(Args)]
pub(crate) struct Why {
    /// The host; without a port, the common ones are asked
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) look: Look,
}
