//! OpenAI's endpoints, and those of the many that copy them: one module for each dialect, all with the same file names
//! (`request`, `response`, `stream`, `refusal`), and beside them what they share.

mod chat;
mod complain;
mod errors;
mod logprobs;
mod models;
mod names;
mod responses;
mod terms;

use crate::Endpoint;

/// The endpoint at this method and path.
pub(crate) fn claim(method: &str, path: &str) -> Option<&'static dyn Endpoint> {
    match method {
        "POST" if path.ends_with("/chat/completions") => Some(&chat::Chat),
        "GET" if path.ends_with("/models") => Some(&models::Models),
        _ => responses::claim(method, path),
    }
}

/// What is wrong with a value: what should stand there.
type Wrong = &'static str;
