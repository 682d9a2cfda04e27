//! Between the contract's free functions and a [`Policy`]: keeps the one policy of this instance and hands it each
//! call.
//!
//! The configured policy lies in one slot behind a vtable, so that only [`configure`](Policy::configure) is compiled
//! once per policy and everything else once.

use std::{cell::RefCell, marker::PhantomData};

use crate::{
    Attribute, BodyDecision, Chunk, Decision, Exchange, Head, HeadDecision, Hooks, Metadata, Plan, Policy, Problem,
    Request, RequestDecision, Summary, ToolCall, ToolDecision, Verdict, Window,
    bindings::{
        audit::exports::portcullis::policy::audit, bytes::exports::portcullis::policy::bytes,
        conversation::exports::portcullis::policy::conversation, policy::exports::portcullis::policy::policy,
        text::exports::portcullis::policy::text, tools::exports::portcullis::policy::tools,
    },
    settings::settings,
};

/// What [`export!`](crate::export) exports for a policy: `open`, and the hooks whose bits are set.
pub struct Guest<P, const EXPORTED: u8>(PhantomData<P>);

/// [`Policy`] without the parts that have no object behind them.
trait Hooked {
    fn open(&mut self, exchange: &Exchange) -> Result<Verdict, String>;
    fn on_request(&mut self, request: &Request) -> Result<RequestDecision, String>;
    fn on_text(&mut self, window: &Window) -> Result<Decision, String>;
    fn on_tool_call(&mut self, call: &ToolCall) -> Result<ToolDecision, String>;
    fn on_head(&mut self, head: &Head) -> Result<HeadDecision, String>;
    fn on_body(&mut self, chunk: &Chunk) -> Result<BodyDecision, String>;
    fn on_end(&mut self, summary: &Summary) -> Vec<Attribute>;
}

impl<P: Policy> Hooked for P {
    fn open(&mut self, exchange: &Exchange) -> Result<Verdict, String> {
        Policy::open(self, exchange)
    }
    fn on_request(&mut self, request: &Request) -> Result<RequestDecision, String> {
        Policy::on_request(self, request)
    }
    fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
        Policy::on_text(self, window)
    }
    fn on_tool_call(&mut self, call: &ToolCall) -> Result<ToolDecision, String> {
        Policy::on_tool_call(self, call)
    }
    fn on_head(&mut self, head: &Head) -> Result<HeadDecision, String> {
        Policy::on_head(self, head)
    }
    fn on_body(&mut self, chunk: &Chunk) -> Result<BodyDecision, String> {
        Policy::on_body(self, chunk)
    }
    fn on_end(&mut self, summary: &Summary) -> Vec<Attribute> {
        Policy::on_end(self, summary)
    }
}

thread_local! {
    /// The policy of this instance, from its first call on.
    static INSTANCE: RefCell<Option<Box<dyn Hooked>>> = const { RefCell::new(None) };
}

/// Calls the policy of this instance; a hook before `configure` is the host's mistake and answers `err`.
fn call<T>(hook: impl FnOnce(&mut dyn Hooked) -> Result<T, String>) -> Result<T, String> {
    // Out of its slot while it works: so the slot is looked up once for all hooks.
    let mut policy = INSTANCE.take().ok_or("called before it was configured")?;
    let answer = hook(policy.as_mut());
    INSTANCE.set(Some(policy));
    answer
}

/// Holds a plan to what is exported: the host never calls a hook that a component does not have, and what a plan asks
/// for would pass unseen.
fn exported(asked: Hooks, exported: u8) -> Result<(), Vec<Problem>> {
    let missing = asked - Hooks::OPEN - Hooks::from_bits_retain(exported);
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter_names().map(|(name, _)| name).collect();
    let message = ["the plan asks for ", &names.join(", "), ", which `export!` does not name"].concat();
    Err(vec![Problem::new("", message)])
}

impl<P: Policy, const EXPORTED: u8> policy::Guest for Guest<P, EXPORTED> {
    fn describe() -> Metadata {
        P::describe()
    }

    fn configure(json: String) -> Result<policy::Plan, Vec<Problem>> {
        let (policy, plan) = settings(&json).and_then(P::configure)?;
        exported(plan.hooks(), EXPORTED)?;
        INSTANCE.set(Some(Box::new(policy)));
        Ok(Plan::into_raw(plan))
    }

    fn open(exchange: Exchange) -> Result<Verdict, String> {
        call(|policy| policy.open(&exchange))
    }
}

impl<P: Policy, const EXPORTED: u8> conversation::Guest for Guest<P, EXPORTED> {
    fn on_request(request: Request) -> Result<RequestDecision, String> {
        call(|policy| policy.on_request(&request))
    }
}

impl<P: Policy, const EXPORTED: u8> text::Guest for Guest<P, EXPORTED> {
    fn on_text(window: Window) -> Result<Decision, String> {
        call(|policy| policy.on_text(&window))
    }
}

impl<P: Policy, const EXPORTED: u8> tools::Guest for Guest<P, EXPORTED> {
    fn on_tool_call(proposed: ToolCall) -> Result<ToolDecision, String> {
        call(|policy| policy.on_tool_call(&proposed))
    }
}

impl<P: Policy, const EXPORTED: u8> bytes::Guest for Guest<P, EXPORTED> {
    fn on_head(head: Head) -> Result<HeadDecision, String> {
        call(|policy| policy.on_head(&head))
    }

    fn on_body(chunk: Chunk) -> Result<BodyDecision, String> {
        call(|policy| policy.on_body(&chunk))
    }
}

impl<P: Policy, const EXPORTED: u8> audit::Guest for Guest<P, EXPORTED> {
    fn on_end(summary: Summary) -> Vec<Attribute> {
        // The exchange is over: with nobody configured there is nothing to say, and nothing to protect.
        call(|policy| Ok(policy.on_end(&summary))).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoSettings, bindings};

    struct Both;

    impl Policy for Both {
        type Settings = NoSettings;

        fn describe() -> Metadata {
            Metadata::new("both", "1.0.0", "wants two hooks")
        }

        fn configure(_: NoSettings) -> Result<(Self, Plan), Vec<Problem>> {
            Ok((Self, Plan::new(Hooks::OPEN | Hooks::TEXT | Hooks::TOOLS)))
        }
    }

    #[test]
    fn a_plan_that_asks_for_what_is_not_exported_is_refused() {
        const TEXT: u8 = bindings::text::HOOKS;
        const TOO: u8 = TEXT | bindings::tools::HOOKS;
        let refused = <Guest<Both, TEXT> as policy::Guest>::configure(String::new()).expect_err("must not load");
        assert_eq!(refused[0].message, "the plan asks for TOOLS, which `export!` does not name");
        assert!(<Guest<Both, TOO> as policy::Guest>::configure(String::new()).is_ok());
    }
}
