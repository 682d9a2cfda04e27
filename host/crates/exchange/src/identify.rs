//! First stage: who asks.

use std::sync::Arc;

use model::Caller;

use crate::{
    gate::Gate,
    head::Head,
    ports::{Identified, Presented},
    refuse::Stop,
};

/// The caller behind what came with the request; else why there is none, and whose a credential was that has ended.
pub(crate) async fn identify(gate: &Gate, head: &Head) -> Result<Identified, (Stop, Option<Arc<Caller>>)> {
    let credential = head.credential.as_ref().ok_or((Stop::NoCredential, None))?;
    let presented = Presented { credential: &credential.0, certificate: head.certificate };
    gate.identify.identify(presented).await.map_err(Stop::unidentified)
}
