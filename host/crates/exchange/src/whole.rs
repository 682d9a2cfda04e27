//! The whole body of a request, within its bounds of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use coding::Codings;
use model::Direction;
use tokio::time;

use crate::{
    gate::{Gate, Incoming, Limits},
    refuse::Stop,
    relay::{Lane, Source},
};

/// The request's whole body, its codings undone, within its bounds of size and time: who sends it a byte at a time has a
/// place for no longer than the bytes on the wire are worth.
pub(crate) async fn whole(gate: &Gate, body: Incoming, codings: &Codings) -> Result<Bytes, Stop> {
    let Limits { body_idle, body_rate, .. } = gate.limits;
    let limit = gate.limits.wire.body_bytes;
    let lane = Lane { direction: Direction::Request, idle: body_idle, ends_with_connection: false, streaming: false };
    let mut source = Source::new(body, codings.decoder(gate.limits.coding), gate.limits.batch_bytes);
    let mut all = Bytes::new();
    let began = time::Instant::now();
    loop {
        let arrived = source.arrived_bytes();
        // Of a body of which nothing has come, `body_idle` says the same.
        let worth = (arrived > 0 && body_rate > 0).then(|| Duration::from_secs(arrived.div_ceil(body_rate)));
        let due = worth.and_then(|worth| began.checked_add(body_idle.saturating_add(worth)));
        let batch = match due.filter(|due| *due < time::Instant::now() + body_idle) {
            None => lane.batch(&mut source).await?,
            Some(due) => match time::timeout_at(due, lane.batch(&mut source)).await {
                Ok(batch) => batch?,
                // Compressed bytes may come, and yield nothing yet.
                Err(_) if source.arrived_bytes() > arrived => continue,
                Err(_) => return Err(too_slow(body_idle, body_rate)),
            },
        };
        let Some(batch) = batch else { return Ok(all) };
        if all.len() + batch.len() > limit {
            return Err(Stop::BadRequest(wire::Malformed::TooLarge { bound: "body_bytes", limit }));
        }
        all = if all.is_empty() { batch } else { joined(all, &batch) };
    }
}

fn too_slow(idle: Duration, rate: u64) -> Stop {
    Stop::RequestBroke(format!("after {idle:?} (`body_idle`) it came slower than {rate} bytes a second (`body_rate`)"))
}

fn joined(all: Bytes, chunk: &Bytes) -> Bytes {
    // Frozen bytes with one owner turn back into a buffer at no cost.
    let mut all = all.try_into_mut().unwrap_or_else(|all| BytesMut::from(&all[..]));
    all.extend_from_slice(chunk);
    all.freeze()
}
