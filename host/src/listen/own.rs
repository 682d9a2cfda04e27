//! Requests to the gate itself, which no connection gets: read whole, within their bounds, and answered by whom they are
//! for.
//!
//! What must hold: a path is compared in the same canonical form as for connections, and its head passes the same checks;
//! what asks the gate itself never reaches an upstream; those who send slowly take a share of the places and no more.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use identity::{Oauth, Peer, Signals};
use tokio::{sync::Semaphore, time::timeout};

/// Time in which a body needs no place among the slow ones: who sends a form in one piece finds the way in whatever
/// others leave half-sent.
const AT_ONCE: Duration = Duration::from_millis(250);

/// How long a body is waited for, and where.
#[derive(Clone, Copy)]
pub(super) struct Patience<'p> {
    /// For the whole of it.
    pub(super) time: Duration,
    /// Places for those that do not come at once.
    pub(super) places: &'p Semaphore,
}

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
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        patience: Patience<'_>,
    ) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let for_signals = Signals::serves(parts.uri.path());
        let limit = if for_signals { Signals::BODY_BYTES } else { Oauth::BODY_BYTES };
        let request = match whole(&parts, body, limit, patience).await {
            Ok(body) => Request::from_parts(parts, body),
            Err(status) => return refused(status),
        };
        let mut answer = match (for_signals, &self.signals, &self.oauth) {
            (true, Some(signals), _) => signals.answer(request).await,
            (false, _, Some(oauth)) => oauth.answer(request, peer).await,
            _ => refused(StatusCode::NOT_FOUND),
        };
        if answer.status().is_client_error() || answer.status().is_server_error() {
            // Whoever proved nothing keeps no connection either.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// The whole body, in this time; of a form nothing less counts.
async fn whole(parts: &Parts, body: Incoming, limit: usize, patience: Patience<'_>) -> Result<Bytes, StatusCode> {
    if parts.headers.contains_key(header::CONTENT_ENCODING) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let mut body = pin!(Limited::new(body, limit).collect());
    let read = match timeout(AT_ONCE, body.as_mut()).await {
        Ok(read) => read,
        Err(_) => {
            let _place = patience.places.try_acquire().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
            timeout(patience.time, body).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        }
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(_broken_off) => Err(StatusCode::BAD_REQUEST),
    }
}

/// A refusal with nothing to say but its status; the rest of the request is not read any more.
fn refused(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
