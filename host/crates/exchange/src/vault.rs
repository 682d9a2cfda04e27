//! What policies took out of a request, and which placeholder stands for it: so that an answer can say it again, where
//! the operator allows that. Why it lives as long as one exchange and no longer: `host/docs/decisions/0007-*.md`.
//!
//! What must hold: only what this exchange's own policies replaced, and what went up, is ever put back; a value is in no
//! log and no record, and wiped when the exchange is over; bounded.

use std::{
    collections::{BTreeMap, HashSet},
    ops::{
        Bound::{Included, Unbounded},
        Range,
    },
};

use zeroize::Zeroizing;

/// Values that one exchange may put back. The placeholders of further ones stay as they are.
const MOST_VALUES: usize = 1000;

/// Bytes of one value.
const VALUE_BYTES: usize = 4 << 10;

/// Bytes of all values.
const ALL_BYTES: usize = 256 << 10;

/// What was taken out, by placeholder.
#[derive(Default)]
pub(crate) struct Vault {
    /// `None`: the placeholder stands for more than one value, or for one that is too long, and stays.
    values: BTreeMap<String, Option<Zeroizing<String>>>,
    bytes: usize,
}

/// A placeholder in a text, and what it stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found<'v> {
    /// Where it stands.
    pub(crate) span: Range<usize>,
    /// What was there before.
    pub(crate) value: &'v str,
}

impl Vault {
    /// Remembers what a placeholder stands for. What was taken out may hold placeholders of earlier policies.
    pub(crate) fn keep(&mut self, token: &str, value: &str) {
        // One that is too long is not looked into.
        let value = (value.len() <= VALUE_BYTES).then(|| self.put_back(value, str::to_owned));
        if let Some(known) = self.values.get_mut(token) {
            if known.as_deref() != value.as_deref() {
                *known = None;
            }
            return;
        }
        if self.values.len() < MOST_VALUES {
            let fits = |value: &Zeroizing<String>| value.len() <= VALUE_BYTES && self.bytes + value.len() <= ALL_BYTES;
            let value = value.filter(fits);
            self.bytes += value.as_ref().map_or(0, |value| value.len());
            self.values.insert(token.to_owned(), value);
        }
    }

    /// Forgets what the upstream was not shown: a placeholder that it says all the same is its own invention.
    pub(crate) fn sent(&mut self, body: &[u8]) {
        let mut unsaid: HashSet<Vec<u8>> = self.values.keys().map(|token| token.clone().into_bytes()).collect();
        for span in bracketed(body) {
            unsaid.remove(&body[span]);
        }
        self.values.retain(|token, _| !unsaid.contains(token.as_bytes()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The placeholders in a text, in order.
    pub(crate) fn find(&self, text: &str) -> Vec<Found<'_>> {
        let known = |span: Range<usize>| {
            let value = self.values.get(&text[span.clone()])?.as_ref()?;
            Some(Found { span, value })
        };
        bracketed(text.as_bytes()).filter_map(known).collect()
    }

    /// Bytes at the end of a text in which a placeholder may have begun.
    pub(crate) fn begun(&self, text: &str) -> usize {
        let Some(start) = memchr::memrchr(b'[', text.as_bytes()) else { return 0 };
        let begun = &text[start..];
        let next = self.values.range::<str, _>((Included(begun), Unbounded)).next();
        if next.is_some_and(|(token, _)| token.len() > begun.len() && token.starts_with(begun)) {
            begun.len()
        } else {
            0
        }
    }

    /// A text with its values put back, each in the form that `form` gives it.
    pub(crate) fn put_back(&self, text: &str, form: impl Fn(&str) -> String) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(text.len()));
        let mut at = 0;
        for Found { span, value } in self.find(text) {
            out.push_str(&text[at..span.start]);
            out.push_str(&Zeroizing::new(form(value)));
            at = span.end;
        }
        out.push_str(&text[at..]);
        out
    }
}

/// What stands in brackets and holds none, with them: whatever may be a placeholder. Each byte is looked at once.
fn bracketed(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = None;
    memchr::memchr2_iter(b'[', b']', text).filter_map(move |at| {
        if text[at] == b'[' {
            start = Some(at);
            return None;
        }
        Some(start.take()?..at + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(values: &[(&str, &str)]) -> Vault {
        let mut vault = Vault::default();
        values.iter().for_each(|(token, value)| vault.keep(token, value));
        vault
    }

    fn put_back(vault: &Vault, text: &str) -> String {
        vault.put_back(text, str::to_owned).to_string()
    }

    #[test]
    fn what_was_taken_out_is_put_back_and_nothing_else() {
        let vault = vault(&[("[EMAIL_1]", "ann@example.com"), ("[EMAIL_10]", "bob@example.com")]);
        let text = "[EMAIL_1], [EMAIL_10], [EMAIL_2], [email_1], [[EMAIL_1]], [EMAIL_1";
        let back = "ann@example.com, bob@example.com, [EMAIL_2], [email_1], [ann@example.com], [EMAIL_1";
        assert_eq!(put_back(&vault, text), back);
    }

    #[test]
    fn a_placeholder_of_a_placeholder_stands_for_the_value() {
        let vault = vault(&[("[EMAIL_1]", "ann@example.com"), ("[LINE_1]", "write to [EMAIL_1] now")]);
        assert_eq!(put_back(&vault, "[LINE_1]"), "write to ann@example.com now");
    }

    #[test]
    fn a_placeholder_of_two_values_stands_for_none() {
        let vault = vault(&[("[EMAIL_MORE]", "ann@example.com"), ("[EMAIL_MORE]", "bob@example.com")]);
        assert_eq!(put_back(&vault, "[EMAIL_MORE]"), "[EMAIL_MORE]");
    }

    #[test]
    fn what_did_not_go_up_does_not_come_back() {
        let mut vault = vault(&[("[EMAIL_1]", "ann@example.com"), ("[EMAIL_2]", "bob@example.com")]);
        vault.sent(br#"{"content":"to [EMAIL_2]"}"#);
        assert_eq!(put_back(&vault, "[EMAIL_1] [EMAIL_2]"), "[EMAIL_1] bob@example.com");
    }

    #[test]
    fn a_beginning_waits_only_where_it_can_become_one() {
        let vault = vault(&[("[EMAIL_1]", "ann@example.com"), ("[EMAIL_12]", "bob@example.com")]);
        for (text, begun) in [("a [", 1), ("a [EM", 3), ("a [EMAIL_1", 8), ("a [EMAIL_12", 9)] {
            assert_eq!(vault.begun(text), begun, "{text}");
        }
        for text in ["", "a", "a [X", "a [EMAIL_1]", "a [EMAIL_1] b", "a [ ", "a [EMAIL_3"] {
            assert_eq!(vault.begun(text), 0, "{text}");
        }
    }

    /// Where each bracket were looked at with all that follows it, this would take hours.
    #[test]
    fn many_brackets_are_looked_at_once() {
        let brackets = "[".repeat(4 << 20);
        let mut vault = vault(&[("[EMAIL_1]", "ann@example.com")]);
        assert_eq!(vault.find(&format!("{brackets}]")), []);
        let text = format!("{brackets}EMAIL_1]");
        assert_eq!(put_back(&vault, &text), format!("{}ann@example.com", &brackets[1..]));
        vault.keep("[LONG_1]", &text);
        assert_eq!(put_back(&vault, "[LONG_1]"), "[LONG_1]", "too long, whatever it holds");
        vault.sent(text.as_bytes());
        assert_eq!(vault.values.len(), 1);
    }

    #[test]
    fn a_vault_is_bounded() {
        let mut vault = Vault::default();
        (0..2 * MOST_VALUES).for_each(|at| vault.keep(&format!("[N_{at}]"), "x"));
        assert_eq!(vault.values.len(), MOST_VALUES);
        let mut vault = Vault::default();
        vault.keep("[LONG_1]", &"x".repeat(VALUE_BYTES + 1));
        (0..200).for_each(|at| vault.keep(&format!("[N_{at}]"), &"x".repeat(VALUE_BYTES)));
        assert_eq!(put_back(&vault, "[LONG_1]"), "[LONG_1]");
        assert!(vault.bytes <= ALL_BYTES);
    }
}
