//! Many streams at once, of several callers: the upstream says a word now and then in each until it is told to end them,
//! and each caller notes when its stream ended, and how.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use super::{Channel, Client, End, Host, Setup, Turn, Upstream, events, request, sse_head, whole, within};

/// Streams that are opened at the same time.
const OPENED_AT_ONCE: usize = 32;
/// What is said again and again.
const WORD: &str = "a word. ";

impl Setup {
    /// Lets in `count` callers more, `caller-0` and on, with a token each.
    #[must_use]
    pub fn callers(self, count: usize) -> Self {
        (0..count).fold(self, |setup, at| {
            let mut table = String::new();
            write!(
                table,
                "[[token]]\nname = \"caller-{at}\"\nvalue_file = \"./caller-{at}\"\nconnections = [\"openai\"]\n"
            )
            .expect("a string takes text");
            setup.file(&format!("caller-{at}"), &token(at)).tables(&table)
        })
    }
}

impl Host {
    /// One of the [`Setup::callers`].
    #[must_use]
    pub fn caller_at(&self, at: usize) -> Client {
        self.caller(&token(at))
    }
}

fn token(at: usize) -> String {
    format!("crowd-token-{at:04}-0123456789abcdef0123456789abcdef")
}

impl Upstream {
    /// An upstream that says a word in each stream, again after each `pace`, until `ending` says that it is time to
    /// end; what is asked for whole is answered at once.
    pub async fn speaking(pace: Duration, ending: watch::Receiver<bool>) -> Self {
        let handler = move |turn: Turn| -> BoxFuture<'static, ()> { Box::pin(speak(turn, pace, ending.clone())) };
        Self::with(Arc::new(handler), mpsc::unbounded_channel().1).await
    }
}

async fn speak(mut turn: Turn, pace: Duration, mut ending: watch::Receiver<bool>) {
    if !String::from_utf8_lossy(&turn.received.body).contains("\"stream\":true") {
        let body = whole(Channel::Content, WORD);
        if turn.write(&[super::json_head(200, body.len()), body].concat()).await {
            turn.done();
        }
        return;
    }
    let said = events(Channel::Content, &[WORD]);
    let mut heard = turn.write(&sse_head()).await && turn.chunk(&said[0]).await;
    while heard && !*ending.borrow() {
        heard = turn.chunk(&said[1]).await;
        // Its sender lives as long as the test: an error is the end too.
        let _ = tokio::time::timeout(pace, ending.wait_for(|end| *end)).await;
    }
    for last in &said[2..] {
        heard = heard && turn.chunk(last).await;
    }
    if heard && turn.write(b"0\r\n\r\n").await {
        turn.done();
    }
}

/// A stream that runs.
pub struct Listening {
    /// Which of the [`Setup::callers`] listens.
    pub caller: usize,
    /// The exchange, as the host calls it.
    pub exchange: String,
    task: JoinHandle<Overheard>,
}

/// What came of a stream.
#[derive(Debug)]
pub struct Overheard {
    /// When nothing came any more.
    pub at: Instant,
    /// How it ended.
    pub end: End,
    /// Its body.
    pub body: Vec<u8>,
}

impl Listening {
    /// Opens `each` streams for each of these callers, and waits until all of them have said something.
    pub async fn open(host: &Host, callers: impl IntoIterator<Item = usize>, each: usize) -> Vec<Self> {
        let all = callers.into_iter().flat_map(|caller| std::iter::repeat_n(caller, each));
        stream::iter(all).map(|caller| Self::one(host, caller)).buffer_unordered(OPENED_AT_ONCE).collect().await
    }

    async fn one(host: &Host, caller: usize) -> Self {
        let mut reply = host.caller_at(caller).ask(&request("hello", true)).await;
        let refused = if reply.status == 200 { Vec::new() } else { reply.rest().await };
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&refused));
        let exchange = reply.header("x-request-id").expect("an answer names its exchange").to_owned();
        let mut body = within("the first word", reply.chunk()).await.expect("the stream runs");
        let task = tokio::spawn(async move {
            while let Some(more) = reply.chunk().await {
                body.extend_from_slice(&more);
            }
            Overheard { at: Instant::now(), end: reply.end.expect("it has ended"), body }
        });
        Self { caller, exchange, task }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.task.is_finished()
    }

    /// Waits for its end.
    pub async fn ended(self) -> Overheard {
        within("the end of a stream", self.task).await.expect("a reader does not panic")
    }
}
