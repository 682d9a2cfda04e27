//! gzip and deflate, on zlib-rs.

use flate2::{Decompress, FlushDecompress, Status};

use crate::{
    Fault,
    names::Coding,
    stage::{Stage, Step, count_member},
};

/// The largest window that the format has, in bits: 32 KiB.
const WINDOW_BITS: u8 = 15;

/// The first byte of each gzip member.
const GZIP_MAGIC: u8 = 0x1f;

/// A gzip stream of any number of members, or one deflate stream.
pub(crate) struct Inflate {
    coding: Coding,
    /// The member under way; `None` before the first byte of one.
    member: Option<Decompress>,
    members: usize,
}

impl Inflate {
    pub(crate) fn gzip() -> Self {
        Self { coding: Coding::Gzip, member: None, members: 0 }
    }

    pub(crate) fn deflate() -> Self {
        Self { coding: Coding::Deflate, member: None, members: 0 }
    }

    fn begin(&mut self, first: u8) -> Result<Decompress, Fault> {
        let gzip = self.coding == Coding::Gzip;
        if self.members > 0 && !(gzip && first == GZIP_MAGIC) {
            return Err(Fault::Trailing { coding: self.coding.as_str() });
        }
        count_member(&mut self.members, self.coding)?;
        // RFC 1950: the low half of the first byte is 8. In bare RFC 1951 that would be a stored block whose padding is
        // not zero, which no encoder writes.
        let zlib = first & 0x0f == 8;
        Ok(if gzip { Decompress::new_gzip(WINDOW_BITS) } else { Decompress::new(zlib) })
    }
}

impl Stage for Inflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Fault> {
        let mut member = match (self.member.take(), input.first()) {
            (Some(member), _) => member,
            (None, Some(first)) => self.begin(*first)?,
            (None, None) => return Ok(Step::default()),
        };
        let (taken, made) = (member.total_in(), member.total_out());
        let status = member
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| Fault::Damaged { coding: self.coding.as_str(), what: "bad data or a wrong checksum" })?;
        let moved = |after: u64, before: u64| usize::try_from(after - before).unwrap_or(usize::MAX);
        let step = Step { taken: moved(member.total_in(), taken), made: moved(member.total_out(), made) };
        if status != Status::StreamEnd {
            self.member = Some(member);
        }
        Ok(step)
    }

    fn may_end(&self) -> bool {
        self.member.is_none() && self.members > 0
    }
}
