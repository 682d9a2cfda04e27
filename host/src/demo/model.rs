//! The built-in model's HTTP side: accepts connections, routes, and speaks at the pace it is told.

use std::{
    convert::Infallible,
    io,
    num::NonZeroU32,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    answer::Answer,
    ask::{Ask, Complaint, MODELS},
    speech::{self, Stamp},
};

/// Largest request body, in bytes.
const BODY_BYTES: usize = 8 << 20;
/// Wait after a failed accept (no file descriptors left), so that it is not tried in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How fast the model speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    between: Duration,
}

impl Pace {
    /// As fast as it can be written.
    pub(crate) const UNLIMITED: Self = Self { between: Duration::ZERO };

    /// This many tokens a second.
    pub(crate) fn tokens_per_second(tokens: NonZeroU32) -> Self {
        Self { between: Duration::from_secs(1) / tokens.get() }
    }

    /// How long this many tokens take.
    fn of(self, tokens: usize) -> Duration {
        self.between.saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX))
    }
}

impl FromStr for Pace {
    type Err = &'static str;

    /// `20` (tokens a second), or `unlimited`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unlimited" {
            return Ok(Self::UNLIMITED);
        }
        text.parse().map(Self::tokens_per_second).map_err(|_| "a pace is a number of tokens a second, or `unlimited`")
    }
}

/// Serves the model until `shutdown` is cancelled; connections that are open then are dropped.
///
/// # Errors
/// None today: a failed accept is tried again. The type leaves room for listeners that can be lost.
pub(crate) async fn serve(listener: TcpListener, pace: Pace, shutdown: CancellationToken) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, pace)); }
                Err(error) => {
                    tracing::warn!(%error, "the built-in model can't accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn converse(stream: TcpStream, pace: Pace) {
    // Each token is one small write; Nagle's algorithm would hold it back.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| async move { Ok::<_, Infallible>(route(request, pace).await) });
    let connection = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the built-in model broke");
    }
}

async fn route(request: Request<Incoming>, pace: Pace) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let answer = match (path.as_str(), &method) {
        ("/v1/chat/completions", &Method::POST) => complete(request.into_body(), pace).await,
        ("/v1/models", &Method::GET) => Ok(json(StatusCode::OK, speech::models(&MODELS))),
        ("/v1/chat/completions" | "/v1/models", _) => Err(not_here(405, format!("{method} is not allowed here"))),
        (path, &Method::GET) if path.starts_with("/v1/models/") => model(&path["/v1/models/".len()..]),
        _ => Err(not_here(404, format!("Unknown request URL: {method} {path}."))),
    };
    answer.unwrap_or_else(|complaint| {
        let status = StatusCode::from_u16(complaint.status).unwrap_or(StatusCode::BAD_REQUEST);
        json(status, speech::complaint(&complaint))
    })
}

fn model(name: &str) -> Result<Response<Body>, Complaint> {
    let known = MODELS.into_iter().find(|known| *known == name);
    let name = known.ok_or_else(|| not_here(404, format!("The model `{name}` does not exist.")))?;
    Ok(json(StatusCode::OK, speech::model(name).to_string().into_bytes()))
}

async fn complete(body: Incoming, pace: Pace) -> Result<Response<Body>, Complaint> {
    let body = Limited::new(body, BODY_BYTES).collect().await.map_err(|error| {
        let large = error.is::<LengthLimitError>();
        let (status, message) =
            if large { (413, "The request is too large.") } else { (400, "The request broke off.") };
        not_here(status, message.to_owned())
    })?;
    let ask = Ask::parse(&body.to_bytes())?;
    let answer = Answer::to(&ask);
    let stamp = Stamp { id: format!("chatcmpl-{}", uuid::Uuid::now_v7().simple()), created: now() };
    if !ask.stream {
        sleep(pace.of(answer.tokens())).await;
        return Ok(json(StatusCode::OK, speech::whole(&ask, &answer, &stamp)));
    }
    let events = speech::events(&ask, &answer, &stamp);
    let body = StreamBody::new(paced(events, pace).map(|event| Ok(Frame::data(event))));
    let mut response = Response::new(body.boxed_unsync());
    set_type(&mut response, "text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The events, each at its time since now: a slow reader catches up, and the pace does not drift.
fn paced(events: Vec<Vec<u8>>, pace: Pace) -> impl Stream<Item = Bytes> + Send {
    let start = Instant::now();
    stream::iter(events.into_iter().enumerate()).then(move |(at, event)| async move {
        if pace != Pace::UNLIMITED {
            sleep_until(start + pace.of(at)).await;
        }
        Bytes::from(event)
    })
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)).boxed_unsync());
    *response.status_mut() = status;
    set_type(&mut response, "application/json");
    response
}

fn set_type(response: &mut Response<Body>, value: &'static str) {
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(value));
}

fn not_here(status: u16, message: String) -> Complaint {
    Complaint { status, message, param: None, code: None }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn exchange(request: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Pace::UNLIMITED, shutdown.clone()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        shutdown.cancel();
        server.await.unwrap().unwrap();
        answer
    }

    fn post(body: &str) -> String {
        let length = body.len();
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    }

    #[tokio::test]
    async fn it_answers_whole_and_streamed() {
        let body = r#"{"model":"echo-1","messages":[{"role":"user","content":"hi"}]}"#;
        let whole = exchange(&post(body)).await;
        assert!(whole.starts_with("HTTP/1.1 200 OK\r\n") && whole.contains("You said: hi"), "{whole}");
        let streamed = exchange(&post(&body.replacen('{', r#"{"stream":true,"#, 1))).await;
        assert!(streamed.contains("content-type: text/event-stream"), "{streamed}");
        assert!(streamed.contains("data: [DONE]\n\n"), "{streamed}");
    }

    #[tokio::test]
    async fn it_lists_its_models_and_refuses_the_rest_in_openais_form() {
        let models = exchange("GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(models.contains(r#""id":"echo-1-thinking""#), "{models}");
        for (request, status) in [
            (post("{"), "400"),
            (post(r#"{"model":"x","messages":[{"role":"user"}]}"#), "404"),
            ("GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "405"),
            ("GET /elsewhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), "404"),
        ] {
            let answer = exchange(&request).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.contains(r#""type":"invalid_request_error""#), "{answer}");
        }
    }

    #[test]
    fn a_pace_is_a_number_or_unlimited() {
        assert_eq!("unlimited".parse(), Ok(Pace::UNLIMITED));
        assert_eq!("20".parse::<Pace>().unwrap().of(10), Duration::from_millis(500));
        assert!("0".parse::<Pace>().is_err() && "fast".parse::<Pace>().is_err());
    }
}
