//! What `mask` recognises: the table that the build makes of `recognisers.toml`, where the whole list can be read.
//!
//! The regexes run in the host (syntax of the `regex` crate); `host_check` is the host's check of a match and `check`
//! this policy's own. Order is priority: of two recognisers that find the same span, the earlier one names it.

use crate::{check::Check, value::Value};

/// One kind of value that can be found.
#[derive(Clone, Copy, Debug)]
pub struct Recogniser {
    /// Its own name; the id of its pattern and part of the reason of its edits.
    pub name: &'static str,
    /// The family that settings may name to mean all of it: several recognisers may share one.
    pub kind: &'static str,
    /// What stands in the text afterwards, in brackets: `SSN` gives `[SSN]`.
    pub label: &'static str,
    /// What to look for.
    pub regex: &'static str,
    /// The host's check: `""`, `luhn`, `iban`.
    pub host_check: &'static str,
    /// The check made here.
    pub check: Check,
    /// Which part of a match is the value.
    pub value: Value,
    /// Longest match in bytes that must not be missed when it is split.
    pub max_length: u32,
}

/// All of them, by priority.
pub const ALL: &[Recogniser] = include!(concat!(env!("OUT_DIR"), "/recognisers.rs"));
