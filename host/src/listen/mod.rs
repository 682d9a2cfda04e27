//! The data listener: callers' connections, TLS, HTTP/1.1; each request goes to `exchange::carry`, or is answered by the
//! gate itself (`own.rs`).
//!
//! ```text
//!   socket ── guarded (writes go on) ── TLS ── strict (what has one meaning) ── hyper ── answer
//! ```
//!
//! What must hold: every connection and every exchange is counted and bounded; what has two meanings never reaches hyper;
//! a reply that was cut closes its connection abnormally; on shutdown running exchanges get their time to end, and those
//! that have not ended then are told so.

mod course;
mod guarded;
mod own;
mod refuse;
mod strict;
mod tls;

use std::{convert::Infallible, io, net::IpAddr, sync::Arc};

use bytes::Bytes;
use exchange::{BodyError, ClientAddress, ClientCertificate, Cut, Gate, Reply};
use futures_util::{Stream, StreamExt};
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyStream, Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use identity::Peer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    course::{Course, Running},
    guarded::{Standing, guarded},
    own::Patience,
    strict::{Strict, Terms},
};
pub(crate) use self::{own::Own, tls::acceptor};
use crate::{burst::Bursts, config::Limits};

/// Wait after a failed accept (no file descriptors left), so that it is not tried in a busy loop.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Time in which exchanges that the stop ends must be recorded, and their callers take the last word, before what is left is
/// cut.
const LAST_MOMENT: std::time::Duration = std::time::Duration::from_secs(1);

/// What every caller's connection needs.
pub(crate) struct Door {
    /// The path.
    pub(crate) gate: Arc<Gate>,
    /// What is asked of the gate itself.
    pub(crate) own: Own,
    /// TLS, where the listener has it.
    pub(crate) tls: Option<tokio_rustls::TlsAcceptor>,
    /// Bounds.
    pub(crate) limits: Limits,
    /// How answers leave.
    pub(crate) bursts: Bursts,
}

/// Places for what is counted.
#[derive(Clone)]
struct Places {
    connections: Arc<Semaphore>,
    exchanges: Arc<Semaphore>,
    /// Bodies for the gate itself that do not come at once: whoever sends them need be nobody.
    slow_bodies: Arc<Semaphore>,
}

/// Accepts callers until the shutdown, then lets their exchanges end within `limits.drain`.
pub(crate) async fn serve(listener: TcpListener, door: Door, shutdown: CancellationToken) {
    let places = Places {
        connections: Arc::new(Semaphore::new(door.limits.client_connections)),
        exchanges: Arc::new(Semaphore::new(door.limits.exchanges)),
        slow_bodies: Arc::new(Semaphore::new(door.limits.for_strangers())),
    };
    let drain = door.limits.drain;
    let gate = Arc::clone(&door.gate);
    let door = Arc::new(door);
    let running = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        // A connection is accepted only when there is a place for it; the others wait in the listener's queue.
        let place = tokio::select! {
            () = shutdown.cancelled() => break,
            place = Arc::clone(&places.connections).acquire_owned() => place.expect("the semaphore is never closed"),
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (door, places, shutdown, cut) = (Arc::clone(&door), places.clone(), shutdown.clone(), cut.clone());
        running.spawn(async move {
            let _place = place;
            tokio::select! {
                () = cut.cancelled() => {}
                result = connection(stream, address, &door, &places, &shutdown) => {
                    if let Err(error) = result {
                        tracing::debug!(%error, "a caller's connection ended");
                    }
                }
            }
        });
    }
    drop(listener);
    running.close();
    if timeout(drain, running.wait()).await.is_err() {
        tracing::warn!(connections = running.len(), "the drain time is over: what still runs is ended");
        gate.stop();
        // Whoever takes no byte is cut.
        let _some_may_be_left = timeout(LAST_MOMENT, running.wait()).await;
        cut.cancel();
        running.wait().await;
    }
}

async fn connection(
    stream: TcpStream,
    address: IpAddr,
    door: &Arc<Door>,
    places: &Places,
    shutdown: &CancellationToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut peer = Peer { address: address.to_canonical(), certificate: None };
    let standing = Standing::default();
    let stream = guarded(stream, door.limits.delivery_idle, standing.clone());
    match &door.tls {
        None => speak(stream, peer, standing, door, places, shutdown).await,
        Some(acceptor) => {
            let stream = timeout(door.limits.handshake_deadline, acceptor.accept(stream))
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))??;
            peer.certificate = tls::shown_by(&stream);
            speak(stream, peer, standing, door, places, shutdown).await
        }
    }
}

async fn speak<S>(
    stream: S,
    peer: Peer,
    standing: Standing,
    door: &Arc<Door>,
    places: &Places,
    shutdown: &CancellationToken,
) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send,
{
    let limits = &door.limits;
    let terms = Terms {
        head_bytes: limits.head_bytes,
        head_deadline: limits.head_deadline,
        keep_alive: limits.keep_alive,
        places: Arc::clone(&places.connections),
    };
    let course = Course::new();
    let refusing = Arc::clone(door);
    let refuse = move |refusal| refuse::bytes(&refusing.gate, peer.address, refusal);
    let stream = Strict::new(stream, terms, course.clone(), refuse);
    let service = service_fn(|request| {
        // At once, and not when the answer is first polled: the stream's reader asks whether an exchange runs.
        let asked = Asked { peer, standing: standing.clone(), course: course.clone(), running: course.begin() };
        answer(Arc::clone(door), places.clone(), asked, request)
    });
    let http = http1::Builder::new()
        // The stream has the deadline of a head.
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes.max(MIN_BUFFER))
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut http = std::pin::pin!(http);
    tokio::select! {
        result = http.as_mut() => return result.map_err(io::Error::other),
        () = shutdown.cancelled() => http.as_mut().graceful_shutdown(),
    }
    http.await.map_err(io::Error::other)
}

/// hyper's lower bound for `max_buf_size`.
const MIN_BUFFER: usize = 8192;

type Body = Either<StreamBody<Frames>, Full<Bytes>>;
type Frames = std::pin::Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Cut>> + Send>>;

/// What is known of a request besides what it says.
struct Asked {
    peer: Peer,
    standing: Standing,
    course: Course,
    running: Running,
}

async fn answer(
    door: Arc<Door>,
    places: Places,
    asked: Asked,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let Asked { peer, standing, course, running } = asked;
    standing.set(None);
    let (mut parts, body) = request.into_parts();
    let Ok(place) = places.exchanges.try_acquire_owned() else {
        return Ok(
            refuse::too_many(&door.gate, peer.address, parts.uri.path()).map(|body| Either::Right(Full::new(body)))
        );
    };
    if let Some(target) = door.own.target(&parts) {
        parts.uri = target;
        let patience = Patience { time: door.limits.head_deadline, places: &places.slow_bodies };
        let answer = door.own.answer(Request::from_parts(parts, body), peer, patience).await;
        return Ok(answer.map(|body| Either::Right(Full::new(body))));
    }
    parts.extensions.insert(ClientAddress(peer.address));
    if let Some(certificate) = peer.certificate {
        parts.extensions.insert(ClientCertificate(certificate));
    }
    let request = Request::from_parts(parts, body).map(|body| -> exchange::Incoming {
        Box::pin(BodyStream::new(body).filter_map(|frame| async {
            match frame {
                // Trailers are dropped: what was judged is the body.
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(BodyError(error.to_string()))),
            }
        }))
    });
    let mut response = exchange::carry(Arc::clone(&door.gate), request).await;
    let lease = response.body().lease();
    // Nobody was let in: a stranger's connection takes no place for longer than its answer.
    let stranger = lease.is_none();
    standing.set(lease);
    door.bursts.with_others().await;
    if stranger || course.is_broken_off() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|reply| Either::Left(StreamBody::new(frames(reply, (place, running))))))
}

fn frames(reply: Reply, held: (tokio::sync::OwnedSemaphorePermit, Running)) -> Frames {
    Box::pin(reply.map(move |chunk| {
        let _held_until_the_reply_is_dropped = &held;
        chunk.map(Frame::data)
    }))
}
