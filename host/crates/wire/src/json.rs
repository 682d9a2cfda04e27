//! JSON that keeps its offsets: a strict reader that says where each value stands in the bytes, and literals that can
//! be changed in place. Why this is our own: `host/docs/decisions/0002-json-with-offsets.md`.
//!
//! What must hold: what this reader accepts, every conforming parser reads the same way (no duplicate names, no lone
//! surrogates, UTF-8, one value); time is linear in the input; nothing recurses.

mod alike;
pub(crate) mod literal;
pub(crate) mod number;
pub(crate) mod tape;
#[cfg(test)]
mod tests;

pub(crate) use tape::{Doc, Kind, Node, Rules, Tape};
