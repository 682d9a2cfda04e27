//! ssn-guard in Rust: the rule of `../README.md`, once as a pattern that the host looks for (e-mail) and once by hand
//! (SSN). The same rule is written in C and in JavaScript beside it, and gives the same bytes.

use policy_sdk::{Decision, Hooks, Metadata, NoSettings, Plan, Policy, Problem, Window, pattern};

/// What an SSN looks like; `d` is a digit.
const SHAPE: &[u8; 11] = b"ddd-dd-dddd";

/// The policy.
pub struct SsnGuard;

impl Policy for SsnGuard {
    type Settings = NoSettings;

    fn describe() -> Metadata {
        Metadata::new("ssn-guard", "1.0.0", "masks US social security numbers and e-mail addresses")
    }

    fn configure(_: NoSettings) -> Result<(Self, Plan), Vec<Problem>> {
        let email = pattern::regex("email", r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", 254);
        Ok((Self, Plan::new(Hooks::TEXT).patterns([email]).look_behind(1)))
    }

    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        let mut decision = Decision::allow().hold_back(undecided(window));
        let mut emails = window.hits.iter().peekable();
        let mut at = 0;
        while at < window.pending.len() {
            if let Some(email) = emails.next_if(|hit| hit.start as usize <= at) {
                decision = decision.replace(email.start, email.end, "[EMAIL]", "pii.email");
                at = email.end as usize;
            } else if is_ssn(window, at) {
                let end = at + SHAPE.len();
                decision = decision.replace(offset(at), offset(end), "[SSN]", "pii.ssn");
                at = end;
            } else {
                at += 1;
            }
        }
        Ok(decision)
    }
}

/// Whether an SSN is here for certain: complete, and nothing that follows can make a longer word of it.
fn is_ssn(window: &Window, at: usize) -> bool {
    let text = window.pending.as_bytes();
    let end = at + SHAPE.len();
    let apart = text.get(end).map_or(window.last, |next| !is_word(*next));
    apart && may_begin(window, at) && text.get(at..end).is_some_and(has_shape)
}

/// How much of the end may be the beginning of an SSN; a complete one at the very end still waits for what follows.
fn undecided(window: &Window) -> u32 {
    if window.last {
        return 0;
    }
    let text = window.pending.as_bytes();
    let most = text.len().min(SHAPE.len());
    let longest = (text.len() - most..text.len()).find(|at| may_begin(window, *at) && has_shape(&text[*at..]));
    longest.map_or(0, |at| offset(text.len() - at))
}

/// Whether the bytes are the beginning of an SSN, or all of one.
fn has_shape(bytes: &[u8]) -> bool {
    bytes.iter().zip(SHAPE).all(|(byte, shape)| if *shape == b'd' { byte.is_ascii_digit() } else { *byte == b'-' })
}

/// Whether no word character stands directly before.
fn may_begin(window: &Window, at: usize) -> bool {
    let text = if at == 0 { window.before.as_bytes() } else { &window.pending.as_bytes()[..at] };
    !text.last().copied().is_some_and(is_word)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The contract counts in 32 bits, and no window is larger.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

policy_sdk::export!(SsnGuard);
