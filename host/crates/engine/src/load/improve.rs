//! Better code for a policy that came into force with a draft of it.
//!
//! What must hold: it is made for what is in force and for nothing else, so that somebody who saves ten times in a minute
//! keeps one compiler busy and not ten; until it is there, and where it can't be made, the draft serves on.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;

use super::{
    Compiler, Refused,
    draft::{Better, Draft},
};
use crate::runtime::CodeSlot;

/// Optimised code that a policy is to get.
pub(super) struct Improvement {
    compiler: Arc<Compiler>,
    /// The policy, for the log.
    id: String,
    /// None when it is done.
    draft: Mutex<Option<Arc<Draft>>>,
    code: CodeSlot,
}

/// An improvement under way; dropped, it ends, and its compiler with it if no other policy waits for that.
pub(super) struct Improving(AbortHandle);

impl Drop for Improving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Improvement {
    pub(super) fn new(compiler: &Arc<Compiler>, id: &str, draft: Arc<Draft>, code: CodeSlot) -> Self {
        Self { compiler: Arc::clone(compiler), id: id.to_owned(), draft: Mutex::new(Some(draft)), code }
    }

    /// Begins it, if it is not done yet. What is made of the same file at this moment is waited for, not made again.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Improving> {
        let draft = self.draft.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let better = self.compiler.better(&draft);
        let this = Arc::clone(self);
        Some(Improving(tokio::spawn(async move { this.make(better).await }).abort_handle()))
    }

    async fn make(&self, better: Better) {
        self.compiler.keep_spare();
        let put = |component| self.code.replace(&component).map_err(|error| Refused::new(error.stage, error.message));
        if let Err(refused) = better.await.and_then(put) {
            tracing::warn!(policy = self.id, %refused, "its code could not be optimised; it runs as it is");
        }
        *self.draft.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
