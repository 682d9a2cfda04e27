//! Before every route: is this host meant, may the caller come in, and can a web page not have sent it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::{
    Control,
    problem::{self, Problem},
    visitor::Visitor,
};

/// Bytes of a request's body.
const BODY_BYTES: usize = 64 << 10;
/// Time for a request's body: also who is known must not keep a place with half of one.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Answered without the token: what a supervisor asks.
const OPEN: [&str; 2] = ["/livez", "/readyz"];

/// Lets a request through to its route, and marks the answer. Who has not shown the token gets one, and no connection more.
pub(crate) async fn guard(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let visitor = request.extensions().get::<Visitor>().cloned();
    let mut response = match check(&control, &request) {
        Ok(()) => match whole(request).await {
            Ok(request) => as_problem(next.run(request).await),
            // What is left of the body is not waited for.
            Err(problem) => ([(header::CONNECTION, "close")], problem.into_response()).into_response(),
        },
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    if visitor.is_some_and(|visitor| !visitor.is_known()) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The request with all of its body.
async fn whole(request: Request) -> Result<Request, Problem> {
    let (head, body) = request.into_parts();
    let body = timeout(BODY_DEADLINE, Limited::new(body, BODY_BYTES).collect())
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "too_late", "the body did not come in time"))?;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too long")
        } else {
            Problem::bad_request("the body can't be read")
        }
    })?;
    Ok(Request::from_parts(head, Body::from(body.to_bytes())))
}

/// What the framework refuses by itself (an id that is no text) in the form of every other error.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let told = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == problem::CONTENT_TYPE);
    // What is not ready says so in words that supervisors know.
    let readiness = status == StatusCode::SERVICE_UNAVAILABLE;
    if told || readiness || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    Problem::new(status, "bad_request", "the request can't be read").into_response()
}

fn check(control: &Control, request: &Request) -> Result<(), Problem> {
    if !names_this_host(request.headers(), &control.hosts) {
        let detail = "the Host header names another host; names that this one goes by are set in [control] hosts";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", detail));
    }
    // With a query (`?verbose`) even the open routes tell more, so they want the token.
    let open = OPEN.contains(&request.uri().path()) && request.uri().query().is_none();
    let known = bearer(request.headers()).is_some_and(|presented| control.token.is(presented));
    if let Some(visitor) = request.extensions().get::<Visitor>().filter(|_| known) {
        visitor.come_in();
    }
    if !open && !known {
        let detail = "needs `authorization: Bearer …` with the token in <store>/admin.token";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail));
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes && !is_json(request.headers()) {
        let detail = "a request that changes something must be `content-type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    Ok(())
}

/// A page of another origin can only get here by a name that it controls; an address, `localhost` and the names that
/// the operator gave are not such names.
fn names_this_host(headers: &HeaderMap, names: &[String]) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Some(authority) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else { return false };
    let host = authority.host();
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || names.iter().any(|name| name.eq_ignore_ascii_case(host))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let media = value.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json")
}
