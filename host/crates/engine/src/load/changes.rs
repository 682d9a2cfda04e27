//! What is different between two policy sets, one line each.

use std::{collections::BTreeMap, fmt, time::Duration};

use exchange::ports::{PolicySet, Problem};
use model::{Digest, Mode, PolicyInfo};

/// How a policy came to be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct How {
    /// From the bytes to a configured policy.
    pub took: Duration,
    /// Whether nothing had to be compiled for this: its machine code was in the cache, in use, or being made.
    pub cached: bool,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The policy's id, or the file's name where the change is about a problem.
    pub subject: String,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// A policy, or another version of it, is in force.
    Bound {
        /// Its digest.
        digest: Digest,
        /// The digest of the version that it took the place of.
        before: Option<Digest>,
        /// Whether its verdicts count.
        mode: Mode,
        /// How it came to be ready; none when it stayed ready from before, or blocks in another's place.
        how: Option<How>,
        /// Whether it is no policy but blocks in the place of one that could not be loaded.
        stands_in: bool,
    },
    /// A policy is in force no more.
    Unbound {
        /// The digest of the last version.
        digest: Digest,
    },
    /// Something is wrong.
    Wrong(Problem),
    /// What was wrong is no more.
    Mended,
}

impl fmt::Display for Change {
    /// `+ ssn-guard 9f3c01d2 (enforce, compiled in 41 ms)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ChangeKind::Bound { digest, before, mode, how, stands_in } => {
                let does = if *stands_in { "blocks: it could not be loaded" } else { mode.as_str() };
                write!(f, "+ {} {} ({does}", self.subject, digest.short())?;
                match how {
                    Some(How { took, cached: false }) => write!(f, ", compiled in {} ms", took.as_millis())?,
                    Some(How { took, cached: true }) => write!(f, ", from the cache in {} ms", took.as_millis())?,
                    None => {}
                }
                match before {
                    Some(before) => write!(f, ", in place of {})", before.short()),
                    None => f.write_str(")"),
                }
            }
            ChangeKind::Unbound { digest } => write!(f, "- {} {}", self.subject, digest.short()),
            ChangeKind::Wrong(problem) => write!(f, "! {}: {}: {}", self.subject, problem.stage, problem.message),
            ChangeKind::Mended => write!(f, "= {}: in order again", self.subject),
        }
    }
}

/// Compares two sets.
pub(super) fn changes(before: Option<&PolicySet>, after: &PolicySet, how: &BTreeMap<String, How>) -> Vec<Change> {
    let old: BTreeMap<&str, &PolicyInfo> = infos(before).map(|info| (info.id.as_str(), info)).collect();
    let new: BTreeMap<&str, &PolicyInfo> = infos(Some(after)).map(|info| (info.id.as_str(), info)).collect();
    let mut changes = Vec::new();
    for policy in &after.policies {
        let info = policy.info();
        let before = old.get(info.id.as_str()).map(|info| info.digest);
        if before != Some(info.digest) {
            let (mode, how) = (info.mode, how.get(&info.id).copied());
            let kind = ChangeKind::Bound { digest: info.digest, before, mode, how, stands_in: policy.stands_in() };
            changes.push(Change { subject: info.id.clone(), kind });
        }
    }
    for info in infos(before).filter(|info| !new.contains_key(info.id.as_str())) {
        changes.push(Change { subject: info.id.clone(), kind: ChangeKind::Unbound { digest: info.digest } });
    }
    let known = before.map_or(&[][..], |set| &set.problems);
    for problem in after.problems.iter().filter(|problem| !known.contains(problem)) {
        changes.push(Change { subject: problem.file.clone(), kind: ChangeKind::Wrong(problem.clone()) });
    }
    let mut mended: Vec<&str> = known.iter().map(|problem| problem.file.as_str()).collect();
    mended.retain(|file| !after.problems.iter().any(|problem| problem.file == *file));
    mended.dedup();
    changes.extend(mended.into_iter().map(|file| Change { subject: file.to_owned(), kind: ChangeKind::Mended }));
    changes
}

fn infos(set: Option<&PolicySet>) -> impl Iterator<Item = &PolicyInfo> {
    set.into_iter().flat_map(|set| &set.policies).map(|policy| policy.info())
}
