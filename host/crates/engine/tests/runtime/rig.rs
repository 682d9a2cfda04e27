//! What the tests of the runtime share: a runtime, a policy made of a guest, an exchange.

use std::{sync::Arc, time::Duration};

use engine::{Grants, PolicySpec, PrepareError, Runtime, RuntimeConfig};
use exchange::ports::{About, Failure, Policy, Window};
use model::{
    Caller, Channel, Decision, Digest, Direction, ExchangeId, FailureMode, Mode, PartId, PolicyLimits, SessionId,
    Speaker,
};
use wasmtime::component::Component;

use crate::guests::{Guest, Record};

/// The part on which guests of these tests do what they are there for; the trial shows part 0.
pub const NOW: u32 = 7;

pub fn runtime() -> Arc<Runtime> {
    Runtime::new(RuntimeConfig { memories: 8, ..RuntimeConfig::default() }).unwrap()
}

pub fn spec() -> PolicySpec {
    PolicySpec {
        id: "by-hand".to_owned(),
        digest: Digest([1; 32]),
        wasm_digest: Digest([2; 32]),
        order: 3,
        mode: Mode::Enforce,
        on_failure: FailureMode::Closed,
        connections: Vec::new(),
        limits: PolicyLimits {
            time_per_call: Duration::from_millis(20),
            memory_bytes: 4 << 20,
            hold_back_bytes: 64,
            answer_bytes: 64 << 10,
        },
        grants: Grants::default(),
        settings_json: "{}".to_owned(),
    }
}

pub async fn prepare(guest: Guest) -> Result<Arc<dyn Policy>, PrepareError> {
    prepare_with(&runtime(), guest, spec()).await
}

pub async fn prepare_with(
    runtime: &Arc<Runtime>,
    guest: Guest,
    spec: PolicySpec,
) -> Result<Arc<dyn Policy>, PrepareError> {
    let component = Component::new(runtime.engine(), guest.build()).unwrap();
    runtime.prepare(component, spec).await.map(|proven| proven.policy)
}

/// Why a policy is refused.
pub async fn refused(guest: Guest) -> PrepareError {
    prepare(guest).await.err().expect("it is refused")
}

pub fn about() -> Arc<About> {
    about_in(SessionId::new())
}

pub fn about_in(session: SessionId) -> Arc<About> {
    let caller = Caller { subject: "ada".to_owned(), issuer: "token".to_owned(), ..Caller::default() };
    let begun = About::begun(ExchangeId::new(), session, caller, "main", "openai-chat");
    Arc::new(About { model: "m".into(), streaming: true, ..begun })
}

pub fn window(part: u32, pending: &str) -> Window<'_> {
    Window {
        direction: Direction::Response,
        channel: Channel::Content,
        speaker: Speaker::Assistant,
        part: PartId(part),
        before: "",
        pending,
        fresh: 0,
        last: false,
        hits: &[],
    }
}

/// A guest that does `body` on part [`NOW`], and else allows.
pub fn on_now(body: &str) -> Guest {
    let mut guest = Guest::new();
    let allow = guest.decision((0, &Record::default()), &[], 0, &[]);
    guest.on_text(&format!("(if (i32.eq (local.get $part) (i32.const {NOW})) (then {body})) (i32.const {allow})"))
}

/// What a guest's answer on part [`NOW`] leads to.
pub async fn judged(guest: Guest, pending: &str) -> Result<Decision, Failure> {
    prepare(guest).await.unwrap().guest(&about()).on_text(window(NOW, pending)).await
}
