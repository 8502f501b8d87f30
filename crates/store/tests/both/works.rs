//! Renewals: one at a time, changed by one holder, never from an old reading; and what is kept sealed.

use std::sync::Arc;

use notafter_core::UnixTime;
use notafter_core::joints::Keep as _;
use notafter_core::renew::{Renewal, State};
use notafter_store::seal::{Master, Sealed};
use notafter_store::works::{Note, subject};
use notafter_store::{Database, Store};

use super::{on_each, scene};

fn note(what: &str) -> Note<'_> {
    Note { what, detail: "a detail".into(), proofs: Vec::new() }
}

#[test]
fn one_at_a_time() {
    on_each(|store| {
        let now = scene::NOW;
        let mut first = Renewal::begin("api", 1, "asked for", now);
        assert!(store.begin_work(&first, &note("renewal-begun"), now).unwrap());
        assert!(!store.begin_work(&first, &note("renewal-begun"), now).unwrap(), "the same again");
        let second = Renewal::begin("api", 2, "asked for", now);
        assert!(!store.begin_work(&second, &note("renewal-begun"), now).unwrap(), "while the first is open");
        assert!(store.begin_work(&Renewal::begin("www", 1, "", now), &Note::default(), now).unwrap());
        let lines = store.audit_lines(Some(&subject("api")), None, 10).unwrap();
        assert_eq!(lines.len(), 1, "what was refused is not noted: {lines:?}");

        let until = now.plus(60);
        let held = store.hold_work("api", 1, "a", until, now).unwrap().expect("free");
        assert_eq!((held.renewal.clone(), held.holder), (first.clone(), Some(("a".to_owned(), until))));
        assert!(store.hold_work("api", 1, "b", until, now).unwrap().is_none(), "held");
        assert!(store.hold_work("api", 7, "a", until, now).unwrap().is_none(), "no such");
        first.state = State::Proved;
        let version = store
            .put_work(&first, held.version, ("a", until), &note("x"), now)
            .unwrap()
            .expect("as it was read");
        assert!(
            store.put_work(&first, held.version, ("a", until), &note("x"), now).unwrap().is_none(),
            "an old reading"
        );
        assert!(
            store.put_work(&first, version, ("b", until), &note("x"), now).unwrap().is_none(),
            "not the holder"
        );
        // Its time is over: the next one takes it, and the first can do nothing any more.
        assert!(store.hold_work("api", 1, "b", now.plus(200), now.plus(61)).unwrap().is_some());
        assert!(store.put_work(&first, version, ("a", until), &note("x"), now).unwrap().is_none());
        store.let_go_of_work("api", 1, "b").unwrap();
        assert!(store.begin_work(&second, &Note::default(), now).unwrap(), "the first is over");
        let newest: Vec<(String, u64)> =
            store.works().unwrap().into_iter().map(|w| (w.renewal.name, w.renewal.generation)).collect();
        assert_eq!(newest, [("api".to_owned(), 2), ("www".to_owned(), 1)]);
        assert_eq!(store.works_of("api", 10).unwrap().len(), 2);
        assert_eq!(store.audit_broken_at().unwrap(), None);
    });
}

#[test]
fn what_is_sealed_opens_only_with_its_key_and_under_its_name() {
    let lab = notafter_lab::Lab::new("seal");
    let store = Arc::new(Store::open(&Database::Memory, UnixTime(0)).unwrap());
    let file = lab.path().join("master.key");
    let open = || Sealed::new(Arc::clone(&store), Master::in_file(&file).unwrap());
    let sealed = open();
    assert!(sealed.keep("key/api/1", None, b"a secret of the house").unwrap());
    assert!(!sealed.keep("key/api/1", None, b"another").unwrap(), "there is one");
    assert!(!sealed.keep("key/api/1", Some(b"not this"), b"another").unwrap());
    assert_eq!(
        open().kept("key/api/1").unwrap().as_deref(),
        Some(&b"a secret of the house"[..]),
        "after a restart"
    );
    assert_eq!(sealed.kept("key/api/2").unwrap(), None);
    let kept = store.kept("sealed/key/api/1").unwrap().expect("kept").value;
    assert!(!kept.windows(6).any(|w| w == b"secret"), "nothing of it lies open");
    // Under another name, altered, or with another key it is nothing.
    assert!(store.keep("sealed/key/www/1", &kept, None).unwrap());
    assert!(sealed.kept("key/www/1").is_err());
    for at in [0, 1, 14, kept.len() - 1] {
        let mut altered = kept.clone();
        altered[at] ^= 1;
        assert!(store.keep("sealed/key/api/3", &altered, None).unwrap());
        assert!(sealed.kept("key/api/3").is_err(), "byte {at}");
    }
    let other = Sealed::new(Arc::clone(&store), Master::from_bytes(&[7; 32]).unwrap());
    assert!(other.kept("key/api/1").is_err());
    assert!(sealed.keep("key/api/1", Some(b"a secret of the house"), b"").unwrap());
    assert_eq!(sealed.kept("key/api/1").unwrap(), None, "forgotten");
    // Files that are none, or that others can read.
    std::fs::write(&file, "zz").unwrap();
    assert!(Master::in_file(&file).is_err());
    std::fs::remove_file(&file).unwrap();
    drop(open());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    assert!(Master::in_file(&file).err().unwrap().contains("hint: chmod 600"));
}
