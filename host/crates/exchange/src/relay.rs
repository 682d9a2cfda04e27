//! The one loop for both directions: take all that has arrived, decode it, judge it, hand on what is cleared.
//!
//! What must hold: bytes go on only as [`Cleared`]; another policy set takes over between two turns, never within one, and
//! nothing that the one before decided is an answer for it; everything that has already arrived is one batch, and nothing waits for more.

use std::{
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use coding::{Decoder, Fault};
use futures_util::StreamExt;
use model::{Direction, Refusal, Usage};
use tokio::sync::watch;

use crate::{
    gate::{BodyError, Incoming},
    judge::{Cleared, Judge},
    ports::PolicySet,
    refuse::Stop,
    twin::Twin,
};

/// Room for a batch of several chunks, at first.
const BATCH: usize = 4 << 10;

/// Where a direction's bytes come from: what the network hands over, its content codings undone.
pub(crate) struct Source {
    body: Incoming,
    decoder: Option<Decoder>,
    batch_bytes: usize,
    arrived_bytes: u64,
    /// An error that came behind bytes that are still to be worked on.
    broke: Option<BodyError>,
    over: bool,
}

/// Why no more comes from a source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broke {
    /// The body broke off.
    Off(BodyError),
    /// Its codings can't be undone.
    Coded(Fault),
}

/// What came.
enum Arrived {
    Bytes(Bytes),
    End,
    /// Another policy set is in force.
    Set,
}

impl Source {
    /// `decoder`: undoes the body's content codings, where it has any.
    pub(crate) fn new(body: Incoming, decoder: Option<Decoder>, batch_bytes: usize) -> Self {
        Self { body, decoder, batch_bytes, arrived_bytes: 0, broke: None, over: false }
    }

    /// Bytes that have arrived until now, as they came.
    pub(crate) fn arrived_bytes(&self) -> u64 {
        self.arrived_bytes
    }

    /// All that has arrived, as one batch, decoded; waits only for the first chunk of it. `None` at the end.
    ///
    /// Dropped while it waits, it loses nothing: what has arrived is in the decoder.
    pub(crate) async fn batch(&mut self) -> Result<Option<Bytes>, Broke> {
        loop {
            if let Some(decoder) = self.decoder.as_mut() {
                let mut decoded = BytesMut::new();
                decoder.pull(self.batch_bytes, &mut decoded).map_err(Broke::Coded)?;
                if !decoded.is_empty() {
                    return Ok(Some(decoded.freeze()));
                }
            }
            let arrived = self.arrived().await.map_err(Broke::Off)?;
            match (arrived, self.decoder.as_mut()) {
                (Some(bytes), None) => return Ok(Some(bytes)),
                (Some(bytes), Some(decoder)) => decoder.push(&bytes),
                (None, decoder) => {
                    return decoder.map_or(Ok(()), |decoder| decoder.finish()).map_err(Broke::Coded).map(|()| None);
                }
            }
        }
    }

    /// All that has arrived, as it came.
    async fn arrived(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(error) = self.broke.take() {
            return Err(error);
        }
        if self.over {
            return Ok(None);
        }
        let Some(first) = self.body.next().await.transpose()? else {
            self.over = true;
            return Ok(None);
        };
        let mut all = None;
        while all.as_ref().map_or(first.len(), BytesMut::len) < self.batch_bytes {
            // Polled with the task's own waker: what has not arrived yet wakes this exchange when it does.
            match poll_fn(|cx| Poll::Ready(self.body.poll_next_unpin(cx))).await {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.over = true;
                    break;
                }
                Poll::Ready(Some(Ok(chunk))) => {
                    let all = all.get_or_insert_with(|| {
                        let mut all = BytesMut::with_capacity(BATCH.max(2 * first.len()));
                        all.extend_from_slice(&first);
                        all
                    });
                    all.extend_from_slice(&chunk);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.broke = Some(error);
                    break;
                }
            }
        }
        let all = all.map_or(first, BytesMut::freeze);
        self.arrived_bytes += all.len() as u64;
        Ok(Some(all))
    }
}

/// Where a direction's cleared bytes go.
pub(crate) trait Sink {
    /// Hears what has come, before it is judged: whatever becomes of the turn, that much was spent. `usage`: tokens, as far
    /// as the provider has told them; `text_bytes`: those of the request's text and of the answer's so far.
    fn heard(&mut self, usage: Usage, text_bytes: Option<(u64, u64)>);

    /// How long it may say nothing while it waits for more, where it can say that it waits.
    fn beats(&self) -> Option<Duration> {
        None
    }

    /// Says that it waits.
    async fn beat(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// Takes what one turn cleared.
    async fn deliver(&mut self, turn: Turn<'_>) -> Result<(), Stop>;

    /// Another policy set took over.
    async fn switched(&mut self, judge: &mut Judge) -> Result<(), Stop>;

    /// It did not stop the exchange at once: it judges what the sink has that was not said yet.
    async fn judged_anew(&mut self, judge: &mut Judge) -> Result<(), Stop>;
}

/// What one turn of the loop cleared.
pub(crate) struct Turn<'t> {
    pub(crate) cleared: Cleared,
    pub(crate) judge: &'t mut Judge,
    /// The sets that come into force: what waits for a person may be overtaken by one.
    pub(crate) policies: &'t mut watch::Receiver<Arc<PolicySet>>,
    /// Time that it took to clear it.
    pub(crate) took: Duration,
    pub(crate) then: Then,
}

/// What comes behind a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// More of the body.
    More,
    /// Nothing: it broke off.
    Cut,
    /// Nothing: it is complete.
    End,
}

/// Which way, and what an error on it means.
pub(crate) struct Lane {
    pub(crate) direction: Direction,
    /// Time that may pass between two chunks.
    pub(crate) idle: Duration,
    /// Whether the body's end looks like a connection that was cut: then the dialect's own end must have come.
    pub(crate) ends_with_connection: bool,
    /// What is cleared leaves at once, so that all of it does that can be, also when the rest never comes.
    pub(crate) streaming: bool,
}

impl Lane {
    fn broke(&self, broke: Broke) -> Stop {
        match (self.direction, broke) {
            (Direction::Request, Broke::Off(error)) => Stop::RequestBroke(error.0),
            (Direction::Request, Broke::Coded(fault)) => Stop::BadCoding(fault),
            (Direction::Response, Broke::Off(error)) => Stop::UpstreamBroke(error.0),
            (Direction::Response, Broke::Coded(fault)) => Stop::UpstreamUnreadable(fault.to_string()),
        }
    }

    /// The next batch, if it comes in time.
    pub(crate) async fn batch(&self, source: &mut Source) -> Result<Option<Bytes>, Stop> {
        match tokio::time::timeout(self.idle, source.batch()).await {
            Err(_) => {
                let key = match self.direction {
                    Direction::Request => "body_idle",
                    Direction::Response => "upstream_idle",
                };
                Err(self.broke(Broke::Off(BodyError(format!("nothing came for {:?} (`{key}`)", self.idle)))))
            }
            Ok(batch) => batch.map_err(|broke| self.broke(broke)),
        }
    }

    /// No more comes, and what came is no whole: in a stream, what is pending is judged as the last there is, and leaves
    /// before the caller is told. A frame that is not complete stays. Answers what ends the exchange.
    async fn cut<S: Sink>(
        &self,
        stop: Stop,
        flow: &mut Twin,
        judge: &mut Judge,
        policies: &mut watch::Receiver<Arc<PolicySet>>,
        sink: &mut S,
    ) -> Stop {
        if !self.streaming {
            return stop;
        }
        let began = Instant::now();
        if let Err(stop) = judge.hear(flow) {
            return stop;
        }
        sink.heard(flow.usage(), judge.text_bytes());
        let cleared = match judge.break_off(flow).await {
            Ok(cleared) => cleared,
            Err(stop) => return stop,
        };
        let turn = Turn { cleared, judge, policies, took: began.elapsed(), then: Then::Cut };
        sink.deliver(turn).await.err().unwrap_or(stop)
    }

    fn malformed(&self, malformed: wire::Malformed) -> Stop {
        match self.direction {
            Direction::Request => Stop::BadRequest(malformed),
            Direction::Response => Stop::UpstreamUnreadable(malformed.to_string()),
        }
    }
}

/// Relays one direction from its first byte to its last.
pub(crate) async fn relay<S: Sink>(
    lane: &Lane,
    source: &mut Source,
    flow: &mut Twin,
    judge: &mut Judge,
    policies: &mut watch::Receiver<Arc<PolicySet>>,
    sink: &mut S,
) -> Result<(), Stop> {
    loop {
        let arrived = match next(lane, source, policies, sink).await? {
            Ok(arrived) => arrived,
            Err(stop) => return Err(lane.cut(stop, flow, judge, policies, sink).await),
        };
        let began = Instant::now();
        let last = matches!(arrived, Arrived::End);
        match arrived {
            Arrived::Bytes(bytes) => flow.push(&bytes).map_err(|malformed| lane.malformed(malformed))?,
            Arrived::End => {
                flow.finish().map_err(|malformed| lane.malformed(malformed))?;
                if lane.ends_with_connection && !flow.is_over() {
                    let early = BodyError("the connection ended before the stream did".into());
                    let stop = lane.broke(Broke::Off(early));
                    return Err(lane.cut(stop, flow, judge, policies, sink).await);
                }
            }
            Arrived::Set => {
                let set = Arc::clone(&policies.borrow_and_update());
                let changed = judge.changed_by(&set);
                let is_kept = changed.is_some() && judge.has_kept(flow);
                // What the same policies decided stands.
                if changed.is_some() {
                    flow.judged_anew();
                }
                // A set that stops the exchange at once is on record all the same, and before it does.
                let opened = judge.switch(set).await;
                sink.switched(judge).await?;
                opened?;
                if let Some(policy) = changed.filter(|_| is_kept) {
                    return Err(policies_changed(policy));
                }
                sink.judged_anew(judge).await?;
                judge.hear_again(flow)?;
            }
        }
        judge.hear(flow)?;
        sink.heard(flow.usage(), judge.text_bytes());
        judge.decide(flow).await?;
        let cleared = judge.clear(flow, last).await?;
        let then = if last { Then::End } else { Then::More };
        sink.deliver(Turn { cleared, judge, policies, took: began.elapsed(), then }).await?;
        if last {
            return Ok(());
        }
    }
}

/// Other policies came into force while something that those before judged waited in the gate: it can't be judged again, and
/// does not leave unjudged. `policy`: by which they differ.
pub(crate) fn policies_changed(policy: String) -> Stop {
    let refusal = Refusal {
        code: "policies_changed".into(),
        message: "the policies changed while a part of the answer waited: ask again".into(),
        detail: String::new(),
    };
    Stop::Blocked { policy, refusal }
}

/// The next thing to work on. A request is judged whole by the set that was in force when it began to be judged; a
/// response changes sets at once, also while its upstream is silent. The inner error is the source's.
async fn next<S: Sink>(
    lane: &Lane,
    source: &mut Source,
    policies: &mut watch::Receiver<Arc<PolicySet>>,
    sink: &mut S,
) -> Result<Result<Arrived, Stop>, Stop> {
    let batch = async { Ok(lane.batch(source).await?.map_or(Arrived::End, Arrived::Bytes)) };
    if lane.direction == Direction::Request {
        return Ok(batch.await);
    }
    tokio::pin!(batch);
    loop {
        tokio::select! {
            biased;
            // A publisher that is gone will publish no more: that is no reason to stop.
            Ok(()) = policies.changed() => return Ok(Ok(Arrived::Set)),
            arrived = &mut batch => return Ok(arrived),
            () = silence(sink.beats()) => sink.beat().await?,
        }
    }
}

/// Over after so long; without a bound, never.
async fn silence(bound: Option<Duration>) {
    match bound {
        Some(bound) => tokio::time::sleep(bound).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn source(chunks: Vec<Result<&'static str, BodyError>>, batch_bytes: usize) -> Source {
        let chunks = chunks.into_iter().map(|chunk| chunk.map(|text| Bytes::from_static(text.as_bytes())));
        Source::new(Box::pin(stream::iter(chunks.collect::<Vec<_>>())), None, batch_bytes)
    }

    #[tokio::test]
    async fn what_has_arrived_is_one_batch() {
        let mut source = source(vec![Ok("a"), Ok("b"), Ok("c")], 100);
        assert_eq!(source.batch().await, Ok(Some(Bytes::from_static(b"abc"))));
        assert_eq!(source.batch().await, Ok(None));
        assert_eq!(source.batch().await, Ok(None));
    }

    #[tokio::test]
    async fn a_batch_is_bounded() {
        let mut source = source(vec![Ok("aa"), Ok("bb"), Ok("cc")], 3);
        assert_eq!(source.batch().await, Ok(Some(Bytes::from_static(b"aabb"))));
        assert_eq!(source.batch().await, Ok(Some(Bytes::from_static(b"cc"))));
    }

    #[tokio::test]
    async fn an_error_waits_behind_the_bytes_before_it() {
        let mut source = source(vec![Ok("a"), Err(BodyError("reset".into()))], 100);
        assert_eq!(source.batch().await, Ok(Some(Bytes::from_static(b"a"))));
        assert_eq!(source.batch().await, Err(Broke::Off(BodyError("reset".into()))));
    }
}
