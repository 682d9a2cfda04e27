//! zstd, on its reference library: the decoders written in Rust keep a whole window of output back until a frame ends,
//! and a stream's events would wait for it.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::{
    Fault,
    names::Coding,
    stage::{Stage, Step, count_member},
};

const ZSTD: &str = "zstd";

/// `ZSTD_error_frameParameter_windowTooLarge` (zstd_errors.h), as a function's answer carries it.
const WINDOW_TOO_LARGE: usize = 0_usize.wrapping_sub(16);

/// The smallest window that the format has, in bits.
const LEAST_WINDOW_LOG: u32 = 10;

/// A zstd stream of any number of frames.
pub(crate) struct Zstd {
    context: DCtx<'static>,
    /// Bytes of window that a frame may ask for.
    window: usize,
    frames: usize,
    /// The last frame that began has ended.
    ended: bool,
    /// The last step filled its output, so there may be more.
    more: bool,
}

impl Zstd {
    pub(crate) fn new(window: usize) -> Result<Self, Fault> {
        let failed = |_| Fault::Damaged { coding: ZSTD, what: "no decoder can be made" };
        let mut context = DCtx::try_create().ok_or(0).map_err(failed)?;
        let log = window.max(1 << LEAST_WINDOW_LOG).ilog2();
        context.set_parameter(DParameter::WindowLogMax(log)).map_err(failed)?;
        Ok(Self { context, window, frames: 0, ended: true, more: false })
    }

    fn fault(&self, code: usize) -> Fault {
        if code == WINDOW_TOO_LARGE {
            return Fault::TooLarge { bound: "zstd_window", limit: self.window as u64 };
        }
        Fault::Damaged { coding: ZSTD, what: get_error_name(code) }
    }
}

impl Stage for Zstd {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault> {
        // The library takes repeated calls that can't move on for a mistake of its caller.
        if input.is_empty() && !self.more {
            return Ok(Step::default());
        }
        if self.ended && !input.is_empty() {
            count_member(&mut self.frames, Coding::Zstd)?;
        }
        let room = output.len();
        let (mut from, mut into) = (InBuffer::around(input), OutBuffer::around(output));
        let hint = self.context.decompress_stream(&mut into, &mut from);
        let step = Step { taken: from.pos, made: into.pos() };
        let hint = hint.map_err(|code| self.fault(code))?;
        if step.taken > 0 || step.made > 0 {
            self.ended = hint == 0;
        }
        self.more = step.made == room;
        Ok(step)
    }

    fn may_end(&self) -> bool {
        self.ended && self.frames > 0
    }
}
