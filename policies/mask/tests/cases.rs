//! Every recogniser against its cases in `cases.toml`: what it must find, at every split, and what it must leave alone.

use mask::{Mask, recognisers};
use policy_sdk::rig::Rig;
use toml::{Table, Value};

/// Fewest texts of each sort that every recogniser must have.
const FEWEST: usize = 2;

/// A text in which a value must go.
struct Find {
    before: String,
    value: String,
    after: String,
}

fn file() -> Table {
    include_str!("../cases.toml").parse().expect("cases.toml is TOML")
}

fn rig(only: &str) -> Rig<Mask> {
    Rig::new(&format!(r#"{{"only": ["{only}"]}}"#)).expect("a shipped name")
}

fn texts(of: &Value) -> Vec<String> {
    let texts = of.as_array().expect("a list").iter();
    texts.map(|text| filled(text.as_str().expect("a text"))).collect()
}

fn cases(file: &Table, name: &str) -> (Vec<Find>, Vec<String>) {
    let of = &file[name];
    let finds = texts(&of["finds"]).iter().map(|text| find(text)).collect();
    (finds, texts(&of["leaves"]))
}

/// Takes the marks off.
fn find(text: &str) -> Find {
    let (before, rest) = text.split_once("[[").expect("a mark");
    let (value, after) = rest.split_once("]]").expect("the end of a mark");
    Find { before: before.into(), value: value.into(), after: after.into() }
}

/// Puts characters in the place of each `{X:N}`.
fn filled(text: &str) -> String {
    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const DIGITS: &str = "0123456789";
    let upper = LOWER.to_uppercase();
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, place) = rest.split_at(at);
        out.push_str(before);
        let parsed = place.split_once('}').and_then(|(head, tail)| {
            let (class, count) = head[1..].split_once(':')?;
            Some((class, count.parse::<usize>().ok()?, tail))
        });
        let Some((class, count, tail)) = parsed else {
            out.push('{');
            rest = &place[1..];
            continue;
        };
        let alphabet = match class {
            "a" => [DIGITS, LOWER, &upper].concat(),
            "w" => [DIGITS, LOWER, &upper, "-_"].concat(),
            "b" => [DIGITS, LOWER, &upper, "+/"].concat(),
            "l" => [DIGITS, LOWER].concat(),
            "u" => [DIGITS, &upper].concat(),
            "h" => [DIGITS, "abcdef"].concat(),
            "d" => DIGITS.to_owned(),
            "U" => "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L".to_owned(),
            _ => String::new(),
        };
        assert!(!alphabet.is_empty(), "there is no class {class}: {text}");
        // Any generator will do that never changes: the multiplier is Knuth's.
        let mut state = (out.len() as u64 + 1).wrapping_mul(6_364_136_223_846_793_005);
        for _ in 0..count {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.push(char::from(alphabet.as_bytes()[(state >> 33) as usize % alphabet.len()]));
        }
        rest = tail;
    }
    out + rest
}

#[test]
fn every_recogniser_has_cases_of_both_sorts() {
    let file = file();
    for each in recognisers::ALL {
        let (finds, leaves) = cases(&file, each.name);
        assert!(finds.len() >= FEWEST && leaves.len() >= FEWEST, "{}", each.name);
    }
    for name in file.keys().filter(|name| *name != "clean") {
        assert!(recognisers::ALL.iter().any(|each| each.name == name), "cases of {name}, which there is not");
    }
}

#[test]
fn every_value_goes_at_every_split() {
    let file = file();
    for each in recognisers::ALL {
        let rig = rig(each.name);
        for Find { before, value, after } in cases(&file, each.name).0 {
            let text = [before.as_str(), &value, &after].concat();
            rig.every_split(&text, &format!("{before}[{}]{after}", each.label));
        }
    }
}

/// Emphasis and code in Markdown, quoted text in JSON: what stands around a value must not hide it.
#[test]
fn marks_around_a_value_do_not_hide_it() {
    let file = file();
    let mut alone = 0;
    for each in recognisers::ALL {
        let rig = rig(each.name);
        let label = format!("[{}]", each.label);
        // One that needs the words before it has them in its other cases.
        let Some(Find { value, .. }) =
            cases(&file, each.name).0.into_iter().find(|find| rig.run(&[&find.value]).text == label)
        else {
            continue;
        };
        alone += 1;
        for (before, after) in
            [("_", "_"), ("see ___", "___."), ("**", "**"), ("`", "`"), (r"x\n", r"\n"), (r"\u000a_", "_")]
        {
            let text = [before, &value, after].concat();
            let masked = rig.run(&[&text]).text;
            // Many keys may go on with an underscore, and some with a full stop.
            let rest = masked.strip_prefix(&[before, &label].concat()).map(|rest| rest.trim_start_matches(['_', '.']));
            assert_eq!(rest, Some(after.trim_start_matches(['_', '.'])), "{}: {text}: {masked}", each.name);
            rig.every_split(&text, &masked);
        }
    }
    assert!(alone > recognisers::ALL.len() * 4 / 5, "only {alone} values stand for themselves");
}

#[test]
fn what_stands_directly_behind_a_number_does_not_hide_it() {
    for (name, number, behind) in [
        ("ssn", "078-05-1120", &["q", "A.", "_id", "_"][..]),
        ("ssn", "078 - 05 - 1120", &["q", "_"]),
        ("itin", "912-91-3457", &["q", "_"]),
        ("card", "4111111111111111", &["n", "_1", "_"]),
        ("card", "3782 822463 10005", &["x;", "__"]),
        ("iban", "DE89370400440532013000", &["_"]),
        ("iban", "NO93 8601 1117 947", &["_", "__"]),
    ] {
        let rig = rig(name);
        let label = rig.run(&[number]).text;
        assert!(label.starts_with('['), "{name}: {number}: {label}");
        for behind in behind {
            rig.every_split(&[number, behind].concat(), &[&label, *behind].concat());
        }
        rig.every_split(&[number, "9"].concat(), &[number, "9"].concat());
    }
}

#[test]
fn every_look_alike_stays_at_every_split() {
    let file = file();
    for each in recognisers::ALL {
        let rig = rig(each.name);
        for text in cases(&file, each.name).1 {
            rig.every_split(&text, &text);
        }
    }
}

#[test]
fn every_value_goes_with_all_recognisers_on() {
    let (file, rig) = (file(), Rig::<Mask>::new("").expect("defaults"));
    for each in recognisers::ALL {
        for Find { before, value, after } in cases(&file, each.name).0 {
            let outcome = rig.run(&[&before, &value, &after]);
            assert!(!outcome.text.contains(&value), "{}: {outcome:?}", each.name);
        }
    }
}

#[test]
fn clean_text_stays() {
    let rig = Rig::<Mask>::new("").expect("defaults");
    for text in texts(&file()["clean"]) {
        rig.every_split(&text, &text);
    }
}

#[test]
fn no_match_is_longer_than_what_may_be_split() {
    let file = file();
    for each in recognisers::ALL {
        for Find { value, .. } in cases(&file, each.name).0 {
            assert!(value.len() <= each.max_length as usize, "{}: {value}", each.name);
        }
    }
}

#[test]
fn ordinary_text_does_not_even_call_the_policy() {
    let rig = Rig::<Mask>::new("").expect("defaults");
    for text in ["The quick brown fox jumps over the lazy dog.", "2024-02-29T12:30:45Z took 12:30:45, v1.2.3"] {
        assert_eq!(rig.run(&[text]).calls, 0, "{text}");
    }
}
