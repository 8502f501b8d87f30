//! What can be asked, and what is told: lists, pages, one thing whole, findings, alerts, small things by name.

use std::collections::BTreeMap;

use notafter_core::UnixTime;
use notafter_core::alert::{Alert, Delivery, Member, Outgoing, State};
use notafter_core::deadline::Step;
use notafter_core::finding::{Finding, Kind, REPLACED, Severity};
use notafter_core::inventory::Role;
use notafter_core::notice::{Event, Notice};
use notafter_core::observation::Reason;
use notafter_core::query::Query;
use notafter_core::subject::SubjectKey;
use notafter_store::alerts::{AuditLine, Link};
use notafter_store::findings::FindingFilter;
use notafter_store::judge::Judged;
use notafter_store::queries::Sort;
use notafter_store::{Store, Trouble};

use crate::on_each;
use crate::scene::{Authority, Batch, DAY, NOW, at, complete, id, judge_all};

const A: &str = "tls://10.0.0.1:443?sni=a.example.com";
const B: &str = "tls://10.0.1.2:443?sni=b.example.org";

fn ask(store: &Store, query: &str) -> Vec<String> {
    let query = Query::parse(query).unwrap();
    let page = store.assets(&query, Sort::Ends, None, 100, NOW).unwrap();
    assert_eq!(store.count(&query, 1000, NOW).unwrap(), page.rows.len() as u64, "{query:?}");
    page.rows.into_iter().map(|row| row.title).collect()
}

#[test]
fn the_language() {
    on_each(|store: &Store| {
        let ca = Authority::new("Little CA");
        let a = ca.leaf(&["a.example.com", "*.deep.example.com"], 40);
        let b = ca.other_leaf(&["b.example.org"], 90);
        let old = ca.leaf(&["old.example.com"], 300);
        Batch::new(NOW)
            .saw(A, &[&a, &ca.der])
            .saw(B, &[&b])
            .saw("file:///etc/nginx/sites/b.pem", &[&b])
            .saw("file:///etc/old.pem", &[&old])
            .whole(store, "office");
        Batch::new(UnixTime(NOW.0 + DAY))
            .saw(A, &[&a, &ca.der])
            .saw(B, &[&b])
            .saw("file:///etc/nginx/sites/b.pem", &[&b])
            .whole(store, "office");
        let all = ["a.example.com", "b.example.org", "Little CA"];
        assert_eq!(ask(store, ""), all);
        for (query, expected) in [
            ("expires<30d", &all[..1]),
            ("expires>30d", &all[1..]),
            ("name:a.example.com", &all[..1]),
            ("name:*.example.com", &all[..1]),
            ("name:**.deep.example.com", &all[..1]),
            ("name:*.org", &all[1..2]),
            ("-name:*.org", &["a.example.com", "Little CA"]),
            ("issuer:little", &all),
            ("is:ca", &all[2..]),
            ("is:self-signed", &all[2..]),
            ("is:served", &all),
            ("is:gone", &["old.example.com"]),
            ("location:10.0.0.0/24", &["a.example.com", "Little CA"]),
            ("location:10.0.1.2", &["b.example.org"]),
            ("location:tls://10.0.1", &["b.example.org"]),
            ("path:/etc/nginx/**", &["b.example.org"]),
            ("path:/etc/*.pem", &[]),
            ("key:ed25519", &["b.example.org"]),
            ("key:ecdsa-p256", &["a.example.com", "Little CA"]),
            ("role:intermediate", &["Little CA"]),
            ("source:office", &all),
            ("source:home", &[]),
            ("kind:crl", &[]),
            ("owner:none", &all),
            ("finding:any", &[]),
            ("example", &all),
            ("nginx", &["b.example.org"]),
            ("100%", &[]),
            ("\"'; DROP TABLE asset; --\"", &[]),
        ] {
            assert_eq!(ask(store, query), expected, "{query}");
        }
        let hex = id(&b).to_string();
        assert_eq!(ask(store, &hex[..15]), ["b.example.org"]);
        assert_eq!(ask(store, &format!("id:{hex}")), ["b.example.org"]);
        assert_eq!(store.by_id(&hex[..20]).unwrap()[0].id, id(&b));
        assert_eq!(store.by_id("").unwrap(), []);
        let wrong = store.assets(&Query::parse("service:x").unwrap(), Sort::Ends, None, 1, NOW).unwrap_err();
        assert!(wrong.to_string().contains("no service"), "{wrong}");
        store.set_services(vec![("web".into(), Query::parse("name:*.org location:10.0.0.1").unwrap().terms)]);
        assert_eq!(ask(store, "service:web"), all);
        let query = Query::default();
        for sort in [Sort::Ends, Sort::Newest, Sort::Title] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = store.assets(&query, sort, after.as_deref(), 1, NOW).unwrap();
                seen.extend(page.rows.into_iter().map(|r| r.title));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen.len(), 3, "{sort:?} {seen:?}");
        }
        for bad in ["", "x", "e1", "e1.x", "n", "e1.2; DROP TABLE asset"] {
            let error = store.assets(&query, Sort::Ends, Some(bad), 1, NOW).unwrap_err();
            assert_eq!(error.trouble, Trouble::Other);
            assert!(error.hint.is_some());
        }
        let mut placements = Vec::new();
        store
            .each_placement(&query, NOW, &mut |row, placement| {
                placements.push(format!("{} {}", row.title, placement.location));
                true
            })
            .unwrap();
        assert_eq!(placements.len(), 4, "{placements:?}");
        assert_eq!(store.ends_histogram(NOW, 30 * DAY, 4).unwrap(), [1, 1, 0, 0]);
        let totals = store.totals().unwrap();
        assert_eq!(
            (totals.assets, totals.assets_ever, totals.placements, totals.served, totals.proven),
            (3, 4, 4, 3, 3)
        );
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn one_asset_and_one_place_whole() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let (old, new) = (ca.leaf(&["a.example.com"], 40), ca.leaf(&["a.example.com"], 90));
        Batch::new(NOW)
            .saw(A, &[&old, &ca.der])
            .saw("file:///etc/a.pem", &[&old])
            .key("file:///etc/a.key", &old)
            .link("file:///etc/a.pem", "tls://10.0.0.1:443")
            .blind("tls://10.0.0.7:443", Reason::Timeout)
            .whole(store, "office");
        let mut run = store.begin("office", "dc1", UnixTime(NOW.0 + DAY)).unwrap();
        Batch::new(UnixTime(NOW.0 + DAY)).saw(A, &[&new, &ca.der]).into(store, &mut run);
        let whole = store.asset(&id(&old)).unwrap().unwrap();
        assert_eq!(whole.der, *old);
        assert!(whole.row.superseded && whole.row.places == 1 && whole.row.served == 0);
        let lineage: Vec<_> = whole.lineage.iter().map(|row| row.id).collect();
        assert_eq!(lineage, [id(&new), id(&old)]);
        assert_eq!(
            (whole.placements.len(), whole.placements_more, whole.keys.len(), whole.links.len()),
            (2, 0, 1, 1)
        );
        assert_eq!(whole.placements[1].gone, Some(UnixTime(NOW.0 + DAY)));
        let place = store.place(A).unwrap().unwrap();
        let leaves: Vec<_> = place
            .placements
            .iter()
            .filter(|p| p.role == Role::Leaf)
            .map(|p| (p.asset, p.gone.is_some()))
            .collect();
        assert_eq!(leaves, [(id(&new), false), (id(&old), true)]);
        assert_eq!(place.placements[0].chain, [id(&new), id(&ca.der)]);
        let blind = store.place("tls://10.0.0.7:443").unwrap().unwrap().blind.unwrap();
        assert_eq!((blind.reason, blind.since, blind.source.as_str()), (Reason::Timeout, NOW, "office"));
        assert_eq!(store.blind_spots(Some("office"), None, 10).unwrap().rows, [blind]);
        assert_eq!(store.blind_counts().unwrap(), [("office".to_owned(), "timeout".to_owned(), 1)]);
        assert!(
            store.place("tls://10.9.9.9:1").unwrap().is_none() && store.place("nonsense").unwrap().is_none()
        );
        assert_eq!(store.retire(A, "sold", "me", UnixTime(NOW.0 + 2 * DAY)).unwrap(), 2);
        assert_eq!(store.place(A).unwrap().unwrap().retired.unwrap().1, "sold");
        Batch::new(UnixTime(NOW.0 + 3 * DAY)).saw(A, &[&new, &ca.der]).into(store, &mut run);
        let place = store.place(A).unwrap().unwrap();
        assert!(place.retired.is_none() && place.placements[0].gone.is_none());
        store.finish(run, &complete(), UnixTime(NOW.0 + 3 * DAY)).unwrap();
        assert_eq!(store.audit_lines(Some(A), None, 10).unwrap().len(), 1);
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
    });
}

pub(crate) fn finding(asset: Option<&[u8]>, cause: &str, severity: Severity, place: &str) -> Finding {
    Finding::new(Kind::ExpiresSoon, severity, asset.map(id), cause)
        .summary("It ends {when}.")
        .at([&at(place)])
        .deadline(Some(UnixTime(NOW.0 + 9 * DAY)))
        .evidence("days", 9_i64)
}

pub(crate) fn verdict(
    store: &Store,
    subject: SubjectKey,
    findings: Vec<Finding>,
    owner: Option<&str>,
) -> Judged {
    store.touch(std::slice::from_ref(&subject)).unwrap();
    let due = store.due(NOW, 1000).unwrap().into_iter().find(|d| d.subject == subject).unwrap();
    let owner = owner.map(str::to_owned);
    Judged { due, findings, holds_until: Some(UnixTime(NOW.0 + DAY)), owner, roles: Vec::new() }
}

#[test]
fn findings_come_from_several_subjects() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com"], 40);
        Batch::new(NOW).saw(A, &[&leaf, &ca.der]).whole(store, "office");
        judge_all(store, NOW);
        let asset = SubjectKey::Asset(id(&leaf));
        let server = SubjectKey::Server;
        let one = finding(Some(&leaf), "x", Severity::Warning, A);
        let two = finding(Some(&leaf), "x", Severity::Critical, B);
        let id_of = one.id();
        let first = verdict(store, asset.clone(), vec![one.clone()], Some("web"));
        let changes = store.judged(std::slice::from_ref(&first), NOW).unwrap();
        assert_eq!(changes.opened, std::slice::from_ref(&id_of));
        // Again: nothing.
        assert_eq!(store.judged(&[first], NOW).unwrap(), Default::default());
        let second = verdict(store, server.clone(), vec![two], None);
        assert_eq!(store.judged(&[second], NOW).unwrap().changed, std::slice::from_ref(&id_of));
        let row = store.finding(&id_of).unwrap().unwrap();
        assert_eq!(
            (row.severity, row.locations.len(), row.title.as_str()),
            (Severity::Critical, 2, "a.example.com")
        );
        assert_eq!(row.summary, "It ends {when}.");
        let asset_row = &store.by_id(&id(&leaf).to_string()).unwrap()[0];
        assert_eq!(
            (asset_row.findings, asset_row.severity, asset_row.owner.as_deref()),
            (1, Some(Severity::Critical), Some("web"))
        );
        assert_eq!(ask(store, "finding:expires-soon severity:critical owner:web"), ["a.example.com"]);
        let at_b = FindingFilter { location: Some(B.into()), limit: 10, ..FindingFilter::default() };
        assert_eq!(store.findings(&at_b).unwrap().len(), 1);
        let mut told = 0;
        store.each_tellable(&mut |_| told += 1).unwrap();
        assert_eq!((told, store.finding_counts().unwrap().len()), (1, 1));
        // A hand wins over the rules, and what the rules say comes back.
        let query = Query::parse("name:a.example.com").unwrap();
        assert_eq!(store.own(&query, Some("mail"), "me", NOW).unwrap(), 1);
        assert_eq!(store.finding(&id_of).unwrap().unwrap().owner.as_deref(), Some("mail"));
        let again = verdict(store, asset.clone(), vec![one], Some("web2"));
        store.judged(&[again], NOW).unwrap();
        assert_eq!(store.by_id(&id(&leaf).to_string()).unwrap()[0].owner.as_deref(), Some("mail"));
        assert_eq!(store.totals().unwrap().owned, 1);
        store.own(&query, None, "me", NOW).unwrap();
        assert_eq!(store.by_id(&id(&leaf).to_string()).unwrap()[0].owner.as_deref(), Some("web2"));
        // Resolved when the last subject no longer gives it.
        let none = verdict(store, asset, Vec::new(), None);
        assert_eq!(store.judged(&[none], NOW).unwrap().resolved, Vec::<String>::new());
        let none = verdict(store, server, Vec::new(), None);
        assert_eq!(store.judged(&[none], NOW).unwrap().resolved, std::slice::from_ref(&id_of));
        assert_eq!(store.findings(&FindingFilter { limit: 10, ..FindingFilter::default() }).unwrap(), []);
        let resolved = FindingFilter { resolved: true, limit: 10, ..FindingFilter::default() };
        assert_eq!(store.findings(&resolved).unwrap().len(), 1);
        assert_eq!(store.recount().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_verdict_under_an_old_token_leaves_it_due() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com"], 40);
        Batch::new(NOW).saw(A, &[&leaf]).whole(store, "office");
        let judged = verdict(store, SubjectKey::Asset(id(&leaf)), Vec::new(), None);
        let moved = UnixTime(NOW.0 + 60);
        Batch::new(moved).saw(B, &[&leaf]).whole(store, "other");
        store.judged(&[judged], NOW).unwrap();
        let due = store.due(moved, 10).unwrap();
        assert!(due.iter().any(|d| d.subject == SubjectKey::Asset(id(&leaf))), "{due:?}");
        judge_all(store, moved);
        store.all_due().unwrap();
        let subjects = judge_all(store, moved);
        assert_eq!(subjects.len(), 3, "{subjects:?}");
    });
}

#[test]
fn what_time_made_a_line_of() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaves = [
            ca.leaf(&["a.example.com"], 40),
            ca.leaf(&["b.example.com"], 40),
            ca.leaf(&["c.example.com"], 40),
        ];
        let batch =
            Batch::new(NOW).saw("file:///srv/a.pem", &[&leaves[0]]).saw("file:///srv/b.pem", &[&leaves[1]]);
        batch.saw("file:///srv/c.pem", &[&leaves[2]]).whole(store, "office");
        judge_all(store, NOW);
        let soon = |leaf: &[u8]| finding(Some(leaf), "", Severity::Critical, "file:///srv/a.pem");
        let ids: Vec<String> = leaves.iter().map(|leaf| soon(leaf).id()).collect();
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let judge = |leaf: &[u8], findings| {
            let judged = verdict(store, SubjectKey::Asset(id(leaf)), findings, Some("web"));
            store.judged(&[judged], NOW).unwrap();
        };
        leaves.iter().for_each(|leaf| judge(leaf, vec![soon(leaf)]));
        assert!(store.faded(&asked).unwrap().is_empty(), "they are told");
        // The first has ended and is a line; the second was seen to be replaced; of the third something else is said.
        let line = |leaf: &[u8], kind| {
            Finding::new(kind, Severity::Info, Some(id(leaf)), "").deadline(Some(UnixTime(NOW.0 - DAY)))
        };
        judge(&leaves[0], vec![line(&leaves[0], Kind::Expired)]);
        judge(&leaves[1], vec![line(&leaves[1], Kind::Expired).evidence(REPLACED, "a later one")]);
        judge(&leaves[2], vec![line(&leaves[2], Kind::PolicyDate)]);
        assert_eq!(store.faded(&asked).unwrap().into_iter().collect::<Vec<_>>(), [ids[0].clone()]);
        assert!(store.faded(&[]).unwrap().is_empty());
    });
}

pub(crate) fn alert(number: i64) -> Alert {
    let member = Member {
        step: Step::Warning,
        severity: Severity::Warning,
        deadline: None,
        resolved: None,
        asset: None,
    };
    Alert {
        number,
        version: 0,
        group: format!("web\u{1f}expires-soon\u{1f}{number}"),
        owner: "web".into(),
        state: State::Open,
        severity: Severity::Warning,
        step: Step::Warning,
        title: "x".into(),
        deadline: None,
        opened: NOW,
        step_told: None,
        told: None,
        hold: None,
        escalated: Vec::new(),
        members: BTreeMap::from([("f1".into(), member)]),
        resolved: None,
        faded: false,
        back: Default::default(),
        over: false,
    }
}

pub(crate) fn message(name: &str, alert: Option<i64>) -> Outgoing {
    let notice = Notice {
        id: name.into(),
        event: Event::Alert,
        severity: Severity::Warning,
        alert: None,
        instance: String::new(),
        owner: "web".into(),
        title: "x".into(),
        text: String::new(),
        hint: String::new(),
        deadline: None,
        items: Vec::new(),
        more: 0,
        acknowledge_url: None,
        acknowledge_command: None,
        page_url: None,
        at: NOW,
    };
    Outgoing {
        id: name.into(),
        alert,
        beside: Vec::new(),
        owner: "web".into(),
        notifier: "mail".into(),
        to: None,
        rank: 0,
        notice,
        delivery: Delivery::Pending,
        attempts: 0,
        next: NOW,
        error: None,
        created: NOW,
        sent: None,
    }
}

#[test]
fn alerts_and_what_follows() {
    on_each(|store: &Store| {
        assert_eq!(store.next_alert_number().unwrap(), 1);
        let mut one = alert(1);
        let line = AuditLine {
            at: NOW,
            who: "me".into(),
            what: "alert-told".into(),
            subject: "a1".into(),
            detail: "\0'".into(),
        };
        assert!(store.tell(&one, &[message("m1", Some(1))], std::slice::from_ref(&line)).unwrap());
        // Somebody else loaded it before: nothing of this is kept.
        assert!(!store.tell(&one, &[message("m2", Some(1))], &[]).unwrap());
        // The same cause cannot be open twice.
        let mut twin = alert(2);
        twin.group = one.group.clone();
        assert!(!store.tell(&twin, &[], &[]).unwrap());
        one = store.alert_of("f1").unwrap().unwrap();
        assert_eq!(one.version, 1);
        one.state = State::Resolved;
        one.resolved = Some(UnixTime(NOW.0 + 5));
        assert!(store.tell(&one, &[message("m1", Some(1))], &[]).unwrap());
        assert!(store.tell(&twin, &[], &[]).unwrap());
        assert_eq!(store.open_alerts().unwrap().iter().map(|a| a.number).collect::<Vec<_>>(), [2]);
        let page = |after| store.alerts(None, after, 1).unwrap().iter().map(|a| a.number).collect::<Vec<_>>();
        assert_eq!((page(None), page(Some(1)), page(Some(2))), (vec![1], vec![2], vec![]));
        assert_eq!(store.alerts(Some(State::Open), None, 9).unwrap().len(), 1);
        // One message, once; then its second channel.
        let mut due = store.outgoing_due(NOW, 10).unwrap();
        assert_eq!(due.len(), 1);
        due[0].delivery = Delivery::Failed;
        store.delivered(&due[0], &[message("m1/2", Some(1))]).unwrap();
        store.send(&[message("digest", None)]).unwrap();
        assert_eq!(store.outgoing_due(NOW, 10).unwrap().len(), 2);
        assert_eq!(store.next_outgoing().unwrap(), Some(NOW));
        assert_eq!(
            (store.outgoing(Some(1), 10).unwrap().len(), store.outgoing(None, 10).unwrap().len()),
            (2, 3)
        );
        store.put_link(&[7; 32], 1, UnixTime(NOW.0 + 10)).unwrap();
        assert_eq!(store.link(&[7; 32], false, NOW).unwrap(), Link::For(vec![1]));
        assert_eq!(store.link(&[7; 32], true, NOW).unwrap(), Link::For(vec![1]));
        assert_eq!(store.link(&[7; 32], true, NOW).unwrap(), Link::Used);
        assert_eq!(store.link(&[8; 32], true, NOW).unwrap(), Link::Unknown);
        store.put_link(&[9; 32], 1, NOW).unwrap();
        assert_eq!(store.link(&[9; 32], true, NOW).unwrap(), Link::Ended);
        store.audit(&line).unwrap();
        assert_eq!(store.audit_lines(None, None, 1).unwrap()[0].0, 2);
        assert_eq!(store.audit_lines(None, Some(2), 9).unwrap()[0].0, 1);
        assert_eq!(store.audit_broken_at().unwrap(), None);
        assert!(store.keep("x", b"1", Some(0)).unwrap() && !store.keep("x", b"2", Some(0)).unwrap());
        assert!(store.keep("x", b"3", None).unwrap());
        let kept = store.kept("x").unwrap().unwrap();
        assert_eq!((kept.value.as_slice(), kept.version), (&b"3"[..], 2));
        store.add_service_day("web", 3, [1, 2, 3]).unwrap();
        store.add_service_day("web", 3, [1, 0, 0]).unwrap();
        assert_eq!(store.service_days("web", 0).unwrap(), [(3, [2, 2, 3])]);
        store.schedule("office", NOW).unwrap();
        assert_eq!(store.sources().unwrap()[0].next, Some(NOW));
    });
}
