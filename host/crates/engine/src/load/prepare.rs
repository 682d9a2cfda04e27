//! One file's way from bytes to a policy that is ready.

use std::{sync::Arc, time::Instant};

use exchange::ports::Policy;
use model::Digest;

use super::{
    Compiler, Refused, Settings, SettingsError,
    changes::How,
    imports,
    improve::Improvement,
    shape,
    sight::{Content, settings_file},
    stage,
};
use crate::runtime::{PolicySpec, PrepareError, Runtime};

/// A file that may become a policy.
pub(super) struct Candidate {
    pub(super) id: String,
    pub(super) wasm: Arc<[u8]>,
    pub(super) wasm_digest: Digest,
    /// Over the file and its settings.
    pub(super) digest: Digest,
    pub(super) settings: Settings,
    /// The text of the settings file, where there is one.
    pub(super) settings_text: Option<Arc<str>>,
}

impl Candidate {
    /// Content of a policy's files.
    pub(super) fn new(id: &str, content: &Content, settings: Settings) -> Self {
        let Content { wasm_digest, digest, .. } = *content;
        let (wasm, settings_text) = (Arc::clone(&content.wasm), content.settings_text.clone());
        Self { id: id.to_owned(), wasm, wasm_digest, digest, settings, settings_text }
    }

    /// Why the runtime does not take it: the settings file is to blame where one says what the policy does not take.
    pub(super) fn refused(&self, error: PrepareError) -> Refused {
        let PrepareError { stage, message, problems } = error;
        let refused = Refused::new(stage, message);
        let Some(text) = self.settings_text.as_ref().filter(|_| !problems.is_empty()) else { return refused };
        let told = SettingsError::of_policy(settings_file(&self.id), text, &problems);
        Refused { message: told.to_string(), settings: Some(Box::new(told)), ..refused }
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
    let proven = runtime.prepare(compiled.component, spec).await.map_err(|error| candidate.refused(error))?;
    let how = How { took: begun.elapsed(), cached: compiled.cached };
    let improvement =
        compiled.draft.map(|draft| Arc::new(Improvement::new(compiler, &candidate.id, draft, proven.code)));
    Ok(Ready { policy: proven.policy, how, improvement })
}
