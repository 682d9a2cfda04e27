//! kill -9 while streams run: whatever a caller has received in strict mode is on record after the restart, to the
//! byte. `PORTCULLIS_LONG=1` does it many times.

use scenarios::rig::{Channel, Dice, Heard, Setup, Upstream, delivered, entries, events, request, sse_head};

/// Streams that run when the host is killed.
const STREAMS: usize = 8;

fn rounds() -> usize {
    if std::env::var_os("PORTCULLIS_LONG").is_some() { 100 } else { 4 }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chunk_that_was_received_is_on_record() {
    let mut dice = Dice::new(9);
    let mut upstream = Upstream::start().await;
    let mut host = Setup::new().policy("10-mask.wasm", "mask").start(upstream.address).await;
    for round in 0..rounds() {
        let mut received = Vec::new();
        for number in 0..STREAMS {
            let client = host.client();
            let text = format!("round {round} stream {number}");
            received.push(tokio::spawn(async move {
                let mut reply = client.ask(&request(&text, true)).await;
                let id = reply.header("x-request-id").expect("every answer names its exchange").to_owned();
                (id, reply.rest().await)
            }));
        }
        let mut turns = Vec::new();
        for _ in 0..STREAMS {
            let mut turn = upstream.turn().await;
            assert!(turn.write(&sse_head()).await);
            turns.push(turn);
        }
        // Each upstream speaks without end until the host is gone.
        let speaking: Vec<_> = turns
            .into_iter()
            .map(|mut turn| {
                let mut dice = dice.clone();
                tokio::spawn(async move {
                    let mut word = 0;
                    loop {
                        let text = format!("word {word} of 078-05-1120, ");
                        if !turn.chunk(&events(Channel::Content, &[&text])[1]).await {
                            return word;
                        }
                        word += 1;
                        if dice.below(8) == 0 {
                            turn.read_by_host().await;
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        // Not after a time, but after a number of words: the store is then somewhere in the middle of its work.
        let enough = 20 + dice.below(200);
        until_heard(&host, enough).await;
        host.kill9().await;
        let mut exchanges = Vec::new();
        for task in received {
            exchanges.push(task.await.expect("a client reads to the end"));
        }
        for speaker in speaking {
            assert!(speaker.await.expect("an upstream speaks to the end") > 0);
        }
        // The store that the kill left behind can be read as it is …
        let offline = host.cli().json(&["sessions", "show", &exchanges[0].0]);
        assert!(delivered(&offline).as_bytes().starts_with(&exchanges[0].1), "round {round}, not restarted");
        // … and whole by the host that takes it over.
        host = host.restart().await;
        for (id, got) in exchanges {
            let record = host.cli().json(&["sessions", "show", &id]);
            let kept = delivered(&record);
            assert!(
                kept.as_bytes().starts_with(&got),
                "round {round}: {id} received {} bytes that are not on record ({} are)",
                got.len(),
                kept.len()
            );
            assert_eq!(entries(&record, "Request").count(), 1, "the prompt was durable before it went upstream");
            assert_eq!(Heard::stream(&got).leak("078-05-1120"), None);
        }
    }
}

/// Waits until the host has recorded this many chunks of running exchanges.
async fn until_heard(host: &scenarios::rig::Host, chunks: usize) {
    scenarios::rig::within("chunks on record", async {
        loop {
            let exchanges = host.look("/v1/exchanges?limit=8").await;
            let mut seen = 0;
            for exchange in exchanges["exchanges"].as_array().into_iter().flatten() {
                let id = exchange["exchange"].as_str().expect("an exchange has an id");
                seen += entries(&host.record(id).await, "Chunk").count();
            }
            if seen >= chunks {
                return;
            }
        }
    })
    .await;
}
