//! From a compiled component to a policy of a set: a trial that proves it before anything is swapped.
//!
//! Linking doesn't check the types of functions, and no reading of a component tells whether it traps: so it is
//! instantiated, described, configured, opened, and each of its hooks is called once, on harmless input and with a
//! `state` of its own.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, OnceLock, Weak},
};

use arc_swap::ArcSwap;
use exchange::ports::{About, Failure, Guest, Policy};
use model::{
    Channel, Digest, Direction, ExchangeId, FailureMode, Hooks, Mode, Plan, PolicyInfo, PolicyLimits, Scan, Speaker,
};
use patterns::{PatternSpec, Patterns};
use thiserror::Error;
use wasmtime::component::{Component, InstancePre};

use super::{
    bindings::{
        exports::portcullis::policy::{audit, bytes, conversation, policy, text, tools},
        portcullis::policy::types,
    },
    blueprint::{Blueprint, Code, Exports, Facts, Needs},
    engine::Runtime,
    grants::Grants,
    guest::Seat,
    imports,
    inside::Inside,
    journal::{self, Journal},
    live::Live,
    offsets::Unit,
    schema,
    state::State,
    trial,
};
use crate::words::{nearest, quoted};

/// Bytes of a policy's name, version or summary.
const METADATA_BYTES: usize = 512;
/// Names of directions, channels or speakers in one plan.
const NAMES: usize = 64;
/// Bytes of released text that a policy may want to see again.
const LOOK_BEHIND: usize = 16 << 10;
/// Problems with settings that are told at once.
const PROBLEMS: usize = 20;

/// What the operator says of a policy.
#[derive(Clone, Debug)]
pub struct PolicySpec {
    /// The file's stem.
    pub id: String,
    /// SHA-256 over the file's bytes and its settings file.
    pub digest: Digest,
    /// SHA-256 over the `.wasm` file's bytes alone.
    pub wasm_digest: Digest,
    /// Place in the chain.
    pub order: i64,
    /// Whether its verdicts count.
    pub mode: Mode,
    /// What happens when it fails.
    pub on_failure: FailureMode,
    /// Connections it guards; empty: all.
    pub connections: Vec<String>,
    /// Bounds.
    pub limits: PolicyLimits,
    /// What it may import.
    pub grants: Grants,
    /// Its own settings, one JSON value.
    pub settings_json: String,
}

/// Why a component can't become a policy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{stage}: {message}")]
pub struct PrepareError {
    /// Where it failed: `imports`, `instantiate`, `settings`, `configure`, `trial`.
    pub stage: &'static str,
    /// What is wrong, and the way out.
    pub message: String,
    /// What of it is about single settings.
    pub problems: Vec<SettingProblem>,
}

/// One thing wrong with the settings that a policy was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    /// Which: a JSON Pointer (RFC 6901) into the settings.
    pub pointer: String,
    /// The name is what is wrong, and not the value.
    pub name: bool,
    /// What is wrong, in one line.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "/" } else { self.pointer.as_str() };
        write!(f, "{}: {}", journal::line(place), self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

pub(super) fn fail(stage: &'static str) -> impl Fn(&dyn fmt::Display) -> PrepareError {
    move |message| PrepareError { stage, message: message.to_string(), problems: Vec::new() }
}

/// The settings are refused, for these reasons. `more`: reasons that are not told.
pub(super) fn refused(stage: &'static str, problems: Vec<SettingProblem>, more: usize) -> PrepareError {
    let mut told: Vec<String> = problems.iter().map(SettingProblem::to_string).collect();
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    PrepareError { stage, message: told.join("; "), problems }
}

/// What a policy says of itself, before it has any settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its semantic version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// JSON Schema of its settings; empty: any JSON value.
    pub settings_schema: String,
}

/// A policy that was proven.
pub struct Proven {
    /// It is ready to be put into a set.
    pub policy: Arc<dyn Policy>,
    /// Where better code for it may be put.
    pub code: CodeSlot,
}

/// The place of a policy's machine code. It does not keep the policy alive.
pub struct CodeSlot(Weak<Blueprint>);

impl CodeSlot {
    /// Puts other machine code in, compiled from the same file: new instances run it, those that live go on as they are.
    /// Nothing happens when the policy is gone.
    ///
    /// # Errors
    /// [`PrepareError`] when it does not fit what the policy was granted; the code that is there stays.
    pub fn replace(&self, component: &Component) -> Result<(), PrepareError> {
        let Some(blueprint) = self.0.upgrade() else { return Ok(()) };
        let code = link(&blueprint.runtime, component, blueprint.grants)?;
        blueprint.code.store(Arc::new(code));
        Ok(())
    }
}

impl Runtime {
    /// Asks a component what it is; nothing else of it is proven.
    ///
    /// # Errors
    /// [`PrepareError`] when it can't be instantiated, or fails to say.
    pub async fn describe(
        self: &Arc<Self>,
        component: &Component,
        spec: &PolicySpec,
    ) -> Result<Description, PrepareError> {
        let blueprint = Arc::new(linked(self, component, spec)?);
        let policy::Metadata { name, version, summary, settings_schema, extra: _ } =
            describe(&blueprint, &Arc::default()).await?;
        Ok(Description { name, version, summary, settings_schema })
    }

    /// Proves a component and makes it ready: links it with what it was granted, asks what it is, checks its settings
    /// against its schema, configures it, compiles its patterns, and calls each hook once.
    ///
    /// # Errors
    /// [`PrepareError`]: the stage that failed and why. Nothing of the policy is left then.
    pub async fn prepare(self: &Arc<Self>, component: Component, spec: PolicySpec) -> Result<Proven, PrepareError> {
        let blueprint = Arc::new(linked(self, &component, &spec)?);
        let trial = Arc::new(State::default());
        let metadata = describe(&blueprint, &trial).await?;
        checked(&metadata.settings_schema, &spec.settings_json).await?;
        let asked = configure(&blueprint, &trial).await?;
        let plan = plan(&blueprint, &asked)?;
        let facts = facts(&blueprint, &metadata, &asked).await?;
        // The cell is this function's own so far.
        let _ = blueprint.facts.set(facts);
        let info = PolicyInfo {
            id: spec.id,
            name: metadata.name,
            version: metadata.version,
            summary: metadata.summary,
            digest: spec.digest,
            wasm_digest: spec.wasm_digest,
            order: spec.order,
            mode: spec.mode,
            on_failure: spec.on_failure,
            connections: spec.connections,
            limits: spec.limits,
        };
        trial::run(&blueprint, &plan, &trial).await?;
        let code = CodeSlot(Arc::downgrade(&blueprint));
        Ok(Proven { policy: Arc::new(Prepared { info, plan, blueprint }), code })
    }
}

/// Checks settings aside: a large schema takes a while.
async fn checked(schema: &str, settings: &str) -> Result<(), PrepareError> {
    let (schema, settings) = (schema.to_owned(), settings.to_owned());
    tokio::task::spawn_blocking(move || schema::check(&schema, &settings))
        .await
        .map_err(|error| fail("settings")(&format!("the host failed while checking them: {error}")))?
}

/// A policy of a set.
pub(super) struct Prepared {
    info: PolicyInfo,
    plan: Plan,
    blueprint: Arc<Blueprint>,
}

impl Prepared {
    /// Its declared patterns, of which there may be none.
    pub(super) fn patterns(&self) -> Option<&Arc<Patterns>> {
        self.blueprint.facts.get().map(|facts| &facts.patterns)
    }
}

impl Policy for Prepared {
    fn info(&self) -> &PolicyInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn scan(&self, before: &str, pending: &str, last: bool) -> Scan {
        self.patterns().map(|patterns| patterns.scan(before, pending, last)).unwrap_or_default()
    }

    fn scan_spared(&self, before: &str, pending: &str, last: bool) -> Scan {
        self.patterns().map(|patterns| patterns.scan_spared(before, pending, last)).unwrap_or_default()
    }

    fn guest(&self, exchange: &Arc<About>) -> Box<dyn Guest> {
        Box::new(Seat::new(&self.blueprint, exchange, &self.blueprint.runtime.state))
    }

    fn over(&self, exchange: ExchangeId) {
        // Only with the grant can it have kept anything.
        if self.blueprint.grants.state {
            self.blueprint.runtime.state.forget_exchange(&self.blueprint.id, exchange);
        }
    }
}

/// A blueprint that has nothing but its code yet.
fn linked(runtime: &Arc<Runtime>, component: &Component, spec: &PolicySpec) -> Result<Blueprint, PrepareError> {
    Ok(Blueprint {
        runtime: Arc::clone(runtime),
        id: spec.id.clone(),
        digest: spec.digest,
        limits: spec.limits,
        settings: spec.settings_json.clone(),
        grants: spec.grants,
        code: ArcSwap::from_pointee(link(runtime, component, spec.grants)?),
        journal: Journal::default(),
        facts: OnceLock::new(),
    })
}

/// Links a component with what it was granted, and finds its hooks.
fn link(runtime: &Runtime, component: &Component, grants: Grants) -> Result<Code, PrepareError> {
    let engine = runtime.engine();
    let types = component.component_type();
    if let Some(import) = grants.unmet(types.imports(engine).map(|(name, _)| name)) {
        return Err(fail("imports")(&format!(
            "it imports `{import}`, which is not granted; grant it in the policy's settings, or build it without"
        )));
    }
    let linker = imports::linker(engine, grants).map_err(|error| fail("imports")(&format!("{error:#}")))?;
    let pre = linker.instantiate_pre(component).map_err(|error| fail("imports")(&format!("{error:#}")))?;
    let needs = component.resources_required().ok_or_else(|| fail("imports")(&"it imports core modules"))?;
    let exports = exports(component, &pre)?;
    Ok(Code { pre, exports, needs: Needs { memories: needs.num_memories, tables: needs.num_tables } })
}

/// Finds the hooks. An interface that is exported must be whole; one that this host doesn't know is left alone.
fn exports(component: &Component, pre: &InstancePre<Inside>) -> Result<Exports, PrepareError> {
    macro_rules! hook {
        ($interface:ident) => {{
            let name = concat!("portcullis:policy/", stringify!($interface), "@0.1.0");
            match component.get_export_index(None, name) {
                Some(_) => Some($interface::GuestIndices::new(pre).map_err(|error| {
                    fail("instantiate")(&format!("its interface `{name}` is not that of this host: {error:#}"))
                })?),
                None => None,
            }
        }};
    }
    Ok(Exports {
        policy: hook!(policy)
            .ok_or_else(|| fail("instantiate")(&"it does not export `portcullis:policy/policy@0.1.0`"))?,
        conversation: hook!(conversation),
        text: hook!(text),
        tools: hook!(tools),
        bytes: hook!(bytes),
        audit: hook!(audit),
    })
}

/// What the component says of itself.
async fn describe(blueprint: &Arc<Blueprint>, state: &Arc<State>) -> Result<policy::Metadata, PrepareError> {
    let failed = |failure: Failure| fail("instantiate")(&failure);
    let mut live = Live::instantiate(blueprint, Arc::clone(state)).await.map_err(failed)?;
    let metadata = live.describe().await.map_err(failed)?;
    // These stand in logs and tables.
    for (what, text) in [("name", &metadata.name), ("version", &metadata.version), ("summary", &metadata.summary)] {
        if text.len() > METADATA_BYTES || journal::line(text) != *text {
            return Err(fail("instantiate")(&format!("its {what} is not one line of at most {METADATA_BYTES} bytes")));
        }
    }
    Ok(metadata)
}

/// Its plan with these settings.
async fn configure(blueprint: &Arc<Blueprint>, state: &Arc<State>) -> Result<policy::Plan, PrepareError> {
    let mut live =
        Live::instantiate(blueprint, Arc::clone(state)).await.map_err(|failure| fail("instantiate")(&failure))?;
    match live.configure(&blueprint.settings).await.map_err(|failure| fail("configure")(&failure))? {
        Ok(plan) => Ok(plan),
        Err(problems) => Err(refused_by_guest(problems)),
    }
}

/// The guest refuses its settings, for these reasons of its own.
pub(super) fn refused_by_guest(problems: Vec<policy::Problem>) -> PrepareError {
    if problems.is_empty() {
        return fail("configure")(&"it refuses its settings, and does not say why");
    }
    let more = problems.len().saturating_sub(PROBLEMS);
    let told = problems.into_iter().take(PROBLEMS).map(|problem| SettingProblem {
        message: journal::line(&problem.message),
        pointer: problem.path,
        name: false,
        hint: None,
    });
    refused("configure", told.collect(), more)
}

/// The plan in the host's terms.
fn plan(blueprint: &Blueprint, asked: &policy::Plan) -> Result<Plan, PrepareError> {
    let wrong = fail("configure");
    let channels: Vec<&str> = Channel::ALL.iter().map(|channel| channel.as_str()).collect();
    let speakers: Vec<&str> = Speaker::ALL.iter().map(|speaker| speaker.as_str()).collect();
    for (what, names, known) in [("channel", &asked.channels, channels), ("speaker", &asked.speakers, speakers)] {
        if names.len() > NAMES {
            return Err(wrong(&format!("its plan lists {} names, and {NAMES} are allowed", names.len())));
        }
        // It would guard nothing, and nobody would notice.
        if let Some(name) = names.iter().find(|name| !known.contains(&name.as_str())) {
            let hint = nearest(name, &known).map(|meant| format!(" (did you mean `{meant}`?)")).unwrap_or_default();
            let (name, known) = (journal::line(name), quoted(&known));
            return Err(wrong(&format!("unknown {what} `{name}`, expected {known}{hint}")));
        }
    }
    let look_behind = look_behind(asked);
    if look_behind > LOOK_BEHIND {
        return Err(wrong(&format!("its plan looks {look_behind} bytes back, and {LOOK_BEHIND} are allowed")));
    }
    let code = blueprint.code.load();
    let (exports, skip) = (&code.exports, asked.skip);
    let due = |exported: bool, hook: policy::Hooks| exported && !skip.contains(hook);
    Ok(Plan {
        hooks: Hooks {
            open: due(true, policy::Hooks::OPEN),
            conversation: due(exports.conversation.is_some(), policy::Hooks::CONVERSATION),
            text: due(exports.text.is_some(), policy::Hooks::TEXT),
            tools: due(exports.tools.is_some(), policy::Hooks::TOOLS),
            head: due(exports.bytes.is_some(), policy::Hooks::HEAD),
            body: due(exports.bytes.is_some(), policy::Hooks::BODY),
            audit: due(exports.audit.is_some(), policy::Hooks::AUDIT),
        },
        directions: asked
            .directions
            .iter()
            .take(NAMES)
            .map(|direction| match direction {
                types::Direction::Request => Direction::Request,
                types::Direction::Response => Direction::Response,
            })
            .collect(),
        channels: asked.channels.clone(),
        speakers: asked.speakers.clone(),
        patterns: asked.patterns.iter().map(|pattern| pattern.id.clone()).collect(),
        only_on_hit: asked.only_on_hit,
        look_behind,
    })
}

fn unit(asked: &policy::Plan) -> Unit {
    match asked.offsets {
        policy::OffsetUnit::Utf8 => Unit::Utf8,
        policy::OffsetUnit::Utf16 => Unit::Utf16,
        policy::OffsetUnit::Scalar => Unit::Scalar,
    }
}

/// In bytes, so many that they hold what it asked for in its own unit.
fn look_behind(asked: &policy::Plan) -> usize {
    (asked.look_behind as usize).saturating_mul(unit(asked).widest())
}

/// Its patterns, compiled, and what its instances are told by.
async fn facts(
    blueprint: &Blueprint,
    metadata: &policy::Metadata,
    asked: &policy::Plan,
) -> Result<Facts, PrepareError> {
    let wrong = fail("configure");
    if asked.only_on_hit && asked.patterns.is_empty() {
        return Err(wrong(&"its plan says only-on-hit, and declares no pattern: it would never be called"));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = asked.patterns.iter().find(|pattern| !ids.insert(pattern.id.as_str())) {
        return Err(wrong(&format!("it declares the pattern `{}` twice", twice.id)));
    }
    let specs: Vec<PatternSpec> = asked
        .patterns
        .iter()
        .map(|pattern| PatternSpec {
            id: pattern.id.clone(),
            regex: pattern.regex.clone(),
            check: pattern.check.clone(),
            max_length: pattern.max_length,
        })
        .collect();
    let ids: Vec<String> = specs.iter().map(|spec| spec.id.clone()).collect();
    let patterns = blueprint.runtime.compiled.get(specs).await.map_err(|problem| {
        let id = ids.get(problem.index).map_or("", String::as_str);
        let message = journal::line(&problem.message);
        // Made of this setting.
        if id.starts_with('/') {
            let problem = SettingProblem { pointer: id.to_owned(), name: false, message, hint: None };
            return refused("configure", vec![problem], 0);
        }
        wrong(&format!("its pattern `{id}`: {message}"))
    })?;
    Ok(Facts {
        version: metadata.version.clone(),
        unit: unit(asked),
        look_behind: asked.look_behind as usize,
        ids,
        patterns,
    })
}
