//! What it costs to read an answer, to have all of its text cleared, and to write it out again: microseconds for a stream of
//! a hundred events and for a whole answer with its request, beside passing over the same bytes.
//!
//! `cargo run --release -p wire --example reading`. How often is the first argument, which of the two the second:
//! `valgrind --tool=callgrind … reading 100 stream` counts the instructions of just that, which no other load disturbs.

use std::{collections::BTreeMap, env, hint::black_box, time::Instant};

use bytes::BytesMut;
use model::{Family, PartId};
use wire::{Endpoint, Flow, Limits, Step};

const PATH: &str = "/v1/chat/completions";
const SENTENCE: &str = "The quick brown fox jumps over the lazy dog, twelve times a day. ";
const EVENTS: usize = 100;
/// Runs of each, unless an argument says otherwise.
const RUNS: u32 = 2_000;
/// Events that arrive together.
const BATCH: usize = 40;

/// Takes bodies, or batches of one, to their end; the bytes that leave.
type Read = fn(&dyn Endpoint, &[Vec<u8>]) -> usize;

fn main() {
    let mut arguments = env::args().skip(1);
    let runs = arguments.next().map_or(RUNS, |runs| runs.parse().expect("the first argument is a number of runs"));
    let only = arguments.next();
    let endpoint = wire::claim(Family::Openai, "POST", PATH).expect("the family has it");
    let cases: [(&str, Vec<Vec<u8>>, Read); 2] = [("stream", stream(), read_stream), ("whole", whole(), read_whole)];
    let known = only.as_deref().is_none_or(|only| cases.iter().any(|(name, ..)| *name == only));
    assert!(known, "the second argument is `stream` or `whole`");
    for (name, bodies, read) in cases {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let bytes: usize = bodies.iter().map(Vec::len).sum();
        let left = read(endpoint, &bodies);
        assert_eq!(left, bytes, "nothing changes, so that all of it leaves");
        let took = timed(runs, || read(endpoint, black_box(&bodies)));
        let over = timed(runs, || black_box(&bodies).iter().filter(|body| memchr::memchr(0, body).is_none()).count());
        println!("{name}: {bytes} bytes, {over:.2} µs to pass over, {took:.1} µs to read, clear and write");
    }
}

/// Events as they arrive.
fn stream() -> Vec<Vec<u8>> {
    let event = |delta: &str, finish: &str| {
        let choice = format!("{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}");
        let about = "\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-test\"";
        format!("data: {{{about},\"choices\":[{choice}]}}\n\n")
    };
    let words = SENTENCE.split_inclusive(' ').cycle().take(EVENTS);
    let mut events = vec![event("{\"role\":\"assistant\",\"content\":\"\"}", "null")];
    events.extend(words.map(|word| event(&format!("{{\"content\":\"{word}\"}}"), "null")));
    events.push(event("{}", "\"stop\""));
    events.push("data: [DONE]\n\n".to_owned());
    events.chunks(BATCH).map(|batch| batch.concat().into_bytes()).collect()
}

/// A request and its answer.
fn whole() -> Vec<Vec<u8>> {
    let said = "Please tell me about foxes and dogs, and how they jump. ".repeat(6);
    let request = format!("{{\"model\":\"gpt-test\",\"messages\":[{{\"role\":\"user\",\"content\":\"{said}\"}}]}}");
    let message = format!("{{\"role\":\"assistant\",\"content\":\"{}\",\"refusal\":null}}", SENTENCE.repeat(12));
    let choice = format!("{{\"index\":0,\"message\":{message},\"logprobs\":null,\"finish_reason\":\"stop\"}}");
    let about = "\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"gpt-test\"";
    let usage = "{\"prompt_tokens\":3,\"completion_tokens\":5,\"total_tokens\":8}";
    let answer = format!("{{{about},\"choices\":[{choice}],\"usage\":{usage}}}");
    [request, answer].map(String::into_bytes).to_vec()
}

fn read_stream(endpoint: &dyn Endpoint, batches: &[Vec<u8>]) -> usize {
    let flow = endpoint.response(200, "text/event-stream", Limits::default()).expect("it is a stream");
    relay(flow, batches)
}

fn read_whole(endpoint: &dyn Endpoint, bodies: &[Vec<u8>]) -> usize {
    let request = endpoint.request_at(PATH, "application/json", Limits::default()).expect("it is a request");
    let answer = endpoint.response(200, "application/json", Limits::default()).expect("it is an answer");
    relay(request, &bodies[..1]) + relay(answer, &bodies[1..])
}

/// Takes batches through a flow, clearing all text as it is told; the bytes that leave.
fn relay(mut flow: Box<dyn Flow>, batches: &[Vec<u8>]) -> usize {
    let (mut out, mut lengths) = (BytesMut::new(), BTreeMap::new());
    for batch in batches {
        flow.push(batch).expect("it is well formed");
        turn(&mut *flow, &mut out, &mut lengths);
    }
    flow.finish().expect("it is whole");
    turn(&mut *flow, &mut out, &mut lengths);
    out.len()
}

fn turn(flow: &mut dyn Flow, out: &mut BytesMut, lengths: &mut BTreeMap<PartId, u64>) {
    let mut due = Vec::new();
    while let Some(step) = flow.next() {
        match step {
            Step::Text { part, text } => {
                *lengths.entry(part).or_default() += text.len() as u64;
                due.push(part);
            }
            Step::End(part) => due.push(part),
            Step::Begin(_) | Step::Asked(_) | Step::ToolCall(_) => {}
        }
    }
    for part in due {
        flow.release(part, lengths.get(&part).copied().unwrap_or_default(), Vec::new());
    }
    flow.take(out);
}

/// Microseconds of one run.
fn timed(runs: u32, run: impl Fn() -> usize) -> f64 {
    let began = Instant::now();
    for _ in 0..runs {
        black_box(run());
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(runs)
}
