//! What the listener refuses by itself, before there is an exchange: in a form that the caller's SDK reads, and told to
//! those who watch.

use std::{fmt::Write as _, net::IpAddr};

use bytes::Bytes;
use exchange::{Gate, ports::TurnedAway};
use front::Refusal;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use model::{ExchangeId, Family};
use wire::{Answer, Complaint, spokesman};

/// What is refused, and how the caller is told.
struct Told {
    id: ExchangeId,
    answer: Answer,
    retry: bool,
}

impl Told {
    fn new(family: Family, status: u16, code: &str, message: &str, retry: bool) -> Self {
        let id = ExchangeId::new();
        let complaint = Complaint {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: id.to_string(),
            policy: String::new(),
            replies: Vec::new(),
        };
        Self { id, answer: spokesman(family).complaint(&complaint), retry }
    }

    /// Its headers.
    fn headers(&self) -> [(HeaderName, String); 6] {
        [
            (header::CONTENT_TYPE, self.answer.content_type.to_owned()),
            (header::CONTENT_LENGTH, self.answer.body.len().to_string()),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (HeaderName::from_static("x-should-retry"), self.retry.to_string()),
            (HeaderName::from_static("x-request-id"), self.id.to_string()),
            (HeaderName::from_static("request-id"), self.id.to_string()),
        ]
    }
}

/// The whole answer to bytes of which no request was taken. Nobody knows what they are for, so OpenAI's form is what most
/// can read.
pub(super) fn bytes(gate: &Gate, address: IpAddr, refusal: Refusal) -> Vec<u8> {
    let code = if refusal.status == StatusCode::REQUEST_TIMEOUT { "head_too_late" } else { "bad_head" };
    gate.recorder.turned_away(&TurnedAway { code, address: Some(address), ..TurnedAway::default() });
    let late = refusal.status == StatusCode::REQUEST_TIMEOUT;
    let told = Told::new(Family::Openai, refusal.status, code, refusal.why, late);
    let status = StatusCode::from_u16(told.answer.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in told.headers() {
        let _writing_to_a_string_never_fails = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("connection: close\r\n\r\n");
    [head.into_bytes(), told.answer.body].concat()
}

/// The answer to a request for which there is no place, in the form of the connection that its path leads to.
pub(super) fn too_many(gate: &Gate, address: IpAddr, path: &str) -> Response<Bytes> {
    const CODE: &str = "too_many_exchanges";
    gate.recorder.turned_away(&TurnedAway { code: CODE, address: Some(address), ..TurnedAway::default() });
    // Only the form depends on it, so the path as it came is good enough.
    let connection = gate.connections.iter().find(|connection| path.starts_with(&connection.path_prefix));
    let family = connection.map_or(Family::Openai, |connection| connection.family);
    let told = Told::new(family, 503, CODE, "too many exchanges at once: try again in a moment", true);
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    for (name, value) in told.headers() {
        headers.insert(name, HeaderValue::try_from(value).expect("ids, numbers and types make header values"));
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    *response.body_mut() = Bytes::from(told.answer.body);
    response
}
