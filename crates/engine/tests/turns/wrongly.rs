//! A CA that issues something else than it was asked for: how often it is asked again, and by whose doing.

use super::*;

#[tokio::test]
async fn a_ca_that_issues_something_else_is_not_asked_for_ever() {
    let mut house = house("wrongly", &["one"]);
    *house.offices[0].issues.lock().unwrap() = Some(chain(0, 90 * DAY));
    let asked = || house.asked.lock().unwrap().len();
    assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
    let first = house.go_on().await;
    assert_eq!((asked(), first.state), (1, State::WaitsForIssuer), "{first:?}");
    assert!(first.calls && first.next >= NOW.0 + 3_600, "somebody is called at once: {first:?}");
    // A month of it: a public CA gives out five a week for the same names, wrong ones counted.
    let stopped = house.for_a_while(30 * DAY).await;
    assert_eq!((asked(), stopped.state), (3, State::WaitsForPerson), "{stopped:?}");
    for words in ["one: it issued something that was not asked for", "3 times", "notafter renew web"] {
        assert!(stopped.said.contains(words), "{}", stopped.said);
    }
    assert_eq!(house.trailed("renewal-stopped").join(" | "), stopped.said);
    // Nobody but a person, or another configuration, has it asked again; both do.
    house.clock.set(NOW.plus(60 * DAY));
    house.go_on().await;
    assert_eq!(asked(), 3);
    assert_eq!(house.renewer().push(&house.managed, "a test").unwrap(), Pushed::On);
    let pushed = house.for_a_while(DAY).await;
    assert_eq!((asked(), pushed.state), (6, State::WaitsForPerson), "{pushed:?}");
    let mut managed = house.managed.clone();
    managed.made_from = "two".to_owned();
    std::mem::swap(&mut managed, &mut house.managed);
    *house.offices[0].issues.lock().unwrap() = None;
    let mended = house.go_on().await;
    assert_eq!((mended.generation, mended.said.as_str()), (1, "an approval"), "{mended:?}");
    assert_eq!(house.asked.lock().unwrap().len(), 7);
    assert!(house.trailed("renewal-pushed").contains(&"the configuration was changed".to_owned()));
}

#[tokio::test]
async fn what_another_configuration_asks_for_is_asked_by_another_renewal() {
    let mut house = house("wrongly-other", &["one"]);
    *house.offices[0].issues.lock().unwrap() = Some(chain(0, 90 * DAY));
    assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
    assert_eq!(house.for_a_while(DAY).await.state, State::WaitsForPerson);
    *house.offices[0].issues.lock().unwrap() = None;
    house.managed.names.push(Identifier::parse("more.test").unwrap());
    house.managed.made_from = "two".to_owned();
    let other = house.go_on().await;
    assert_eq!((other.generation, other.cause.as_str(), other.said.as_str()), (2, "a test", "an approval"));
    assert_eq!(house.row(1).state, State::Abandoned);
}

#[tokio::test]
async fn the_next_one_is_asked_and_the_wrong_one_is_passed_over() {
    let house = house("wrongly-next", &["one", "two"]);
    *house.offices[0].issues.lock().unwrap() = Some(chain(0, 90 * DAY));
    *house.offices[1].says.lock().unwrap() = Some(Retry::Never);
    assert!(house.renewer().begin(&house.managed, "a test", None).unwrap());
    let renewal = house.for_a_while(10 * DAY).await;
    let asked = house.asked.lock().unwrap().clone();
    assert_eq!(asked[..2], ["one", "two"]);
    let of = |name: &str| asked.iter().filter(|a| **a == name).count();
    assert!(of("one") == 3 && of("two") > 10, "{asked:?}");
    assert_eq!((renewal.state, renewal.issuer), (State::WaitsForIssuer, IssuedBy::Name("two".into())));
    assert!(house.trailed("issuer-left").iter().any(|said| said.contains("3 times, and is not asked again")));
}
