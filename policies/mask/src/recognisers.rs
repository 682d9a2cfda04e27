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

/// A recogniser whose matches count as they are.
const fn plain(
    name: &'static str,
    kind: &'static str,
    label: &'static str,
    max_length: u32,
    regex: &'static str,
) -> Recogniser {
    Recogniser {
        name,
        kind,
        label,
        regex,
        host_check: "",
        check: Check::None,
        max_length,
        tail: 0,
    }
}

const fn checked(host_check: &'static str, recogniser: Recogniser) -> Recogniser {
    Recogniser {
        host_check,
        ..recogniser
    }
}

const fn verified(check: Check, recogniser: Recogniser) -> Recogniser {
    Recogniser { check, ..recogniser }
}

const fn tail(bytes: u32, recogniser: Recogniser) -> Recogniser {
    Recogniser {
        tail: bytes,
        ..recogniser
    }
}

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
    plain(
        "ssn",
        "ssn",
        "SSN",
        17,
        concat!(
            r"(?-u:\b)(?:00[1-9]|0[1-9][0-9]|[1-578][0-9]{2}|6(?:[0-57-9][0-9]|6[0-57-9]))",
            sep!(),
            r"(?:0[1-9]|[1-9][0-9])",
            sep!(),
            r"(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})(?-u:\b)",
        ),
    ),
    // Nine digits in a row are an SSN only where the text says so.
    tail(
        9,
        plain(
            "ssn-bare",
            "ssn",
            "SSN",
            96,
            concat!(
                r"(?i-u:\b(?:ssn|soc(?:ial)?[ -]?sec(?:urity)?(?:[ -]?(?:number|num|no|nr))?))",
                r"[^0-9A-Za-z]{0,4}(?i-u:is|was|number)?[^0-9A-Za-z]{0,4}[0-9]{9}(?-u:\b)",
            ),
        ),
    ),
    // Individual taxpayer number: 9xx, group 50-65, 70-88, 90-92, 94-99 (IRS).
    plain(
        "itin",
        "ssn",
        "ITIN",
        17,
        concat!(
            r"(?-u:\b)9[0-9]{2}",
            sep!(),
            r"(?:5[0-9]|6[0-5]|7[0-9]|8[0-8]|9[0-24-9])",
            sep!(),
            r"[0-9]{4}(?-u:\b)",
        ),
    ),
    // Issuer ranges by length, then Luhn (ISO/IEC 7812-1): Visa, Mastercard, Discover, JCB, UnionPay; American Express;
    // Diners Club; long Visa, UnionPay and Maestro numbers in one run.
    checked(
        "luhn",
        plain(
            "card",
            "card",
            "CARD",
            34,
            concat!(
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
        ),
    ),
    // Latin, Greek and Cyrillic letters, not all letters: in Chinese or Japanese text no space parts an address from
    // the words before it.
    plain(
        "email",
        "email",
        "EMAIL",
        254,
        concat!(
            r"[A-Za-z0-9._%+\-\x{c0}-\x{24f}\x{370}-\x{52f}]+(?:'[A-Za-z0-9._%+\-\x{c0}-\x{24f}\x{370}-\x{52f}]+)*",
            r"@[A-Za-z0-9.\-\x{c0}-\x{24f}\x{370}-\x{52f}]+\.[A-Za-z\x{c0}-\x{24f}\x{370}-\x{52f}]{2,}",
        ),
    ),
    // E.164: a plus and 8 to 15 digits; `\B` says that no word stands before the plus.
    plain(
        "phone",
        "phone",
        "PHONE",
        64,
        r"(?-u:\B)\+[1-9](?:[ \x{a0}.\-/()]{0,3}[0-9]){7,14}(?-u:\b)",
    ),
    // North America, only with separators: ten digits in a row are more often an order or a timestamp.
    plain(
        "phone-nanp",
        "phone",
        "PHONE",
        24,
        concat!(
            r"(?:(?-u:\b)1[ .\-]?)?(?:\([2-9][0-9]{2}\)[ \x{a0}]?|(?-u:\b)[2-9][0-9]{2}[ \x{a0}.\-])",
            r"[2-9][0-9]{2}[ \x{a0}.\-][0-9]{4}(?-u:\b)",
        ),
    ),
    // Length by country (SWIFT registry), then mod 97 (ISO 13616).
    checked(
        "iban",
        plain(
            "iban",
            "iban",
            "IBAN",
            68,
            concat!(
                r"(?i-u:\b(?:",
                r"NO[0-9]{2}(?:[ -]?[0-9A-Z]){11}|BE[0-9]{2}(?:[ -]?[0-9A-Z]){12}",
                r"|(?:DK|FO|FI|GL|NL)[0-9]{2}(?:[ -]?[0-9A-Z]){14}|(?:MK|SI)[0-9]{2}(?:[ -]?[0-9A-Z]){15}",
                r"|(?:AT|BA|EE|KZ|XK|LT|LU|MN)[0-9]{2}(?:[ -]?[0-9A-Z]){16}|(?:CR|HR|LV|CH|LI)[0-9]{2}(?:[ -]?[0-9A-Z]){17}",
                r"|(?:BH|BG|GE|DE|IE|ME|RS|GB)[0-9]{2}(?:[ -]?[0-9A-Z]){18}",
                r"|(?:AE|GI|IL|IQ|OM|SO|TL)[0-9]{2}(?:[ -]?[0-9A-Z]){19}",
                r"|(?:AD|CZ|MD|PK|RO|SA|SK|ES|SE|TN|VG)[0-9]{2}(?:[ -]?[0-9A-Z]){20}",
                r"|(?:LY|PT|ST)[0-9]{2}(?:[ -]?[0-9A-Z]){21}|(?:IS|TR)[0-9]{2}(?:[ -]?[0-9A-Z]){22}",
                r"|(?:BI|DJ|FR|GR|IT|MC|MR|SM)[0-9]{2}(?:[ -]?[0-9A-Z]){23}",
                r"|(?:AL|AZ|BY|CY|DO|GT|HU|LB|NI|PL|SV)[0-9]{2}(?:[ -]?[0-9A-Z]){24}",
                r"|(?:BR|EG|PS|QA|UA)[0-9]{2}(?:[ -]?[0-9A-Z]){25}|(?:JO|KW|MU)[0-9]{2}(?:[ -]?[0-9A-Z]){26}",
                r"|(?:MT|SC)[0-9]{2}(?:[ -]?[0-9A-Z]){27}|LC[0-9]{2}(?:[ -]?[0-9A-Z]){28}|RU[0-9]{2}(?:[ -]?[0-9A-Z]){29}",
                r")\b)",
            ),
        ),
    ),
    // The whole run of dotted numbers, so that five parts of an OID are not taken for four of an address.
    verified(
        Check::Ipv4,
        plain("ipv4", "ip", "IP", 64, r"(?-u:\b)[0-9]{1,3}(?:\.[0-9]+){3,}(?-u:\b)"),
    ),
    // Global (2000::/3), link-local (fe80::/10) and local (fc00::/7) addresses begin with four digits; shorter
    // beginnings are times, MAC addresses and `std::fmt`.
    verified(
        Check::Ipv6,
        plain(
            "ipv6",
            "ip",
            "IP",
            46,
            concat!(
                r"(?-u:\b)(?:[23][0-9A-Fa-f]{3}|[fF](?:[eE][89abAB]|[cCdD][0-9A-Fa-f])[0-9A-Fa-f])",
                r"(?::[0-9A-Fa-f]{0,4}){2,7}",
            ),
        ),
    ),
    // ---------------------------------------------------------------- secrets
    plain(
        "private-key",
        "private-key",
        "PRIVATE_KEY",
        16_384,
        concat!(
            r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----",
        ),
    ),
    // A key whose end is missing, or too far away.
    plain(
        "private-key-part",
        "private-key",
        "PRIVATE_KEY",
        16_384,
        concat!(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:(?:\s|\\[rn])*[A-Za-z0-9+/]{16,}={0,2})*",),
    ),
    plain(
        "jwt",
        "api-key",
        "JWT",
        8_192,
        r"(?-u:\b)eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*",
    ),
    plain(
        "aws-access-key",
        "api-key",
        "AWS_KEY",
        20,
        r"(?-u:\b)(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?-u:\b)",
    ),
    tail(
        40,
        plain(
            "aws-secret-key",
            "api-key",
            "AWS_SECRET",
            96,
            concat!(
                r"(?i-u:aws[_ \-]?secret[_ \-]?(?:access[_ \-]?)?key)(?i-u: is)?[\x22']?\s{0,4}[:= ]\s{0,4}[\x22']?",
                r"[A-Za-z0-9/+]{40}",
            ),
        ),
    ),
    plain(
        "github-token",
        "api-key",
        "GITHUB_TOKEN",
        255,
        r"(?-u:\b)(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    plain(
        "gitlab-token",
        "api-key",
        "GITLAB_TOKEN",
        128,
        r"(?-u:\b)gl(?:pat|dt|rt|cbt|ptt)-[A-Za-z0-9_\-]{20,}",
    ),
    plain(
        "anthropic-key",
        "api-key",
        "ANTHROPIC_KEY",
        255,
        r"(?-u:\b)sk-ant-[A-Za-z0-9_\-]{20,}",
    ),
    plain(
        "openai-key",
        "api-key",
        "OPENAI_KEY",
        255,
        r"(?-u:\b)sk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_\-]{20,}|[A-Za-z0-9]{20,})",
    ),
    plain(
        "stripe-key",
        "api-key",
        "STRIPE_KEY",
        255,
        r"(?-u:\b)(?:[srp]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/]{24,})",
    ),
    plain(
        "slack-token",
        "api-key",
        "SLACK_TOKEN",
        255,
        r"(?-u:\b)(?:xox[abeoprs]-[A-Za-z0-9.\-]{10,}|xapp-[0-9]-[A-Za-z0-9\-]{10,})",
    ),
    plain(
        "slack-webhook",
        "api-key",
        "SLACK_WEBHOOK",
        160,
        r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}",
    ),
    plain(
        "google-key",
        "api-key",
        "GOOGLE_KEY",
        255,
        r"(?-u:\b)(?:AIza[A-Za-z0-9_\-]{35}|GOCSPX-[A-Za-z0-9_\-]{28}|ya29\.[A-Za-z0-9_\-]{20,})",
    ),
    plain(
        "npm-token",
        "api-key",
        "NPM_TOKEN",
        64,
        r"(?-u:\b)npm_[A-Za-z0-9]{36}(?-u:\b)",
    ),
    plain(
        "pypi-token",
        "api-key",
        "PYPI_TOKEN",
        255,
        r"(?-u:\b)pypi-AgE[A-Za-z0-9_\-]{50,}",
    ),
    plain(
        "huggingface-token",
        "api-key",
        "HF_TOKEN",
        64,
        r"(?-u:\b)hf_[A-Za-z0-9]{30,}",
    ),
    plain(
        "sendgrid-key",
        "api-key",
        "SENDGRID_KEY",
        80,
        r"(?-u:\b)SG\.[A-Za-z0-9_\-]{22}\.[A-Za-z0-9_\-]{43}",
    ),
    plain("groq-key", "api-key", "GROQ_KEY", 128, r"(?-u:\b)gsk_[A-Za-z0-9]{40,}"),
    plain(
        "digitalocean-token",
        "api-key",
        "DO_TOKEN",
        80,
        r"(?-u:\b)do[opr]_v1_[a-f0-9]{64}(?-u:\b)",
    ),
    tail(
        88,
        plain(
            "azure-storage-key",
            "api-key",
            "AZURE_KEY",
            104,
            r"AccountKey=[A-Za-z0-9+/]{86}==",
        ),
    ),
];
