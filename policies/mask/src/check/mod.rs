//! Checks that this policy makes itself, because they need more than the match's own characters or no regex says them.
//! They see text as it reads, folded ([`policy_sdk::fold`]).

mod address;
mod number;
mod secret;

use core::ops::Range;

/// How a match is looked at before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It counts.
    None,
    /// An account, and not a part of an identifier such as a UUID.
    Iban,
    /// A payment card, and not a decimal fraction or the number of an article in a shop.
    Card,
    /// A telephone number of a country that there is.
    Phone,
    /// A number that is not the end of a longer one.
    Apart,
    /// A mail address, and not the login of a URL or the name of a file.
    Email,
    /// An IPv4 address that says something about somebody, and not a version.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A hardware address: six pairs and no more.
    Mac,
    /// Digits, capitals and small letters, as chance makes them.
    Mixed,
    /// A value and not the place for one, such as `${PASSWORD}`.
    Literal,
    /// The same, and no call that answers it, such as `password=read()`.
    Given,
    /// A value that looks like a secret.
    Secret,
    /// The same where names stand without quotes, too. In a header that is a credential, a UUID is one.
    Line,
    /// The same among the arguments of a command, where a path that goes on behind a `:` is none.
    Argument,
}

/// Bytes of text before a match that [`Check::passes`] looks at.
pub const CONTEXT_BYTES: u32 = 48;

impl Check {
    /// Whether a match that does not come here is still likely to be right.
    pub(crate) fn is_lasting(self) -> bool {
        matches!(self, Self::None | Self::Card | Self::Iban | Self::Email)
    }

    /// Which part of the value counts, if it does. `before` is the text in front of it.
    #[must_use]
    pub fn passes(self, before: &str, found: &str) -> Option<Range<usize>> {
        let all = 0..found.len();
        let counts = match self {
            Self::None => true,
            Self::Iban => number::iban(before, found),
            Self::Card => number::card(before, found),
            Self::Phone => return number::phone(before, found),
            Self::Apart => !number::goes_on(before),
            Self::Email => return address::email(before, found),
            Self::Ipv4 => address::ipv4(before, found),
            Self::Ipv6 => return address::ipv6(found),
            Self::Mac => found.len() == "00:00:00:00:00:00".len(),
            Self::Mixed => secret::mixed(found),
            Self::Literal => secret::literal(found),
            Self::Given => secret::given(found),
            Self::Secret => secret::secret(found),
            Self::Line => secret::line(found) || secret::header(before, found),
            Self::Argument => secret::argument(found),
        };
        counts.then_some(all)
    }
}

/// Whether a word may begin behind this text: also behind an escape of quoted text, such as the `\n` of `"x\n4111…"`, and
/// behind underscores that begin there, such as those of an emphasis.
fn starts(before: &str) -> bool {
    let bytes = before.trim_end_matches('_').as_bytes();
    let within = bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    let escape = matches!(bytes, [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'])
        || matches!(bytes, [.., b'\\', b'u', _, _, _, _]);
    !within || escape
}

/// Whether one of these words stands anywhere in the text, in any case.
fn mentions(text: &str, words: &[&str]) -> bool {
    let has = |word: &&str| text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
    words.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts of each check, text before, match, whether it counts.
    pub(super) fn counts(cases: &[(Check, &str, &str, bool)]) {
        for (check, before, found, expected) in cases {
            assert_eq!(check.passes(before, found).is_some(), *expected, "{check:?}: {before}|{found}");
        }
    }

    #[test]
    fn plain_checks() {
        counts(&[
            (Check::Mac, "", "2c:54:91:88:c9:e3", true),
            (Check::Mac, "", "2c:54:91:88:c9:e3:00:11", false),
            (Check::None, "", "anything", true),
            (Check::Iban, r#""x\n"#, "DE89", true),
            (Check::Iban, r"\u000a", "DE89", true),
            (Check::Iban, "号", "DE89", true),
            (Check::Iban, "xn", "DE89", false),
            (Check::Iban, "see __", "DE89", true),
            (Check::Iban, r"\n_", "DE89", true),
            (Check::Iban, "id_", "DE89", false),
        ]);
    }
}
