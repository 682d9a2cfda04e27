//! Offsets in the unit of a guest's language, to bytes of UTF-8 and back.
//!
//! What must hold: an offset that is out of bounds or inside a character is never rounded in silence; the caller turns
//! it into a failure. Text that is all ASCII costs no walk.

/// What a guest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Bytes of UTF-8.
    Utf8,
    /// Code units of UTF-16.
    Utf16,
    /// Unicode scalar values.
    Scalar,
}

impl Unit {
    /// Most bytes of UTF-8 that one unit stands for: what a guest's count must be multiplied by to be sure.
    pub(super) fn widest(self) -> usize {
        match self {
            Self::Utf8 => 1,
            // A surrogate pair is four bytes for two units; a character of one unit has three bytes at most.
            Self::Utf16 => 3,
            Self::Scalar => 4,
        }
    }

    fn count(self, text: &str) -> usize {
        match self {
            Self::Utf8 => text.len(),
            Self::Utf16 => text.chars().map(char::len_utf16).sum(),
            Self::Scalar => text.chars().count(),
        }
    }

    fn width(self, c: char) -> usize {
        match self {
            Self::Utf8 => c.len_utf8(),
            Self::Utf16 => c.len_utf16(),
            Self::Scalar => 1,
        }
    }
}

/// Walks one text, converting offsets; near offsets in any order are cheap.
pub(super) struct Ruler<'a> {
    text: &'a str,
    unit: Unit,
    /// Units and bytes are the same: the unit is bytes, or the text is ASCII.
    same: bool,
    byte: usize,
    units: usize,
}

impl<'a> Ruler<'a> {
    pub(super) fn new(text: &'a str, unit: Unit) -> Self {
        Self { text, unit, same: unit == Unit::Utf8 || text.is_ascii(), byte: 0, units: 0 }
    }

    /// A byte offset on a character boundary, in units.
    pub(super) fn units(&mut self, byte: usize) -> usize {
        if self.same {
            return byte;
        }
        if byte >= self.byte {
            self.units += self.unit.count(&self.text[self.byte..byte]);
        } else {
            self.units -= self.unit.count(&self.text[byte..self.byte]);
        }
        self.byte = byte;
        self.units
    }

    /// An offset in units, in bytes; none when it is out of bounds or inside a character. Not meant to go backwards:
    /// an offset before the one asked for last is looked for from the start.
    pub(super) fn bytes(&mut self, units: usize) -> Option<usize> {
        if self.same {
            return self.text.is_char_boundary(units).then_some(units);
        }
        if units < self.units {
            (self.byte, self.units) = (0, 0);
        }
        for c in self.text[self.byte..].chars() {
            if self.units >= units {
                break;
            }
            self.byte += c.len_utf8();
            self.units += self.unit.width(c);
        }
        (self.units == units).then_some(self.byte)
    }
}

/// The last characters of `text` that hold at least `units` units, or all of it: their length in bytes.
pub(super) fn tail(text: &str, units: usize, unit: Unit) -> usize {
    if unit == Unit::Utf8 {
        return text.len() - text.floor_char_boundary(text.len().saturating_sub(units));
    }
    let mut left = units;
    let mut bytes = 0;
    for c in text.chars().rev() {
        if left == 0 {
            break;
        }
        left = left.saturating_sub(unit.width(c));
        bytes += c.len_utf8();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNITS: [Unit; 3] = [Unit::Utf8, Unit::Utf16, Unit::Scalar];

    fn counted(text: &str, unit: Unit) -> usize {
        match unit {
            Unit::Utf8 => text.len(),
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Scalar => text.chars().count(),
        }
    }

    #[test]
    fn an_offset_inside_a_character_is_none() {
        assert_eq!(Ruler::new("aé", Unit::Utf8).bytes(2), None);
        assert_eq!(Ruler::new("a😀b", Unit::Utf16).bytes(2), None);
        assert_eq!(Ruler::new("a😀b", Unit::Utf16).bytes(3), Some(5));
        assert_eq!(Ruler::new("a😀b", Unit::Scalar).bytes(4), None);
    }

    #[test]
    fn a_tail_is_rounded_up_to_whole_characters() {
        assert_eq!(tail("aé", 1, Unit::Utf8), 2);
        assert_eq!(tail("a😀", 1, Unit::Utf16), 4);
        assert_eq!(tail("aé😀", 2, Unit::Scalar), 6);
        assert_eq!(tail("ab", 9, Unit::Scalar), 2);
        assert_eq!(tail("ab", usize::MAX, Unit::Utf8), 2);
    }

    proptest! {
        #[test]
        fn every_boundary_survives_the_way_there_and_back(text in "\\PC{0,40}", at in any::<[prop::sample::Index; 6]>()) {
            let bounds: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            for unit in UNITS {
                let mut there = Ruler::new(&text, unit);
                let mut back = Ruler::new(&text, unit);
                for at in &at {
                    let byte = bounds[at.index(bounds.len())];
                    let units = there.units(byte);
                    prop_assert_eq!(units, counted(&text[..byte], unit));
                    prop_assert_eq!(back.bytes(units), Some(byte));
                }
            }
        }

        #[test]
        fn no_offset_is_rounded(text in "\\PC{0,20}", offset in 0usize..90) {
            for unit in UNITS {
                let found = Ruler::new(&text, unit).bytes(offset);
                let meant = (0..=text.len())
                    .find(|at| text.is_char_boundary(*at) && counted(&text[..*at], unit) == offset);
                prop_assert_eq!(found, meant);
            }
        }
    }
}
