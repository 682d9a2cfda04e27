//! First stage: who asks.

use crate::{
    gate::Gate,
    head::Head,
    ports::{Identified, Presented, Unidentified},
    refuse::Stop,
};

/// The caller behind what came with the request.
pub(crate) async fn identify(gate: &Gate, head: &Head) -> Result<Identified, Stop> {
    let credential = head.credential.as_ref().ok_or(Stop::NoCredential)?;
    let presented = Presented { credential: &credential.0, certificate: head.certificate };
    gate.identify.identify(presented).await.map_err(|error| match error {
        Unidentified::Unknown => Stop::UnknownCredential,
        Unidentified::Ended(ended) => Stop::Ended(ended),
        Unidentified::WrongCertificate => Stop::WrongCertificate,
        Unidentified::Unavailable(cause) => Stop::NoIdentity(cause),
    })
}
