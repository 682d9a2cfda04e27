//! br (brotli). The format bounds its window at 16 MiB; its "large window" variant is no content coding, and refused.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use crate::{
    Fault,
    stage::{Stage, Step},
};

const BR: &str = "br";

/// One brotli stream.
pub(crate) struct Br {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    ended: bool,
}

impl Br {
    pub(crate) fn new() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: no large window.
        Self { state: Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())), ended: false }
    }
}

impl Stage for Br {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault> {
        if self.ended {
            return if input.is_empty() { Ok(Step::default()) } else { Err(Fault::Trailing { coding: BR }) };
        }
        let mut step = Step::default();
        let (mut left, mut room, mut total) = (input.len(), output.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut step.taken,
            input,
            &mut room,
            &mut step.made,
            output,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => Err(Fault::Damaged { coding: BR, what: "bad data" }),
            BrotliResult::ResultSuccess => {
                self.ended = true;
                Ok(step)
            }
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(step),
        }
    }

    fn may_end(&self) -> bool {
        self.ended
    }
}
