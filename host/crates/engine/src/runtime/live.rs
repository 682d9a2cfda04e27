//! One instance of a policy: made, configured, opened, called. What goes wrong in it becomes a [`Failure`] here.
//!
//! What must hold: an instance whose call failed or was cut off is dropped by whoever called; it is never called again.

use std::{sync::Arc, time::Duration};

use exchange::ports::{About, Failure, FailureKind};
use model::Verdict;
use tokio::{sync::OwnedSemaphorePermit, time::error::Elapsed};
use wasmtime::{Store, Trap, component::Instance};

use super::{
    allowance::allowance,
    answers,
    bindings::exports::portcullis::policy::{audit, bytes, conversation, policy, text, tools},
    blueprint::{Blueprint, Exports},
    inside::{Inside, OutOfTime, arm},
    journal,
    prepare::refused_by_guest,
    shown,
    state::State,
};

/// CPU time that an instance has at least to start and to be configured: interpreters boot in it.
const START_TIME: Duration = Duration::from_millis(100);
/// However slow the machine, a call ends after this many times its CPU time…
const WALL_FACTOR: u32 = 20;
/// … but not before this.
const WALL_LEAST: Duration = Duration::from_secs(2);
/// What languages make of what was not caught: they end in the same instruction.
const UNCAUGHT: &str = "a panic, or an exception that nothing caught; in JavaScript also a wrong or missing name in what \
                        it answers";
/// How wasmtime says that an answer is larger than the host-call fuel; it has no type of its own for it.
const TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

/// An instance, and the place in the pool that it takes.
pub(super) struct Live {
    pub(super) store: Store<Inside>,
    pub(super) hooks: Hooks,
    // Given back after the store is gone.
    _slot: OwnedSemaphorePermit,
}

/// The functions of one instance.
pub(super) struct Hooks {
    pub(super) policy: policy::Guest,
    pub(super) conversation: Option<conversation::Guest>,
    pub(super) text: Option<text::Guest>,
    pub(super) tools: Option<tools::Guest>,
    pub(super) bytes: Option<bytes::Guest>,
    pub(super) audit: Option<audit::Guest>,
}

impl Live {
    /// Instantiates; `state` is where its `state` grant keeps values.
    pub(super) async fn instantiate(blueprint: &Arc<Blueprint>, state: Arc<State>) -> Result<Self, Failure> {
        let code = blueprint.code.load_full();
        let needs = code.needs;
        let slot = blueprint.runtime.slot(needs.memories, needs.tables).await.map_err(|none| instance(&none))?;
        let mut store = Inside::store(blueprint, state);
        let time = START_TIME.max(blueprint.limits.time_per_call);
        arm(&mut store, time);
        let made = tokio::time::timeout(wall(time), code.pre.instantiate_async(&mut store)).await;
        let made = settle(&mut store, made, time, FailureKind::Instance)?;
        let hooks = Hooks::load(&code.exports, &mut store, &made).map_err(|error| instance(&format!("{error:#}")))?;
        Ok(Self { store, hooks, _slot: slot })
    }

    /// Instantiates and configures; what the configuration answers was checked when the policy was prepared.
    pub(super) async fn start(blueprint: &Arc<Blueprint>, state: &Arc<State>) -> Result<Self, Failure> {
        let mut live = Self::instantiate(blueprint, Arc::clone(state)).await?;
        match live.configure(&blueprint.settings).await? {
            Ok(_) => Ok(live),
            Err(problems) => {
                let why = refused_by_guest(problems).message;
                Err(instance(&format!("it no longer takes the settings that it took when it was loaded: {why}")))
            }
        }
    }

    /// `policy.describe`.
    pub(super) async fn describe(&mut self) -> Result<policy::Metadata, Failure> {
        let time = START_TIME.max(self.time());
        arm(&mut self.store, time);
        let answer = self.hooks.policy.call_describe(&mut self.store);
        let answer = tokio::time::timeout(wall(time), answer).await;
        settle(&mut self.store, answer, time, FailureKind::Answer)
    }

    /// `policy.configure`.
    pub(super) async fn configure(
        &mut self,
        settings: &str,
    ) -> Result<Result<policy::Plan, Vec<policy::Problem>>, Failure> {
        let time = START_TIME.max(self.time());
        arm(&mut self.store, time);
        let answer = self.hooks.policy.call_configure(&mut self.store, settings);
        let answer = tokio::time::timeout(wall(time), answer).await;
        settle(&mut self.store, answer, time, FailureKind::Answer)
    }

    /// `policy.open`.
    pub(super) async fn open(&mut self, about: &Arc<About>, resumed: bool) -> Result<Verdict, Failure> {
        self.store.data_mut().about = Some(Arc::clone(about));
        let time = self.arm(0, 0);
        let groups: Vec<&str> = about.caller.groups.iter().map(String::as_str).collect();
        let (id, session) = (about.exchange.to_string(), about.session.to_string());
        let extra = shown::extra(about);
        let exchange = shown::exchange(about, &id, &session, &groups, &extra, resumed);
        let answer = self.hooks.policy.call_open(&mut self.store, exchange);
        let answer = tokio::time::timeout(wall(time), answer).await;
        self.told(answer).map(answers::verdict)
    }

    /// CPU time of the call at hand.
    fn time(&self) -> Duration {
        self.store.data().limits.time_per_call
    }

    /// Gives the next call, which is shown so many bytes and hits, what it may take; answers how much CPU time that is.
    pub(super) fn arm(&mut self, bytes: usize, hits: usize) -> Duration {
        let limits = allowance(&self.store.data().blueprint.limits, bytes, hits);
        self.store.data_mut().limits = limits;
        self.store.set_hostcall_fuel(limits.answer_bytes);
        arm(&mut self.store, limits.time_per_call);
        limits.time_per_call
    }

    /// What a hook answered.
    pub(super) fn answered<R>(&mut self, outcome: Result<wasmtime::Result<R>, Elapsed>) -> Result<R, Failure> {
        let time = self.time();
        settle(&mut self.store, outcome, time, FailureKind::Answer)
    }

    /// What a hook answered that may say `err`.
    pub(super) fn told<R>(
        &mut self,
        outcome: Result<wasmtime::Result<Result<R, String>>, Elapsed>,
    ) -> Result<R, Failure> {
        self.answered(outcome)?
            .map_err(|message| Failure { kind: FailureKind::Refused, message: journal::line(&message) })
    }
}

impl Hooks {
    fn load(exports: &Exports, store: &mut Store<Inside>, instance: &Instance) -> wasmtime::Result<Self> {
        Ok(Self {
            policy: exports.policy.load(&mut *store, instance)?,
            conversation: exports.conversation.as_ref().map(|at| at.load(&mut *store, instance)).transpose()?,
            text: exports.text.as_ref().map(|at| at.load(&mut *store, instance)).transpose()?,
            tools: exports.tools.as_ref().map(|at| at.load(&mut *store, instance)).transpose()?,
            bytes: exports.bytes.as_ref().map(|at| at.load(&mut *store, instance)).transpose()?,
            audit: exports.audit.as_ref().map(|at| at.load(&mut *store, instance)).transpose()?,
        })
    }
}

/// The longest that a call with this much CPU time may take on the clock.
pub(super) fn wall(time: Duration) -> Duration {
    time.saturating_mul(WALL_FACTOR).max(WALL_LEAST)
}

/// No instance could be made.
pub(super) fn instance(why: &dyn std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Instance, message: why.to_string() }
}

/// Ends a call, and names what went wrong; `otherwise` is what an error is about that is neither a trap nor a bound.
fn settle<R>(
    store: &mut Store<Inside>,
    outcome: Result<wasmtime::Result<R>, Elapsed>,
    time: Duration,
    otherwise: FailureKind,
) -> Result<R, Failure> {
    store.data_mut().end();
    let Ok(outcome) = outcome else {
        let message = format!("no answer within {} ms on the clock (from `time_per_call`)", wall(time).as_millis());
        return Err(Failure { kind: FailureKind::Deadline, message });
    };
    outcome.map_err(|error| {
        let limits = &store.data().limits;
        let cause = || journal::line(&error.root_cause().to_string());
        let (kind, message) = if error.is::<OutOfTime>() {
            (FailureKind::Deadline, format!("it used up its {} ms of CPU time (`time_per_call`)", time.as_millis()))
        } else if store.data().bounds.denied {
            let bytes = limits.memory_bytes;
            (FailureKind::Memory, format!("it asked for more than its {bytes} bytes of memory (`memory`)"))
        } else if error.root_cause().to_string().ends_with(TOO_LARGE) {
            (FailureKind::Answer, format!("what it answers is larger than {} bytes (`answer`)", limits.answer_bytes))
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            let message = match trap {
                Trap::UnreachableCodeReached => format!("{trap} ({UNCAUGHT})"),
                _ => trap.to_string(),
            };
            (FailureKind::Trap, message)
        } else {
            (otherwise, cause())
        };
        Failure { kind, message }
    })
}
