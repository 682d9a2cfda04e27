//! How fast a revocation is: 500 streams run, one caller of ten is revoked, again and again.
//!
//! `cargo bench -p scenarios --bench revoke` after `cargo build --release -p portcullis` prints the table of
//! `host/docs/performance.md`. `REVOKE_ROUNDS` (default 20) is how often. Callers, upstream and host share the machine,
//! so the readers' own delays are in the figures.

use std::{
    env,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use scenarios::rig::{End, Host, Listening, Setup, Upstream, binary, request};
use serde_json::json;
use tokio::sync::watch;

const CALLERS: usize = 10;
/// Streams of each.
const STREAMS: usize = 50;
/// Between two words of a stream.
const PACE: Duration = Duration::from_millis(500);
/// New requests of the revoked caller, all at once, when the revocation is acknowledged.
const REQUESTS: usize = 8;

fn main() {
    let rounds = env::var("REVOKE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(measure(rounds));
}

async fn measure(rounds: usize) {
    println!("binary: {}", binary().display());
    let (end, ending) = watch::channel(false);
    let upstream = Upstream::speaking(PACE, ending).await;
    let host = Setup::new().callers(CALLERS).policy("10-mask.wasm", "mask").start(upstream.address).await;
    let mut running = Listening::open(&host, 0..CALLERS, STREAMS).await;
    let mut seen = Seen::default();
    for round in 0..rounds {
        let caller = round % CALLERS;
        let (concerned, others): (Vec<_>, Vec<_>) = running.into_iter().partition(|stream| stream.caller == caller);
        seen.round(&host, caller, concerned).await;
        assert!(others.iter().all(Listening::runs), "a stream of another caller has ended");
        running = others;
        running.extend(Listening::open(&host, [caller], STREAMS).await);
    }
    end.send(true).expect("the upstream speaks");
    for stream in running {
        assert_eq!(stream.ended().await.end, End::Complete, "a stream of another caller was touched");
    }
    println!("{rounds} revocations among {} streams, {STREAMS} concerned by each\n", CALLERS * STREAMS);
    println!("| from the acknowledgement | samples | p50 | p99 | most |\n|---|---|---|---|---|");
    println!("{}", row("until a new request is refused", &mut seen.refused));
    println!("{}", row("until the last byte of a stream", &mut seen.ended));
    println!("{}", row("the order itself, until its acknowledgement", &mut seen.acknowledged));
    println!("\n{} new requests were let in after it; every other stream ran to its end", seen.let_in);
}

#[derive(Default)]
struct Seen {
    acknowledged: Vec<Duration>,
    refused: Vec<Duration>,
    ended: Vec<Duration>,
    let_in: usize,
}

impl Seen {
    async fn round(&mut self, host: &Host, caller: usize, streams: Vec<Listening>) {
        let target = json!({ "caller": { "subject": format!("caller-{caller}") } });
        let begun = Instant::now();
        let (status, told) = host.order("/v1/revoke", &json!({ "target": target })).await;
        let acknowledged = Instant::now();
        assert_eq!((status, told["streams"].as_u64()), (200, Some(STREAMS as u64)), "{told}");
        let client = host.caller_at(caller);
        let body = request("hello", true);
        let statuses = join_all((0..REQUESTS).map(|_| async {
            let status = client.ask(&body).await.status;
            (status, acknowledged.elapsed())
        }));
        for (status, after) in statuses.await {
            self.let_in += usize::from(status != 401);
            self.refused.push(after);
        }
        for stream in streams {
            let heard = stream.ended().await;
            assert_eq!(heard.end, End::Broken, "a cut stream must not look complete");
            self.ended.push(heard.at.saturating_duration_since(acknowledged));
        }
        self.acknowledged.push(acknowledged - begun);
        let (status, told) = host.order("/v1/lift", &json!({ "target": told["target"] })).await;
        assert_eq!(status, 200, "{told}");
    }
}

fn row(name: &str, samples: &mut [Duration]) -> String {
    samples.sort_unstable();
    let at =
        |part: usize| samples[(samples.len() * part).div_ceil(100).clamp(1, samples.len()) - 1].as_secs_f64() * 1e3;
    format!("| {name} | {} | {:.1} ms | {:.1} ms | {:.1} ms |", samples.len(), at(50), at(99), at(100))
}
