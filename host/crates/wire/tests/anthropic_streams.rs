//! What must hold for every stream of Anthropic's and every split, by random streams and a decoder of its own.

mod support;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{
    CANARY, Judge, MASK,
    anthropic::{at, block_of, client, event, request, sse, stop, stream, whole},
    masked, run, unbroken,
};

/// A block, and the pieces in which it comes.
#[derive(Clone, Debug)]
enum Block {
    Text(Vec<String>),
    Thinking(Vec<String>),
    Call(Value, Vec<String>),
    Result(String),
    /// A type that the dialect does not know.
    Novel(Vec<String>),
}

/// Text that often holds the canary or a piece of it.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        4 => Just(CANARY.to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[..at].to_owned()),
        2 => (0..=CANARY.len()).prop_map(|at| CANARY[at..].to_owned()),
        2 => any::<char>().prop_map(String::from),
        2 => prop::sample::select(vec!["\"", "\\", "\n", "\u{2028}", "é", "😀", "/", "\u{0}", "data: ", "\r\n\r\n", "event: "])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(word, 0..5).prop_map(|words| words.concat())
}

/// `text`, cut at random places.
fn cut(text: &str, cuts: &[prop::sample::Index]) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(chars.len() + 1)).collect();
    cuts.push(chars.len());
    cuts.sort_unstable();
    let mut from = 0;
    cuts.into_iter().map(|cut| chars[std::mem::replace(&mut from, cut)..cut].iter().collect()).collect()
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..4)
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    (text(), cuts()).prop_map(|(text, cuts)| cut(&text, &cuts))
}

fn block() -> impl Strategy<Value = Block> {
    let input = prop_oneof![
        text().prop_map(|text| json!({ "to": text, "n": [1, true] })),
        text().prop_map(|text| json!({ text: 1 })),
    ];
    prop_oneof![
        4 => pieces().prop_map(Block::Text),
        2 => pieces().prop_map(Block::Thinking),
        2 => (input, cuts()).prop_map(|(input, cuts)| {
            let fragments = cut(&input.to_string(), &cuts);
            Block::Call(input, fragments)
        }),
        1 => text().prop_map(Block::Result),
        1 => pieces().prop_map(Block::Novel),
    ]
}

impl Block {
    fn events(&self, index: u64) -> Vec<Value> {
        let (start, deltas): (Value, Vec<Value>) = match self {
            Self::Text(pieces) => (
                json!({ "type": "text", "text": "" }),
                pieces.iter().map(|text| json!({ "type": "text_delta", "text": text })).collect(),
            ),
            Self::Thinking(pieces) => (
                json!({ "type": "thinking", "thinking": "", "signature": "" }),
                pieces.iter().map(|text| json!({ "type": "thinking_delta", "thinking": text })).collect(),
            ),
            Self::Call(_, fragments) => (
                json!({ "type": "tool_use", "id": "t", "name": "n", "input": {} }),
                fragments.iter().map(|text| json!({ "type": "input_json_delta", "partial_json": text })).collect(),
            ),
            Self::Result(text) => {
                (json!({ "type": "web_fetch_tool_result", "content": { "title": text } }), Vec::new())
            }
            Self::Novel(pieces) => (
                json!({ "type": "novel" }),
                pieces.iter().map(|text| json!({ "type": "novel_delta", "novel": text })).collect(),
            ),
        };
        let deltas = deltas.into_iter().map(|delta| at(index, delta));
        [block_of(index, start)].into_iter().chain(deltas).chain([stop(index)]).collect()
    }

    /// The same block in a whole answer.
    fn whole(&self) -> Value {
        match self {
            Self::Text(pieces) => json!({ "type": "text", "text": pieces.concat() }),
            Self::Thinking(pieces) => json!({ "type": "thinking", "thinking": pieces.concat(), "signature": "" }),
            Self::Call(input, _) => json!({ "type": "tool_use", "id": "t", "name": "n", "input": input }),
            Self::Result(text) => json!({ "type": "web_fetch_tool_result", "content": { "title": text } }),
            Self::Novel(pieces) => json!({ "type": "novel", "novel_delta": pieces.concat() }),
        }
    }
}

fn written(blocks: &[Block]) -> String {
    let events: Vec<Value> = (0..).zip(blocks).flat_map(|(index, block)| block.events(index)).collect();
    sse(&events, "end_turn")
}

/// The canary, begun in its own last digit.
const TWO_IN_ONE: &str = "078-05-112078-05-1120";

/// What a client has of an answer: its blocks, with all text put into the first one of text, and all thoughts into the
/// first one of those that stand before the next text.
fn joined(blocks: &[Value]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for block in blocks {
        let kind = block["type"].as_str().unwrap_or_default();
        let same = |other: &Value| other["type"] == kind;
        let first = match kind {
            "text" => out.iter().position(same),
            "thinking" => {
                let spoken = out.iter().rposition(|other| other["type"] == "text").map_or(0, |at| at + 1);
                out[spoken..].iter().position(same).map(|at| spoken + at)
            }
            _ => None,
        };
        let mut block = block.clone();
        if let Some(first) = first {
            let text = [&out[first][kind], &block[kind]].map(|text| text.as_str().unwrap_or_default()).concat();
            out[first][kind] = text.into();
            block[kind] = "".into();
        }
        out.push(block);
    }
    out
}

/// The same value with the canary masked in every string and name.
fn mask(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace(CANARY, MASK).into(),
        Value::Array(items) => items.iter().map(mask).collect(),
        Value::Object(members) => {
            let mask = |(name, value): (&String, &Value)| (name.replace(CANARY, MASK), mask(value));
            Value::Object(members.iter().map(mask).collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn places(body: &str, cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_sees_each_text_masked(blocks in prop::collection::vec(block(), 0..6), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let body = written(&blocks);
        let before = joined(&client(body.as_bytes()).blocks);
        // Two canaries that share a digit may be found in either way, alone or joined, and go as one.
        prop_assume!(before.iter().all(|block| !block.to_string().contains(TWO_IN_ONE)));
        let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &places(&body, &cuts)).unwrap();
        let mut sent = Vec::new();
        for piece in out {
            sent.extend(piece);
            // Every prefix is a stream of whole events, in an order that clients read.
            client(&sent);
        }
        let after = client(&sent);
        prop_assert!(after.over && after.stop_reason.as_deref() == Some("end_turn"));
        prop_assert_eq!(joined(&after.blocks), before.iter().map(mask).collect::<Vec<_>>());
        if !body.contains(CANARY) && before.iter().all(|block| !block.to_string().contains(CANARY)) {
            prop_assert_eq!(String::from_utf8(sent).unwrap(), unbroken(&body));
        }
    }

    #[test]
    fn what_is_told_does_not_depend_on_the_network(blocks in prop::collection::vec(block(), 0..5), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let body = written(&blocks);
        let (mut one, mut other) = (Judge::default(), Judge::default());
        let plain = run(stream(), &mut one, body.as_bytes(), &[]).unwrap().concat();
        let pieces = run(stream(), &mut other, body.as_bytes(), &places(&body, &cuts)).unwrap().concat();
        prop_assert_eq!(&plain, &pieces);
        let plain = String::from_utf8(plain).unwrap();
        prop_assert_eq!(plain, unbroken(&body), "what nothing changes leaves byte for byte");
        prop_assert_eq!(one.said(), other.said());
    }

    #[test]
    fn whole_and_streamed_answers_are_masked_alike(blocks in prop::collection::vec(block(), 0..6)) {
        let blocks: Vec<Block> = blocks.into_iter().filter(|block| !matches!(block, Block::Novel(_))).collect();
        let streamed = client(masked(stream(), &written(&blocks)).as_bytes()).blocks;
        let body = json!({ "type": "message", "content": blocks.iter().map(Block::whole).collect::<Vec<_>>() });
        let whole: Value = serde_json::from_str(&masked(whole(), &body.to_string())).unwrap();
        prop_assert_eq!(joined(whole["content"].as_array().unwrap()), joined(&streamed));
    }
}

/// Found by the test above: how a text is cut into events makes no difference for what overlaps over a seam.
#[test]
fn two_canaries_that_share_a_digit_over_a_seam_go_as_one() {
    let thinking = |pieces: &[&str]| Block::Thinking(pieces.iter().map(|piece| (*piece).to_owned()).collect());
    for second in [&["0", "78-05-1120"][..], &["078-05-1120"], &["078-", "05-1120"]] {
        let blocks = [thinking(&["078-05-112"]), thinking(second)];
        let streamed = client(masked(stream(), &written(&blocks)).as_bytes()).blocks;
        let body = json!({ "type": "message", "content": blocks.iter().map(Block::whole).collect::<Vec<_>>() });
        let whole: Value = serde_json::from_str(&masked(whole(), &body.to_string())).unwrap();
        for blocks in [&streamed, whole["content"].as_array().unwrap()] {
            assert_eq!(joined(blocks)[0]["thinking"], MASK, "{second:?}");
        }
    }
}

/// JSON with canaries in its strings and names.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        4 => text().prop_map(Value::from),
        1 => prop::sample::select(vec!["type", "text", "tool_use", "tool_result", "thinking"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let name = prop_oneof![
            text(),
            prop::sample::select(vec!["type", "text", "content", "input", "source", "data", "thinking", "citations"])
                .prop_map(str::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_string_of_a_request_is_seen(odd in prop::array::uniform10(odd()), said in text()) {
        let [a, b, c, d, e, f, g, h, i, j] = odd;
        let body = json!({
            "model": "m", "novel": a, "metadata": b, "system": [{ "type": "text", "text": said, "novel": c }],
            "messages": [{ "role": "user", "content": said, "novel": d }, { "role": "user", "content": [
                { "type": "text", "text": said, "citations": e },
                { "type": "document", "source": f, "title": said, "context": said },
                { "type": "tool_use", "id": said, "name": said, "input": g },
                { "type": "tool_result", "tool_use_id": said, "content": h },
                { "type": "new", "x": i },
            ]}],
            "tools": [{ "name": said, "input_schema": j }],
        });
        let out = masked(request(), &body.to_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), mask(&body));
    }

    #[test]
    fn every_string_of_an_answer_is_seen(odd in prop::array::uniform9(odd()), said in text()) {
        let [a, b, c, d, e, f, g, h, i] = odd;
        let blocks = [
            json!({ "type": "text", "text": said, "citations": [a], "novel": b }),
            json!({ "type": "tool_use", "id": said, "name": said, "input": c, "novel": d }),
            json!({ "type": "thinking", "thinking": said, "signature": said, "novel": e }),
            json!({ "type": "mcp_tool_result", "content": f }),
            json!({ "type": "novel", "content": g }),
        ];
        let body = json!({ "id": said, "type": "message", "model": said, "content": blocks, "stop_sequence": said,
            "stop_details": h, "usage": { "input_tokens": 1, "novel": said }, "error": i });
        let out = masked(whole(), &body.to_string());
        prop_assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), mask(&body));

        let events: Vec<Value> =
            (0..).zip(&blocks).flat_map(|(index, block)| [block_of(index, block.clone()), stop(index)]).collect();
        let got = client(masked(stream(), &sse(&events, "end_turn")).as_bytes());
        prop_assert_eq!(got.blocks, blocks.iter().map(mask).collect::<Vec<_>>());
    }
}

/// The canary cut at every place over two pieces, and the stream cut at every byte of its middle, in each channel that
/// comes in pieces.
#[test]
fn no_split_lets_the_canary_through() {
    let kinds: [fn(Vec<String>) -> Block; 4] = [
        Block::Text,
        Block::Thinking,
        |pieces| Block::Call(Value::Null, [vec!["{\"to\":\"".to_owned()], pieces, vec!["\"}".to_owned()]].concat()),
        Block::Novel,
    ];
    for kind in kinds {
        for split in 0..=CANARY.len() {
            let pieces = vec![format!("a {}", &CANARY[..split]), format!("{} b", &CANARY[split..])];
            let body = written(&[kind(pieces)]);
            let clean = mask(&Value::from(client(body.as_bytes()).blocks));
            let middle = event(&stop(0)).len() * 2;
            for cut in 0..=body.len() - middle {
                let out = run(stream(), &mut Judge::masking(), body.as_bytes(), &[cut]).unwrap().concat();
                assert_eq!(Value::from(client(&out).blocks), clean, "{split} {cut}");
            }
        }
    }
}
