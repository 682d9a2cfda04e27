//! Drafts of machine code, shared by all policies and versions of policies that are made from the same file.
//!
//! What must hold: a file that is in use is compiled once and optimised once, whatever its settings become meanwhile: who
//! changes them more often than the optimiser needs would keep it from ever getting to its end.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use model::Digest;
use tokio::sync::OnceCell;
use wasmtime::component::Component;

use super::Refused;

/// Code on its way.
type Making = BoxFuture<'static, Result<Component, Refused>>;
/// Better code that is being made, for all that wait for it; when nobody does any more, it ends.
pub(super) type Better = Shared<Making>;

/// One file's draft.
pub(super) struct Draft {
    pub(super) wasm: Arc<[u8]>,
    /// Of `wasm`.
    pub(super) digest: Digest,
    code: OnceCell<Result<Component, Refused>>,
    better: Mutex<Option<WeakShared<Making>>>,
}

impl Draft {
    /// The code, and whether it was there already; `make` makes it, and whoever asks meanwhile waits for that.
    ///
    /// # Errors
    /// What `make` said.
    pub(super) async fn code(
        &self,
        make: impl Future<Output = Result<Component, Refused>>,
    ) -> Result<(Component, bool), Refused> {
        let mut made = false;
        let code = self.code.get_or_init(|| {
            made = true;
            make
        });
        let code = code.await.clone()?;
        Ok((code, !made))
    }

    /// Better code: what is under way, or else `make`.
    pub(super) fn better(&self, make: impl FnOnce() -> Making) -> Better {
        let mut better = self.better.lock().unwrap_or_else(PoisonError::into_inner);
        better.as_ref().and_then(WeakShared::upgrade).unwrap_or_else(|| {
            let made = make().shared();
            *better = made.downgrade();
            made
        })
    }
}

/// The drafts in use.
#[derive(Default)]
pub(super) struct Drafts(Mutex<HashMap<Digest, Weak<Draft>>>);

impl Drafts {
    /// That of this file.
    pub(super) fn of(&self, wasm: Arc<[u8]>, digest: Digest) -> Arc<Draft> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, draft| draft.strong_count() > 0);
        all.get(&digest).and_then(Weak::upgrade).unwrap_or_else(|| {
            let draft = Arc::new(Draft { wasm, digest, code: OnceCell::new(), better: Mutex::default() });
            all.insert(digest, Arc::downgrade(&draft));
            draft
        })
    }
}
