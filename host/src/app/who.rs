//! Who asks: from the configuration to what knows callers, their grants, and what was issued and revoked.

use std::sync::Arc;

use anyhow::Context;
use exchange::{
    ports::{ControlLog, Identify, Recorder, TurnedAway},
    record::turned_away,
};
use identity::{
    Access, AccessTerms, Credentials, Direct, Grants, Issuers, Oauth, Registry, Signals, StaticToken, StaticTokens,
    TurnAway,
};

use super::terms;
use crate::config::{self, Config};

/// All that knows who somebody is.
pub(super) struct Who {
    /// What was issued and revoked.
    pub(super) registry: Registry,
    /// Whoever a credential belongs to, of whatever kind it is.
    pub(super) credentials: Arc<dyn Identify>,
    /// Those who are trusted to say who somebody is; kept fresh by [`Issuers::keep`].
    pub(super) issuers: Arc<Issuers>,
    /// Requests for access that a person must agree to.
    pub(super) access: Access,
    /// The token endpoint, where there is one.
    pub(super) oauth: Option<Arc<Oauth>>,
    /// Who takes what issuers report; none where nobody may.
    pub(super) signals: Option<Arc<Signals>>,
}

impl Who {
    /// As the configuration says, with what this log holds of the time before; who is refused is told to the recorder.
    ///
    /// # Errors
    /// When the log can't be read, or a configuration can't be meant that was checked.
    pub(super) fn open(
        config: &Config,
        log: &Arc<dyn ControlLog>,
        recorder: &Arc<dyn Recorder>,
    ) -> anyhow::Result<Self> {
        let grants = Arc::new(Grants::new(config.grants.clone())?);
        let registry = Registry::open(Arc::clone(log), terms::registry(&config.limits))?.held_to(&grants);
        let issuers = Issuers::new(config.issuers.iter().cloned())?.waiting_at_most(config.limits.for_strangers());
        let issuers = Arc::new(issuers);
        let access = Access::open(Arc::clone(log), Arc::clone(&grants), AccessTerms::default(), registry.clone())?;
        let direct = Direct::new(Arc::clone(&issuers), Arc::clone(&grants), registry.clone());
        let tokens = StaticTokens::new(config.tokens.iter().map(static_token));
        let oauth = config.oauth.clone().map(|terms| {
            let told = Arc::clone(recorder);
            let turned_away: TurnAway = Arc::new(move |refused: &TurnedAway<'_>, detail: &str| {
                turned_away(&*told, None, refused, detail);
            });
            let (issuers, grants) = (Arc::clone(&issuers), Arc::clone(&grants));
            Oauth::new(terms, issuers, grants, registry.clone(), access.clone(), turned_away).map(Arc::new)
        });
        let transmitters = config.signals.iter().cloned();
        let signals = Signals::new(transmitters, Arc::clone(&issuers), registry.clone()).context("[[signals]]")?;
        Ok(Self {
            signals: (!config.signals.is_empty()).then(|| Arc::new(signals)),
            credentials: Arc::new(Credentials::new(registry.clone(), tokens, vec![Arc::new(direct)])),
            registry,
            issuers,
            access,
            oauth: oauth.transpose().context("[oauth]")?,
        })
    }
}

fn static_token(token: &config::Token) -> StaticToken {
    StaticToken {
        name: token.name.clone(),
        digest: token.digest,
        scope: token.scope.clone(),
        groups: token.groups.clone(),
        expires_ms: token.expires_ms,
    }
}
