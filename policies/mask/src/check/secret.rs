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

/// Words of names, of which a value in a line may be one: `password = oldPassword2`.
const NAMES: &[&str] = &["pass", "secret", "token", "key", "auth", "conf"];

/// Not a template (`${X}`, `$X`, `<x>`, `[x]`, `{{x}}`, `%s`, `%(x)s`) and not one character again and again.
pub(super) fn literal(found: &str) -> bool {
    let template = found.starts_with(['<', '{'])
        || found.starts_with('[') && found.ends_with(']')
        || found.starts_with("%s")
        || found.starts_with("%(")
        || variable(found);
    let bytes = found.as_bytes();
    !template && bytes.first().is_some_and(|first| bytes.iter().any(|byte| byte != first))
}

/// `$X`, `${X}`, `$(x)`, `$a->b`; but not `$2b$10$…`, the hash of a password, or `$ecret!1`: no name has such signs; nor
/// `$ecretPw1`, which chance makes rather than somebody who names things.
fn variable(found: &str) -> bool {
    let name = found.trim_start_matches('$');
    let signs = name.contains(['$', '!', '@', '#', '%', '^', '&', '*']);
    let chance = mixed(name) && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !mentions(name, NAMES);
    name.len() < found.len() && (name.starts_with(['{', '(']) || !signs && !chance)
}

/// Words that say of a password whether there is one.
const SETTLED: &[&str] = &["true", "false", "null", "none", "nil", "undefined"];

/// A literal that is no call and no such word; what only has a `(` in it is no call.
pub(super) fn given(found: &str) -> bool {
    let calls = call(found) && !found.starts_with('(') && found.ends_with(['(', ')']);
    literal(found) && !calls && !SETTLED.iter().any(|word| found.eq_ignore_ascii_case(word))
}

/// A secret, and not the path of `git@host:path`.
pub(super) fn argument(found: &str) -> bool {
    secret(found) && (!found.contains('/') || mixed(found))
}

/// A UUID that a header gives to be let in.
pub(super) fn header(before: &str, found: &str) -> bool {
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    const BYTES: usize = 36;
    let fits = |(at, byte): (usize, u8)| {
        if HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() }
    };
    let name = before.trim_end_matches([' ', '\t', ':', '=', '"', '\'', '`', '\\']).as_bytes();
    let named = ["authorization", "-key", "-token"].iter().any(|end| {
        name.split_at_checked(name.len().wrapping_sub(end.len()))
            .is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(end.as_bytes()))
    });
    named && found.len() == BYTES && found.bytes().enumerate().all(fits)
}

/// A secret that is no name by its looks: signs, or digits and letters of both sorts, or as many digits as a hash has.
pub(super) fn line(found: &str) -> bool {
    const HASH: usize = 16;
    const OF_HASH: usize = 5;
    let signs = found.contains(['!', '@', '#', '$', '%', '^', '&', '*', '+', '?']);
    let digits = found.bytes().filter(u8::is_ascii_digit).count();
    let hash = found.len() >= HASH && digits * OF_HASH >= found.len() && !found.contains([':', '.', '-']);
    let part = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    let path = found.contains(['.', ':', '/']) && found.split(['.', ':', '/']).all(part);
    secret(found) && (signs || mixed(found) || hash) && !path && !mentions(found, NAMES)
}

/// A literal that is no path, URL, call or stand-in, and has the mixture of characters that names and words have not.
pub(super) fn secret(found: &str) -> bool {
    let reference = place(found) || ["://", "${", "{{", "|"].iter().any(|sign| found.contains(sign));
    let has = |class: fn(&u8) -> bool| found.as_bytes().iter().any(class);
    let letters = has(u8::is_ascii_alphabetic);
    let signs = |byte: &u8| b"!@#$%^&*+=?".contains(byte);
    let chance = letters && (has(u8::is_ascii_digit) || found.as_bytes().iter().any(signs)) || shuffled(found);
    literal(found) && !reference && !call(found) && chance && !mentions(found, STAND_INS)
}

/// `/run/secrets/db1`, `.env.local1`, `@scope/name1`, `@Input1`; but not `.S3cret12`, `@dmin2024` or `@dmin!1`.
fn place(found: &str) -> bool {
    const DIGITS: usize = 3;
    let odd = |rest: &str| {
        rest.contains(['!', '#', '$', '%', '^', '&', '*', '+', '?'])
            || rest.bytes().filter(u8::is_ascii_digit).count() >= DIGITS
    };
    let chance = mixed(found) || found.strip_prefix('@').is_some_and(odd);
    found.starts_with('/') || found.starts_with(['.', '@']) && (found.contains('/') || !chance)
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
            (".S3cretPw12", true),
            ("./secret1", false),
            ("../config/Db1", false),
            (".env.local1", false),
            ("*S3cretPw12", true),
            ("[S3cretPw12", true),
            ("[password1]", false),
            ("$2b$10$N9qo8uLOickgx2ZMRZoMye", true),
            ("$ecret!Pw123", true),
            ("$ecretPw1", true),
            ("$dbPassword2", false),
            ("$env:DbPw1", false),
            ("$user1name", false),
            ("@dmin2024", true),
            ("@dmin!word", true),
            ("@Param12", true),
            ("@param12", false),
            ("@scope/Name123", false),
            ("$OTHER_TOKEN_1", false),
            ("$$OTHER_TOKEN_1", false),
            ("$request->pw1", false),
            ("$(pass show db1)", false),
        ] {
            counts(&[(Check::Secret, "", found, expected)]);
        }
    }

    #[test]
    fn where_names_stand_more_is_asked_of_a_secret() {
        for (found, expected) in [
            ("S3cret!pw99", true),
            ("aB3dE5fG7hJ9", true),
            ("0f3068b6de19eaa7648fd02ddf45ba5d", true),
            ("hunter22", false),
            ("args.password1", false),
            ("settings.OPENAI_V1", false),
            ("userPassword2", false),
            ("app-db-1", false),
            ("2024-01-15T10:15:00", false),
            ("vault:kv/Data1", false),
            ("550e8400-e29b-41d4-a716-446655440000", false),
            ("get_secret1", false),
        ] {
            counts(&[(Check::Line, "", found, expected)]);
        }
        counts(&[
            (Check::Literal, "", "password", true),
            (Check::Literal, "", "$PASSWORD", false),
            (Check::Literal, "", "*****", false),
            (Check::Given, "", "hunter=2", true),
            (Check::Given, "", "aB3(x)", true),
            (Check::Given, "", "input()", false),
            (Check::Given, "", "input(", false),
            (Check::Given, "", "(9xK!2", true),
            (Check::Given, "", "abc(K9", true),
            (Check::Given, "", "$PASSWORD", false),
            (Check::Literal, "", "", false),
            (Check::Given, "", "True", false),
            (Check::Line, "x-api-key: ", "550e8400-e29b-41d4-a716-446655440000", true),
            (Check::Line, r#"\"Authorization\": \""#, "550e8400-e29b-41d4-a716-446655440000", true),
            (Check::Line, "x-api-key: ", "550e8400-e29b-41d4-a716", false),
            (Check::Line, "api_key: ", "550e8400-e29b-41d4-a716-446655440000", false),
            (Check::Argument, "", "hunter22", true),
            (Check::Argument, "", "org/repo1", false),
            (Check::Argument, "", "aB3/dE5+fG7=", true),
            (Check::Argument, "", "1000", false),
            (Check::Mixed, "", "aB1", true),
            (Check::Mixed, "", "ab1", false),
        ]);
    }
}
