//! Policies written in Rust, each with one thing that it does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use exchange::ports::{
    About, BodyDecision, Conversation, ConversationDecision, Failure, FailureKind, Glance, Guest, Head, HeadDecision,
    Policy, Spared, Summary, ToolDecision, Window,
};
use futures_util::{FutureExt, future::BoxFuture};
use model::{
    Attribute, Channel, Decision, Digest, Direction, Edit, FailureMode, Hit, Hooks, Mode, Outcome, Plan, PolicyInfo,
    PolicyLimits, Question, Refusal, Scan, Substitute, Usage, Verdict,
};

/// What a test policy does with a window.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Replaces a word; holds back what could become one.
    Mask(&'static str, &'static str),
    /// Replaces a word, which is matched natively.
    Find(&'static str, &'static str),
    /// Replaces a word, and behind it within the next bytes another; both are matched natively.
    FindBehind(&'static str, &'static str),
    /// Takes a millisecond to look, and finds nothing.
    Ponder,
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
    /// Uses up its time, always.
    Late,
    /// Asks this as it is opened, and fails behind that, always.
    OweAndFail(&'static str),
    /// Takes a tool away and sets the temperature.
    Tools(&'static str),
    /// Asks another model than the caller did.
    Model(&'static str),
    /// Never answers.
    Hang,
    /// Lets everything pass, and never answers when it is told of the end.
    HangAtEnd,
    /// Notes the headers of an answer.
    NoteHead,
    /// Takes a header away, and sets one that it may not set.
    BreakHead(&'static str),
    /// Stops every exchange at its head.
    BlockHead,
    /// Puts this before the bytes of a request.
    BeforeBody(&'static str),
    /// Does this about requests.
    Request(fn(&Conversation) -> ConversationDecision),
    /// Calls tools with these arguments.
    ToolInput(&'static str),
    /// Asks at a call of this tool.
    AskTool(&'static str),
    /// Stops at a call of this tool.
    DenyTool(&'static str),
    /// Looks at bytes, and keeps them to the end.
    KeepBytes,
    /// Does this about text.
    Text(fn(&Window<'_>) -> Decision),
    /// Replaces all that it is shown first of an answer and is done; the host looks for a word meanwhile.
    Finish(&'static str),
}

pub(crate) struct TestPolicy {
    pub(crate) info: PolicyInfo,
    plan: Plan,
    does: Does,
    /// Calls that failed.
    pub(crate) failed: Arc<AtomicU32>,
    /// Exchanges of which it was told that they are over.
    pub(crate) over: Arc<AtomicU32>,
    /// How they ended, where it wants to hear that.
    pub(crate) told: Told,
    /// Whether its guests take over in the middle, one by one.
    pub(crate) resumed: Arc<Mutex<Vec<bool>>>,
}

/// Ends of exchanges, as a policy was told.
pub(crate) type Told = Arc<Mutex<Vec<(Outcome, Usage)>>>;

impl TestPolicy {
    /// The same, wanting to hear of the end.
    pub(crate) fn auditing(mut self) -> Self {
        self.plan.hooks.audit = true;
        self
    }
}

pub(crate) fn policy(id: &str, does: Does) -> TestPolicy {
    let conversation = matches!(does, Does::Tools(_) | Does::Model(_) | Does::Request(_));
    let head = matches!(does, Does::NoteHead | Does::BreakHead(_) | Does::BlockHead);
    let tools = matches!(does, Does::ToolInput(_) | Does::AskTool(_) | Does::DenyTool(_));
    let hooks = Hooks {
        open: matches!(does, Does::Lockdown),
        text: !(conversation || head || tools),
        conversation,
        tools,
        head,
        body: matches!(does, Does::Bytes | Does::KeepBytes | Does::BeforeBody(_)),
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
    let (failed, over, told, resumed) = Default::default();
    let patterns = match does {
        Does::Find(word, _) => vec![word.to_owned()],
        _ => Vec::new(),
    };
    TestPolicy { info, plan: Plan { hooks, patterns, ..Plan::default() }, does, failed, over, told, resumed }
}

/// Where the word is, and how much of the end could become one.
fn find(word: &str, pending: &str, last: bool) -> Scan {
    let hit = |(start, _): (usize, &str)| Hit { pattern: 0, start, end: start + word.len() };
    let hits = pending.match_indices(word).map(hit).collect();
    let begun = (1..word.len()).rev().find(|len| pending.ends_with(&word[..*len]));
    Scan { hits, keep: if last { 0 } else { begun.unwrap_or_default() } }
}

/// The words of all policies of a set that look for one.
pub(crate) struct Words(Vec<Option<&'static str>>);

impl Words {
    pub(crate) fn of(policies: &[TestPolicy]) -> Self {
        let word = |policy: &TestPolicy| match policy.does {
            Does::Find(word, _) => Some(word),
            _ => None,
        };
        Self(policies.iter().map(word).collect())
    }
}

impl Glance for Words {
    fn spares(&self, pending: &str, last: bool) -> Spared {
        let clean = |word: &&str| find(word, pending, last) == Scan::default();
        let places = self.0.iter().enumerate().filter(|(_, word)| word.as_ref().is_some_and(clean));
        Spared(places.fold(0, |spared, (place, _)| spared | 1 << place))
    }
}

impl Policy for TestPolicy {
    fn info(&self) -> &PolicyInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn scan(&self, _before: &str, pending: &str, last: bool) -> Scan {
        match self.does {
            Does::Find(word, _) | Does::Finish(word) => find(word, pending, last),
            Does::FindBehind(first, second) => {
                let (first, second) = (find(first, pending, last), find(second, pending, last));
                let keep = first.keep.max(second.keep);
                let mut hits: Vec<Hit> = first
                    .hits
                    .into_iter()
                    .chain(second.hits.into_iter().map(|hit| Hit { pattern: 1, ..hit }))
                    .collect();
                hits.sort_by_key(|hit| hit.start);
                Scan { hits, keep }
            }
            Does::Ponder => {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(1) {
                    std::hint::spin_loop();
                }
                Scan::default()
            }
            _ => Scan::default(),
        }
    }

    fn scan_spared(&self, before: &str, pending: &str, last: bool) -> Scan {
        let scan = self.scan(before, pending, last);
        assert_eq!(scan, Scan::default(), "{} was spared {pending:?}", self.info.id);
        scan
    }

    fn guest(&self, exchange: &Arc<About>) -> Box<dyn Guest> {
        self.resumed.lock().unwrap().push(exchange.resumed);
        Box::new(TestGuest { does: self.does.clone(), failed: Arc::clone(&self.failed), told: Arc::clone(&self.told) })
    }

    fn over(&self, _exchange: model::ExchangeId) {
        self.over.fetch_add(1, Ordering::Relaxed);
    }
}

struct TestGuest {
    does: Does,
    failed: Arc<AtomicU32>,
    told: Told,
}

pub(crate) fn refusal(word: &str) -> Verdict {
    Verdict::Block(Refusal { code: "test.word".into(), message: format!("no {word} here"), detail: String::new() })
}

fn question(word: &str) -> Question {
    Question {
        title: format!("may it {word}?"),
        summary: String::new(),
        approvers: Vec::new(),
        timeout_seconds: 0,
        remember_key: String::new(),
    }
}

fn is_answers_content(window: &Window<'_>) -> bool {
    window.direction == Direction::Response && window.channel == Channel::Content
}

/// Bytes before a word that decide about it.
const NEAR: usize = 16;

/// Whether a word stands shortly before a place in the window.
fn is_behind(window: &Window<'_>, word: &str, at: usize) -> bool {
    let text = [window.before, &window.pending[..at]].concat();
    text[text.floor_char_boundary(text.len().saturating_sub(NEAR))..].contains(word)
}

/// Replaces a word wherever it stands; holds back what could become one.
fn replace(window: &Window<'_>, word: &str, by: &Substitute, decision: &mut Decision) {
    let edit = |(start, _)| Edit { start, end: start + word.len(), by: by.clone(), reason: "test".into() };
    decision.edits = window.pending.match_indices(word).map(edit).collect();
    let begun = |len: &usize| word.is_char_boundary(*len) && window.pending.ends_with(&word[..*len]);
    decision.hold_back = if window.last { 0 } else { (1..word.len()).rev().find(begun).unwrap_or_default() };
}

/// Changes a request's parameters.
pub(crate) fn patching(patch: &serde_json::Value) -> ConversationDecision {
    ConversationDecision {
        verdict: Verdict::Allow,
        edits: Vec::new(),
        remove_tools: Vec::new(),
        patch: patch.to_string(),
        notes: Vec::new(),
    }
}

impl Guest for TestGuest {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        let verdict = if matches!(self.does, Does::Lockdown) { refusal("traffic") } else { Verdict::Allow };
        async { Ok(verdict) }.boxed()
    }

    fn owed(&mut self) -> Option<Question> {
        match self.does {
            Does::OweAndFail(word) => Some(question(word)),
            _ => None,
        }
    }

    fn on_request<'a>(&'a mut self, request: &'a Conversation) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        let decision = match self.does {
            Does::Tools(tool) => ConversationDecision {
                remove_tools: vec![tool.to_owned()],
                ..patching(&serde_json::json!({"temperature": 0}))
            },
            Does::Model(model) => patching(&serde_json::json!({ "model": model })),
            Does::Request(judge) => judge(request),
            _ => unreachable!("only these want requests"),
        };
        async { Ok(decision) }.boxed()
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
                Does::FindBehind(first, _) => {
                    let hits =
                        window.hits.iter().filter(|hit| hit.pattern == 0 || is_behind(&window, first, hit.start));
                    let by = |hit: &Hit| if hit.pattern == 0 { "[1]" } else { "[2]" };
                    let edit = |hit: &Hit| Edit {
                        start: hit.start,
                        end: hit.end,
                        by: Substitute::Literal(by(hit).into()),
                        reason: "test".into(),
                    };
                    decision.edits = hits.map(edit).collect();
                }
                Does::Text(judge) => decision = judge(&window),
                Does::Finish(_) if is_answers_content(&window) => {
                    let by = Substitute::Literal("[gone]".into());
                    decision.edits.push(Edit { start: 0, end: window.pending.len(), by, reason: "test".into() });
                    decision.verdict = Verdict::Done;
                }
                Does::Gather | Does::GatherAndBlock(_) if !window.last => decision.hold_back = window.pending.len(),
                Does::GatherAndBlock(word) if window.pending.contains(word) => decision.verdict = refusal(word),
                Does::Token(word, kind) => replace(&window, word, &Substitute::Token(kind.into()), &mut decision),
                Does::Block(word) if window.pending.contains(word) => decision.verdict = refusal(word),
                Does::Ask(word) if window.pending.contains(word) => decision.verdict = Verdict::Ask(question(word)),
                Does::Lockdown => decision.verdict = refusal("traffic"),
                Does::Hang => std::future::pending().await,
                Does::Late => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    return Err(Failure { kind: FailureKind::Deadline, message: "it used up its time".into() });
                }
                Does::OweAndFail(_) => {
                    return Err(Failure { kind: FailureKind::Trap, message: "unreachable executed".into() });
                }
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
        name: &'a str,
        _input: &'a str,
    ) -> BoxFuture<'a, Result<ToolDecision, Failure>> {
        let (verdict, input) = match self.does {
            Does::ToolInput(input) => (Verdict::Allow, input),
            Does::AskTool(tool) if tool == name => (Verdict::Ask(question(tool)), ""),
            Does::DenyTool(tool) if tool == name => (refusal(tool), ""),
            _ => (Verdict::Allow, ""),
        };
        async move { Ok(ToolDecision { verdict, input: input.to_owned(), notes: Vec::new() }) }.boxed()
    }

    fn on_head<'a>(&'a mut self, head: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>> {
        let mut decision =
            HeadDecision { verdict: Verdict::Allow, set: Vec::new(), remove: Vec::new(), notes: Vec::new() };
        match self.does {
            Does::NoteHead if head.direction == Direction::Response => decision.notes.clone_from(&head.headers),
            Does::BlockHead => decision.verdict = refusal("traffic"),
            Does::BreakHead(name) => {
                decision.remove.push(name.to_owned());
                decision.set.push(Attribute { name: "host".into(), value: "else".into() });
            }
            _ => {}
        }
        async { Ok(decision) }.boxed()
    }

    fn on_body<'a>(
        &'a mut self,
        direction: Direction,
        pending: &'a [u8],
        _fresh: usize,
        last: bool,
    ) -> BoxFuture<'a, Result<BodyDecision, Failure>> {
        let edits = match self.does {
            Does::BeforeBody(text) if direction == Direction::Request => {
                vec![(0, 0, Bytes::from_static(text.as_bytes()))]
            }
            _ => Vec::new(),
        };
        let hold_back = if matches!(self.does, Does::KeepBytes) && !last { pending.len() } else { 0 };
        async move { Ok(BodyDecision { verdict: Verdict::Allow, edits, hold_back, notes: Vec::new() }) }.boxed()
    }

    fn on_end<'a>(&'a mut self, summary: &'a Summary) -> BoxFuture<'a, Result<Vec<Attribute>, Failure>> {
        self.told.lock().unwrap().push((summary.outcome, summary.usage));
        match self.does {
            Does::HangAtEnd => std::future::pending().boxed(),
            _ => std::future::ready(Ok(Vec::new())).boxed(),
        }
    }
}
