//! One policy at work in one exchange: the port [`exchange::ports::Guest`] on a [`Live`] instance.
//!
//! What must hold: the instance is out of its place while it is called, so that a call that fails, or whose future is
//! dropped in the middle, leaves none behind; a verdict of `open` counts also where the hook behind it fails: a later
//! call gives it, or the host asks what is owed.

use std::sync::Arc;

use exchange::ports::{
    About, BodyDecision, Conversation, ConversationDecision, Failure, FailureKind, Guest, Head, HeadDecision, Summary,
    ToolDecision, Window,
};
use futures_util::future::BoxFuture;
use model::{Attribute, Decision, Direction, Question, Verdict};
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
    /// An instance has answered `open`: the next one takes over in the middle.
    opened: bool,
    /// What `open` asked, until the host has it: a hook may fail before it has answered.
    owed: Option<Question>,
}

/// An instance that is open.
struct Ready {
    live: Box<Live>,
    /// What `open` just said that settles the matter; a question is owed.
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
            owed: None,
        }
    }

    async fn ready(&mut self) -> Result<Ready, Failure> {
        if let Some(live) = self.live.take() {
            return Ok(Ready { live, verdict: Verdict::Allow });
        }
        let mut live = Box::new(Live::start(&self.blueprint, &self.state).await?);
        let verdict = match live.open(&self.about, self.about.resumed || self.opened).await? {
            Verdict::Ask(question) => {
                owe(&mut self.owed, question)?;
                Verdict::Allow
            }
            verdict => verdict,
        };
        self.opened = true;
        Ok(Ready { live, verdict })
    }

    /// As [`Self::ready`], for a hook: `Err` is the verdict that `open` just gave when it settles the matter; the hook
    /// is not called then.
    async fn seated(&mut self) -> Result<Result<Box<Live>, Verdict>, Failure> {
        let Ready { live, verdict } = self.ready().await?;
        // What is asked about is judged all the same: if it is allowed, it goes out with the edits of the hook.
        if verdict == Verdict::Allow {
            return Ok(Ok(live));
        }
        self.live = Some(live);
        self.with_owed(verdict).map(Err)
    }

    /// A verdict, with the question that is owed.
    fn with_owed(&mut self, verdict: Verdict) -> Result<Verdict, Failure> {
        match (verdict, self.owed.take()) {
            // Two questions at once can't be told from one that was answered by half: that is a failure, also where the first
            // was asked before a hook that failed, since no later call may come to put the second.
            (Verdict::Ask(_), Some(owed)) => {
                self.owed = Some(owed);
                Err(broken("it asks in `open` and in the hook after it"))
            }
            (Verdict::Allow | Verdict::Done, Some(owed)) => Ok(Verdict::Ask(owed)),
            // What is stopped needs no answer.
            (verdict, _) => Ok(verdict),
        }
    }

    fn facts(&self) -> Result<&Facts, Failure> {
        self.blueprint.facts.get().ok_or_else(|| instance(&"it was never configured"))
    }
}

/// `open` asks. An instance that takes over may ask the same once more: it is one question. Another in the place of one that
/// nobody has heard would take that back.
fn owe(owed: &mut Option<Question>, question: Question) -> Result<(), Failure> {
    match owed {
        Some(owed) if *owed != question => Err(broken("it asks in `open` what it did not ask there before")),
        _ => {
            *owed = Some(question);
            Ok(())
        }
    }
}

fn not_exported(hook: &str) -> Failure {
    Failure { kind: FailureKind::Instance, message: format!("it does not export {hook}") }
}

impl Guest for Seat {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        Box::pin(async move {
            let Ready { live, verdict } = self.ready().await?;
            self.live = Some(live);
            self.with_owed(verdict)
        })
    }

    fn owed(&mut self) -> Option<Question> {
        self.owed.take()
    }

    fn on_request<'a>(&'a mut self, request: &'a Conversation) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        Box::pin(async move {
            let mut live = match self.seated().await? {
                Ok(live) => live,
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
            let verdict = self.with_owed(answer.verdict)?;
            self.live = Some(live);
            Ok(ConversationDecision { verdict, ..answer })
        })
    }

    fn on_text<'a>(&'a mut self, window: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>> {
        Box::pin(async move {
            let mut live = match self.seated().await? {
                Ok(live) => live,
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
            let verdict = self.with_owed(answer.verdict)?;
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
            let mut live = match self.seated().await? {
                Ok(live) => live,
                Err(verdict) => {
                    return Ok(ToolDecision { verdict, input: String::new(), notes: Vec::new() });
                }
            };
            let time = live.arm(input.len(), 0);
            let hook = live.hooks.tools.as_ref().ok_or_else(|| not_exported("`tools`"))?;
            let call = hook.call_on_tool_call(&mut live.store, tools::ToolCall { id, name, input });
            let answer = timeout(wall(time), call).await;
            let answer = answers::tool_decision(live.told(answer)?)?;
            let verdict = self.with_owed(answer.verdict)?;
            self.live = Some(live);
            Ok(ToolDecision { verdict, ..answer })
        })
    }

    fn on_head<'a>(&'a mut self, head: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>> {
        Box::pin(async move {
            let mut live = match self.seated().await? {
                Ok(live) => live,
                Err(verdict) => {
                    return Ok(HeadDecision { verdict, set: Vec::new(), remove: Vec::new(), notes: Vec::new() });
                }
            };
            let headers = shown::headers(head);
            let time = live.arm(0, 0);
            let hook = live.hooks.bytes.as_ref().ok_or_else(|| not_exported("`bytes`"))?;
            let answer = timeout(wall(time), hook.call_on_head(&mut live.store, shown::head(head, &headers))).await;
            let answer = answers::head_decision(live.told(answer)?)?;
            let verdict = self.with_owed(answer.verdict)?;
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
            let mut live = match self.seated().await? {
                Ok(live) => live,
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
            let verdict = self.with_owed(answer.verdict)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_open_asked_is_not_replaced_by_what_another_instance_asks() {
        let question = |title: &str| Question {
            title: title.into(),
            summary: String::new(),
            approvers: Vec::new(),
            timeout_seconds: 0,
            remember_key: String::new(),
        };
        let mut owed = None;
        for _ in 0..2 {
            assert_eq!(owe(&mut owed, question("may it?")), Ok(()));
        }
        assert!(owe(&mut owed, question("may it still?")).is_err());
        assert_eq!(owed, Some(question("may it?")));
    }
}
