//! The contract beyond Rust: the same policy written in Rust, C and JavaScript gives the same bytes, and one takes
//! another's place in the middle of a stream with nothing lost. The components are those of `examples/policies`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::PathBuf;

use scenarios::rig::{
    Channel, End, Heard, Setup, Upstream, events, http_chunks, policies, repository, request, sse_head, within,
};

const LANGUAGES: [&str; 3] = ["rust", "c", "javascript"];
const SAID: &str =
    "write to jane.doe@example.com, ssn 078-05-1120, not x078-05-1120 nor 078-05-11201; naïve 🙂 219-09-9999.";
const MASKED: &str = "write to [EMAIL], ssn [SSN], not x078-05-1120 nor 078-05-11201; naïve 🙂 [SSN].";

fn component(language: &str) -> PathBuf {
    let path = repository().join("examples/policies").join(language).join("ssn_guard.wasm");
    assert!(path.is_file(), "{} is missing: run examples/policies/build", path.display());
    path
}

/// Events with the text in tokens of so many characters.
fn tokens(size: usize) -> Vec<Vec<u8>> {
    let characters: Vec<char> = SAID.chars().collect();
    let pieces: Vec<String> = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
    events(Channel::Content, &pieces.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_language_gives_the_same_bytes() {
    let upstream = Upstream::answering(|_| {
        let events = tokens(3);
        let mut pieces = vec![sse_head()];
        pieces.extend(http_chunks(&events.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        pieces
    })
    .await;
    let mut answers = Vec::new();
    for language in LANGUAGES {
        let host = Setup::new().component("10-guard.wasm", &component(language), None).start(upstream.address).await;
        let (reply, body) = host.client().whole(&request("hello", true)).await;
        assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{language}");
        assert_eq!(Heard::stream(&body).text(0, "content"), MASKED, "{language}");
        answers.push(String::from_utf8(body).unwrap());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

/// Every few tokens another language takes over: not a byte differs from what one alone delivers.
#[tokio::test(flavor = "multi_thread")]
async fn languages_take_over_in_the_middle_of_a_stream() {
    let mut upstream = Upstream::start().await;
    let host = Setup::new().component("10-guard.wasm", &component("rust"), None).start(upstream.address).await;
    let (alone, _) = stream(&host, &mut upstream, &["rust"]).await;
    // Each is compiled once, before a stream needs it.
    for language in LANGUAGES {
        swap(&host, language).await;
    }
    for languages in [&LANGUAGES[..], &["c", "javascript"]] {
        let (swapped, swaps) = stream(&host, &mut upstream, languages).await;
        let heard = Heard::stream(&swapped);
        assert_eq!((heard.text(0, "content"), heard.done), (MASKED, true));
        assert!(swaps >= 10, "{swaps}");
        assert_eq!(String::from_utf8(swapped).unwrap(), String::from_utf8(alone.clone()).unwrap());
    }
}

/// One stream, event by event, while these languages take turns; what was delivered, and how often they did.
async fn stream(host: &scenarios::rig::Host, upstream: &mut Upstream, languages: &[&str]) -> (Vec<u8>, usize) {
    let client = host.client();
    let asked = tokio::spawn(async move { client.whole(&request("hello", true)).await });
    let mut turn = upstream.turn().await;
    turn.write(&sse_head()).await;
    let mut swaps = 0;
    for (at, event) in tokens(2).iter().enumerate() {
        turn.chunk(event).await;
        turn.read_by_host().await;
        if at % 5 == 4 {
            swaps += 1;
            swap(host, languages[swaps % languages.len()]).await;
        }
    }
    turn.write(b"0\r\n\r\n").await;
    turn.done();
    let (reply, body) = within("the answer", asked).await.unwrap();
    assert_eq!((reply.status, reply.end), (200, Some(End::Complete)));
    (body, swaps)
}

/// Puts a language's component into force.
async fn swap(host: &scenarios::rig::Host, language: &str) {
    let before = digest(&host.look("/v1/policies").await);
    let bytes = std::fs::read(component(language)).unwrap();
    let same = host.folder().join("10-guard.wasm");
    if std::fs::read(&same).unwrap() == bytes {
        return;
    }
    host.put("10-guard.wasm", &bytes);
    host.until_set(&format!("{language} in force"), |set| digest(set) != before && policies(set).count() == 1).await;
}

fn digest(set: &serde_json::Value) -> String {
    set["policies"][0]["wasm_digest"].as_str().unwrap_or_default().to_owned()
}
