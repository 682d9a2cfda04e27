//! The exchange waits for a person. A stream gets signs of life meanwhile; a whole answer waits as long as its caller
//! may be expected to, and is then told to come again.
//!
//! What must hold: what was approved is, byte for byte, what goes on; anything but an approval stops the exchange.

use std::sync::Arc;

use aws_lc_rs::digest;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::{
    Digest,
    record::{Decided, Held},
};

use crate::{
    gate::Gate,
    head::Head,
    judge::Asking,
    outlet::Outlet,
    ports::{About, Ask, Ruling, RulingState, Ticket},
    record::Record,
    refuse::{Stop, name_exchange},
    route::Route,
};

/// What waits.
pub(crate) struct Waiting<'x> {
    pub(crate) about: &'x Arc<About>,
    pub(crate) route: &'x Route,
    pub(crate) head: &'x Head,
    /// Digest of the policy set that asks.
    pub(crate) set: Digest,
    /// The exact bytes that would go on.
    pub(crate) bytes: &'x [u8],
    /// Whether signs of life can be given: the answer is a stream.
    pub(crate) stream: bool,
}

impl Waiting<'_> {
    /// SHA-256 over all that the approval is for, each field with its length before it (threats, section 6).
    fn binding(&self) -> Digest {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut field = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        };
        let connection = &self.route.connection;
        field(connection.name.as_bytes());
        field(connection.upstream.authority.as_bytes());
        field(connection.upstream.base_path.as_bytes());
        field(self.head.method.as_str().as_bytes());
        field(self.head.path.as_bytes());
        field(self.head.query.as_bytes());
        field(self.about.caller.issuer.as_bytes());
        field(self.about.caller.subject.as_bytes());
        field(&self.set.0);
        field(self.bytes);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Digest(bytes)
    }
}

/// Asks, waits, and comes back only with an approval.
pub(crate) async fn hold(
    gate: &Gate,
    record: &mut Record,
    out: &Outlet,
    waiting: &Waiting<'_>,
    asking: Asking,
) -> Result<(), Stop> {
    let bound_to = waiting.binding();
    let ask = Ask {
        about: Arc::clone(waiting.about),
        policy: (asking.policy.clone(), asking.digest),
        question: asking.question.clone(),
        shown: String::from_utf8_lossy(waiting.bytes).into_owned(),
        bound_to,
    };
    let mut ticket = gate.desk.ask(ask).await.map_err(|error| Stop::NoDesk(error.0))?;
    let approval = ticket.approval();
    record.held(Held { at: 0, approval, question: asking.question, bound_to }).await?;
    let ruling = if waiting.stream {
        wait_on_stream(gate, record, out, waiting, ticket.as_mut()).await?
    } else {
        match tokio::time::timeout(gate.limits.approval_wait, ticket.decided()).await {
            Ok(ruling) => ruling,
            Err(_) => {
                ticket.leave();
                return Err(Stop::ApprovalPending { approval, policy: asking.policy });
            }
        }
    };
    let Ruling { state, by, reason } = ruling;
    let word = match state {
        RulingState::Approved => "approved",
        RulingState::Denied => "denied",
        RulingState::Expired => "expired",
        RulingState::Cancelled => "cancelled",
    };
    record.decided(Decided { at: 0, approval, state: word.into(), by, reason: reason.clone() }).await?;
    match state {
        RulingState::Approved => Ok(()),
        RulingState::Denied | RulingState::Expired | RulingState::Cancelled => {
            Err(Stop::NotApproved { approval, policy: asking.policy, state: word, reason })
        }
    }
}

async fn wait_on_stream(
    gate: &Gate,
    record: &mut Record,
    out: &Outlet,
    waiting: &Waiting<'_>,
    ticket: &mut dyn Ticket,
) -> Result<Ruling, Stop> {
    say_stream_head(record, out, waiting)?;
    let approval = ticket.approval();
    let decided = ticket.decided();
    tokio::pin!(decided);
    loop {
        let beat = waiting.route.endpoint.heartbeat(&format!("waiting for approval {approval}"));
        out.send(record.own_words(beat).await?.into_inner()).await;
        if let Ok(ruling) = tokio::time::timeout(gate.limits.heartbeat, &mut decided).await {
            return Ok(ruling);
        }
    }
}

/// The head of a stream that begins before the upstream was asked.
fn say_stream_head(record: &mut Record, out: &Outlet, waiting: &Waiting<'_>) -> Result<(), Stop> {
    if out.began() {
        return Ok(());
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(waiting.route.endpoint.stream_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    name_exchange(&mut headers, waiting.about.exchange);
    record.response_head(StatusCode::OK, &headers)?;
    out.head(StatusCode::OK, headers);
    Ok(())
}
