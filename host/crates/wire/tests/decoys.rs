//! Decoys: what an upstream, or a caller, puts between the halves of a value so that they are judged apart and read as
//! one. What no client joins with a text is told alone; what some join and others pass over is refused.

#![allow(clippy::needless_pass_by_value, reason = "JSON is easier to read by value")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use model::{Channel, Family};
use serde_json::{Value, json};
use support::{
    CANARY, anthropic,
    decoys::{FIRST, LAST, is_masked, is_refused, named, typed, unnamed},
    masked, masked_words, mcp, openai_chat as chat, openai_completions as completions, told,
};
use wire::{Flow, Limits};

/// One event of a streamed chat.
fn piece(delta: Value) -> Value {
    json!({"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":delta,"finish_reason":null}]})
}

/// Texts of a list that say that they are text.
fn texts(list: &Value) -> String {
    let texts = list.as_array().into_iter().flatten().filter(|item| item["type"] == "text");
    texts.map(|item| item["text"].as_str().unwrap()).collect()
}

#[test]
fn what_is_no_text_of_a_list_is_joined_to_nothing() {
    let list = |texts: [&str; 2]| json!([typed("text", texts[0]), typed("note", "zz"), typed("text", texts[1])]);
    let thinking = |kind: &str, list: Value| json!({ "type": kind, "thinking": list });
    type Writes = Box<dyn Fn([&str; 2]) -> Value>;
    type Opens = fn() -> Box<dyn Flow>;
    let bodies: Vec<(Opens, Writes)> = vec![
        (
            chat::whole,
            Box::new(
                move |texts| json!({"choices":[{"index":0,"message":{"role":"assistant","content":list(texts)}}]}),
            ),
        ),
        (
            chat::whole,
            Box::new(move |texts| {
                json!({"choices":[{"index":0,"message":{"content":[thinking("thinking", list(texts)),
                    thinking("note", json!("zz"))]}}]})
            }),
        ),
        (chat::request, Box::new(move |texts| json!({"model":"m","messages":[{"role":"user","content":list(texts)}]}))),
        (chat::request, Box::new(move |texts| json!({"model":"m","messages":[],"prediction":{"content":list(texts)}}))),
        (mcp::whole, Box::new(move |texts| mcp::result(json!({ "content": list(texts) })))),
        (
            anthropic::request,
            Box::new(move |texts| json!({"model":"m","messages":[{"role":"user","content":list(texts)}]})),
        ),
    ];
    for (open, write) in bodies {
        let body = write([FIRST, LAST]).to_string();
        assert_eq!(masked(open(), &body), write(["ssn [SSN]", " ok"]).to_string());
    }
    let said = |text: &str| piece(json!({"content":[typed("text", text)]}));
    for decoy in [typed("note", "zz"), json!({"text":"zz"}), json!({"type":"text_","thinking":"zz","text":"zz"})] {
        let body = unnamed(&[said(FIRST), piece(json!({ "content": [decoy] })), said(LAST)]);
        is_masked(chat::stream(), &body, |event| Some(texts(&event["choices"][0]["delta"]["content"])));
    }
}

/// A flow of Gemini's API: of a verb, with this content type.
fn gemini(verb: &str, content_type: &str) -> Box<dyn Flow> {
    let path = format!("/v1beta/models/m:{verb}");
    wire::claim(Family::Gemini, "POST", &path).unwrap().response(200, content_type, Limits::default()).unwrap()
}

fn candidate(parts: Value) -> Value {
    json!({"candidates":[{"index":0,"content":{"role":"model","parts":parts}}]})
}

#[test]
fn a_part_is_a_thought_or_it_is_none() {
    for odd in [json!("true"), json!("yes"), json!(1), json!(0), json!([]), json!({ "a": 1 }), json!("")] {
        let parts = json!([{"text":FIRST},{"text":"zz","thought":odd},{"text":LAST}]);
        let body = candidate(parts.clone());
        is_refused(gemini("generateContent", "application/json"), &body.to_string(), "thought is true or false");
        is_refused(
            gemini("streamGenerateContent", "text/event-stream"),
            &unnamed(std::slice::from_ref(&body)),
            "thought is true or false",
        );
        let path = "/v1beta/models/m:generateContent";
        let endpoint = wire::claim(Family::Gemini, "POST", path).unwrap();
        let request = endpoint.request_at(path, "application/json", Limits::default()).unwrap();
        is_refused(request, &json!({ "contents": [{ "parts": parts }] }).to_string(), "thought is true or false");
    }
    for plain in [json!(false), Value::Null] {
        let body = candidate(json!([{"text":FIRST,"thought":plain},{"text":"hm","thought":true},{"text":LAST}]));
        let out = masked(gemini("generateContent", "application/json"), &body.to_string());
        assert!(out.contains("ssn [SSN]"), "{out}");
    }
}

#[test]
fn a_text_that_comes_in_another_form_in_between_is_refused() {
    let said = |text: &str| piece(json!({ "content": text }));
    let message = json!({"choices":[{"index":0,"message":{"content":"zz"}}]});
    let list = piece(json!({ "content": [typed("text", "zz")] }));
    for (decoy, why) in [(message, "in deltas, or in messages"), (list, "a list with its text")] {
        is_refused(chat::stream(), &unnamed(&[said(FIRST), decoy.clone(), said(LAST)]), why);
        is_refused(chat::stream(), &unnamed(&[decoy, said(FIRST)]), why);
    }
    let call = |arguments: Value| piece(json!({"tool_calls":[{"index":0,"function":{"arguments":arguments}}]}));
    let begin = piece(json!({"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]}));
    let object = |text: &str| json!({ "x": text });
    for (one, two) in [
        (json!("{\"ssn\":\"078-05-"), object("zz")),
        (object("zz"), json!("1120\"}")),
        (object("078-05-"), object("1120")),
        (object("078-05-"), json!(["1120"])),
    ] {
        let body = unnamed(&[begin.clone(), call(one), call(two)]);
        is_refused(chat::stream(), &body, "arguments are text, or one value");
    }
    told(chat::stream(), &unnamed(&[begin, call(object("a")), call(json!(""))]));
}

#[test]
fn thoughts_in_a_list_may_come_before_content_that_is_none() {
    // As Mistral's models that think have it.
    let thought = |text: &str| piece(json!({"content":[{"type":"thinking","thinking":[typed("text", text)]}]}));
    let said = |text: &str| piece(json!({ "content": text }));
    let events = |first: &str, last: &str| {
        unnamed(&[said(""), thought("I "), thought("think"), said(first), said(last)]) + "data: [DONE]\n\n"
    };
    assert_eq!(masked(chat::stream(), &events(FIRST, LAST)), events("ssn [SSN]", " ok"));
    let judge = told(chat::stream(), &events("one ", "two"));
    assert_eq!((judge.texts(Channel::Reasoning), judge.texts(Channel::Content)), (vec!["I think"], vec!["one two"]));
}

#[test]
fn an_event_of_another_name_in_between_is_refused() {
    let chat = |text: &str| piece(json!({ "content": text }));
    let completion = |text: &str| json!({"choices":[{"index":0,"text":text}]});
    type Case<'a> = (fn() -> Box<dyn Flow>, &'a dyn Fn(&str) -> Value);
    let cases: [Case<'_>; 2] = [(chat::stream, &chat), (completions::stream, &completion)];
    for (open, write) in cases {
        for odd in ["note", "thread.x", "error", "Message"] {
            let body = unnamed(&[write(FIRST)]) + &named(odd, &write("zz")) + &unnamed(&[write(LAST)]);
            is_refused(open(), &body, "in events of one name");
        }
        is_refused(open(), &named("error", &write("zz")), "in events of one name");
        let body = named("message", &write(FIRST)) + &unnamed(&[write(LAST)]);
        assert_eq!(masked(open(), &body), named("message", &write("ssn [SSN]")) + &unnamed(&[write(" ok")]));
        let body = named("x", &write(FIRST)) + &named("x", &write(LAST));
        assert!(!masked(open(), &body).contains("078-05-"));
        let error = named("error", &json!({"error":{"message":CANARY}})) + &named("ping", &json!({}));
        let body = unnamed(&[write("hi")]) + &error;
        assert_eq!(masked(open(), &body), body.replace(CANARY, "[SSN]"));
    }
}

#[test]
fn deltas_of_text_in_blocks_that_are_none_are_refused() {
    let text = |index: u64, text: &str, deltas: &[Value]| {
        let begin = anthropic::block_of(index, typed("text", text));
        [&[begin], deltas, &[anthropic::stop(index)]].concat()
    };
    let said = |index: u64, text: &str| anthropic::at(index, json!({"type":"text_delta","text":text}));
    let thought = |index: u64| anthropic::at(index, json!({"type":"thinking_delta","thinking":LAST}));
    let result = json!({"type":"web_search_tool_result","tool_use_id":"a","content":[]});
    for block in [json!({"type":"note"}), json!({"type":"redacted_thinking","data":"x"}), result] {
        for delta in [said(1, LAST), thought(1)] {
            let odd = [anthropic::block_of(1, block.clone()), delta, anthropic::stop(1)];
            let events = [text(0, "", &[said(0, FIRST)]), odd.to_vec()].concat();
            is_refused(anthropic::stream(), &anthropic::sse(&events, "end_turn"), "its block's own kind");
        }
    }
    // `text_stream` of the SDK joins the deltas alone, the message has what its blocks began with.
    let events = [text(0, "", &[said(0, FIRST)]), text(1, "zz", &[said(1, LAST)])].concat();
    is_refused(anthropic::stream(), &anthropic::sse(&events, "end_turn"), "begin empty");
    let events = [text(0, "", &[said(0, FIRST)]), text(1, "zz", &[]), text(2, "", &[said(2, LAST)])].concat();
    is_refused(anthropic::stream(), &anthropic::sse(&events, "end_turn"), "begin empty");
    let events = [text(0, "zz", &[]), text(1, "", &[said(1, FIRST)]), text(2, "", &[said(2, LAST)])].concat();
    let out = masked(anthropic::stream(), &anthropic::sse(&events, "end_turn"));
    assert!(out.contains("ssn [SSN]"), "no delta stands before it: {out}");
    let events = [text(0, "", &[said(0, FIRST)]), text(1, LAST, &[said(1, "")])].concat();
    let out = masked(anthropic::stream(), &anthropic::sse(&events, "end_turn"));
    assert!(out.contains("ssn [SSN]"), "nothing follows it: {out}");
}

#[test]
fn thoughts_that_go_on_under_another_name_are_refused() {
    let one = |text: &str| piece(json!({ "reasoning_content": text, "content": null }));
    let other = |text: &str| piece(json!({ "reasoning": text }));
    let both = |text: &str| piece(json!({ "reasoning_content": text, "reasoning": text }));
    let why = "under the same names in each piece";
    for events in [[one(FIRST), other(LAST)], [other(FIRST), one(LAST)], [both(FIRST), one(LAST)]] {
        is_refused(chat::stream(), &unnamed(&events), why);
    }
    for write in [&one as &dyn Fn(&str) -> Value, &other, &both] {
        let events = |first: &str, last: &str| unnamed(&[write(first), write(""), write(last)]);
        assert_eq!(masked(chat::stream(), &events(FIRST, LAST)), events("ssn [SSN]", " ok"));
    }
    let empty = piece(json!({ "reasoning_content": "", "reasoning": LAST }));
    let events = unnamed(&[other(FIRST), empty]);
    assert!(!masked(chat::stream(), &events).contains("078-05-"));
}

/// An item of `reasoning_details`.
fn detail(index: u64, kind: &str, member: &str, text: &str) -> Value {
    json!({ "type": kind, "index": index, "format": "f", member: text })
}

fn thought(index: u64, text: &str) -> Value {
    detail(index, "reasoning.text", "text", text)
}

fn details(items: &[Value]) -> Value {
    piece(json!({ "reasoning_details": items }))
}

#[test]
fn details_of_thoughts_are_joined_as_each_client_joins_them() {
    let summary = detail(0, "reasoning.summary", "summary", FIRST);
    let streams: [&[&[Value]]; 7] = [
        &[&[thought(0, FIRST)], &[thought(1, LAST)]],
        &[&[thought(0, FIRST), thought(1, LAST)]],
        &[std::slice::from_ref(&summary), &[thought(0, LAST)]],
        &[&[summary.clone(), thought(1, LAST)]],
        &[
            &[thought(0, FIRST)],
            &[detail(0, "reasoning.text", "summary", "zz"), detail(0, "x", "text", "zz"), thought(1, LAST)],
        ],
        &[&[thought(0, FIRST)], &[detail(0, "reasoning.encrypted", "data", "zz")], &[thought(0, LAST)]],
        &[&[thought(0, FIRST)], &[thought(1, "zz")], &[thought(0, LAST)]],
    ];
    for events in streams {
        let body = unnamed(&events.iter().map(|items| details(items)).collect::<Vec<_>>());
        let out = masked(chat::stream(), &body);
        assert!(out.contains("ssn [SSN]") && out.contains("\" ok\"") && !out.contains("078-05-"), "{out}");
        told(chat::stream(), &body);
    }
    let whole = |texts: [&str; 2]| {
        let items = [thought(0, texts[0]), thought(1, texts[1])];
        json!({"choices":[{"index":0,"message":{"content":"hi","reasoning_details":items}}]}).to_string()
    };
    assert_eq!(masked(chat::whole(), &whole([FIRST, LAST])), whole(["ssn [SSN]", " ok"]));
    assert_eq!(masked_words(chat::whole(), &whole(["ssn 078-05-1120", "9"])), whole(["ssn [SSN]", "9"]));
    // Some servers say all of it again in each event.
    let events = |text: &str| unnamed(&[details(&[thought(0, text)]), details(&[thought(0, &format!("{text} so"))])]);
    assert_eq!(masked_words(chat::stream(), &events("9 is 078-05-1120")), events("9 is [SSN]"));
}

#[test]
fn thoughts_that_go_on_in_another_list_are_refused() {
    let why = "under the same names in each piece";
    let list = |text: &str| details(&[thought(0, text)]);
    let plain = |text: &str| piece(json!({ "reasoning": text }));
    let both = |text: &str| piece(json!({ "reasoning": text, "reasoning_details": [thought(0, text)] }));
    let hidden =
        piece(json!({ "reasoning": "zz", "reasoning_details": [detail(0, "reasoning.encrypted", "data", "x")] }));
    for events in
        [[plain(FIRST), list(LAST)], [both(FIRST), plain(LAST)], [both(FIRST), list(LAST)], [plain(FIRST), hidden]]
    {
        is_refused(chat::stream(), &unnamed(&events), why);
    }
    // The end of thoughts is signed, with no text.
    let signed = json!([{ "type": "reasoning.text", "index": 0, "signature": "s" }]);
    let end = piece(json!({ "reasoning": null, "content": "", "reasoning_details": signed }));
    let events = |first: &str, last: &str| unnamed(&[both(first), end.clone(), both(last), end.clone()]);
    assert_eq!(masked(chat::stream(), &events(FIRST, LAST)), events("ssn [SSN]", " ok"));
    let mut last = list(FIRST);
    last["choices"][0]["finish_reason"] = "stop".into();
    is_refused(chat::stream(), &unnamed(&[last, list(LAST)]), "no text behind its finish_reason");
}

#[test]
fn what_a_client_that_joins_every_string_makes_of_a_delta_is_judged() {
    // As `accumulate_delta` of the SDKs does: items of lists by their `index`, all else by its name.
    let details = |text: &str| json!({"reasoning_details":[{"index":0,"kind":"t","words":text}]});
    let decoy = json!({"reasoning_details":[{"index":1,"words":"zz"},{"index":0,"words":LAST}]});
    let body = unnamed(&[piece(details(FIRST)), piece(decoy)]);
    let out = masked(chat::stream(), &body);
    assert!(!out.contains("078-05-"), "{out}");
    let call = |id: &str| json!({"tool_calls":[{"index":0,"id":id,"function":{"name":"","arguments":""}}]});
    let deltas: [&dyn Fn(&str) -> Value; 5] = [
        &|text| json!({ "role": text, "content": "x" }),
        &|text| json!({ "audio": { "id": text, "transcript": "x" } }),
        &|text| json!({ "x": { "id": text } }),
        &|text| json!({ "x": { "format": text } }),
        &call,
    ];
    for delta in deltas {
        let body = unnamed(&[piece(delta(FIRST)), piece(delta(LAST))]);
        let judge = told(chat::stream(), &body);
        assert!(judge.parts.values().any(|told| told.text.contains(CANARY)), "{body}");
        let out = masked(chat::stream(), &body);
        let joined: String = chat::client(out.as_bytes())
            .into_iter()
            .filter(|((_, path), _)| !path.ends_with("transcript"))
            .map(|(_, text)| text)
            .collect();
        assert!(!joined.contains(CANARY), "{joined}");
    }
}

#[test]
fn choices_of_one_event_stand_in_order() {
    let chat = |index: u64, text: &str| json!({"index":index,"delta":{"content":text}});
    let body =
        |events: &[&[Value]]| unnamed(&events.iter().map(|choices| json!({ "choices": choices })).collect::<Vec<_>>());
    // A client that takes the first choice of each event would not read what stands between.
    let decoy = body(&[&[chat(0, FIRST)], &[chat(1, ""), chat(0, "zz")], &[chat(0, LAST)]]);
    is_refused(chat::stream(), &decoy, "in order");
    is_refused(chat::stream(), &body(&[&[chat(0, "a"), chat(0, "b")]]), "an index of its own");
    told(chat::stream(), &body(&[&[chat(0, "a"), chat(1, "b")], &[chat(1, "c")], &[chat(0, "d"), chat(2, "e")]]));
    let said = |index: u64, text: &str| json!({"index":index,"content":{"parts":[{ "text": text }]}});
    let decoy = json!({"candidates":[said(1, ""), said(0, "zz")]});
    is_refused(gemini("streamGenerateContent", "text/event-stream"), &unnamed(&[decoy]), "in order");
}

fn gemini_stream() -> Box<dyn Flow> {
    gemini("streamGenerateContent", "text/event-stream")
}

/// Streams whose events have no names: how they are opened, and one event with a text.
type Stream<'a> = (fn() -> Box<dyn Flow>, &'a dyn Fn(&str) -> Value);

fn completion(text: &str) -> Value {
    json!({"id":"c","choices":[{"index":0,"text":text,"finish_reason":null}]})
}

#[test]
fn nothing_is_said_in_an_error_or_behind_it() {
    let chat = |text: &str| piece(json!({ "content": text }));
    let call = |text: &str| {
        piece(json!({"tool_calls":[{"index":0,"id":"i","type":"function","function":{"name":text,"arguments":"{}"}}]}))
    };
    let candidate = |text: &str| candidate(json!([{ "text": text }]));
    let streams: [Stream<'_>; 4] =
        [(chat::stream, &chat), (chat::stream, &call), (completions::stream, &completion), (gemini_stream, &candidate)];
    let error = json!({"error":{"message":"overloaded","code":500}});
    for (open, write) in streams {
        // Clients show what came before the error, and nothing that came behind it.
        let body = unnamed(&[write(FIRST), error.clone(), write("9")]);
        is_refused(open(), &body, "no text and no calls");
        // Some go on behind an event that says both.
        let mut both = write("zz");
        both["error"] = json!({ "message": "overloaded" });
        is_refused(open(), &unnamed(&[write(FIRST), both, write(LAST)]), "no text and no calls");
        // What came before is judged as all there is, and what says nothing may follow.
        let mut silent = write("");
        if let Some(delta) = silent.pointer_mut("/choices/0/delta") {
            *delta = json!({ "content": "" });
        } else if let Some(content) = silent.pointer_mut("/candidates/0/content") {
            *content = json!({ "role": "model" });
        }
        silent["error"] = json!({ "message": "overloaded" });
        told(open(), &unnamed(&[write("hi"), silent.clone(), silent]));
    }
    let streams: [Stream<'_>; 3] =
        [(chat::stream, &chat), (completions::stream, &completion), (gemini_stream, &candidate)];
    for (open, write) in streams {
        for nothing in [Value::Null, json!(""), json!(false)] {
            let mut said = write(LAST);
            said["error"] = nothing;
            let out = masked(open(), &unnamed(&[write(FIRST), said]));
            assert!(!out.contains("078-05-"), "{out}");
        }
        let out = masked(open(), &unnamed(&[write("ssn 078-05-"), write("1120"), error.clone()]));
        assert!(out.contains("[SSN]") && !out.contains("078-05-"), "{out}");
    }
    let said = |text: &str| anthropic::at(0, json!({"type":"text_delta","text":text}));
    let failed = json!({"type":"error","error":{"type":"overloaded_error","message":"overloaded"}});
    let block = anthropic::block_of(0, typed("text", ""));
    let body = |events: &[Value]| anthropic::sse(&[std::slice::from_ref(&block), events].concat(), "end_turn");
    is_refused(anthropic::stream(), &body(&[said(FIRST), failed.clone(), said("9")]), "or an error");
    let mut both = said("zz");
    both["error"] = json!({ "message": "overloaded" });
    is_refused(anthropic::stream(), &body(&[said(FIRST), both, said(LAST)]), "an event of its own");
    let out = masked(anthropic::stream(), &body(&[said("ssn 078-05-"), said("1120"), failed]));
    assert!(out.contains("[SSN]") && !out.contains("078-05-"), "{out}");
}

#[test]
fn members_of_the_events_of_a_text_keep_their_types() {
    let said = |text: &str, place: &str, odd: &Value| {
        let mut event = piece(json!({ "role": "assistant", "content": text }));
        event["created"] = 1.into();
        event["usage"] = Value::Null;
        put(&mut event, place, odd);
        event
    };
    let odd_members = [
        ("/created", json!("soon")),
        ("/id", json!(7)),
        ("/model", json!(["m"])),
        ("/usage", json!("no")),
        ("/usage", json!({ "prompt_tokens": "no" })),
        ("/choices/0/delta/role", json!("robot")),
        ("/choices/0/delta/role", json!(5)),
        ("/choices/0/delta/refusal", json!({ "a": 1 })),
        ("/choices/0/delta/tool_calls", json!("no")),
        ("/choices/0/delta/annotations", json!("no")),
        ("/choices/0/logprobs", json!("no")),
        ("/choices/0/finish_reason", json!(5)),
    ];
    let why = "of the types that they have in those before";
    let usual = |text: &str| said(text, "/created", &json!(1));
    for (place, odd) in &odd_members {
        let decoy = |text: &str| said(text, place, odd);
        is_refused(chat::stream(), &unnamed(&[usual(FIRST), decoy("zz"), usual(LAST)]), why);
        is_refused(chat::stream(), &unnamed(&[decoy("9"), usual(FIRST), usual(LAST)]), why);
        is_refused(chat::stream(), &unnamed(&[usual(FIRST), usual(LAST), decoy("9")]), why);
        // A server that has it so always is read by whoever can.
        let out = masked(chat::stream(), &unnamed(&[decoy(FIRST), decoy(LAST)]));
        assert!(!out.contains("078-05-"), "{out}");
    }
    // What servers are known to send: roles in some pieces, counts with a point, what is not there as nothing.
    let known = [
        piece(json!({ "role": "assistant", "content": "" })),
        piece(json!({ "role": "", "content": FIRST })),
        said("", "/created", &json!(1.5)),
        piece(json!({ "role": null, "content": LAST, "tool_calls": null, "annotations": [] })),
        json!({"id":null,"created":null,"model":null,"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[]}}]}),
        said("b", "/usage", &json!({ "prompt_tokens": 1, "completion_tokens": null })),
        // What says nothing is joined with nothing.
        said("", "/choices/0/delta/role", &json!("tool")),
        json!({"choices":[{"delta":{},"finish_reason":"stop"}]}),
    ];
    assert!(!masked(chat::stream(), &unnamed(&known)).contains("078-05-"));
    let none = json!({"id":"c","choices":[{"delta":{"content":"zz"}}]});
    is_refused(chat::stream(), &unnamed(&[usual(FIRST), none.clone(), usual(LAST)]), why);
    told(chat::stream(), &unnamed(&[none.clone(), json!({"choices":[{"index":1,"delta":{"content":"a"}}]}), none]));
    let mut odd = completion("zz");
    odd["created"] = "soon".into();
    is_refused(completions::stream(), &unnamed(&[completion(FIRST), odd, completion(LAST)]), why);

    let said = |text: &str| candidate(json!([{ "text": text }]));
    for (place, odd) in [
        ("/usageMetadata", json!("no")),
        ("/usageMetadata", json!({ "prompt_token_count": "no" })),
        ("/responseId", json!(5)),
        ("/candidates/0/finishReason", json!(5)),
        ("/candidates/0/safetyRatings", json!("no")),
        ("/candidates/0/content/parts/0/thoughtSignature", json!(5)),
        ("/candidates/0/content/parts/0/functionCall", json!("no")),
    ] {
        let mut decoy = said("zz");
        put(&mut decoy, place, &odd);
        is_refused(gemini_stream(), &unnamed(&[said(FIRST), decoy, said(LAST)]), why);
    }
}

#[test]
fn what_some_clients_cannot_read_is_refused() {
    let digits = "7".repeat(4301);
    for (odd, why) in [
        (r#""__proto__":{}"#, "`__proto__`"),
        (r#""a":[{"\u005f_proto__":1}]"#, "`__proto__`"),
        (r#""constructor":{"prototype":{}}"#, "`constructor.prototype`"),
        (r#""a":1e999"#, "beyond a double"),
        (r#""a":-1E+400"#, "beyond a double"),
        (&format!("\"a\":{digits}"), "4300 digits"),
    ] {
        let chat_piece = |text: &str| piece(json!({ "content": text })).to_string();
        let openai = |odd: &str| chat_piece("zz").replacen('{', &format!("{{{odd},"), 1);
        let stream = [chat_piece(FIRST), openai(odd), chat_piece(LAST)].map(|data| format!("data: {data}\n\n"));
        is_refused(chat::stream(), &stream.concat(), why);
        let said = |text: &str| candidate(json!([{ "text": text }])).to_string();
        let gemini = said("zz").replacen('{', &format!("{{{odd},"), 1);
        let stream = [said(FIRST), gemini, said(LAST)].map(|data| format!("data: {data}\n\n"));
        is_refused(gemini_stream(), &stream.concat(), why);
    }
    let known = r#"{"constructor":{"a":1},"a":1e308,"choices":[{"index":0,"delta":{"content":"x"}}]}"#;
    told(chat::stream(), &format!("data: {known}\n\n"));
    let choices = json!({ "choices": [{ "index": 0, "delta": { "content": "zz" } }] });
    is_refused(chat::stream(), &unnamed(&[piece(json!({ "content": FIRST })), json!({ "chunk": choices })]), "/chunk");
    let mut passed_over = piece(json!({ "content": "zz" }));
    passed_over["type"] = "content.delta".into();
    let events = [piece(json!({ "content": FIRST })), passed_over.clone(), piece(json!({ "content": LAST }))];
    is_refused(chat::stream(), &unnamed(&events), "of the types that they have");
    told(chat::stream(), &unnamed(&[passed_over.clone(), passed_over]));
}

/// Puts a value where a pointer says, there or not.
fn put(into: &mut Value, place: &str, value: &Value) {
    let (object, name) = place.rsplit_once('/').unwrap();
    into.pointer_mut(object).unwrap()[name] = value.clone();
}

#[test]
fn a_compaction_comes_in_one_delta() {
    let events = |deltas: &[&str]| {
        let deltas = deltas.iter().map(|text| anthropic::at(0, json!({"type":"compaction_delta","content":text})));
        let begin = anthropic::block_of(0, json!({"type":"compaction","content":null}));
        let all: Vec<Value> = std::iter::once(begin).chain(deltas).chain([anthropic::stop(0)]).collect();
        anthropic::sse(&all, "end_turn")
    };
    is_refused(anthropic::stream(), &events(&["9", CANARY]), "a compaction in one delta");
    let out = masked_words(anthropic::stream(), &events(&["", CANARY, ""]));
    assert_eq!(out, events(&["", "[SSN]", ""]));
}

#[test]
fn what_takes_the_place_of_what_came_before_is_judged_alone() {
    // To clients of some servers a message is all so far, and so is a delta that begins with the one before.
    let message = |text: &str| {
        let choice = json!({"index":0,"message":{"role":"assistant","content":text},"finish_reason":null});
        json!({"id":"c","object":"chat.completion.chunk","choices":[choice]})
    };
    let out = masked_words(chat::stream(), &unnamed(&[message("9"), message(CANARY)]));
    assert_eq!(out, unnamed(&[message("9"), message("[SSN]")]));
    let all = format!("{CANARY} is it");
    let said = |text: &str| piece(json!({ "content": text }));
    let out = masked_words(chat::stream(), &unnamed(&[said(&all[..2]), said(&all[..6]), said(&all)]));
    assert_eq!(out, unnamed(&[said(&all[..2]), said(&all[..6]), said("[SSN] is it")]));
}

/// One event with a delta and a message beside it, as Perplexity sends it.
fn both(delta: &str, message: &str) -> Value {
    let said = |text: &str| json!({"role":"assistant","content":text});
    json!({"id":"c","object":"chat.completion.chunk","choices":[
        {"index":0,"message":said(message),"delta":said(delta),"finish_reason":null}]})
}

#[test]
fn a_message_beside_a_delta_says_what_the_deltas_said() {
    let all = format!("ssn {CANARY} ok");
    let events = unnamed(&[both("", ""), both(FIRST, FIRST), both(LAST, &all), both("", &all)]);
    let clean = "ssn [SSN] ok";
    let out = unnamed(&[both("", ""), both("ssn [SSN]", "ssn [SSN]"), both(" ok", clean), both("", clean)]);
    assert_eq!(masked(chat::stream(), &events), out);
    told(chat::stream(), &unnamed(&[both("a", "a"), both(" b", "a b"), both("", "a b")]));
    // A client that reads the one where the other is empty has the message behind what came before.
    let (begin, end) = ("1120 is the end of ", " 078-05-");
    let text = format!("{begin}{end}");
    for first in [&*text, ""] {
        let out = masked(chat::stream(), &unnamed(&[both(&text, first), both("", &text)]));
        let heard: String = [0, 1]
            .map(|at| {
                let event = out.split("\n\n").nth(at).unwrap().strip_prefix("data: ").unwrap();
                let choice = support::value(event)["choices"][0].clone();
                let [delta, message] =
                    ["delta", "message"].map(|form| choice[form]["content"].as_str().unwrap().to_owned());
                if delta.is_empty() { message } else { delta }
            })
            .concat();
        assert!(!heard.contains(CANARY), "{heard}");
    }
    for events in [
        vec![both("9", CANARY)],
        vec![both("a", "a"), both("b", "b")],
        vec![both("a", "a"), piece(json!({"content":"b"}))],
        vec![piece(json!({"content":"a"})), both("b", "ab")],
        vec![both("a", "a"), json!({"choices":[{"index":0,"delta":{},"message":{"tool_calls":[{"index":0}]}}]})],
    ] {
        let error = support::run(chat::stream(), &mut support::Judge::masking(), unnamed(&events).as_bytes(), &[]);
        assert!(error.is_err(), "{events:?}");
    }
}

#[test]
fn a_whole_answer_may_have_a_delta_that_says_nothing() {
    let body = |delta: &str| {
        let said = |text: &str| json!({"role":"assistant","content":text});
        json!({"object":"chat.completion","choices":[{"index":0,"message":said(CANARY),"delta":said(delta)}]})
            .to_string()
    };
    assert_eq!(masked(chat::whole(), &body("")), body("").replace(CANARY, "[SSN]"));
    is_refused(chat::whole(), &body("a"), "with a delta or a message");
}
