//! What packs the messages of these tests.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

use std::io::Write;

use bytes::BytesMut;
use coding::{Codings, Fault, Limits};
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// How a test packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pack {
    Gzip,
    Zlib,
    RawDeflate,
    Br,
    Zstd,
}

pub(crate) const ALL: [Pack; 5] = [Pack::Gzip, Pack::Zlib, Pack::RawDeflate, Pack::Br, Pack::Zstd];

impl Pack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib | Self::RawDeflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Packs each piece so that it can be read before the next one; the last element ends the stream.
    pub(crate) fn flushed(self, pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        match self {
            Self::Gzip => each(GzEncoder::new(Vec::new(), Compression::default()), pieces, GzEncoder::get_mut, |e| {
                e.finish().unwrap()
            }),
            Self::Zlib => {
                each(ZlibEncoder::new(Vec::new(), Compression::default()), pieces, ZlibEncoder::get_mut, |e| {
                    e.finish().unwrap()
                })
            }
            Self::RawDeflate => {
                each(DeflateEncoder::new(Vec::new(), Compression::default()), pieces, DeflateEncoder::get_mut, |e| {
                    e.finish().unwrap()
                })
            }
            Self::Br => each(
                brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20),
                pieces,
                brotli::CompressorWriter::get_mut,
                brotli::CompressorWriter::into_inner,
            ),
            Self::Zstd => zstd(pieces),
        }
    }

    /// Packs a message.
    pub(crate) fn whole(self, message: &[u8]) -> Vec<u8> {
        self.flushed(&[message]).concat()
    }
}

fn each<E: Write>(
    encoder: E,
    pieces: &[&[u8]],
    out: fn(&mut E) -> &mut Vec<u8>,
    finish: fn(E) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut encoder = encoder;
    let mut made = Vec::new();
    for piece in pieces {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        made.push(std::mem::take(out(&mut encoder)));
    }
    made.push(finish(encoder));
    made
}

fn zstd(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    let mut made = Vec::new();
    for piece in pieces {
        let mut out = vec![0; zstd_safe::compress_bound(piece.len()) + 64];
        let mut into = OutBuffer::around(&mut out[..]);
        let mut from = InBuffer::around(piece);
        while from.pos < piece.len() {
            context.compress_stream(&mut into, &mut from).unwrap();
        }
        assert_eq!(context.flush_stream(&mut into).unwrap(), 0);
        let length = into.pos();
        out.truncate(length);
        made.push(out);
    }
    let mut out = vec![0; 64];
    let mut into = OutBuffer::around(&mut out[..]);
    assert_eq!(context.end_stream(&mut into).unwrap(), 0);
    let length = into.pos();
    out.truncate(length);
    made.push(out);
    made
}

/// Undoes codings, given the pieces that the network makes; pulls `room` bytes at a time.
pub(crate) fn unpack(header: &str, pieces: &[&[u8]], limits: Limits, room: usize) -> Result<Vec<u8>, Fault> {
    let mut decoder = Codings::parse([header.as_bytes()]).unwrap().decoder(limits).unwrap();
    let mut all = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            let mut out = BytesMut::new();
            decoder.pull(room, &mut out)?;
            assert!(out.len() <= room);
            if out.is_empty() {
                break;
            }
            all.extend_from_slice(&out);
        }
    }
    decoder.finish()?;
    Ok(all)
}

/// Undoes codings of a message that comes in one piece.
pub(crate) fn unpacked(header: &str, message: &[u8]) -> Result<Vec<u8>, Fault> {
    unpack(header, &[message], Limits::default(), 4096)
}

/// Cuts a message.
pub(crate) fn cut<'m>(message: &'m [u8], cuts: &[usize]) -> Vec<&'m [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (message.len() + 1)).collect();
    cuts.extend([0, message.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &message[pair[0]..pair[1]]).collect()
}
