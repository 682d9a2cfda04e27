//! What the loader knows of one policy, and how that changes.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use exchange::ports::{Policy, Problem};
use model::{Digest, FailureMode, Mode};
use tokio::task::{self, AbortHandle};

use super::{
    Refused, Settings,
    decide::Known,
    improve::{Improvement, Improving},
    prepare::Ready,
    sight::{Content, Stamps, settings_file, wasm_file},
    stage,
    standing::StandIn,
};

/// Versions of a policy that stay ready besides the one in force: putting an old file back costs nothing.
const RECENT: usize = 4;
/// How long changed files must stay as they are before they count: a program that writes them piece by piece is not done
/// when the first piece can be read as a whole.
pub(super) const QUIET: Duration = Duration::from_millis(20);
/// Looks in a row at a file that is being written, until that is a problem.
const CHANGING_LOOKS: u32 = 40;

/// What stands in the set for a policy.
pub(super) enum Stands {
    /// The policy itself.
    Policy(Arc<dyn Policy>),
    /// What blocks in its place.
    StandIn(Arc<dyn Policy>),
}

/// A version that is ready.
#[derive(Clone)]
struct Recent {
    policy: Arc<dyn Policy>,
    /// Until it runs the best code.
    improvement: Option<Arc<Improvement>>,
}

impl Recent {
    fn digest(&self) -> Digest {
        self.policy.info().digest
    }
}

/// One policy.
pub(super) struct Entry {
    id: String,
    pub(super) known: Known,
    pub(super) stands: Option<Stands>,
    /// The last that could be read.
    settings: Settings,
    pub(super) stamps: Option<Stamps>,
    /// Why its files can't be read, or that they are gone.
    pub(super) unreadable: Option<Problem>,
    /// Why the content that was taken up last is not in force.
    failed: Option<Problem>,
    recent: VecDeque<Recent>,
    /// Better code for what is in force.
    improving: Option<Improving>,
    pub(super) under_way: Option<(Digest, AbortHandle)>,
    changing: u32,
    /// Changed files as they were seen first, and when.
    restless: Option<(Stamps, Instant)>,
    /// What they would be, should they stay so.
    early: Option<Early>,
}

/// The preparation of content that does not count yet.
struct Early {
    digest: Digest,
    /// None once it counts.
    job: Option<AbortHandle>,
    /// What became of it, once it has ended.
    ended: Option<Result<Ready, Refused>>,
}

impl Drop for Early {
    /// Content that came to nothing keeps no compiler busy.
    fn drop(&mut self) {
        if let Some(job) = self.job.take() {
            job.abort();
        }
    }
}

/// What to do with content that was taken up.
pub(super) enum Taken {
    /// Nothing more.
    Settled,
    /// Prepare it with these settings.
    Prepare(Box<Settings>),
    /// Its preparation has begun.
    UnderWay,
    /// It is prepared, or can't be.
    Prepared(Box<Result<Ready, Refused>>),
}

impl Entry {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            known: Known::default(),
            stands: None,
            settings: Settings::of_name(id),
            stamps: None,
            unreadable: None,
            failed: None,
            recent: VecDeque::new(),
            improving: None,
            under_way: None,
            changing: 0,
            restless: None,
            early: None,
        }
    }

    /// Whether content is a change of what is in force. What is dropped in anew counts at once: taken too early it
    /// protects, and is corrected at the next look.
    fn changes(&self, content: &Content) -> bool {
        self.known.standing && self.known.taken != Some(content.digest)
    }

    /// Whether content has stayed as it is for long enough to count.
    pub(super) fn is_quiet(&mut self, content: &Content) -> bool {
        if !self.changes(content) {
            return true;
        }
        let now = Instant::now();
        match self.restless {
            Some((stamps, since)) if stamps.same(&content.stamps) => now.duration_since(since) >= QUIET,
            Some(_) | None => {
                self.restless = Some((content.stamps, now));
                false
            }
        }
    }

    /// Whether content may be taken up; `hold`: not if it is a change.
    pub(super) fn may_change(&mut self, content: &Content, hold: bool) -> bool {
        !self.changes(content) || (!hold && self.is_quiet(content))
    }

    /// Settings to prepare content with that does not count yet: when it does, no time was lost. None where that is done
    /// already, or would be of no use.
    pub(super) fn to_prepare_early(&self, content: &Content) -> Option<Settings> {
        let known = |digest: Digest| digest == content.digest;
        let begun = self.early.as_ref().is_some_and(|early| known(early.digest))
            || self.under_way.as_ref().is_some_and(|(digest, _)| known(*digest))
            || self.recent.iter().any(|recent| known(recent.digest()));
        if begun || self.restless.is_none() {
            return None;
        }
        content.settings.as_ref().ok().filter(|settings| settings.mode != Mode::Off).cloned()
    }

    /// Content that does not count yet is being prepared; what was there before of that kind is dropped.
    pub(super) fn prepares_early(&mut self, digest: Digest, job: AbortHandle) {
        self.early = Some(Early { digest, job: Some(job), ended: None });
    }

    /// What stands in the set for it.
    pub(super) fn policy(&self) -> Option<&Arc<dyn Policy>> {
        match self.stands.as_ref()? {
            Stands::Policy(policy) | Stands::StandIn(policy) => Some(policy),
        }
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.unreadable.iter().chain(&self.failed)
    }

    /// Its files are there and can be read.
    pub(super) fn seen(&mut self) {
        self.unreadable = None;
        self.changing = 0;
        self.restless = None;
        self.early = None;
        self.known.gone = None;
        self.known.settings_gone = None;
    }

    /// Its files are being written. Answers whether that is worth another look soon.
    pub(super) fn seen_changing(&mut self) -> bool {
        self.changing = self.changing.saturating_add(1);
        let patient = self.changing <= CHANGING_LOOKS;
        if !patient {
            let refused = Refused::passing(stage::READ, "it keeps changing while it is read");
            self.unreadable = Some(refused.problem(wasm_file(&self.id)));
        }
        patient
    }

    /// Its code can't be read; these settings can.
    pub(super) fn seen_unreadable(&mut self, problem: Problem, settings: Option<Box<Settings>>) {
        self.unreadable = Some(problem);
        let Some(settings) = settings else { return };
        if settings.mode == Mode::Off {
            // No code is needed for that. Whatever comes back is taken up anew.
            (self.known.taken, self.stamps) = (None, None);
            self.drop_under_way();
            self.stand(None);
        }
        if !matches!(self.stands, Some(Stands::Policy(_))) {
            self.settings = *settings;
        }
        if matches!(self.stands, Some(Stands::StandIn(_))) {
            self.stand_in();
        }
    }

    /// Only its settings are left, and say that it may go: when they have said so for the usual time.
    pub(super) fn release(&mut self, now: Instant) {
        if self.known.required {
            (self.known.required, self.known.gone) = (false, Some(now));
        }
    }

    /// Its file is gone, and it stays in force for the time being.
    pub(super) fn seen_gone(&mut self, now: Instant) {
        self.known.gone.get_or_insert(now);
        // Whatever comes back is read anew.
        self.stamps = None;
    }

    /// Its settings file is gone, and the last ones stay in force for the time being.
    pub(super) fn seen_bare(&mut self, now: Instant) {
        self.unreadable = None;
        self.known.gone = None;
        self.known.settings_gone.get_or_insert(now);
    }

    /// Its file is gone, and it stays in force for good.
    pub(super) fn keep_required(&mut self, now: Instant) {
        self.seen_gone(now);
        self.unreadable = Some(Problem {
            file: wasm_file(&self.id),
            stage: stage::READ,
            message: format!(
                "its files are gone, but its settings said `required = true`, so it stays in force: put them back; to be rid of \
                 it, write `required = false` into {}",
                settings_file(&self.id)
            ),
        });
    }

    /// Its settings file is gone, and the last ones stay in force for good.
    pub(super) fn keep_settings_required(&mut self, now: Instant) {
        self.seen_bare(now);
        self.unreadable = Some(Problem {
            file: settings_file(&self.id),
            stage: stage::READ,
            message: format!(
                "it is gone, but it said `required = true`, so the policy stays in force as it was, and no new code is \
                 taken up: put it back; to be rid of the policy, write `required = false` into {}",
                settings_file(&self.id)
            ),
        });
    }

    /// Takes content up: what was under way is dropped.
    pub(super) fn take(&mut self, content: &Content) -> Taken {
        let early = self.early.take().filter(|early| early.digest == content.digest);
        self.seen();
        self.drop_under_way();
        self.known.taken = Some(content.digest);
        self.known.again = false;
        self.known.had_settings = content.has_settings;
        self.stamps = Some(content.stamps);
        let settings = match &content.settings {
            Ok(settings) => settings,
            Err(error) => {
                self.fail(Refused::from(error).problem(settings_file(&self.id)), false);
                return Taken::Settled;
            }
        };
        self.settings = settings.clone();
        self.known.required = settings.required;
        if settings.mode == Mode::Off {
            self.failed = None;
            self.stand(None);
            return Taken::Settled;
        }
        match self.recent.iter().find(|recent| recent.digest() == content.digest).cloned() {
            Some(ready) => {
                self.put_in_force(ready);
                Taken::Settled
            }
            None => match early {
                Some(early) => self.take_over(early),
                None => Taken::Prepare(Box::new(settings.clone())),
            },
        }
    }

    /// What is prepared early counts now.
    fn take_over(&mut self, mut early: Early) -> Taken {
        self.under_way = early.job.take().map(|job| (early.digest, job));
        match early.ended.take() {
            Some(result) => Taken::Prepared(Box::new(result)),
            None => Taken::UnderWay,
        }
    }

    /// Keeps what became of content that does not count yet; gives back what became of any other.
    pub(super) fn keep_early(
        &mut self,
        digest: Digest,
        result: Result<Ready, Refused>,
    ) -> Option<Result<Ready, Refused>> {
        match self.early.as_mut().filter(|early| early.digest == digest) {
            Some(early) => {
                early.ended = Some(result);
                None
            }
            None => Some(result),
        }
    }

    /// The content that a job prepares.
    pub(super) fn prepared_by(&self, job: task::Id) -> Option<Digest> {
        let early = self.early.as_ref().and_then(|early| Some((early.digest, early.job.as_ref()?)));
        let under_way = self.under_way.as_ref().map(|(digest, job)| (*digest, job));
        early.into_iter().chain(under_way).find(|(_, other)| other.id() == job).map(|(digest, _)| digest)
    }

    /// What became of the content with this digest; an answer about another one comes too late and is dropped.
    pub(super) fn prepared(&mut self, digest: Digest, result: Result<Ready, Refused>) -> bool {
        if self.under_way.as_ref().is_none_or(|(expected, _)| *expected != digest) {
            return false;
        }
        self.under_way = None;
        match result {
            Ok(Ready { policy, improvement, how: _ }) => self.put_in_force(Recent { policy, improvement }),
            Err(refused) => self.fail(refused.problem(wasm_file(&self.id)), refused.passing),
        }
        true
    }

    fn put_in_force(&mut self, ready: Recent) {
        self.failed = None;
        self.recent.retain(|other| other.digest() != ready.digest());
        self.recent.push_front(ready.clone());
        self.recent.truncate(1 + RECENT);
        // Before what went on for the last version ends: it may be the same code.
        let improving = ready.improvement.and_then(|improvement| improvement.begin());
        self.stand(Some(Stands::Policy(ready.policy)));
        self.improving = improving;
    }

    /// The content that was taken up last is not fit; the last good one stays in force.
    fn fail(&mut self, problem: Problem, passing: bool) {
        self.failed = Some(problem);
        self.known.again = passing;
        if passing {
            self.stamps = None;
        }
        if matches!(self.stands, Some(Stands::StandIn(_))) {
            self.stand_in();
        }
    }

    /// Puts a policy that blocks in its place, if there is a problem and nothing else stands there. Not where the operator
    /// lets exchanges pass without it.
    pub(super) fn stand_in(&mut self) {
        let Some(problem) = self.problems().next() else { return };
        if matches!(self.stands, Some(Stands::Policy(_))) {
            return;
        }
        let blocks = self.settings.on_failure == FailureMode::Closed && self.settings.mode == Mode::Enforce;
        let stand_in = blocks.then(|| {
            let why = format!("{}: {}", problem.stage, problem.message);
            Stands::StandIn(Arc::new(StandIn::new(&self.id, &self.settings, self.known.taken, &why)))
        });
        self.stand(stand_in);
    }

    fn stand(&mut self, stands: Option<Stands>) {
        // What stood there is in no set any more, and needs no better code.
        self.improving = None;
        self.known.standing = stands.is_some();
        self.stands = stands;
    }

    pub(super) fn drop_under_way(&mut self) {
        if let Some((_, job)) = self.under_way.take() {
            job.abort();
        }
    }
}
