//! Readers of requests and answers, of every dialect.

use crate::{
    Framing,
    documents::{documents, flat, mentions, unbroken},
    flows::{self, Spec},
    judge::{CANARY, Passed, pass},
    mutate::Dice,
};

/// Longer bodies are not cut at every byte.
const CUT_EVERYWHERE: usize = 1 << 10;

/// An input: the flow's name on the first line, then a body.
pub(crate) fn run(family: &str, input: &[u8]) {
    let Some((spec, body)) = flows::named(family, input) else { return };
    if untouched(spec, body) {
        assert!(masked(spec, body).is_some(), "what passes is not refused when it is masked");
    }
}

/// What becomes of a body, whatever the cuts; `None` when it is refused, whatever the cuts.
fn passed(spec: &Spec, masking: bool, body: &[u8]) -> Option<Passed> {
    let whole = pass(flows::flow(spec), masking, body, &[]);
    let mut dice = Dice::of(body);
    let mut ways: Vec<Vec<usize>> = (0..3).map(|_| dice.cuts(body.len(), 6)).collect();
    if body.len() <= CUT_EVERYWHERE {
        ways.push((1..body.len()).collect());
    }
    for cuts in ways {
        let cut = pass(flows::flow(spec), masking, body, &cuts);
        match (&whole, cut) {
            (Ok(whole), Ok(cut)) => {
                assert_eq!(shown(&cut.out), shown(&whole.out), "what leaves depends on the cuts {cuts:?}");
                assert_eq!(cut.said, whole.said, "what is said depends on the cuts {cuts:?}");
            }
            (Err(_), Err(_)) => {}
            (whole, cut) => panic!("whole {:?}, but cut at {cuts:?} {:?}", whole.as_ref().err(), cut.err()),
        }
    }
    whole.ok()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A body that nothing changes leaves byte for byte, but for where some clients would find lines in it; of an event stream,
/// all but what clients pass over. Whether it is one.
///
/// # Panics
/// When that does not hold.
#[must_use = "a body that is refused shows nothing"]
pub fn untouched(spec: &Spec, body: &[u8]) -> bool {
    let Some(passed) = passed(spec, false, body) else { return false };
    match spec.framing {
        Framing::Events | Framing::PlainEvents => {
            let [left, came] = [&passed.out, body].map(|stream| documents(spec.framing, stream));
            assert_eq!(left, came, "a client sees other documents: {}", shown(&passed.out));
        }
        Framing::Lines => assert_eq!(shown(&passed.out), shown(&unbroken(body)), "lines leave as they came"),
        Framing::Whole | Framing::Items => {
            assert_eq!(shown(&flat(&passed.out)), shown(&flat(body)), "a document leaves as it came");
        }
        Framing::Text => assert_eq!(shown(&passed.out), shown(body), "an untouched body leaves as it came"),
    }
    true
}

/// What leaves of a body that is masked: as many documents as came, with the canary in none. `None`: it is refused.
///
/// # Panics
/// When that does not hold.
pub fn masked(spec: &Spec, body: &[u8]) -> Option<Vec<u8>> {
    let passed = passed(spec, true, body)?;
    // What the other parsers can't read (a number without end) they can't be asked about.
    if let Some(came) = documents(spec.framing, body) {
        let left = documents(spec.framing, &passed.out);
        let left = left.unwrap_or_else(|| panic!("no longer readable: {}", shown(&passed.out)));
        assert_eq!(left.len(), came.len(), "documents come and go: {}", shown(&passed.out));
        let leak = left.into_iter().map(|document| spec.shown(document)).find(|shown| mentions(shown, CANARY));
        assert!(leak.is_none(), "the canary leaves: {}", shown(&passed.out));
    }
    Some(passed.out)
}
