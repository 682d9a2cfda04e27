//! All that may be presented, in one port: tokens that were issued here, static tokens, and what others know.

use std::sync::Arc;

use exchange::ports::{Identified, Identify, Presented, Unidentified};
use futures_util::{FutureExt, future::BoxFuture};

use crate::{Registry, StaticTokens};

/// Who a credential belongs to, of whatever kind it is.
pub struct Credentials {
    registry: Registry,
    tokens: StaticTokens,
    others: Vec<Arc<dyn Identify>>,
}

impl Credentials {
    /// Tokens of the registry, these static ones, and then whoever else may know a credential (identity providers), in
    /// this order.
    #[must_use]
    pub fn new(registry: Registry, tokens: StaticTokens, others: Vec<Arc<dyn Identify>>) -> Self {
        Self { registry, tokens, others }
    }
}

impl Identify for Credentials {
    fn identify<'a>(&'a self, presented: Presented<'a>) -> BoxFuture<'a, Result<Identified, Unidentified>> {
        async move {
            // What has the form of a token of ours is one, or nothing: nobody else is asked about it.
            if Registry::is_token(presented.credential) {
                return self.registry.identify(presented);
            }
            let mut answer = self.tokens.identify(&self.registry, presented);
            for other in &self.others {
                let Err(Unidentified::Unknown) = answer else { break };
                answer = other.identify(presented).await;
            }
            answer
        }
        .boxed()
    }
}
