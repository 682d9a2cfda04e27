//! Work that takes long and gives nobody way while it lasts, such as looking through a long text.
//!
//! What must hold: looking through one long text keeps no thread to itself that others wait for, and looking through many short
//! ones keeps it for no longer than that; what may end the exchange is heard in between.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Bytes of text beyond which looking at it is worth another thread for the others.
const LONG: usize = 64 << 10;

/// Does what looks at so many bytes. The other exchanges of this thread go on meanwhile, where there are other threads.
pub(crate) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let threads = || Handle::try_current().is_ok_and(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread);
    if bytes >= LONG && threads() { tokio::task::block_in_place(work) } else { work() }
}

/// Bytes that a look at a text counts for at least.
const LOOK: usize = 256;

/// How much was looked at since others had their turn.
#[derive(Debug, Default)]
pub(crate) struct Stint(usize);

impl Stint {
    /// So many bytes were looked at. Once that was much, the others have their turn, and whatever ends this exchange.
    pub(crate) async fn looked_at(&mut self, bytes: usize) {
        self.0 += bytes.max(LOOK);
        if self.0 >= LONG {
            self.0 = 0;
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

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

    #[tokio::test]
    async fn where_there_is_one_thread_it_does_the_work() {
        assert_eq!(aside(LONG, || 7), 7);
    }
}
