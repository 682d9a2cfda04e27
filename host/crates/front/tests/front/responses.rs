//! What upstreams send.

use front::{INTERIM, Responses};

use crate::{HEAD_BYTES, responses};

/// What is refused: the answer to one request.
const REFUSED: &[&str] = &[
    "HTTP/1.1 200 OK|content-length: 4|transfer-encoding: chunked||4\r\nabcd\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK|transfer-encoding: chunked|content-length: 4||4\r\nabcd\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK|content-length: 4|content-length: 4||abcd",
    "HTTP/1.1 200 OK|content-length: 4|content-length: 5||abcde",
    "HTTP/1.1 200 OK|content-length: 4, 4||abcd",
    "HTTP/1.1 200 OK|content-length: +4||abcd",
    "HTTP/1.1 200 OK|transfer-encoding: gzip, chunked||0\r\n\r\n",
    "HTTP/1.1 200 OK|transfer-encoding: identity||abcd",
    "HTTP/1.0 200 OK|transfer-encoding: chunked||0\r\n\r\n",
    "HTTP/1.1 200 OK|transfer-encoding: chunked||0x4\r\nabcd\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK|x: a| folded||",
    "HTTP/1.1 200 OK|x : a||",
    "HTTP/1.1 200 OK|x: a\nb: c||",
    "HTTP/1.1 200 OK|x: a\u{0}||",
    "HTTP/1.1 101 Switching Protocols|upgrade: websocket|connection: upgrade||",
    "HTTP/1.1 204 No Content|content-length: 4||abcd",
    "HTTP/1.1 204 No Content|transfer-encoding: chunked||0\r\n\r\n",
    "HTTP/1.1 103 Early Hints|content-length: 4||abcd",
    "HTTP/1.1  200 OK||",
    "HTTP/1.1 20 OK||",
    "HTTP/1.1 2000 OK||",
    "HTTP/1.1 099 OK||",
    "HTTP/1.1 600 OK||",
    "HTTP/1.1 200\tOK||",
    "HTTP/2 200||",
    "ICY 200 OK||",
    "||HTTP/1.1 200 OK||",
    // More than was asked for.
    "HTTP/1.1 204 No Content||abcd",
    "HTTP/1.1 304 Not Modified|content-length: 4||abcd",
    "HTTP/1.1 200 OK|content-length: 4||abcde",
    "HTTP/1.1 200 OK|content-length: 0||HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "HTTP/1.1 200 OK|transfer-encoding: chunked||0\r\n\r\n\r\n",
];

/// What passes, and whether another request may follow it.
const PASSED: &[(bool, &str)] = &[
    (true, "HTTP/1.1 200 OK|content-length: 4||abcd"),
    (true, "HTTP/1.1 200 |content-length: 0||"),
    (true, "HTTP/1.1 200|content-length: 0||"),
    (true, "HTTP/1.1 200 OK|transfer-encoding: chunked||4;x=y\r\nabcd\r\n0\r\nx: y\r\n\r\n"),
    (true, "HTTP/1.1 204 No Content||"),
    (true, "HTTP/1.1 204 No Content|content-length: 0||"),
    (true, "HTTP/1.1 304 Not Modified|content-length: 4||"),
    (true, "HTTP/1.1 100 Continue||HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    (true, "HTTP/1.0 200 OK|content-length: 4||abcd"),
    (false, "HTTP/1.0 200 OK||until the end"),
    (false, "HTTP/1.1 200 OK|x_y: \u{e4}||until the end"),
    (false, "HTTP/1.1 200 OK|content-length: 4||abc"),
    (false, "HTTP/1.1 200 OK|transfer-encoding: chunked||4\r\nabcd\r\n0\r\n"),
    (false, "HTTP/1.1 103 Early Hints||"),
];

fn bytes(response: &str) -> Vec<u8> {
    response
        .replace('|', "\r\n")
        .chars()
        .map(|letter| u8::try_from(letter).expect("a letter stands for one byte"))
        .collect()
}

#[test]
fn what_has_two_meanings_or_was_not_asked_for_is_refused_at_any_cut() {
    for response in REFUSED {
        let (_, refused, clean) = responses(&bytes(response), false);
        assert_eq!((refused, clean), (Some(502), false), "{response}");
    }
}

#[test]
fn good_responses_pass_as_they_are() {
    for (clean, response) in PASSED {
        let bytes = bytes(response);
        assert_eq!(responses(&bytes, false), (bytes, None, *clean), "{response}");
    }
}

#[test]
fn what_comes_behind_a_response_does_not_pass_and_leaves_that_whole() {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd";
    let mut seen = Responses::new(HEAD_BYTES);
    seen.expect(false);
    assert_eq!(seen.look(&[response.as_slice(), b"x"].concat()).passed, response.len());
    assert!(seen.is_surplus() && !seen.is_clean());
}

#[test]
fn the_answer_to_head_has_no_body_whatever_it_says() {
    for framing in ["content-length: 400", "transfer-encoding: chunked", "x: y"] {
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
        assert_eq!(responses(&head, true), (head, None, true), "{framing}");
    }
}

#[test]
fn interim_responses_are_counted() {
    let interim = |count: usize| {
        format!("{}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 103 Hints\r\nlink: x\r\n\r\n".repeat(count))
    };
    assert_eq!(responses(interim(INTERIM).as_bytes(), false).1, None);
    assert_eq!(responses(interim(INTERIM + 1).as_bytes(), false).1, Some(502));
}

#[test]
fn a_head_has_its_bound() {
    let long = |bytes: usize| {
        let rest = "HTTP/1.1 200 OK\r\nx: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(bytes - rest)).into_bytes()
    };
    assert_eq!(responses(&long(HEAD_BYTES), false).1, None);
    assert_eq!(responses(&long(HEAD_BYTES + 1), false).1, Some(502));
}

#[test]
fn nothing_is_said_before_it_is_asked() {
    let mut responses = Responses::new(HEAD_BYTES);
    assert_eq!(responses.look(b"H").refused.map(|refusal| refusal.status), Some(502));
    let mut responses = Responses::new(HEAD_BYTES);
    responses.expect(false);
    responses.expect(false);
    assert_eq!(responses.look(b"H").refused.map(|refusal| refusal.status), Some(502));
}
