//! Values that are spelled otherwise than in ASCII are found all the same, over any cut.

mod rig;

use proptest::prelude::*;
use rig::{compile, covered, everywhere, flow, menu, spec};
use unicode_segmentation::UnicodeSegmentation;

const SSN: &str = "078-05-1120";

/// The table of evasions: how a value is spelled, and that all of it is found.
#[test]
fn every_spelling_of_a_value_is_found_whole() {
    let patterns = compile(&menu());
    let between = |between: &str| SSN.chars().map(String::from).collect::<Vec<_>>().join(between);
    let mut spelled: Vec<String> = [
        "０７８－０５－１１２０",
        "٠٧٨-٠٥-١١٢٠",
        "۰۷۸-۰۵-۱۱۲۰",
        "०७८-०५-११२०",
        "𝟎𝟕𝟖-𝟎𝟓-𝟏𝟏𝟐𝟎",
        "⁰⁷⁸-₀₅-①①②⓪",
        "O78-05-1120".replace('O', "〇").as_str(),
        "078‐05‑1120",
        "078‒05–1120",
        "078—05―1120",
        "078−05﹣1120",
        "0٧8-０5-11𝟚0",
        "077-05-1120".replacen('7', "⁷", 1).as_str(),
    ]
    .map(str::to_owned)
    .into();
    for unseen in [
        "\u{200B}",
        "\u{200C}",
        "\u{200D}",
        "\u{2060}",
        "\u{FEFF}",
        "\u{AD}",
        "\u{34F}",
        "\u{61C}",
        "\u{180E}",
        "\u{115F}",
        "\u{FE0F}",
        "\u{E0100}",
        "\u{E0041}",
        "\u{202E}",
        "\u{2066}",
        "\u{301}",
        "\u{20E3}",
        "\u{332}\u{200B}\u{E0041}",
        "\0",
        "\u{1}",
        "\u{8}",
        "\u{1A}",
        "\u{1F}",
        "\u{7F}",
        "\u{1}\u{200B}\0",
    ] {
        spelled.push(between(unseen));
    }
    for spelled in spelled {
        for text in [format!("it is {spelled}, he says"), format!("号码{spelled}"), spelled.clone()] {
            let hits = everywhere(&patterns, &text);
            let found = covered(&text, &hits);
            assert!(found.iter().any(|found| found.contains(spelled.as_str())), "{text:?}: {found:?}");
        }
    }
}

#[test]
fn other_kinds_too() {
    let patterns = compile(&menu());
    for (text, value) in [
        ("card ４１１１ １１１１ １１１１ １１１１.", "４１１１ １１１１ １１１１ １１１１"),
        ("card 4111\u{A0}1111\u{2009}1111\u{3000}1111.", "4111\u{A0}1111\u{2009}1111\u{3000}1111"),
        ("card 4111‒1111‒1111‒1111.", "4111‒1111‒1111‒1111"),
        ("mail ｊｏｅ＠ｅｘａｍｐｌｅ．ｃｏｍ!", "ｊｏｅ＠ｅｘａｍｐｌｅ．ｃｏｍ"),
        ("mail jоe@exаmple.cоm!", "jоe@exаmple.cоm"),
        ("mail josé@exämple․com!", "josé@exämple․com"),
        ("key ΑКІA1２3ABC", "ΑКІA1２3ABC"),
        ("🄰🄺🄸🄰ABCDEF", "🄰🄺🄸🄰ABCDEF"),
        ("the secret\u{A0}\u{2003}word", "secret\u{A0}\u{2003}word"),
        ("the sec\u{200B}ret w𝗈rd", "sec\u{200B}ret w𝗈rd"),
        ("the sec\u{1}ret\0 word\u{7F}", "sec\u{1}ret\0 word"),
        ("ПАР\u{200B}ОЛЬ", "ПАР\u{200B}ОЛЬ"),
        ("пaр\u{301}oль", "пaр\u{301}oль"),
    ] {
        let hits = everywhere(&patterns, text);
        assert!(covered(text, &hits).contains(&value), "{text:?}: {:?}", covered(text, &hits));
    }
}

/// The tag character for each of ASCII.
fn in_tags(text: &str) -> String {
    text.chars().filter_map(|char| char::from_u32(char as u32 + 0xE0000)).collect()
}

#[test]
fn what_is_written_in_tags_is_found() {
    let patterns = compile(&menu());
    let tags = in_tags(SSN);
    for spelled in [
        tags.clone(),
        format!("078-{}", in_tags("05-1120")),
        format!("{}1120", in_tags("078-05-")),
        SSN.chars().map(|char| if char == '-' { in_tags("-") } else { char.to_string() }).collect(),
        tags.chars().map(|char| format!("{char}\u{200B}")).collect(),
    ] {
        for text in [format!("it is {spelled}, he says"), format!("\u{1F3F4}{spelled}"), spelled.clone()] {
            let hits = everywhere(&patterns, &text);
            let found = covered(&text, &hits);
            assert!(
                found.iter().any(|found| found.contains(spelled.trim_end_matches('\u{200B}'))),
                "{text:?}: {found:?}"
            );
        }
    }
    // A flag is no more than that.
    let flag = format!("\u{1F3F4}{}\u{E007F} 078-05", in_tags("gbeng"));
    assert!(everywhere(&patterns, &flag).is_empty());
}

#[test]
fn every_decimal_digit_of_unicode_counts() {
    let patterns = compile(&menu()[..1]);
    let digit = regex::Regex::new(r"\A\p{Nd}\z").unwrap();
    let zeros: Vec<char> =
        ('\0'..=char::MAX).filter(|char| digit.is_match(char.encode_utf8(&mut [0; 4]))).step_by(10).collect();
    assert!(zeros.len() > 60, "{}", zeros.len());
    for zero in zeros {
        let spell = |char: char| match char.to_digit(10) {
            Some(value) => char::from_u32(zero as u32 + value).unwrap(),
            None => char,
        };
        let spelled: String = SSN.chars().map(spell).collect();
        let text = format!("x {spelled} y");
        assert_eq!(covered(&text, &patterns.find(&text, &[])), [spelled.as_str()]);
    }
}

#[test]
fn what_a_pattern_names_itself_is_found_as_it_stands() {
    for (regex, text, found) in [
        ("１２３", "x１２３x", "１２３"),
        (r"\p{Cyrillic}{4}", "слова", "слов"),
        (r"\d–\d", "1–2", "1–2"),
        ("naïve", "a naïve one", "naïve"),
        ("naïve", "a nai\u{308}ve one", "nai\u{308}ve"),
        ("[^\\x00-\\x7F]", "aéb", "é"),
        ("é", "café", "é"),
    ] {
        let patterns = compile(&[spec(regex, "", 32)]);
        assert_eq!(covered(text, &everywhere(&patterns, text)), [found], "{regex}");
    }
    // What is all ASCII is not what a pattern in another script names.
    let patterns = compile(&[spec("сор", "", 32), spec(r"\d–\d", "", 8)]);
    assert!(everywhere(&patterns, "a cop at 1-2").is_empty());
    assert_eq!(everywhere(&patterns, "a cоp").len(), 1);
}

#[test]
fn a_hit_covers_the_marks_of_its_last_character() {
    let patterns = compile(&[spec("AKIA[A-Z0-9]{6}", "", 10), spec(r"\d{3}-\d{2}-\d{4}", "", 11)]);
    for mark in ["\u{301}", "\u{301}\u{302}\u{20E3}", "\u{FE0F}\u{20E3}", "\u{200D}", "\u{E0041}"] {
        for value in ["AKIAABCDEF", SSN, "０７８-05-1120"] {
            let text = format!("{value}{mark} z");
            assert_eq!(covered(&text, &everywhere(&patterns, &text)), [format!("{value}{mark}")]);
        }
    }
}

/// So long a run of unseen characters parts what stands around it; no relay lets one come so far.
#[test]
fn what_is_held_for_unseen_characters_is_bounded() {
    let patterns = compile(&menu());
    let text = format!("078-05{}-1120", "\u{200B}".repeat(84));
    assert_eq!(everywhere(&patterns, &text).len(), 1);
    let longer = format!("078-05{}-1120", "\u{200B}".repeat(85));
    assert!(everywhere(&patterns, &longer).is_empty());
    assert!(patterns.scan("", &format!("078-05{}", "\u{200B}".repeat(10_000)), false).keep < 100);
    let dense: String = SSN.chars().map(|char| format!("{char}{}", "\u{200B}".repeat(84))).collect();
    assert_eq!(everywhere(&patterns, &dense).len(), 1);
}

#[test]
fn text_that_nothing_matches_is_not_held() {
    let patterns = compile(&menu()[..2]);
    for text in
        ["Η γρήγορη αλεπού ", "Съешь же ещё этих ", "日本語のテキスト", "it’s “so” — and ", "e\u{301}", "👩\u{200D}🔬"]
    {
        assert_eq!(patterns.scan("", text, false).keep, 0, "{text:?}");
    }
    assert_eq!(patterns.scan("", "it’s “０７", false).keep, 6);
}

/// A match in what is kept for another pattern comes again, and is told once.
#[test]
fn what_lies_in_the_tail_is_told_when_it_leaves() {
    let patterns = compile(&[spec("delete", "", 6), spec("delete [a-z ]{0,60}customers", "", 80)]);
    for text in ["please delete all ", "please delete all the users"] {
        let scan = patterns.scan("", text, false);
        assert_eq!((scan.hits.len(), scan.keep), (0, text.len() - "please ".len()), "{text}");
    }
    for (text, last, told) in [
        ("please delete all", true, vec![0]),
        ("please delete all customers, now", false, vec![0, 1]),
        ("please delete all, now", false, vec![0]),
    ] {
        let hits = patterns.scan("", text, last).hits;
        assert_eq!(hits.iter().map(|hit| hit.pattern).collect::<Vec<_>>(), told, "{text}");
    }
}

#[test]
fn naughty_strings_are_cut_anywhere() {
    let strings: Vec<String> = serde_json::from_str(include_str!("data/blns.json")).unwrap();
    let patterns = compile(&menu());
    for text in &strings {
        let around = format!("{text}０78-05-1120{text}");
        let every: Vec<usize> = around.char_indices().map(|(at, _)| at).collect();
        let whole = patterns.find(&around, &[]);
        assert_eq!(flow(&patterns, &around, &every), whole, "{text:?}");
    }
}

/// Text with values in many spellings.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "078-05-1120", "０７８－０５－１１２０", "٠٧٨-٠٥-١١٢٠", "4111 1111 1111 1111", "４１１１\u{A0}1111‒1111 1111", "jоe@exаmple.cоm",
            "AKIAABCDEF", "ΑКІA1２3ABC", "пароль", "пapoль", "secret\u{2003}word",
        ]).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            "\u{200B}", "\0", "\u{7F}", "\u{301}", "\u{FE0F}", "½", "ﬁ", "\u{AD}\u{AD}", " ", "-", "–", "a", "1", "１", "é", "日", "é@b.co", "٣", "\u{600}",
            "\u{E0030}\u{E0037}\u{E0038}", "\u{E002D}", "\u{E0041}", "\u{E0020}",
        ]).prop_map(str::to_owned),
        2 => "[0-9０-９]{1,4}",
        1 => "\u{200B}{60,100}",
        1 => "\\PC{1,4}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// The same text with something unseen put anywhere.
fn hidden() -> impl Strategy<Value = String> {
    (
        text(),
        prop::collection::vec(
            (any::<prop::sample::Index>(), prop::sample::select(vec!["\u{200B}", "\u{301}", "\u{E0041}", "\u{1}"])),
            0..6,
        ),
    )
        .prop_map(|(mut text, unseen)| {
            for (at, unseen) in unseen {
                let at = text.floor_char_boundary(at.index(text.len() + 1));
                text.insert_str(at, unseen);
            }
            text
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_cut_text_gives_what_the_whole_gives(
        text in hidden(),
        chosen in prop::sample::subsequence(menu(), 1..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let patterns = compile(&chosen);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.floor_char_boundary(cut.index(text.len() + 1))).collect();
        cuts.sort_unstable();
        let whole = patterns.find(&text, &[]);
        prop_assert_eq!(flow(&patterns, &text, &cuts), whole.clone());
        // None lies within another of its pattern, and none parts a character and its marks.
        let ends: std::collections::HashSet<usize> =
            text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len()).collect();
        for hit in &whole {
            prop_assert!(ends.contains(&hit.end), "{:?}", hit);
            let within = |other: &&model::Hit| other.pattern == hit.pattern && other.start <= hit.start && hit.end <= other.end;
            prop_assert_eq!(whole.iter().filter(within).count(), 1);
        }
    }

    /// Whatever is found in a text is found in it when it is spelled otherwise.
    #[test]
    fn spelling_hides_nothing(text in "[a-z0-9 .@-]{0,20}(078-05-1120|joe@example\\.com|AKIAABCDEF|secret word)[ .,][a-z ]{0,8}", seed in any::<u64>()) {
        let patterns = compile(&menu());
        let mut seed = seed;
        let spelled: String = text.chars().map(|char| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let full_width = char::from_u32(char as u32 + 0xFEE0).filter(|_| char.is_ascii_graphic());
            match seed >> 61 {
                0 => format!("{char}\u{200B}"),
                1 => format!("{char}\u{301}"),
                4 => format!("{char}\u{1}"),
                2 | 3 => full_width.unwrap_or('\u{2003}').to_string(),
                _ => char.to_string(),
            }
        }).collect();
        let plain: Vec<_> = patterns.find(&text, &[]).into_iter().map(|hit| hit.pattern).collect();
        let other: Vec<_> = patterns.find(&spelled, &[]).into_iter().map(|hit| hit.pattern).collect();
        prop_assert!(plain.iter().all(|pattern| other.contains(pattern)), "{:?}: {:?} {:?}", spelled, plain, other);
    }
}
