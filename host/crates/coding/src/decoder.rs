//! The codings of one message being undone, one behind the other.
//!
//! What must hold: no more is unpacked at once than the caller has room for, and between two codings no more than one
//! step; every stage's output is counted, so that a bomb inside a bomb is one too.

use bytes::{Buf, BytesMut};

use crate::{
    Fault,
    br::Br,
    inflate::Inflate,
    names::Coding,
    stage::{Stage, Step},
    zstd::Zstd,
};

/// Bytes that a stage unpacks in one step.
const STEP_BYTES: usize = 16 << 10;

/// Bytes that may be unpacked whatever the ratio: the first events of a stream are short, and much alike.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// Bounds of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of window that a zstd frame may ask for.
    pub zstd_window: usize,
    /// Bytes out for each byte in, once more than a mebibyte has come out.
    pub decode_ratio: usize,
    /// Bytes in all.
    pub decode_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // The window is that of RFC 9659.
        Self { zstd_window: 8 << 20, decode_ratio: 200, decode_bytes: 1 << 30 }
    }
}

/// Undoes the codings of one message.
pub struct Decoder {
    /// The outermost coding first.
    links: Vec<Link>,
    limits: Limits,
    /// Coded bytes that were worked on.
    taken: u64,
    /// No decoder could be made; told at the first pull.
    stillborn: Option<Fault>,
}

struct Link {
    coding: Coding,
    stage: Box<dyn Stage>,
    /// Bytes that this stage has not taken yet.
    waiting: BytesMut,
    /// Bytes that it made.
    made: u64,
}

impl Decoder {
    /// Undoes these, the outermost first.
    pub(crate) fn new(codings: impl Iterator<Item = Coding>, limits: Limits) -> Self {
        let mut stillborn = None;
        let mut link = |coding| -> Option<Link> {
            let stage: Box<dyn Stage> = match coding {
                Coding::Gzip => Box::new(Inflate::gzip()),
                Coding::Deflate => Box::new(Inflate::deflate()),
                Coding::Br => Box::new(Br::new()),
                Coding::Zstd => match Zstd::new(limits.zstd_window) {
                    Ok(stage) => Box::new(stage),
                    Err(fault) => {
                        stillborn = Some(fault);
                        return None;
                    }
                },
            };
            Some(Link { coding, stage, waiting: BytesMut::new(), made: 0 })
        };
        let links = codings.filter_map(&mut link).collect();
        Self { links, limits, taken: 0, stillborn }
    }

    /// Takes coded bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(first) = self.links.first_mut() {
            first.waiting.extend_from_slice(bytes);
        }
    }

    /// Appends up to `room` bytes of the message to `out`. Nothing appended means that more has to be pushed.
    ///
    /// # Errors
    /// [`Fault`] when the bytes are not what the codings say, or unpack to more than the limits allow.
    pub fn pull(&mut self, room: usize, out: &mut BytesMut) -> Result<(), Fault> {
        if let Some(fault) = self.stillborn {
            return Err(fault);
        }
        let before = out.len();
        let Some(last) = self.links.len().checked_sub(1) else { return Ok(()) };
        while out.len() - before < room {
            if !self.fill(last, room - (out.len() - before), out)? {
                break;
            }
        }
        Ok(())
    }

    /// The message is complete: all was pushed, and pulled.
    ///
    /// # Errors
    /// [`Fault::Truncated`] when it is not. A message of no bytes is one, however it is said to be coded.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.taken == 0 && self.links.first().is_none_or(|first| first.waiting.is_empty()) {
            return Ok(());
        }
        match self.links.iter().find(|link| !(link.waiting.is_empty() && link.stage.may_end())) {
            Some(link) => Err(Fault::Truncated { coding: link.coding.as_str() }),
            None => Ok(()),
        }
    }

    /// Appends one step of a stage's output; false when there is none before more is pushed.
    fn fill(&mut self, at: usize, room: usize, out: &mut BytesMut) -> Result<bool, Fault> {
        let room = room.min(STEP_BYTES);
        loop {
            let Step { taken, made } = self.step(at, room, out)?;
            if made > 0 {
                return Ok(true);
            }
            if taken > 0 {
                continue;
            }
            let Some(before) = at.checked_sub(1) else { return Ok(false) };
            let mut waiting = std::mem::take(&mut self.links[at].waiting);
            let filled = self.fill(before, STEP_BYTES, &mut waiting);
            self.links[at].waiting = waiting;
            if !filled? {
                return Ok(false);
            }
        }
    }

    fn step(&mut self, at: usize, room: usize, out: &mut BytesMut) -> Result<Step, Fault> {
        let link = &mut self.links[at];
        let begin = out.len();
        out.resize(begin + room, 0);
        let step = link.stage.step(&link.waiting, &mut out[begin..]);
        out.truncate(begin + step.as_ref().map_or(0, |step| step.made));
        let step = step?;
        link.waiting.advance(step.taken);
        link.made += step.made as u64;
        if at == 0 {
            self.taken += step.taken as u64;
        }
        if step.taken == 0 && step.made == 0 && !self.links[at].waiting.is_empty() {
            // A decoder with input and room always moves on; one that does not would be asked for ever.
            return Err(Fault::Damaged { coding: self.links[at].coding.as_str(), what: "it can't be decoded" });
        }
        self.check(at)?;
        Ok(step)
    }

    fn check(&self, at: usize) -> Result<(), Fault> {
        let Limits { decode_ratio, decode_bytes, .. } = self.limits;
        let (made, ratio, most) = (self.links[at].made, decode_ratio as u64, decode_bytes as u64);
        if made.max(self.taken) > most {
            return Err(Fault::TooLarge { bound: "decode_bytes", limit: most });
        }
        if made > self.taken.saturating_mul(ratio).max(RATIO_FREE_BYTES) {
            return Err(Fault::TooLarge { bound: "decode_ratio", limit: ratio });
        }
        Ok(())
    }
}
