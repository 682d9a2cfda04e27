//! Messages packed by other programs than the libraries under test: zlib by way of Python, Node, and the zstd command.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use coding::Fault;
use support::unpacked;

const MESSAGE: &[u8] = b"data: {\"content\":\"my ssn is 078-05-1120\"}\n\n";

/// The compressed data of the message, as zlib's level 9 makes it.
const DEFLATED: &str = "4b492c49b452a8564acecf2b49cd2b51b252caad54282ece53c82c563030b7d03530d53534343250aae5e20200";

/// Its CRC-32 and its length.
const GZIP_END: &str = "667e2d012b000000";

fn bytes(hex: &[&str]) -> Vec<u8> {
    let hex = hex.concat();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn damaged(got: &Result<Vec<u8>, Fault>) -> bool {
    matches!(got, Err(Fault::Damaged { .. }))
}

#[test]
fn gzip_headers_with_all_that_they_may_hold() {
    // FHCRC, FEXTRA, FNAME and FCOMMENT.
    let all = "1f8b081e00000000020306006162020078796e616d652e6a736f6e006120636f6d6d656e7400e4f0";
    assert_eq!(unpacked("gzip", &bytes(&[all, DEFLATED, GZIP_END])), Ok(MESSAGE.to_vec()));
    // FTEXT, which says nothing.
    assert_eq!(unpacked("gzip", &bytes(&["1f8b0801000000000203", DEFLATED, GZIP_END])), Ok(MESSAGE.to_vec()));
    // A reserved flag; a wrong header checksum; another method than deflate.
    for header in ["1f8b0820000000000203", "1f8b080200000000020324 15", "1f8b0700000000000203"] {
        let got = unpacked("gzip", &bytes(&[&header.replace(' ', ""), DEFLATED, GZIP_END]));
        assert!(damaged(&got), "{header}: {got:?}");
    }
    // The right data with another's length.
    assert!(damaged(&unpacked("gzip", &bytes(&["1f8b0800000000000203", DEFLATED, "667e2d012c000000"]))));
}

#[test]
fn deflate_with_other_windows_and_with_a_dictionary() {
    let end = "33130c56";
    for header in ["18d3", "78da"] {
        assert_eq!(unpacked("deflate", &bytes(&[header, DEFLATED, end])), Ok(MESSAGE.to_vec()), "{header}");
    }
    assert_eq!(unpacked("deflate", &bytes(&[DEFLATED])), Ok(MESSAGE.to_vec()));
    // Nobody agreed on a dictionary.
    let preset = "78f93c31060b4bc110c9ad54282ece53c82c563030b7d03530d53534343250aae5e2020033130c56";
    assert!(damaged(&unpacked("deflate", &bytes(&[preset]))));
}

#[test]
fn brotli_with_windows_that_the_coding_has() {
    let body = "80646174613a207b22636f6e74656e74223a226d792073736e206973203037382d30352d31313230227d0a0a03";
    for header in ["0b15", "0f15"] {
        assert_eq!(unpacked("br", &bytes(&[header, body])), Ok(MESSAGE.to_vec()), "{header}");
    }
    let large = "111c540002646174613a207b22636f6e74656e74223a226d792073736e206973203037382d30352d31313230227d0a0a03";
    assert!(damaged(&unpacked("br", &bytes(&[large]))), "a large window is no content coding");
}

#[test]
fn zstd_with_windows_that_the_coding_has() {
    let body = "590100646174613a207b22636f6e74656e74223a226d792073736e206973203037382d30352d31313230227d0a0aa02ecb3f";
    assert_eq!(unpacked("zstd", &bytes(&["28b52ffd242b", body])), Ok(MESSAGE.to_vec()));
    // `--long=24`: 16 MiB.
    let got = unpacked("zstd", &bytes(&["28b52ffd0470", body]));
    assert_eq!(got, Err(Fault::TooLarge { bound: "zstd_window", limit: 8 << 20 }));
    // A frame that is skipped, then one that is not.
    let skipped = "5e2a4d1803000000616263";
    assert_eq!(unpacked("zstd", &bytes(&[skipped, "28b52ffd242b", body])), Ok(MESSAGE.to_vec()));
    // It wants dictionary 1; it is of a format before 1.0; its block is of a reserved type.
    for frame in ["28b52ffd2501002b590100", "27b52ffd242b590100", "28b52ffd242b070000"] {
        let got = unpacked("zstd", &bytes(&[frame]));
        assert!(got.is_err(), "{frame}: {got:?}");
    }
}
