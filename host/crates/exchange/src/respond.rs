//! The way back: the upstream's answer through the relay to the caller.
//!
//! What must hold: not one byte of the answer leaves before its policies cleared it and the record has it; an answer
//! that can't be read is not passed on.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use model::{Direction, Outcome, Refusal, Usage};
use tokio::sync::watch;

use crate::{
    carry::Asked,
    gate::Answered,
    head::{attributes, content_type, essence},
    hold::{Waiting, hold},
    judge::Judge,
    outlet::Outlet,
    ports::{self, PolicySet, Stage},
    record::{Record, Recorded},
    refuse::{Stop, name_exchange},
    relay::{Lane, Sink, Source, Turn, relay},
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
    let shown = |headers: &HeaderMap| ports::Head {
        direction: Direction::Response,
        method: asked.head.method.to_string(),
        path: asked.head.path.clone(),
        status: status.as_u16(),
        headers: attributes(headers),
    };
    // The raw head comes behind the text that is read from it: what a policy took out is shown to none that follows.
    judge.judge_fields(&mut headers).await?;
    judge.judge_head(shown, &mut headers).await?;
    name_exchange(&mut headers, judge.about().exchange);

    let spent = Spent::new(asked.account, !status.is_success());
    let mut sink = Deliver { asked, record, head: Some((status, headers)), streaming, spent };
    if streaming && !judge.asks() {
        // The head of a stream holds nothing of the answer, and its caller waits for it. One that a person must see first is
        // never said: the stream in which its caller waits has a head of its own.
        if let Some((status, headers)) = sink.record_head(None)? {
            asked.out.head(status, headers);
        }
    }
    let idle = asked.gate.limits.upstream_idle;
    let lane = Lane { direction: Direction::Response, idle, ends_with_connection, streaming };
    let mut source = Source::new(body, codings.decoder(asked.gate.limits.coding), asked.gate.limits.batch_bytes);
    relay(&lane, &mut source, &mut flow, judge, policies, &mut sink).await
}

/// The response gate's far side: record, then deliver.
struct Deliver<'x> {
    asked: &'x Asked<'x>,
    record: &'x mut Record,
    /// The head, until it is said.
    head: Option<(StatusCode, HeaderMap)>,
    streaming: bool,
    spent: Spent<'x>,
}

impl Deliver<'_> {
    fn out(&self) -> &Outlet {
        self.asked.out
    }

    /// Puts the head into the record, with the length of the body where it is known. It is said once the bytes behind
    /// it are recorded too, so that a reply that can't be recorded is still an answer of its own.
    fn record_head(&mut self, length: Option<usize>) -> Result<Option<(StatusCode, HeaderMap)>, Stop> {
        let Some((status, mut headers)) = self.head.take() else {
            return Ok(None);
        };
        if self.out().began() {
            return Ok(None);
        }
        // Of an answer without a body it would be false: what such a body has to a GET is not known here, and where none
        // may be there is none (RFC 9110, 8.6).
        let none = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || self.asked.head.method == Method::HEAD;
        if let Some(length) = length.filter(|_| !none) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.record.response_head(status, &headers)?;
        Ok(Some((status, headers)))
    }

    /// Asks people what policies want asked, and comes back when all of it may leave. What is held was judged, and can't
    /// be judged again; so where other policies come into force meanwhile it does not leave.
    async fn ask(&mut self, turn: &mut Turn<'_>) -> Result<(), Stop> {
        let none = HeaderMap::new();
        let asking = turn.judge.asking();
        let Some(policy) = asking.first().map(|asking| asking.policy.clone()) else { return Ok(()) };
        let about = Arc::clone(turn.judge.about());
        let waiting = Waiting {
            direction: Direction::Response,
            about: &about,
            route: self.asked.route,
            head: self.asked.head,
            set: turn.judge.set().digest,
            headers: self.head.as_ref().map_or(&none, |(_, headers)| headers),
            bytes: turn.cleared.bytes(),
            stream: self.streams_well() && !self.asked.route.endpoint.raw(),
        };
        let mut came = false;
        let set = {
            let held = hold(self.asked.gate, self.record, self.asked.out, &waiting, &asking);
            tokio::pin!(held);
            loop {
                tokio::select! {
                    biased;
                    Ok(()) = turn.policies.changed() => {
                        let set = Arc::clone(&turn.policies.borrow_and_update());
                        if !turn.judge.is_guarded_alike(&set) {
                            break Some(set);
                        }
                        came = true;
                    }
                    held = &mut held => {
                        held?;
                        break None;
                    }
                }
            }
        };
        if let Some(set) = set {
            return Err(self.overtaken(turn.judge, set, policy).await);
        }
        if came {
            // The relay takes up a set between two turns.
            turn.policies.mark_changed();
        }
        Ok(())
    }

    /// Other policies came into force while an answer was held: the first of them that stops it at once is the reason.
    async fn overtaken(&mut self, judge: &mut Judge, set: Arc<PolicySet>, asked: String) -> Stop {
        let opened = judge.switch(set).await;
        if let Err(stop) = self.switched(judge).await {
            return stop;
        }
        opened.err().unwrap_or_else(|| Stop::Blocked {
            policy: asked,
            refusal: Refusal {
                code: "policies_changed".into(),
                message: "the policies changed while the answer waited for a person: ask again".into(),
                detail: String::new(),
            },
        })
    }

    /// Whether a stream is answered that can be begun before its head is said: one with no bad news.
    fn streams_well(&self) -> bool {
        self.streaming && self.head.as_ref().is_none_or(|(status, _)| *status == StatusCode::OK)
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

    async fn deliver(&mut self, mut turn: Turn<'_>) -> Result<(), Stop> {
        self.record.timed(Stage::JudgeResponse, turn.took);
        self.record.findings(turn.judge.findings())?;
        self.ask(&mut turn).await?;
        if !turn.last {
            if turn.cleared.is_empty() {
                return Ok(());
            }
            let head = self.record_head(None)?;
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
}
