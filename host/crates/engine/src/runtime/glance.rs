//! One look for the patterns of all policies of a set.

use std::{any::Any, sync::Arc};

use exchange::ports::{Glance, Policy, PolicySet, Spared};
use patterns::Patterns;

use super::prepare::Prepared;

/// A glance, and the patterns that it looks for.
struct Joined {
    /// By the places of their policies; none where a policy has no patterns that can be looked for.
    plans: Vec<Option<Arc<Patterns>>>,
    glance: patterns::Glance,
}

impl Glance for Joined {
    fn spares(&self, pending: &str, last: bool) -> Spared {
        Spared(self.glance.spares(pending, last))
    }
}

/// A glance for these policies, which may be that of the set before; `None` where it would spare nothing.
pub(crate) fn glance(policies: &[Arc<dyn Policy>], before: Option<&PolicySet>) -> Option<Arc<dyn Glance>> {
    let plans: Vec<_> = policies.iter().map(|policy| patterns_of(&**policy)).collect();
    if let Some(before) = before.and_then(|set| set.glance.as_ref()).filter(|glance| looks_for(&***glance, &plans)) {
        return Some(Arc::clone(before));
    }
    let numbered = plans.iter().enumerate().filter_map(|(place, plan)| Some((place, &**plan.as_ref()?)));
    let glance = patterns::Glance::new(numbered)?;
    Some(Arc::new(Joined { plans, glance }))
}

fn patterns_of(policy: &dyn Policy) -> Option<Arc<Patterns>> {
    let policy: &dyn Any = policy;
    policy.downcast_ref::<Prepared>()?.patterns().filter(|patterns| !patterns.is_empty()).cloned()
}

/// Whether a glance is one for these.
fn looks_for(glance: &dyn Glance, plans: &[Option<Arc<Patterns>>]) -> bool {
    let glance: &dyn Any = glance;
    let Some(Joined { plans: known, .. }) = glance.downcast_ref() else { return false };
    let which = |plan: &Option<Arc<Patterns>>| plan.as_ref().map(Arc::as_ptr);
    known.iter().map(which).eq(plans.iter().map(which))
}
