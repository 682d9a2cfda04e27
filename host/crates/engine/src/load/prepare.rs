//! One file's way from bytes to a policy that is ready.

use std::{sync::Arc, time::Instant};

use exchange::ports::Policy;
use model::Digest;

use super::{Compiler, Refused, Settings, changes::How, imports, improve::Improvement, shape, sight::Content, stage};
use crate::runtime::{PolicySpec, Runtime};

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
    /// Content of a policy's files.
    pub(super) fn new(id: &str, content: &Content, settings: Settings) -> Self {
        let Content { wasm_digest, digest, .. } = *content;
        Self { id: id.to_owned(), wasm: Arc::clone(&content.wasm), wasm_digest, digest, settings }
    }

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

/// A policy that is ready.
pub(super) struct Ready {
    pub(super) policy: Arc<dyn Policy>,
    pub(super) how: How,
    /// It runs a draft of its code: what is to be done about that, once it is in force.
    pub(super) improvement: Option<Arc<Improvement>>,
}

/// Looks at the outline, checks imports, compiles, and lets the runtime prove it.
///
/// # Errors
/// The first stage that it does not pass.
pub(super) async fn prepare(
    runtime: &Arc<Runtime>,
    compiler: &Arc<Compiler>,
    candidate: Candidate,
) -> Result<Ready, Refused> {
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
    let how = How { took: begun.elapsed(), cached: compiled.cached };
    let improvement = (!compiled.cached).then(|| Arc::new(Improvement::new(compiler, candidate, proven.code)));
    Ok(Ready { policy: proven.policy, how, improvement })
}
