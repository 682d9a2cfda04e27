//! Requests built at random: good ones pass unchanged over any split, and of what is done to them the cut never decides.

use front::Requests;
use proptest::prelude::*;

use crate::{HEAD_BYTES, through};

fn request() -> impl Strategy<Value = Vec<u8>> {
    let fields = prop::collection::vec(("[a-zA-Z][a-zA-Z0-9-]{0,8}-x", "[ -~]{0,20}"), 0..4);
    let body = prop::collection::vec(any::<u8>(), 0..40);
    let chunks =
        prop::collection::vec((prop::collection::vec(any::<u8>(), 1..20), "(;[a-z]{1,4}(=[a-z]{1,4})?)?"), 0..4);
    let framing = prop_oneof![
        Just(("".to_owned(), Vec::new())),
        body.prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body)),
        (chunks, "(t-[a-z]{1,4}: [a-z]{0,4}\r\n)?").prop_map(|(chunks, trailers)| {
            let mut body = Vec::new();
            for (data, extension) in chunks {
                body.extend(format!("{:x}{extension}\r\n", data.len()).into_bytes());
                body.extend([data.as_slice(), b"\r\n"].concat());
            }
            body.extend(format!("0\r\n{trailers}\r\n").into_bytes());
            ("Transfer-Encoding: chunked\r\n".to_owned(), body)
        }),
    ];
    ("(GET|POST|PUT)", "/[a-z0-9/.%-]{0,12}(\\?[a-z=&]{0,8})?", fields, framing).prop_map(
        |(method, target, fields, (framing, body))| {
            let fields: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
            let head = format!("{method} {target} HTTP/1.1\r\nHost: gate\r\n{fields}{framing}\r\n");
            [head.into_bytes(), body].concat()
        },
    )
}

/// Cuts bytes at these places, taken modulo their number.
fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let (mut pieces, mut from) = (Vec::new(), 0);
    for place in places {
        pieces.push(&bytes[from..place]);
        from = place;
    }
    pieces.push(&bytes[from..]);
    pieces
}

fn run(pieces: &[&[u8]]) -> (Vec<u8>, Option<u16>) {
    let mut requests = Requests::new(HEAD_BYTES);
    through(|bytes| requests.look(bytes), pieces)
}

proptest! {
    #[test]
    fn good_requests_pass_unchanged_over_any_split(
        requests in prop::collection::vec(request(), 1..5),
        places in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let bytes = requests.concat();
        prop_assert_eq!(run(&cut(&bytes, &places)), (bytes, None));
    }

    #[test]
    fn the_split_does_not_decide(
        requests in prop::collection::vec(request(), 1..4),
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
        places in prop::collection::vec(any::<usize>(), 1..8),
    ) {
        let mut bytes = requests.concat();
        for (place, byte) in changes {
            let place = place % bytes.len();
            bytes[place] = byte;
        }
        let (whole, status) = run(&[&bytes]);
        let (passed, cut_status) = run(&cut(&bytes, &places));
        prop_assert_eq!(status, cut_status);
        // Of a body that is refused, some may have passed before that was seen.
        prop_assert!(status.is_some() || passed == whole);
        prop_assert!(passed.starts_with(&whole) && bytes.starts_with(&passed));
    }
}
