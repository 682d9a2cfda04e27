//! From what was seen to what is worth an alert. Pure: no clock, no I/O.
//!
//! What must hold: bounded in memory whatever callers do; what a look costs does not grow with what is remembered.

use model::{Rule, Subject};

use crate::{
    Terms, Volume,
    baseline::{Baseline, Habits},
    burst::Times,
    recent::Recent,
};

/// Something that is worth an alert.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    pub(crate) subject: Subject,
    /// A sentence for people.
    pub(crate) detail: String,
}

/// A caller's name: issuer and subject as one text, so that it is looked up with no allocation.
type Name = Box<str>;

/// What is remembered of callers and of what went wrong.
pub(crate) struct Detector {
    terms: Terms,
    habits: Recent<Name, Baseline>,
    times: Recent<(Rule, Subject), Times>,
    /// For making names.
    name: String,
}

impl Detector {
    pub(crate) fn new(terms: Terms) -> Self {
        let subjects = terms.subjects;
        let times = Recent::new(subjects.saturating_mul(Rule::ALL.len() - 1));
        Self { terms, habits: Recent::new(subjects), times, name: String::new() }
    }

    /// A caller's request.
    pub(crate) fn request(&mut self, issuer: &str, subject: &str, now_ms: u64) -> Option<Finding> {
        let terms = self.terms.unusual_volume?;
        self.name.clear();
        self.name.push_str(issuer);
        self.name.push('|');
        self.name.push_str(subject);
        let unusual = match self.habits.get(self.name.as_str()) {
            Some(baseline) => baseline.request(now_ms, &terms)?,
            None => {
                let mut baseline = Baseline::begin(Habits::default(), now_ms, &terms);
                let unusual = baseline.request(now_ms, &terms);
                self.habits.put(self.name.as_str().into(), baseline);
                unusual?
            }
        };
        let (seconds, count, mean) = (terms.interval_ms as f64 / 1000.0, unusual.count, unusual.mean);
        Some(Finding {
            rule: Rule::UnusualVolume,
            subject: Subject::caller(issuer, subject),
            detail: format!("{count} requests in {seconds} s; usual are {mean:.1}"),
        })
    }

    /// Something that must not happen often. `what` names it in the plural.
    pub(crate) fn wrong(&mut self, rule: Rule, subject: Subject, what: &str, now_ms: u64) -> Option<Finding> {
        let terms = self.terms.burst(rule)?;
        let key = (rule, subject);
        let hit = match self.times.get(&key) {
            Some(times) => times.hit(now_ms, terms),
            None => {
                let mut times = Times::default();
                let hit = times.hit(now_ms, terms);
                self.times.put(key.clone(), times);
                hit
            }
        };
        let (rule, subject) = key;
        let detail = match terms.count {
            1 => what.to_owned(),
            count => format!("{count} times within {} s: {what}", terms.window_ms.div_ceil(1000)),
        };
        hit.then_some(Finding { rule, subject, detail })
    }

    /// What is worth keeping over a restart.
    pub(crate) fn habits(&self) -> Vec<(String, Habits)> {
        self.habits.iter().map(|(name, baseline)| (String::from(&**name), baseline.habits())).collect()
    }

    /// Takes up what was kept: the time since then is not held against anybody.
    pub(crate) fn take_up(&mut self, kept: Vec<(String, Habits)>, now_ms: u64) {
        let Some(terms): Option<Volume> = self.terms.unusual_volume else { return };
        for (name, habits) in kept {
            self.habits.put(name.into(), Baseline::begin(habits, now_ms, &terms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Burst;

    fn terms() -> Terms {
        let unusual_volume = Some(Volume { interval_ms: 1000, history: 3, floor: 10, ..Volume::default() });
        let refused_credentials = Some(Burst { count: 3, window_ms: 1000 });
        Terms { unusual_volume, refused_credentials, policy_failures: None, subjects: 10, ..Terms::default() }
    }

    fn many(detector: &mut Detector, caller: &str, at: u64, count: usize) -> Vec<Finding> {
        (0..count).filter_map(|_| detector.request("token", caller, at)).collect()
    }

    #[test]
    fn a_callers_habits_are_its_own_and_outlive_a_restart() {
        let mut detector = Detector::new(terms());
        for second in 0..5 {
            assert_eq!(many(&mut detector, "busy", second * 1000, 100), []);
            assert_eq!(many(&mut detector, "calm", second * 1000, 1), []);
        }
        let mut again = Detector::new(terms());
        again.take_up(detector.habits(), 9_000_000);
        for (detector, now) in [(&mut detector, 5000), (&mut again, 9_000_000)] {
            assert_eq!(many(detector, "busy", now, 100), []);
            let told = many(detector, "calm", now, 100);
            assert!(matches!(&told[..], [one] if one.subject == Subject::caller("token", "calm")), "{told:?}");
            assert!(told[0].detail.starts_with("10 requests in 1 s; usual are "), "{}", told[0].detail);
        }
    }

    #[test]
    fn a_rule_that_is_off_finds_nothing() {
        let mut detector = Detector::new(Terms { unusual_volume: None, ..terms() });
        assert_eq!(many(&mut detector, "x", 0, 10_000), []);
        assert!((0..100).all(|at| detector.wrong(Rule::PolicyFailures, Subject::policy("p"), "x", at).is_none()));
    }

    #[test]
    fn subjects_are_counted_apart_and_their_number_is_bounded() {
        let mut detector = Detector::new(terms());
        let mut told = 0;
        for at in 0..100_000 {
            let name = format!("caller-{at}");
            detector.request("token", &name, at);
            let subject = Subject::connection(&name);
            told += u64::from(detector.wrong(Rule::RefusedCredentials, subject, "x", at).is_some());
        }
        assert_eq!(told, 0, "each one was refused once");
        assert!(detector.habits.len() <= 10 && detector.times.len() <= 50);
    }

    #[test]
    fn a_threshold_of_one_is_met_at_once() {
        let mut detector = Detector::new(Terms::default());
        let subject = || Subject::caller("token", "gone");
        let found = detector.wrong(Rule::RevokedCredentials, subject(), "a revoked credential was presented", 1);
        assert_eq!(found.unwrap().detail, "a revoked credential was presented");
    }
}
