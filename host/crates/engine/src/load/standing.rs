//! What stands in the place of a policy that was in the folder when the host started and could not be loaded.
//!
//! There is no last good version of it then, and starting without it would open a gate that the operator wants shut. So
//! every exchange that it would have guarded ends, until its file is mended or taken away, or its settings say
//! `on_failure = "open"`.

use std::sync::Arc;

use exchange::ports::{
    About, BodyDecision, Conversation, ConversationDecision, Failure, FailureKind, Guest, Head, HeadDecision, Policy,
    Summary, ToolDecision, Window,
};
use futures_util::future::BoxFuture;
use model::{Attribute, Decision, Digest, Direction, FailureMode, Hooks, Mode, Plan, PolicyInfo, Scan, Verdict};

use super::{Settings, digest::of_fields};

/// A policy that fails at every call, and is in force.
pub(super) struct StandIn {
    info: PolicyInfo,
    plan: Plan,
    failure: Failure,
}

impl StandIn {
    /// For the policy `id`, which could not be loaded because of `why`; with the settings that could be read.
    pub(super) fn new(id: &str, settings: &Settings, content: Option<Digest>, why: &str) -> Self {
        let content = content.unwrap_or_default();
        let order = settings.order.to_be_bytes();
        let fields: [&[u8]; 4] = [b"portcullis stand-in", id.as_bytes(), &content.0, &order];
        let connections = settings.connections.iter().map(String::as_bytes);
        let info = PolicyInfo {
            id: id.to_owned(),
            name: id.to_owned(),
            version: String::new(),
            summary: "stands in for a policy that could not be loaded, and blocks what it guards".to_owned(),
            digest: of_fields(fields.into_iter().chain(connections)),
            wasm_digest: Digest::default(),
            order: settings.order,
            mode: Mode::Enforce,
            on_failure: FailureMode::Closed,
            connections: settings.connections.clone(),
            limits: settings.limits,
        };
        let hooks =
            Hooks { open: true, conversation: true, text: true, tools: true, head: true, body: true, audit: false };
        let message = format!("policy {id} could not be loaded: {why}");
        Self {
            info,
            plan: Plan { hooks, ..Plan::default() },
            failure: Failure { kind: FailureKind::Instance, message },
        }
    }
}

impl Policy for StandIn {
    fn info(&self) -> &PolicyInfo {
        &self.info
    }

    fn plan(&self) -> &Plan {
        &self.plan
    }

    fn stands_in(&self) -> bool {
        true
    }

    fn scan(&self, _before: &str, _pending: &str, _last: bool) -> Scan {
        Scan::default()
    }

    fn guest(&self, _exchange: &Arc<About>) -> Box<dyn Guest> {
        Box::new(NoGuest(self.failure.clone()))
    }
}

struct NoGuest(Failure);

impl NoGuest {
    fn fail<T: Send + 'static>(&self) -> BoxFuture<'static, Result<T, Failure>> {
        Box::pin(std::future::ready(Err(self.0.clone())))
    }
}

impl Guest for NoGuest {
    fn open(&mut self) -> BoxFuture<'_, Result<Verdict, Failure>> {
        self.fail()
    }

    fn on_request<'a>(&'a mut self, _: &'a Conversation) -> BoxFuture<'a, Result<ConversationDecision, Failure>> {
        self.fail()
    }

    fn on_text<'a>(&'a mut self, _: Window<'a>) -> BoxFuture<'a, Result<Decision, Failure>> {
        self.fail()
    }

    fn on_tool_call<'a>(
        &'a mut self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<ToolDecision, Failure>> {
        self.fail()
    }

    fn on_head<'a>(&'a mut self, _: &'a Head) -> BoxFuture<'a, Result<HeadDecision, Failure>> {
        self.fail()
    }

    fn on_body<'a>(
        &'a mut self,
        _: Direction,
        _: &'a [u8],
        _: usize,
        _: bool,
    ) -> BoxFuture<'a, Result<BodyDecision, Failure>> {
        self.fail()
    }

    fn on_end<'a>(&'a mut self, _: &'a Summary) -> BoxFuture<'a, Result<Vec<Attribute>, Failure>> {
        self.fail()
    }
}
