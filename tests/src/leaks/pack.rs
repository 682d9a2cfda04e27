//! Content encodings of an answer: how a body is packed, each piece so that it can be read before the next one, or all of
//! it at once.

use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

/// One coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// RFC 1952.
    Gzip,
    /// `deflate` as RFC 9110 has it: RFC 1950.
    Zlib,
    /// `deflate` as some servers have it: RFC 1951.
    Raw,
    /// RFC 7932.
    Br,
    /// RFC 8878.
    Zstd,
}

/// Every encoding of a body: codings in the order in which they are applied.
pub(super) const ENCODINGS: [&[Coding]; 9] = [
    &[],
    &[Coding::Gzip],
    &[Coding::Zlib],
    &[Coding::Raw],
    &[Coding::Br],
    &[Coding::Zstd],
    &[Coding::Gzip, Coding::Br],
    &[Coding::Zstd, Coding::Gzip],
    &[Coding::Br, Coding::Zlib, Coding::Zstd],
];

/// What `content-encoding` says; empty when there is nothing to say.
#[must_use]
pub(super) fn named(codings: &[Coding]) -> String {
    codings.iter().map(|coding| coding.name()).collect::<Vec<_>>().join(", ")
}

/// Packs pieces; with `flush` each comes out for itself, otherwise all at the end.
#[must_use]
pub(super) fn pack(codings: &[Coding], pieces: Vec<Vec<u8>>, flush: bool) -> Vec<Vec<u8>> {
    let mut pieces = pieces;
    for coding in codings {
        pieces = coding.pack(&pieces, flush);
        pieces.retain(|piece| !piece.is_empty());
    }
    pieces
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib | Self::Raw => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }

    fn pack(self, pieces: &[Vec<u8>], flush: bool) -> Vec<Vec<u8>> {
        let level = Compression::fast();
        let never = "memory takes what is written";
        match self {
            Self::Gzip => {
                let finish = |encoder: GzEncoder<Vec<u8>>| encoder.finish().expect(never);
                each(GzEncoder::new(Vec::new(), level), pieces, flush, GzEncoder::get_mut, finish)
            }
            Self::Zlib => {
                let finish = |encoder: ZlibEncoder<Vec<u8>>| encoder.finish().expect(never);
                each(ZlibEncoder::new(Vec::new(), level), pieces, flush, ZlibEncoder::get_mut, finish)
            }
            Self::Raw => {
                let finish = |encoder: DeflateEncoder<Vec<u8>>| encoder.finish().expect(never);
                each(DeflateEncoder::new(Vec::new(), level), pieces, flush, DeflateEncoder::get_mut, finish)
            }
            Self::Br => {
                let encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 16);
                let finish = brotli::CompressorWriter::into_inner;
                each(encoder, pieces, flush, brotli::CompressorWriter::get_mut, finish)
            }
            Self::Zstd => zstd(pieces, flush),
        }
    }
}

fn each<E: Write>(
    mut encoder: E,
    pieces: &[Vec<u8>],
    flush: bool,
    out: fn(&mut E) -> &mut Vec<u8>,
    finish: impl Fn(E) -> Vec<u8>,
) -> Vec<Vec<u8>> {
    let mut made = Vec::with_capacity(pieces.len() + 1);
    for piece in pieces {
        encoder.write_all(piece).expect("memory takes what is written");
        if flush {
            encoder.flush().expect("memory takes what is written");
            made.push(std::mem::take(out(&mut encoder)));
        }
    }
    made.push(finish(encoder));
    made
}

fn zstd(pieces: &[Vec<u8>], flush: bool) -> Vec<Vec<u8>> {
    let mut context = CCtx::create();
    for parameter in [CParameter::CompressionLevel(1), CParameter::WindowLog(17)] {
        context.set_parameter(parameter).expect("zstd knows it");
    }
    // Enough for all of it: what is not flushed comes out with a later piece.
    let mut out = vec![0; zstd_safe::compress_bound(pieces.iter().map(Vec::len).sum()) + 32 * (pieces.len() + 1)];
    let mut made = Vec::with_capacity(pieces.len());
    for (at, piece) in pieces.iter().enumerate() {
        let mut into = OutBuffer::around(&mut out[..]);
        let mut from = InBuffer::around(piece);
        while from.pos < piece.len() {
            context.compress_stream(&mut into, &mut from).expect("there is room");
        }
        if at + 1 == pieces.len() {
            assert_eq!(context.end_stream(&mut into), Ok(0), "there is room");
        } else if flush {
            assert_eq!(context.flush_stream(&mut into), Ok(0), "there is room");
        }
        made.push(into.as_slice().to_vec());
    }
    made
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};

    use super::*;

    fn unpacked(coding: Coding, packed: &[u8], length: usize) -> Vec<u8> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => GzDecoder::new(packed).read_to_end(&mut out).map(|_| ()),
            Coding::Zlib => ZlibDecoder::new(packed).read_to_end(&mut out).map(|_| ()),
            Coding::Raw => DeflateDecoder::new(packed).read_to_end(&mut out).map(|_| ()),
            Coding::Br => brotli::BrotliDecompress(&mut &packed[..], &mut out),
            Coding::Zstd => {
                out.resize(length, 0);
                assert_eq!(zstd_safe::decompress(&mut out[..], packed), Ok(length));
                Ok(())
            }
        }
        .unwrap();
        out
    }

    #[test]
    fn what_is_packed_is_the_body() {
        let pieces: Vec<Vec<u8>> = (0..9_u8).map(|at| vec![b'a' + at; 40 * usize::from(at) + 1]).collect();
        let body = pieces.concat();
        for coding in [Coding::Gzip, Coding::Zlib, Coding::Raw, Coding::Br, Coding::Zstd] {
            for flush in [false, true] {
                let packed = pack(&[coding], pieces.clone(), flush);
                assert_eq!(packed.len() > 1, flush, "{coding:?}");
                assert_eq!(unpacked(coding, &packed.concat(), body.len()), body, "{coding:?}");
            }
        }
        assert_eq!(named(ENCODINGS[8]), "br, deflate, zstd");
        assert_eq!(pack(&[], pieces.clone(), true), pieces);
    }
}
