//! Content codings. An input's first byte says what is done with the rest: even, it is coded bytes, which the codings it
//! names undo, or refuse; odd, it is a message, which other libraries code and the codings give back.

use std::io::Write as _;

use bytes::BytesMut;
use coding::{Codings, Fault, Limits, MOST_CODINGS};
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use crate::mutate::Dice;

/// Small enough that a short input can be a bomb.
const LIMITS: Limits = Limits { zstd_window: 1 << 20, decode_ratio: 200, decode_bytes: 3 << 20 };

const NAMES: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// See above.
pub(crate) fn run(input: &[u8]) {
    let Some((&how, rest)) = input.split_first() else { return };
    let mut how = usize::from(how);
    let coded = how % 2 == 0;
    how /= 2;
    let count = how % MOST_CODINGS + 1;
    how /= MOST_CODINGS;
    let mut chosen = Vec::new();
    for _ in 0..count {
        chosen.push(how % NAMES.len());
        how /= 2;
    }
    if coded {
        let header: Vec<&str> = chosen.iter().map(|place| NAMES[*place]).collect();
        let _result = same_at_every_cut(&header.join(", "), rest);
    } else {
        there_and_back(&chosen, rest);
    }
}

/// What comes out, or why nothing does: the same for every way in which the network cuts it.
fn same_at_every_cut(header: &str, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let whole = undone(header, bytes, &[], 64 << 10);
    let mut dice = Dice::of(bytes);
    for _ in 0..3 {
        let room = 1 + dice.below(9000);
        let cut = undone(header, bytes, &dice.cuts(bytes.len(), 8), room);
        match (&whole, &cut) {
            (Ok(whole), Ok(cut)) => assert!(whole == cut, "{header}: what comes out depends on the cuts"),
            (Err(_), Err(_)) => {}
            _ => panic!("{header}: whole {:?}, cut {:?}", whole.as_ref().err(), cut.as_ref().err()),
        }
    }
    whole
}

fn undone(header: &str, bytes: &[u8], cuts: &[usize], room: usize) -> Result<Vec<u8>, Fault> {
    let codings = Codings::parse([header.as_bytes()]).expect("the names are known");
    let mut decoder = codings.decoder(LIMITS).expect("some coding is named");
    let (mut all, mut from) = (Vec::new(), 0);
    for &cut in cuts.iter().chain([&bytes.len()]) {
        decoder.push(&bytes[from..cut]);
        from = cut;
        loop {
            let mut out = BytesMut::new();
            decoder.pull(room, &mut out)?;
            assert!(out.len() <= room, "no more comes than there is room for");
            if out.is_empty() {
                break;
            }
            all.extend_from_slice(&out);
            assert!(all.len() <= LIMITS.decode_bytes, "no more comes than may");
        }
    }
    decoder.finish()?;
    Ok(all)
}

fn there_and_back(chosen: &[usize], message: &[u8]) {
    let mut coded = message.to_vec();
    let mut header = Vec::new();
    // Nothing here writes zstd: both ways of it are tested in the crate `coding`.
    for place in chosen {
        let (name, bytes) = packed(*place, &coded);
        (coded, header) = (bytes, [header, vec![name]].concat());
    }
    let header = header.join(", ");
    let back = same_at_every_cut(&header, &coded).unwrap_or_else(|fault| panic!("{header}: {fault}"));
    assert!(back == message, "{header}: not what was coded");
    // A message that broke off is never a shorter one.
    if !coded.is_empty() {
        let cut = Dice::of(message).below(coded.len());
        let short = same_at_every_cut(&header, &coded[..cut]);
        assert!(short.is_err() || cut == 0, "{header}: whole though cut at {cut} of {}", coded.len());
    }
}

fn packed(place: usize, bytes: &[u8]) -> (&'static str, Vec<u8>) {
    const SAYS: &str = "memory can be written to";
    match place {
        0 => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).expect(SAYS);
            ("gzip", encoder.finish().expect(SAYS))
        }
        1 => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).expect(SAYS);
            ("deflate", encoder.finish().expect(SAYS))
        }
        2 => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 2, 16);
            encoder.write_all(bytes).expect(SAYS);
            ("br", encoder.into_inner())
        }
        _ => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).expect(SAYS);
            ("deflate", encoder.finish().expect(SAYS))
        }
    }
}
