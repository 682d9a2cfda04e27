//! Revocation where it is hardest: among hundreds of streams, through a flood, and with the disk full. How fast it is,
//! `benches/revoke` measures; here, that it is right.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::{
    io::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use scenarios::rig::{Client, End, Heard, Host, Listening, Setup, Upstream, alone, request, within};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::watch, task::JoinSet};

/// Callers in the crowd, and streams of each: 500 together.
const CALLERS: usize = 10;
const STREAMS: usize = 50;
/// Who is revoked.
const REVOKED: usize = 3;
const PACE: Duration = Duration::from_millis(500);

/// Callers of the flood, and connections that only hold their place.
const FLOODING: usize = 64;
const HOLDING: usize = 256;

/// The journal takes 64 MiB when the host starts.
const DISK: u64 = 96 << 20;
/// Revocations on a full disk.
const ORDERS: usize = 40;

async fn revoke(host: &Host, caller: usize) -> (u16, Value) {
    let target = json!({ "caller": { "subject": format!("caller-{caller}") } });
    host.order("/v1/revoke", &json!({ "target": target, "reason": "INC-4711" })).await
}

/// A cut stream: it does not look complete, and says why in the dialect's form.
fn assert_cut(end: End, body: &[u8]) {
    let heard = Heard::stream(body);
    assert_eq!(end, End::Broken, "{heard:?}");
    assert_eq!(heard.error.as_ref().map(|error| error["code"].clone()), Some("revoked".into()), "{heard:?}");
    assert!(!heard.done && heard.finish.is_empty(), "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_caller_of_many_is_cut_and_the_others_hear_everything() {
    let (end, ending) = watch::channel(false);
    let upstream = Upstream::speaking(PACE, ending).await;
    let host = Setup::new().callers(CALLERS).policy("10-mask.wasm", "mask").start(upstream.address).await;
    let streams = Listening::open(&host, 0..CALLERS, STREAMS).await;

    let (status, told) = revoke(&host, REVOKED).await;
    assert_eq!((status, &told["streams"], &told["callers"]), (200, &STREAMS.into(), &1.into()), "{told}");
    for _ in 0..20 {
        assert_eq!(host.caller_at(REVOKED).whole(&request("hello", true)).await.0.status, 401);
    }
    let (revoked, others): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| stream.caller == REVOKED);
    assert_eq!((revoked.len(), others.len()), (STREAMS, (CALLERS - 1) * STREAMS));
    for stream in revoked {
        let heard = stream.ended().await;
        assert_cut(heard.end, &heard.body);
    }
    assert!(others.iter().all(Listening::runs), "nobody else is touched");
    end.send(true).unwrap();
    for stream in others {
        let heard = stream.ended().await;
        let said = Heard::stream(&heard.body);
        assert_eq!((heard.end, said.done, &said.error), (End::Complete, true, &None));
        assert!(said.text(0, "content").ends_with("a word. "), "{said:?}");
    }
    assert_eq!(upstream.received().len(), CALLERS * STREAMS, "nothing of a revoked caller goes upstream");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_gets_through_a_flood() {
    let (_end, ending) = watch::channel(false);
    let upstream = Upstream::speaking(PACE, ending).await;
    let host = Setup::new().callers(2).policy("10-mask.wasm", "mask").start(upstream.address).await;
    let [flooding, watching] = [Listening::open(&host, [0], 1).await, Listening::open(&host, [1], 4).await];
    let flood = Flood::start(&host).await;
    flood.answered(FLOODING).await;

    let (status, told) = revoke(&host, 1).await;
    assert_eq!((status, &told["streams"]), (200, &4.into()), "{told}");
    for stream in watching {
        let heard = stream.ended().await;
        assert_cut(heard.end, &heard.body);
    }
    assert_eq!(host.caller_at(1).whole(&request("hello", false)).await.0.status, 401);
    let told = host.cli().json(&["revoke", "--caller", "caller-0", "--reason", "it floods"]);
    assert_eq!(told["callers"], 1, "one stream of it runs in any case: {told}");
    for stream in flooding {
        let heard = stream.ended().await;
        assert_cut(heard.end, &heard.body);
    }
    flood.answered(FLOODING).await;
    assert_eq!(host.caller_at(0).whole(&request("hello", false)).await.0.status, 401);
}

/// Callers with a good credential, with a bad one, and with none, who ask as fast as they can.
struct Flood {
    answers: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    _asking: JoinSet<()>,
    _holding: Vec<TcpStream>,
}

impl Flood {
    async fn start(host: &Host) -> Self {
        let (answers, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut holding = Vec::new();
        for _ in 0..HOLDING {
            let stream = TcpStream::connect(host.client().address).await.unwrap();
            stream.try_write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n").unwrap();
            holding.push(stream);
        }
        let mut asking = JoinSet::new();
        for at in 0..FLOODING {
            let client = match at % 4 {
                0 => host.caller("nobody"),
                1 => host.caller("a.b.c"),
                _ => host.caller_at(0),
            };
            asking.spawn(ask_on(client, Arc::clone(&answers), Arc::clone(&stop)));
        }
        Self { answers, stop, _asking: asking, _holding: holding }
    }

    /// Waits until so many more were answered.
    async fn answered(&self, more: usize) {
        let enough = self.answers.load(Ordering::Relaxed) + more;
        within("answers to the flood", async {
            while self.answers.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn ask_on(client: Client, answers: Arc<AtomicUsize>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        client.whole(&request("hello", false)).await;
        answers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Writes until there is no room for a byte more.
fn fill(folder: &Path) {
    let mut file = std::fs::File::create(folder.join("filler")).unwrap();
    for piece in [1 << 20, 4 << 10, 1] {
        let bytes = vec![7_u8; piece];
        while file.write(&bytes).is_ok_and(|written| written > 0) {}
    }
    assert_eq!(file.write(b"x").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_kept_when_the_disk_is_full() {
    if !alone("a_revocation_is_kept_when_the_disk_is_full") {
        return;
    }
    let (_end, ending) = watch::channel(false);
    let upstream = Upstream::speaking(PACE, ending).await;
    let mut host = Setup::new().callers(3).disk(DISK).start(upstream.address).await;
    assert_eq!(host.caller_at(0).whole(&request("hello", false)).await.0.status, 200);
    let streams = Listening::open(&host, [1], 2).await;
    let received = upstream.received().len();

    fill(&host.home().join("store"));
    for caller in [0, 1] {
        let (status, told) = revoke(&host, caller).await;
        assert_eq!((status, &told["already"]), (200, &false.into()), "{told}");
    }
    for at in 2..ORDERS {
        let target = json!({ "sha256": format!("{at:064x}") });
        let (status, told) = host.order("/v1/revoke", &json!({ "target": target })).await;
        assert_eq!(status, 200, "{told}");
    }
    for stream in streams {
        let heard = stream.ended().await;
        assert_cut(heard.end, &heard.body);
    }
    for caller in [0, 1] {
        assert_eq!(host.caller_at(caller).whole(&request("hello", false)).await.0.status, 401);
    }
    assert_eq!(upstream.received().len(), received);

    host.kill9().await;
    std::fs::remove_file(host.home().join("store/filler")).unwrap();
    let host = host.restart().await;
    for (caller, expected) in [(0, 401), (1, 401), (2, 200)] {
        assert_eq!(host.caller_at(caller).whole(&request("hello", false)).await.0.status, expected, "{caller}");
    }
    let list = host.look("/v1/revocations").await;
    assert_eq!(list["revocations"].as_array().map(Vec::len), Some(ORDERS), "{list}");
}
