//! Better code for a policy that came into force with a draft of it.
//!
//! What must hold: it is made for the version in force and for no other, so that somebody who saves ten times in a minute
//! keeps one compiler busy and not ten; until it is there, and where it can't be made, the draft serves on.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::{Compiler, Refused, prepare::Candidate};
use crate::runtime::CodeSlot;

/// Optimised code that a policy is to get.
pub(super) struct Improvement {
    compiler: Arc<Compiler>,
    /// None when it is done.
    candidate: Mutex<Option<Arc<Candidate>>>,
    code: CodeSlot,
}

/// An improvement under way; dropped, it ends, and its compiler with it.
pub(super) struct Improving(AbortHandle);

impl Drop for Improving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Improvement {
    pub(super) fn new(compiler: &Arc<Compiler>, candidate: Candidate, code: CodeSlot) -> Self {
        Self { compiler: Arc::clone(compiler), candidate: Mutex::new(Some(Arc::new(candidate))), code }
    }

    /// Begins it, if it is not done yet.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Improving> {
        let candidate = self.candidate.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let this = Arc::clone(self);
        Some(Improving(tokio::spawn(async move { this.make(&candidate).await }).abort_handle()))
    }

    async fn make(&self, candidate: &Candidate) {
        self.compiler.keep_spare();
        let better = self.compiler.optimise(&candidate.wasm, candidate.wasm_digest).await;
        let put = |component| self.code.replace(&component).map_err(|error| Refused::new(error.stage, error.message));
        if let Err(refused) = better.and_then(put) {
            tracing::warn!(policy = candidate.id, %refused, "its code could not be optimised; it runs as it is");
        }
        *self.candidate.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
