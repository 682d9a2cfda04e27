//! One file's way from bytes to a policy that is ready.

use std::{sync::Arc, time::Instant};

use exchange::ports::Policy;
use model::Digest;

use super::{Compiler, Refused, Settings, changes::How, imports, shape, stage};
use crate::runtime::{CodeSlot, PolicySpec, Runtime};

/// A file that may become a policy.
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) wasm: Arc<[u8]>,
    pub(super) wasm_digest: Digest,
    /// Over the file and its settings.
    pub(super) digest: Digest,
    pub(super) settings: Settings,
}

impl Candidate {
    /// What the runtime needs to know of it.
    pub(super) fn spec(&self) -> PolicySpec {
        let Settings { order, mode, on_failure, connections, grants, limits, settings_json, required: _ } =
            &self.settings;
        PolicySpec {
            id: self.id.clone(),
            digest: self.digest,
            wasm_digest: self.wasm_digest,
            order: *order,
            mode: *mode,
            on_failure: *on_failure,
            connections: connections.clone(),
            limits: *limits,
            grants: *grants,
            settings_json: settings_json.clone(),
        }
    }
}

/// Looks at the outline, checks imports, compiles, and lets the runtime prove it. A policy that starts with a draft of its
/// code gets better code when that is ready.
///
/// # Errors
/// The first stage that it does not pass.
pub(super) async fn prepare(
    runtime: &Arc<Runtime>,
    compiler: &Arc<Compiler>,
    candidate: Candidate,
) -> Result<(Arc<dyn Policy>, How), Refused> {
    let begun = Instant::now();
    let (wasm, grants) = (Arc::clone(&candidate.wasm), candidate.settings.grants);
    // Tens of megabytes take a while even to skim.
    tokio::task::spawn_blocking(move || shape::look(&wasm).and_then(|shape| imports::check(&shape, grants)))
        .await
        .map_err(|error| Refused::new(stage::VALIDATE, format!("the host failed while looking at it: {error}")))??;
    let spec = candidate.spec();
    let compiled = compiler.compile(Arc::clone(&candidate.wasm), candidate.wasm_digest).await?;
    let proven =
        runtime.prepare(compiled.component, spec).await.map_err(|error| Refused::new(error.stage, error.message))?;
    if !compiled.cached {
        tokio::spawn(improve(Arc::clone(compiler), candidate, proven.code));
    }
    Ok((proven.policy, How { took: begun.elapsed(), cached: compiled.cached }))
}

/// Puts optimised code in a draft's place. Where that can't be made, the draft serves on: it is the same policy.
async fn improve(compiler: Arc<Compiler>, candidate: Candidate, code: CodeSlot) {
    compiler.keep_spare();
    let better = compiler.optimise(&candidate.wasm, candidate.wasm_digest).await;
    if let Err(refused) =
        better.and_then(|component| code.replace(&component).map_err(|error| Refused::new(error.stage, error.message)))
    {
        tracing::warn!(policy = candidate.id, %refused, "its code could not be optimised; it runs as it is");
    }
}
