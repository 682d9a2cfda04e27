//! What `mask` recognises: the whole list, as data.
//!
//! The regexes run in the host (syntax of the `regex` crate); `host_check` is the host's check of a match and `check`
//! this policy's own. Order is priority: of two recognisers that find the same span, the earlier one names it.
//!
//! Digits and boundaries are ASCII on purpose: `(?-u:\b)` is a boundary between a digit and a Chinese character, where
//! the Unicode `\b` is none and would hide the number in `号码078-05-1120`. Full-width digits and the like are folded by
//! the host before it matches.

use crate::check::Check;

/// One kind of value that can be found.
#[derive(Clone, Copy, Debug)]
pub struct Recogniser {
    /// Its own name; the id of its pattern and part of the reason of its edits.
    pub name: &'static str,
    /// The family that settings may name to mean all of it: several recognisers may share one.
    pub kind: &'static str,
    /// What stands in the text afterwards, in brackets: `SSN` gives `[SSN]`.
    pub label: &'static str,
    /// What to look for.
    pub regex: &'static str,
    /// The host's check: `""`, `luhn`, `iban`.
    pub host_check: &'static str,
    /// The check made here.
    pub check: Check,
    /// Longest match in bytes that must not be missed when it is split.
    pub max_length: u32,
    /// How many bytes at the end of a match are the value; 0: all. What stands before them is the context that gives a
    /// bare number or key its meaning, and stays.
    pub tail: u32,
}

/// What most have in common.
const PLAIN: Recogniser =
    Recogniser { name: "", kind: "", label: "", regex: "", host_check: "", check: Check::None, max_length: 0, tail: 0 };

/// One separator inside a number: space, no-break space, hyphen, any dash, minus.
macro_rules! sep {
    () => {
        r"[ \x{a0}\x{2007}\x{202f}\-\x{2010}-\x{2015}\x{2212}]"
    };
}

/// Four digits, after an optional separator.
macro_rules! quad {
    () => {
        concat!(sep!(), "?[0-9]{4}")
    };
}

/// All of them, by priority.
pub const ALL: &[Recogniser] = &[
    // ---------------------------------------------------------------- people
    // Area 001-899 without 666, group 01-99, serial 0001-9999 (SSA). 078-05-1120 is inside these ranges: it was valid
    // when it became famous, and is what people type to try a filter.
    Recogniser {
        name: "ssn",
        kind: "ssn",
        label: "SSN",
        max_length: 17,
        regex: concat!(
            r"(?-u:\b)(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))",
            sep!(),
            r"(?:0[1-9]|[1-9][0-9])",
            sep!(),
            r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})(?-u:\b)",
        ),
        ..PLAIN
    },
    // Nine digits in a row are an SSN only where the text says so.
    Recogniser {
        name: "ssn-bare",
        kind: "ssn",
        label: "SSN",
        max_length: 96,
        regex: concat!(
            r"(?i-u:\b(?:ssn|soc(?:ial)?[ -]?sec(?:urity)?(?:[ -]?(?:number|num|no|nr))?))",
            r"[^0-9A-Za-z]{0,4}(?i-u:is|was|number)?[^0-9A-Za-z]{0,4}[0-9]{9}(?-u:\b)",
        ),
        tail: 9,
        ..PLAIN
    },
    // Individual taxpayer number: 9xx, group 50-65, 70-88, 90-92, 94-99 (IRS).
    Recogniser {
        name: "itin",
        kind: "ssn",
        label: "ITIN",
        max_length: 17,
        regex: concat!(
            r"(?-u:\b)9[0-9]{2}",
            sep!(),
            r"(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])",
            sep!(),
            r"[0-9]{4}(?-u:\b)",
        ),
        ..PLAIN
    },
    // Issuer ranges by length, then Luhn (ISO/IEC 7812-1): Visa, Mastercard, Discover, JCB, UnionPay; American Express;
    // Diners Club; long Visa, UnionPay and Maestro numbers in one run.
    Recogniser {
        name: "card",
        kind: "card",
        label: "CARD",
        max_length: 34,
        regex: concat!(
            r"(?-u:\b)(?:",
            r"(?:4[0-9]{3}|5[0-8][0-9]{2}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)|6[0-9]{3}|35[2-8][0-9])",
            quad!(),
            quad!(),
            quad!(),
            r"|3[47][0-9]{2}",
            sep!(),
            r"?[0-9]{6}",
            sep!(),
            r"?[0-9]{5}",
            r"|3(?:0[0-59]|[689][0-9])[0-9]",
            sep!(),
            r"?[0-9]{6}",
            sep!(),
            r"?[0-9]{4}",
            r"|[4-6][0-9]{12}(?:[0-9]{5,6})?",
            r")(?-u:\b)",
        ),
        host_check: "luhn",
        ..PLAIN
    },
    // Latin, Greek and Cyrillic letters, not all letters: in Chinese or Japanese text no space parts an address from
    // the words before it.
    Recogniser {
        name: "email",
        kind: "email",
        label: "EMAIL",
        max_length: 254,
        regex: concat!(
            r"[A-Za-z0-9._%+\-\x{c0}-\x{24f}\x{370}-\x{52f}]+(?:'[A-Za-z0-9._%+\-\x{c0}-\x{24f}\x{370}-\x{52f}]+)*",
            r"@[A-Za-z0-9.\-\x{c0}-\x{24f}\x{370}-\x{52f}]+\.[A-Za-z\x{c0}-\x{24f}\x{370}-\x{52f}]{2,}",
        ),
        ..PLAIN
    },
    // E.164: a plus and 8 to 15 digits; `\B` says that no word stands before the plus.
    Recogniser {
        name: "phone",
        kind: "phone",
        label: "PHONE",
        max_length: 64,
        regex: r"(?-u:\B)\+[1-9](?:[ \x{a0}.\-/()]{0,3}[0-9]){7,14}(?-u:\b)",
        ..PLAIN
    },
    // North America, only with separators: ten digits in a row are more often an order or a timestamp.
    Recogniser {
        name: "phone-nanp",
        kind: "phone",
        label: "PHONE",
        max_length: 24,
        regex: concat!(
            r"(?:(?-u:\b)1[ .\-]?)?(?:\([2-9][0-9]{2}\)[ \x{a0}]?|(?-u:\b)[2-9][0-9]{2}[ \x{a0}.\-])",
            r"[2-9][0-9]{2}[ \x{a0}.\-][0-9]{4}(?-u:\b)",
        ),
        ..PLAIN
    },
    // The host's check knows the countries' lengths, so that a word after the number is not taken into it (ISO 13616).
    Recogniser {
        name: "iban",
        kind: "iban",
        label: "IBAN",
        max_length: 68,
        regex: r"(?i-u:\b[A-Z]{2}[0-9]{2}(?:[ \-]?[A-Z0-9]){11,30}\b)",
        host_check: "iban",
        ..PLAIN
    },
    // The whole run of dotted numbers, so that five parts of an OID are not taken for four of an address.
    Recogniser {
        name: "ipv4",
        kind: "ip",
        label: "IP",
        max_length: 64,
        regex: r"(?-u:\b)[0-9]{1,3}(?:\.[0-9]+){3,}(?-u:\b)",
        check: Check::Ipv4,
        ..PLAIN
    },
    // Global (2000::/3), link-local (fe80::/10) and local (fc00::/7) addresses begin with four digits; shorter
    // beginnings are times, MAC addresses and `std::fmt`.
    Recogniser {
        name: "ipv6",
        kind: "ip",
        label: "IP",
        max_length: 46,
        regex: concat!(
            r"(?-u:\b)(?:[23][0-9A-Fa-f]{3}|[fF](?:[eE][89abAB]|[cCdD][0-9A-Fa-f])[0-9A-Fa-f])",
            r"(?::[0-9A-Fa-f]{0,4}){2,7}",
        ),
        check: Check::Ipv6,
        ..PLAIN
    },
    // ---------------------------------------------------------------- secrets
    Recogniser {
        name: "private-key",
        kind: "private-key",
        label: "PRIVATE_KEY",
        max_length: 16_384,
        regex: r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
        ..PLAIN
    },
    // A key whose end is missing, or too far away.
    Recogniser {
        name: "private-key-part",
        kind: "private-key",
        label: "PRIVATE_KEY",
        max_length: 16_384,
        regex: r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:(?:\s|\\[rn])*[A-Za-z0-9+/]{16,}={0,2})*",
        ..PLAIN
    },
    Recogniser {
        name: "jwt",
        kind: "api-key",
        label: "JWT",
        max_length: 8_192,
        regex: r"(?-u:\b)eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",
        ..PLAIN
    },
    Recogniser {
        name: "aws-access-key",
        kind: "api-key",
        label: "AWS_KEY",
        max_length: 20,
        regex: r"(?-u:\b)(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?-u:\b)",
        ..PLAIN
    },
    Recogniser {
        name: "aws-secret-key",
        kind: "api-key",
        label: "AWS_SECRET",
        max_length: 96,
        regex: concat!(
            r"(?i-u:aws[_ \-]?secret[_ \-]?(?:access[_ \-]?)?key)(?i-u: is)?[\x22']?\s{0,4}[:= ]\s{0,4}[\x22']?",
            r"[A-Za-z0-9/+]{40}",
        ),
        tail: 40,
        ..PLAIN
    },
    Recogniser {
        name: "github-token",
        kind: "api-key",
        label: "GITHUB_TOKEN",
        max_length: 255,
        regex: r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
        ..PLAIN
    },
    Recogniser {
        name: "gitlab-token",
        kind: "api-key",
        label: "GITLAB_TOKEN",
        max_length: 128,
        regex: r"(?-u:\b)gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_\-]{20,}",
        ..PLAIN
    },
    Recogniser {
        name: "anthropic-key",
        kind: "api-key",
        label: "ANTHROPIC_KEY",
        max_length: 255,
        regex: r"(?-u:\b)sk-ant-[A-Za-z0-9_\-]{20,}",
        ..PLAIN
    },
    Recogniser {
        name: "openai-key",
        kind: "api-key",
        label: "OPENAI_KEY",
        max_length: 255,
        regex: r"(?-u:\b)sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{20,}|[A-Za-z0-9]{20,})",
        ..PLAIN
    },
    Recogniser {
        name: "stripe-key",
        kind: "api-key",
        label: "STRIPE_KEY",
        max_length: 255,
        regex: r"(?-u:\b)(?:[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{24,})",
        ..PLAIN
    },
    Recogniser {
        name: "slack-token",
        kind: "api-key",
        label: "SLACK_TOKEN",
        max_length: 255,
        regex: r"(?-u:\b)(?:xox[abeoprs]-[A-Za-z0-9.\-]{10,}|xapp-[0-9]-[A-Za-z0-9\-]{10,})",
        ..PLAIN
    },
    Recogniser {
        name: "slack-webhook",
        kind: "api-key",
        label: "SLACK_WEBHOOK",
        max_length: 160,
        regex: r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}",
        ..PLAIN
    },
    Recogniser {
        name: "google-key",
        kind: "api-key",
        label: "GOOGLE_KEY",
        max_length: 255,
        regex: r"(?-u:\b)(?:AIza[A-Za-z0-9_\-]{35}|GOCSPX-[A-Za-z0-9_\-]{28}|ya29\.[A-Za-z0-9_\-]{20,})",
        ..PLAIN
    },
    Recogniser {
        name: "npm-token",
        kind: "api-key",
        label: "NPM_TOKEN",
        max_length: 64,
        regex: r"(?-u:\b)npm_[A-Za-z0-9]{36}(?-u:\b)",
        ..PLAIN
    },
    Recogniser {
        name: "pypi-token",
        kind: "api-key",
        label: "PYPI_TOKEN",
        max_length: 255,
        regex: r"(?-u:\b)pypi-AgE[A-Za-z0-9_\-]{50,}",
        ..PLAIN
    },
    Recogniser {
        name: "huggingface-token",
        kind: "api-key",
        label: "HF_TOKEN",
        max_length: 64,
        regex: r"(?-u:\b)hf_[A-Za-z0-9]{30,}",
        ..PLAIN
    },
    Recogniser {
        name: "sendgrid-key",
        kind: "api-key",
        label: "SENDGRID_KEY",
        max_length: 80,
        regex: r"(?-u:\b)SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",
        ..PLAIN
    },
    Recogniser {
        name: "groq-key",
        kind: "api-key",
        label: "GROQ_KEY",
        max_length: 128,
        regex: r"(?-u:\b)gsk_[A-Za-z0-9]{40,}",
        ..PLAIN
    },
    Recogniser {
        name: "digitalocean-token",
        kind: "api-key",
        label: "DO_TOKEN",
        max_length: 80,
        regex: r"(?-u:\b)do[opr]_v1_[a-f0-9]{64}(?-u:\b)",
        ..PLAIN
    },
    Recogniser {
        name: "azure-storage-key",
        kind: "api-key",
        label: "AZURE_KEY",
        max_length: 104,
        regex: r"AccountKey=[A-Za-z0-9+/]{86}==",
        tail: 88,
        ..PLAIN
    },
];
