//! The canary matrix: whatever channel a secret comes on, wherever the network or the provider cuts it, streamed or
//! whole, no caller can put it together again, and what the caller gets is the same as from an uncut answer.
//!
//! `PORTCULLIS_LONG=1` makes the provider's tokens shorter, so that the bodies are longer, and the random cases more.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use scenarios::rig::{
    CHANNELS, Channel, Client, Dice, Durability, End, Heard, Host, SSN, Setup, Upstream, events, http_chunks,
    json_head, request, sse_head, streamed, whole,
};

/// Exchanges at once.
const AT_ONCE: usize = 32;
const SAID: &str = "my ssn is 078-05-1120 ok";
const MASKED: &str = "my ssn is [SSN] ok";

/// One answer, as pieces that the host reads one by one.
struct Case {
    name: String,
    channel: Channel,
    streamed: bool,
    pieces: Vec<Vec<u8>>,
    wanted: String,
    /// What the first choice says when the secret is in the second.
    beside: Option<String>,
}

fn long() -> bool {
    std::env::var_os("PORTCULLIS_LONG").is_some()
}

/// A stream, cut in two at each position.
fn cut_streams(channel: Channel) -> Vec<Case> {
    let size = if long() { 2 } else { 7 };
    let body = streamed(channel, SAID, size);
    let tokens = channel.carried(SAID).chars().count().div_ceil(size);
    (1..body.len())
        .map(|cut| {
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&[&body[..cut], &body[cut..]]));
            case(format!("{channel:?} stream cut at {cut}"), channel, Some(tokens), pieces)
        })
        .collect()
}

/// A stream whose provider cut the text in two at each position, the two events far apart.
fn cut_texts(channel: Channel) -> Vec<Case> {
    let text = channel.carried(SAID);
    (1..text.len())
        .map(|cut| {
            let events = events(channel, &[&text[..cut], &text[cut..]]);
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&events.iter().map(Vec::as_slice).collect::<Vec<_>>()));
            case(format!("{channel:?} text cut at {cut}"), channel, Some(2), pieces)
        })
        .collect()
}

/// A whole answer, cut in two at each position.
fn cut_wholes(channel: Channel) -> Vec<Case> {
    let body = whole(channel, SAID);
    (1..body.len())
        .map(|cut| {
            let mut first = json_head(200, body.len());
            first.extend_from_slice(&body[..cut]);
            case(format!("{channel:?} whole cut at {cut}"), channel, None, vec![first, body[cut..].to_vec()])
        })
        .collect()
}

/// The same with the secret written in JSON's escapes, as some providers do.
fn escaped() -> Vec<Case> {
    let secret: String = SSN.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let stream = String::from_utf8(events(Channel::Content, &[SAID]).concat()).unwrap().replace(SSN, &secret);
    let whole = String::from_utf8(whole(Channel::Content, SAID)).unwrap().replace(SSN, &secret);
    let mut cases = Vec::new();
    for cut in 1..stream.len() {
        let mut pieces = vec![sse_head()];
        pieces.extend(http_chunks(&[&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]]));
        cases.push(case(format!("escaped stream cut at {cut}"), Channel::Content, Some(1), pieces));
    }
    for cut in 1..whole.len() {
        let mut first = json_head(200, whole.len());
        first.extend_from_slice(&whole.as_bytes()[..cut]);
        let pieces = vec![first, whole.as_bytes()[cut..].to_vec()];
        cases.push(case(format!("escaped whole cut at {cut}"), Channel::Content, None, pieces));
    }
    cases
}

/// A case; `tokens`: how many events carry its text, when it is streamed.
fn case(name: String, channel: Channel, tokens: Option<usize>, pieces: Vec<Vec<u8>>) -> Case {
    let beside = beside(channel, tokens);
    Case { name, channel, streamed: tokens.is_some(), pieces, wanted: channel.carried(MASKED), beside }
}

/// Random texts on random channels, cut by a random provider and again by a random network.
fn random(count: usize) -> Vec<Case> {
    let mut dice = Dice::new(0x5eed);
    let words = ["ok", "é", "日本", "🙂", "12", "-", "078-05", "\n", "\"", "\\", " "];
    (0..count)
        .map(|number| {
            let channel = *dice.pick(&CHANNELS);
            let (mut said, mut wanted) = (String::new(), String::new());
            for _ in 0..1 + dice.below(6) {
                let secret = dice.below(3) == 0;
                let word = if secret { SSN } else { *dice.pick(&words) };
                // A space on both sides, so that neighbours make no longer number.
                said.push_str(&format!(" {word} "));
                wanted.push_str(&format!(" {} ", if secret { "[SSN]" } else { word }));
            }
            let text = channel.carried(&said);
            let characters: Vec<(usize, char)> = text.char_indices().collect();
            let mut tokens = Vec::new();
            let mut from = 0;
            while from < characters.len() {
                let to = (from + 1 + dice.below(7)).min(characters.len());
                let end = characters.get(to).map_or(text.len(), |(at, _)| *at);
                tokens.push(&text[characters[from].0..end]);
                from = to;
            }
            let body = events(channel, &tokens).concat();
            let mut parts: Vec<&[u8]> = Vec::new();
            let mut rest: &[u8] = &body;
            while !rest.is_empty() {
                let (part, behind) = rest.split_at((1 + dice.below(rest.len().min(400))).min(rest.len()));
                parts.push(part);
                rest = behind;
            }
            let mut pieces = vec![sse_head()];
            pieces.extend(http_chunks(&parts));
            let mut case = case(format!("random {number} {channel:?}"), channel, Some(tokens.len()), pieces);
            case.wanted = channel.carried(&wanted);
            case
        })
        .collect()
}

/// Runs every case through one host; the request says which one it is.
async fn run(cases: Vec<Case>) {
    let cases = Arc::new(cases);
    let answers = Arc::clone(&cases);
    let upstream = Upstream::answering(move |received| {
        let request: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
        let said = request["messages"][0]["content"].as_str().unwrap();
        answers[said.strip_prefix("case ").unwrap().parse::<usize>().unwrap()].pieces.clone()
    })
    .await;
    let host =
        Setup::new().durability(Durability::Bounded).policy("10-mask.wasm", "mask").start(upstream.address).await;
    let client = host.client();
    let mut results = stream::iter(0..cases.len())
        .map(|number| {
            let (client, cases) = (client.clone(), Arc::clone(&cases));
            async move { (number, one(&client, number, &cases[number]).await) }
        })
        .buffer_unordered(AT_ONCE);
    let mut wrong = Vec::new();
    while let Some((number, result)) = results.next().await {
        if let Err(what) = result {
            wrong.push(format!("{}: {what}", cases[number].name));
        }
    }
    report(&host, cases.len(), &wrong);
}

async fn one(client: &Client, number: usize, case: &Case) -> Result<(), String> {
    let mut reply = client.ask(&request(&format!("case {number}"), case.streamed)).await;
    let mut body = Vec::new();
    while let Some(chunk) = reply.chunk().await {
        body.extend_from_slice(&chunk);
        if case.streamed {
            // Valid at every prefix: each event that is there is whole, and panics here if it is not JSON.
            let _ = Heard::stream(&body);
        }
    }
    if (reply.status, reply.end) != (200, Some(End::Complete)) {
        return Err(format!("{} {:?}: {}", reply.status, reply.end, String::from_utf8_lossy(&body)));
    }
    let heard = if case.streamed { Heard::stream(&body) } else { Heard::whole(&body) };
    if let Some(leak) = heard.leak(SSN) {
        return Err(format!("LEAK: {leak}"));
    }
    let (choice, channel) = case.channel.heard_as();
    let text = heard.text(choice, channel);
    if text != case.wanted {
        return Err(format!("{text:?} instead of {:?}", case.wanted));
    }
    if let Some(beside) = case.beside.as_ref().filter(|beside| heard.text(0, "content") != beside.as_str()) {
        return Err(format!("the first choice became {:?} instead of {beside:?}", heard.text(0, "content")));
    }
    if case.streamed && !heard.done {
        return Err("no [DONE]".to_owned());
    }
    Ok(())
}

/// What the first choice says beside a secret in the second: in a stream a word for each token of the second.
fn beside(channel: Channel, tokens: Option<usize>) -> Option<String> {
    (channel == Channel::SecondChoice).then(|| match tokens {
        Some(tokens) => format!("nothing {}", "here ".repeat(tokens)),
        None => "nothing here".to_owned(),
    })
}

fn report(host: &Host, count: usize, wrong: &[String]) {
    println!("{count} cases through {}, {} wrong", host.pid(), wrong.len());
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_cut_anywhere() {
    run(CHANNELS.into_iter().flat_map(cut_streams).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_cut_anywhere_by_the_provider() {
    run(CHANNELS.into_iter().flat_map(cut_texts).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_answers_cut_anywhere() {
    run(CHANNELS.into_iter().flat_map(cut_wholes).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_escapes() {
    run(escaped()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_texts_cut_at_random() {
    run(random(if long() { 5_000 } else { 300 })).await;
}
