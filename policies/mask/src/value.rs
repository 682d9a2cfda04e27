//! Which part of a match is the value. What stands before it is the context that gives a bare number or word its
//! meaning, and stays in the text.

use core::ops::Range;

/// Where the value is in a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// All of it.
    Whole,
    /// The same, but for an escape of quoted text (`\n`) and underscores that stand directly before it.
    Bare,
    /// The same, and what stands behind it up to an underscore: `_AKIA…_`.
    Between,
    /// The number in it, with its plus or parenthesis: `SSN: 078051120`, `tel. (030) 901820`, `_078-05-1120_`.
    Number,
    /// The last word: `passport no. X1234567`.
    Word,
    /// What a name is given, without quotes: `api_key = "…"`, `AccountKey=…`; after a bare `is`, the last word.
    Assigned,
    /// What stands between the colon and the `@` of `scheme://user:password@host`.
    Userinfo,
    /// What follows `password=` or `pwd=`; where the match begins with it, up to what parts it from the next name.
    Password,
    /// What follows an option of a command, without quotes; of one that names a user, what follows the user's name.
    Argument,
}

impl Value {
    /// The value's place in a match; empty if there is none.
    #[must_use]
    pub fn within(self, found: &str) -> Range<usize> {
        let end = found.len();
        match self {
            Self::Whole => 0..end,
            Self::Bare => marks(found)..end,
            Self::Between => marks(found)..found.trim_end_matches('_').len().max(marks(found)),
            Self::Number => number(found),
            Self::Word => word(found)..end,
            Self::Assigned => match found.find([':', '=']) {
                Some(at) => unquoted(found, at),
                None => word(found)..end,
            },
            Self::Userinfo => userinfo(found),
            Self::Password => password(found),
            Self::Argument => argument(found)..end,
        }
    }
}

/// Bytes of the escape that the match begins with.
fn escape(found: &str) -> usize {
    match found.as_bytes() {
        [b'\\', b'u', ..] => found.floor_char_boundary(r"\u0000".len()),
        [b'\\', _, ..] => found.ceil_char_boundary(r"\n".len()),
        _ => 0,
    }
}

/// Bytes of the escape and the underscores that the match begins with.
fn marks(found: &str) -> usize {
    found.len() - found[escape(found)..].trim_start_matches('_').len()
}

/// From the first digit on, with a plus or parenthesis before it, without a letter or underscore behind.
fn number(found: &str) -> Range<usize> {
    let begin = escape(found);
    let digit = found[begin..].find(|c: char| c.is_ascii_digit()).map_or(found.len(), |at| begin + at);
    let start = if found[..digit].ends_with(['+', '(']) { digit - 1 } else { digit };
    start..found.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '_').len().max(start)
}

/// Behind the last thing that no word contains.
fn word(found: &str) -> usize {
    let apart = |c: char| c.is_whitespace() || matches!(c, ':' | '#' | '(' | '"' | '\'' | '`');
    found.rfind(apart).map_or(0, |at| found.ceil_char_boundary(at + 1))
}

/// Behind the sign of an assignment at `sign`, without quotes.
fn unquoted(found: &str, sign: usize) -> Range<usize> {
    let rest = found[sign + 1..].trim_start_matches(['=', '>', ' ', '\t', '\n', '\r', '\\', '"', '\'', '`']);
    let start = found.len() - rest.len();
    start..start + rest.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '\\' | '"' | '\'' | '`')).len()
}

fn userinfo(found: &str) -> Range<usize> {
    let user = found.find("://").map_or(0, |at| at + "://".len());
    let start = found[user..].find(':').map_or(found.len(), |at| user + at + 1);
    start..found.rfind('@').unwrap_or(start).max(start)
}

fn password(found: &str) -> Range<usize> {
    const NAMES: [&str; 2] = ["password", "pwd"];
    let named = |at: usize| {
        let name = found[..at].trim_end().as_bytes();
        NAMES.iter().any(|key| {
            name.split_at_checked(name.len().wrapping_sub(key.len()))
                .is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(key.as_bytes()))
        })
    };
    let sign = found.match_indices('=').map(|(at, _)| at).find(|at| named(*at));
    let rest = found[sign.map_or(0, |at| at + 1)..].trim_start();
    let start = found.len() - rest.len();
    let first = sign.is_some_and(|at| NAMES.iter().any(|key| found[..at].eq_ignore_ascii_case(key)));
    let next = rest.find(';').or_else(|| rest.find(['&', ' '])).filter(|_| first);
    start..next.map_or(found.len(), |next| start + next)
}

/// Behind the option and, where that names a user, behind the user; nothing is left where there is no user.
fn argument(found: &str) -> usize {
    let name = found.find([' ', '=', '\\', '"', '\'']).unwrap_or(found.len());
    let given = found[name..].trim_start_matches([' ', '=', ',', '\\', '"', '\'']);
    let start = found.len() - given.len();
    if !found[..name].ends_with("user") && !found[..name].ends_with(['u', 'U']) {
        return start;
    }
    let is_user = |user: &str| {
        user.starts_with(|c: char| c.is_ascii_alphanumeric())
            && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte))
    };
    let user = given.split(':').next().filter(|user| user.len() < given.len() && is_user(user));
    user.map_or(found.len(), |user| start + user.len() + ":".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_what_stands_behind_its_context() {
        for (value, found, expected) in [
            (Value::Whole, "078-05-1120", "078-05-1120"),
            (Value::Whole, r"\n_078-05-1120_", r"\n_078-05-1120_"),
            (Value::Bare, r"\nsk-abc_", "sk-abc_"),
            (Value::Bare, r"\u000a__sk-abc", "sk-abc"),
            (Value::Between, "__AKIA1__", "AKIA1"),
            (Value::Between, "AKIA1", "AKIA1"),
            (Value::Number, "SSN: 078051120", "078051120"),
            (Value::Number, "_078-05-1120", "078-05-1120"),
            (Value::Number, r"\u000a078-05-1120", "078-05-1120"),
            (Value::Number, "__078-05-1120_", "078-05-1120"),
            (Value::Number, "078-05-1120x", "078-05-1120"),
            (Value::Number, "tel. (030) 901820", "(030) 901820"),
            (Value::Number, "mobil +49 30 901820", "+49 30 901820"),
            (Value::Word, "passport no:X1234567", "X1234567"),
            (Value::Word, "Authorization: Bearer abc=", "abc="),
            (Value::Assigned, "AccountKey=abc==", "abc=="),
            (Value::Assigned, r#""api_key": "a:b""#, "a:b"),
            (Value::Assigned, r#"\"api_key\": \"x1\""#, "x1"),
            (Value::Assigned, "secret := 'x=y'", "x=y"),
            (Value::Assigned, "aws secret key is abc", "abc"),
            (Value::Userinfo, "postgres://app:p@ss:word@", "p@ss:word"),
            (Value::Userinfo, "redis://:hunter2@", "hunter2"),
            (Value::Password, "Server=db;User Id=pwd;Password=a=b", "a=b"),
            (Value::Password, "host=db PWD = x", "x"),
            (Value::Password, "Password=a=b;Server=", "a=b"),
            (Value::Password, "pwd=x&user=", "x"),
            (Value::Password, "pwd=a&b;user=", "a&b"),
            (Value::Password, "password=x host=", "x"),
            (Value::Password, "Server=db;Password=a&b", "a&b"),
            (Value::Argument, "--password hunter22", "hunter22"),
            (Value::Argument, "--token=a:b=", "a:b="),
            (Value::Argument, "-u jane@example.org:p:w", "p:w"),
            (Value::Argument, r#"-u\", \"jane:hunter22"#, "hunter22"),
            (Value::Argument, "-u 'jane:p w", "p w"),
            (Value::Argument, "-u +%Y-%m-%dT%H:%M:%SZ", ""),
            (Value::Argument, "--user hunter22", ""),
            (Value::Assigned, "Authorization: abc\t", "abc"),
        ] {
            assert_eq!(&found[value.within(found)], expected, "{value:?} in {found}");
        }
    }

    #[test]
    fn a_match_of_another_form_gives_no_place_outside_it() {
        let all = [Value::Whole, Value::Bare, Value::Between, Value::Number, Value::Word, Value::Assigned];
        for value in all.into_iter().chain([Value::Userinfo, Value::Password, Value::Argument]) {
            for found in ["", "_", "__", "\\n_", "é", "\\é", "\\u", "\\ué000", ":", "=", "@", "://", "é=é"] {
                assert!(found.get(value.within(found)).is_some(), "{value:?} in {found}");
            }
        }
    }
}
