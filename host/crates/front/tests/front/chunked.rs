//! Bodies in chunks.

use front::{EXTENSION_BYTES, TRAILER_BYTES};

use crate::requests;

const HEAD: &str = "POST /x HTTP/1.1\r\nhost: gate\r\ntransfer-encoding: chunked\r\n\r\n";

fn body(body: &str) -> Option<u16> {
    let bytes: Vec<u8> = format!("{HEAD}{body}")
        .chars()
        .map(|letter| u8::try_from(letter).expect("a letter stands for one byte"))
        .collect();
    let (passed, refused) = requests(&bytes);
    if refused.is_none() {
        assert_eq!(passed, bytes, "{body:?}");
    }
    assert!(passed.starts_with(HEAD.as_bytes()));
    refused
}

#[test]
fn chunks_of_the_grammar_pass() {
    for good in [
        "0\r\n\r\n",
        "4\r\nabcd\r\n0\r\n\r\n",
        "4\r\n\r\n\r\n\r\n000\r\n\r\n",
        "0a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n",
        "A\r\n0123456789\r\n0\r\n\r\n",
        "7fffffffffffffff\r\nendless",
        "4;name\r\nabcd\r\n0;x=y;z=\"a \\\" b\\\\\u{e4}\"\r\n\r\n",
        "4 ; name = value ;b\r\nabcd\r\n0\r\n\r\n",
        "0\r\nx-checksum: abc\r\nother:\r\n\r\n",
    ] {
        assert_eq!(body(good), None, "{good:?}");
    }
}

#[test]
fn tricks_with_sizes_do_not_pass() {
    for bad in [
        "0x4\r\nabcd\r\n0\r\n\r\n",
        "0_4\r\nabcd\r\n0\r\n\r\n",
        "-0x0\r\n\r\n",
        "-4\r\nabcd\r\n",
        "+4\r\nabcd\r\n",
        " 4\r\nabcd\r\n",
        "\r\nabcd\r\n",
        ";x\r\n\r\n",
        "g\r\n",
        "4,\r\nabcd\r\n",
        "4\u{0}\r\nabcd\r\n",
        "4 \r\nabcd\r\n",
        "8000000000000000\r\n",
        "00000000000000004\r\nabcd\r\n",
        "10000000000000004\r\nabcd\r\n",
        "fffffffffffffffff\r\n",
    ] {
        assert_eq!(body(bad), Some(400), "{bad:?}");
    }
}

#[test]
fn lines_and_data_end_with_crlf_and_nothing_else() {
    for bad in [
        "4\nabcd\r\n0\r\n\r\n",
        "4\rabcd\r\n0\r\n\r\n",
        "4\r\nabcd\n0\r\n\r\n",
        "4\r\nabcd\r0\r\n\r\n",
        "4\r\nabcde\r\n0\r\n\r\n",
        "4\r\nabc\r\n0\r\n\r\n",
        "4\r\nabcd0\r\n\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\n\n",
    ] {
        assert_eq!(body(bad), Some(400), "{bad:?}");
    }
}

#[test]
fn hostile_extensions_do_not_pass() {
    for bad in [
        "4;\r\nabcd\r\n",
        "4;a\nb\r\nabcd\r\n",
        "4;a=\r\nabcd\r\n",
        "4;=b\r\nabcd\r\n",
        "4;a b\r\nabcd\r\n",
        "4;a=\"x\r\nabcd\r\n",
        "4;a=\"x\\\r\nabcd\r\n",
        "4;a=\"x\"y\r\nabcd\r\n",
        "4;a\u{0}\r\nabcd\r\n",
        "4;\u{e4}\r\nabcd\r\n",
        "4;a \r\nabcd\r\n",
        "4;a=b \r\nabcd\r\n",
    ] {
        assert_eq!(body(bad), Some(400), "{bad:?}");
    }
    // All of a body's extensions are counted together.
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(EXTENSION_BYTES / 2 - 2));
    assert_eq!(body(&format!("{chunk}{chunk}0\r\n\r\n")), None);
    assert_eq!(body(&format!("{chunk}{chunk}0;eee\r\n\r\n")), Some(400));
}

#[test]
fn trailers_are_fields_that_no_head_is_made_of() {
    for bad in [
        "0\r\ncontent-length: 4\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "0\r\nx: y\r\nHost: other\r\n\r\n",
        "0\r\nauthorization: Bearer x\r\n\r\n",
        "0\r\nx-api-key: x\r\n\r\n",
        "0\r\ncookie: x\r\n\r\n",
        "0\r\ncontent-type: text/html\r\n\r\n",
        "0\r\nx_y: z\r\n\r\n",
        "0\r\nx: y\r\n folded\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nx: \u{0}\r\n\r\n",
        "0\r\nGET /x HTTP/1.1\r\nhost: gate\r\n\r\n",
    ] {
        assert_eq!(body(bad), Some(400), "{bad:?}");
    }
    let trailer = |bytes: usize| format!("0\r\nx: {}\r\n\r\n", "y".repeat(bytes - "x: \r\n\r\n".len()));
    assert_eq!(body(&trailer(TRAILER_BYTES)), None);
    assert_eq!(body(&trailer(TRAILER_BYTES + 1)), Some(400));
    assert_eq!(body(&format!("0\r\n{}\r\n", "x:\r\n".repeat(front::FIELDS + 1))), Some(400));
}
