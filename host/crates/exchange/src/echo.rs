//! The gate's own credentials in an answer: an upstream may say back what it was sent (an error that quotes the key, a
//! server that echoes requests). They are taken out before a policy, the record or the caller sees them.
//!
//! It stands at the response gate, before everything else. Where text is known, it is a policy of the host's own, the
//! first of the chain, so that a value is found over any split and in any spelling that a dialect undoes; headers and the
//! bytes of a raw answer are searched as they are. A string that is taken for an encoded file, and so would be shown to
//! nobody, is text where one of them is in it.
//!
//! What must hold: no part of a value leaves that is known to be one; what holds none leaves byte for byte.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, ready};
use http::{HeaderMap, HeaderValue};
use memchr::{memchr_iter, memmem::Finder};
use model::{
    Attribute, Decision, Digest, Direction, Edit, FailureMode, Hit, Hooks, Mode, Plan, PolicyInfo, PolicyLimits, Scan,
    Substitute, Verdict,
};
use wire::Finds;

use crate::ports::{
    About, BodyDecision, Conversation, ConversationDecision, Failure, FailureKind, Guest, Head, HeadDecision, Policy,
    Summary, ToolDecision, Window,
};

/// What takes the place of a credential.
const INSTEAD: &str = "[credential]";

/// How the record calls it; no file of a policy has such a name.
pub(crate) const ID: &str = "gate:credential";

/// Bytes of a value that is looked for, at least: a shorter one is found in text that is none.
const SHORTEST: usize = 8;

/// The credentials that an upstream may know from the gate. Not shown by `Debug`.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[Finder<'static>]>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// The secrets in values of headers, less the words before them, such as `Bearer`. Those of less than 8 bytes are left
    /// out.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v HeaderValue>) -> Self {
        let mut secrets: Vec<&[u8]> = values.into_iter().map(|value| bare(value.as_bytes())).collect();
        secrets.retain(|secret| secret.len() >= SHORTEST);
        // The longest is looked for first: another may be a part of it.
        secrets.sort_unstable_by_key(|secret| (std::cmp::Reverse(secret.len()), *secret));
        secrets.dedup();
        Self(secrets.into_iter().map(|secret| Finder::new(secret).into_owned()).collect())
    }

    /// Whether there is nothing to look for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells whether one of them is in a string that would be taken for no text. `None`: there is nothing to look for.
    pub(crate) fn finds(&self) -> Option<Finds> {
        let secrets = (!self.is_empty()).then(|| self.clone())?;
        Some(Arc::new(move |bytes: &[u8]| secrets.0.iter().any(|secret| secret.find(bytes).is_some())))
    }

    /// Where they stand in a text, and how many bytes of its end must wait for what follows, unless it is the `last`.
    fn look(&self, text: &[u8], last: bool) -> (Vec<(usize, usize)>, usize) {
        let mut found = self.find(text);
        let mut cut = text.len() - if last { 0 } else { self.begun(text) };
        // One that is found may be the beginning of another.
        if let Some((start, _)) = found.iter().find(|(start, end)| *start < cut && cut < *end) {
            cut = *start;
        }
        found.retain(|(_, end)| *end <= cut);
        (found, text.len() - cut)
    }

    /// Where they stand, in order and apart.
    fn find(&self, text: &[u8]) -> Vec<(usize, usize)> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for secret in self.0.iter() {
            // Those of one secret come in order and apart, so each meets at most its neighbours of the others.
            let (others, mut next) = (found.len(), 0);
            for start in secret.find_iter(text) {
                let end = start + secret.needle().len();
                while next < others && found[next].1 <= start {
                    next += 1;
                }
                if next == others || end <= found[next].0 {
                    found.push((start, end));
                }
            }
            found.sort();
        }
        found
    }

    /// Bytes at the end in which one of them may have begun.
    fn begun(&self, text: &[u8]) -> usize {
        let begun = |secret: &Finder<'_>| {
            let secret = secret.needle();
            let tail = &text[(text.len() + 1).saturating_sub(secret.len())..];
            memchr_iter(secret[0], tail)
                .map(|at| &tail[at..])
                .find(|begun| secret.starts_with(begun))
                .map_or(0, <[u8]>::len)
        };
        self.0.iter().map(begun).max().unwrap_or(0)
    }

    fn replaced(&self, text: &[u8], found: &[(usize, usize)]) -> Vec<u8> {
        let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
        for (start, end) in found {
            out.extend_from_slice(&text[at..*start]);
            out.extend_from_slice(INSTEAD.as_bytes());
            at = *end;
        }
        out.extend_from_slice(&text[at..]);
        out
    }

    /// Takes them out of what headers say.
    pub(crate) fn mask_headers(&self, headers: &mut HeaderMap) {
        for value in headers.values_mut() {
            let found = self.find(value.as_bytes());
            if !found.is_empty() {
                let masked = self.replaced(value.as_bytes(), &found);
                *value = HeaderValue::from_bytes(&masked).unwrap_or(HeaderValue::from_static(INSTEAD));
            }
        }
    }
}

/// A secret without the scheme before it.
fn bare(value: &[u8]) -> &[u8] {
    let behind = value.iter().position(|byte| *byte == b' ').map(|at| value[at..].trim_ascii());
    behind.filter(|secret| secret.len() >= SHORTEST).unwrap_or(value)
}

/// Takes them out of bytes that come in pieces.
#[derive(Default)]
pub(crate) struct Bytewise {
    secrets: Secrets,
    pending: BytesMut,
}

impl Bytewise {
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { secrets, pending: BytesMut::new() }
    }

    /// What may go on of all that has come; `last`: nothing follows.
    pub(crate) fn pass(&mut self, bytes: Bytes, last: bool) -> Bytes {
        if self.secrets.is_empty() {
            return bytes;
        }
        let bytes = if self.pending.is_empty() {
            bytes
        } else {
            self.pending.extend_from_slice(&bytes);
            self.pending.split().freeze()
        };
        let (found, keep) = self.secrets.look(&bytes, last);
        let (passed, kept) = bytes.split_at(bytes.len() - keep);
        self.pending.extend_from_slice(kept);
        if found.is_empty() { bytes.slice(..passed.len()) } else { self.secrets.replaced(passed, &found).into() }
    }

    /// Nothing follows, since the body broke off: what may have begun in it goes.
    pub(crate) fn break_off(&mut self) {
        self.pending.clear();
    }
}

/// The policy of the host's own.
pub(crate) struct Echo {
    secrets: Secrets,
}

impl Echo {
    /// `None`: there is nothing to look for.
    pub(crate) fn of(secrets: &Secrets) -> Option<Arc<dyn Policy>> {
        (!secrets.is_empty()).then(|| Arc::new(Self { secrets: secrets.clone() }) as Arc<dyn Policy>)
    }
}

static INFO: LazyLock<PolicyInfo> = LazyLock::new(|| PolicyInfo {
    id: ID.to_owned(),
    name: ID.to_owned(),
    version: env!("CARGO_PKG_VERSION").to_owned(),
    summary: "takes the gate's own credentials out of answers".to_owned(),
    digest: Digest([0; 32]),
    wasm_digest: Digest([0; 32]),
    order: i64::MIN,
    mode: Mode::Enforce,
    on_failure: FailureMode::Closed,
    connections: Vec::new(),
    limits: PolicyLimits::default(),
});

static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan {
    hooks: Hooks { text: true, ..Hooks::default() },
    directions: vec![Direction::Response],
    patterns: vec!["credential".to_owned()],
    only_on_hit: true,
    ..Plan::default()
});

impl Policy for Echo {
    fn info(&self) -> &PolicyInfo {
        &INFO
    }

    fn plan(&self) -> &Plan {
        &PLAN
    }

    fn scan(&self, _before: &str, pending: &str, last: bool) -> Scan {
        let (found, keep) = self.secrets.look(pending.as_bytes(), last);
        Scan { hits: found.into_iter().map(|(start, end)| Hit { pattern: 0, start, end }).collect(), keep }
    }

    fn guest(&self, _exchange: &Arc<About>) -> Box<dyn Guest> {
        Box::new(Masks)
    }
}

/// What is called when there is a hit.
struct Masks;

/// For the hooks that the plan does not have.
fn not_asked<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, Failure>> {
    let message = "a hook that is not in the plan".to_owned();
    Box::pin(ready(Err(Failure { kind: FailureKind::Answer, message })))
}

impl Guest for Masks {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        not_asked()
    }

    fn on_request<'a>(&'a mut self, _: &'a Conversation) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        not_asked()
    }

    fn on_text<'a>(&'a mut self, window: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>> {
        let edit = |hit: &Hit| Edit {
            start: hit.start,
            end: hit.end,
            by: Substitute::Literal(INSTEAD.to_owned()),
            reason: "the gate's own credential".to_owned(),
        };
        let edits = window.hits.iter().map(edit).collect();
        Box::pin(ready(Ok(Decision { edits, ..Decision::allow() })))
    }

    fn on_tool_call<'a>(
        &'a mut self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ToolDecision, Failure>> {
        not_asked()
    }

    fn on_head<'a>(&'a mut self, _: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>> {
        not_asked()
    }

    fn on_body<'a>(
        &'a mut self,
        _: Direction,
        _: &'a [u8],
        _: usize,
        _: bool,
    ) -> BoxFuture<'a, Result<BodyDecision, Failure>> {
        not_asked()
    }

    fn on_end<'a>(&'a mut self, _: &'a Summary) -> BoxFuture<'a, Result<Vec<Attribute>, Failure>> {
        not_asked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&'static str]) -> Secrets {
        let values: Vec<HeaderValue> = values.iter().map(|value| HeaderValue::from_static(value)).collect();
        Secrets::of(&values)
    }

    fn passed(pieces: &[&[u8]], secrets: &Secrets) -> Vec<u8> {
        let mut guard = Bytewise::new(secrets.clone());
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&guard.pass(Bytes::copy_from_slice(piece), false));
        }
        out.extend_from_slice(&guard.pass(Bytes::new(), true));
        out
    }

    #[test]
    fn a_credential_is_found_at_every_split_with_and_without_its_scheme() {
        let secrets = secrets(&["Bearer sk-own-0123", "sk-own-0123-longer", "sk-own-9"]);
        let text = b"bad key: Bearer sk-own-0123, sk-own-0123-longer sk-own-0124 sk-own-9sk-own-";
        let wanted = b"bad key: Bearer [credential], [credential] sk-own-0124 [credential]sk-own-";
        for at in 0..=text.len() {
            for more in [at, (at + 5).min(text.len()), text.len()] {
                let pieces = [&text[..at], &text[at..more], &text[more..]];
                let said = String::from_utf8(passed(&pieces, &secrets)).unwrap();
                assert_eq!(said.as_bytes(), wanted, "{at} {more}: {said}");
            }
        }
    }

    /// Where each were compared with all before it, this would take minutes.
    #[test]
    fn a_credential_that_is_said_a_million_times_is_found_as_often() {
        let secrets = secrets(&["sk-own-0123-longer", "sk-own-0123", "longer sk-"]);
        let text = b"sk-own-0123-longer sk-own-0123 ".repeat(500_000);
        let (found, _) = secrets.look(&text, true);
        assert_eq!(found.len(), 1_000_000);
        assert_eq!(found[..3], [(0, 18), (19, 30), (31, 49)]);
    }

    #[test]
    fn what_holds_none_stays_as_it_is() {
        let secrets = secrets(&["Bearer sk-own-0123"]);
        assert_eq!(passed(&[b"sk-own-", b"012 Bearer sk-ow"], &secrets), b"sk-own-012 Bearer sk-ow");
        let bytes = Bytes::from_static(b"plain \xff");
        assert_eq!(Bytewise::new(secrets).pass(bytes.clone(), false).as_ptr(), bytes.as_ptr(), "no copy is made");
    }

    #[test]
    fn what_is_too_short_to_be_told_from_text_is_not_looked_for() {
        assert!(secrets(&["Bearer x", "short"]).0.iter().all(|secret| secret.needle() == b"Bearer x"));
        assert!(secrets(&["short", "1234567"]).is_empty());
    }

    #[test]
    fn headers_are_masked_where_they_say_it() {
        let mut headers = HeaderMap::new();
        headers.append("openai-note", HeaderValue::from_static("it was sk-own-0123!"));
        headers.append("openai-note", HeaderValue::from_static("nothing"));
        secrets(&["sk-own-0123"]).mask_headers(&mut headers);
        let said: Vec<_> = headers.get_all("openai-note").iter().collect();
        assert_eq!(said, ["it was [credential]!", "nothing"]);
    }

    #[test]
    fn nothing_shows_what_they_are() {
        assert_eq!(format!("{:?}", secrets(&["sk-own-0123"])), "Secrets(..)");
    }
}
