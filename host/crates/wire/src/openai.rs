//! OpenAI's endpoints.

use crate::Endpoint;

/// The endpoint at this method and path.
pub(crate) fn claim(_method: &str, _path: &str) -> Option<&'static dyn Endpoint> {
    None
}
