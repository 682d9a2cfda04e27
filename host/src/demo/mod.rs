//! The built-in model behind `portcullis demo`: an upstream that needs no network, so that the first masked answer is
//! one command away. It speaks `openai-chat` by the letter of its specification, since the official SDKs parse it.
//!
//! ```text
//!   model.rs   HTTP: accept, route, pace          ask.rs      the request, checked
//!   speech.rs  the answer as JSON and as events   answer.rs   what the model says, token by token
//! ```
//!
//! What must hold: it stands behind the gate like any other upstream and knows nothing of it; nothing it is told is
//! kept.

mod answer;
mod ask;
mod model;
mod speech;

pub(crate) use model::{Pace, serve};
