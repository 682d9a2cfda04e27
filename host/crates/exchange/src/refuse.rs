//! Why an exchange stops, and what the caller is told then. The one place that speaks to callers.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use model::{ApprovalId, Caller, ExchangeId, Family, OnBlock, Outcome, Refusal};
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use wire::{Answer, Asked, Broken, Complaint, Endpoint, Malformed};

use crate::{
    carry::{Trail, turn_away},
    gate::Gate,
    judge::Judge,
    outlet::{End, Outlet},
    ports::{Ended, Exceeded, Failure, NoEntry, RecordError, RulingState, TurnedAway, Unidentified},
    record::Record,
    route::spoken,
};

/// Time that a caller's connection gets to take the last words of a stream that is cut, before it is closed.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// The longest wait for which SDKs are asked to try again by themselves; theirs is a minute too.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// When to try again where there was no place: exchanges come and go.
const SOON: Duration = Duration::from_secs(1);

/// Time that the end of an exchange waits for others, where its credential ended or its host stops: its caller's connection
/// is closed then in any case, however slow a policy that is told, or the disk.
const CUT_DEADLINE: Duration = Duration::from_millis(500);

/// Why an exchange stops.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Stop {
    /// No credential came with the request.
    #[error("no credential: send one as `Authorization: Bearer …`, `x-api-key`, `api-key` or `x-goog-api-key`")]
    NoCredential,
    /// The credential is not known.
    #[error("the credential is not known here; it may have been revoked")]
    UnknownCredential,
    /// The credential is bound to a client certificate that did not come with it.
    #[error("the credential is bound to a client certificate, and this connection was not made with it")]
    WrongCertificate,
    /// The credential ended: before the exchange, or while it ran.
    #[error("{0}")]
    Ended(Ended),
    /// Who asks can't be told at the moment.
    #[error("credentials can't be checked at the moment; this one was not refused, try again later")]
    NoIdentity(String),
    /// The credential is not for this.
    #[error("the credential may not be used for {what} {name}")]
    OutOfScope {
        /// `operation`, `model`.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// More than the caller or its token is allowed.
    #[error("{0}")]
    Exceeded(Exceeded),
    /// The listener has no place for one more exchange.
    #[error("too many exchanges at once: try again in a moment")]
    TooMany,
    /// The host is told to stop, and the time is over in which exchanges may end by themselves.
    #[error("the gate is being stopped, and this exchange did not end in time: send it again in a moment")]
    Stopping,
    /// The head of a request did not come, or not in time.
    #[error("the head did not come in time")]
    HeadTooLate,
    /// What came is no head that has one meaning, so no request was taken from it.
    #[error("{why}")]
    Unread {
        /// HTTP status.
        status: u16,
        /// What is wrong.
        why: &'static str,
    },
    /// The head breaks a rule of HTTP that a gate must insist on.
    #[error("{0}")]
    BadHead(&'static str),
    /// No connection has a prefix of this path.
    #[error("no connection serves {path}")]
    NoConnection {
        /// The canonical path.
        path: String,
    },
    /// The caller may not use this connection.
    #[error("{caller} may not use connection {connection}")]
    NotGranted {
        /// Whom.
        caller: String,
        /// Which.
        connection: String,
    },
    /// The connection's dialects have no such endpoint.
    #[error(
        "connection {connection} speaks no dialect at {method} {path}, and what can't be judged does not pass; a rule \
         in the configuration can allow it: `[[connection.endpoint]]` with `path = \"{path}\"`, \
         `methods = [\"{method}\"]`, `view = \"json\"`"
    )]
    NoEndpoint {
        /// Which connection.
        connection: String,
        /// HTTP method.
        method: String,
        /// Path below the connection's prefix.
        path: String,
    },
    /// The request's body is not what the dialect says.
    #[error("the request can't be read: {0}")]
    BadRequest(Malformed),
    /// The request's content type is not one that the dialect has.
    #[error("content type `{content_type}` is not spoken at this endpoint{}", or_json(.allow))]
    BadContentType {
        /// What came.
        content_type: String,
        /// How the operator can allow it; empty when nothing but the dialect's own types can be.
        allow: String,
    },
    /// The request's content-encoding is not one that can be undone.
    #[error("the request can't be decoded: {0}")]
    UnknownCoding(coding::Unknown),
    /// The request's body is not what its content-encoding says, or unpacks to too much.
    #[error("the request can't be decoded: {0}")]
    BadCoding(coding::Fault),
    /// The request's body did not come, or not in time.
    #[error("the request's body broke off: {0}")]
    RequestBroke(String),
    /// A policy stopped it.
    #[error("{}", .refusal.message)]
    Blocked {
        /// Which policy.
        policy: String,
        /// What it said.
        refusal: Refusal,
    },
    /// A policy failed, and its failure mode is `closed`.
    #[error("policy {policy} could not judge this exchange, so it is stopped")]
    PolicyFailed {
        /// Which policy.
        policy: String,
        /// How.
        failure: Failure,
    },
    /// A person has not decided yet.
    #[error("this request waits for {}: send it again when {} approved", names(.approvals), are(.approvals))]
    ApprovalPending {
        /// The approvals: all are needed.
        approvals: Vec<ApprovalId>,
        /// The policy that asks first.
        policy: String,
    },
    /// A person said no, or nobody answered.
    #[error("approval {approval} was {}{}", .state.as_str(), reason_text(.reason))]
    NotApproved {
        /// The approval.
        approval: ApprovalId,
        /// The policy that asked.
        policy: String,
        /// What it was instead.
        state: RulingState,
        /// Why.
        reason: String,
    },
    /// Nobody can be asked.
    #[error("a person would have to approve this, and nobody can be asked: {0}")]
    NoDesk(String),
    /// The record can't be kept.
    #[error("the exchange can't be recorded, so it is stopped")]
    NotRecorded(RecordError),
    /// The upstream can't be reached.
    #[error("the upstream of connection {connection} can't be reached")]
    NoUpstream {
        /// Which connection.
        connection: String,
        /// Why; for the record only.
        cause: String,
    },
    /// The upstream did not begin to answer in time.
    #[error("the upstream of connection {connection} did not begin to answer within {limit:?} (`upstream_first_byte`)")]
    UpstreamSilent {
        /// Which connection.
        connection: String,
        /// The time that it had.
        limit: Duration,
    },
    /// The upstream's answer broke off or took too long.
    #[error("the upstream's answer broke off")]
    UpstreamBroke(String),
    /// The upstream's answer can't be judged.
    #[error("the upstream's answer can't be read, so it is not passed on: {0}")]
    UpstreamUnreadable(String),
    /// The upstream refused a request that had waited on an open stream.
    #[error("the upstream answered {0}")]
    UpstreamStatus(u16),
}

fn or_json(allow: &str) -> &str {
    if allow.is_empty() { "; send application/json" } else { allow }
}

/// `approval ID`, or `approvals ID, ID`.
pub(crate) fn names(approvals: &[ApprovalId]) -> String {
    let ids: Vec<_> = approvals.iter().map(ApprovalId::to_string).collect();
    format!("approval{} {}", if ids.len() == 1 { "" } else { "s" }, ids.join(", "))
}

fn are(approvals: &[ApprovalId]) -> &'static str {
    if approvals.len() == 1 { "it is" } else { "all are" }
}

fn reason_text(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

impl From<NoEntry> for Stop {
    fn from(error: NoEntry) -> Self {
        match error {
            NoEntry::Ended(ended) => Self::Ended(ended),
            NoEntry::Exceeded(exceeded) => Self::Exceeded(exceeded),
        }
    }
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        Self::NotRecorded(error)
    }
}

impl Stop {
    /// Why nobody was identified, and whose a credential was that has ended.
    #[must_use]
    pub fn unidentified(why: Unidentified) -> (Self, Option<Arc<Caller>>) {
        match why {
            Unidentified::Unknown => (Self::UnknownCredential, None),
            Unidentified::Ended(ended, caller) => (Self::Ended(ended), Some(caller)),
            Unidentified::WrongCertificate => (Self::WrongCertificate, None),
            Unidentified::Unavailable(cause) => (Self::NoIdentity(cause), None),
        }
    }

    /// HTTP status (journeys, errors: 403 for a block, 503 where the gate closed by itself, 502 for the upstream).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NoCredential | Self::UnknownCredential | Self::WrongCertificate | Self::Ended(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::Exceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::BadRequest(Malformed::TooLarge { .. }) | Self::BadCoding(coding::Fault::TooLarge { .. }) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::HeadTooLate => StatusCode::REQUEST_TIMEOUT,
            Self::Unread { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST),
            Self::BadHead(_) | Self::BadRequest(_) | Self::RequestBroke(_) | Self::BadCoding(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::BadContentType { .. } | Self::UnknownCoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoConnection { .. } => StatusCode::NOT_FOUND,
            Self::NotGranted { .. }
            | Self::OutOfScope { .. }
            | Self::NoEndpoint { .. }
            | Self::Blocked { .. }
            | Self::ApprovalPending { .. }
            | Self::NotApproved { .. } => StatusCode::FORBIDDEN,
            Self::TooMany
            | Self::Stopping
            | Self::NoIdentity(_)
            | Self::PolicyFailed { .. }
            | Self::NoDesk(_)
            | Self::NotRecorded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoUpstream { .. }
            | Self::UpstreamSilent { .. }
            | Self::UpstreamBroke(_)
            | Self::UpstreamUnreadable(_)
            | Self::UpstreamStatus(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Stable, for machines.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::NoCredential => "no_credential",
            Self::UnknownCredential => "unknown_credential",
            Self::WrongCertificate => "wrong_certificate",
            Self::Ended(Ended::Revoked { .. }) => "revoked",
            Self::Ended(Ended::Expired) => "credential_expired",
            Self::NoIdentity(_) => "identity_unavailable",
            Self::OutOfScope { .. } => "out_of_scope",
            Self::Exceeded(exceeded) => exceeded.limit.code(),
            Self::TooMany => "too_many_exchanges",
            Self::Stopping => "stopping",
            Self::HeadTooLate => "head_too_late",
            Self::Unread { .. } | Self::BadHead(_) => "bad_head",
            Self::NoConnection { .. } => "no_connection",
            Self::NotGranted { .. } => "not_granted",
            Self::NoEndpoint { .. } => "no_endpoint",
            Self::BadRequest(malformed) => wire::name_of(malformed),
            Self::BadContentType { .. } => "bad_content_type",
            Self::UnknownCoding(_) => "unknown_encoding",
            Self::BadCoding(coding::Fault::TooLarge { .. }) => "too_large",
            Self::BadCoding(_) => "bad_encoding",
            Self::RequestBroke(_) => "request_broke",
            Self::Blocked { refusal, .. } if !refusal.code.is_empty() => &refusal.code,
            Self::Blocked { .. } => "blocked",
            Self::PolicyFailed { .. } => "policy_failed",
            Self::ApprovalPending { .. } => "approval_pending",
            Self::NotApproved { state, .. } => match state {
                RulingState::Denied => "approval_denied",
                RulingState::Expired => "approval_expired",
                // An approval that does not count was taken back.
                RulingState::Cancelled | RulingState::Approved => "approval_cancelled",
            },
            Self::NoDesk(_) => "approval_unavailable",
            Self::NotRecorded(_) => "not_recorded",
            Self::NoUpstream { .. } => "upstream_unreachable",
            Self::UpstreamSilent { .. } => "upstream_silent",
            Self::UpstreamBroke(_) => "upstream_broke",
            Self::UpstreamUnreadable(_) => "upstream_unreadable",
            Self::UpstreamStatus(_) => "upstream_status",
        }
    }

    /// How the record calls it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NoCredential
            | Self::UnknownCredential
            | Self::WrongCertificate
            | Self::OutOfScope { .. }
            | Self::Exceeded(_)
            | Self::TooMany
            | Self::HeadTooLate
            | Self::Unread { .. }
            | Self::BadHead(_)
            | Self::NoConnection { .. }
            | Self::NotGranted { .. }
            | Self::NoEndpoint { .. }
            | Self::BadRequest(_)
            | Self::BadContentType { .. }
            | Self::UnknownCoding(_)
            | Self::BadCoding(_) => Outcome::Denied,
            Self::Blocked { .. } | Self::ApprovalPending { .. } | Self::NotApproved { .. } => Outcome::Blocked,
            Self::RequestBroke(_) | Self::Stopping => Outcome::Cancelled,
            Self::Ended(_) => Outcome::Revoked,
            Self::NoIdentity(_) | Self::PolicyFailed { .. } | Self::NoDesk(_) | Self::NotRecorded(_) => Outcome::Failed,
            Self::NoUpstream { .. }
            | Self::UpstreamSilent { .. }
            | Self::UpstreamBroke(_)
            | Self::UpstreamUnreadable(_)
            | Self::UpstreamStatus(_) => Outcome::UpstreamError,
        }
    }

    /// The policy that is the reason, where one is.
    #[must_use]
    pub fn policy(&self) -> &str {
        match self {
            Self::Blocked { policy, .. }
            | Self::PolicyFailed { policy, .. }
            | Self::ApprovalPending { policy, .. }
            | Self::NotApproved { policy, .. } => policy,
            _ => "",
        }
    }

    /// A sentence for the record: what the caller is told, and what it is not.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Blocked { policy, refusal } => format!("{policy}: {} {}", refusal.code, refusal.detail),
            Self::PolicyFailed { policy, failure } => format!("{policy}: {failure}"),
            Self::Ended(Ended::Revoked { reason }) => format!("{self}: {reason}"),
            Self::NoIdentity(cause) => format!("{self}: {cause}"),
            Self::NotRecorded(error) => error.to_string(),
            Self::NoUpstream { cause, .. } => format!("{self}: {cause}"),
            Self::UpstreamBroke(cause) => format!("{self}: {cause}"),
            _ => self.to_string(),
        }
    }

    /// What the caller is told, in answer to `asked` where that is known.
    #[must_use]
    pub fn complaint(&self, exchange: ExchangeId, asked: Option<&Asked>) -> Complaint {
        Complaint {
            status: self.status().as_u16(),
            code: self.code().to_owned(),
            message: self.to_string(),
            request_id: exchange.to_string(),
            policy: self.policy().to_owned(),
            replies: asked.map(|asked| asked.replies.clone()).unwrap_or_default(),
        }
    }

    /// Whether SDKs should try again by themselves; none where they know best. They retry 409, 429 and 5xx; of these an
    /// upstream or an issuer that is away may be back in a moment, and a limit may have passed. What found no way in was
    /// not begun, so that nothing is done twice.
    fn should_retry(&self) -> Option<bool> {
        match self {
            Self::TooMany | Self::HeadTooLate => Some(true),
            Self::NoUpstream { .. }
            | Self::UpstreamSilent { .. }
            | Self::UpstreamBroke(_)
            | Self::NoIdentity(_)
            | Self::Stopping => None,
            Self::Exceeded(exceeded) if exceeded.retry_after <= LONGEST_RETRY => None,
            _ => Some(false),
        }
    }
}

/// Refuses what never came to be an exchange: the listener has no place for it, or no request was taken from what came.
/// `path`: where it leads, as far as that is known. Told to those who watch.
pub fn at_the_door(gate: &Gate, address: IpAddr, path: Option<&str>, stop: &Stop) -> Response<Bytes> {
    gate.recorder.turned_away(&TurnedAway { code: stop.code(), address: Some(address), ..TurnedAway::default() });
    let exchange = ExchangeId::new();
    let endpoint = spokesman(path.and_then(|path| spoken(gate, path)));
    let answer = answer(stop, exchange, endpoint, OnBlock::Error, None);
    let (status, headers) = head(stop, &answer, exchange);
    let mut response = Response::new(Bytes::from(answer.body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Ends an exchange that stopped: the caller is told, the record is closed, and a stream is cut so that nobody takes
/// it for a complete one.
pub(crate) async fn refuse(gate: &Gate, exchange: ExchangeId, stop: &Stop, out: &Outlet, mut trail: Trail) -> End {
    if trail.record.is_none() {
        turn_away(gate, exchange, stop, &trail.refused);
    }
    if stop.outcome() == Outcome::UpstreamError {
        let connection = trail.route.as_ref().map(|route| route.connection.name.as_str());
        tracing::warn!(%exchange, connection, code = stop.code(), detail = stop.detail(), "an upstream failed");
    }
    if let Stop::NotRecorded(error) = stop {
        tracing::warn!(%exchange, %error, "an exchange could not be recorded, so it is stopped");
    }
    let asked = trail.judge.as_ref().and_then(Judge::asked);
    let (endpoint, on_block) = form(&trail);
    let (words, head) = if out.began() {
        let (content_type, begun) = out.said();
        let broken = Broken { content_type: &content_type, begun };
        (out.lines(endpoint.last_words(broken, &stop.complaint(exchange, asked))), None)
    } else {
        let answer = answer(stop, exchange, endpoint, on_block, asked);
        let head = head(stop, &answer, exchange);
        (answer.body, Some(head))
    };
    // The gate's own words hold nothing of the exchange: they are said even when the record can't be kept.
    if let Some(record) = trail.record.as_mut().filter(|record| !record.is_closed()) {
        let by = matches!(stop, Stop::Ended(_) | Stop::Stopping).then(|| Instant::now() + CUT_DEADLINE);
        if let Err(error) = close(record, stop, trail.judge.as_mut(), head.as_ref(), &words, by).await {
            tracing::error!(%exchange, %error, "the end of an exchange may not be on record");
        }
    }
    let complete = head.is_some();
    if let Some((status, headers)) = head {
        out.head(status, headers);
    }
    out.send(Bytes::from(words)).await;
    if complete {
        return End::Complete;
    }
    tokio::time::sleep(LAST_WORDS).await;
    End::Cut
}

/// Closes the record. `by`: nobody is waited for longer, and what is known by then is on record all the same.
async fn close(
    record: &mut Record,
    stop: &Stop,
    mut judge: Option<&mut Judge>,
    head: Option<&(StatusCode, HeaderMap)>,
    words: &[u8],
    by: Option<Instant>,
) -> Result<(), RecordError> {
    if let Some(judge) = judge.as_deref_mut() {
        let summary = record.summary(stop.outcome());
        if within(by, judge.over(&summary)).await.is_none() {
            let exchange = judge.about().exchange;
            tracing::warn!(%exchange, "not every policy could be told in time that it is over");
        }
    }
    let (findings, tallies) = judge.map(|judge| (judge.findings(), judge.tallies())).unwrap_or_default();
    let told = record.last_words(findings, head, words.to_vec());
    // How it ended is on record whatever became of the rest.
    let closed = within(by, record.close(stop.outcome(), stop.detail(), tallies)).await;
    told.and(closed.unwrap_or_else(|| Err(RecordError(format!("not safe within {} ms", CUT_DEADLINE.as_millis())))))
}

/// What comes of it; `None`: nothing came `by` then. It is begun in any case.
async fn within<T>(by: Option<Instant>, what: impl Future<Output = T>) -> Option<T> {
    match by {
        Some(by) => timeout_at(by, what).await.ok(),
        None => Some(what.await),
    }
}

/// Who speaks to the caller: the endpoint, or where the exchange stopped before that was known, any of its family.
fn form(trail: &Trail) -> (&'static dyn Endpoint, OnBlock) {
    match (&trail.route, trail.family) {
        (Some(route), _) => (route.endpoint, route.connection.on_block),
        (None, family) => (spokesman(family), OnBlock::Error),
    }
}

/// Who speaks for a family. Where there is no connection the caller's SDK is not known either, and OpenAI's form is what most
/// can show.
fn spokesman(family: Option<Family>) -> &'static dyn Endpoint {
    wire::spokesman(family.unwrap_or(Family::Openai))
}

/// The whole answer for an exchange that stopped before its head was said. A refusal has the form that was asked for: to
/// who asked for a stream a whole one would be a stream that says nothing. So what stops before that is known is an error.
fn answer(
    stop: &Stop,
    exchange: ExchangeId,
    endpoint: &dyn Endpoint,
    on_block: OnBlock,
    asked: Option<&Asked>,
) -> Answer {
    let complaint = stop.complaint(exchange, asked);
    match (stop, on_block, asked) {
        (Stop::Blocked { .. }, OnBlock::Refusal, Some(asked)) => {
            endpoint.refusal(&asked.model, asked.streaming, &complaint)
        }
        _ => endpoint.complaint(&complaint),
    }
}

/// The head of an answer of the gate's own.
fn head(stop: &Stop, answer: &Answer, exchange: ExchangeId) -> (StatusCode, HeaderMap) {
    (StatusCode::from_u16(answer.status).unwrap_or(stop.status()), headers(stop, answer, exchange))
}

fn headers(stop: &Stop, answer: &Answer, exchange: ExchangeId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(answer.body.len()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(retry) = stop.should_retry() {
        let retry = HeaderValue::from_static(if retry { "true" } else { "false" });
        headers.insert(HeaderName::from_static("x-should-retry"), retry);
    }
    if matches!(stop, Stop::TooMany | Stop::Stopping) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(SOON.as_secs()));
    }
    if matches!(stop, Stop::UnknownCoding(_)) {
        // RFC 9110, 12.5.3: what would have been accepted.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding::ACCEPTED));
    }
    if stop.status() == StatusCode::UNAUTHORIZED {
        let challenge = match stop {
            Stop::NoCredential => "Bearer realm=\"portcullis\"",
            // RFC 6750, 3.1: also for what has expired or was revoked.
            _ => "Bearer realm=\"portcullis\", error=\"invalid_token\"",
        };
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    if let Stop::Exceeded(exceeded) = stop {
        tell_limit(&mut headers, exceeded);
    }
    name_exchange(&mut headers, exchange);
    headers
}

/// Tells a limit under the names that SDKs read.
fn tell_limit(headers: &mut HeaderMap, exceeded: &Exceeded) {
    let wait = exceeded.seconds();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
    let limit = exceeded.limit.name();
    for (what, value) in
        [("limit", exceeded.allowed.to_string()), ("remaining", "0".into()), ("reset", format!("{wait}s"))]
    {
        let name = HeaderName::try_from(format!("x-ratelimit-{what}-{limit}")).expect("letters and dashes make a name");
        headers.insert(name, HeaderValue::try_from(value).expect("digits and a letter make a value"));
    }
}

/// Tells the exchange's id under the names that SDKs read.
pub(crate) fn name_exchange(headers: &mut HeaderMap, exchange: ExchangeId) {
    let id = HeaderValue::from_str(&exchange.to_string()).expect("hexadecimal digits make a header value");
    headers.insert(HeaderName::from_static("x-request-id"), id.clone());
    headers.insert(HeaderName::from_static("request-id"), id);
}
