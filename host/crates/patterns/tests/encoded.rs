//! Values in encoded text are found where a plan asks for it, over any cut.

mod rig;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE},
};
use patterns::PatternSpec;
use proptest::prelude::*;
use rig::{compile, covered, everywhere, flow, menu, spec};

/// The menu, in encoded text.
fn encoded() -> Vec<PatternSpec> {
    menu().into_iter().map(|each| PatternSpec { check: format!("decoded:{}", each.check), ..each }).collect()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn each(text: &str, spell: impl Fn(char) -> String) -> String {
    text.chars().map(spell).collect()
}

/// Ways to encode a value, all of it.
fn encodings(value: &str) -> Vec<String> {
    let spaced =
        hex(value).as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect::<Vec<_>>();
    vec![
        STANDARD.encode(value),
        STANDARD_NO_PAD.encode(value),
        URL_SAFE.encode(value),
        STANDARD.encode(format!("{{\"name\":\"x\",\"value\":\"{value}\",\"ok\":true}}")),
        STANDARD.encode(format!("({value}) ")),
        STANDARD.encode(format!(", {value}")),
        hex(value),
        hex(value).to_uppercase(),
        spaced.join(" "),
        spaced.join(":"),
        format!("0x{}", hex(value)),
        each(value, |char| char.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()),
        each(value, |char| format!("&#{};", u32::from(char))),
        each(value, |char| format!("&#x{:X};", u32::from(char))),
        each(value, |char| format!("&#{}", u32::from(char))),
        each(value, |char| char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()),
        each(value, |char| format!("\\u{{{:x}}}", u32::from(char))),
        each(value, |char| char.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect()),
        value
            .replace('-', "%2D")
            .replace('@', "&commat;")
            .replace(' ', "&nbsp;")
            .replace("KI", "K\\u0049")
            .replace('о', "&#1086;")
            .replace('п', "&#1087;"),
    ]
}

#[test]
fn every_encoding_of_a_value_is_found() {
    let patterns = compile(&encoded());
    for value in ["078-05-1120", "4111 1111 1111 1111", "joe@example.com", "AKIAABCDEF", "пароль", "０７８-05-1120"]
    {
        for encoding in encodings(value) {
            for text in [format!("it is {encoding} there"), format!("\"{encoding}\""), encoding.clone()] {
                let hits = everywhere(&patterns, &text);
                assert!(!hits.is_empty(), "{value} as {text}");
                for hit in &hits {
                    let spelled = text.find(&encoding).map(|at| at..at + encoding.len());
                    assert!(
                        spelled.is_some_and(|span| span.start <= hit.start && hit.end <= span.end),
                        "{text}: {hit:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_hit_covers_what_holds_the_match_and_no_more() {
    let patterns = compile(&encoded()[..1]);
    let blob = STANDARD.encode("{\"user\":{\"ssn\":\"078-05-1120\",\"name\":\"joe\"}}");
    let text = format!("token={blob};");
    let hits = everywhere(&patterns, &text);
    let [hit] = hits.as_slice() else { panic!("{hits:?}") };
    let kept = [&text[6..hit.start], &text[hit.end..]].concat();
    assert!((15..=17).contains(&(hit.end - hit.start)));
    for phase in 0..4 {
        let shifted = &kept[phase.min(kept.len())..];
        let decoded = STANDARD_NO_PAD.decode(&shifted[..shifted.len() / 4 * 4]).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&decoded).contains("05-11"));
    }
    let text = "q=%30%37%38-05-1120&x";
    assert_eq!(covered(text, &everywhere(&patterns, text)), ["%30%37%38-05-1120"]);
    let text = "q=078-05-112%30&x";
    assert_eq!(covered(text, &everywhere(&patterns, text)), ["078-05-112%30"]);
}

#[test]
fn only_who_asks_gets_it_and_only_what_is_encoded() {
    let blob = STANDARD.encode("my ssn is 078-05-1120");
    assert!(compile(&menu()).find(&blob, &[]).is_empty());
    assert!(compile(&encoded()).find("my ssn is 078-05-1120", &[]).is_empty());
    let both: Vec<PatternSpec> = menu().into_iter().chain(encoded()).collect();
    let both = compile(&both);
    let text = format!("078-05-1120 {blob}");
    let found: Vec<u32> = everywhere(&both, &text).iter().map(|hit| hit.pattern).collect();
    assert_eq!(found, [0, 6]);
    // One level.
    assert!(both.find(&STANDARD.encode(&blob), &[]).is_empty());
    assert!(compile(&encoded()).find(&hex(&blob), &[]).is_empty());
}

#[test]
fn a_run_within_another_word_is_read_from_any_of_its_characters_on() {
    let patterns = compile(&encoded()[..1]);
    let blob = STANDARD_NO_PAD.encode("078-05-1120");
    for before in ["", "/", "v1/", "/v1/", "/api/", "x", "xy", "xyz"] {
        let text = format!("{before}{blob}");
        assert_eq!(covered(&text, &everywhere(&patterns, &text)), [blob.as_str()], "{text}");
    }
    let wrapped = format!("{}\n{}\r\n{}", &blob[..5], &blob[5..9], &blob[9..]);
    assert_eq!(everywhere(&patterns, &wrapped).len(), 1);
}

#[test]
fn prose_is_hardly_held() {
    let patterns = compile(&encoded()[..2]);
    for (text, most) in [
        ("The rain in Spain. ", 0),
        ("The rain in Spain", 5),
        ("internationalisation", 5),
        ("about %", 1),
        ("a & y ", 0),
        ("AT&", 1),
        ("AT&T ", 0),
        ("C:\\users ", 0),
        ("Η γρήγορη ", 0),
    ] {
        let scan = patterns.scan("", text, false);
        assert!(scan.keep <= most && scan.hits.is_empty(), "{text:?} keeps {}", scan.keep);
    }
}

#[test]
fn a_plus_is_a_space_where_forms_write_one() {
    let patterns = compile(&[spec("blue (?:heron|crane)", "decoded:", 32)]);
    for (text, found) in [
        ("q=blue+heron&x", &["blue+heron"][..]),
        ("blue%20heron+blue+crane", &["blue%20heron", "blue+crane"]),
        ("blue++heron, blue heron, blue%2bheron", &[]),
    ] {
        assert_eq!(covered(text, &everywhere(&patterns, text)), found, "{text}");
    }
}

#[test]
fn a_match_crosses_nothing_that_is_no_text() {
    let patterns = compile(&[spec("ssn[^0-9]{0,9}[0-9]{9}", "decoded:", 32)]);
    let (one, other) = (STANDARD.encode("ssn"), STANDARD.encode("078051120"));
    assert!(everywhere(&patterns, &format!("{one} and then {other}")).is_empty());
    assert!(everywhere(&patterns, &STANDARD.encode(b"ssn\xFF078051120")).is_empty());
    assert_eq!(everywhere(&patterns, &STANDARD.encode("ssn 078051120")).len(), 1);
}

#[test]
fn naughty_strings_are_cut_anywhere() {
    let strings: Vec<String> = serde_json::from_str(include_str!("data/blns.json")).unwrap();
    let patterns = compile(&encoded());
    for text in &strings {
        for around in [format!("{text}MDc4LTA1LTExMjA={text}"), STANDARD.encode(format!("{text} 078-05-1120 {text}"))] {
            let every: Vec<usize> = around.char_indices().map(|(at, _)| at).collect();
            let whole = patterns.find(&around, &[]);
            assert_eq!(flow(&patterns, &around, &every), whole, "{around:?}");
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "078-05-1120",
        "joe@example.com",
        "AKIAABCDEF",
        "пароль",
        "０７８-05-1120",
        "4111 1111 1111 1111",
    ]);
    let piece = prop_oneof![
        4 => (value, any::<prop::sample::Index>()).prop_map(|(value, which)| {
            let all = encodings(value);
            all[which.index(all.len())].clone()
        }),
        2 => prop::sample::select(vec![
            "%", "%3", "&", "&#", "&#x3", ";", "\\", "\\u", "\\u00", "\\ud83d", "=", "\n", " ", "/", "A", "0", "078-05-", "é", "\u{200B}",
            "%CC%81", "&shy;", "+", "078-05-1120", "&ZeroWidthSpace;",
        ]).prop_map(str::to_owned),
        1 => "[A-Za-z0-9+/]{1,6}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_cut_text_gives_what_the_whole_gives(
        text in text(),
        both in any::<bool>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let specs = if both { menu().into_iter().chain(encoded()).collect() } else { encoded() };
        let patterns = compile(&specs);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        cuts.sort_unstable();
        let whole = patterns.find(&text, &[]);
        prop_assert_eq!(flow(&patterns, &text, &cuts), whole);
    }
}
