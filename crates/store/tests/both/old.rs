//! What is old and over goes; what is open, on its way or in use stays, however old.

use notafter_core::UnixTime;
use notafter_core::alert::{Delivery, State};
use notafter_core::finding::Severity;
use notafter_core::observation::Reason;
use notafter_core::subject::SubjectKey;
use notafter_store::Store;
use notafter_store::alerts::{AuditLine, Link, NewLink, Telling};
use notafter_store::findings::FindingFilter;
use notafter_store::prune::Keep;

use crate::on_each;
use crate::questions::{alert, finding, message, verdict};
use crate::scene::{Authority, Batch, DAY, NOW, complete, id, judge_all};

const A: &str = "tls://10.0.0.1:443?sni=a.example.com";

fn later(days: i64) -> UnixTime {
    UnixTime(NOW.0 + days * DAY)
}

/// Calls until there is nothing more; how much that was.
fn prune(store: &Store, now: UnixTime) -> u64 {
    let mut all = 0;
    for _ in 0..1000 {
        match store.prune(now, &Keep::default()).unwrap() {
            0 => return all,
            some => all += some,
        }
    }
    panic!("it does not end");
}

#[test]
fn what_is_over_goes_and_what_is_not_stays() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let (old, new) = (ca.leaf(&["a.example.com"], 40), ca.leaf(&["a.example.com"], 90));
        let seen = |now, leaf| Batch::new(now).saw(A, &[leaf, &ca.der]).saw("file:///srv/a.pem", &[&new]);
        seen(NOW, &old)
            .saw("file:///srv/gone.pem", &[&old])
            .key("file:///srv/gone.key", &old)
            .blind("tls://10.0.0.9:443", Reason::Refused)
            .link("file:///srv/gone.pem", "tls://10.0.0.1:443")
            .whole(store, "office");
        seen(later(1), &new).whole(store, "office");
        judge_all(store, later(1));
        let asset = SubjectKey::Asset(id(&new));
        let open = finding(Some(&new), "open", Severity::Warning, A);
        let over = finding(Some(&new), "over", Severity::Warning, A);
        store.judged(&[verdict(store, asset.clone(), vec![open.clone(), over], None)], later(1)).unwrap();
        store.judged(&[verdict(store, asset, vec![open], None)], later(1)).unwrap();
        // Three alerts that are over, one of them with a message that never arrived; one that is open.
        for number in 1..=4 {
            let mut one = alert(number);
            if number < 4 {
                (one.state, one.resolved) = (State::Resolved, Some(later(1)));
            }
            let link = NewLink { hash: [number as u8; 32], ends: later(30), beside: Vec::new() };
            let name = format!("m{number}");
            assert!(store.tell_with(&one, &[message(&name, Some(number))], &[link], &[]).unwrap());
            let mut sent = message(&name, Some(number));
            sent.delivery = if number == 3 { Delivery::Late } else { Delivery::Sent };
            store.delivered(&sent, &[]).unwrap();
        }
        store.send(&[message("digest", None)]).unwrap();
        let line = AuditLine {
            at: NOW,
            who: "me".into(),
            what: "x".into(),
            subject: "a1".into(),
            detail: String::new(),
        };
        store.audit(&line).unwrap();

        let counted = |now| {
            let resolved = FindingFilter { resolved: true, limit: 10, ..FindingFilter::default() };
            let gone = store.asset(&id(&old)).unwrap().unwrap().placements.len();
            assert_eq!(store.recount().unwrap(), Vec::<String>::new());
            let links =
                (1..=4).filter(|n| store.link(&[*n; 32], false, now).unwrap() != Link::Unknown).count();
            let alerts = store.alerts(None, None, 9).unwrap().len();
            (
                store.findings(&resolved).unwrap().len(),
                alerts,
                store.outgoing(None, 9).unwrap().len(),
                links,
                gone,
            )
        };
        let first = prune(store, later(2));
        assert_eq!(counted(later(2)), (1, 4, 5, 4, 2), "{first}");
        prune(store, later(390));
        assert_eq!(counted(later(390)), (1, 4, 5, 0, 2), "links went");
        assert!(prune(store, later(500)) > 0);
        assert_eq!(counted(later(500)), (0, 2, 2, 0, 2), "what was resolved and told went");
        assert!(prune(store, later(900)) > 0);
        assert_eq!(counted(later(900)).4, 0, "history went");
        assert_eq!(prune(store, later(900)), 0);
        // What is there is there.
        let whole = store.asset(&id(&new)).unwrap().unwrap();
        assert_eq!((whole.placements.len(), whole.row.findings), (2, 1));
        assert_eq!(store.place("file:///srv/gone.pem").unwrap(), None);
        assert_eq!(store.asset(&id(&old)).unwrap().unwrap().der, *old);
        assert_eq!(store.alert(4).unwrap().map(|a| a.state), Some(State::Open));
        assert_eq!((store.next_alert_number().unwrap(), store.audit_broken_at().unwrap()), (5, None));
        assert_eq!(seen(later(901), &new).whole(store, "office").0.writes, 0);
    });
}

#[test]
fn numbers_that_were_taken_back_are_looked_up_again() {
    on_each(|store: &Store| {
        let ca = Authority::new("CA");
        let leaf = ca.leaf(&["a.example.com"], 40);
        // One run all the time: it remembers the numbers of facts and chains.
        let mut run = store.begin("office", "here", NOW).unwrap();
        let at = |n: i64| format!("tls://10.0.0.{n}:443?sni=a.example.com");
        Batch::new(NOW).saw(&at(1), &[&leaf, &ca.der]).into(store, &mut run);
        Batch::new(NOW).saw("file:///srv/a.pem", &[&leaf]).into(store, &mut run);
        store.retire(&at(1), "sold", "me", NOW).unwrap();
        assert!(prune(store, later(900)) > 0);
        Batch::new(later(900)).saw(&at(2), &[&leaf, &ca.der]).into(store, &mut run);
        store.finish(run, &complete(), later(900)).unwrap();
        let place = store.place(&at(2)).unwrap().unwrap();
        assert_eq!(place.placements.iter().map(|p| p.chain.len()).max(), Some(2));
        assert!(place.placements.iter().all(|p| p.facts.protocol.as_deref() == Some("tls")));
        judge_all(store, later(900));
    });
}

#[test]
fn the_secret_of_a_link_goes_with_its_message() {
    on_each(|store: &Store| {
        let url = "https://house.test/ack/0123456789abcdef";
        let with = |delivery| {
            let mut message = message("m1", None);
            message.notice.acknowledge_url = Some(url.to_owned());
            message.delivery = delivery;
            message
        };
        store.send(&[with(Delivery::Pending)]).unwrap();
        let kept = || store.outgoing(None, 1).unwrap().remove(0).notice.acknowledge_url;
        store.delivered(&with(Delivery::Late), &[]).unwrap();
        assert_eq!(kept().as_deref(), Some(url), "it is tried again");
        for over in [Delivery::Failed, Delivery::Sent] {
            store.delivered(&with(over), &[]).unwrap();
            assert_eq!(kept(), None);
        }
        // With the alert or not at all.
        let mut one = alert(1);
        one.version = 7;
        let link = NewLink { hash: [1; 32], ends: later(1), beside: Vec::new() };
        assert!(!store.tell_with(&one, &[], std::slice::from_ref(&link), &[]).unwrap());
        assert_eq!(store.link(&[1; 32], false, NOW).unwrap(), Link::Unknown);
        one.version = 0;
        assert!(store.tell_with(&one, &[], &[link], &[]).unwrap());
        assert_eq!(store.link(&[1; 32], true, NOW).unwrap(), Link::For(vec![1]));
    });
}

#[test]
fn a_message_about_several_alerts_is_kept_with_each() {
    on_each(|store: &Store| {
        let named = |number: i64| {
            let mut one = alert(number);
            one.group = format!("cause {number}");
            one
        };
        let mut bundle = message("bundle", Some(1));
        bundle.beside = vec![2, 3];
        let link = NewLink { hash: [9; 32], ends: later(9), beside: vec![2, 3] };
        let telling = |number: i64, messages: Vec<_>, links: Vec<_>| Telling {
            alert: named(number),
            messages,
            links,
            lines: Vec::new(),
        };
        let all = [
            telling(1, vec![bundle.clone()], vec![link]),
            telling(2, vec![], vec![]),
            telling(3, vec![], vec![]),
        ];
        // One of them was changed meanwhile: nothing of any is kept.
        assert!(store.tell(&named(3), &[], &[]).unwrap());
        assert!(!store.tell_all(&all).unwrap());
        assert_eq!((store.alert(1).unwrap(), store.outgoing(None, 9).unwrap().len()), (None, 0));
        assert_eq!(store.link(&[9; 32], false, NOW).unwrap(), Link::Unknown);
        let mut all = all;
        all[2].alert = store.alert(3).unwrap().unwrap();
        assert!(store.tell_all(&all).unwrap());
        let kept = |number| store.outgoing(Some(number), 9).unwrap();
        assert!((1..=3).all(|n| kept(n).len() == 1 && kept(n)[0].beside == [2, 3]));
        assert_eq!(store.link(&[9; 32], true, NOW).unwrap(), Link::For(vec![1, 2, 3]));
        // Given up, it is known to be for as long as one of them is open.
        bundle.delivery = Delivery::Failed;
        store.delivered(&bundle, &[]).unwrap();
        for number in 1..=3 {
            assert_eq!(store.given_up().unwrap().len(), 1, "{number}");
            let mut one = store.alert(number).unwrap().unwrap();
            (one.state, one.resolved) = (State::Resolved, Some(later(1)));
            assert!(store.tell(&one, &[], &[]).unwrap());
        }
        assert!(store.given_up().unwrap().is_empty());
        // What is old and over goes with all that hangs on it.
        store.send(&[message("later", None)]).unwrap();
        prune(store, later(500));
        assert!((1..=3).all(|n| kept(n).is_empty()));
    });
}
