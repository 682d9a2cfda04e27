//! Ports that a test can see through: policies written in Rust, a recorder in memory, a desk with one answer, an
//! upstream that plays a script.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test that can't go on fails")]

mod kept;
mod upstream;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use exchange::{
    BodyError, Gate, Limits,
    ports::{
        About, Account, BodyDecision, Conversation, ConversationDecision, Credential, Failure, FailureKind, Guest,
        Head, HeadDecision, Identified, Identify, Lease, NoEntry, Policy, PolicySet, Presented, RulingState, Summary,
        ToolDecision, Unidentified, Window,
    },
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use model::{
    Attribute, Caller, Connection, Decision, Digest, Direction, Edit, EndpointRule, Entry, FailureMode, Family,
    Generation, Hit, Hooks, Mode, OnBlock, Outcome, Plan, PolicyInfo, PolicyLimits, Refusal, Restore, Scan, Scope,
    Substitute, Upstream, Usage, Verdict,
};
use tokio::sync::{mpsc, watch};

use self::{
    kept::{AtRequest, Memory, OneAnswer},
    upstream::{Body, Counted, Script},
};

/// What a test policy does with a window.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Replaces a word; holds back what could become one.
    Mask(&'static str, &'static str),
    /// Replaces a word, which is matched natively.
    Find(&'static str, &'static str),
    /// Looks at each part as a whole.
    Gather,
    /// Looks at each part as a whole, and stops at a word.
    GatherAndBlock(&'static str),
    /// Replaces a word by a placeholder of this kind.
    Token(&'static str, &'static str),
    /// Looks at bytes, and lets them pass.
    Bytes,
    /// Stops at a word.
    Block(&'static str),
    /// Asks at a word.
    Ask(&'static str),
    /// Stops every exchange as it is opened.
    Lockdown,
    /// Fails as often as this, then allows.
    Fail(u32),
    /// Takes a tool away and sets the temperature.
    Tools(&'static str),
    /// Asks another model than the caller did.
    Model(&'static str),
    /// Never answers.
    Hang,
}

pub(crate) struct TestPolicy {
    pub(crate) info: PolicyInfo,
    plan: Plan,
    does: Does,
    failed: Arc<AtomicU32>,
    /// Exchanges of which it was told that they are over.
    pub(crate) over: Arc<AtomicU32>,
}

pub(crate) fn policy(id: &str, does: Does) -> TestPolicy {
    let hooks = Hooks {
        open: matches!(does, Does::Lockdown),
        text: !matches!(does, Does::Tools(_) | Does::Model(_)),
        conversation: matches!(does, Does::Tools(_) | Does::Model(_)),
        body: matches!(does, Does::Bytes),
        ..Hooks::default()
    };
    let mut digest = [0; 32];
    for (at, byte) in format!("{id}{does:?}").bytes().enumerate() {
        digest[at % 32] ^= byte.rotate_left(u32::try_from(at).unwrap_or_default());
    }
    let info = PolicyInfo {
        id: id.into(),
        name: id.into(),
        version: "1.0.0".into(),
        summary: String::new(),
        digest: Digest(digest),
        wasm_digest: Digest(digest),
        order: 0,
        mode: Mode::Enforce,
        on_failure: FailureMode::Closed,
        connections: Vec::new(),
        limits: PolicyLimits::default(),
    };
    let (failed, over) = Default::default();
    TestPolicy { info, plan: Plan { hooks, ..Plan::default() }, does, failed, over }
}

impl Policy for TestPolicy {
    fn info(&self) -> &PolicyInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn scan(&self, _before: &str, pending: &str, last: bool) -> Scan {
        let Does::Find(word, _) = self.does else { return Scan::default() };
        let hit = |(start, _): (usize, &str)| Hit { pattern: 0, start, end: start + word.len() };
        let hits = pending.match_indices(word).map(hit).collect();
        let begun = (1..word.len()).rev().find(|len| pending.ends_with(&word[..*len]));
        Scan { hits, keep: if last { 0 } else { begun.unwrap_or_default() } }
    }

    fn guest(&self, _exchange: &Arc<About>) -> Box<dyn Guest> {
        Box::new(TestGuest { does: self.does.clone(), failed: Arc::clone(&self.failed) })
    }

    fn over(&self, _exchange: model::ExchangeId) {
        self.over.fetch_add(1, Ordering::Relaxed);
    }
}

struct TestGuest {
    does: Does,
    failed: Arc<AtomicU32>,
}

fn refusal(word: &str) -> Verdict {
    Verdict::Block(Refusal { code: "test.word".into(), message: format!("no {word} here"), detail: String::new() })
}

fn question(word: &str) -> Verdict {
    Verdict::Ask(model::Question {
        title: format!("may it {word}?"),
        summary: String::new(),
        approvers: Vec::new(),
        timeout_seconds: 0,
        remember_key: String::new(),
    })
}

/// Replaces a word wherever it stands; holds back what could become one.
fn replace(window: &Window<'_>, word: &str, by: &Substitute, decision: &mut Decision) {
    let edit = |(start, _)| Edit { start, end: start + word.len(), by: by.clone(), reason: "test".into() };
    decision.edits = window.pending.match_indices(word).map(edit).collect();
    let begun = |len: &usize| word.is_char_boundary(*len) && window.pending.ends_with(&word[..*len]);
    decision.hold_back = if window.last { 0 } else { (1..word.len()).rev().find(begun).unwrap_or_default() };
}

impl Guest for TestGuest {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        let verdict = if matches!(self.does, Does::Lockdown) { refusal("traffic") } else { Verdict::Allow };
        async { Ok(verdict) }.boxed()
    }

    fn on_request<'a>(
        &'a mut self,
        _request: &'a Conversation,
    ) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        let (remove_tools, patch) = match self.does {
            Does::Tools(tool) => (vec![tool.to_owned()], serde_json::json!({"temperature": 0})),
            Does::Model(model) => (Vec::new(), serde_json::json!({ "model": model })),
            _ => unreachable!("only these want requests"),
        };
        async move {
            Ok(ConversationDecision {
                verdict: Verdict::Allow,
                edits: Vec::new(),
                remove_tools,
                patch: patch.to_string(),
                notes: Vec::new(),
            })
        }
        .boxed()
    }

    fn on_text<'a>(&'a mut self, window: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>> {
        async move {
            let mut decision = Decision::allow();
            match self.does {
                Does::Mask(word, by) => replace(&window, word, &Substitute::Literal(by.into()), &mut decision),
                Does::Find(_, by) => {
                    let edit = |hit: &Hit| Edit {
                        start: hit.start,
                        end: hit.end,
                        by: Substitute::Literal(by.into()),
                        reason: "test".into(),
                    };
                    decision.edits = window.hits.iter().map(edit).collect();
                }
                Does::Gather | Does::GatherAndBlock(_) if !window.last => decision.hold_back = window.pending.len(),
                Does::GatherAndBlock(word) if window.pending.contains(word) => decision.verdict = refusal(word),
                Does::Token(word, kind) => replace(&window, word, &Substitute::Token(kind.into()), &mut decision),
                Does::Block(word) if window.pending.contains(word) => decision.verdict = refusal(word),
                Does::Ask(word) if window.pending.contains(word) => decision.verdict = question(word),
                Does::Lockdown => decision.verdict = refusal("traffic"),
                Does::Hang => std::future::pending().await,
                Does::Fail(times) if self.failed.fetch_add(1, Ordering::Relaxed) < times => {
                    return Err(Failure { kind: FailureKind::Trap, message: "unreachable executed".into() });
                }
                _ => {}
            }
            Ok(decision)
        }
        .boxed()
    }

    fn on_tool_call<'a>(
        &'a mut self,
        _id: &'a str,
        _name: &'a str,
        _input: &'a str,
    ) -> BoxFuture<'a, Result<ToolDecision, Failure>> {
        unreachable!("no test policy has this hook")
    }

    fn on_head<'a>(&'a mut self, _head: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>> {
        unreachable!("no test policy has this hook")
    }

    fn on_body<'a>(
        &'a mut self,
        _direction: Direction,
        _pending: &'a [u8],
        _fresh: usize,
        _last: bool,
    ) -> BoxFuture<'a, Result<BodyDecision, Failure>> {
        async { Ok(BodyDecision { verdict: Verdict::Allow, edits: Vec::new(), hold_back: 0, notes: Vec::new() }) }
            .boxed()
    }

    fn on_end<'a>(&'a mut self, _summary: &'a Summary) -> BoxFuture<'a, Result<Vec<Attribute>, Failure>> {
        unreachable!("no test policy has this hook")
    }
}

pub(crate) fn set(generation: u64, policies: Vec<TestPolicy>) -> Arc<PolicySet> {
    Arc::new(PolicySet {
        generation: Generation(generation),
        digest: Digest([u8::try_from(generation).unwrap_or_default(); 32]),
        policies: policies.into_iter().map(|policy| Arc::new(policy) as Arc<dyn Policy>).collect(),
        problems: Vec::new(),
    })
}

/// The one credential, `good`, and all that can be seen of its use.
#[derive(Clone)]
pub(crate) struct Holder {
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
        Self {
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
            if let Some(ended) = self.lease.ended() {
                return Err(Unidentified::Ended(ended));
            }
            Ok(Identified {
                caller: Caller { subject: "contractor".into(), issuer: "test".into(), ..Caller::default() },
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
    pub(crate) shown: Arc<Mutex<Vec<String>>>,
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
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            ruling: Some(RulingState::Denied),
            silent_upstream: false,
            room: None,
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
        }
    }
}

impl Rig {
    pub(crate) fn new(setting: Setting) -> Self {
        let (publish, policies) = watch::channel(set(1, setting.policies));
        let (entries, at_request) = (Arc::default(), AtRequest::default());
        let memory = Memory {
            entries: Arc::clone(&entries),
            room: setting.room,
            at_request: Arc::clone(&at_request),
            publish: publish.clone(),
        };
        let (shown, bound, cancelled) = (Arc::default(), Arc::default(), Arc::default());
        let desk = OneAnswer {
            state: setting.ruling,
            shown: Arc::clone(&shown),
            bound: Arc::clone(&bound),
            cancelled: Arc::clone(&cancelled),
        };
        let (upstream, body) = mpsc::unbounded_channel();
        let mut headers = HeaderMap::new();
        if !setting.content_type.is_empty() {
            headers.insert("content-type", setting.content_type.parse().unwrap());
        }
        for (name, value) in setting.headers {
            headers.append(name, value.parse().unwrap());
        }
        for (name, value) in setting.raw_headers {
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
        let upstream = Some(upstream);
        Self {
            gate,
            publish,
            at_request,
            entries,
            shown,
            bound,
            cancelled,
            received,
            targets,
            waiting,
            heads,
            body,
            upstream,
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
