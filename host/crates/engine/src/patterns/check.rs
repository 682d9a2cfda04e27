//! Checks that a match must pass beyond its pattern: checksums and the like.
//!
//! A match is as long as its pattern lets it be, so a number that fails its checksum may have a valid one at its front
//! (`4111 1111 1111 1111 12`). Checksums therefore name every end at which they hold, and the matcher asks the pattern
//! whether it can end there. What must hold: the answer depends on the matched text alone, never on how it arrived.

/// A check of a pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Check {
    /// Any match will do.
    None,
    /// The digits end in their Luhn check digit (ISO/IEC 7812-1, annex B); letters end the number.
    Luhn,
    /// A registered country, that country's length, and a remainder of 1 modulo 97 (ISO 13616, ISO 7064).
    Iban,
    /// Nine digits that the Social Security Administration may have issued (POMS RM 10201.035).
    Ssn,
    /// At least this many bits of Shannon entropy per character.
    Entropy(f64),
}

/// What may stand in a plan, for messages.
const KNOWN: &str =
    "known checks are \"\" (none), \"luhn\", \"iban\", \"ssn\" and \"entropy:BITS\" (such as \"entropy:3.5\")";

/// More bits than a character of any text can carry (21 bits name every Unicode scalar value).
const MAX_ENTROPY: f64 = 21.0;

/// A match that has not enough entropy is tried again this part of its length further on, so that padding in front of a
/// secret can't hide it and a long dull run still costs only a constant factor.
const ENTROPY_TRIES: usize = 8;

impl Check {
    /// Reads a check as a plan names it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Ok(Self::None),
            "luhn" => Ok(Self::Luhn),
            "iban" => Ok(Self::Iban),
            "ssn" => Ok(Self::Ssn),
            _ => {
                let Some(bits) = text.strip_prefix("entropy:") else {
                    return Err(format!("there is no check named {text:?}; {KNOWN}"));
                };
                match bits.parse::<f64>() {
                    Ok(bits) if bits > 0.0 && bits <= MAX_ENTROPY => Ok(Self::Entropy(bits)),
                    _ => Err(format!(
                        "{bits:?} is no number of bits between 0 and {MAX_ENTROPY}; {KNOWN}"
                    )),
                }
            }
        }
    }

    /// Collects in `ends`, ascending, the lengths in bytes of the beginnings of `matched` that pass.
    pub(super) fn ends(self, matched: &str, ends: &mut Vec<usize>) {
        ends.clear();
        match self {
            Self::None => ends.push(matched.len()),
            Self::Luhn => luhn(matched, ends),
            Self::Iban => ends.extend(iban(matched)),
            Self::Ssn => ends.extend(ssn(matched)),
            Self::Entropy(least) => ends.extend((entropy(matched) >= least).then_some(matched.len())),
        }
    }

    /// How many bytes after the beginning of a match that failed the search goes on.
    pub(super) fn step(self, failed: &str) -> usize {
        let first = failed.chars().next().map_or(1, char::len_utf8);
        match self {
            Self::None | Self::Luhn | Self::Iban | Self::Ssn => first,
            Self::Entropy(_) => failed.floor_char_boundary(failed.len() / ENTROPY_TRIES).max(first),
        }
    }
}

/// Every length at which the digits so far are a number with its check digit; separators are passed over.
fn luhn(text: &str, ends: &mut Vec<usize>) {
    // Two sums: one in which the last digit counts once, and one in which it counts twice. The next digit swaps them.
    let (mut once, mut twice) = (0, 0);
    let mut digits = 0;
    for (at, char) in text.char_indices() {
        let Some(digit) = char.to_digit(10) else {
            if char.is_alphanumeric() {
                return;
            }
            continue;
        };
        let doubled = if digit < 5 { 2 * digit } else { 2 * digit - 9 };
        (once, twice) = (twice + digit, once + doubled);
        digits += 1;
        // Zeros alone pass every checksum and mean nothing.
        if digits > 1 && once > 0 && once % 10 == 0 {
            ends.push(at + 1);
        }
    }
}

/// Lengths of account numbers by country, from the SWIFT IBAN registry.
const IBAN_LENGTHS: [(&[u8; 2], usize); 89] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The one length at which `text` is an account number, if it is one.
fn iban(text: &str) -> Option<usize> {
    let mut letters = [0_u8; 34];
    let mut count = 0;
    let mut length = letters.len();
    let mut end = None;
    for (at, char) in text.char_indices().filter(|(_, char)| !matches!(char, ' ' | '-' | '.')) {
        letters[count] = u8::try_from(char)
            .ok()
            .filter(u8::is_ascii_alphanumeric)?
            .to_ascii_uppercase();
        count += 1;
        if count == 2 {
            length = IBAN_LENGTHS.iter().find(|(country, _)| country[..] == letters[..2])?.1;
        }
        if count == length {
            end = Some(at + 1);
            break;
        }
    }
    let remainder = letters[4..length]
        .iter()
        .chain(&letters[..4])
        .fold(0_u32, |remainder, letter| match letter {
            b'0'..=b'9' => (remainder * 10 + u32::from(letter - b'0')) % 97,
            _ => (remainder * 100 + u32::from(letter.wrapping_sub(b'A')) + 10) % 97,
        });
    end.filter(|_| remainder == 1)
}

/// The length at which `text` is a number of nine digits that may have been issued.
fn ssn(text: &str) -> Option<usize> {
    let mut digits = [0; 9];
    let mut count = 0;
    let mut end = 0;
    for (at, char) in text.char_indices() {
        match char.to_digit(10) {
            Some(digit) => {
                *digits.get_mut(count)? = digit;
                count += 1;
                end = at + 1;
            }
            None if char.is_alphanumeric() => return None,
            None => {}
        }
    }
    let number = |digits: &[u32]| digits.iter().fold(0, |number, digit| number * 10 + digit);
    let area = number(&digits[..3]);
    let issued = !matches!(area, 0 | 666 | 900..) && number(&digits[3..5]) != 0 && number(&digits[5..]) != 0;
    (count == digits.len() && issued).then_some(end)
}

/// Bits per character of `text`, by the frequencies of its characters.
fn entropy(text: &str) -> f64 {
    let mut ascii = [0_u32; 128];
    let mut others: Vec<char> = Vec::new();
    let mut total = 0_u32;
    for char in text.chars() {
        total += 1;
        match ascii.get_mut(char as usize) {
            Some(count) => *count += 1,
            None => others.push(char),
        }
    }
    others.sort_unstable();
    let runs = others
        .chunk_by(|one, other| one == other)
        .map(|run| f64::from(u32::try_from(run.len()).unwrap_or(u32::MAX)));
    let counts = ascii.iter().filter(|count| **count > 0).map(|count| f64::from(*count));
    let total = f64::from(total.max(1));
    counts
        .chain(runs)
        .map(|count| -(count / total) * (count / total).log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(check: &str, text: &str) -> Vec<usize> {
        let mut ends = Vec::new();
        Check::parse(check).unwrap().ends(text, &mut ends);
        ends
    }

    #[test]
    fn luhn_names_every_end_that_holds() {
        assert!(ends("luhn", "4111 1111 1111 1111").contains(&19));
        assert!(!ends("luhn", "4111 1111 1111 1112").contains(&19));
        assert!(ends("luhn", "4111-1111-1111-1111 12").contains(&19));
        assert!(ends("luhn", "0000 0000 0000 0000").is_empty());
        assert!(!ends("luhn", "4111x1111111111111").iter().any(|end| *end > 4));
        // Every prefix, against the definition.
        let text = "37828224631000560110009901394243056930902590434";
        for end in 2..=text.len() {
            let sum: u32 = text[..end]
                .bytes()
                .rev()
                .enumerate()
                .map(|(place, byte)| {
                    let digit = u32::from(byte - b'0') * if place % 2 == 1 { 2 } else { 1 };
                    digit / 10 + digit % 10
                })
                .sum();
            assert_eq!(ends("luhn", text).contains(&end), sum % 10 == 0, "{end}");
        }
    }

    #[test]
    fn iban_wants_country_length_and_remainder() {
        assert_eq!(ends("iban", "GB82 WEST 1234 5698 7654 32"), [27]);
        assert_eq!(ends("iban", "de89370400440532013000"), [22]);
        assert_eq!(ends("iban", "NO9386011117947"), [15]);
        assert_eq!(ends("iban", "NO93860111179471234"), [15]);
        assert!(ends("iban", "NO9386011117948").is_empty());
        assert!(ends("iban", "NO93860111179").is_empty());
        assert!(ends("iban", "ZZ82WEST12345698765432").is_empty());
        assert!(ends("iban", "").is_empty());
        assert!(ends("iban", "GB82 WÄST 1234 5698 7654 32").is_empty());
        assert!(IBAN_LENGTHS.iter().all(|(_, length)| (15..=34).contains(length)));
    }

    #[test]
    fn ssn_wants_an_issued_number() {
        assert_eq!(ends("ssn", "123-45-6789"), [11]);
        assert_eq!(ends("ssn", "123 45 6789"), [11]);
        for never in [
            "000-45-6789",
            "666-45-6789",
            "900-45-6789",
            "123-00-6789",
            "123-45-0000",
            "123-45-678",
            "123-45-67890",
        ] {
            assert!(ends("ssn", never).is_empty(), "{never}");
        }
    }

    #[test]
    fn entropy_counts_characters() {
        assert!((entropy("aaaa") - 0.0).abs() < 1e-9);
        assert!((entropy("abcd") - 2.0).abs() < 1e-9);
        assert!((entropy("äöüß") - 2.0).abs() < 1e-9);
        assert!((entropy("äöäö") - 1.0).abs() < 1e-9);
        assert_eq!(ends("entropy:2", "abcd"), [4]);
        assert!(ends("entropy:2.1", "abcd").is_empty());
    }

    #[test]
    fn an_unknown_check_names_the_known_ones() {
        for (text, word) in [
            ("lhun", "luhn"),
            ("entropy:x", "entropy:BITS"),
            ("entropy:-1", "0 and 21"),
            ("entropy:nan", "0 and 21"),
        ] {
            let message = Check::parse(text).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
