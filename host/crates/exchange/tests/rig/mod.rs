//! Ports that a test can see through: policies written in Rust, a recorder in memory, a desk with one answer, an
//! upstream that plays a script.

#![allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that can't go on fails")]

mod kept;
mod policies;
mod upstream;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, AtomicUsize, Ordering},
};

use bytes::Bytes;
use exchange::{
    BodyError, Gate, Limits,
    ports::{
        About, Account, Credential, Glance, Identified, Identify, Lease, NoEntry, Policy, PolicySet, Presented,
        RulingState, Unidentified,
    },
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use model::{
    AskedHead, Caller, Connection, Digest, EndpointRule, Entry, Family, Generation, OnBlock, Outcome, Restore, Scope,
    Upstream, Usage,
};
use tokio::sync::{mpsc, watch};

pub(crate) use self::policies::{Does, TestPolicy, patching, policy, refusal};
use self::{
    kept::{AtRequest, Memory, OneAnswer},
    policies::Words,
    upstream::{Body, Counted, Script},
};

pub(crate) fn set(generation: u64, policies: Vec<TestPolicy>) -> Arc<PolicySet> {
    let glance: Arc<dyn Glance> = Arc::new(Words::of(&policies));
    Arc::new(PolicySet {
        generation: Generation(generation),
        digest: Digest([u8::try_from(generation).unwrap_or_default(); 32]),
        policies: policies.into_iter().map(|policy| Arc::new(policy) as Arc<dyn Policy>).collect(),
        problems: Vec::new(),
        glance: Some(glance),
    })
}

/// The one credential, `good`, and all that can be seen of its use.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) caller: Arc<Caller>,
    pub(crate) lease: Lease,
    pub(crate) scope: Arc<Scope>,
    /// Why exchanges may not enter.
    pub(crate) no_entry: Arc<Mutex<Option<NoEntry>>>,
    /// Exchanges that were identified and are not over.
    pub(crate) running: Arc<AtomicU32>,
    pub(crate) spent: Arc<Mutex<Usage>>,
}

impl Holder {
    pub(crate) fn new(scope: Scope) -> Self {
        let caller = Caller { subject: "contractor".into(), issuer: "test".into(), ..Caller::default() };
        Self {
            caller: caller.into(),
            lease: Lease::new(None),
            scope: Arc::new(scope),
            no_entry: Arc::default(),
            running: Arc::default(),
            spent: Arc::default(),
        }
    }
}

impl Identify for Holder {
    fn identify<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Result<Identified, Unidentified>> {
        async move {
            if presented.credential != "good" {
                return Err(Unidentified::Unknown);
            }
            let caller = Arc::clone(&self.caller);
            if let Some(ended) = self.lease.ended() {
                return Err(Unidentified::Ended(ended, caller));
            }
            Ok(Identified {
                caller,
                credential: Credential::Static,
                scope: Arc::clone(&self.scope),
                lease: self.lease.clone(),
                account: Box::new(Running(self.clone(), Counted::on(&self.running))),
            })
        }
        .boxed()
    }
}

struct Running(Holder, #[expect(dead_code, reason = "dropped with the exchange")] Counted);

impl Account for Running {
    fn enter(&self, _about: &About) -> Result<(), NoEntry> {
        self.0.no_entry.lock().unwrap().clone().map_or(Ok(()), Err)
    }

    fn spend(&self, usage: Usage) {
        let mut spent = self.0.spent.lock().unwrap();
        spent.input_tokens += usage.input_tokens;
        spent.output_tokens += usage.output_tokens;
    }
}

/// A gate with all of its ports in sight.
pub(crate) struct Rig {
    pub(crate) gate: Arc<Gate>,
    pub(crate) publish: watch::Sender<Arc<PolicySet>>,
    pub(crate) at_request: AtRequest,
    pub(crate) entries: Arc<Mutex<Vec<Entry>>>,
    /// How many of them are safe.
    pub(crate) safe: Arc<AtomicUsize>,
    pub(crate) shown: Arc<Mutex<Vec<String>>>,
    /// Heads that approvers were shown.
    pub(crate) shown_heads: Arc<Mutex<Vec<AskedHead>>>,
    /// What approvals were bound to.
    pub(crate) bound: Arc<Mutex<Vec<Digest>>>,
    /// Questions that were given up.
    pub(crate) cancelled: Arc<AtomicU32>,
    pub(crate) received: Arc<Mutex<Vec<Bytes>>>,
    pub(crate) targets: Arc<Mutex<Vec<String>>>,
    pub(crate) waiting: Arc<AtomicU32>,
    /// Headers that went up.
    pub(crate) heads: Arc<Mutex<Vec<HeaderMap>>>,
    body: Body,
    pub(crate) upstream: Option<mpsc::UnboundedSender<Result<Bytes, BodyError>>>,
}

pub(crate) struct Setting {
    pub(crate) policies: Vec<TestPolicy>,
    /// How questions are answered; none: never.
    pub(crate) ruling: Option<RulingState>,
    pub(crate) silent_upstream: bool,
    pub(crate) room: Option<usize>,
    /// The disk does not come to an end with anything.
    pub(crate) stuck: bool,
    /// The record takes a while.
    pub(crate) slow_record: bool,
    pub(crate) content_type: &'static str,
    pub(crate) on_block: OnBlock,
    pub(crate) restore: Restore,
    pub(crate) holder: Holder,
    /// The upstream's status.
    pub(crate) status: StatusCode,
    /// Its headers besides the content type.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// More of them, with any bytes.
    pub(crate) raw_headers: Vec<(&'static str, &'static [u8])>,
    pub(crate) limits: Limits,
    pub(crate) family: Family,
    pub(crate) path_prefix: &'static str,
    pub(crate) base_path: &'static str,
    pub(crate) endpoints: Vec<EndpointRule>,
    pub(crate) caller_headers: Vec<&'static str>,
    /// Values of headers with credentials of the gate's own.
    pub(crate) credentials: Vec<&'static str>,
    /// Bodies end when the connection does.
    pub(crate) ends_with_connection: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            ruling: Some(RulingState::Denied),
            silent_upstream: false,
            room: None,
            stuck: false,
            slow_record: false,
            content_type: "application/json",
            on_block: OnBlock::Error,
            restore: Restore::Off,
            holder: Holder::new(Scope::on(["openai"])),
            status: StatusCode::OK,
            headers: Vec::new(),
            raw_headers: Vec::new(),
            limits: Limits::default(),
            family: Family::Openai,
            path_prefix: "/",
            base_path: "",
            endpoints: Vec::new(),
            caller_headers: Vec::new(),
            credentials: Vec::new(),
            ends_with_connection: false,
        }
    }
}

impl Rig {
    pub(crate) fn new(setting: Setting) -> Self {
        let (publish, policies) = watch::channel(set(1, setting.policies));
        let (entries, safe, at_request) = <(Arc<_>, Arc<_>, AtRequest)>::default();
        let memory = Memory {
            entries: Arc::clone(&entries),
            room: setting.room,
            stuck: setting.stuck,
            safe: Arc::clone(&safe),
            slow: setting.slow_record,
            at_request: Arc::clone(&at_request),
            publish: publish.clone(),
        };
        let (shown, shown_heads, bound, cancelled) = Default::default();
        let desk = OneAnswer {
            state: setting.ruling,
            shown: Arc::clone(&shown),
            shown_heads: Arc::clone(&shown_heads),
            bound: Arc::clone(&bound),
            cancelled: Arc::clone(&cancelled),
        };
        let (upstream, body) = mpsc::unbounded_channel();
        let mut headers = HeaderMap::new();
        if !setting.content_type.is_empty() {
            headers.insert("content-type", setting.content_type.parse().unwrap());
        }
        let given = setting.headers.into_iter().map(|(name, value)| (name, value.as_bytes()));
        for (name, value) in given.chain(setting.raw_headers) {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        let script = Script {
            status: setting.status,
            headers,
            body: Arc::new(Mutex::new(Some(body))),
            received: Arc::default(),
            targets: Arc::default(),
            silent: setting.silent_upstream,
            waiting: Arc::default(),
            heads: Arc::default(),
            credentials: setting.credentials.into_iter().map(HeaderValue::from_static).collect(),
            ends_with_connection: setting.ends_with_connection,
        };
        let (received, waiting) = (Arc::clone(&script.received), Arc::clone(&script.waiting));
        let (heads, targets) = (Arc::clone(&script.heads), Arc::clone(&script.targets));
        let body = Arc::clone(&script.body);
        let connection = Connection {
            name: "openai".into(),
            path_prefix: setting.path_prefix.into(),
            upstream: Upstream { tls: false, authority: "model".into(), base_path: setting.base_path.into() },
            family: setting.family,
            on_block: setting.on_block,
            endpoints: setting.endpoints,
            restore: setting.restore,
            caller_headers: setting.caller_headers.into_iter().map(str::to_owned).collect(),
        };
        let gate = Gate::new(
            Arc::new(setting.holder),
            vec![Arc::new(connection)],
            policies,
            Arc::new(memory),
            Arc::new(desk),
            Arc::new(script),
            setting.limits,
        );
        Self {
            gate,
            publish,
            at_request,
            entries,
            safe,
            shown,
            shown_heads,
            bound,
            cancelled,
            received,
            targets,
            waiting,
            heads,
            body,
            upstream: Some(upstream),
        }
    }

    /// The upstream says this.
    pub(crate) fn say(&self, text: &str) {
        self.say_bytes(text.as_bytes());
    }

    /// The upstream says these bytes.
    pub(crate) fn say_bytes(&self, bytes: &[u8]) {
        let upstream = self.upstream.as_ref().expect("the upstream has not hung up");
        // Who refused the head listens no more.
        drop(upstream.send(Ok(Bytes::copy_from_slice(bytes))));
    }

    /// The upstream has an answer to one more request.
    pub(crate) fn once_more(&mut self) {
        let (upstream, body) = mpsc::unbounded_channel();
        *self.body.lock().unwrap() = Some(body);
        self.upstream = Some(upstream);
    }

    /// Nothing listens at the upstream.
    pub(crate) fn no_upstream(&self) {
        *self.body.lock().unwrap() = None;
    }

    /// The upstream's body is complete.
    pub(crate) fn hang_up(&mut self) {
        self.upstream = None;
    }

    /// Sends a chat request with this message.
    pub(crate) async fn ask(&self, message: &str, streaming: bool) -> http::Response<exchange::Reply> {
        let body = chat(message, streaming);
        self.post(&[("content-type", "application/json")], body.into_bytes()).await
    }

    /// Sends a chat request with this body.
    pub(crate) async fn send(&self, body: exchange::Incoming) -> http::Response<exchange::Reply> {
        self.request(&[("content-type", "application/json")], body).await
    }

    /// Sends a request to the chat endpoint with these headers and this body.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: Vec<u8>) -> http::Response<exchange::Reply> {
        self.request(headers, futures_util::stream::iter([Ok(Bytes::from(body))]).boxed()).await
    }

    async fn request(&self, headers: &[(&str, &str)], body: exchange::Incoming) -> http::Response<exchange::Reply> {
        let mut request =
            Request::post("/v1/chat/completions").header("host", "gate").header("authorization", "Bearer good");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        self.carry(request).await
    }

    /// Sends a request as it is.
    pub(crate) async fn carry(&self, request: Request<exchange::Incoming>) -> http::Response<exchange::Reply> {
        exchange::carry(Arc::clone(&self.gate), request).await
    }
}

/// The body of a chat request with this message.
pub(crate) fn chat(message: &str, streaming: bool) -> String {
    serde_json::json!({
        "model": "m", "stream": streaming, "messages": [{"role": "user", "content": message}],
        "tools": [{"type": "function", "function": {"name": "rm", "parameters": {}}}],
    })
    .to_string()
}

/// A whole answer with this text.
pub(crate) fn answer(text: &str) -> String {
    serde_json::json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
    })
    .to_string()
}

/// An event with this text.
pub(crate) fn event(text: &str) -> String {
    let chunk = serde_json::json!({
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    });
    format!("data: {chunk}\n\n")
}

/// The last events of a stream.
pub(crate) const FINISH: &str = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
                                 \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// The content type of a stream.
pub(crate) const SSE: &str = "text/event-stream";

/// How the exchange ended, by its record.
pub(crate) fn closed(rig: &Rig) -> (Outcome, String) {
    match rig.entries.lock().unwrap().last() {
        Some(Entry::Closed(closed)) => (closed.outcome, closed.detail.clone()),
        other => panic!("the record is not closed: {other:?}"),
    }
}

/// What a reply says before it waits for more; what ends it is not told.
pub(crate) async fn so_far(body: &mut exchange::Reply) -> String {
    let mut text = String::new();
    // The runtime has a task wait after so many steps, whether or not there is something to wait for.
    tokio::task::yield_now().await;
    while let Some(Some(Ok(chunk))) = body.next().now_or_never() {
        text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
    }
    text
}

/// Whether the record says that nothing of the request went upstream, just before it ends.
pub(crate) fn unsent(rig: &Rig) -> bool {
    matches!(rig.entries.lock().unwrap()[..], [.., Entry::Unsent(_), Entry::Closed(_)])
}

/// The body up to its end, and whether it was cut.
pub(crate) async fn read(response: http::Response<exchange::Reply>) -> (String, bool) {
    let (mut text, mut body) = (String::new(), response.into_body());
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).expect("UTF-8")),
            Err(exchange::Cut) => return (text, true),
        }
    }
    (text, false)
}
