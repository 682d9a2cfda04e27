//! What recording costs: `cargo run --release -p store --example throughput [-- MODE [EXCHANGES [TASKS]]]`.
//!
//! Each task records one exchange after the other, as the path does: opened, request, `keep(Durable)`, a verdict, the
//! response's head, a chunk, closed, `keep(Durable)`; about 1.5 KiB of entries. Prints exchanges per second, CPU time of
//! the whole process per exchange, and how long it took until the last one could be read.

use std::{error::Error, sync::Arc, time::Instant};

use exchange::ports::{Recorder, Safety};
use model::{
    Attribute, Caller, Channel, Digest, Direction, Entry, ExchangeId, Generation, Outcome, PartId, SessionId, Usage,
    record::{Chunk, Closed, EditRecord, Judged, JudgedVerdict, Opened, PolicyTally, Request, ResponseHead, SetRef},
};
use store::{Durability, Store, StoreConfig};

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_else(|| "strict".to_owned());
    let durability: Durability = mode.parse().map_err(|()| format!("no mode is called {mode}"))?;
    let exchanges: u64 = arguments.next().map_or(Ok(100_000), |count| count.parse())?;
    let tasks: u64 = arguments.next().map_or(Ok(256), |count| count.parse())?;
    let folder = std::env::current_dir()?.join(format!("throughput-store-{}", std::process::id()));
    let config = StoreConfig { durability, ..StoreConfig::new(&folder) };
    let measured = measure(&config, exchanges, tasks);
    std::fs::remove_dir_all(&folder)?;
    measured
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn measure(config: &StoreConfig, exchanges: u64, tasks: u64) -> Result<(), Failed> {
    let store = Store::open(config)?;
    let (began, cpu) = (Instant::now(), cpu_micros());
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let store = Arc::clone(&store);
        let count = exchanges / tasks + u64::from(task < exchanges % tasks);
        running.spawn(async move {
            let session = SessionId::new();
            for _ in 0..count {
                exchange(&store, session).await?;
            }
            Ok::<_, Failed>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    let recorded = began.elapsed();
    store.settle().await?;
    let settled = began.elapsed();
    let micros = (cpu_micros() - cpu) as f64 / exchanges as f64;
    let bytes = store.status().appended / exchanges;
    println!(
        "{:?}: {:.0} exchanges/s, {micros:.1} µs CPU per exchange ({:.2} cores), {bytes} bytes per exchange, readable {:?} after the last",
        config.durability,
        exchanges as f64 / recorded.as_secs_f64(),
        micros * exchanges as f64 / 1e6 / settled.as_secs_f64(),
        settled - recorded,
    );
    store.close().await?;
    Ok(())
}

async fn exchange(store: &Store, session: SessionId) -> Result<(), Failed> {
    let set = SetRef { generation: Generation(1), digest: Digest([7; 32]) };
    let mut tape = store.open(Opened {
        exchange: ExchangeId::new(),
        session,
        at_ms: 1_700_000_000_000,
        caller: Caller { subject: "demo".into(), issuer: "token".into(), groups: vec![], claims: "{}".into() }.into(),
        connection: "openai".into(),
        dialect: "openai-chat".into(),
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        headers: vec![Attribute { name: "content-type".into(), value: "application/json".into() }],
        set,
    })?;
    let body = vec![b'q'; 400];
    tape.append(Entry::Request(Request { at: 100, model: "gpt".into(), streaming: false, body, forwarded: true }))?;
    tape.keep(Safety::Durable).await?;
    tape.append(Entry::Judged(judged(set)))?;
    tape.append(Entry::ResponseHead(ResponseHead { at: 300, status: 200, headers: vec![] }))?;
    tape.append(Entry::Chunk(Chunk { at: 310, data: vec![b'a'; 300] }))?;
    let tally = PolicyTally {
        policy: "mask".into(),
        digest: set.digest,
        generation: set.generation,
        calls: 2,
        cleared: 1,
        edits: 1,
    };
    tape.append(Entry::Closed(Closed {
        at: 400,
        outcome: Outcome::Completed,
        detail: String::new(),
        usage: Usage { input_tokens: 10, output_tokens: 20 },
        policies: vec![tally],
    }))?;
    Ok(tape.keep(Safety::Durable).await?)
}

fn judged(set: SetRef) -> Judged {
    Judged {
        at: 200,
        policy: "mask".into(),
        digest: set.digest,
        generation: set.generation,
        direction: Direction::Response,
        hook: "on-text".into(),
        part: Some((PartId(0), Channel::Content)),
        verdict: JudgedVerdict::Allow,
        edits: vec![EditRecord { start: 3, end: 14, by: "[SSN_1]".into(), reason: "pii.ssn".into(), was: [1; 16] }],
        notes: vec![],
        shadow: false,
    }
}

/// User and system time of the process in microseconds: fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms (proc(5)).
fn cpu_micros() -> u64 {
    const TICK_MICROS: u64 = 10_000;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks =
        |field| after_name.split_whitespace().nth(field).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * TICK_MICROS
}
