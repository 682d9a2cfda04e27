//! An answer that is stopped in mid-stream says so in its own dialect's form, is cut, and lets out nothing of what stopped it.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use scenarios::rig::{
    Channel, End, Heard, Host, Setup, Upstream, entries, events, repository, request, sse_head, within,
};

const BLOCK: &str = "[settings]\nwords = [\"launch codes\"]\ndirections = [\"response\"]\nspeakers = []\n";
const ANY: &str = "[[connection.endpoint]]\npath = \"/any\"\nmethods = [\"POST\"]\nview = [\"json\", \"sse\", \"ndjson\", \"text\"]\n";
const CHAT: &str = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const SSE: &str = "text/event-stream";
const LINES: &str = "application/x-ndjson";
const MESSAGE: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"role\":\"assistant\",\"content\":[]}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";

/// A stream: where, what is asked, its content type, what stands around its text, before its first piece and before each
/// other, and how its end is told.
struct Case {
    path: &'static str,
    request: &'static str,
    content_type: &'static str,
    around: [&'static str; 2],
    before: [&'static str; 2],
    told: &'static str,
}

const CASES: [Case; 13] = [
    case(
        "/openai/v1/chat/completions",
        CHAT,
        SSE,
        ["data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"", "\"}}]}\n\n"],
        "data: {\"error\":{",
    ),
    case(
        "/openai/v1/completions",
        r#"{"model":"m","stream":true,"prompt":"hi"}"#,
        SSE,
        ["data: {\"choices\":[{\"index\":0,\"text\":\"", "\"}]}\n\n"],
        "data: {\"error\":{",
    ),
    case(
        "/openai/v1/responses",
        r#"{"model":"m","stream":true,"input":"hi"}"#,
        SSE,
        [
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,\"delta\":\"",
            "\"}\n\n",
        ],
        "event: error\ndata: {",
    ),
    case(
        "/gemini/v1beta/models/m:streamGenerateContent?alt=sse",
        r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
        SSE,
        ["data: {\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"", "\"}]}}]}\n\n"],
        "data: {\"error\":{",
    ),
    case(
        "/gemini/v1beta/models/m:streamGenerateContent",
        r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#,
        "application/json",
        ["{\"candidates\":[{\"index\":0,\"content\":{\"parts\":[{\"text\":\"", "\"}]}}]}"],
        ",\n{\"error\":{",
    )
    .before("[", ",\n"),
    case(
        "/anthropic/v1/messages",
        r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        SSE,
        [
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"",
            "\"}}\n\n",
        ],
        "event: error\ndata: {",
    )
    .before(MESSAGE, ""),
    case(
        "/ollama/api/chat",
        CHAT,
        LINES,
        ["{\"message\":{\"role\":\"assistant\",\"content\":\"", "\"},\"done\":false}\n"],
        "\"error\":\"Blocked",
    ),
    case(
        "/ollama/api/generate",
        r#"{"model":"m","prompt":"hi"}"#,
        LINES,
        ["{\"response\":\"", "\",\"done\":false}\n"],
        "\"error\":\"Blocked",
    ),
    case(
        "/mcp",
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#,
        SSE,
        [
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":\"",
            "\"}}\n\n",
        ],
        "\"id\":7",
    ),
    case("/http/any", "{}", SSE, ["data: {\"text\":\"", "\"}\n\n"], "event: error\ndata: {"),
    case("/http/any", "{}", SSE, ["data: ", "\n\n"], "event: error\ndata: {"),
    case("/http/any", "{}", LINES, ["{\"text\":\"", "\"}\n"], "{\"error\":{"),
    // Text has no form for it: only the cut shows.
    case("/http/any", "{}", "text/plain", ["", ""], ""),
];

const fn case(
    path: &'static str,
    request: &'static str,
    content_type: &'static str,
    around: [&'static str; 2],
    told: &'static str,
) -> Case {
    Case { path, request, content_type, around, before: ["", ""], told }
}

impl Case {
    const fn before(self, first: &'static str, other: &'static str) -> Self {
        Self { before: [first, other], ..self }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_in_mid_stream_is_told_in_the_dialects_own_form() {
    let mut upstream = Upstream::start().await;
    let mut setup = Setup::new().policy_with("20-block.wasm", "block", BLOCK);
    let names = ["openai", "gemini", "anthropic", "ollama", "mcp", "http"];
    for name in names {
        let lines = if name == "http" { ANY } else { "" };
        setup = setup.connection(name, &format!("/{name}"), name, lines);
    }
    let host = setup.start(upstream.address).await;
    for case in &CASES {
        for packed in [false, true] {
            stopped(case, packed, &host, &mut upstream).await;
        }
    }
}

/// Asks, hears the begin of the answer while the upstream holds back the rest, and is told the block that comes then.
async fn stopped(case: &'static Case, packed: bool, host: &Host, upstream: &mut Upstream) {
    let client = host.client();
    let asked = tokio::spawn(async move {
        let json = [("content-type", "application/json")];
        let mut reply = client.send("POST", case.path, &json, case.request.as_bytes()).await;
        let mut got = Vec::new();
        while !String::from_utf8_lossy(&got).contains("One thing.") {
            let chunk = reply.chunk().await;
            let heard = String::from_utf8_lossy(&got);
            assert!(chunk.is_some(), "{} packed: {packed}: it ended: {} {heard}", case.path, reply.status);
            got.extend(chunk.into_iter().flatten());
        }
        (reply, got)
    });
    let mut turn = upstream.turn().await;
    let coding = if packed { "content-encoding: gzip\r\n" } else { "" };
    let framing = "transfer-encoding: chunked\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {}\r\n{coding}{framing}", case.content_type);
    turn.write(head.as_bytes()).await;
    let mut said = pieces(case, packed);
    turn.chunk(&said("One thing. ")).await;
    let (mut reply, mut got) = asked.await.expect("the caller does not panic");
    // Each message of MCP stands for itself: nothing joins the texts of two.
    let bad: &[&str] =
        if case.path == "/mcp" { &["The launch codes are here. "] } else { &["The launch ", "codes are here. "] };
    for text in bad {
        turn.chunk(&said(text)).await;
    }
    got.extend(reply.rest().await);
    let got = String::from_utf8_lossy(&got).into_owned();
    let what = format!("{} {} packed: {packed}: {got}", case.path, case.content_type);
    assert_eq!((reply.status, reply.end), (200, Some(End::Broken)), "{what}");
    assert_eq!(reply.header("content-encoding"), None, "{what}");
    assert!(!got.contains("codes are"), "{what}");
    let (_, behind) = got.split_once("One thing.").expect("it is there");
    assert!(behind.contains(case.told), "{what}");
    assert!(case.told.is_empty() || behind.contains("block.word"), "{what}");
    assert!(!got.contains("[DONE]") && !got.contains("response.completed"), "{what}");
    turn.dropped_by_host().await;
}

/// Makes the stream's pieces from their text; packed, each is flushed, so that it can be read before the next comes.
fn pieces(case: &'static Case, packed: bool) -> impl FnMut(&str) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::default());
    let [mut before, other] = case.before;
    move |text| {
        let piece = format!("{before}{}{text}{}", case.around[0], case.around[1]);
        before = other;
        if !packed {
            return piece.into_bytes();
        }
        packing.write_all(piece.as_bytes()).and_then(|()| packing.flush()).expect("memory takes bytes");
        std::mem::take(packing.get_mut())
    }
}

/// Tokens of requests, by the metrics.
async fn counted(host: &Host) -> f64 {
    let metrics = host.metrics().await;
    let lines =
        metrics.lines().filter(|line| line.starts_with("portcullis_tokens_total{") && line.contains("\"input\""));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_until_an_answer_ends_is_on_record_however_it_ends() {
    const PATH: &str = "/v1/messages";
    let begin =
        MESSAGE.replace("\"content\":[]", "\"content\":[],\"usage\":{\"input_tokens\":5000,\"output_tokens\":1}");
    let case = CASES.iter().find(|case| case.path.ends_with(PATH)).expect("Anthropic's messages are one of them");
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().policy_with("20-block.wasm", "block", BLOCK).dialect("anthropic");
    let host = setup.start(upstream.address).await;
    for (nth, outcome) in [(1, "blocked"), (2, "cancelled")] {
        let client = host.client();
        let asked = tokio::spawn(async move {
            let json = [("content-type", "application/json")];
            let mut reply = client.send("POST", PATH, &json, case.request.as_bytes()).await;
            reply.chunk().await.expect("the answer begins");
            reply
        });
        let mut turn = upstream.turn().await;
        turn.write(&sse_head()).await;
        turn.chunk(format!("{begin}{}One thing. {}", case.around[0], case.around[1]).as_bytes()).await;
        let mut reply = asked.await.expect("the caller does not panic");
        let exchange = reply.header("request-id").expect("it is named").to_owned();
        if outcome == "blocked" {
            turn.chunk(format!("{}The launch codes are here. {}", case.around[0], case.around[1]).as_bytes()).await;
            reply.rest().await;
        }
        drop(reply);
        turn.dropped_by_host().await;
        let closed = within("the end of the record", async {
            loop {
                let record = host.record(&exchange).await;
                if let Some(closed) = entries(&record, "Closed").next() {
                    return closed.clone();
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!((&closed["outcome"], &closed["usage"]["input_tokens"]), (&outcome.into(), &5000.into()), "{closed}");
        assert_eq!(closed["policies"][0]["policy"], "20-block", "{closed}");
        assert!((counted(&host).await - 5000.0 * f64::from(nth)).abs() < 1e-9, "{}", host.metrics().await);
    }
    let sessions = host.look("/v1/sessions").await;
    assert_eq!(sessions["sessions"][0]["input_tokens"], 10_000, "{sessions}");
}

/// An incident's swap while an agent writes a call: other settings mask what has not left, and the call goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_in_the_middle_of_a_call_is_no_end_of_it() {
    const ONLY_CARDS: &str = "[settings]\nonly = [\"card\"]\n";
    let mut upstream = Upstream::start().await;
    let host = Setup::new().policy_with("10-mask.wasm", "mask", ONLY_CARDS).start(upstream.address).await;
    let call = events(Channel::ToolArguments, &["{\"note\":\"my ssn is 078-05", "-1120 now\"}"]);
    for lockdown in [false, true] {
        let client = host.client();
        let asked = tokio::spawn(async move { client.whole(&request("hello", true)).await });
        let mut turn = upstream.turn().await;
        turn.write(&sse_head()).await;
        for event in &call[..2] {
            turn.chunk(event).await;
            turn.read_by_host().await;
        }
        if lockdown {
            let stops = std::fs::read(repository().join("policies/dist/lockdown.wasm")).expect("it is shipped");
            host.put("00-lockdown.wasm", &stops);
            turn.dropped_by_host().await;
        } else {
            let before = host.generation().await;
            host.put("10-mask.toml", b"[settings]\nonly = [\"ssn\"]\n");
            host.until_set("other settings", |set| set["generation"].as_u64() > Some(before)).await;
            for event in &call[2..] {
                turn.chunk(event).await;
            }
            turn.write(b"0\r\n\r\n").await;
            turn.done();
        }
        let (reply, body) = within("the answer", asked).await.expect("the caller does not panic");
        let heard = Heard::stream(&body);
        let told = String::from_utf8_lossy(&body);
        if lockdown {
            assert_eq!((reply.status, reply.end), (200, Some(End::Broken)), "{told}");
            assert!(!told.contains("call_1") && !told.contains("policies_changed"), "{told}");
        } else {
            assert_eq!((reply.status, reply.end), (200, Some(End::Complete)), "{told}");
            assert_eq!(heard.text(0, "tool 0"), "{\"note\":\"my ssn is [SSN] now\"}");
        }
    }
}
