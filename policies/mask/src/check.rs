//! Checks that this policy makes itself, because they need more than the match's own characters or no regex says them.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::ops::Range;

/// How a match is looked at before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It counts.
    None,
    /// An IPv4 address that says something about somebody, and not a version.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
}

/// Bytes of text before a match that [`Check::passes`] looks at.
pub const CONTEXT_BYTES: u32 = 16;

impl Check {
    /// Which part of the match is the value, if it is one. `before` is the text in front of it.
    #[must_use]
    pub fn passes(self, before: &str, found: &str) -> Option<Range<usize>> {
        match self {
            Self::None => Some(0..found.len()),
            Self::Ipv4 => (ipv4(found) && !version(before)).then_some(0..found.len()),
            Self::Ipv6 => ipv6(found),
        }
    }
}

/// Loopback, unspecified and masks (`255.255.255.0`) name nobody, and programs are full of them.
fn ipv4(found: &str) -> bool {
    found
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| !address.is_loopback() && !address.is_unspecified() && address.octets()[0] != 255)
}

/// `Chrome/120.0.0.0`, `version 1.2.3.4`; but not `http://10.0.0.1`.
fn version(before: &str) -> bool {
    let bytes = before.as_bytes();
    let product = matches!(bytes, [.., letter, b'/'] if letter.is_ascii_alphabetic());
    let word = before.trim_end_matches([' ', ':', '=']);
    let named = word.len() < before.len()
        && ["version", "release", "build"].iter().any(|name| {
            let at = word.len().saturating_sub(name.len());
            let (head, tail) = (bytes.get(..at).unwrap_or_default(), bytes.get(at..word.len()).unwrap_or_default());
            tail.eq_ignore_ascii_case(name.as_bytes()) && !head.last().is_some_and(u8::is_ascii_alphanumeric)
        });
    product || named
}

/// A colon after the address belongs to the sentence.
fn ipv6(found: &str) -> Option<Range<usize>> {
    [found, found.strip_suffix(':').unwrap_or(found)]
        .iter()
        .find(|text| text.parse::<Ipv6Addr>().is_ok())
        .map(|text| 0..text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_not_versions() {
        for (before, found, counts) in [
            ("", "203.0.113.7", true),
            ("http://", "10.1.2.3", true),
            ("Chrome/", "120.0.0.0", false),
            ("Version: ", "1.2.3.4", false),
            ("conversion ", "1.2.3.4", true),
            ("", "127.0.0.1", false),
            ("", "255.255.255.0", false),
            ("", "1.3.6.1.4", false),
            ("", "1.2.3.256", false),
        ] {
            assert_eq!(Check::Ipv4.passes(before, found).is_some(), counts, "{before}{found}");
        }
    }

    #[test]
    fn an_address_ends_before_the_sentence_goes_on() {
        assert_eq!(Check::Ipv6.passes("", "2001:db8::1:"), Some(0..11));
        assert_eq!(Check::Ipv6.passes("", "2001:db8::"), Some(0..10));
        assert_eq!(Check::Ipv6.passes("", "2024:01:02"), None);
    }
}
