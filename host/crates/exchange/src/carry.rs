//! The whole path of an exchange, stage by stage. Read this first.

use std::{net::IpAddr, sync::Arc, time::Instant};

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use model::{Caller, Digest, Direction, ExchangeId, Family, Scope, Usage};
use tokio::sync::watch;

use crate::{
    gate::{Answered, ClientAddress, ForwardError, Gate, Incoming},
    head::{Head, canonical_content_type, put_back},
    hold::{Held, Waiting, Watching, hold},
    identify::identify,
    judge::{Cleared, Judge, Reader},
    outlet::{self, End, Outlet, Reply},
    ports::{self, About, Account, Identified, Lease, PolicySet, Stage, TurnedAway},
    record::{self, Outbound, Record},
    refuse::{self, Stop},
    relay::{Lane, Sink, Source, Turn, relay},
    respond::respond,
    route::{self, Route, route, spoken},
    whole::whole,
};

/// What is known of an exchange so far: what a refusal needs, wherever on the path it comes from.
#[derive(Default)]
pub(crate) struct Trail {
    /// How long its credential is good, once who asks is known.
    lease: Option<Lease>,
    /// What the exchange is counted on, as long as it lasts.
    pub(crate) account: Option<Box<dyn Account>>,
    /// What the connection speaks whose prefix the path has; known before anything else is.
    pub(crate) family: Option<Family>,
    pub(crate) route: Option<Route>,
    pub(crate) record: Option<Record>,
    pub(crate) judge: Option<Judge>,
    /// Who was refused, and with what, where nothing is recorded of it.
    pub(crate) refused: Refused,
}

/// What is known of a request that is refused before there is a record.
#[derive(Default)]
pub(crate) struct Refused {
    caller: Option<Arc<Caller>>,
    credential: Option<Digest>,
    address: Option<IpAddr>,
}

impl Drop for Trail {
    /// The caller went away, if the record is not closed by now: what was spent until then was spent all the same. Or its
    /// connection was closed, since it took no byte after its credential had ended; or the path panicked.
    fn drop(&mut self) {
        if let Some(record) = self.record.as_mut() {
            let cut = self.lease.as_ref().and_then(Lease::ended).map(Stop::Ended);
            record.left(self.judge.as_mut(), cut.map(|cut| (cut.outcome(), cut.detail())));
        }
    }
}

/// Carries one exchange. The response's body goes on carrying it as it is polled; dropped, the exchange is over.
pub async fn carry(gate: Arc<Gate>, request: Request<Incoming>) -> Response<Reply> {
    let exchange = ExchangeId::new();
    outlet::run(move |out| async move {
        let mut trail = Trail::default();
        match admit(&gate, exchange, request, &out, &mut trail).await {
            Ok(()) => End::Complete,
            Err(stop) => refuse::refuse(&gate, exchange, &stop, &out, trail).await,
        }
    })
    .await
}

/// Who asks, and then the path for as long as its credential is good and the host waits for it: either end takes the
/// exchange with it, whatever that is doing.
async fn admit(
    gate: &Gate,
    exchange: ExchangeId,
    request: Request<Incoming>,
    out: &Outlet,
    trail: &mut Trail,
) -> Result<(), Stop> {
    let (parts, body) = request.into_parts();
    trail.family = spoken(gate, parts.uri.path());
    trail.refused.address = parts.extensions.get::<ClientAddress>().map(|address| address.0);
    let mut head = Head::read(&parts)?;
    if let Some((connection, _)) = route::connection(gate, &head.path) {
        if let Some(parameter) = connection.family.credential_parameter() {
            head.take_credential(parameter)?;
        }
        head.withhold_choices(&connection.caller_headers);
    }
    head.check_repeats()?;
    let who = identify(gate, &head).await.map_err(|(stop, whose)| {
        (trail.refused.credential, trail.refused.caller) = (digest_of(&head), whose);
        stop
    })?;
    let lease = who.lease.clone();
    out.watch(&lease);
    trail.lease = Some(lease.clone());
    tokio::select! {
        biased;
        ended = lease.over() => Err(Stop::Ended(ended)),
        () = gate.stopped() => Err(Stop::Stopping),
        passed = pass(gate, exchange, (head, body), who, out, trail) => passed,
    }
}

/// The path. Every stage takes what the one before it made, and nothing else makes it.
async fn pass(
    gate: &Gate,
    exchange: ExchangeId,
    (mut head, body): (Head, Incoming),
    who: Identified,
    out: &Outlet,
    trail: &mut Trail,
) -> Result<(), Stop> {
    let started = Instant::now();
    let routed = route(gate, &head, &who).inspect_err(|_| trail.refused.caller = Some(who.caller.clone()))?;
    let route = trail.route.insert(routed).clone();
    let aside = head.set_aside(route.endpoint);
    let mut policies = gate.policies.clone();
    let set = Arc::clone(&policies.borrow_and_update());
    let about = about(gate, exchange, &who, &route, started);
    let account = trail.account.insert(who.account);
    account.enter(&about).inspect_err(|_| trail.refused.caller = Some(about.caller.clone()))?;
    let record = Record::open(&*gate.recorder, &about, &head, set.set_ref(), started)
        .inspect_err(|_| trail.refused.caller = Some(about.caller.clone()))?;
    let record = trail.record.insert(record);

    let (about, scope, account) = (&about, &who.scope, &**account);
    let reader = Arc::new(Reader {
        endpoint: route.endpoint,
        path: wire::named_path(&route.connection, &route.path).into_owned(),
        content_type: head.content_type.clone(),
        limits: gate.limits.wire,
    });
    let asked = Asked { gate, head: &head, route: &route, about, scope, reader, account, out, started };
    let body = whole(gate, body, &head.codings).await?;
    let (cleared, mut headers) = asked.clear(body, &mut policies, record, &mut trail.judge).await?;
    put_back(&mut headers, aside, route.endpoint, cleared.bytes());
    let judge = trail.judge.as_mut().expect("clearing leaves the judge");
    judge.sent(cleared.bytes());
    let recorded = record.request(cleared, judge.asked()).await?;
    let target = format!("{}{}", route.path, head.query);
    let connection = Arc::clone(&route.connection);
    let outbound = Outbound { connection, method: head.method.clone(), target, headers, body: recorded };
    judge.turn();
    let answered = asked.forward(outbound, &mut policies, record, judge).await?;
    respond(&asked, answered, &mut policies, record, judge).await
}

/// A request on its way up: all that its stages look at and none of them changes.
pub(crate) struct Asked<'x> {
    pub(crate) gate: &'x Gate,
    pub(crate) head: &'x Head,
    pub(crate) route: &'x Route,
    pub(crate) about: &'x Arc<About>,
    scope: &'x Arc<Scope>,
    reader: Arc<Reader>,
    pub(crate) account: &'x dyn Account,
    pub(crate) out: &'x Outlet,
    pub(crate) started: Instant,
}

impl Asked<'_> {
    /// Takes the request past every policy, and past a person where one of them asks for that. When other policies came
    /// into force meanwhile, the request is judged again, by those: also while it waits for the person.
    async fn clear(
        &self,
        body: Bytes,
        policies: &mut watch::Receiver<Arc<PolicySet>>,
        record: &mut Record,
        judge: &mut Option<Judge>,
    ) -> Result<(Cleared, HeaderMap), Stop> {
        loop {
            let set = Arc::clone(&policies.borrow_and_update());
            record.judged_by(set.set_ref())?;
            let Gate { recorder, .. } = self.gate;
            let placeholders = Arc::clone(self.gate.placeholders());
            let (about, scope, reader) = (Arc::clone(self.about), Arc::clone(self.scope), Arc::clone(&self.reader));
            let made = Judge::new(set, about, scope, reader, self.started, Arc::clone(recorder), placeholders);
            let judge = judge.insert(made.putting_back(self.route.connection.restore));
            let (cleared, headers) = self.judge(body.clone(), policies, record, judge).await?;
            let asking = judge.asking();
            if !asking.is_empty() {
                record.waits(cleared.bytes(), judge.asked());
            }
            let about = Arc::clone(judge.about());
            let waiting = Waiting {
                direction: Direction::Request,
                about: &about,
                route: self.route,
                head: self.head,
                set: judge.set().digest,
                headers: &headers,
                bytes: cleared.bytes(),
                stream: about.streaming,
            };
            let mut watching = Watching { policies: &mut *policies, judge: &mut *judge };
            let held = hold(self.gate, record, self.out, &waiting, &asking, &mut watching).await?;
            record.goes_on();
            let set = Arc::clone(&policies.borrow());
            if matches!(held, Held::Approved) && judge.is_of(&set) {
                judge.leave_to_be_taken_up(policies);
                return Ok((cleared, headers));
            }
        }
    }

    async fn judge(
        &self,
        body: Bytes,
        policies: &mut watch::Receiver<Arc<PolicySet>>,
        record: &mut Record,
        judge: &mut Judge,
    ) -> Result<(Cleared, HeaderMap), Stop> {
        let Self { gate, head, route, .. } = self;
        let began = Instant::now();
        let mut flow = self.reader.flow()?;
        let mut headers = head.headers.clone();
        if !route.endpoint.raw() {
            canonical_content_type(&mut headers);
        }
        judge.judge_head(|_| self.shown(), &mut headers).await?;
        let body = judge.admit(body).await?;
        let lane = Lane {
            direction: Direction::Request,
            idle: gate.limits.body_idle,
            ends_with_connection: false,
            streaming: false,
        };
        let mut source = Source::new(Box::pin(stream::iter([Ok(body)])), None, gate.limits.batch_bytes);
        let mut gathered = Gather(Cleared::none());
        let relayed = relay(&lane, &mut source, &mut flow, judge, policies, &mut gathered).await;
        record.timed(Stage::JudgeRequest, began.elapsed());
        record.findings(judge.findings())?;
        if relayed.is_err() && judge.is_masked() && judge.asked().is_some() {
            record.stopped_request(&flow.take().judged, judge.asked())?;
        }
        relayed.map(|()| (gathered.0, headers))
    }

    /// The head as policies see it.
    fn shown(&self) -> ports::Head {
        let head = self.head;
        ports::Head {
            direction: Direction::Request,
            method: head.method.to_string(),
            path: head.target().into(),
            status: 0,
            headers: head.attributes(),
        }
    }

    /// Sends the request and waits for the head of the answer. Whatever set comes into force meanwhile may stop the
    /// exchange at once, as it may in the middle of an answer: then the upstream is left alone, and nobody hears it.
    async fn forward(
        &self,
        outbound: Outbound,
        policies: &mut watch::Receiver<Arc<PolicySet>>,
        record: &mut Record,
        judge: &mut Judge,
    ) -> Result<Answered, Stop> {
        let (connection, limit) = (outbound.connection.name.clone(), self.gate.limits.upstream_first_byte);
        // A set that came before the request is on its way may stop it here, and then nothing of it went.
        while policies.has_changed().unwrap_or(false) {
            let set = Arc::clone(&policies.borrow_and_update());
            self.switch(set, record, judge).await?;
        }
        record.sending();
        let answered = tokio::time::timeout(limit, self.gate.forward.forward(outbound));
        tokio::pin!(answered);
        loop {
            tokio::select! {
                // First the policies: who is stopped need not be sent any further.
                biased;
                // A publisher that is gone will publish no more: that is no reason to stop.
                Ok(()) = policies.changed() => {
                    let set = Arc::clone(&policies.borrow_and_update());
                    self.switch(set, record, judge).await?;
                }
                answered = &mut answered => return match answered {
                    Ok(Ok(answered)) => Ok(answered),
                    Ok(Err(ForwardError::Unreachable(cause))) => Err(Stop::NoUpstream { connection, cause }),
                    Ok(Err(ForwardError::Unsent(cause))) => {
                        record.unsent();
                        Err(Stop::NoUpstream { connection, cause })
                    }
                    Ok(Err(ForwardError::Unreadable(why))) => Err(Stop::UpstreamUnreadable(why)),
                    Err(_) => Err(Stop::UpstreamSilent { connection, limit }),
                },
            }
        }
    }

    /// Another set takes over while the upstream is silent.
    async fn switch(&self, set: Arc<PolicySet>, record: &mut Record, judge: &mut Judge) -> Result<(), Stop> {
        let mut judged = judge.switch(set).await;
        if judged.is_ok() {
            judged = judge.judge_sent_head(self.shown(), &self.head.headers).await;
        }
        // A set that stops the exchange is on record all the same, and before it does.
        record.judged_by(judge.set().set_ref())?;
        record.findings(judge.findings())?;
        judged
    }
}

/// The request barrier: what is cleared gathers until all of it is.
struct Gather(Cleared);

impl Sink for Gather {
    fn heard(&mut self, _usage: Usage, _text_bytes: Option<(u64, u64)>) {}

    async fn deliver(&mut self, turn: Turn<'_>) -> Result<(), Stop> {
        self.0.join(turn.cleared);
        Ok(())
    }

    async fn switched(&mut self, _judge: &mut Judge) -> Result<(), Stop> {
        Ok(())
    }

    async fn judged_anew(&mut self, _judge: &mut Judge) -> Result<(), Stop> {
        Ok(())
    }
}

fn about(gate: &Gate, exchange: ExchangeId, who: &Identified, route: &Route, now: Instant) -> Arc<About> {
    let session = gate.sessions().of(&who.caller, who.credential, &route.connection.name, now);
    let caller = Arc::clone(&who.caller);
    Arc::new(About::begun(exchange, session, caller, &route.connection.name, route.endpoint.dialect()))
}

/// SHA-256 of the credential that came with a request.
fn digest_of(head: &Head) -> Option<Digest> {
    let credential = head.credential.as_ref()?;
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, credential.0.as_bytes()).as_ref());
    Some(Digest(bytes))
}

/// For the refusal of an exchange that has no record.
pub(crate) fn turn_away(gate: &Gate, exchange: ExchangeId, stop: &Stop, refused: &Refused) {
    let Refused { caller, credential, address } = refused;
    let refused =
        TurnedAway { code: stop.code(), caller: caller.as_deref(), credential: *credential, address: *address };
    record::turned_away(&*gate.recorder, Some(exchange), &refused, &stop.detail());
}
