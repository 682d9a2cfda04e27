//! OpenAI's endpoints, and those of the many that copy them: one module for each dialect, all with the same file names
//! (`request`, `response`, `stream`, `refusal`), and beside them what they share.

mod chat;
mod choices;
mod complain;
mod completions;
mod embeddings;
mod errors;
mod inputs;
pub(crate) mod logprobs;
mod models;
mod names;
mod offers;
mod responses;
pub(crate) mod terms;

use crate::Endpoint;

/// The endpoint at this method, path and query (with its `?`, or empty). Azure's paths (`/openai/deployments/NAME/chat/completions`)
/// end as the others.
pub(crate) fn claim(method: &str, path: &str, query: &str) -> Option<&'static dyn Endpoint> {
    match method {
        "POST" if path.ends_with("/chat/completions") => Some(&chat::Chat),
        "POST" if path.ends_with("/completions") => Some(&completions::Completions),
        "POST" if path.ends_with("/embeddings") => Some(&embeddings::Numbers::Embeddings),
        "POST" if path.ends_with("/moderations") => Some(&embeddings::Numbers::Moderations),
        "GET" if names_models(path) => Some(&models::Models),
        _ => responses::claim(method, path, query),
    }
}

/// Whether a path names the list of models, or one of them; a model's name may have slashes in it.
fn names_models(path: &str) -> bool {
    path.ends_with("/models")
        || path
            .split_once("/models/")
            .is_some_and(|(_, id)| id.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// The endpoint whose form the most callers of this family read.
pub(crate) fn spokesman() -> &'static dyn Endpoint {
    &chat::Chat
}

/// What is wrong with a value: what should stand there.
type Wrong = &'static str;
