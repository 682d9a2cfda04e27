//! The exchange waits for a person. A stream gets signs of life meanwhile; a whole answer waits as long as its caller
//! may be expected to, and is then told to come again.
//!
//! What must hold: what was approved is, byte for byte, what goes on; anything but an approval stops the exchange. What
//! waits hears of other policies at once, and its questions are taken back: nobody decides for a set that is no more. A whole
//! answer is not kept for a caller that comes again (a new one would have other bytes), so it is never left open.

use std::{future::pending, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::{
    ApprovalId, AskedHead, Connection, Digest, Direction, ExchangeId,
    record::{self, Decided},
};
use tokio::sync::watch;

use crate::{
    gate::Gate,
    head::{Head, attributes, essence},
    judge::{Asking, Judge},
    outlet::Outlet,
    ports::{About, Ask, PolicySet, Ruling, RulingState, Rulings, Ticket},
    record::Record,
    refuse::{Stop, name_exchange, names},
    route::Route,
};

/// Headers that no two tries of one request have alike, since a client, a tracer or a load balancer makes them anew for
/// each, and that say nothing to the model: an approval is good for the next try, whatever stands in them. Names, and
/// families of names by how they begin (`x-b3-`).
const VOLATILE: [&str; 34] = [
    "x-stainless-retry-count",
    "idempotency-key",
    "x-idempotency-key",
    "x-client-request-id",
    "x-correlation-id",
    "correlation-id",
    "x-trace-id",
    "x-span-id",
    // W3C, OpenTelemetry, and what came before them.
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-",
    "x-ot-span-context",
    "ot-tracer-",
    "ot-baggage-",
    "uber-trace-id",
    "uberctx-",
    "grpc-trace-bin",
    // Vendors of tracers.
    "sentry-trace",
    "x-datadog-",
    "newrelic",
    "x-newrelic-",
    "elastic-apm-traceparent",
    "x-dynatrace",
    "x-instana-",
    // Load balancers and gateways.
    "x-amzn-trace-id",
    "x-amz-cf-id",
    "x-amzn-requestid",
    "x-cloud-trace-context",
    "cf-ray",
    "x-azure-ref",
    "x-vercel-id",
    "x-ms-client-request-id",
];

fn is_volatile(name: &str) -> bool {
    let begins = |known: &str| known.ends_with('-') && name.starts_with(known);
    VOLATILE.iter().any(|known| *known == name || begins(known))
}

/// What waits.
pub(crate) struct Waiting<'x> {
    /// Which way.
    pub(crate) direction: Direction,
    pub(crate) about: &'x Arc<About>,
    pub(crate) route: &'x Route,
    pub(crate) head: &'x Head,
    /// Digest of the policy set that asks.
    pub(crate) set: Digest,
    /// The headers that would go on; those that repeat the body are set aside, and say what it says.
    pub(crate) headers: &'x HeaderMap,
    /// The exact bytes that would go on.
    pub(crate) bytes: &'x [u8],
    /// Whether signs of life can be given: the answer is a stream.
    pub(crate) stream: bool,
}

impl Waiting<'_> {
    /// SHA-256 over all that the approval is for, each field with its length before it (threats, section 6). What makes
    /// one question another than the next (its id, when it expires) is the desk's: the same request, sent again, must find
    /// the question that was left.
    fn binding(&self) -> Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut field = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        field(self.direction.as_str().as_bytes());
        field(&configuration(&self.route.connection));
        field(self.head.method.as_str().as_bytes());
        field(self.head.path.as_bytes());
        field(self.head.query.as_bytes());
        field(self.about.caller.issuer.as_bytes());
        field(self.about.caller.subject.as_bytes());
        field(&self.set.0);
        for (name, value) in self.bound_headers() {
            field(name.as_bytes());
            field(value);
        }
        // Where the headers end.
        field(&[]);
        field(self.bytes);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Digest(bytes)
    }

    /// What is bound of the head, for who decides.
    fn asked_head(&self) -> AskedHead {
        let bound = self.headers.iter().filter(|(name, _)| !is_volatile(name.as_str()));
        let bound: HeaderMap = bound.map(|(name, value)| (name.clone(), value.clone())).collect();
        AskedHead {
            direction: self.direction,
            method: self.head.method.to_string(),
            target: self.head.target().into(),
            headers: attributes(&bound),
        }
    }

    /// By name; the values of one name in their order.
    fn bound_headers(&self) -> Vec<(&str, &[u8])> {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut bound: Vec<_> = headers.filter(|(name, _)| !is_volatile(name)).collect();
        bound.sort_by_key(|(name, _)| *name);
        bound
    }
}

/// All of a connection's configuration: where it leads, how, what is spoken there, what is put back. As JSON, which says
/// the same of the same configuration always; its lists have their order from the file.
fn configuration(connection: &Connection) -> Vec<u8> {
    serde_json::to_vec(connection).expect("texts, lists and choices have a form in JSON")
}

/// The policies, while something that they judged is held.
pub(crate) struct Watching<'x> {
    pub(crate) policies: &'x mut watch::Receiver<Arc<PolicySet>>,
    /// By whom it was judged. Nobody else looks at it meanwhile: a policy's instance is for one thread at a time.
    pub(crate) judge: &'x mut Judge,
}

impl Watching<'_> {
    /// Ready when a set comes into force by which the policies that guard the exchange differ from those that judged: the
    /// set, and the first policy that is another. Any other set is seen, and no more.
    async fn overtaken(&mut self) -> (Arc<PolicySet>, String) {
        while self.policies.changed().await.is_ok() {
            let set = Arc::clone(&self.policies.borrow_and_update());
            if let Some(policy) = self.judge.changed_by(&set) {
                return (set, policy);
            }
        }
        // A publisher that is gone will publish no more.
        pending().await
    }
}

/// How holding ended, where nothing stops the exchange.
pub(crate) enum Held {
    /// Every question is approved, or there is none.
    Approved,
    /// Other policies came into force before all was decided: this set, and the first policy by which it differs.
    Overtaken(Arc<PolicySet>, String),
}

/// Asks all questions together, waits, and comes back only when every one of them is approved, or other policies would have
/// to ask.
pub(crate) async fn hold(
    gate: &Gate,
    record: &mut Record,
    out: &Outlet,
    waiting: &Waiting<'_>,
    asking: &[Asking],
    watching: &mut Watching<'_>,
) -> Result<Held, Stop> {
    let Some(first) = asking.first() else { return Ok(Held::Approved) };
    let (bound_to, shown) = (waiting.binding(), Arc::<[u8]>::from(waiting.bytes));
    let head = Arc::new(waiting.asked_head());
    let ask = |asking: &Asking| Ask {
        about: Arc::clone(waiting.about),
        policy: (asking.policy.clone(), asking.digest),
        question: asking.question.clone(),
        shown: Arc::clone(&shown),
        head: Arc::clone(&head),
        bound_to,
    };
    let mut ticket = gate.desk.ask(asking.iter().map(ask).collect()).await.map_err(|error| Stop::NoDesk(error.0))?;
    let approvals = ticket.approvals().to_vec();
    let held = approvals.iter().zip(asking);
    let held =
        held.map(|(id, asking)| record::Held { at: 0, approval: *id, question: asking.question.clone(), bound_to });
    record.held(held.collect()).await?;
    let heard = hear(gate, record, out, waiting, ticket.as_mut(), watching).await?;
    let rulings = match heard {
        Heard::Ruled(rulings) => rulings,
        Heard::Nothing if waiting.direction == Direction::Request => {
            ticket.leave();
            return Err(Stop::ApprovalPending { approvals, policy: first.policy.clone() });
        }
        // Dropped, the questions are taken back: nobody shall decide what can't come any more.
        Heard::Nothing => {
            let approval = *approvals.first().expect("one for each question");
            Rulings::Stopped(approval, not_kept(gate.limits.approval_wait))
        }
        Heard::Overtaken(set, policy) => {
            let ruling = withdrawn(&policy);
            ticket.withdraw(&ruling.reason);
            let ended = approvals.into_iter().map(|id| decided(id, ruling.clone()));
            record.decided(ended.collect()).await?;
            return Ok(Held::Overtaken(set, policy));
        }
    };
    match rulings {
        Rulings::Approved(rulings) => {
            let ended = approvals.into_iter().zip(rulings).map(|(id, ruling)| decided(id, ruling));
            record.decided(ended.collect()).await?;
            Ok(Held::Approved)
        }
        Rulings::Stopped(approval, ruling) => {
            record.decided(vec![decided(approval, ruling.clone())]).await?;
            let place = approvals.iter().position(|id| *id == approval);
            let asked = place.and_then(|place| asking.get(place)).unwrap_or(first);
            let Ruling { state, reason, .. } = ruling;
            Err(Stop::NotApproved { approval, policy: asked.policy.clone(), state, reason })
        }
    }
}

fn decided(approval: ApprovalId, Ruling { state, by, reason }: Ruling) -> Decided {
    Decided { at: 0, approval, state: state.as_str().into(), by, reason }
}

/// The end of a question that other policies may not ask.
fn withdrawn(policy: &str) -> Ruling {
    let reason =
        format!("other policies came into force before it was decided ({policy} is the first that is another)");
    Ruling { state: RulingState::Cancelled, by: String::new(), reason }
}

/// The end of the wait for a whole answer.
fn not_kept(wait: Duration) -> Ruling {
    let seconds = wait.as_secs_f32();
    let reason = format!(
        "nobody decided within {seconds} s, and the answer is not kept: ask for a stream, which waits for as long as the \
         question is open"
    );
    Ruling { state: RulingState::Expired, by: String::new(), reason }
}

/// How a wait ended.
enum Heard {
    Ruled(Rulings),
    /// Nobody decided in the time that the caller of a whole answer waits.
    Nothing,
    /// Other policies came into force, as in [`Held`].
    Overtaken(Arc<PolicySet>, String),
}

/// Waits, and gives a stream's caller signs of life. One that was begun is ended: what is on record of it was said.
async fn hear(
    gate: &Gate,
    record: &mut Record,
    out: &Outlet,
    waiting: &Waiting<'_>,
    ticket: &mut dyn Ticket,
    watching: &mut Watching<'_>,
) -> Result<Heard, Stop> {
    let waited_for = names(ticket.approvals());
    let within = if waiting.stream { gate.limits.heartbeat } else { gate.limits.approval_wait };
    loop {
        if waiting.stream {
            beat(record, out, waiting.route, waiting.about.exchange, &waited_for).await?;
        }
        let rulings = tokio::select! {
            // First the policies: who decided for those of before decided about something else.
            biased;
            (set, policy) = watching.overtaken() => return Ok(Heard::Overtaken(set, policy)),
            rulings = ticket.decided(within) => rulings,
        };
        match rulings {
            Some(rulings) => return Ok(Heard::Ruled(rulings)),
            None if waiting.stream => {}
            None => return Ok(Heard::Nothing),
        }
    }
}

/// A sign of life in a stream whose caller waits for something.
pub(crate) async fn beat(
    record: &mut Record,
    out: &Outlet,
    route: &Route,
    exchange: ExchangeId,
    waited_for: &str,
) -> Result<(), Stop> {
    say_stream_head(record, out, route, exchange).await?;
    let beat = route.endpoint.heartbeat(&format!("waiting for {waited_for}"));
    // In a stream of another type than the endpoint's own it would say something else.
    if !beat.is_empty() && essence(&out.said().0) == route.endpoint.stream_type() {
        out.send(record.own_words(out.lines(beat)).await?.into_inner()).await;
    }
    Ok(())
}

/// The head of a stream that begins before the upstream was asked, or its own head is said.
async fn say_stream_head(record: &mut Record, out: &Outlet, route: &Route, exchange: ExchangeId) -> Result<(), Stop> {
    if out.began() {
        return Ok(());
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(route.endpoint.stream_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    name_exchange(&mut headers, exchange);
    let (status, headers) = record.stream_head(StatusCode::OK, headers).await?.into_inner();
    out.head(status, headers);
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::{EndpointRule, Family, OnBlock, Restore, Upstream, View};

    use super::*;

    #[test]
    fn an_approval_is_bound_to_every_field_of_its_connection() {
        let connection = Connection {
            name: "openai".into(),
            path_prefix: "/".into(),
            upstream: Upstream { tls: true, authority: "model".into(), base_path: String::new() },
            family: Family::Openai,
            on_block: OnBlock::Error,
            endpoints: Vec::new(),
            restore: Restore::Off,
            caller_headers: Vec::new(),
        };
        // A field more does not compile here; it needs a change of its own below.
        let Connection { name, path_prefix, upstream, family: _, on_block: _, endpoints, restore: _, caller_headers } =
            connection.clone();
        let Upstream { tls, authority, base_path } = upstream.clone();
        let rule = EndpointRule { path: "/v1/x".into(), methods: vec!["POST".into()], views: vec![View::Json] };
        let other_rule = EndpointRule { views: vec![View::Sse], ..rule.clone() };
        let with = |upstream: Upstream| Connection { upstream, ..connection.clone() };
        let others = [
            Connection { name: name + "2", ..connection.clone() },
            Connection { path_prefix: path_prefix + "2", ..connection.clone() },
            with(Upstream { tls: !tls, ..upstream.clone() }),
            with(Upstream { authority: authority + "2", ..upstream.clone() }),
            with(Upstream { base_path: base_path + "/2", ..upstream.clone() }),
            Connection { family: Family::Raw, ..connection.clone() },
            Connection { on_block: OnBlock::Refusal, ..connection.clone() },
            Connection { endpoints: [endpoints.clone(), vec![rule]].concat(), ..connection.clone() },
            Connection { endpoints: [endpoints, vec![other_rule]].concat(), ..connection.clone() },
            Connection { restore: Restore::Text, ..connection.clone() },
            Connection {
                caller_headers: [caller_headers, vec!["openai-project".into()]].concat(),
                ..connection.clone()
            },
        ];
        let said: std::collections::BTreeSet<_> = others.iter().chain([&connection]).map(configuration).collect();
        assert_eq!(said.len(), others.len() + 1, "each another");
        let form = r#"{"name":"openai","path_prefix":"/","upstream":{"tls":true,"authority":"model","base_path":""},"#;
        assert!(configuration(&connection).starts_with(form.as_bytes()), "a form that stays");
    }
}
