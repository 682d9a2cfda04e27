//! What guests may call: the contract's imported interfaces, each for whom it is granted.
//!
//! What must hold: nothing here blocks, and what takes time is charged to the guest's budget; a guest learns nothing of
//! other exchanges but what its own policy kept with the `state` grant.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::{
    Engine,
    component::{HasSelf, Linker},
};

use super::{
    bindings::portcullis::policy::{clock, log, scan, state, types},
    grants::Grants,
    inside::Inside,
    journal::{self, Admission},
    offsets::Ruler,
    shown::narrow,
    state::{Owner, StateProblem},
};

/// A linker with what is granted and nothing else.
pub(super) fn linker(engine: &Engine, grants: Grants) -> wasmtime::Result<Linker<Inside>> {
    let mut linker = Linker::new(engine);
    log::add_to_linker::<_, HasSelf<_>>(&mut linker, |inside| inside)?;
    if grants.clock {
        clock::add_to_linker::<_, HasSelf<_>>(&mut linker, |inside| inside)?;
    }
    if grants.state {
        state::add_to_linker::<_, HasSelf<_>>(&mut linker, |inside| inside)?;
    }
    if grants.scan {
        scan::add_to_linker::<_, HasSelf<_>>(&mut linker, |inside| inside)?;
    }
    Ok(linker)
}

impl types::Host for Inside {}

impl log::Host for Inside {
    fn write(&mut self, level: log::Level, message: String) {
        let admission = match self.lines.admit() {
            Admission::Write => self.blueprint.journal.admit(Instant::now()),
            cut => cut,
        };
        match admission {
            Admission::Write => self.tell(level, &journal::line(&message)),
            Admission::Cut => self.tell(log::Level::Warn, "it writes too much: lines are dropped from here on"),
            Admission::Drop => {}
        }
    }
}

impl Inside {
    fn tell(&self, level: log::Level, message: &str) {
        let (policy, version, digest) =
            (self.blueprint.id.as_str(), self.blueprint.version(), self.blueprint.digest.short());
        let exchange = self.about.as_ref().map(|about| tracing::field::display(about.exchange));
        macro_rules! tell {
            ($level:ident) => {
                tracing::event!(target: "portcullis::policy", tracing::Level::$level, policy, version, digest, exchange, "{message}")
            };
        }
        match level {
            log::Level::Trace => tell!(TRACE),
            log::Level::Debug => tell!(DEBUG),
            log::Level::Info => tell!(INFO),
            log::Level::Warn => tell!(WARN),
            log::Level::Error => tell!(ERROR),
        }
    }

    /// Does something for the guest, in the guest's time.
    fn charged<T>(
        &mut self,
        work: impl FnOnce(&Self) -> Result<T, state::Problem>,
    ) -> wasmtime::Result<Result<T, state::Problem>> {
        let started = Instant::now();
        let done = work(self);
        self.budget.charge(started)?;
        Ok(done)
    }

    /// Whose values a scope means; none before an exchange is opened, nor for a caller who is nobody.
    fn owner(&self, scope: state::Scope) -> Result<Owner, state::Problem> {
        let about = self.about.as_ref().ok_or(state::Problem::Unavailable)?;
        Ok(match scope {
            state::Scope::Exchange => Owner::Exchange(about.exchange),
            state::Scope::Session => Owner::Session(about.session),
            state::Scope::Caller if about.caller.subject.is_empty() => return Err(state::Problem::Unavailable),
            state::Scope::Caller => Owner::Caller(about.caller.issuer.clone(), about.caller.subject.clone()),
            state::Scope::Policy => Owner::Policy,
        })
    }
}

impl clock::Host for Inside {
    fn now_ms(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let exchange = self.about.as_ref().map(|about| tracing::field::display(about.exchange));
        tracing::trace!(target: "portcullis::policy::clock", policy = self.blueprint.id, exchange, now);
        now
    }
}

impl state::Host for Inside {
    fn get(&mut self, scope: state::Scope, key: String) -> wasmtime::Result<Result<Option<String>, state::Problem>> {
        self.charged(|inside| Ok(inside.state.get(&inside.blueprint.id, &inside.owner(scope)?, &key, Instant::now())))
    }

    fn set(
        &mut self,
        scope: state::Scope,
        key: String,
        value: String,
        ttl: u32,
    ) -> wasmtime::Result<Result<(), state::Problem>> {
        self.charged(|inside| {
            let owner = inside.owner(scope)?;
            inside.state.set(&inside.blueprint.id, owner, key, value, ttl, Instant::now()).map_err(problem)
        })
    }

    fn remove(&mut self, scope: state::Scope, key: String) -> wasmtime::Result<Result<(), state::Problem>> {
        self.charged(|inside| {
            inside.state.remove(&inside.blueprint.id, &inside.owner(scope)?, &key);
            Ok(())
        })
    }

    fn add(
        &mut self,
        scope: state::Scope,
        key: String,
        delta: i64,
        ttl: u32,
    ) -> wasmtime::Result<Result<i64, state::Problem>> {
        self.charged(|inside| {
            let owner = inside.owner(scope)?;
            inside.state.add(&inside.blueprint.id, owner, key, delta, ttl, Instant::now()).map_err(problem)
        })
    }
}

fn problem(problem: StateProblem) -> state::Problem {
    match problem {
        StateProblem::TooLarge => state::Problem::TooLarge,
        StateProblem::TooMany => state::Problem::TooMany,
        StateProblem::Unavailable => state::Problem::Unavailable,
    }
}

impl scan::Host for Inside {
    fn find(&mut self, patterns: Vec<String>, text: String) -> wasmtime::Result<Vec<types::HitResult>> {
        let Some(facts) = self.blueprint.facts.get() else {
            wasmtime::bail!("it scans while it is being configured");
        };
        let started = Instant::now();
        let mut which = Vec::with_capacity(patterns.len());
        for name in &patterns {
            let Some(at) = facts.ids.iter().position(|id| id == name) else {
                wasmtime::bail!("it scans for a pattern that its plan does not declare");
            };
            which.push(narrow(at));
        }
        let mut ruler = Ruler::new(&text, facts.unit);
        let found = facts.patterns.find(&text, &which);
        let hit = |hit: &model::Hit| types::HitResult {
            pattern: facts.pattern(hit).to_owned(),
            start: narrow(ruler.units(hit.start)),
            end: narrow(ruler.units(hit.end)),
        };
        let hits = found.iter().map(hit).collect();
        self.budget.charge(started)?;
        Ok(hits)
    }
}
