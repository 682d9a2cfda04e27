//! A recorder and a way to the upstreams that tell those who watch what passes through them.
//!
//! What must hold: what is recorded and forwarded is the same as with nobody watching, and waits for nobody more.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use model::{Entry, Event, record::Opened};

use crate::{
    gate::{Answered, Forward, ForwardError},
    ports::{Follow, RecordError, Recorder, Safety, Stage, Tape, TurnedAway, Watch},
    record::Outbound,
};

/// What is told to those who watch: `T` is a recorder, or a way to the upstreams.
pub struct Watched<T: ?Sized> {
    watchers: Vec<Arc<dyn Watch>>,
    inner: Arc<T>,
}

impl<T: ?Sized> Watched<T> {
    /// The same, watched.
    pub fn new(inner: Arc<T>, watchers: Vec<Arc<dyn Watch>>) -> Self {
        Self { watchers, inner }
    }
}

impl<T: Recorder + ?Sized> Recorder for Watched<T> {
    fn open(&self, opened: Opened) -> Result<Box<dyn Tape>, RecordError> {
        let followers = self.watchers.iter().map(|watcher| watcher.opened(&opened)).collect();
        Ok(Box::new(WatchedTape { followers, inner: self.inner.open(opened)? }))
    }

    fn event(&self, event: Event) -> BoxFuture<'_, Result<(), RecordError>> {
        self.watchers.iter().for_each(|watcher| watcher.event(&event));
        self.inner.event(event)
    }

    fn keyed_hash(&self, value: &[u8]) -> [u8; 16] {
        self.inner.keyed_hash(value)
    }

    fn turned_away(&self, refused: &TurnedAway<'_>) {
        self.watchers.iter().for_each(|watcher| watcher.turned_away(refused));
        self.inner.turned_away(refused);
    }
}

struct WatchedTape {
    followers: Vec<Box<dyn Follow>>,
    inner: Box<dyn Tape>,
}

impl Tape for WatchedTape {
    fn append(&mut self, entry: Entry) -> Result<(), RecordError> {
        // A stream has thousands of them, and nobody looks into one.
        if !matches!(entry, Entry::Chunk(_)) {
            self.followers.iter_mut().for_each(|follower| follower.saw(&entry));
        }
        self.inner.append(entry)
    }

    fn keep(&mut self, safety: Safety) -> BoxFuture<'_, Result<(), RecordError>> {
        self.inner.keep(safety)
    }

    fn timed(&mut self, stage: Stage, took: Duration) {
        self.followers.iter_mut().for_each(|follower| follower.timed(stage, took));
        self.inner.timed(stage, took);
    }
}

impl<T: Forward + ?Sized> Forward for Watched<T> {
    fn forward(&self, request: Outbound) -> BoxFuture<'_, Result<Answered, ForwardError>> {
        Box::pin(async move {
            let (connection, began) = (Arc::clone(&request.connection), Instant::now());
            let answered = self.inner.forward(request).await;
            let status = answered.as_ref().ok().map(|answered| answered.status.as_u16());
            let took = began.elapsed();
            self.watchers.iter().for_each(|watcher| watcher.answered(&connection.name, status, took));
            answered
        })
    }
}
