//! Every recogniser: what it must find, at every split, and what it must leave alone.

use mask::{Mask, recognisers};
use policy_sdk::rig::Rig;

fn rig(only: &str) -> Rig<Mask> {
    Rig::new(&format!(r#"{{"only": ["{only}"]}}"#)).expect("a shipped name")
}

/// Name of the recogniser, text around the value, value, text behind it.
const FOUND: &[(&str, &str, &str, &str)] = &[
    ("ssn", "my ssn is ", "078-05-1120", ""),
    ("ssn", "号码", "078-05-1120", "是"),
    ("ssn", "(", "899 99 9999", ")."),
    ("ssn", "", "123\u{2011}45\u{2013}6789", " ok"),
    ("ssn", "a:", "665-01-0001", ", b"),
    ("ssn-bare", "SSN: ", "078051120", "."),
    ("ssn-bare", "social security number is ", "078051120", " ok"),
    ("itin", "", "912-91-3457", ""),
    ("card", "card ", "4111 1111 1111 1111", " thanks"),
    ("card", "card ", "4111-1111-1111-1111", "."),
    ("card", "", "4111111111111111", ""),
    ("card", "mc ", "5555 5555 5555 4444", " 12/27"),
    ("card", "mc ", "2223003122003222", ""),
    ("card", "amex ", "3782 822463 10005", ""),
    ("card", "diners ", "30569309025904", ""),
    ("card", "discover ", "6011111111111117", ""),
    ("card", "jcb ", "3530111333300000", ""),
    ("card", "old visa ", "4222222222222", ""),
    ("email", "mail ", "jane.doe+tag@mail.example.co.uk", "."),
    ("email", "<", "a_b-c%d@example.org", ">"),
    ("email", "'", "o'brien@example.org", "'"),
    ("email", "我的邮箱是", "foo@example.com", "。"),
    ("email", "an ", "jürgen@müller.example", "!"),
    ("phone", "call ", "+1 (415) 555-2671", " now"),
    ("phone", "call ", "+442071838750", ","),
    ("phone", "", "+49 30 901820", ""),
    ("phone", "", "+81-3-1234-5678", "?"),
    ("phone-nanp", "call ", "(415) 555-2671", " now"),
    ("phone-nanp", "call ", "415-555-2671", "."),
    ("phone-nanp", "call ", "1-800-555-0199", ""),
    ("phone-nanp", "", "415.555.2671", ""),
    ("iban", "to ", "DE89 3704 0044 0532 0130 00", " please"),
    ("iban", "to ", "GB82WEST12345698765432", "."),
    ("iban", "to ", "de89370400440532013000", ""),
    ("iban", "to ", "NO93 8601 1117 947", ""),
    ("ipv4", "from ", "203.0.113.7", "."),
    ("ipv4", "http://", "10.1.2.3", "/x"),
    ("ipv6", "from ", "2001:db8::8a2e:370:7334", " ok"),
    ("ipv6", "[", "fe80::1ff:fe23:4567:890a", "]"),
    ("ipv6", "", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", ""),
    ("jwt", "bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g", ""),
    ("aws-access-key", "key ", "AKIAIOSFODNN7EXAMPLE", ""),
    ("aws-secret-key", "aws_secret_access_key = ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "\n"),
    ("aws-secret-key", r#""AWS_SECRET_ACCESS_KEY": ""#, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", r#"""#),
    ("github-token", "", "ghp_0123456789abcdefghijABCDEFGHIJ012345", " x"),
    ("github-token", "", "github_pat_11ABCDEFG0abcdefghijkl_ABCDEFGHIJ", " x"),
    ("gitlab-token", "", "glpat-AbCdEfGhIjKlMnOpQrSt", ""),
    ("anthropic-key", "", "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz-0123", ""),
    ("openai-key", "", "sk-proj-AbCdEfGhIjKlMnOpQrStUvWxYz_0123", "."),
    ("openai-key", "", "sk-AbCdEfGhIjKlMnOpQrStUvWx", "."),
    ("stripe-key", "", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", ""),
    ("slack-token", "", "xoxb-123456789012-AbCdEfGhIjKl", ""),
    ("slack-webhook", "https://", "hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", ""),
    ("google-key", "", "AIzaSyA1234567890abcdefghijklmnopqrstuv", ""),
    ("npm-token", "", "npm_abcdefghijklmnopqrstuvwxyz0123456789", ""),
    ("pypi-token", "", "pypi-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDA", ""),
    ("huggingface-token", "", "hf_AbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGh", ""),
    ("sendgrid-key", "", "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", ""),
    ("groq-key", "", "gsk_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOp", ""),
    ("digitalocean-token", "", "dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", ""),
    (
        "azure-storage-key",
        "AccountKey=",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        ";",
    ),
    (
        "private-key",
        "key:\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
        "\nbye",
    ),
    ("private-key-part", "", "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj", "\n…"),
    ("private-key-part", "\"", r"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B", "\""),
];

#[test]
fn every_value_goes_at_every_split() {
    for (name, before, value, after) in FOUND {
        let recogniser = recognisers::ALL.iter().find(|each| each.name == *name).expect("a recogniser");
        let text = [*before, *value, *after].concat();
        rig(name).every_split(&text, &format!("{before}[{}]{after}", recogniser.label));
    }
}

#[test]
fn every_value_goes_with_all_recognisers_on() {
    let rig = Rig::<Mask>::new("").expect("defaults");
    for (name, before, value, after) in FOUND {
        let outcome = rig.run(&[before, value, after]);
        assert!(!outcome.text.contains(value), "{name}: {outcome:?}");
    }
}

#[test]
fn every_recogniser_has_a_value_here() {
    for each in recognisers::ALL {
        assert!(FOUND.iter().any(|(name, ..)| *name == each.name), "{}", each.name);
    }
}

#[test]
fn no_value_is_longer_than_what_may_be_split() {
    for (name, before, value, _) in FOUND {
        let each = recognisers::ALL.iter().find(|each| each.name == *name).expect("a recogniser");
        assert!(value.len() <= each.max_length as usize, "{name}");
        if each.tail > 0 {
            assert_eq!(value.len(), each.tail as usize, "{name} after {before:?}");
        }
    }
}

/// What looks like a value and is none. With all recognisers on, not one byte may change.
const CLEAN: &[&str] = &[
    "The quick brown fox jumps over the lazy dog.",
    // numbers that were never issued
    "000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000",
    "078051120 is nine digits, 1078-05-11203 is longer",
    // dates, times, timestamps
    "2024-02-29T12:30:45.123Z, 12:30:45, 29.02.2024, 1709210000, 1709210000123, 2024:01:02 03:04:05",
    // versions and products
    "v1.2.3, 1.2.3-rc.4, Chrome/120.0.0.0 Safari/537.36, version 10.0.0.1, Build: 6.0.6001.18000, 10.0.19045.3803",
    // orders, invoices, tracking
    "order 114-3941689-8772232, invoice 2024-000123, 1Z999AA10123456784, 4111111111111112, 1234567890",
    // names of this machine and of nobody
    "127.0.0.1 0.0.0.0 255.255.255.0 ::1 1.3.6.1.4.1.311",
    // code
    "std::fmt::Display, a::b, fe::ed(), 2c:54:91:88:c9:e3, x+12345678, user@host, npm i pkg@1.2.3, #[derive(Debug)]",
    // ids
    "chatcmpl-9f8e7d6c5b4a, 550e8400-e29b-41d4-a716-446655440000, task-sk-learn, sk-estimator-parameters-checks",
    "9c1185a5c5e9fc54612808977ee8f548b2258d31, AKIA is a prefix, ghp_short, xoxb-1, eyJ alone",
    // accounts that fail their checksum
    "DE89 3704 0044 0532 0130 01, GB82 WEST 1234 5698 7654 33",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0B\n-----END PUBLIC KEY-----",
];

#[test]
fn clean_text_stays_and_costs_no_edit() {
    let rig = Rig::<Mask>::new("").expect("defaults");
    for text in CLEAN {
        rig.every_split(text, text);
    }
}

#[test]
fn ordinary_text_does_not_even_call_the_policy() {
    let rig = Rig::<Mask>::new("").expect("defaults");
    for text in &CLEAN[..1] {
        assert_eq!(rig.run(&[text]).calls, 0, "{text}");
    }
    assert_eq!(rig.run(&["2024-02-29T12:30:45Z took 12:30:45, v1.2.3"]).calls, 0);
}
