//! What many exchanges send leaves in one burst: see `host/docs/decisions/0014-sends-come-in-bursts.md`.

/// Lets all that is ready now run first. Called before the first byte of a request or an answer goes out: then the others
/// have come as far too, and whoever reads what they send wakes once for all of it instead of once for each. Where nothing
/// else is ready, it goes on at once.
pub(crate) async fn with_others() {
    tokio::task::yield_now().await;
}
