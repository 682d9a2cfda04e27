//! What the path tells, and which rule it is for.

use std::time::Duration;

use exchange::ports::{Follow, Stage, TurnedAway, Watch};
use model::{
    Entry, Event, Rule, Subject,
    record::{Judged, JudgedVerdict, Opened},
};

use crate::Alerts;

/// HTTP's word for a credential that is not taken.
const UNAUTHORIZED: u16 = 401;
/// What is told of questions that came to nothing.
const NOT_APPROVED: &str = "what the caller wanted was denied, or nobody answered";

impl Watch for Alerts {
    fn opened(&self, opened: &Opened) -> Box<dyn Follow> {
        let caller = &opened.caller;
        self.request(&caller.issuer, &caller.subject);
        let (issuer, subject) = (caller.issuer.as_str().into(), caller.subject.as_str().into());
        Box::new(Follower { alerts: self.clone(), issuer, subject, failed: Vec::new() })
    }

    fn turned_away(&self, refused: &TurnedAway<'_>) {
        let caller = refused.caller.map(|caller| Subject::caller(&caller.issuer, &caller.subject));
        let credential = refused.credential.as_ref().map(Subject::credential);
        match refused.code {
            "revoked" => {
                if let Some(subject) = caller.or(credential) {
                    let what = "a credential that was revoked is presented still";
                    self.wrong(Rule::RevokedCredentials, subject, what);
                }
            }
            "unknown_credential" | "credential_expired" | "wrong_certificate" | "wrong_user_code" => {
                for subject in credential.into_iter().chain(refused.address.map(Subject::address)) {
                    self.wrong(Rule::RefusedCredentials, subject, "a credential was refused");
                }
            }
            "not_granted" | "out_of_scope" => {
                if let Some(subject) = caller {
                    self.wrong(Rule::RefusedCredentials, subject, "a credential was used for what it is not for");
                }
            }
            // What came with no credential, at a wrong place or malformed is noise of every open port.
            _ => {}
        }
    }

    fn answered(&self, connection: &str, status: Option<u16>, _took: Duration) {
        if status == Some(UNAUTHORIZED) {
            let what = "the upstream refused the credential that the host has for it";
            self.wrong(Rule::UpstreamCredentials, Subject::connection(connection), what);
        }
    }

    fn event(&self, event: &Event) {
        if let Event::Approval { approval, state, .. } = event
            && state != "pending"
        {
            // An approval that nobody uses ends as one that expired, and is none that failed.
            let held = self.state().held.remove(approval);
            if let Some(subject) = held.filter(|_| came_to_nothing(state)) {
                self.state().unheard.put(*approval, ());
                self.wrong(Rule::FailedApprovals, subject, NOT_APPROVED);
            }
        }
    }
}

/// Whether what was asked was denied, or nobody answered.
fn came_to_nothing(state: &str) -> bool {
    matches!(state, "denied" | "expired")
}

/// Follows one exchange.
struct Follower {
    alerts: Alerts,
    issuer: Box<str>,
    subject: Box<str>,
    /// Policies that gave no verdict: one counts once in an exchange, however many hooks it has.
    failed: Vec<Box<str>>,
}

impl Follow for Follower {
    fn saw(&mut self, entry: &Entry) {
        match entry {
            Entry::Held(held) => {
                let subject = Subject::caller(&self.issuer, &self.subject);
                let mut state = self.alerts.state();
                state.held.remove(&held.approval);
                state.held.put(held.approval, subject);
            }
            // What was remembered as denied is denied again, and is no event of the desk's.
            Entry::Decided(decided) if came_to_nothing(&decided.state) => {
                let mut state = self.alerts.state();
                let counted = state.unheard.remove(&decided.approval).is_some();
                state.held.remove(&decided.approval);
                drop(state);
                if !counted {
                    let subject = Subject::caller(&self.issuer, &self.subject);
                    self.alerts.wrong(Rule::FailedApprovals, subject, NOT_APPROVED);
                }
            }
            Entry::Judged(Judged {
                policy, verdict: JudgedVerdict::Failed { kind, open, .. }, shadow: false, ..
            }) if !self.failed.iter().any(|failed| **failed == **policy) => {
                self.failed.push(policy.as_str().into());
                let what =
                    if *open { "no verdict, and the exchange went on" } else { "no verdict, so the exchange ended" };
                let what = format!("{kind}: {what}");
                self.alerts.wrong(Rule::PolicyFailures, Subject::policy(policy), &what);
            }
            _ => {}
        }
    }

    fn timed(&mut self, _stage: Stage, _took: Duration) {}
}
