//! Addresses of mail and of machines.

use core::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

/// Endings of file names that are no top-level domain: `icon@2x.png`.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "css", "js", "ts", "tsx", "jsx", "json", "html", "xml",
    "yaml", "yml", "txt", "pdf", "tgz", "gz",
];

/// What stands before an `@` and is no mailbox: `git@github.com`.
const NOBODY: &str = "git";

/// What Kotlin writes before the name of a class: `this@Main.context`.
const SELF: &[&str] = &["this", "super"];

/// Words before four numbers that are no address.
const NUMBERED: &[&str] = &[
    "section",
    "chapter",
    "clause",
    "figure",
    "table",
    "rev",
    "rv",
    "ver",
    "ver.",
    "kapitel",
    "abschnitt",
    "chapitre",
];

/// The same for what is built, also as the end of a name (`AssemblyVersion`) and in whatever syntax: `"version": "`,
/// `<Version>`, `| Version | `.
const BUILT: &[&str] = &["version", "release", "build"];

/// `git@github.com` names a service, `next@15.0.0-canary.1` a package, and what stands before the `@` in
/// `https://user:password@host` is no mailbox.
pub(super) fn email(before: &str, found: &str) -> Option<Range<usize>> {
    let escaped = if before.ends_with('\\') { escape(found) } else { 0 };
    let start = found.len() - found[escaped..].trim_start_matches(['.', '-', '_']).len();
    let (local, domain) = found[start..].split_once('@')?;
    let (_, ending) = domain.rsplit_once('.')?;
    let host = !domain.starts_with(['.', '-']) && !domain.contains("..");
    let file = FILES.iter().any(|file| file.eq_ignore_ascii_case(ending));
    let number = |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    let version = domain.split('.').take(2).all(number);
    let label = SELF.contains(&local) && domain.starts_with(|c: char| c.is_ascii_uppercase());
    let mailbox = !local.is_empty() && local != NOBODY && !label;
    (mailbox && host && !file && !version && !login(before)).then_some(start..found.len())
}

/// Bytes that belong to the escape before them, where the text before ends in a backslash: `"to:\njane@example.org"`.
fn escape(found: &str) -> usize {
    match found.as_bytes() {
        [b'n' | b'r' | b't', ..] => 1,
        [b'u', digits @ ..] if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) => 5,
        _ => 0,
    }
}

/// Whether the text ends in the login part of a URL, or right before it.
fn login(before: &str) -> bool {
    before
        .rsplit_once("://")
        .is_some_and(|(_, rest)| (rest.is_empty() || rest.ends_with(':')) && !rest.contains(['/', '?', '#', ' ', '\n']))
}

/// Loopback, unspecified and masks (`255.255.255.0`) name nobody, and programs are full of them.
pub(super) fn ipv4(before: &str, found: &str) -> bool {
    let named = found
        .parse::<Ipv4Addr>()
        .is_ok_and(|address| !address.is_loopback() && !address.is_unspecified() && address.octets()[0] != 255);
    named && !version(before)
}

/// `Chrome/120.0.0.0`, `version 1.2.3.4`; but not `http://10.0.0.1`.
fn version(before: &str) -> bool {
    let product = matches!(before.as_bytes(), [.., letter, b'/'] if letter.is_ascii_alphabetic());
    let numbered = before.trim_end_matches([' ', ':', '=']);
    let built = before.trim_end_matches([' ', ':', '=', '"', '\'', '`', '(', '>', '|', '*', '\\']);
    let named = |word: &str, names: &[&str]| word.len() < before.len() && names.iter().any(|name| ends_in(word, name));
    product || named(numbered, NUMBERED) || named(built, BUILT)
}

/// Whether the text ends in this word, by itself or, with a capital, as the last one of a name: `AssemblyVersion`.
fn ends_in(text: &str, word: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((head, tail)) = bytes.len().checked_sub(word.len()).and_then(|at| bytes.split_at_checked(at)) else {
        return false;
    };
    let hump = matches!(tail, [first, second, ..] if first.is_ascii_uppercase() && second.is_ascii_lowercase());
    tail.eq_ignore_ascii_case(word.as_bytes()) && (hump || !head.last().is_some_and(u8::is_ascii_alphanumeric))
}

/// A colon after the address belongs to the sentence. Eight groups of two are a fingerprint or a hardware address.
pub(super) fn ipv6(found: &str) -> Option<Range<usize>> {
    let pairs = found.split(':').all(|group| group.len() <= 2) && !found.contains("::");
    [found, found.strip_suffix(':').unwrap_or(found)]
        .iter()
        .find(|text| !pairs && text.parse::<Ipv6Addr>().is_ok())
        .map(|text| 0..text.len())
}

#[cfg(test)]
mod tests {
    use super::super::{Check, tests::counts};

    #[test]
    fn addresses_and_not_versions() {
        counts(&[
            (Check::Ipv4, "", "203.0.113.7", true),
            (Check::Ipv4, "http://", "10.1.2.3", true),
            (Check::Ipv4, "Chrome/", "120.0.0.0", false),
            (Check::Ipv4, "Version: ", "1.2.3.4", false),
            (Check::Ipv4, "see section ", "1.2.3.4", false),
            (Check::Ipv4, "conversion ", "1.2.3.4", true),
            (Check::Ipv4, "CONVERSION ", "1.2.3.4", true),
            (Check::Ipv4, r#"{"version": ""#, "1.2.3.4", false),
            (Check::Ipv4, "<Version>", "1.0.0.0", false),
            (Check::Ipv4, r#"[assembly: AssemblyVersion(""#, "1.0.0.0", false),
            (Check::Ipv4, r#"newVersion=""#, "13.0.0.0", false),
            (Check::Ipv4, r#"\"version\": \""#, "1.2.3.4", false),
            (Check::Ipv4, "AssemblyVersion: ", "1.0.0.0", false),
            (Check::Ipv4, "**Version:** ", "1.2.3.4", false),
            (Check::Ipv4, "| Version | ", "1.2.3.4", false),
            (Check::Ipv4, r#""schemaVersion":""#, "1.0.0.0", false),
            (Check::Ipv4, "ver. ", "1.2.3.4", false),
            (Check::Ipv4, "Kapitel ", "1.2.3.4", false),
            (Check::Ipv4, "Version", "1.2.3.4", true),
            (Check::Ipv4, "see the build. ", "10.1.2.3", true),
            (Check::Ipv4, "<table>", "10.1.2.3", true),
            (Check::Ipv4, r#""client": ""#, "10.1.2.3", true),
            (Check::Ipv4, "", "127.0.0.1", false),
            (Check::Ipv4, "", "255.255.255.0", false),
            (Check::Ipv4, "", "1.3.6.1.4", false),
            (Check::Ipv4, "", "1.2.3.256", false),
        ]);
    }

    #[test]
    fn mailboxes_and_not_logins_or_files() {
        counts(&[
            (Check::Email, "mail ", "jane@example.org", true),
            (Check::Email, "https://shop.example/users/", "jane@example.org", true),
            (Check::Email, "https://shop.example/?to=", "jane@example.org", true),
            (Check::Email, "see http://a.example, or cc:", "jane@example.org", true),
            (Check::Email, "https://", "jane@example.org", false),
            (Check::Email, "https://jane:", "secret@example.org", false),
            (Check::Email, "clone ", "git@github.com", false),
            (Check::Email, "", "icon@2x.png", false),
            (Check::Email, "", "this@MainActivity.applicationContext", false),
            (Check::Email, "", "super@Outer.toString", false),
            (Check::Email, "", "lodash@4.17.21.tgz", false),
            (Check::Email, "npm i ", "next@15.0.0-canary.alpha", false),
            (Check::Email, "", "jane@163.com", true),
            (Check::Email, "", "jane@4.example.org", true),
            (Check::Email, "", "jane@example..org", false),
        ]);
        assert_eq!(Check::Email.passes(r"to:\", "njane@example.org"), Some(1..17));
        assert_eq!(Check::Email.passes(r"to:\", "u000ajane@example.org"), Some(5..21));
        assert_eq!(Check::Email.passes("", "..jane@example.org"), Some(2..18));
        assert_eq!(Check::Email.passes("see ", "_jane@example.org"), Some(1..17));
    }

    #[test]
    fn an_address_ends_before_the_sentence_goes_on() {
        assert_eq!(Check::Ipv6.passes("", "2001:db8::1:"), Some(0..11));
        assert_eq!(Check::Ipv6.passes("", "2001:db8::"), Some(0..10));
        assert_eq!(Check::Ipv6.passes("", "2024:01:02"), None);
        assert_eq!(Check::Ipv6.passes("", "2c:54:91:88:c9:e3:00:11"), None);
        assert!(Check::Ipv6.passes("", "7467:fad9:45f0:7631:63b1:3024:e55f:df16").is_some());
    }
}
