//! The only place that joins the crates: from a configuration to a running host, and back to a stopped one.
//!
//! What must hold: nothing is served before the first policy set is complete; what is started here is stopped here, in
//! the opposite order, so that the last exchange is still recorded.

mod keepers;
mod observe;
mod terms;
mod told;
mod who;
mod withdraw;

use std::{
    io::{self, IsTerminal as _},
    net::SocketAddr,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use admin::{AdminToken, Control, HostFacts, Names, Phase};
use alerts::Alerts;
use anyhow::{Context, bail};
use approvals::Approvals;
use engine::{
    Runtime,
    load::{Cache, CacheConfig, CompileConfig, Compiler, Loader, LoaderConfig},
};
use exchange::{
    Gate,
    ports::{ControlLog, PolicySet},
};
use futures_util::future::join;
use model::{Connection, Guard};
use store::Store;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use self::{
    keepers::Keepers,
    observe::{Observers, Others},
    who::Who,
};
use crate::{
    burst::Bursts,
    config::Config,
    demo::{self, Pace},
    files,
    forward::Forwarder,
    listen::{self, Door, Own},
    reload, shipped,
    telemetry::Lines,
};

/// A host that listens.
pub(crate) struct Ready {
    /// Where callers come in.
    pub(crate) proxy: SocketAddr,
    /// Whether they speak TLS there.
    pub(crate) tls: bool,
    /// Where operators come in.
    pub(crate) control: SocketAddr,
    /// The first policy set.
    pub(crate) policies: Arc<PolicySet>,
}

/// Runs a host until it is told to stop, then drains it. `log` is where it says how it goes.
///
/// # Errors
/// Whatever keeps it from starting: an address in use, a store that another process has, an unreadable certificate. And
/// what kept it from going on: a task that it can't be without.
pub(crate) async fn serve(
    config: Config,
    pace: Pace,
    log: &Lines,
    announce: impl FnOnce(&Ready),
) -> anyhow::Result<()> {
    let stop = Stop::new(log.clone());
    // A panic, too, ends the control listener: its thread is waited for when the runtime is dropped.
    let _ended = stop.rest.clone().drop_guard();
    let mut config = fitted(config)?;
    let mut keepers = Keepers::new(stop.rest.clone());

    let store = Store::open(&terms::store(&config))?;
    let observers = Observers::open(&config, &store)?;
    let recorder: Arc<dyn exchange::ports::Recorder> = observers.watch(store.clone());
    let runtime = Runtime::new(terms::runtime(&config.limits))?;
    let (mut loader, compiler) = loader(&config, &runtime)?;
    let policies = first_set(&mut loader, &*recorder).await?;
    warn_of_what_is_unguarded(&config, &policies);
    let (publish, in_force) = watch::channel(Arc::clone(&policies));

    start_built_in_model(&mut config, pace, &mut keepers, &stop.rest).await?;
    let approvals = Approvals::new(terms::approvals(&config), Arc::clone(&recorder));
    let bursts = Bursts::of(config.store.durability);
    let forwarder = Arc::new(Forwarder::new(&config.connections, &config.limits, bursts)?);
    forwarder.fetch().await?;
    let control_log: Arc<dyn ControlLog> = store.clone();
    let who = Who::open(&config, &control_log, &recorder)?;
    let gate = Gate::new(
        Arc::clone(&who.credentials),
        config.connections.iter().map(|route| Arc::new(route.connection.clone())).collect::<Vec<Arc<Connection>>>(),
        in_force.clone(),
        Arc::clone(&recorder),
        Arc::new(approvals.clone()),
        observers.watch(Arc::clone(&forwarder)),
        terms::limits(&config),
    );
    let (listener, control_listener) = listeners(&config).await?;
    let ready = Ready {
        proxy: listener.local_addr()?,
        tls: config.listen.tls.is_some(),
        control: control_listener.local_addr()?,
        policies,
    };
    let door = Door {
        gate,
        own: Own { oauth: who.oauth.clone(), signals: who.signals.clone() },
        tls: config.listen.tls.as_ref().map(listen::acceptor).transpose().context("listen.tls")?,
        limits: config.limits.clone(),
        bursts,
    };
    let (phase, phases) = watch::channel(Phase::Starting);
    let others = Others {
        policies: in_force,
        approvals: approvals.clone(),
        registry: who.registry.clone(),
        access: who.access.clone(),
        store: Arc::clone(&store),
    };
    let control = control(&config, &ready, phases, &observers, others, log)?;
    let control = admin::on_own_thread(control_listener, Arc::new(control), stop.rest.clone())?;
    recorder.event(model::Event::Started { at_ms: now_ms(), version: env!("CARGO_PKG_VERSION").into() }).await?;
    let swapping =
        reload::watch(loader, publish, Arc::clone(&recorder), terms::reload_times(&config), stop.rest.clone());
    keepers.spawn("the task that swaps policies", swapping);
    keepers.spawn("the control listener's thread", joined(control));
    let expires = config.listen.certificate_expires();
    keepers.keep("the task that tells when the certificate expires", told::certificate(expires));
    keepers.keep("the task that tells how many strangers were left out of the log", told::strangers());
    keep(&mut keepers, compiler, forwarder, approvals.clone(), observers.alerts.clone(), who);
    // What is said of the start stands in the log before the host says that it is ready.
    log.flush();
    phase.send_replace(Phase::Ready);
    announce(&ready);
    let draining = async {
        stop.intake.cancelled().await;
        phase.send_replace(Phase::Draining);
    };
    let serving = join(listen::serve(listener, door, stop.intake.clone()), draining);
    let lost = keepers.beside(serving, &stop.intake).await;
    keepers.end().await;
    approvals.close().await;
    observers.alerts.close().await;
    exchange::record::tell_of_strangers(true);
    recorder.event(model::Event::Stopped { at_ms: now_ms() }).await?;
    store.close().await?;
    lost.map_or(Ok(()), |lost| bail!("{lost} ended, and a host does not go on without it; the log says why"))
}

/// Where callers and operators come in.
async fn listeners(config: &Config) -> Result<(TcpListener, std::net::TcpListener), Unheard> {
    let (callers, operators) = (config.listen.address, config.control.address);
    let unheard = |listener, address| move |error| Unheard { listener, address, error };
    let data = TcpListener::bind(callers).await.map_err(unheard("listen", callers))?;
    Ok((data, std::net::TcpListener::bind(operators).map_err(unheard("control", operators))?))
}

/// Ready when a thread has ended.
async fn joined(thread: JoinHandle<()>) {
    if tokio::task::spawn_blocking(|| thread.join()).await.is_ok_and(|joined| joined.is_err()) {
        tracing::error!("the control listener's thread panicked");
    }
}

/// That nobody can listen at an address.
#[derive(Debug, thiserror::Error)]
#[error("{listener}.address: {address} can't be listened on: {error}{}", self.way_out())]
pub(crate) struct Unheard {
    /// `listen` or `control`: the table of the configuration.
    pub(crate) listener: &'static str,
    /// Where.
    pub(crate) address: SocketAddr,
    /// Why.
    pub(crate) error: io::Error,
}

impl Unheard {
    fn way_out(&self) -> &'static str {
        match self.error.kind() {
            io::ErrorKind::AddrInUse => "; `ss -ltnp` tells who listens there, or choose another port",
            _ => "",
        }
    }
}

/// With limits for which the process may have enough files open.
fn fitted(mut config: Config) -> anyhow::Result<Config> {
    if let Some(lowered) = files::fit(&mut config.limits, config.connections.len(), files::raise()?)? {
        tracing::warn!("{lowered}");
    }
    Ok(config)
}

/// What operators see.
fn control(
    config: &Config,
    ready: &Ready,
    phase: watch::Receiver<Phase>,
    observers: &Observers,
    others: Others,
    log: &Lines,
) -> anyhow::Result<Control> {
    Ok(Control {
        token: AdminToken::load_or_make(&config.store.admin_token())?,
        hosts: config.control.hosts.clone(),
        host: facts(config, ready),
        names: names(config),
        phase,
        policies: others.policies.clone(),
        approvals: others.approvals.clone(),
        alerts: observers.alerts.clone(),
        registry: others.registry.clone(),
        access: others.access.clone(),
        store: Arc::clone(&others.store),
        metrics: Some(observers.metrics(others, config.listen.certificate_expires(), log.clone())),
    })
}

/// What goes on beside the exchanges: shipped policies are compiled ahead, credentials and issuers' keys are looked for
/// again, questions expire, what callers asked who are revoked is cancelled, alerts are kept and told.
fn keep(
    keepers: &mut Keepers,
    compiler: Arc<Compiler>,
    forwarder: Arc<Forwarder>,
    approvals: Approvals,
    alerts: Alerts,
    who: Who,
) {
    let Who { registry, issuers, signals, access, .. } = who;
    let desk = approvals.clone();
    keepers.keep("the task that compiles shipped policies ahead", warm(compiler));
    keepers.keep("the task that looks for upstreams' credentials", async move { forwarder.keep().await });
    keepers.keep("the task that lets questions expire", async move { desk.keep().await });
    keepers.keep("the task that looks for issuers' keys", async move { issuers.keep().await });
    keepers.keep("the task that keeps and tells alerts", async move { alerts.keep().await });
    keepers.keep("the task that withdraws what revoked callers asked", withdraw::keep(registry, access, approvals));
    if let Some(signals) = signals {
        keepers.keep("the task that looks for the keys of security events", async move { signals.keep().await });
    }
}

/// Two steps: first nobody comes in any more, then everything else stops.
struct Stop {
    intake: CancellationToken,
    rest: CancellationToken,
}

impl Stop {
    /// Listens for the signals that stop a host; the second of them ends the process at once.
    fn new(log: Lines) -> Self {
        let stop = Self { intake: CancellationToken::new(), rest: CancellationToken::new() };
        let (intake, signals) = (stop.intake.clone(), Signals::new());
        tokio::spawn(async move {
            let Ok(mut signals) = signals else {
                tracing::error!("signals can't be listened for; this host stops only when it is killed");
                return;
            };
            signals.stop().await;
            tracing::info!("stopping: running exchanges get their time to end; a second signal ends them");
            intake.cancel();
            signals.stop().await;
            log.flush();
            std::process::exit(130);
        });
        stop
    }
}

/// The signals that a host listens for.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Whether a terminal can hang up on it.
    on_terminal: bool,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            on_terminal: io::stdin().is_terminal(),
        })
    }

    /// Ready on SIGTERM and SIGINT, and when the terminal goes away that the host was started from. A service that is sent
    /// SIGHUP goes on.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if self.on_terminal {
                        return;
                    }
                    tracing::warn!(
                        "SIGHUP changes nothing: policies and credentials are looked for all the time, and a new \
                         configuration needs a restart"
                    );
                }
            }
        }
    }
}

/// A loader for the configured folder; its cache is in the store's folder.
fn loader(config: &Config, runtime: &Arc<Runtime>) -> anyhow::Result<(Loader, Arc<Compiler>)> {
    let cache = Cache::open(CacheConfig::new(config.store.path.join("compiled")))?;
    let compiler = Arc::new(Compiler::new(CompileConfig::default(), runtime, Some(cache)));
    let mut settings = LoaderConfig::new(&config.policies.folder);
    settings.grace = config.policies.removal_grace;
    settings.connections = Some(config.connections.iter().map(|route| route.connection.name.clone()).collect());
    Ok((Loader::new(Arc::clone(runtime), Arc::clone(&compiler), settings), compiler))
}

/// Compiles the shipped policies ahead, the one that stops everything first: when it is dropped into the folder, nobody
/// waits for a compiler.
async fn warm(compiler: Arc<Compiler>) {
    for wasm in [shipped::LOCKDOWN, shipped::BLOCK, shipped::MASK, shipped::APPROVE] {
        if let Err(refused) = compiler.warm(wasm).await {
            tracing::warn!(%refused, "a shipped policy could not be compiled ahead");
        }
    }
    compiler.keep_spare();
}

async fn first_set(loader: &mut Loader, recorder: &dyn exchange::ports::Recorder) -> anyhow::Result<Arc<PolicySet>> {
    let outcome = loader.scan(std::time::Instant::now()).await;
    let set = outcome.set.context("the first scan of the policy folder published no set")?;
    for change in &outcome.changes {
        reload::tell(change);
    }
    recorder.event(reload::published(&set, now_ms())).await?;
    Ok(set)
}

fn warn_of_what_is_unguarded(config: &Config, set: &PolicySet) {
    for note in config.unguarded(set.policies.iter().map(|policy| Guard::of(policy.info(), policy.plan()))) {
        tracing::warn!("{note}");
    }
}

async fn start_built_in_model(
    config: &mut Config,
    pace: Pace,
    keepers: &mut Keepers,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut routes = config.connections.iter_mut().filter(|route| route.built_in).peekable();
    if routes.peek().is_none() {
        return Ok(());
    }
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    routes.for_each(|route| route.connection.upstream.authority.clone_from(&address));
    let stop = stop.clone();
    keepers.spawn("the built-in model", async move {
        if let Err(error) = demo::serve(listener, pace, stop).await {
            tracing::error!(%error, "the built-in model stopped");
        }
    });
    Ok(())
}

fn facts(config: &Config, ready: &Ready) -> HostFacts {
    let scheme = if ready.tls { "https" } else { "http" };
    HostFacts {
        version: env!("CARGO_PKG_VERSION").into(),
        proxy: format!("{scheme}://{}", ready.proxy),
        started_ms: now_ms(),
        started: std::time::Instant::now(),
        connections: config
            .connections
            .iter()
            .map(|route| (route.connection.name.clone(), route.connection.family))
            .collect(),
        durability: config.store.durability.as_str().to_owned(),
        certificate_expires: config.listen.certificate_expires(),
    }
}

/// What an order to revoke may name.
fn names(config: &Config) -> Names {
    Names {
        tokens: config.tokens.iter().map(|token| token.name.clone()).collect(),
        issuers: config.issuers.iter().map(|issuer| issuer.url.clone()).collect(),
        connections: config.connections.iter().map(|route| route.connection.name.clone()).collect(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970-01-01T00:00:00Z.
pub(crate) fn now_ms() -> u64 {
    millis(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default())
}
