//! A stream in lockstep: the upstream says the next word when the last one has come out at the other end. So a test
//! knows, with no guess about time, what the host did between two chunks.

use super::{Channel, Client, Heard, Reply, SSN, Turn, Upstream, events, request, sse_head, within};

/// A stream in lockstep.
pub struct Talk {
    turn: Turn,
    reply: Reply,
    got: Vec<u8>,
    /// Where in `got` the last word ended.
    from: usize,
    words: usize,
}

impl Talk {
    /// Begins a stream of `client` on a host in front of `upstream`.
    pub async fn begin(client: &Client, upstream: &mut Upstream) -> Self {
        let client = client.clone();
        let asked = tokio::spawn(async move { client.ask(&request("let us talk", true)).await });
        let mut turn = upstream.turn().await;
        assert!(turn.write(&sse_head()).await, "the host cut the upstream");
        assert!(turn.chunk(&events(Channel::Content, &["begin. "])[1]).await, "the host cut the upstream");
        let reply = within("the head of the answer", asked).await.expect("the caller runs");
        Self { turn, reply, got: Vec::new(), from: 0, words: 0 }
    }

    /// The exchange's id.
    #[must_use]
    pub fn exchange(&self) -> String {
        self.reply.header("x-request-id").expect("every answer names its exchange").to_owned()
    }

    /// Says one word that holds [`SSN`] and reads until it has come out; what came in the secret's place. The word's own
    /// end is plain text: what a policy puts in the secret's place (`[SSN]`) may be the begin of something that the next
    /// policy looks for, and would be kept until more is said.
    ///
    /// # Panics
    /// When the stream is stopped.
    pub async fn word(&mut self) -> String {
        self.words += 1;
        let said = format!("word {} is {SSN} , so far ", self.words);
        assert!(self.turn.chunk(&events(Channel::Content, &[&said])[1]).await, "the host cut the upstream");
        let begin = format!("word {} is ", self.words);
        loop {
            let heard = Heard::stream(&self.got[self.from..]);
            assert_eq!(heard.error, None, "the stream was stopped");
            if let Some((_, rest)) = heard.text(0, "content").split_once(&begin)
                && let Some((instead, _)) = rest.split_once(" ,")
            {
                self.from = self.got.len();
                return instead.to_owned();
            }
            self.got.extend(self.reply.chunk().await.expect("the stream goes on"));
        }
    }

    /// Ends the stream in order; all that was delivered.
    pub async fn end(mut self) -> Vec<u8> {
        self.turn.chunk(b"data: [DONE]\n\n").await;
        self.turn.write(b"0\r\n\r\n").await;
        self.turn.done();
        self.got.extend(self.reply.rest().await);
        self.got
    }
}
