//! One policy at work in one exchange: the port [`exchange::ports::Guest`] on a [`Live`] instance.
//!
//! What must hold: the instance is out of its place while it is called, so that a call that fails, or whose future is
//! dropped in the middle, leaves none behind; a verdict of `open` is never lost.

use std::sync::Arc;

use exchange::ports::{
    About, BodyDecision, Conversation, ConversationDecision, Failure, FailureKind, Guest, Head, HeadDecision, Summary,
    ToolDecision, Window,
};
use futures_util::future::BoxFuture;
use model::{Attribute, Decision, Direction, Verdict};
use tokio::time::timeout;

use super::{
    answers::{self, broken},
    bindings::exports::portcullis::policy::{bytes, conversation, tools},
    blueprint::{Blueprint, Facts},
    live::{Live, instance, wall},
    shown,
    state::State,
};

/// One policy at work in one exchange.
pub(super) struct Seat {
    blueprint: Arc<Blueprint>,
    about: Arc<About>,
    state: Arc<State>,
    live: Option<Box<Live>>,
    /// An instance has been opened before: the next one takes over in the middle.
    opened: bool,
}

/// An instance that is open, and what `open` said if that was just now.
struct Ready {
    live: Box<Live>,
    verdict: Verdict,
}

impl Seat {
    /// `state` is where its `state` grant keeps values.
    pub(super) fn new(blueprint: &Arc<Blueprint>, about: &Arc<About>, state: &Arc<State>) -> Self {
        Self {
            blueprint: Arc::clone(blueprint),
            about: Arc::clone(about),
            state: Arc::clone(state),
            live: None,
            opened: false,
        }
    }

    async fn ready(&mut self) -> Result<Ready, Failure> {
        if let Some(live) = self.live.take() {
            return Ok(Ready { live, verdict: Verdict::Allow });
        }
        let mut live = Box::new(Live::start(&self.blueprint, &self.state).await?);
        let resumed = self.about.resumed || self.opened;
        self.opened = true;
        let verdict = live.open(&self.about, resumed).await?;
        Ok(Ready { live, verdict })
    }

    /// As [`Self::ready`], for a hook: `Err` is the verdict that `open` just gave when it settles the matter; the hook
    /// is not called then.
    async fn seated(&mut self) -> Result<Result<Ready, Verdict>, Failure> {
        let ready = self.ready().await?;
        match ready.verdict {
            // What is asked about is judged all the same: if it is allowed, it goes out with the edits of the hook.
            Verdict::Allow | Verdict::Ask(_) => Ok(Ok(ready)),
            Verdict::Done | Verdict::Block(_) => {
                self.live = Some(ready.live);
                Ok(Err(ready.verdict))
            }
        }
    }

    fn facts(&self) -> Result<&Facts, Failure> {
        self.blueprint.facts.get().ok_or_else(|| instance(&"it was never configured"))
    }
}

/// The verdict of `open`, if it is an ask, with the hook's own.
fn joined(opened: Verdict, hook: Verdict) -> Result<Verdict, Failure> {
    match (opened, hook) {
        (Verdict::Ask(question), Verdict::Allow | Verdict::Done) => Ok(Verdict::Ask(question)),
        // Two questions at once can't be told from one that was answered by half.
        (Verdict::Ask(_), Verdict::Ask(_)) => Err(broken("it asks in `open` and in the hook after it")),
        (_, hook) => Ok(hook),
    }
}

fn not_exported(hook: &str) -> Failure {
    Failure { kind: FailureKind::Instance, message: format!("it does not export {hook}") }
}

impl Guest for Seat {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        Box::pin(async move {
            let ready = self.ready().await?;
            self.live = Some(ready.live);
            Ok(ready.verdict)
        })
    }

    fn on_request<'a>(&'a mut self, request: &'a Conversation) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        Box::pin(async move {
            let Ready { mut live, verdict } = match self.seated().await? {
                Ok(ready) => ready,
                Err(verdict) => {
                    let (edits, remove_tools, patch, notes) = Default::default();
                    return Ok(ConversationDecision { verdict, edits, remove_tools, patch, notes });
                }
            };
            let (parts, tools) = (shown::parts(request), shown::tools(request));
            let shown = conversation::Request {
                model: &request.model,
                parts: &parts,
                tools: &tools,
                parameters: &request.parameters,
            };
            let time = live.arm(request.parts.iter().map(|part| part.text.len()).sum(), 0);
            let hook = live.hooks.conversation.as_ref().ok_or_else(|| not_exported("`conversation`"))?;
            let answer = timeout(wall(time), hook.call_on_request(&mut live.store, shown)).await;
            let answer = answers::conversation_decision(live.told(answer)?, request, self.blueprint.unit())?;
            let verdict = joined(verdict, answer.verdict)?;
            self.live = Some(live);
            Ok(ConversationDecision { verdict, ..answer })
        })
    }

    fn on_text<'a>(&'a mut self, window: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>> {
        Box::pin(async move {
            let Ready { mut live, verdict } = match self.seated().await? {
                Ok(ready) => ready,
                Err(verdict) => {
                    return Ok(Decision { verdict, ..Decision::allow() });
                }
            };
            let facts = self.facts()?;
            let hits = shown::hits(&window, facts);
            let shown = shown::window(&window, &hits, facts);
            let time = live.arm(window.pending.len(), window.hits.len());
            let hook = live.hooks.text.as_ref().ok_or_else(|| not_exported("`text`"))?;
            let answer = timeout(wall(time), hook.call_on_text(&mut live.store, shown)).await;
            let answer = live.told(answer)?;
            let answer = answers::decision(answer, window.pending, window.last, facts.unit, &self.blueprint.limits)?;
            let verdict = joined(verdict, answer.verdict)?;
            self.live = Some(live);
            Ok(Decision { verdict, ..answer })
        })
    }

    fn on_tool_call<'a>(
        &'a mut self,
        id: &'a str,
        name: &'a str,
        input: &'a str,
    ) -> BoxFuture<'a, Result<ToolDecision, Failure>> {
        Box::pin(async move {
            let Ready { mut live, verdict } = match self.seated().await? {
                Ok(ready) => ready,
                Err(verdict) => {
                    return Ok(ToolDecision { verdict, input: String::new(), notes: Vec::new() });
                }
            };
            let time = live.arm(input.len(), 0);
            let hook = live.hooks.tools.as_ref().ok_or_else(|| not_exported("`tools`"))?;
            let call = hook.call_on_tool_call(&mut live.store, tools::ToolCall { id, name, input });
            let answer = timeout(wall(time), call).await;
            let answer = answers::tool_decision(live.told(answer)?)?;
            let verdict = joined(verdict, answer.verdict)?;
            self.live = Some(live);
            Ok(ToolDecision { verdict, ..answer })
        })
    }

    fn on_head<'a>(&'a mut self, head: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>> {
        Box::pin(async move {
            let Ready { mut live, verdict } = match self.seated().await? {
                Ok(ready) => ready,
                Err(verdict) => {
                    return Ok(HeadDecision { verdict, set: Vec::new(), remove: Vec::new(), notes: Vec::new() });
                }
            };
            let headers = shown::headers(head);
            let time = live.arm(0, 0);
            let hook = live.hooks.bytes.as_ref().ok_or_else(|| not_exported("`bytes`"))?;
            let answer = timeout(wall(time), hook.call_on_head(&mut live.store, shown::head(head, &headers))).await;
            let answer = answers::head_decision(live.told(answer)?)?;
            let verdict = joined(verdict, answer.verdict)?;
            self.live = Some(live);
            Ok(HeadDecision { verdict, ..answer })
        })
    }

    fn on_body<'a>(
        &'a mut self,
        direction: Direction,
        pending: &'a [u8],
        fresh: usize,
        last: bool,
    ) -> BoxFuture<'a, Result<BodyDecision, Failure>> {
        Box::pin(async move {
            let Ready { mut live, verdict } = match self.seated().await? {
                Ok(ready) => ready,
                Err(verdict) => {
                    return Ok(BodyDecision { verdict, edits: Vec::new(), hold_back: 0, notes: Vec::new() });
                }
            };
            let chunk =
                bytes::Chunk { direction: shown::direction(direction), pending, fresh: shown::narrow(fresh), last };
            let time = live.arm(pending.len(), 0);
            let hook = live.hooks.bytes.as_ref().ok_or_else(|| not_exported("`bytes`"))?;
            let answer = timeout(wall(time), hook.call_on_body(&mut live.store, chunk)).await;
            let answer = answers::body_decision(live.told(answer)?, pending.len(), last, &self.blueprint.limits)?;
            let verdict = joined(verdict, answer.verdict)?;
            self.live = Some(live);
            Ok(BodyDecision { verdict, ..answer })
        })
    }

    fn on_end<'a>(&'a mut self, summary: &'a Summary) -> BoxFuture<'a, Result<Vec<Attribute>, Failure>> {
        Box::pin(async move {
            // The exchange is over: whatever `open` says now changes nothing.
            let mut live = self.ready().await?.live;
            let time = live.arm(0, 0);
            let hook = live.hooks.audit.as_ref().ok_or_else(|| not_exported("`audit`"))?;
            let answer = timeout(wall(time), hook.call_on_end(&mut live.store, shown::summary(summary))).await;
            let notes = answers::notes(live.answered(answer)?)?;
            self.live = Some(live);
            Ok(notes)
        })
    }
}
