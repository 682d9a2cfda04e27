//! What is as its operator wrote it, and guards less than one may think: said by `check`, and when a host starts.

use model::{FailureMode, Mode};
use store::Durability;

/// A policy, as far as that counts here.
pub(crate) struct Standing<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// Whether its verdicts count.
    pub(crate) mode: Mode,
    /// What happens when it fails.
    pub(crate) on_failure: FailureMode,
}

/// One sentence each.
pub(crate) fn notes<'a>(durability: Durability, policies: impl IntoIterator<Item = Standing<'a>>) -> Vec<String> {
    let policies: Vec<Standing<'_>> = policies.into_iter().collect();
    let mut notes = Vec::new();
    if policies.is_empty() {
        notes.push("there are no policies: nothing is judged".to_owned());
    } else if !policies.iter().any(|policy| policy.mode == Mode::Enforce) {
        notes.push("no policy has mode = \"enforce\": no verdict counts".to_owned());
    }
    for Standing { id, mode, on_failure } in policies {
        match mode {
            Mode::Enforce if on_failure == FailureMode::Open => {
                notes.push(format!("policy {id} has on_failure = \"open\": what it fails to judge passes"));
            }
            Mode::Enforce => {}
            Mode::Shadow => notes.push(format!("policy {id} has mode = \"shadow\": its verdicts are recorded only")),
            Mode::Off => notes.push(format!("policy {id} has mode = \"off\": it is not called")),
        }
    }
    if durability == Durability::Off {
        notes.push("store.durability is \"off\": nothing is recorded".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policies_whose_verdicts_count_are_policies_in_force() {
        let policy = |mode, on_failure| Standing { id: "a", mode, on_failure };
        let said = |policies: Vec<Standing<'_>>| notes(Durability::Strict, policies).join("\n");
        let (open, closed) = (FailureMode::Open, FailureMode::Closed);
        assert_eq!(said(vec![policy(Mode::Enforce, closed)]), "");
        assert!(said(Vec::new()).contains("no policies"));
        for mode in [Mode::Shadow, Mode::Off] {
            assert!(said(vec![policy(mode, closed)]).starts_with("no policy has mode = \"enforce\""));
            assert!(said(vec![policy(mode, closed), policy(Mode::Enforce, closed)]).starts_with("policy a has mode"));
        }
        assert!(said(vec![policy(Mode::Enforce, open)]).contains("on_failure = \"open\""));
        assert_eq!(notes(Durability::Off, [policy(Mode::Enforce, closed)]).len(), 1);
    }
}
