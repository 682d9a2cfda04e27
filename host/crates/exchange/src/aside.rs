//! Work that takes long and gives nobody way while it lasts, such as looking through a long text.
//!
//! What must hold: looking through one long text keeps no thread to itself that others wait for, and looking through many short
//! ones keeps it for no longer than that, in bytes and in time; what may end the exchange is heard in between.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

/// Bytes of text beyond which looking at it is worth another thread for the others.
const LONG: usize = 64 << 10;

/// Does what looks at so many bytes. The other exchanges of this thread go on meanwhile, where there are other threads.
pub(crate) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    if bytes >= LONG && has_threads() { tokio::task::block_in_place(work) } else { work() }
}

/// Does what turned out to take long, however few bytes it looks at, in the same way.
pub fn while_others_go_on(work: &mut dyn FnMut()) {
    if has_threads() { tokio::task::block_in_place(work) } else { work() }
}

fn has_threads() -> bool {
    Handle::try_current().is_ok_and(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// Bytes that a look at a text counts for at least.
const LOOK: usize = 256;

/// How long looks may take, all in all, until others have their turn: a few bytes may be full of what could be a match.
const TURN: Duration = Duration::from_millis(1);

/// How much was looked at since others had their turn, and how long that took.
#[derive(Debug, Default)]
pub(crate) struct Stint {
    bytes: usize,
    took: Duration,
}

impl Stint {
    /// A look took so long.
    pub(crate) fn took(&mut self, time: Duration) {
        self.took += time;
    }

    /// So many bytes were looked at. Once that was much, or took long, the others have their turn, and whatever ends this
    /// exchange.
    pub(crate) async fn looked_at(&mut self, bytes: usize) {
        self.bytes += bytes.max(LOOK);
        if self.bytes >= LONG || self.took >= TURN {
            *self = Self::default();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_long_text_is_looked_at() {
        let (tell, told) = mpsc::channel();
        let long = tokio::spawn(async move {
            tokio::spawn(async move { tell.send(()) });
            aside(LONG, || told.recv_timeout(Duration::from_secs(60)))
        });
        assert_eq!(long.await.unwrap(), Ok(()), "the only thread was given to the other");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_a_short_text_takes_long() {
        let (tell, told) = mpsc::channel();
        let long = tokio::spawn(async move {
            tokio::spawn(async move { tell.send(()) });
            let mut heard = None;
            while_others_go_on(&mut || heard = Some(told.recv_timeout(Duration::from_secs(60))));
            heard
        });
        assert_eq!(long.await.unwrap(), Some(Ok(())), "the only thread was given to the other");
    }

    #[tokio::test]
    async fn others_have_their_turn_once_looks_were_many_or_took_long() {
        let half = TURN / 2;
        for (bytes, took, turns) in
            [(LONG / 2, Duration::ZERO, 2), (10, Duration::ZERO, 0), (10, half, 2), (10, TURN, 4)]
        {
            let mut stint = Stint::default();
            let mut had = 0;
            for _ in 0..4 {
                stint.took(took);
                let mut looked = std::pin::pin!(stint.looked_at(bytes));
                while looked.as_mut().now_or_never().is_none() {
                    had += 1;
                }
            }
            assert_eq!(had, turns, "{bytes} bytes, {took:?}");
        }
    }

    #[tokio::test]
    async fn where_there_is_one_thread_it_does_the_work() {
        assert_eq!(aside(LONG, || 7), 7);
        let mut done = 0;
        while_others_go_on(&mut || done += 1);
        assert_eq!(done, 1);
    }
}
