//! The table of the threat model, row by row: bytes, and what is answered.

use crate::{HEAD_BYTES, requests};

/// Heads that do not pass. `POST` and `GET` stand for a request line and a host; each is followed by an empty line and
/// `abcd`.
const REFUSED: &[(u16, &str)] = &[
    // Content-length with transfer-encoding, in either order.
    (400, "POST|content-length: 4|transfer-encoding: chunked"),
    (400, "POST|transfer-encoding: chunked|content-length: 4"),
    (400, "POST|content-length: 4|transfer-encoding: gzip, chunked"),
    (400, "POST|content-length: 0|transfer-encoding: identity"),
    // Content-length duplicated, listed, odd.
    (400, "POST|content-length: 4|content-length: 4"),
    (400, "POST|content-length: 4|Content-Length: 5"),
    (400, "POST|content-length: 4, 4"),
    (400, "POST|content-length: +4"),
    (400, "POST|content-length: 0x4"),
    (400, "POST|content-length: 1_0"),
    (400, "POST|content-length: -4"),
    (400, "POST|content-length:"),
    (400, "POST|content-length: "),
    (400, "POST|content-length: 4 4"),
    (400, "POST|content-length: 4;"),
    (400, "POST|content-length: 004"),
    (400, "POST|content-length: 00"),
    (400, "POST|content-length: \"4\""),
    (400, "POST|content-length: 9223372036854775808"),
    (400, "POST|content-length: 18446744073709551620"),
    (400, "POST|content-length: 99999999999999999999"),
    // Transfer-encoding other than one `chunked`.
    (501, "POST|transfer-encoding: gzip, chunked"),
    (501, "POST|transfer-encoding: identity, chunked"),
    (501, "POST|transfer-encoding: chunked, gzip"),
    (501, "POST|transfer-encoding: identity"),
    (501, "POST|transfer-encoding: xchunked"),
    (501, "POST|transfer-encoding: chunke"),
    (501, "POST|transfer-encoding: cow"),
    (400, "POST|transfer-encoding: chunked, chunked"),
    (400, "POST|transfer-encoding: ,chunked"),
    (400, "POST|transfer-encoding: chunked,"),
    (400, "POST|transfer-encoding: \"chunked\""),
    (400, "POST|transfer-encoding: 'chunked;'"),
    (400, "POST|transfer-encoding: chunked;q=1"),
    (400, "POST|transfer-encoding: chunked gzip"),
    (400, "POST|transfer-encoding:"),
    (400, "POST|transfer-encoding: chunked|transfer-encoding: chunked"),
    (400, "POST|transfer-encoding: gzip|transfer-encoding: chunked"),
    (400, "POST|transfer-encoding: \u{b}chunked"),
    (400, "POST|transfer-encoding: chunked\u{0}"),
    (400, "POST|transfer-encoding: chun\u{1f}ked"),
    (400, "POST /x HTTP/1.0|transfer-encoding: chunked"),
    (400, "POST /x HTTP/1.0|transfer-encoding: gzip"),
    // Lines.
    (400, "POST|x: a| folded"),
    (400, "POST|x: a|\tfolded"),
    (400, "POST /x HTTP/1.1| host: gate"),
    (400, "POST /x HTTP/1.1|\thost: gate"),
    (400, "POST|content-length : 4"),
    (400, "POST|transfer-encoding\t: chunked"),
    (400, "POST|x: a\ny: b"),
    (400, "POST|x: a\r y: b"),
    (400, "POST|x: a\r\ry: b"),
    (400, "POST|x: a\u{0}b"),
    (400, "POST|x: a\u{7f}b"),
    (400, "POST|: a"),
    (400, "POST|no colon"),
    (400, "POST|n\u{e4}me: a"),
    (400, "POST|n\u{0}me: a"),
    (400, "POST|na me: a"),
    (400, "POST|na(me: a"),
    (400, "POST|x_forwarded_for: a"),
    (400, "POST|content_length: 4"),
    // Host.
    (400, "POST /x HTTP/1.1"),
    (400, "POST /x HTTP/1.1|x: a"),
    (400, "POST|host: gate"),
    (400, "POST|Host: other"),
    (400, "POST /x HTTP/1.1|host:"),
    (400, "POST /x HTTP/1.1|host: a, b"),
    (400, "POST /x HTTP/1.1|host: user@gate"),
    (400, "POST /x HTTP/1.1|host: gate/path"),
    (400, "POST /x HTTP/1.1|host: gate?x"),
    (400, "POST /x HTTP/1.1|host: gate#x"),
    (400, "POST /x HTTP/1.1|host: ga te"),
    (400, "POST /x HTTP/1.1|host: gate:"),
    (400, "POST /x HTTP/1.1|host: gate:x"),
    (400, "POST /x HTTP/1.1|host: gate:+80"),
    (400, "POST /x HTTP/1.1|host: gate:65536"),
    (400, "POST /x HTTP/1.1|host: gate:80:80"),
    (400, "POST /x HTTP/1.1|host: [::1"),
    (400, "POST /x HTTP/1.1|host: [::1]x"),
    (400, "POST /x HTTP/1.1|host: []"),
    (400, "POST /x HTTP/1.1|host: [gate]"),
    (400, "POST /x HTTP/1.1|host: ::1"),
    (400, "POST /x HTTP/1.1|host: \u{e4}"),
    (400, "POST /x HTTP/1.1|host: %67ate"),
    (400, "POST http://other/x HTTP/1.1|host: gate"),
    (400, "POST http://gate:80/x HTTP/1.1|host: gate"),
    (400, "POST http://gate@other/x HTTP/1.1|host: gate"),
    (400, "POST http:///x HTTP/1.1|host: gate"),
    (400, "POST http://gate/x HTTP/1.1"),
    // Forms of the target.
    (400, "CONNECT gate:443 HTTP/1.1|host: gate:443"),
    (400, "CONNECT / HTTP/1.1|host: gate"),
    (400, "GET gate:443 HTTP/1.1|host: gate:443"),
    (400, "GET * HTTP/1.1|host: gate"),
    (400, "GET x HTTP/1.1|host: gate"),
    (400, "GET ftp://gate/x HTTP/1.1|host: gate"),
    (400, "GET /x#y HTTP/1.1|host: gate"),
    (400, "GET /x\\y HTTP/1.1|host: gate"),
    (400, "GET /x\u{0}y HTTP/1.1|host: gate"),
    (400, "GET /\u{e4} HTTP/1.1|host: gate"),
    (400, "GET /x\ty HTTP/1.1|host: gate"),
    (400, "GET /\"x\" HTTP/1.1|host: gate"),
    (400, "GET /<x> HTTP/1.1|host: gate"),
    // The request line.
    (400, "GET  /x HTTP/1.1|host: gate"),
    (400, "GET /x  HTTP/1.1|host: gate"),
    (400, "GET /x HTTP/1.1 |host: gate"),
    (400, " GET /x HTTP/1.1|host: gate"),
    (400, "GET\t/x\tHTTP/1.1|host: gate"),
    (400, "GET /x|host: gate"),
    (400, "GET /x HTTP/1.1x|host: gate"),
    (400, "GET /x http/1.1|host: gate"),
    (400, "GET /x HTTP/11|host: gate"),
    (400, "GET /x HTTP/01.1|host: gate"),
    (400, "GET /x ICY/1.1|host: gate"),
    (400, "G(T /x HTTP/1.1|host: gate"),
    (400, "\u{16}\u{3}\u{1} /x HTTP/1.1|host: gate"),
    (400, "||GET /x HTTP/1.1|host: gate"),
    (505, "GET /x HTTP/2.0|host: gate"),
    (505, "PRI * HTTP/2.0|"),
    (505, "GET /x HTTP/1.2|host: gate"),
    // Expectations, and protocols that can't be judged.
    (417, "POST|expect: 200-ok|content-length: 4"),
    (417, "POST|expect: 100-continue, x|content-length: 4"),
    (417, "POST|expect:|content-length: 4"),
    (417, "POST|expect: 100-continue|expect: x|content-length: 4"),
    (400, "GET|connection: upgrade|upgrade: websocket|sec-websocket-version: 13"),
    (400, "GET|connection: upgrade|upgrade: h2c, WebSocket/13"),
];

/// Heads that pass as they are.
const PASSED: &[&str] = &[
    "POST|content-length: 4",
    "POST|Content-Length:4",
    "POST|content-length:  \t4 \t",
    "POST|transfer-encoding: chunked",
    "POST|Transfer-Encoding: Chunked\t",
    "POST|expect: 100-continue|content-length: 4",
    "POST|Expect: 100-Continue|transfer-encoding: chunked",
    "GET|content-length: 4",
    "GET|content-length: 0",
    "GET",
    "|GET /x HTTP/1.1|host: gate",
    "GET /x HTTP/1.0",
    "POST /x HTTP/1.0|content-length: 4",
    "GET /x?y=z&[a]=b HTTP/1.1|host: gate:8080",
    "GET /%2e%2e/;x//y HTTP/1.1|host: my_gate.internal:65535",
    "GET http://gate/x HTTP/1.1|host: GATE",
    "GET HTTPS://gate:8443?x HTTP/1.1|host: gate:8443",
    "OPTIONS * HTTP/1.1|host: [::1]:80",
    "PROPFIND /x HTTP/1.1|host: 127.0.0.1",
    "GET|x:|y: \u{e4}|x: again|connection: content-length",
    "GET|connection: upgrade, http2-settings|upgrade: h2c|http2-settings: AAMAAABkAAQCAAAAAAIAAAAA",
];

fn bytes(head: &str) -> Vec<u8> {
    let line = |method: &str| format!("{method} /v1/chat/completions HTTP/1.1\r\nhost: gate");
    let mut lines: Vec<String> = head.split('|').map(str::to_owned).collect();
    if let Some(first) = lines.first_mut().filter(|first| matches!(first.as_str(), "GET" | "POST")) {
        *first = line(first);
    }
    // Letters above ASCII stand for one byte each.
    let text = format!("{}\r\n\r\n", lines.join("\r\n"));
    text.chars().map(|letter| u8::try_from(letter).expect("a letter stands for one byte")).collect()
}

#[test]
fn no_head_of_the_table_passes_at_any_cut() {
    for (status, head) in REFUSED {
        let mut bytes = bytes(head);
        bytes.extend_from_slice(b"abcd");
        let (passed, refused) = requests(&bytes);
        assert_eq!(refused, Some(*status), "{head}");
        assert!(passed.is_empty(), "{head}: {}", passed.escape_ascii());
    }
}

#[test]
fn good_heads_pass_as_they_are() {
    for head in PASSED {
        let bytes = bytes(head);
        let (passed, refused) = requests(&bytes);
        assert_eq!((passed.escape_ascii().to_string(), refused), (bytes.escape_ascii().to_string(), None), "{head}");
    }
}

#[test]
fn lines_end_with_crlf_and_nothing_else() {
    for head in [
        "GET /x HTTP/1.1\nhost: gate\n\n",
        "GET /x HTTP/1.1\r\nhost: gate\n\r\n",
        "GET /x HTTP/1.1\r\nhost: gate\r\n\n",
        "GET /x HTTP/1.1\nhost: gate\r\n\r\n",
        "\nGET /x HTTP/1.1\r\nhost: gate\r\n\r\n",
    ] {
        assert_eq!(requests(head.as_bytes()), (Vec::new(), Some(400)), "{head:?}");
    }
    // An end of line of the oldest kind is none: the head never ends, and its deadline does.
    assert_eq!(requests(b"GET /x HTTP/1.1\rhost: gate\r\r"), (Vec::new(), None));
}

#[test]
fn a_head_has_its_bound_and_so_has_its_target() {
    let long = |path: usize, field: usize| {
        format!("GET /{} HTTP/1.1\r\nhost: gate\r\nx: {}\r\n\r\n", "p".repeat(path), "v".repeat(field)).into_bytes()
    };
    let rest = long(0, 0).len();
    for (bytes, status) in [
        (long(0, HEAD_BYTES - rest), None),
        (long(0, HEAD_BYTES - rest + 1), Some(431)),
        (long(HEAD_BYTES - rest, 0), None),
        (long(HEAD_BYTES, 0), Some(414)),
        (vec![b'x'; HEAD_BYTES - 1], None),
        (vec![b'x'; HEAD_BYTES], Some(414)),
    ] {
        assert_eq!(requests(&bytes).1, status, "{} bytes", bytes.len());
    }
    let many =
        |fields: usize| format!("GET /x HTTP/1.1\r\nhost: gate\r\n{}\r\n", "x:\r\n".repeat(fields - 1)).into_bytes();
    assert_eq!(requests(&many(front::FIELDS)).1, None);
    assert_eq!(requests(&many(front::FIELDS + 1)).1, Some(431));
    let mut wide = front::Requests::new(1 << 20);
    let seen = wide.look(&long(front::TARGET_BYTES, 0));
    assert_eq!(seen.refused.map(|refusal| refusal.status), Some(414));
}

#[test]
fn one_request_ends_where_the_next_begins() {
    let get = "GET /x HTTP/1.1\r\nhost: gate\r\n\r\n";
    let post = "POST /x HTTP/1.1\r\nhost: gate\r\ncontent-length: 4\r\n\r\n";
    let chunked = "POST /x HTTP/1.1\r\nhost: gate\r\ntransfer-encoding: chunked\r\n\r\n";
    let bad = "GET /x HTTP/1.1\r\n\r\n";
    for (good, behind) in [
        (get.to_owned(), bad),
        (format!("{post}abcd"), bad),
        (format!("{post}GET {get}{post}\r\n\r\n{get}"), bad),
        (format!("{chunked}3\r\nGET\r\n0\r\n\r\n{post}abcd"), bad),
        (format!("{chunked}0\r\nx: y\r\n\r\n{get}"), bad),
        // What is more than the length says is the next request.
        (format!("{post}abcd"), "efg\r\n"),
        (format!("{post}abcd"), "\u{0}\r\n"),
    ] {
        let (passed, refused) = requests(format!("{good}{behind}").as_bytes());
        assert_eq!((String::from_utf8(passed).unwrap(), refused), (good, Some(400)));
    }
}
