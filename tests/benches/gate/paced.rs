//! How late an event is: a model that speaks a word every few milliseconds, and when each word reaches the caller. An answer
//! that is gathered before it is passed on shows here by the time that all of it takes.
//!
//! The upstream is in this process, so that both ends read one clock: each word is the time at which it was sent.

use std::{
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

use scenarios::rig::{Channel, Durability, Setup, events, http_chunks, request, sse_head};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{load::us, process::Role};

/// Words of an answer.
const WORDS: usize = 60;
/// Time between two words.
const PACE: Duration = Duration::from_millis(5);
/// Answers that each caller takes.
const ANSWERS: usize = 6;
/// Callers at once.
const AT_ONCE: [usize; 2] = [1, 64];
/// Letters of a time, sixteen for each digit.
const LETTERS: usize = 10;
/// What a word begins with that is a time.
const MARK: &[u8] = b"zq";

/// Where the space between two words stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// A word is complete with its event.
    Behind,
    /// A word is complete with the event after it, as most models speak: what could go on is held until it does not.
    Before,
}

/// Measures and prints all rows.
pub(crate) async fn measure() {
    let whole = PACE * u32::try_from(WORDS).unwrap_or(u32::MAX);
    println!("\n### While it streams: a word every {} ms, {} ms in all\n", PACE.as_millis(), whole.as_millis());
    println!(
        "| what | words | at once | first word p50 | p99 | a word p50 | p99 | most | p50 added | p99 added |\n\
         |---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    for (space, words) in [(Space::Behind, "`word␣`"), (Space::Before, "`␣word`")] {
        let upstream = upstream(space).await;
        let mut base = Vec::new();
        for at_once in AT_ONCE {
            let lateness = Lateness::of(upstream, "x", at_once).await;
            println!("{}", lateness.row("directly", words, at_once, None));
            base.push(lateness);
        }
        let bare = Role::start(&["bare", &upstream.to_string()]).await;
        for (at_once, base) in AT_ONCE.into_iter().zip(&base) {
            let lateness = Lateness::of(bare.address, "x", at_once).await;
            println!("{}", lateness.row("bare hyper pass-through", words, at_once, Some(base)));
        }
        for (chain, masked) in [("no policy", false), ("mask", true)] {
            for durability in [Durability::Strict, Durability::Off] {
                let setup = Setup::new().durability(durability);
                let setup = if masked { setup.policy("10-mask.wasm", "mask") } else { setup };
                let host = setup.start(upstream).await;
                let client = host.client();
                for (at_once, base) in AT_ONCE.into_iter().zip(&base) {
                    let lateness = Lateness::of(client.address, &client.token, at_once).await;
                    let name = format!("{chain}, {}", durability.as_str());
                    println!("{}", lateness.row(&name, words, at_once, Some(base)));
                }
            }
        }
    }
}

/// Times from the question to the first word, and from the sending of each word to its arrival; sorted.
struct Lateness {
    first: Vec<Duration>,
    words: Vec<Duration>,
}

impl Lateness {
    async fn of(address: SocketAddr, token: &str, at_once: usize) -> Self {
        let body = request("Please tell me about foxes.", true);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let question = [head.as_bytes(), &body].concat();
        let mut callers = JoinSet::new();
        for caller in 0..at_once {
            let question = question.clone();
            callers.spawn(async move {
                // Not all in step.
                tokio::time::sleep(PACE * u32::try_from(caller).unwrap_or(0) / 16).await;
                let mut stream = TcpStream::connect(address).await.expect("it listens");
                let _ = stream.set_nodelay(true);
                let mut times = Self { first: Vec::new(), words: Vec::new() };
                // The first answer warms up.
                for answer in 0..=ANSWERS {
                    let heard = exchange(&mut stream, &question).await.expect("a whole answer");
                    if answer > 0 {
                        times.first.push(heard.first);
                        times.words.extend(heard.words);
                    }
                }
                times
            });
        }
        let mut all = Self { first: Vec::new(), words: Vec::new() };
        for times in callers.join_all().await {
            all.first.extend(times.first);
            all.words.extend(times.words);
        }
        all.first.sort_unstable();
        all.words.sort_unstable();
        all
    }

    fn row(&self, what: &str, words: &str, at_once: usize, base: Option<&Self>) -> String {
        let at = |times: &[Duration], percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        let added = |percent| {
            base.map(|base| us(at(&self.words, percent).saturating_sub(at(&base.words, percent)))).unwrap_or_default()
        };
        let cells = [
            us(at(&self.first, 50)),
            us(at(&self.first, 99)),
            us(at(&self.words, 50)),
            us(at(&self.words, 99)),
            us(at(&self.words, 100)),
            added(50),
            added(99),
        ];
        format!("| {what} | {words} | {at_once} | {} |", cells.join(" | "))
    }
}

struct Heard {
    first: Duration,
    words: Vec<Duration>,
}

/// One exchange; `None` when not all words came.
async fn exchange(stream: &mut TcpStream, question: &[u8]) -> Option<Heard> {
    let asked = Instant::now();
    stream.write_all(question).await.ok()?;
    let (mut answer, mut seen, mut heard) = (Vec::with_capacity(32 << 10), 0, Vec::with_capacity(WORDS));
    let mut first = None;
    while !answer.ends_with(b"\r\n0\r\n\r\n") {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
        let now = Instant::now();
        while let Some(found) = answer[seen..].windows(MARK.len()).position(|two| two == MARK) {
            let at = seen + found + MARK.len();
            let Some(letters) = answer.get(at..at + LETTERS) else { break };
            heard.push(now.saturating_duration_since(sent(letters)));
            first.get_or_insert(now - asked);
            seen = at + LETTERS;
        }
    }
    (heard.len() == WORDS).then_some(Heard { first: first?, words: heard })
}

/// When this process began to count.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A word that says what time it is.
fn word(space: Space) -> String {
    let nanos = epoch().elapsed().as_nanos();
    let letter = |at: usize| char::from(b'a' + u8::try_from(nanos >> (4 * at) & 15).unwrap_or(0));
    let time: String = (0..LETTERS).rev().map(letter).collect();
    let mark = String::from_utf8_lossy(MARK);
    match space {
        Space::Behind => format!("{mark}{time} "),
        Space::Before => format!(" {mark}{time}"),
    }
}

fn sent(letters: &[u8]) -> Instant {
    let nanos = letters.iter().fold(0_u64, |nanos, letter| nanos << 4 | u64::from(letter - b'a'));
    epoch() + Duration::from_nanos(nanos)
}

/// An upstream that speaks a word at a time, for as long as the process lives.
async fn upstream(space: Space) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    epoch();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(speak(stream, space));
        }
    });
    address
}

async fn speak(mut stream: TcpStream, space: Space) -> Option<()> {
    let _ = stream.set_nodelay(true);
    let mut unread = Vec::with_capacity(4096);
    // What stands before and behind the event of a word.
    let frame = events(Channel::Content, &[""]);
    loop {
        crate::upstream::request(&mut stream, &mut unread).await?;
        stream.write_all(&sse_head()).await.ok()?;
        stream.write_all(&http_chunks(&[&frame[0]])[0]).await.ok()?;
        let mut tick = tokio::time::interval(PACE);
        for _ in 0..WORDS {
            tick.tick().await;
            let event = events(Channel::Content, &[&word(space)]).swap_remove(1);
            stream.write_all(&http_chunks(&[&event])[0]).await.ok()?;
        }
        let end = frame[2..].concat();
        stream.write_all(&http_chunks(&[&end]).concat()).await.ok()?;
    }
}
