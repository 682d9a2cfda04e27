//! Dialects: what the bytes of a request or a response say, and how to say it again with some of its text changed.
//!
//! ```text
//!             push(bytes)                       next()
//!   network ──────────────▶ ┌──────────────┐ ──────────────▶ judge: parts of text, tool calls
//!                           │     Flow     │
//!   network ◀────────────── └──────────────┘ ◀────────────── release(part, upto, changes)
//!             take()
//! ```
//!
//! A [`Flow`] is one direction of one exchange. It owns every byte that has come in and not yet left: a frame
//! (an SSE event, a whole JSON body) leaves when all text in it is released, untouched where nothing in it changed.
//!
//! What must hold: pure (no I/O, no clock, no tokio); nothing leaves that was not released; the parts of a message do
//! not depend on where the network cut it; what has been taken is valid at every prefix.
//!
//! To read it in order:
//!
//! 1. The shape: `flow` (what each direction is), `dialect` (who claims an endpoint), `target` and `media` (what path and
//!    content type say), `error`.
//! 2. From bytes to documents: `documents` (the one flow of JSON), with its framings `sse`, `lines`, `array`, and `json`.
//!    Flows of other bodies: `text`, `raw`, `nothing` (no body), `views` (services that no dialect knows).
//! 3. From a document to what is told: `sheet` (a dialect says what stands where), `parts` (what was told and decided),
//!    `frame` (the bytes that wait), `anew` (what of them is told again), `splice` (what tools and patches change).
//! 4. What is told so that nothing hides: `seams` (texts that are read as one), `tracks` (kinds of text that come in pieces),
//!    `strays` (strings that a dialect does not know), `named`
//!    (values with their names), `nested` (arguments: JSON in a string).
//! 5. What need not be told, and what must not differ: `words` (of protocols), `case` and `schema` (how names are spelled),
//!    `event_name`, `typed` (types that some clients check), `breaks` (where some clients end lines).
//! 6. The dialects: `openai`, `anthropic`, `gemini`, `ollama`, `mcp`, with the same file names where they have the same roles.

mod anew;
mod anthropic;
mod array;
mod breaks;
mod case;
mod dialect;
mod documents;
mod error;
mod event_name;
mod extra;
mod flow;
mod frame;
mod gemini;
mod hosted;
mod json;
mod lines;
mod mcp;
mod media;
mod named;
mod nested;
mod nothing;
mod ollama;
mod openai;
mod parts;
mod path;
mod raw;
mod schema;
mod seams;
mod sheet;
mod splice;
mod sse;
mod strays;
mod target;
mod text;
mod tracks;
mod typed;
mod unread;
mod views;
mod words;

pub use dialect::{
    Answer, Broken, Complaint, DIALECTS, Endpoint, Limits, Unclaimed, claim, endpoint, name_of, spokesman,
};
pub use error::Malformed;
pub use flow::{Asked, Change, Finds, Flow, ReplyTo, Step, Tool, ToolCall, ToolCallId, taken};
pub use json::literal::escaped;
pub use target::{ambiguity, chooses_model, mentions_model, named_path, names_model_within};
pub use views::any_document;
