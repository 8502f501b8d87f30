//! The shapes of answers and bodies, as JSON schemas (2020-12).
//!
//! One function a thing, in the order of `answers.rs`; tests hold real answers against them. Answers may
//! gain members, so their schemas forbid none; bodies are strict.

use notafter_core::blast::{Criticality, Fate, Scope};
use notafter_core::finding::Kind;
use notafter_core::fix::Fix;
use serde_json::{Map, Value, json};

use super::table::PLAIN;
use crate::saved::NAME_MAX;

/// All of them, by name.
pub(crate) fn all() -> Value {
    json!({
        "Problem": problem(),
        "Asset": asset(),
        "AssetWhole": asset_whole(),
        "Line": line(),
        "Placement": placement(),
        "Key": key(),
        "Link": link(),
        "Place": place(),
        "Finding": finding(),
        "Alert": alert(),
        "AlertWhole": alert_whole(),
        "Delivery": delivery(),
        "Source": source(),
        "BlindSpot": blind_spot(),
        "Service": service(),
        "Renewal": renewal(),
        "Forecast": forecast(),
        "Totals": totals(),
        "AuditLine": audit_line(),
        "Acknowledge": acknowledge(),
        "Snooze": snooze(),
        "Test": test(),
        "Tested": object(&[("owner", text()), ("deliveries", array(text()))], &[]),
        "Started": object(&[("source", text())], &[]),
        "Reply": body(&[("reply", json!({"type": "string", "minLength": 1}))], &[]),
        "Replied": object(&[("certificate", text()), ("issuer", text()), ("not_after", or_null(time()))], &[]),
        "Retire": retire(),
        "Retired": object(&[("location", text()), ("ended", count())], &[]),
        "Own": own(),
        "Owned": object(&[("owner", or_null(text())), ("lines", count())], &[]),
        "View": body(&[("name", plain(1, NAME_MAX)), ("q", plain(1, 2000))], &[]),
        "RenameView": body(&[("name", plain(1, NAME_MAX)), ("to", plain(1, NAME_MAX))], &[]),
        "ViewName": body(&[("name", plain(1, NAME_MAX))], &[]),
        "CalendarLink": calendar_link(),
        "CalendarRevoked": object(&[("owner", text()), ("revoked", flag())], &[]),
    })
}

/// An object: members that are always there, and those that may be.
fn object(always: &[(&str, Value)], sometimes: &[(&str, Value)]) -> Value {
    let all = always.iter().chain(sometimes);
    let properties: Map<String, Value> = all.map(|(n, s)| ((*n).to_owned(), s.clone())).collect();
    let required: Vec<_> = always.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// The same for what is sent to us: nothing else may stand in it.
fn body(always: &[(&str, Value)], sometimes: &[(&str, Value)]) -> Value {
    with(object(always, sometimes), "additionalProperties", false.into())
}

fn with(mut schema: Value, name: &str, value: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
    schema
}

/// An object with the members of another one and more.
fn more(base: Value, always: &[(&str, Value)]) -> Value {
    let mut out = base;
    if let Some(properties) = out["properties"].as_object_mut() {
        properties.extend(always.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())));
    }
    if let Some(required) = out["required"].as_array_mut() {
        required.extend(always.iter().map(|(name, _)| Value::from(*name)));
    }
    out
}

fn text() -> Value {
    json!({"type": "string"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

fn number() -> Value {
    json!({"type": "number"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn id() -> Value {
    json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
}

fn finding_id() -> Value {
    json!({"type": "string", "pattern": "^[0-9a-f]{16}$"})
}

fn alert_id() -> Value {
    json!({"type": "string", "pattern": "^a[1-9][0-9]*$"})
}

fn words(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

fn severity() -> Value {
    words(&["critical", "warning", "info"])
}

fn step() -> Value {
    words(&["quiet", "warning", "critical", "page", "ended"])
}

fn health() -> Value {
    words(&["good", "unknown", "bad"])
}

fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

fn of(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The same, or null.
fn or_null(schema: Value) -> Value {
    match (schema["type"].as_str().map(str::to_owned), schema.get("enum").is_some()) {
        (Some(kind), false) => with(schema, "type", json!([kind, "null"])),
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// Text of a body.
fn plain(least: usize, most: usize) -> Value {
    json!({"type": "string", "minLength": least, "maxLength": most, "pattern": PLAIN})
}

fn instant() -> Value {
    json!({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]})
}

fn problem() -> Value {
    let status = json!({"type": "integer", "minimum": 400, "maximum": 599});
    let kind = json!({"type": "string", "format": "uri"});
    object(&[("type", kind), ("title", text()), ("status", status), ("detail", text())], &[("hint", text())])
}

fn asset() -> Value {
    let key =
        object(&[("algorithm", text()), ("bits", or_null(count())), ("id", id())], &[("curve", text())]);
    object(
        &[
            ("id", id()),
            ("kind", words(&["certificate", "crl"])),
            ("subject", or_null(text())),
            ("names", array(text())),
            ("issuer_name", or_null(text())),
            ("serial", or_null(json!({"type": "string", "pattern": "^([0-9a-f]{2})*$"}))),
            ("not_before", or_null(time())),
            ("not_after", or_null(time())),
            ("days_left", or_null(number())),
            ("key", or_null(key)),
            ("signature", or_null(text())),
            ("is_ca", or_null(flag())),
            ("self_signed", or_null(flag())),
            ("title", text()),
            ("owner", or_null(text())),
            ("places", count()),
            ("served", count()),
            ("unseen", count()),
            ("place", or_null(text())),
            ("severity", or_null(severity())),
            ("findings", count()),
            ("superseded", flag()),
            ("first_seen", time()),
        ],
        &[
            ("other_names", array(text())),
            ("version", count()),
            ("extended_key_usage", array(text())),
            ("revoked_count", count()),
            ("problems", array(text())),
        ],
    )
}

fn asset_whole() -> Value {
    more(
        asset(),
        &[
            ("placements", array(of("Placement"))),
            ("placements_more", count()),
            ("lineage", array(of("Line"))),
            ("keys", array(of("Key"))),
            ("links", array(of("Link"))),
            ("open_findings", array(of("Finding"))),
        ],
    )
}

fn line() -> Value {
    object(
        &[
            ("id", id()),
            ("title", text()),
            ("issuer_name", text()),
            ("not_before", or_null(time())),
            ("not_after", or_null(time())),
            ("places", count()),
            ("superseded", flag()),
        ],
        &[],
    )
}

fn placement() -> Value {
    let process = object(&[("pid", count()), ("name", text()), ("unit", or_null(text()))], &[]);
    let file = object(&[("mode", text()), ("owner", text()), ("mtime", time())], &[]);
    object(
        &[
            ("asset", id()),
            ("location", text()),
            ("role", role()),
            ("first_seen", time()),
            ("last_seen", time()),
            ("vantage", text()),
            ("title", text()),
            ("not_after", or_null(time())),
            ("source", text()),
            ("unseen_since", or_null(time())),
            ("gone", or_null(time())),
        ],
        &[
            ("chain", array(id())),
            ("protocol", text()),
            ("tls_version", text()),
            ("possession", words(&["verified", "unverified"])),
            ("client_cas", array(text())),
            ("process", process),
            ("file", file),
        ],
    )
}

fn role() -> Value {
    words(&["leaf", "intermediate", "root", "client", "signer", "trust-anchor", "key", "logged"])
}

fn key() -> Value {
    let key = object(&[("id", or_null(id())), ("format", text()), ("encrypted", flag())], &[]);
    object(
        &[
            ("location", text()),
            ("role", words(&["key"])),
            ("first_seen", time()),
            ("last_seen", time()),
            ("key", key),
        ],
        &[],
    )
}

fn link() -> Value {
    object(&[("kind", words(&["serves"])), ("from", text()), ("to", text()), ("evidence", text())], &[])
}

fn place() -> Value {
    let retired = object(&[("at", time()), ("reason", text()), ("by", text())], &[]);
    object(
        &[
            ("location", text()),
            ("placements", array(of("Placement"))),
            ("keys", array(of("Key"))),
            ("blind", json!({"anyOf": [of("BlindSpot"), {"type": "null"}]})),
            ("links", array(of("Link"))),
            ("retired", or_null(retired)),
            ("open_findings", array(of("Finding"))),
        ],
        &[],
    )
}

fn finding() -> Value {
    let kinds: Vec<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
    object(
        &[
            ("id", finding_id()),
            ("kind", words(&kinds)),
            ("severity", severity()),
            ("asset", or_null(id())),
            ("locations", array(text())),
            ("deadline", or_null(time())),
            ("lead_days", or_null(number())),
            ("owner", or_null(text())),
            ("summary", text()),
            ("hint", text()),
            ("blast", or_null(blast())),
            ("evidence", json!({"type": "object"})),
            ("title", text()),
            ("issuer_name", or_null(text())),
            ("opened", time()),
            ("resolved", or_null(time())),
        ],
        &[],
    )
}

/// What breaks with a finding.
fn blast() -> Value {
    let all = |list: &[&str]| words(list);
    let fixes: Vec<_> = Fix::ALL.iter().map(|fix| fix.as_str()).collect();
    let critical: Vec<_> = Criticality::ALL.iter().map(|one| one.as_str()).collect();
    let fates: Vec<_> = Fate::ALL.iter().map(|one| one.as_str()).collect();
    let scopes: Vec<_> = Scope::ALL.iter().map(|one| one.as_str()).collect();
    let shared = object(&[("what", all(&fates)), ("count", count())], &[]);
    object(
        &[
            ("fix", all(&fixes)),
            ("criticality", all(&critical)),
            ("scope", all(&scopes)),
            ("names", array(text())),
            ("names_total", count()),
            ("endpoints", count()),
            ("hosts", count()),
            ("places", count()),
            ("owners", array(text())),
            ("services", array(text())),
            ("shared", array(shared)),
        ],
        &[],
    )
}

fn alert() -> Value {
    let hold = object(
        &[("by", text()), ("at", time()), ("until", time()), ("note", text()), ("snooze", flag())],
        &[],
    );
    let member = object(
        &[
            ("finding", finding_id()),
            ("severity", severity()),
            ("step", step()),
            ("deadline", or_null(time())),
            ("resolved", or_null(time())),
        ],
        &[],
    );
    object(
        &[
            ("id", alert_id()),
            ("number", count()),
            ("owner", text()),
            ("state", words(&["open", "acknowledged", "snoozed", "resolved"])),
            ("severity", severity()),
            ("step", step()),
            ("title", text()),
            ("deadline", or_null(time())),
            ("opened", time()),
            ("told", or_null(time())),
            ("hold", or_null(hold)),
            ("escalated", array(text())),
            ("members", array(member)),
            ("resolved", or_null(time())),
        ],
        &[],
    )
}

fn alert_whole() -> Value {
    more(alert(), &[("findings", array(of("Finding"))), ("deliveries", array(of("Delivery")))])
}

fn delivery() -> Value {
    object(
        &[
            ("id", text()),
            ("alert", or_null(alert_id())),
            ("beside", array(alert_id())),
            ("owner", text()),
            ("notifier", text()),
            ("to", or_null(text())),
            ("event", words(&["alert", "reminder", "escalation", "resolved", "digest", "test"])),
            ("title", text()),
            ("state", words(&["pending", "sent", "late", "failed"])),
            ("attempts", count()),
            ("error", or_null(text())),
            ("created", time()),
            ("next", or_null(time())),
            ("sent", or_null(time())),
        ],
        &[],
    )
}

fn source() -> Value {
    object(
        &[
            ("name", text()),
            ("configured", flag()),
            ("every_seconds", or_null(count())),
            ("running", flag()),
            ("stale", flag()),
            ("last_started", or_null(time())),
            ("last_success", or_null(time())),
            ("last_finished", or_null(time())),
            ("next", or_null(time())),
            ("fault", or_null(text())),
            ("attempted", count()),
            ("reached", count()),
            ("unreachable", count()),
            ("files", count()),
            ("placements", count()),
            ("blind_spots", count()),
        ],
        &[],
    )
}

fn blind_spot() -> Value {
    object(
        &[
            ("location", text()),
            ("reason", text()),
            ("detail", text()),
            ("source", text()),
            ("since", time()),
            ("last", time()),
        ],
        &[],
    )
}

fn service() -> Value {
    let place = object(
        &[
            ("location", text()),
            ("title", text()),
            ("health", health()),
            ("why", text()),
            ("last_seen", time()),
            ("not_after", or_null(time())),
        ],
        &[],
    );
    object(
        &[
            ("name", text()),
            ("public", flag()),
            ("health", health()),
            ("last_looked", or_null(time())),
            ("next_lapse", or_null(time())),
            ("count", count()),
            ("missing", array(text())),
            ("places", array(place)),
        ],
        &[],
    )
}

fn renewal() -> Value {
    let place = object(
        &[
            ("location", text()),
            ("proved", flag()),
            ("seen", or_null(time())),
            ("possession", flag()),
            ("excused", or_null(text())),
            ("last", text()),
        ],
        &[],
    );
    let target = object(
        &[
            ("name", text()),
            ("state", words(&["waits", "begun", "done", "failed", "rolled-back"])),
            ("wave", count()),
            ("said", text()),
            ("places", array(place)),
        ],
        &[],
    );
    let states = [
        "waits-for-issuer",
        "waits-for-window",
        "waits-for-targets",
        "waits-for-proof",
        "waits-for-person",
        "waits-for-revocation",
        "proved",
        "abandoned",
    ];
    object(
        &[
            ("name", text()),
            ("generation", count()),
            ("state", words(&states)),
            ("cause", text()),
            ("begun", time()),
            ("changed", time()),
            ("next", or_null(time())),
            ("failures", count()),
            ("said", text()),
            ("certificate", or_null(id())),
            ("not_after", or_null(time())),
            ("request", or_null(text())),
            ("targets", array(target)),
        ],
        &[],
    )
}

fn forecast() -> Value {
    let flag = || json!({"type": "boolean"});
    let span = object(&[("from", time()), ("until", time()), ("ends", count())], &[]);
    let lifetime = object(&[("days", count()), ("renewals_per_week", number())], &[]);
    let lapse = object(
        &[
            ("asset", id()),
            ("kind", text()),
            ("title", text()),
            ("issuer_name", text()),
            ("not_after", time()),
            ("days_left", number()),
            ("owner", text()),
            ("places", count()),
            ("place", or_null(text())),
            ("warning", time()),
            ("critical", time()),
            ("page", time()),
            ("outlook", text()),
            ("outlook_words", text()),
            ("replaced", or_null(time())),
            ("breaks", flag()),
        ],
        &[],
    );
    let broken = object(
        &[
            ("at", time()),
            ("kind", text()),
            ("finding", text()),
            ("asset", or_null(id())),
            ("title", text()),
            ("owner", text()),
            ("locations", array(text())),
            ("places", count()),
        ],
        &[],
    );
    let renewing = object(
        &[
            ("at", time()),
            ("asset", id()),
            ("title", text()),
            ("owner", text()),
            ("by", text()),
            ("ends", time()),
        ],
        &[],
    );
    let message = object(
        &[
            ("at", time()),
            ("owner", text()),
            ("channel", text()),
            ("event", text()),
            ("step", text()),
            ("severity", text()),
            ("title", text()),
            ("names", array(text())),
        ],
        &[],
    );
    let date =
        object(&[("at", time()), ("decision", text()), ("source", text()), ("certificates", count())], &[]);
    let work = object(
        &[("owner", text()), ("ca", text()), ("renewals_per_week", number()), ("worst_week", count())],
        &[],
    );
    let headroom = object(
        &[
            ("ca", text()),
            ("per", text()),
            ("limit", count()),
            ("within_seconds", count()),
            ("of", text()),
            ("worst", count()),
            ("from", time()),
            ("exceeding", count()),
            ("counts_renewals", flag()),
            ("source", text()),
        ],
        &[],
    );
    let scenario = object(
        &[
            ("lifetime_days", or_null(count())),
            ("renewals_per_week", number()),
            ("by_hand_per_week", number()),
            ("worst_week", count()),
            ("worst_week_from", time()),
            ("work", array(work)),
            ("headroom", array(headroom)),
            ("no_published_limit", array(text())),
        ],
        &[],
    );
    let by_owner = || json!({"type": "object", "additionalProperties": count()});
    object(
        &[
            ("at", time()),
            ("until", time()),
            ("count", count()),
            ("would_break", count()),
            ("expected_to_renew", count()),
            ("republished", count()),
            ("not_in_use", count()),
            ("lapses", array(lapse)),
            ("breaks", array(broken)),
            ("renewing", array(renewing)),
            ("messages_count", count()),
            ("messages_by_owner", by_owner()),
            ("messages", array(message)),
            ("policy_dates", array(date)),
            ("owners", by_owner()),
            ("leaves", count()),
            ("public_leaves", count()),
            ("lifetime", or_null(lifetime)),
            ("scenarios", array(scenario)),
            ("step_days", count()),
            ("spans", array(span)),
        ],
        &[],
    )
}

fn totals() -> Value {
    let findings = object(&[("critical", count()), ("warning", count()), ("info", count())], &[]);
    object(
        &[
            ("at", time()),
            ("assets", count()),
            ("assets_ever", count()),
            ("owned", count()),
            ("placements", count()),
            ("served", count()),
            ("proven", count()),
            ("unseen", count()),
            ("blind_spots", count()),
            ("findings", findings),
            ("open_alerts", count()),
        ],
        &[],
    )
}

const AUDIT_HASH: &str = "SHA-256, in hexadecimal, over the hash of the line before (32 zero octets for the first), `id` and the \
seconds of `at` (8 octets each, big-endian), then `who`, `what`, `subject` and `detail` (each its length in octets of UTF-8, 8 \
octets big-endian, and the octets).";

fn audit_line() -> Value {
    object(
        &[
            ("id", count()),
            ("at", time()),
            ("who", text()),
            ("what", text()),
            ("subject", text()),
            ("detail", text()),
            ("hash", with(text(), "description", AUDIT_HASH.into())),
        ],
        &[],
    )
}

fn acknowledge() -> Value {
    body(&[], &[("until", json!({"anyOf": [instant(), {"type": "null"}]})), ("note", plain(0, 1000))])
}

fn snooze() -> Value {
    body(&[("until", instant())], &[("note", plain(0, 1000))])
}

fn test() -> Value {
    let item =
        with(plain(1, 500), "description", "An owner, an alert (`a17`), a finding or an asset.".into());
    body(&[("item", item)], &[])
}

fn retire() -> Value {
    let location = with(plain(1, 4000), "format", "notafter-location".into());
    body(&[("location", location), ("reason", plain(1, 1000))], &[])
}

fn own() -> Value {
    let query = with(plain(1, 2000), "format", "notafter-query".into());
    let owner = json!({"anyOf": [plain(1, 200), {"type": "null"}]});
    body(&[("query", query), ("owner", owner)], &[])
}

fn calendar_link() -> Value {
    let path =
        with(text(), "description", "It holds the secret: whoever has it can read the calendar.".into());
    object(&[("owner", text()), ("path", path), ("url", or_null(text()))], &[])
}
