//! The front door from outside: what passes, what does not, and that no cut of the network changes either.

mod chunked;
mod heads;
mod random;
mod responses;

use front::{Requests, Responses, Seen};

/// The bound of heads in these tests.
const HEAD_BYTES: usize = 1024;

/// All that passes of bytes that come in these pieces, and the status of the refusal, if there is one.
fn through(mut look: impl FnMut(&[u8]) -> Seen, pieces: &[&[u8]]) -> (Vec<u8>, Option<u16>) {
    let (mut held, mut passed) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        let seen = look(&held);
        passed.extend(held.drain(..seen.passed));
        if let Some(refusal) = seen.refused {
            let again = look(&held);
            assert_eq!(again, Seen { passed: 0, refused: Some(refusal) }, "behind a refusal nothing passes");
            return (passed, Some(refusal.status));
        }
    }
    (passed, None)
}

/// Every way to cut bytes in two, all of them alone, and all at once.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    let halves = (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]);
    halves.chain([bytes.chunks(1).collect()])
}

/// What becomes of requests, whatever the cut: the status of the refusal, and the heads that passed before it.
fn requests(bytes: &[u8]) -> (Vec<u8>, Option<u16>) {
    let mut requests = Requests::new(HEAD_BYTES);
    let whole = through(|bytes| requests.look(bytes), &[bytes]);
    for pieces in cuts(bytes) {
        let mut requests = Requests::new(HEAD_BYTES);
        let cut = through(|bytes| requests.look(bytes), &pieces);
        assert_eq!(cut.1, whole.1, "{} as {pieces:?}", bytes.escape_ascii());
        if whole.1.is_none() {
            assert_eq!(cut.0.escape_ascii().to_string(), whole.0.escape_ascii().to_string(), "{pieces:?}");
        }
    }
    whole
}

/// What becomes of the responses to so many requests, as [`requests`]; whether the connection is clean then.
fn responses(bytes: &[u8], headless: bool) -> (Vec<u8>, Option<u16>, bool) {
    let run = |pieces: &[&[u8]]| {
        let mut responses = Responses::new(HEAD_BYTES);
        responses.expect(headless);
        let (passed, status) = through(|bytes| responses.look(bytes), pieces);
        (passed, status, responses.is_clean())
    };
    let whole = run(&[bytes]);
    for pieces in cuts(bytes) {
        let cut = run(&pieces);
        assert_eq!((cut.1, cut.2), (whole.1, whole.2), "{} as {pieces:?}", bytes.escape_ascii());
    }
    whole
}
