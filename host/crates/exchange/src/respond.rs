//! The way back: the upstream's answer through the relay to the caller.
//!
//! What must hold: not one byte of the answer leaves before its policies cleared it and the record has it, its head
//! included; a person is asked when all that the question is about is in hand; an answer that can't be read is not passed on.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use model::{Direction, Outcome, Usage};
use tokio::sync::watch;
use wire::Malformed;

use crate::{
    carry::Asked,
    gate::Answered,
    head::{attributes, content_type, essence},
    hold::{Held, Waiting, Watching, beat, hold},
    judge::{Cleared, Judge},
    outlet::Outlet,
    ports::{self, PolicySet, Stage},
    record::{Record, Recorded},
    refuse::{Stop, name_exchange},
    relay::{Lane, Sink, Source, Then, Turn, policies_changed, relay},
    returned::{check, returnable, unclaimed},
    spent::Spent,
    twin::Twin,
};

/// Relays the upstream's answer.
pub(crate) async fn respond(
    asked: &Asked<'_>,
    answered: Answered,
    policies: &mut watch::Receiver<Arc<PolicySet>>,
    record: &mut Record,
    judge: &mut Judge,
) -> Result<(), Stop> {
    let Answered { status, headers, body, ends_with_connection, secrets } = answered;
    let codings = check(status, &headers)?;
    let content_type = content_type(&headers).to_owned();
    let endpoint = asked.route.endpoint;
    let flow = || {
        endpoint
            .response(status.as_u16(), &content_type, asked.gate.limits.wire)
            .map_err(|_| unclaimed(status, &content_type, &endpoint.how_to_allow(&content_type)))
    };
    let mut flow = if judge.puts_back() { Twin::with_copy(flow()?, flow()?) } else { Twin::alone(flow()?) };
    let streaming = endpoint.streams(status.as_u16(), &content_type);
    // What was begun is a stream of one type; no other answer can go on with it.
    let goes_on = status == StatusCode::OK && streaming && essence(&content_type) == endpoint.stream_type();
    if asked.out.began() && !goes_on {
        return Err(Stop::UpstreamStatus(status.as_u16()));
    }
    let mut headers = returnable(&headers, endpoint.raw());
    secrets.mask_headers(&mut headers);
    judge.keep_back(&secrets);
    if let Some(finds) = secrets.finds() {
        flow.look_for(&finds);
    }
    // The raw head comes behind the text that is read from it: what a policy took out is shown to none that follows.
    judge.judge_fields(&mut headers).await?;
    judge.judge_head(|headers| shown(asked, status, headers), &mut headers).await?;
    name_exchange(&mut headers, judge.about().exchange);

    let spent = Spent::new(asked.account, !status.is_success());
    let mut sink = Deliver {
        asked,
        record,
        head: Some((status, headers)),
        streaming,
        waits: Cleared::none(),
        asks: false,
        between: true,
        spent,
    };
    if streaming && !judge.asks() {
        // The head of a stream holds nothing of the answer, and its caller waits for it. One that a person must see first is
        // never said: the stream in which its caller waits has a head of its own.
        sink.record.findings(judge.findings())?;
        if let Some((status, headers)) = sink.unsaid_head(None) {
            let (status, headers) = sink.record.stream_head(status, headers).await?.into_inner();
            asked.out.head(status, headers);
        }
    }
    let idle = asked.gate.limits.upstream_idle;
    let lane = Lane { direction: Direction::Response, idle, ends_with_connection, streaming };
    let mut source = Source::new(body, codings.decoder(asked.gate.limits.coding), asked.gate.limits.batch_bytes);
    relay(&lane, &mut source, &mut flow, judge, policies, &mut sink).await
}

/// The head of an answer as policies see it.
fn shown(asked: &Asked<'_>, status: StatusCode, headers: &HeaderMap) -> ports::Head {
    ports::Head {
        direction: Direction::Response,
        method: asked.head.method.to_string(),
        path: asked.head.path.clone(),
        status: status.as_u16(),
        headers: attributes(headers),
    }
}

/// The response gate's far side: record, then deliver.
struct Deliver<'x> {
    asked: &'x Asked<'x>,
    record: &'x mut Record,
    /// The head, until it is said.
    head: Option<(StatusCode, HeaderMap)>,
    streaming: bool,
    /// What was cleared, and waits until all that is asked about is.
    waits: Cleared,
    /// Whether a question waits for that.
    asks: bool,
    /// Whether what has left ends where an event does.
    between: bool,
    spent: Spent<'x>,
}

impl Deliver<'_> {
    fn out(&self) -> &Outlet {
        self.asked.out
    }

    /// The head, with the length of the body where it is known; none where one was said.
    fn unsaid_head(&mut self, length: Option<usize>) -> Option<(StatusCode, HeaderMap)> {
        let (status, mut headers) = self.head.take()?;
        if self.out().began() {
            return None;
        }
        // Of an answer without a body it would be false: what such a body has to a GET is not known here, and where none
        // may be there is none (RFC 9110, 8.6).
        let none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || self.asked.head.method == Method::HEAD;
        if let Some(length) = length.filter(|_| !none) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Some((status, headers))
    }

    /// Puts the head into the record. It is said once the bytes behind it are recorded too, so that a reply that can't be
    /// recorded is still an answer of its own.
    fn record_head(&mut self, length: Option<usize>) -> Result<Option<(StatusCode, HeaderMap)>, Stop> {
        let head = self.unsaid_head(length);
        if let Some((status, headers)) = &head {
            self.record.response_head(*status, headers)?;
        }
        Ok(head)
    }

    /// Whether all that is asked about is in hand: of a whole answer when it is complete, of a stream when nothing that
    /// had come by then waits any more, and there is something to show. What a cut leaves in the gate never is.
    fn is_in_hand(&self, turn: &Turn<'_>) -> bool {
        match turn.then {
            Then::End => true,
            Then::Cut => !turn.cleared.is_empty() && turn.judge.has_let_go(),
            Then::More => self.streaming && !turn.cleared.is_empty() && turn.judge.has_let_go(),
        }
    }

    /// Keeps what was cleared until it can be asked about.
    fn wait(&mut self, cleared: Cleared) -> Result<(), Stop> {
        let limit = self.asked.gate.limits.wire.held_bytes;
        if cleared.delivered().len() > limit {
            return Err(Stop::UpstreamUnreadable(Malformed::TooLarge { bound: "held_bytes", limit }.to_string()));
        }
        self.waits = cleared;
        Ok(())
    }

    /// Asks people what policies want asked, and comes back when all of it may leave. What is held was judged, and can't
    /// be judged again; so where other policies come into force meanwhile it does not leave.
    async fn ask(&mut self, turn: &mut Turn<'_>) -> Result<(), Stop> {
        let none = HeaderMap::new();
        let asking = turn.judge.asking();
        if asking.is_empty() {
            return Ok(());
        }
        let about = Arc::clone(turn.judge.about());
        let waiting = Waiting {
            direction: Direction::Response,
            about: &about,
            route: self.asked.route,
            head: self.asked.head,
            set: turn.judge.set().digest,
            headers: self.head.as_ref().map_or(&none, |(_, headers)| headers),
            bytes: turn.cleared.bytes(),
            stream: self.streams_well(),
        };
        let mut watching = Watching { policies: &mut *turn.policies, judge: &mut *turn.judge };
        let held = hold(self.asked.gate, self.record, self.asked.out, &waiting, &asking, &mut watching).await?;
        match held {
            Held::Overtaken(set, policy) => Err(self.overtaken(turn.judge, set, policy).await),
            Held::Approved => {
                // The relay takes up a set between two turns, also one that was seen here.
                turn.judge.leave_to_be_taken_up(turn.policies);
                Ok(())
            }
        }
    }

    /// Other policies came into force while an answer was held: the first of them that stops it at once is the reason.
    async fn overtaken(&mut self, judge: &mut Judge, set: Arc<PolicySet>, policy: String) -> Stop {
        let opened = judge.switch(set).await;
        if let Err(stop) = self.switched(judge).await {
            return stop;
        }
        opened.err().unwrap_or_else(|| policies_changed(policy))
    }

    /// Whether its caller can wait in a stream: one that has begun, or one that can begin before its head is said, since it
    /// brings no bad news, is of the type that such a stream has, and has signs of life.
    fn streams_well(&self) -> bool {
        let endpoint = self.asked.route.endpoint;
        let begins_well = |(status, headers): &(StatusCode, HeaderMap)| {
            *status == StatusCode::OK
                && essence(content_type(headers)) == endpoint.stream_type()
                && !endpoint.heartbeat("").is_empty()
        };
        let streams = self.streaming && !endpoint.raw();
        streams && (self.out().began() || self.head.as_ref().is_some_and(begins_well))
    }
}

async fn say(out: &Outlet, head: Option<(StatusCode, HeaderMap)>, recorded: Recorded<Bytes>) {
    if let Some((status, headers)) = head {
        out.head(status, headers);
    }
    out.send(recorded.into_inner()).await;
}

impl Sink for Deliver<'_> {
    fn heard(&mut self, usage: Usage, text_bytes: Option<(u64, u64)>) {
        self.spent.tell(usage, text_bytes);
        self.record.spent(usage);
    }

    fn beats(&self) -> Option<Duration> {
        (self.asks && self.between && self.streams_well()).then_some(self.asked.gate.limits.heartbeat)
    }

    async fn beat(&mut self) -> Result<(), Stop> {
        let Asked { out, route, about, .. } = self.asked;
        beat(self.record, out, route, about.exchange, "the rest of what is asked about").await
    }

    async fn deliver(&mut self, mut turn: Turn<'_>) -> Result<(), Stop> {
        self.record.timed(Stage::JudgeResponse, turn.took);
        self.record.findings(turn.judge.findings())?;
        let mut cleared = std::mem::replace(&mut self.waits, Cleared::none());
        cleared.join(turn.cleared);
        turn.cleared = cleared;
        self.asks = turn.judge.asks() && !self.is_in_hand(&turn);
        if self.asks {
            return self.wait(turn.cleared);
        }
        self.ask(&mut turn).await?;
        if turn.then != Then::End {
            if turn.cleared.is_empty() {
                return Ok(());
            }
            let head = self.record_head(None)?;
            self.between = !turn.judge.keeps_bytes();
            let recorded = self.record.chunk(turn.cleared).await?;
            say(self.asked.out, head, recorded).await;
            return Ok(());
        }
        let head = self.record_head(Some(turn.cleared.delivered().len()))?;
        self.spent.is_whole();
        turn.judge.over(&self.record.summary(Outcome::Completed)).await;
        self.record.findings(turn.judge.findings())?;
        let recorded = self.record.last_chunk(turn.cleared, turn.judge.tallies()).await?;
        say(self.asked.out, head, recorded).await;
        Ok(())
    }

    async fn switched(&mut self, judge: &mut Judge) -> Result<(), Stop> {
        self.record.findings(judge.findings())?;
        Ok(self.record.judged_by(judge.set().set_ref())?)
    }

    async fn judged_anew(&mut self, judge: &mut Judge) -> Result<(), Stop> {
        let Some((status, headers)) = self.head.as_mut() else { return Ok(()) };
        let (asked, status) = (self.asked, *status);
        // The gate's own, said again below.
        headers.remove("x-request-id");
        headers.remove("request-id");
        let judged = judge.judge_unsaid_head(|headers| shown(asked, status, headers), headers).await;
        name_exchange(headers, judge.about().exchange);
        self.record.findings(judge.findings())?;
        judged
    }
}
