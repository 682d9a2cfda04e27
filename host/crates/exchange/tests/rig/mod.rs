//! Ports that a test can see through: policies written in Rust, a recorder in memory, a desk with one answer, an
//! upstream that plays a script.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use exchange::{
    Answered, BodyError, Forward, ForwardError, Gate, Limits, Outbound,
    ports::{
        About, Ask, BodyDecision, Conversation, ConversationDecision, Desk, DeskError, Failure, FailureKind, Guest,
        Head, HeadDecision, Identified, Identify, Policy, PolicySet, RecordError, Recorder, Ruling, RulingState,
        Safety, Summary, Tape, Ticket, ToolDecision, Unknown, Window,
    },
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use http::{HeaderMap, Request, StatusCode};
use model::{
    ApprovalId, Attribute, Caller, Connection, Decision, Digest, Direction, Edit, Entry, Event, FailureMode, Family,
    Generation, Hooks, Mode, OnBlock, Plan, PolicyInfo, PolicyLimits, Refusal, Scan, Substitute, Upstream, Verdict,
    record::Opened,
};
use tokio::sync::{mpsc, watch};

/// What a test policy does with a window.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Replaces a word; holds back what could become one.
    Mask(&'static str, &'static str),
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
}

pub(crate) struct TestPolicy {
    pub(crate) info: PolicyInfo,
    plan: Plan,
    does: Does,
    failed: Arc<AtomicU32>,
}

pub(crate) fn policy(id: &str, does: Does) -> TestPolicy {
    let hooks = Hooks {
        open: matches!(does, Does::Lockdown),
        text: !matches!(does, Does::Tools(_)),
        conversation: matches!(does, Does::Tools(_)),
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
    TestPolicy { info, plan: Plan { hooks, ..Plan::default() }, does, failed: Arc::default() }
}

impl Policy for TestPolicy {
    fn info(&self) -> &PolicyInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn scan(&self, _before: &str, _pending: &str, _last: bool) -> Scan {
        Scan::default()
    }

    fn guest(&self, _exchange: &Arc<About>) -> Box<dyn Guest> {
        Box::new(TestGuest { does: self.does.clone(), failed: Arc::clone(&self.failed) })
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

impl Guest for TestGuest {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        let verdict = if matches!(self.does, Does::Lockdown) { refusal("traffic") } else { Verdict::Allow };
        async { Ok(verdict) }.boxed()
    }

    fn on_request<'a>(
        &'a mut self,
        _request: &'a Conversation,
    ) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        let Does::Tools(tool) = self.does else { unreachable!("only this one wants requests") };
        async move {
            Ok(ConversationDecision {
                verdict: Verdict::Allow,
                edits: Vec::new(),
                remove_tools: vec![tool.into()],
                patch: r#"{"temperature":0}"#.into(),
                notes: Vec::new(),
            })
        }
        .boxed()
    }

    fn on_text<'a>(&'a mut self, window: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>> {
        async move {
            let mut decision = Decision::allow();
            match self.does {
                Does::Mask(word, by) => {
                    decision.edits = window
                        .pending
                        .match_indices(word)
                        .map(|(start, _)| Edit {
                            start,
                            end: start + word.len(),
                            by: Substitute::Literal(by.into()),
                            reason: "test".into(),
                        })
                        .collect();
                    let begun = |len: &usize| window.pending.ends_with(&word[..*len]);
                    decision.hold_back =
                        if window.last { 0 } else { (1..word.len()).rev().find(begun).unwrap_or_default() };
                }
                Does::Block(word) if window.pending.contains(word) => decision.verdict = refusal(word),
                Does::Ask(word) if window.pending.contains(word) => decision.verdict = question(word),
                Does::Lockdown => decision.verdict = refusal("traffic"),
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
        unreachable!("no test policy has this hook")
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

/// Keeps everything in memory; can be told to fail.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) entries: Arc<Mutex<Vec<Entry>>>,
    /// Entries after which nothing more can be kept.
    pub(crate) room: Option<usize>,
}

impl Recorder for Memory {
    fn open(&self, opened: Opened) -> Result<Box<dyn Tape>, RecordError> {
        let mut tape = MemoryTape { entries: Arc::clone(&self.entries), room: self.room };
        tape.append(Entry::Opened(opened))?;
        Ok(Box::new(tape))
    }

    fn event(&self, _event: Event) -> BoxFuture<'_, Result<(), RecordError>> {
        async { Ok(()) }.boxed()
    }

    fn keyed_hash(&self, value: &[u8]) -> [u8; 16] {
        std::array::from_fn(|at| value.iter().fold(at as u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)))
    }
}

struct MemoryTape {
    entries: Arc<Mutex<Vec<Entry>>>,
    room: Option<usize>,
}

impl Tape for MemoryTape {
    fn append(&mut self, entry: Entry) -> Result<(), RecordError> {
        let mut entries = self.entries.lock().unwrap();
        if self.room.is_some_and(|room| entries.len() >= room) {
            return Err(RecordError("disk full".into()));
        }
        entries.push(entry);
        Ok(())
    }

    fn keep(&mut self, _safety: Safety) -> BoxFuture<'_, Result<(), RecordError>> {
        async { Ok(()) }.boxed()
    }
}

/// Answers every question in one way; remembers what was shown.
pub(crate) struct OneAnswer {
    pub(crate) state: RulingState,
    pub(crate) shown: Arc<Mutex<Vec<String>>>,
}

impl Desk for OneAnswer {
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Box<dyn Ticket>, DeskError>> {
        self.shown.lock().unwrap().push(ask.shown);
        let ticket: Box<dyn Ticket> = Box::new(OneTicket(ApprovalId::new(), self.state));
        async { Ok(ticket) }.boxed()
    }
}

struct OneTicket(ApprovalId, RulingState);

impl Ticket for OneTicket {
    fn approval(&self) -> ApprovalId {
        self.0
    }

    fn decided(&mut self) -> BoxFuture<'_, Ruling> {
        async { Ruling { state: self.1, by: "ann".into(), reason: String::new() } }.boxed()
    }

    fn leave(self: Box<Self>) {}
}

struct Everybody;

impl Identify for Everybody {
    fn identify(&self, credential: &str) -> Result<Identified, Unknown> {
        if credential != "good" {
            return Err(Unknown);
        }
        let caller = Caller { subject: "contractor".into(), issuer: "test".into(), ..Caller::default() };
        Ok(Identified { caller, connections: Arc::new(["openai".to_owned()]) })
    }
}

/// An upstream whose body is what a test sends; remembers what it received.
pub(crate) struct Script {
    pub(crate) status: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) body: Mutex<Option<mpsc::UnboundedReceiver<Result<Bytes, BodyError>>>>,
    pub(crate) received: Arc<Mutex<Vec<Bytes>>>,
}

impl Forward for Script {
    fn forward(&self, outbound: Outbound) -> BoxFuture<'_, Result<Answered, ForwardError>> {
        async move {
            self.received.lock().unwrap().push(outbound.body.into_inner());
            let body = self.body.lock().unwrap().take().ok_or_else(|| ForwardError("connection refused".into()))?;
            let body = futures_util::stream::unfold(body, |mut body| async { body.recv().await.map(|c| (c, body)) });
            let mut headers = HeaderMap::new();
            headers.insert("content-type", self.content_type.parse().unwrap());
            Ok(Answered { status: self.status, headers, body: body.boxed() })
        }
        .boxed()
    }
}

/// A gate with all of its ports in sight.
pub(crate) struct Rig {
    pub(crate) gate: Arc<Gate>,
    pub(crate) publish: watch::Sender<Arc<PolicySet>>,
    pub(crate) entries: Arc<Mutex<Vec<Entry>>>,
    pub(crate) shown: Arc<Mutex<Vec<String>>>,
    pub(crate) received: Arc<Mutex<Vec<Bytes>>>,
    pub(crate) upstream: Option<mpsc::UnboundedSender<Result<Bytes, BodyError>>>,
}

pub(crate) struct Setting {
    pub(crate) policies: Vec<TestPolicy>,
    pub(crate) ruling: RulingState,
    pub(crate) room: Option<usize>,
    pub(crate) content_type: &'static str,
    pub(crate) on_block: OnBlock,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            policies: Vec::new(),
            ruling: RulingState::Denied,
            room: None,
            content_type: "application/json",
            on_block: OnBlock::Error,
        }
    }
}

impl Rig {
    pub(crate) fn new(setting: Setting) -> Self {
        let (publish, policies) = watch::channel(set(1, setting.policies));
        let memory = Memory { room: setting.room, ..Memory::default() };
        let entries = Arc::clone(&memory.entries);
        let desk = OneAnswer { state: setting.ruling, shown: Arc::default() };
        let shown = Arc::clone(&desk.shown);
        let (upstream, body) = mpsc::unbounded_channel();
        let script = Script {
            status: StatusCode::OK,
            content_type: setting.content_type,
            body: Mutex::new(Some(body)),
            received: Arc::default(),
        };
        let received = Arc::clone(&script.received);
        let connection = Connection {
            name: "openai".into(),
            path_prefix: "/".into(),
            upstream: Upstream { tls: false, authority: "model".into(), base_path: String::new() },
            family: Family::Openai,
            on_block: setting.on_block,
        };
        let gate = Gate::new(
            Arc::new(Everybody),
            vec![Arc::new(connection)],
            policies,
            Arc::new(memory),
            Arc::new(desk),
            Arc::new(script),
            Limits::default(),
        );
        Self { gate, publish, entries, shown, received, upstream: Some(upstream) }
    }

    /// The upstream says this.
    pub(crate) fn say(&self, text: &str) {
        let upstream = self.upstream.as_ref().expect("the upstream has not hung up");
        upstream.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).expect("somebody listens");
    }

    /// The upstream's body is complete.
    pub(crate) fn hang_up(&mut self) {
        self.upstream = None;
    }

    /// Sends a chat request with this message.
    pub(crate) async fn ask(&self, message: &str, streaming: bool) -> http::Response<exchange::Reply> {
        let body = serde_json::json!({
            "model": "m", "stream": streaming, "messages": [{"role": "user", "content": message}],
            "tools": [{"type": "function", "function": {"name": "rm", "parameters": {}}}],
        });
        let body = futures_util::stream::iter([Ok(Bytes::from(body.to_string()))]);
        let request = Request::post("/v1/chat/completions")
            .header("host", "gate")
            .header("authorization", "Bearer good")
            .header("content-type", "application/json")
            .body(body.boxed() as exchange::Incoming)
            .expect("a request");
        exchange::carry(Arc::clone(&self.gate), request).await
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
