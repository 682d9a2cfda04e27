//! Devices and people, with a clock of the test.

use serde_json::Map;

use super::*;
use crate::digest;
use model::Caller;

const HOME: &str = "192.0.2.1";

fn asked(address: &str) -> Asked {
    Asked { wanted: Wanted::default(), reason: String::new(), address: address.parse().unwrap(), certificate: None }
}

fn granted(subject: &str) -> Granted {
    let caller = Caller { subject: subject.into(), ..Caller::default() };
    let who = Verified { caller, claims: Map::new(), issued: 0, expires: 0, id: None, twin: None, certificate: None };
    Granted { who, request: None }
}

fn code(number: u8) -> Digest {
    Digest([number; 32])
}

/// The user code of a number.
fn user(number: usize) -> String {
    let letter = |at: u32| char::from(LETTERS[number / 20usize.pow(at) % 20]);
    (0..8).map(letter).collect()
}

fn find(devices: &mut Devices, typed: &str, address: &str, now_ms: u64) -> Result<Digest, Wrong> {
    devices.find(typed, address.parse().unwrap(), now_ms).map(|(code, _)| code)
}

#[test]
fn a_person_lets_a_device_in_once() {
    let mut devices = Devices::default();
    assert!(devices.begin(code(1), "BCDFGHJK", asked(HOME), 0));
    assert!(matches!(devices.poll(code(1), 0), Poll::Pending));
    assert_eq!(find(&mut devices, "bcdf-ghjk", HOME, 1), Ok(code(1)));
    assert_eq!(find(&mut devices, " BCDF GHJK", HOME, 1), Ok(code(1)));
    assert!(devices.decide(code(1), Some(granted("ann")), 2));
    assert!(!devices.decide(code(1), Some(granted("eve")), 3), "a decision stands");
    assert!(!devices.decide(code(1), None, 3));
    assert_eq!(find(&mut devices, "BCDFGHJK", HOME, 3), Err(Wrong::Code), "a code that was used opens nothing");
    let Poll::Granted(_, granted) = devices.poll(code(1), 5_000) else { panic!("not granted") };
    assert_eq!(granted.who.caller.subject, "ann");
    let taken = devices.take(code(1)).unwrap();
    assert!(devices.take(code(1)).is_none(), "one token");
    devices.put_back(code(1), taken);
    assert!(devices.take(code(1)).is_some());
    assert!(matches!(devices.poll(code(1), 10_000), Poll::Unknown));
}

#[test]
fn no_is_no_and_late_is_late() {
    let mut devices = Devices::default();
    devices.begin(code(1), "BCDFGHJK", asked(HOME), 0);
    devices.begin(code(2), "BCDFGHJL", asked(HOME), 0);
    devices.decide(code(1), None, 1);
    assert!(matches!(devices.poll(code(1), 1), Poll::Denied));
    assert!(!devices.decide(code(2), Some(granted("ann")), LIFE_MS));
    assert!(devices.open(code(2), LIFE_MS).is_none());
    assert!(matches!(devices.poll(code(2), LIFE_MS), Poll::Expired));
    assert_eq!(find(&mut devices, "BCDFGHJL", HOME, LIFE_MS), Err(Wrong::Code));
    assert!(matches!(devices.poll(code(9), 0), Poll::Unknown));
    assert!(devices.begin(code(3), "BCDFGHJM", asked(HOME), 2 * LIFE_MS));
    assert!(matches!(devices.poll(code(2), 2 * LIFE_MS), Poll::Unknown), "forgotten in the end");
}

#[test]
fn who_polls_too_often_is_slowed_down() {
    let mut devices = Devices::default();
    devices.begin(code(1), "BCDFGHJK", asked(HOME), 0);
    assert!(matches!(devices.poll(code(1), 0), Poll::Pending));
    assert!(matches!(devices.poll(code(1), 4_999), Poll::SlowDown));
    assert!(matches!(devices.poll(code(1), 9_999), Poll::SlowDown), "ten seconds by now");
    assert!(matches!(devices.poll(code(1), 9_999 + 15_000), Poll::Pending));
}

#[test]
fn guessing_is_bounded_for_one_and_for_all() {
    let mut devices = Devices::default();
    devices.begin(code(1), "BCDFGHJK", asked(HOME), 0);
    for try_ in 0..GUESSES_PER_ADDRESS {
        assert_eq!(find(&mut devices, &user(try_ + 1), "2001:db8::1", 1), Err(Wrong::Code));
    }
    // The whole network of the guesser is out, also with the right code; others are not.
    assert_eq!(find(&mut devices, "BCDFGHJK", "2001:db8::ffff", 2), Err(Wrong::TooMany));
    assert_eq!(find(&mut devices, "BCDFGHJK", "2001:db8:0:1::1", 2), Ok(code(1)));
    for guess in 0..GUESSES {
        let address = format!("198.51.{}.{}", guess / 8 % 256, guess % 8);
        let _ = find(&mut devices, "nonsense", &address, 3);
    }
    assert_eq!(find(&mut devices, "BCDFGHJK", HOME, 4), Err(Wrong::TooMany));
    // The codes of that time are over before anybody may guess again.
    assert_eq!(find(&mut devices, "BCDFGHJK", HOME, 3 + GUESS_SPAN_MS), Err(Wrong::Code));
}

#[test]
fn who_waits_is_bounded() {
    let mut devices = Devices::default();
    for number in 0..WAITING_PER_ADDRESS {
        assert!(devices.begin(code(number as u8), &user(number), asked(HOME), 0));
    }
    assert!(!devices.begin(code(200), &user(200), asked(HOME), 0));
    assert!(!devices.begin(code(201), &user(0), asked("192.0.2.2"), 0), "a user code names one device");
    assert!(devices.begin(code(202), &user(202), asked("192.0.2.2"), 0));
    assert!(devices.begin(code(203), &user(203), asked(HOME), 2 * LIFE_MS), "what is over makes room");
}

#[test]
fn what_waits_no_more_takes_no_place() {
    let mut devices = Devices::default();
    let number = |number: usize| digest(number.to_string());
    // Each of them is denied and hears of it; more than are remembered.
    for at in 0..=KNOWN {
        assert!(devices.begin(number(at), &user(at), asked(HOME), 0), "{at}");
        assert!(devices.decide(number(at), None, 0) && matches!(devices.poll(number(at), 0), Poll::Denied));
    }
    assert!(devices.devices.len() <= KNOWN && devices.by_user_code.is_empty());
    let begun = |devices: &mut Devices, from: usize, now| {
        (from..from + 100).filter(|at| devices.begin(number(*at), &user(*at), asked(HOME), now)).count()
    };
    assert_eq!(begun(&mut devices, 10_000, 0), WAITING_PER_ADDRESS);
    assert!(devices.decide(number(10_000), Some(granted("ann")), 0));
    assert_eq!(begun(&mut devices, 20_000, LIFE_MS - 1), 0, "who was let in has a token to come for");
    assert_eq!(begun(&mut devices, 30_000, LIFE_MS), WAITING_PER_ADDRESS, "late is late");
    assert!(matches!(devices.poll(number(10_001), LIFE_MS), Poll::Expired), "and is told so");
}

#[test]
fn what_is_no_code_is_none() {
    for typed in ["", "BCDFGHJ", "BCDFGHJKL", "ACDFGHJK", "BCDFGHJ1", "BCDFGHJÉ", "B\u{0}DFGHJK", &"-".repeat(40)] {
        assert_eq!(plain(typed), None, "{typed}");
    }
    assert_eq!(plain("bcdf-ghjk").as_deref(), Some("BCDFGHJK"));
}
