//! Every coding, whole and event by event; what is refused, and how it is called.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use bytes::BytesMut;
use coding::{Codings, Fault, Limits};
use support::{ALL, Pack, unpack, unpacked};

const EVENTS: [&[u8]; 4] = [
    b"data: {\"choices\":[{\"delta\":{\"content\":\"my ssn\"}}]}\n\n",
    b"data: {\"choices\":[{\"delta\":{\"content\":\" is 078-05\"}}]}\n\n",
    b"data: {\"choices\":[{\"delta\":{\"content\":\"-1120\"}}]}\n\n",
    b"data: [DONE]\n\n",
];

#[test]
fn a_flushed_event_comes_out_as_soon_as_it_is_in() {
    for pack in ALL {
        let packed = pack.flushed(&EVENTS);
        let mut decoder = Codings::parse([pack.name().as_bytes()]).unwrap().decoder(Limits::default()).unwrap();
        for (event, bytes) in EVENTS.iter().zip(&packed) {
            decoder.push(bytes);
            let mut out = BytesMut::new();
            decoder.pull(1 << 20, &mut out).unwrap();
            assert_eq!(out, event, "{pack:?}");
        }
        decoder.push(packed.last().unwrap());
        let mut out = BytesMut::new();
        decoder.pull(1 << 20, &mut out).unwrap();
        assert!(out.is_empty(), "{pack:?}");
        assert_eq!(decoder.finish(), Ok(()), "{pack:?}");
    }
}

#[test]
fn a_flushed_event_comes_out_of_two_codings_too() {
    for outer in ALL {
        for inner in ALL {
            let once = inner.flushed(&EVENTS);
            let once: Vec<&[u8]> = once.iter().map(Vec::as_slice).collect();
            let twice = outer.flushed(&once);
            let header = format!("{}, {}", inner.name(), outer.name());
            let mut decoder = Codings::parse([header.as_bytes()]).unwrap().decoder(Limits::default()).unwrap();
            for (event, bytes) in EVENTS.iter().zip(&twice) {
                decoder.push(bytes);
                let mut out = BytesMut::new();
                decoder.pull(1 << 20, &mut out).unwrap();
                assert_eq!(out, event, "{inner:?} in {outer:?}");
            }
        }
    }
}

#[test]
fn a_message_of_nothing_is_one() {
    for pack in ALL {
        assert_eq!(unpacked(pack.name(), &pack.whole(b"")), Ok(vec![]), "{pack:?}");
        assert_eq!(unpacked(pack.name(), b""), Ok(vec![]), "{pack:?}");
    }
}

#[test]
fn every_truncation_is_one() {
    let message = EVENTS.concat();
    for pack in ALL {
        let packed = pack.whole(&message);
        for length in 1..packed.len() {
            let got = unpacked(pack.name(), &packed[..length]);
            assert_eq!(got, Err(Fault::Truncated { coding: pack.name() }), "{pack:?} at {length}");
        }
    }
}

#[test]
fn what_stands_behind_the_end_is_refused() {
    for pack in ALL {
        for behind in [&b"x"[..], b"\0", b"HTTP/1.1 200 OK"] {
            let packed = [&pack.whole(b"hello")[..], behind].concat();
            let got = unpacked(pack.name(), &packed);
            // What begins no other frame of zstd is no frame, and one byte of one is a frame that broke off.
            assert!(got.is_err(), "{pack:?} {behind:?}: {got:?}");
            if pack != Pack::Zstd {
                assert_eq!(got, Err(Fault::Trailing { coding: pack.name() }), "{pack:?}");
            }
        }
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for pack in [Pack::Gzip, Pack::Zstd] {
        let two = [pack.whole(b"one "), pack.whole(b""), pack.whole(b"two")].concat();
        assert_eq!(unpacked(pack.name(), &two), Ok(b"one two".to_vec()), "{pack:?}");
        let many = pack.whole(b"").repeat(2000);
        assert!(matches!(unpacked(pack.name(), &many), Err(Fault::Damaged { .. })), "{pack:?}: they are bounded");
    }
}

#[test]
fn a_wrong_checksum_is_told() {
    for (pack, from_end) in [(Pack::Gzip, 8), (Pack::Gzip, 1), (Pack::Zlib, 1), (Pack::Zstd, 1)] {
        let mut packed = pack.whole(b"a message with a checksum");
        let at = packed.len() - from_end;
        packed[at] ^= 1;
        let got = unpacked(pack.name(), &packed);
        assert!(matches!(got, Err(Fault::Damaged { .. })), "{pack:?}, {from_end} from the end: {got:?}");
    }
}

#[test]
fn a_lie_about_the_coding_is_told() {
    for pack in ALL {
        for name in ["gzip", "deflate", "br", "zstd"].into_iter().filter(|name| *name != pack.name()) {
            let packed = pack.whole(&EVENTS.concat());
            assert!(unpacked(name, &packed).is_err(), "{pack:?} said to be {name}");
        }
        let plain = unpacked(pack.name(), br#"{"choices":[]}"#);
        assert!(plain.is_err(), "plain text said to be {pack:?}");
    }
}

#[test]
fn a_bomb_is_told_before_it_is_unpacked() {
    let zeros = vec![0; 64 << 20];
    for pack in ALL {
        let packed = pack.whole(&zeros);
        let got = unpack(pack.name(), &[&packed], Limits::default(), 1 << 20);
        assert_eq!(got, Err(Fault::TooLarge { bound: "decode_ratio", limit: 200 }), "{pack:?}");
        let free = Limits { decode_ratio: 1 << 20, decode_bytes: 2 << 20, ..Limits::default() };
        let got = unpack(pack.name(), &[&packed], free, 1 << 20);
        assert_eq!(got, Err(Fault::TooLarge { bound: "decode_bytes", limit: 2 << 20 }), "{pack:?}");
    }
}

#[test]
fn a_bomb_inside_a_bomb_is_one() {
    for outer in ALL {
        let packed = outer.whole(&Pack::Gzip.whole(&vec![0; 32 << 20]));
        let header = format!("gzip, {}", outer.name());
        let got = unpack(&header, &[&packed], Limits::default(), 1 << 20);
        assert!(matches!(got, Err(Fault::TooLarge { .. })), "{outer:?}: {got:?}");
    }
    // The middle swells, and the end is small: a frame of zstd that says nothing, behind megabytes that are skipped.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18][..], &(32_u32 << 20).to_le_bytes(), &vec![0; 32 << 20]].concat();
    let packed = Pack::Gzip.whole(&skipped);
    let got = unpack("zstd, gzip", &[&packed], Limits::default(), 1 << 20);
    assert_eq!(got, Err(Fault::TooLarge { bound: "decode_ratio", limit: 200 }));
}

#[test]
fn a_large_window_is_refused() {
    // Frame header: no single segment, no checksum; the window's exponent is 14 (16 MiB), then one raw last block.
    let frame = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3, 0x09, 0, 0, b'x'];
    assert_eq!(unpacked("zstd", &frame(13)), Ok(b"x".to_vec()));
    assert_eq!(unpacked("zstd", &frame(14)), Err(Fault::TooLarge { bound: "zstd_window", limit: 8 << 20 }));
    let small = Limits { zstd_window: 1 << 20, ..Limits::default() };
    assert_eq!(unpack("zstd", &[&frame(11)], small, 64), Err(Fault::TooLarge { bound: "zstd_window", limit: 1 << 20 }));
    // A "large window" stream of brotli: the reserved pattern, then 30 bits of window.
    let large = brotli_with_large_window();
    assert!(matches!(unpacked("br", &large), Err(Fault::Damaged { .. })));
}

fn brotli_with_large_window() -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { large_window: true, lgwin: 26, ..Default::default() };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &EVENTS.concat()[..], &mut packed, &params).unwrap();
    packed
}

#[test]
fn bare_and_wrapped_deflate_are_told_apart() {
    for level in 0..=9 {
        let level = flate2::Compression::new(level);
        for message in [&b""[..], b"x", b"aaaaaaaaaaaaaaaa", &EVENTS.concat()] {
            use std::io::Write;
            let mut wrapped = flate2::write::ZlibEncoder::new(Vec::new(), level);
            wrapped.write_all(message).unwrap();
            assert_eq!(unpacked("deflate", &wrapped.finish().unwrap()), Ok(message.to_vec()));
            let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), level);
            bare.write_all(message).unwrap();
            assert_eq!(unpacked("deflate", &bare.finish().unwrap()), Ok(message.to_vec()));
        }
    }
}
