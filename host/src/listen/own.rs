//! Requests to the gate itself, which no connection gets: read whole, within their bounds, and answered by whom they are
//! for.
//!
//! What must hold: a path is compared in the same canonical form as for connections, and its head passes the same checks;
//! what asks the gate itself never reaches an upstream.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use identity::{Oauth, Peer, Signals};

/// All that is asked of the gate itself on the data listener.
#[derive(Clone, Default)]
pub(crate) struct Own {
    /// The token endpoint, where there is one.
    pub(crate) oauth: Option<Arc<Oauth>>,
    /// The receiver of what issuers report, where one may.
    pub(crate) signals: Option<Arc<Signals>>,
}

impl Own {
    /// The canonical target of a request that is for the gate itself; none for every other.
    pub(super) fn target(&self, parts: &Parts) -> Option<Uri> {
        let (oauth, signals) = (self.oauth.is_some(), self.signals.is_some());
        exchange::own_target(parts, |path| (oauth && Oauth::serves(path)) || (signals && Signals::serves(path)))
    }

    /// Answers a request whose [`target`](Self::target) is in place.
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: Peer, patience: Duration) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let for_signals = Signals::serves(parts.uri.path());
        let limit = if for_signals { Signals::BODY_BYTES } else { Oauth::BODY_BYTES };
        let request = match whole(&parts, body, limit, patience).await {
            Ok(body) => Request::from_parts(parts, body),
            Err(status) => return refused(status),
        };
        match (for_signals, &self.signals, &self.oauth) {
            (true, Some(signals), _) => signals.answer(request).await,
            (false, _, Some(oauth)) => oauth.answer(request, peer).await,
            _ => refused(StatusCode::NOT_FOUND),
        }
    }
}

/// The whole body, in this time; of a form nothing less counts.
async fn whole(parts: &Parts, body: Incoming, limit: usize, patience: Duration) -> Result<Bytes, StatusCode> {
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    match tokio::time::timeout(patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_broken_off)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// A refusal with nothing to say but its status; the rest of the request is not read any more.
fn refused(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}
