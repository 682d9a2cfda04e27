//! One call of each hook that is due, on harmless input: a policy that traps on it, or breaks the contract, is not
//! put in force.

use std::{sync::Arc, time::Duration};

use exchange::ports::{About, Conversation, ConversationPart, Failure, Guest, Head, Summary, Window};
use model::{Attribute, Caller, Channel, Direction, ExchangeId, Outcome, PartId, Plan, SessionId, Speaker, Usage};

use super::{
    blueprint::Blueprint,
    guest::Seat,
    prepare::{PrepareError, fail},
    state::State,
};

const TEXT: &str = "Hello. How are you?";

/// Calls each hook once, on an instance of its own; whatever verdict comes is good.
pub(super) async fn run(blueprint: &Arc<Blueprint>, plan: &Plan, state: &Arc<State>) -> Result<(), PrepareError> {
    let hooks = plan.hooks;
    let about = Arc::new(about(if hooks.conversation || hooks.text || hooks.tools { "openai-chat" } else { "raw" }));
    let seat = || Seat::new(blueprint, &about, state);
    let failed = |hook: &str, failure: Failure| fail("trial")(&format!("{hook}, on harmless input: {failure}"));
    seat().open().await.map_err(|failure| failed("`open`", failure))?;
    if hooks.conversation {
        seat().on_request(&request()).await.map_err(|failure| failed("`on-request`", failure))?;
    }
    if let Some(window) = window(plan) {
        seat().on_text(window).await.map_err(|failure| failed("`on-text`", failure))?;
    }
    if hooks.tools {
        let call = seat().on_tool_call("call_1", "get_weather", r#"{"city":"Paris"}"#).await;
        call.map_err(|failure| failed("`on-tool-call`", failure))?;
    }
    if hooks.head {
        seat().on_head(&head()).await.map_err(|failure| failed("`on-head`", failure))?;
    }
    if hooks.body {
        let body = seat().on_body(Direction::Request, TEXT.as_bytes(), 0, true).await;
        body.map_err(|failure| failed("`on-body`", failure))?;
    }
    if hooks.audit {
        let (usage, duration) = (Usage { input_tokens: 12, output_tokens: 5 }, Duration::from_millis(700));
        let summary = Summary { outcome: Outcome::Completed, usage, duration };
        seat().on_end(&summary).await.map_err(|failure| failed("`on-end`", failure))?;
    }
    Ok(())
}

fn about(dialect: &'static str) -> About {
    let caller =
        Caller { subject: "trial".to_owned(), issuer: "token".to_owned(), groups: Vec::new(), claims: "{}".to_owned() };
    let begun = About::begun(ExchangeId::new(), SessionId::new(), caller, "trial", dialect);
    About { model: "trial".into(), ..begun }
}

fn request() -> Conversation {
    let part =
        ConversationPart { part: PartId(0), channel: Channel::Content, speaker: Speaker::User, text: TEXT.to_owned() };
    Conversation {
        model: "trial".into(),
        parts: vec![part],
        tools: Vec::new(),
        parameters: r#"{"temperature":0.5}"#.to_owned(),
    }
}

/// A window that the plan wants; none when it wants none of this text.
fn window(plan: &Plan) -> Option<Window<'static>> {
    let direction = plan.directions.first().copied().unwrap_or(Direction::Response);
    let wanted = Channel::ALL.iter().flat_map(|channel| Speaker::ALL.iter().map(|speaker| (*channel, *speaker)));
    let (channel, speaker) = wanted.into_iter().find(|(channel, speaker)| plan.wants(direction, *channel, *speaker))?;
    (!plan.only_on_hit).then_some(Window {
        direction,
        channel,
        speaker,
        part: PartId(0),
        before: "",
        pending: TEXT,
        fresh: 0,
        last: true,
        hits: &[],
    })
}

fn head() -> Head {
    Head {
        direction: Direction::Request,
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        status: 0,
        headers: vec![Attribute { name: "content-type".into(), value: "application/json".into() }],
    }
}
