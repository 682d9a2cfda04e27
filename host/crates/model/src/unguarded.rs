//! Policies that stand as their operator wrote them, and guard less than one may think.

use crate::{FailureMode, Mode, PolicyInfo};

/// A policy, as far as that counts here.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What happens when it fails.
    pub on_failure: FailureMode,
}

impl<'a> From<&'a PolicyInfo> for Guard<'a> {
    fn from(info: &'a PolicyInfo) -> Self {
        Self { id: &info.id, mode: info.mode, on_failure: info.on_failure }
    }
}

/// What a set of policies does not guard, one sentence each; empty where every one of them counts.
#[must_use]
pub fn unguarded<'a>(policies: impl IntoIterator<Item = Guard<'a>>) -> Vec<String> {
    let policies: Vec<Guard<'_>> = policies.into_iter().collect();
    let mut notes = Vec::new();
    if policies.is_empty() {
        notes.push("there are no policies: nothing is judged".to_owned());
    } else if !policies.iter().any(|policy| policy.mode == Mode::Enforce) {
        notes.push("no policy has mode = \"enforce\": no verdict counts".to_owned());
    }
    for Guard { id, mode, on_failure } in policies {
        match mode {
            Mode::Enforce if on_failure == FailureMode::Open => {
                notes.push(format!("policy {id} has on_failure = \"open\": what it fails to judge passes"));
            }
            Mode::Enforce => {}
            Mode::Shadow => notes.push(format!("policy {id} has mode = \"shadow\": its verdicts are recorded only")),
            Mode::Off => notes.push(format!("policy {id} has mode = \"off\": it is not called")),
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policies_whose_verdicts_count_are_policies_in_force() {
        let policy = |mode, on_failure| Guard { id: "a", mode, on_failure };
        let said = |policies: Vec<Guard<'_>>| unguarded(policies).join("\n");
        let (open, closed) = (FailureMode::Open, FailureMode::Closed);
        assert_eq!(said(vec![policy(Mode::Enforce, closed)]), "");
        assert!(said(Vec::new()).contains("no policies"));
        for mode in [Mode::Shadow, Mode::Off] {
            assert!(said(vec![policy(mode, closed)]).starts_with("no policy has mode = \"enforce\""));
            assert!(said(vec![policy(mode, closed), policy(Mode::Enforce, closed)]).starts_with("policy a has mode"));
        }
        assert!(said(vec![policy(Mode::Enforce, open)]).contains("on_failure = \"open\""));
    }
}
