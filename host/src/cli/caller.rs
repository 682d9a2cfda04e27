//! How a caller is named on a command line: SUBJECT, or ISSUER|SUBJECT.

/// The issuer, where one is named, and the subject.
pub(super) fn caller_of(named: &str) -> (Option<&str>, &str) {
    // Subjects may hold a `|` (`auth0|5f7c…`); issuers never do, and are URLs, but for that of static tokens.
    let issues = |name: &str| name == identity::STATIC_ISSUER || name.contains("://");
    match named.split_once('|') {
        Some((issuer, subject)) if issues(issuer) => (Some(issuer), subject),
        Some(_) | None => (None, named),
    }
}

/// A caller as a command line names it.
pub(super) fn caller_words(issuer: &str, subject: &str) -> String {
    if issuer.is_empty() { subject.to_owned() } else { format!("{issuer}|{subject}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_split_where_its_issuer_ends() {
        let auth0 = "https://acme.auth0.com/|auth0|5f7c8ec7";
        assert_eq!(caller_of(auth0), (Some("https://acme.auth0.com/"), "auth0|5f7c8ec7"));
        assert_eq!(caller_words("https://acme.auth0.com/", "auth0|5f7c8ec7"), auth0);
        assert_eq!(caller_of("https://idp|ann"), (Some("https://idp"), "ann"));
        assert_eq!(caller_of("token|ci"), (Some("token"), "ci"));
        for bare in ["contractor", "auth0|5f7c8ec7"] {
            assert_eq!(caller_of(bare), (None, bare));
        }
    }
}
