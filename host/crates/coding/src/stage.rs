//! The shape that the decoder of each coding has.

use crate::{Fault, names::Coding};

/// Members (gzip) or frames (zstd) that one stream may be made of: each costs a decoder's set-up, and holds as little as
/// nothing.
pub(crate) const MEMBERS: usize = 1024;

/// One coding being undone.
pub(crate) trait Stage: Send {
    /// Undoes as much of `input` as fits into `output`, which is never empty. Nothing taken and nothing made means that
    /// more input is wanted. With no input it hands out what it still has.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault>;

    /// Whether the input may end here.
    fn may_end(&self) -> bool;
}

/// What a step came to, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// Of the input.
    pub(crate) taken: usize,
    /// Of the output.
    pub(crate) made: usize,
}

/// Counts one more member or frame.
pub(crate) fn count_member(members: &mut usize, coding: Coding) -> Result<(), Fault> {
    *members += 1;
    if *members > MEMBERS {
        return Err(Fault::Damaged { coding: coding.as_str(), what: "it is made of too many members" });
    }
    Ok(())
}
