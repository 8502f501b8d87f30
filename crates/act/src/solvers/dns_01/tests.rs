//! What a provider that holds one value at a name is and is not asked for, with a provider of the test's own: no service of
//! that kind can be had here.

use std::collections::BTreeMap;

use notafter_core::clock::Clock;
use notafter_core::{UnixTime, joints::Keep};

use super::*;
use crate::testing::Memory;

/// Holds one value at a name.
struct Single(Arc<Mutex<BTreeMap<String, String>>>);

impl Provider for Single {
    fn called(&self) -> String {
        "single".to_owned()
    }

    fn room(&self) -> Room {
        Room::One
    }

    fn add<'a>(&'a self, _: &'a Cx, record: &'a Record) -> BoxFuture<'a, Result<Value, Fault>> {
        self.0.lock().expect("it").insert(record.place.clone(), record.value.clone());
        Box::pin(async { Ok(Value::Null) })
    }

    fn remove<'a>(&'a self, _: &'a Cx, record: &'a Record, _: &'a Value) -> BoxFuture<'a, Result<(), Fault>> {
        self.0.lock().expect("it").remove(&record.place);
        Box::pin(async { Ok(()) })
    }
}

struct At(i64);

impl Clock for At {
    fn now(&self) -> UnixTime {
        UnixTime(self.0)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

fn at(seconds: i64) -> Cx {
    Cx::new(Arc::new(At(seconds)), "this host".into())
}

#[tokio::test]
async fn one_value_is_never_pushed_out_by_another() {
    let held = Arc::default();
    let keep: Arc<dyn Keep> = Arc::new(Memory::default());
    let solver = Dns01 {
        provider: Box::new(Single(Arc::clone(&held))),
        turn: None,
        resolver: Resolver::new(None),
        authoritative: Vec::new(),
        port: 53,
        zone: None,
        check: true,
        propagation: Duration::from_secs(60),
        ttl: 120,
        trace: Trace::new(keep, &Value::Null),
    };
    let now = || held.lock().expect("it").values().cloned().collect::<Vec<_>>();
    let one = Record::for_tests();
    let two = Record { value: "two".to_owned(), ..one.clone() };
    solver.show(&at(1000), &one).await.expect("room");
    solver.show(&at(1000), &one).await.expect("the same again");
    let fault = solver.show(&at(1000), &two).await.expect_err("no room");
    assert!(fault.context.contains("holds 1 value at one name"), "{fault}");
    assert!(fault.hint.is_some_and(|hint| hint.contains("two certificates")));
    assert_eq!(now(), [one.value.as_str()]);

    // Left by a process that was killed hours ago, it makes room; and its own removal spares the new one.
    solver.show(&at(1000 + 4 * 3_600), &two).await.expect("room again");
    solver.take_back(&at(1000 + 4 * 3_600), &one, &Value::Null).await.expect("done");
    assert_eq!(now(), [two.value.as_str()]);
    solver.take_back(&at(1000 + 4 * 3_600), &two, &Value::Null).await.expect("done");
    assert!(now().is_empty());
}
