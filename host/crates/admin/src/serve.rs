//! The listener: routes, bounds, and the thread of its own that keeps it answering while the path is flooded.

use std::{io, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    http::StatusCode,
    middleware,
    response::IntoResponse,
    routing::{get, post},
};
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use patient::Patient;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Control, access, alerts, approvals, behind, credentials, events, guard, health, policies,
    problem::Problem,
    records, status,
    visitor::{Strangers, Visitor},
};

/// Connections at once.
const CONNECTIONS: usize = 128;
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 << 10;
/// Time for a request's head, and between two requests.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// Time in which a byte of an answer must be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time for an answer that was begun before the signal to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// Wait after a failed accept (no file descriptors left), so that it is not tried in a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Threads that read the store for it.
const READERS: usize = 4;

/// All routes, guarded.
pub(crate) fn router(control: Arc<Control>) -> Router {
    let records = Router::new()
        .route("/v1/sessions", get(records::sessions))
        .route("/v1/sessions/{id}", get(records::session))
        .route("/v1/exchanges", get(records::exchanges))
        .route("/v1/exchanges/{id}", get(records::exchange))
        .route("/v1/events", get(events::list))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&control), behind::settled));
    Router::new()
        .merge(records)
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/v1/status", get(status::status))
        .route("/v1/policies", get(policies::policies))
        .route("/v1/approvals", get(approvals::list))
        .route("/v1/approvals/{id}", get(approvals::show))
        .route("/v1/approvals/{id}/approve", post(approvals::approve))
        .route("/v1/approvals/{id}/deny", post(approvals::deny))
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/alerts/{id}", get(alerts::show))
        .route("/v1/alerts/{id}/ack", post(alerts::ack))
        .route("/v1/tokens", get(credentials::tokens))
        .route("/v1/tokens/{id}", get(credentials::token))
        .route("/v1/revocations", get(credentials::revocations))
        .route("/v1/access", get(access::list))
        .route("/v1/access/{id}", get(access::show))
        .route("/v1/access/{id}/approve", post(access::approve))
        .route("/v1/access/{id}/deny", post(access::deny))
        .route("/v1/revoke", post(credentials::revoke))
        .route("/v1/lift", post(credentials::lift))
        .fallback(|| async { Problem::not_found("there is no such route").into_response() })
        .method_not_allowed_fallback(|| async {
            let detail = "this route takes another method";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).into_response()
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&control), guard::guard))
        .with_state(control)
}

/// Serves the control API until `shutdown` is cancelled; answers that were begun by then get a moment to end.
pub async fn serve(listener: TcpListener, control: Arc<Control>, shutdown: CancellationToken) {
    let router = router(control);
    let (room, tasks) = (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new());
    let mut strangers = Strangers::default();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &room, &mut strangers) => accepted,
            () = shutdown.cancelled() => break,
        };
        let Some((stream, permit)) = accepted else { break };
        let (router, visitor, shutdown) = (router.clone(), strangers.welcome(), shutdown.clone());
        tasks.spawn(async move {
            connection(stream, router, &visitor, shutdown).await;
            visitor.leave();
            drop(permit);
        });
    }
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        tracing::debug!("answers of the control listener were cut by the stop");
    }
}

/// Serves on a thread and a runtime of its own.
///
/// # Errors
/// When the thread, its runtime or the listener can't be made.
pub fn on_own_thread(
    listener: std::net::TcpListener,
    control: Arc<Control>,
    shutdown: CancellationToken,
) -> io::Result<thread::JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(READERS).build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(listener)?
    };
    thread::Builder::new()
        .name("control".to_owned())
        .spawn(move || runtime.block_on(serve(listener, control, shutdown)))
}

/// The next connection, and a place for it: a stranger's, where no other is left.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
    strangers: &mut Strangers,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let stream = loop {
        match listener.accept().await {
            Ok((stream, _)) => break stream,
            Err(error) => {
                tracing::warn!(%error, "the control listener can't accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    if room.available_permits() == 0 {
        strangers.make_room();
    }
    // Never closed, so there is always one in the end: whoever is known ends or is ended, too.
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    Some((stream, permit))
}

async fn connection(stream: TcpStream, router: Router, visitor: &Visitor, shutdown: CancellationToken) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(visitor.clone());
        router.call(request)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE).max_buf_size(HEAD_BYTES);
    let connection = server.serve_connection(TokioIo::new(Patient::new(stream, PATIENCE)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = visitor.overdue() => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a control connection ended in the middle");
    }
}
