//! Seeded mutations of a corpus, for runs that give the same inputs everywhere.

/// Bytes of the longest input.
pub const MOST_BYTES: usize = 16 << 10;

/// What parsers have a meaning for.
const WORDS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"\\ude00",
    b"\\u0000",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"null",
    b"true",
    b"-0",
    b"1e9",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"data: ",
    b"data",
    b"event: ",
    b"id: ",
    b"retry: ",
    b": ",
    b"[DONE]",
    b"\xEF\xBB\xBF",
    b"\0",
    b"\xFF",
    b"\xC3",
    b"\xF0\x9F\x98\x80",
    b"078-05-1120",
    b"078-05-",
    b"1120",
    b"\"type\":",
    b"\"text\":",
    b"\"index\":0,",
    b"\"arguments\":\"",
    b"\"content\":",
    b"=",
    b".",
    b"..",
    b"%2f",
    b"e30",
    b"\x1F\x8B\x08",
    b"\x28\xB5\x2F\xFD",
];

/// A small generator (SplitMix64): the same numbers from the same seed on every machine.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Begins with a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Begins with what some bytes come to (FNV-1a): the same throws for the same bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(
            bytes
                .iter()
                .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)),
        )
    }

    /// Any number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.throw() % end as u64) as usize }
    }

    /// Up to `most` places to cut `len` bytes at, in order.
    pub fn cuts(&mut self, len: usize, most: usize) -> Vec<usize> {
        let count = self.below(most) + 1;
        let mut cuts: Vec<usize> = (0..count).map(|_| self.below(len + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}

/// A file of the corpus with a few things changed.
#[must_use]
pub fn mutated(dice: &mut Dice, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    let pick =
        |dice: &mut Dice| corpus.get(dice.below(corpus.len())).map(|(_, bytes)| bytes.clone()).unwrap_or_default();
    let mut bytes = pick(dice);
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(16)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.throw().to_le_bytes()[0],
            2 => drop(bytes.drain(at.min(end)..end)),
            3 => {
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                // The begin of one and the end of another.
                let other = pick(dice);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[dice.below(other.len() + 1)..]);
            }
            _ => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes.truncate(MOST_BYTES);
    bytes
}
