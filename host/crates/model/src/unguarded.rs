//! Policies that stand as their operator wrote them, and guard less than one may think.

use crate::{FailureMode, Family, Mode, Plan, PolicyInfo};

/// A policy, as far as that counts here.
#[derive(Clone, Copy, Debug)]
pub struct Guard<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What happens when it fails.
    pub on_failure: FailureMode,
    /// Connections it guards; empty: all.
    pub connections: &'a [String],
    /// Whether it looks at bytes that the host does not decode.
    pub bytes: bool,
}

impl<'a> Guard<'a> {
    /// As it is known when it is loaded.
    #[must_use]
    pub fn of(info: &'a PolicyInfo, plan: &Plan) -> Self {
        let PolicyInfo { id, mode, on_failure, connections, .. } = info;
        let bytes = plan.hooks.head || plan.hooks.body;
        Self { id, mode: *mode, on_failure: *on_failure, connections, bytes }
    }

    /// Whether its verdicts count on a connection.
    fn guards(&self, connection: &str) -> bool {
        self.mode == Mode::Enforce
            && (self.connections.is_empty() || self.connections.iter().any(|name| name == connection))
    }
}

/// What a set of policies does not guard of these connections, one sentence each; empty where every policy counts and
/// everything is judged.
#[must_use]
pub fn unguarded<'a>(
    policies: impl IntoIterator<Item = Guard<'a>>,
    connections: impl IntoIterator<Item = (&'a str, Family)>,
) -> Vec<String> {
    let policies: Vec<Guard<'_>> = policies.into_iter().collect();
    let mut notes = Vec::new();
    if policies.is_empty() {
        notes.push("there are no policies: nothing is judged".to_owned());
    } else if !policies.iter().any(|policy| policy.mode == Mode::Enforce) {
        notes.push("no policy has mode = \"enforce\": no verdict counts".to_owned());
    } else {
        notes.extend(connections.into_iter().filter_map(|(name, family)| unjudged(&policies, name, family)));
    }
    for Guard { id, mode, on_failure, .. } in policies {
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

/// That nothing which passes on a connection is judged, if so.
fn unjudged(policies: &[Guard<'_>], name: &str, family: Family) -> Option<String> {
    let mut guards = policies.iter().filter(|policy| policy.guards(name)).peekable();
    if guards.peek().is_none() {
        return Some(format!("connection {name}: no policy in force guards it, so nothing of it is judged"));
    }
    (family == Family::Raw && !guards.any(|policy| policy.bytes)).then(|| {
        format!("connection {name} speaks raw, and no policy in force looks at bytes: nothing of it is judged")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_policies_whose_verdicts_count_are_policies_in_force() {
        let policy = |mode, on_failure| Guard { id: "a", mode, on_failure, connections: &[], bytes: false };
        let said = |policies: Vec<Guard<'_>>| unguarded(policies, [("openai", Family::Openai)]).join("\n");
        let (open, closed) = (FailureMode::Open, FailureMode::Closed);
        assert_eq!(said(vec![policy(Mode::Enforce, closed)]), "");
        assert!(said(Vec::new()).contains("no policies"));
        for mode in [Mode::Shadow, Mode::Off] {
            assert!(said(vec![policy(mode, closed)]).starts_with("no policy has mode = \"enforce\""));
            assert!(said(vec![policy(mode, closed), policy(Mode::Enforce, closed)]).starts_with("policy a has mode"));
        }
        assert!(said(vec![policy(Mode::Enforce, open)]).contains("on_failure = \"open\""));
    }

    #[test]
    fn a_connection_is_guarded_only_by_what_is_bound_to_it_and_sees_what_passes() {
        let one = ["a".to_owned()];
        let policy = |connections, bytes| Guard {
            id: "p",
            mode: Mode::Enforce,
            on_failure: FailureMode::Closed,
            connections,
            bytes,
        };
        let said = |policies: Vec<Guard<'_>>| {
            unguarded(policies, [("a", Family::Openai), ("b", Family::Openai), ("c", Family::Raw)]).join("\n")
        };
        let bound = said(vec![policy(&one, true)]);
        assert!(bound.contains("connection b: no policy") && bound.contains("connection c: no policy"), "{bound}");
        assert!(!bound.contains("connection a"), "{bound}");
        let text = said(vec![policy(&[], false)]);
        assert!(text.starts_with("connection c speaks raw") && text.lines().count() == 1, "{text}");
        assert_eq!(said(vec![policy(&[], true)]), "");
        let shadow = said(vec![policy(&one, false), Guard { mode: Mode::Shadow, ..policy(&[], true) }]);
        assert!(shadow.contains("connection b: no policy") && shadow.contains("connection c: no policy"), "{shadow}");
    }
}
