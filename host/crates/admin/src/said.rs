//! Who says something, and why: what every decision of an operator carries.

use serde::Deserialize;

use crate::problem::Problem;

/// Who decides when the request does not say: whoever holds the control token.
const OPERATOR: &str = "admin";
/// Bytes of a name.
const BY_BYTES: usize = 256;

/// What somebody who decides sends; all of it may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Said {
    pub(crate) reason: String,
    pub(crate) by: String,
}

impl Said {
    /// Reads a body; an empty one says nothing.
    pub(crate) fn read(body: &[u8], reason_bytes: usize) -> Result<Self, Problem> {
        if body.is_empty() {
            return Self::default().checked(reason_bytes);
        }
        let said: Self = serde_json::from_slice(body)
            .map_err(|error| Problem::bad_request(format!("the body is not as wanted: {error}")))?;
        said.checked(reason_bytes)
    }

    /// Within its bounds, and by somebody.
    pub(crate) fn checked(mut self, reason_bytes: usize) -> Result<Self, Problem> {
        if self.by.len() > BY_BYTES || self.reason.len() > reason_bytes {
            return Err(Problem::bad_request(format!("`by` has at most {BY_BYTES} bytes, `reason` {reason_bytes}")));
        }
        if self.by.is_empty() {
            OPERATOR.clone_into(&mut self.by);
        }
        Ok(self)
    }
}
