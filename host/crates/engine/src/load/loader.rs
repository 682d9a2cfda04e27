//! Keeps a policy set in step with a folder.
//!
//! [`Loader::scan`] looks, decides, prepares what is new, and answers the set that is to be published, if it differs from
//! the last. Who calls it and when is not its business: an event of the file system, a timer, or nobody.
//!
//! What must hold:
//! - A file that is not good leaves the last good version of its policy in force, and the set says what is wrong.
//! - A policy goes only when its file was deleted (and stayed so for the grace), or says `mode = "off"`.
//! - What was in the folder at the start and is not good has no last good version: a stand-in blocks all that it guards
//!   (`super::standing`). The same holds for a folder that can't be read.
//! - A change counts once the files have stayed as they are for a moment, in which it is prepared already, and changes that
//!   are seen together are taken up together; settings that say nothing any more count as deleted ones: they may be half written.
//! - A file dropped in later that is not good guards nothing yet, and blocks nothing: a copy in progress looks like that.
//! - Slow compilations do not delay others: a set is published without them, and again when they are done.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use exchange::ports::{Policy, PolicySet, Problem};
use model::{Digest, Generation};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::{
    Compiler, Refused, Settings,
    changes::{Change, How, changes},
    decide::{Sight, Step, decide},
    digest::of_fields,
    entry::{Entry, QUIET, Taken},
    folder::FolderId,
    prepare::{Candidate, Ready, prepare},
    sight::{self, Going, Look, Seen, Stamps},
    stage,
    standing::StandIn,
};
use crate::runtime::{Runtime, glance};

/// Policies of one folder.
pub(super) const MAX_POLICIES: usize = 256;
/// When a file is being written, or was left to the next look.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// Looks of one scan at files that have changed.
const LOOKS: u32 = 4;
/// When a failure may pass by itself.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// The id of what blocks while the folder itself can't be read. No file can have it.
const FOLDER_ID: &str = "(policy folder)";

/// What a loader works with.
#[derive(Clone, Debug)]
pub struct LoaderConfig {
    /// The policy folder.
    pub folder: PathBuf,
    /// How long a file must be gone before its policy goes.
    pub grace: Duration,
    /// How long one scan waits for compilations before it publishes without them.
    pub patience: Duration,
    /// Connections that policies may name; `None`: not known, so any.
    pub connections: Option<Arc<[String]>>,
}

impl LoaderConfig {
    /// For this folder, with the usual times and any connections.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let (grace, patience) = (Duration::from_secs(2), Duration::from_millis(100));
        Self { folder: folder.into(), grace, patience, connections: None }
    }
}

/// What came of a scan.
pub struct ScanOutcome {
    /// The new set, if it differs from the last.
    pub set: Option<Arc<PolicySet>>,
    /// What is different, for people, in the order of the chain; problems last.
    pub changes: Vec<Change>,
    /// When to look again even if nothing happens: a grace ends, a file was being written, a failure may pass.
    pub look_again: Option<Instant>,
}

/// Keeps a policy set in step with a folder.
pub struct Loader {
    config: LoaderConfig,
    runtime: Arc<Runtime>,
    compiler: Arc<Compiler>,
    entries: BTreeMap<String, Entry>,
    /// The folder when it was last read.
    folder: Option<FolderId>,
    /// Whether it could not be read since: what stands in its place then may be another one.
    lost: bool,
    /// False until the folder has been read once, and all that was in it prepared or refused.
    begun: bool,
    /// Why the folder could not be read, or not whole.
    folder_problem: Option<Problem>,
    /// What blocks since the start, because of that; it goes when the folder has been read whole, not before.
    folder_stand_in: Option<Arc<dyn Policy>>,
    mistakes: Vec<Problem>,
    jobs: JoinSet<Done>,
    /// How policies came into force since the last set.
    how: BTreeMap<String, How>,
    current: Option<Arc<PolicySet>>,
}

/// A preparation that has ended.
struct Done {
    id: String,
    digest: Digest,
    result: Result<Ready, Refused>,
}

impl Loader {
    /// A loader that has not looked yet.
    #[must_use]
    pub fn new(runtime: Arc<Runtime>, compiler: Arc<Compiler>, config: LoaderConfig) -> Self {
        Self {
            config,
            runtime,
            compiler,
            entries: BTreeMap::new(),
            folder: None,
            lost: false,
            begun: false,
            folder_problem: None,
            folder_stand_in: None,
            mistakes: Vec::new(),
            jobs: JoinSet::new(),
            how: BTreeMap::new(),
            current: None,
        }
    }

    /// The folder it looks at.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        &self.config.folder
    }

    /// The set that was answered last.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<PolicySet>> {
        self.current.as_ref()
    }

    /// Looks at the folder and does what follows from it. The first scan that can read the folder waits until every
    /// policy is prepared or has failed; later ones wait `patience` at most. `now` is the time by which graces are
    /// measured.
    pub async fn scan(&mut self, now: Instant) -> ScanOutcome {
        let patience = self.begun.then_some(self.config.patience);
        let mut looks = 0;
        let round = loop {
            looks += 1;
            let look = self.look().await;
            let readable = look.is_ok();
            // A file that is written to without a pause holds the others up for no longer than this.
            let patient = self.begun && looks < LOOKS;
            let round = self.apply(look, now, patient);
            self.wait_for(&round.started, patience).await;
            if patient && round.restless {
                tokio::time::sleep(QUIET).await;
                continue;
            }
            if self.begun || !readable {
                break round;
            }
            // At the start nothing is published before all is read; whoever writes has until that counts as a problem.
            if round.changing {
                tokio::time::sleep(LOOK_SOON).await;
            } else if !round.more {
                self.begin();
                break round;
            }
        };
        let real_now = Instant::now();
        let soon = (round.more || round.changing || round.restless).then(|| real_now + LOOK_SOON);
        let again = self.entries.values().any(|entry| entry.known.again).then(|| real_now + TRY_AGAIN);
        let look_again = [round.look_again, soon, again].into_iter().flatten().min();
        let (set, changes) = self.publish();
        ScanOutcome { set, changes, look_again }
    }

    /// Ready when a compilation that a scan did not wait for has ended: scan again then. Never ready when there is none.
    /// Nothing is lost when it is dropped before.
    pub async fn finished(&mut self) {
        match self.jobs.join_next().await {
            Some(ended) => self.settle(ended),
            None => std::future::pending().await,
        }
    }

    async fn look(&self) -> Result<Look, Refused> {
        let (folder, connections) = (self.config.folder.clone(), self.config.connections.clone());
        let wasm_bytes = self.compiler.config().wasm_bytes;
        let known: BTreeMap<String, Stamps> =
            self.entries.iter().filter_map(|(id, entry)| Some((id.clone(), entry.stamps?))).collect();
        let look = move || {
            let going = Going { known: &known, wasm_bytes, connections: connections.as_deref() };
            sight::look(&folder, &going)
        };
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| {
            Err(Refused::passing(stage::READ, format!("the host failed while reading it: {error}")))
        })
    }

    /// Takes in what the folder shows, and starts what must be prepared. `patient`: while something still changes, nothing
    /// that has changed is taken up.
    fn apply(&mut self, look: Result<Look, Refused>, now: Instant, patient: bool) -> Round {
        let mut round = Round::default();
        self.lost |= look.is_err();
        let look = match look.and_then(|look| self.same_or_filled(look)) {
            Ok(look) => look,
            Err(refused) => {
                self.folder_failed(&refused);
                return round;
            }
        };
        (self.folder, self.lost) = (Some(look.folder), false);
        self.mistakes = look.mistakes;
        round.more = look.more;
        for id in &look.released {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.release(now);
            }
        }
        let overflow = self.admit(&look.seen);
        let mut seen = look.seen;
        for (id, seen) in &seen {
            if let (Some(entry), Seen::Content(content)) = (self.entries.get_mut(id), seen)
                && !entry.is_quiet(content)
            {
                round.restless = true;
                if let Some(settings) = entry.to_prepare_early(content) {
                    let job = self.spawn(Candidate::new(id, content, settings));
                    if let Some(entry) = self.entries.get_mut(id) {
                        entry.prepares_early(content.digest, job);
                    }
                }
            }
        }
        round.hold = patient && round.restless;
        let ids: Vec<String> = self.entries.keys().cloned().collect();
        let mut candidates = Vec::new();
        for id in ids {
            let sight = seen.remove(&id);
            candidates.extend(self.apply_one(&id, sight, now, &mut round));
        }
        // Small ones first: a policy that stops everything is small, a language's whole runtime is not.
        candidates.sort_by_key(|candidate| candidate.wasm.len());
        for candidate in candidates {
            round.started.push((candidate.id.clone(), candidate.digest));
            self.start(candidate);
        }
        match overflow {
            Some(refused) => self.folder_failed(&refused),
            None => {
                self.folder_problem = None;
                // Until all that is in the folder has been read, the next look may fail again.
                if self.begun {
                    self.folder_stand_in = None;
                }
            }
        }
        round
    }

    /// The folder has been read once, and all that is in it is in force or stood in for.
    fn begin(&mut self) {
        self.begun = true;
        self.entries.values_mut().for_each(Entry::stand_in);
        if self.folder_problem.is_none() {
            self.folder_stand_in = None;
        }
    }

    /// Makes entries for what is new, up to the bound. Those that are in force are never displaced.
    fn admit(&mut self, seen: &BTreeMap<String, Seen>) -> Option<Refused> {
        let mut refused = 0_usize;
        for id in seen.keys() {
            if self.entries.contains_key(id) {
                continue;
            }
            if self.entries.len() >= MAX_POLICIES {
                refused += 1;
                continue;
            }
            self.entries.insert(id.clone(), Entry::new(id));
        }
        (refused > 0).then(|| too_many(refused))
    }

    fn apply_one(&mut self, id: &str, seen: Option<Seen>, now: Instant, round: &mut Round) -> Option<Candidate> {
        let entry = self.entries.get_mut(id)?;
        let sight = match &seen {
            None => Sight::Gone,
            Some(Seen::Same) => Sight::Same,
            Some(Seen::Unreadable(..) | Seen::Alone(..)) => Sight::Unreadable,
            Some(Seen::Content(content)) => Sight::Content { digest: content.digest, settings: content.has_settings },
            Some(Seen::Later) => return None,
            Some(Seen::Changing) => {
                round.changing |= entry.seen_changing();
                return None;
            }
        };
        match (decide(&entry.known, sight, now, self.config.grace), seen) {
            (Step::Keep, Some(Seen::Content(content))) => {
                entry.seen();
                // The same bytes under new stamps; those of a failure that may pass are to be read again.
                entry.stamps = Some(content.stamps);
            }
            (Step::Keep, _) => entry.seen(),
            (Step::Take, Some(Seen::Content(content))) if !entry.may_change(&content, round.hold) => {}
            (Step::Take, Some(Seen::Content(content))) => match entry.take(&content) {
                Taken::Settled => {}
                Taken::Prepare(settings) => return Some(Candidate::new(id, &content, *settings)),
                Taken::UnderWay => round.started.push((id.to_owned(), content.digest)),
                Taken::Prepared(result) => {
                    self.settle_one(Done { id: id.to_owned(), digest: content.digest, result: *result });
                }
            },
            // `decide` takes only what was read.
            (Step::Take, _) => {}
            (Step::KeepUnreadable, Some(Seen::Unreadable(problem, settings))) => {
                if let Some(settings) = &settings {
                    entry.known.required = settings.required;
                }
                entry.seen_unreadable(problem, settings);
            }
            // Whether it stays when these go, too, is for the code to say that was taken up.
            (Step::KeepUnreadable, Some(Seen::Alone(problem, settings))) => {
                entry.seen_unreadable(problem, Some(settings));
            }
            (Step::KeepUnreadable, _) => {}
            (Step::KeepGone(end), _) => {
                entry.seen_gone(now);
                round.again_at(end);
            }
            (Step::KeepSettingsGone(end), _) => {
                entry.seen_bare(now);
                round.again_at(end);
            }
            (Step::KeepSettingsRequired, _) => entry.keep_settings_required(now),
            (Step::KeepRequired, _) => entry.keep_required(now),
            (Step::Unbind | Step::Forget, _) => {
                entry.drop_under_way();
                self.entries.remove(id);
            }
        }
        None
    }

    /// An empty folder that is another than before is a mount that went away, or was made to have one again; no deletion
    /// of everything.
    fn same_or_filled(&self, look: Look) -> Result<Look, Refused> {
        let another = self.lost || self.folder.is_some_and(|before| before != look.folder);
        if another && look.seen.is_empty() && self.entries.values().any(|entry| entry.known.standing) {
            return Err(Refused::passing(
                stage::READ,
                "another folder stands in its place, and is empty: was it unmounted, or made anew? All policies stay in \
                 force until it has one, or the host is restarted",
            ));
        }
        Ok(look)
    }

    fn folder_failed(&mut self, refused: &Refused) {
        let name = self.config.folder.display().to_string();
        self.folder_problem = Some(refused.problem(name));
        // At the start there is nothing yet that could stay in force.
        if !self.begun {
            let settings = Settings { order: i64::MIN, ..Settings::of_name(FOLDER_ID) };
            self.folder_stand_in = Some(Arc::new(StandIn::new(FOLDER_ID, &settings, None, &refused.message)));
        }
    }

    fn start(&mut self, candidate: Candidate) {
        let (id, digest) = (candidate.id.clone(), candidate.digest);
        let job = self.spawn(candidate);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.under_way = Some((digest, job));
        }
    }

    fn spawn(&mut self, candidate: Candidate) -> AbortHandle {
        let (id, digest) = (candidate.id.clone(), candidate.digest);
        let (runtime, compiler) = (Arc::clone(&self.runtime), Arc::clone(&self.compiler));
        self.jobs.spawn(async move { Done { id, digest, result: prepare(&runtime, &compiler, candidate).await } })
    }

    /// Waits for these preparations, for ever or for a while.
    async fn wait_for(&mut self, started: &[(String, Digest)], patience: Option<Duration>) {
        let deadline = patience.map(|patience| tokio::time::Instant::now() + patience);
        while started.iter().any(|(id, digest)| self.is_under_way(id, *digest)) {
            let ended = match deadline {
                None => self.jobs.join_next().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, self.jobs.join_next()).await {
                    Ok(ended) => ended,
                    Err(_late) => return,
                },
            };
            let Some(ended) = ended else { return };
            self.settle(ended);
        }
    }

    fn is_under_way(&self, id: &str, digest: Digest) -> bool {
        let under_way = self.entries.get(id).and_then(|entry| entry.under_way.as_ref());
        under_way.is_some_and(|(other, _)| *other == digest)
    }

    /// Takes in a preparation that has ended.
    fn settle(&mut self, ended: Result<Done, JoinError>) {
        let done = match ended {
            Ok(done) => done,
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                let Some((id, digest)) = self.who(&error) else { return };
                let refused = Refused::new(stage::COMPILE, format!("the host failed while preparing it: {error}"));
                Done { id, digest, result: Err(refused) }
            }
        };
        self.settle_one(done);
    }

    fn settle_one(&mut self, Done { id, digest, result }: Done) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        let Some(result) = entry.keep_early(digest, result) else { return };
        let how = result.as_ref().ok().map(|ready| ready.how);
        if entry.prepared(digest, result)
            && let Some(how) = how
        {
            self.how.insert(id, how);
        }
    }

    fn who(&self, error: &JoinError) -> Option<(String, Digest)> {
        self.entries.iter().find_map(|(id, entry)| Some((id.clone(), entry.prepared_by(error.id())?)))
    }

    /// The set as it is now, if it differs from the last one.
    fn publish(&mut self) -> (Option<Arc<PolicySet>>, Vec<Change>) {
        let mut policies: Vec<Arc<dyn Policy>> = self.folder_stand_in.iter().cloned().collect();
        policies.extend(self.entries.values().filter_map(|entry| entry.policy().cloned()));
        policies.sort_by(|a, b| (a.info().order, &a.info().id).cmp(&(b.info().order, &b.info().id)));
        let mut problems: Vec<Problem> = self.folder_problem.iter().chain(&self.mistakes).cloned().collect();
        problems.extend(self.entries.values().flat_map(Entry::problems).cloned());
        problems.sort_by(|a, b| (&a.file, a.stage).cmp(&(&b.file, b.stage)));

        let digest = digest_of(&policies);
        let before = self.current.take();
        if let Some(before) = before.as_ref().filter(|set| set.digest == digest && set.problems == problems) {
            self.current = Some(Arc::clone(before));
            return (None, Vec::new());
        }
        let generation = Generation(before.as_ref().map_or(0, |set| set.generation.0) + 1);
        let glance = glance(&policies, before.as_deref());
        let set = Arc::new(PolicySet { generation, digest, policies, problems, glance });
        let changes = changes(before.as_deref(), &set, &std::mem::take(&mut self.how));
        self.current = Some(Arc::clone(&set));
        (Some(set), changes)
    }
}

/// What one look led to.
#[derive(Default)]
struct Round {
    started: Vec<(String, Digest)>,
    more: bool,
    changing: bool,
    /// Something has changed and may go on changing.
    restless: bool,
    /// So nothing that has changed is taken up.
    hold: bool,
    look_again: Option<Instant>,
}

impl Round {
    fn again_at(&mut self, time: Instant) {
        self.look_again = Some(self.look_again.map_or(time, |other| other.min(time)));
    }
}

/// What is wrong with a folder that has `beyond` policies more than it may.
pub(super) fn too_many(beyond: usize) -> Refused {
    let message =
        format!("it holds {beyond} policies beyond the {MAX_POLICIES} that the host takes; they are not in force");
    Refused::passing(stage::READ, message)
}

/// SHA-256 over ids and digests, in order.
fn digest_of(policies: &[Arc<dyn Policy>]) -> Digest {
    of_fields(policies.iter().flat_map(|policy| [policy.info().id.as_bytes(), &policy.info().digest.0[..]]))
}

#[cfg(test)]
mod tests;
