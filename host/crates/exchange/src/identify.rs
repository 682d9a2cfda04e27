//! First stage: who asks.

use crate::{gate::Gate, head::Head, ports::Identified, refuse::Stop};

/// The caller behind the request's credential.
pub(crate) fn identify(gate: &Gate, head: &Head) -> Result<Identified, Stop> {
    let credential = head.credential.as_ref().ok_or(Stop::NoCredential)?;
    gate.identify.identify(&credential.0).map_err(|_| Stop::UnknownCredential)
}
