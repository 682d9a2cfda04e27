//! What the listener refuses by itself, before there is an exchange, as it goes out. What is said is the path's.

use std::net::IpAddr;

use bytes::Bytes;
use exchange::{
    Gate,
    refuse::{Stop, at_the_door},
};
use front::Refusal;
use http::{Response, StatusCode};

/// The whole answer to bytes of which no request was taken: nobody knows what they are for.
pub(super) fn bytes(gate: &Gate, address: IpAddr, refusal: Refusal) -> Vec<u8> {
    let Refusal { status, why, place: _ } = refusal;
    let stop = if status == StatusCode::REQUEST_TIMEOUT { Stop::HeadTooLate } else { Stop::Unread { status, why } };
    written(&at_the_door(gate, address, None, &stop))
}

/// The answer to a request for which there is no place, in the form of the connection that its path leads to.
pub(super) fn too_many(gate: &Gate, address: IpAddr, path: &str) -> Response<Bytes> {
    at_the_door(gate, address, Some(path), &Stop::TooMany)
}

/// An answer as it is written; the connection's last.
fn written(answer: &Response<Bytes>) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {}\r\n", answer.status()).into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend_from_slice(b"connection: close\r\n\r\n");
    bytes.extend_from_slice(answer.body());
    bytes
}
