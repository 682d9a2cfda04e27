//! What looks like a secret, and what only stands in the place of one.

use super::mentions;

/// Words of values that are written to be replaced.
const STAND_INS: &[&str] = &[
    "your",
    "example",
    "placeholder",
    "changeme",
    "change-me",
    "change_me",
    "redacted",
    "insert",
    "dummy",
    "process.env",
    "os.environ",
    "getenv",
    "secrets.",
    "xxxx",
    "****",
    "....",
];

/// Digits, capitals and small letters.
pub(super) fn mixed(found: &str) -> bool {
    let has = |class: fn(&u8) -> bool| found.as_bytes().iter().any(class);
    has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)
}

/// Not a template (`${X}`, `<x>`, `{{x}}`, `%s`, `%(x)s`) and not one character again and again.
pub(super) fn literal(found: &str) -> bool {
    let template = found.starts_with(['$', '<', '{', '*', '[']) || found.starts_with("%s") || found.starts_with("%(");
    let bytes = found.as_bytes();
    !template && bytes.first().is_some_and(|first| bytes.iter().any(|byte| byte != first))
}

/// A literal that is no path, URL, call or stand-in, and has the mixture of characters that names and words have not.
pub(super) fn secret(found: &str) -> bool {
    let reference =
        found.starts_with(['/', '.', '@']) || ["://", "${", "{{", "|"].iter().any(|sign| found.contains(sign));
    let has = |class: fn(&u8) -> bool| found.as_bytes().iter().any(class);
    let letters = has(u8::is_ascii_alphabetic);
    let signs = |byte: &u8| b"!@#$%^&*+=?".contains(byte);
    let chance = letters && (has(u8::is_ascii_digit) || found.as_bytes().iter().any(signs)) || shuffled(found);
    literal(found) && !reference && !call(found) && chance && !mentions(found, STAND_INS)
}

/// Letters alone, of which more begin with a capital than the words of a name would.
fn shuffled(found: &str) -> bool {
    const LETTERS: usize = 16;
    const OF_WORD: usize = 5;
    let pairs = found.as_bytes().windows(2);
    let begins = pairs.filter(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase()).count();
    found.len() >= LETTERS && begins * OF_WORD >= found.len()
}

/// `get_secret("db1")`, `Env.fetch(…)`.
fn call(found: &str) -> bool {
    let name = found.split('(').next().unwrap_or_default();
    name.len() < found.len() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"_.:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::super::{Check, tests::counts};

    #[test]
    fn secrets_and_not_their_places() {
        for (found, expected) in [
            ("hunter22", true),
            ("correct!horse", true),
            ("9f86d081884c7d65", true),
            ("wJalrXUtnFEMI/K7MDENG", true),
            ("${DB_PASSWORD_1}", false),
            ("<password1>", false),
            ("{{ secret1 }}", false),
            ("%(pass1)s", false),
            ("xxxxxxxxxxx", false),
            ("your-api-key-1", false),
            ("password", false),
            ("12345678", false),
            ("/run/secrets/db1", false),
            ("https://vault.example/v1", false),
            ("get_secret('db1')", false),
            ("process.env.KEY1", false),
            ("required|min:8", false),
            ("aB3(x)yz!", true),
            ("MuDoXmjUDLJHibqxQXxBLIAOzzHiUuoB", true),
            ("userPasswordFieldLabelText", false),
        ] {
            counts(&[(Check::Secret, "", found, expected)]);
        }
        counts(&[
            (Check::Literal, "", "password", true),
            (Check::Literal, "", "$PASSWORD", false),
            (Check::Literal, "", "", false),
            (Check::Mixed, "", "aB1", true),
            (Check::Mixed, "", "ab1", false),
        ]);
    }
}
