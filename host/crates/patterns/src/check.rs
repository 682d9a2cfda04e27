//! Checks that a match must pass beyond its pattern: checksums and the like.
//!
//! A match is as long as its pattern lets it be, so a number that fails its checksum may have a valid one at its front
//! (`4111 1111 1111 1111 12`). Checksums therefore name every end at which they hold, and the matcher asks the pattern
//! whether it can end there. What must hold: the answer depends on the matched text alone, never on how it arrived.

/// A check of a pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Check {
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
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
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
                    _ => Err(format!("{bits:?} is no number of bits between 0 and {MAX_ENTROPY}; {KNOWN}")),
                }
            }
        }
    }

    /// Collects in `ends`, ascending, the lengths in bytes of the beginnings of `matched` that pass.
    pub(crate) fn ends(self, matched: &str, ends: &mut Vec<usize>) {
        ends.clear();
        match self {
            Self::None => ends.push(matched.len()),
            Self::Luhn => {
                luhn(matched, ends);
                ends.extend(taken_along(matched, ends.last()));
            }
            Self::Iban => {
                ends.extend(iban(matched));
                // A letter may be one of its own.
                ends.extend(taken_along(matched, ends.last()).filter(|_| matched.ends_with('_')));
            }
            Self::Ssn => {
                ends.extend(ssn(matched));
                ends.extend(taken_along(matched, ends.last()));
            }
            Self::Entropy(least) => ends.extend((entropy(matched) >= least).then_some(matched.len())),
        }
    }

    /// How many bytes after the beginning of a match that failed the search goes on.
    pub(crate) fn step(self, failed: &str) -> usize {
        let first = failed.chars().next().map_or(1, char::len_utf8);
        match self {
            Self::None | Self::Luhn | Self::Iban | Self::Ssn => first,
            Self::Entropy(_) => failed.floor_char_boundary(failed.len() / ENTROPY_TRIES).max(first),
        }
    }
}

/// All of the match, where behind the number stands one more character, by which the pattern knows the number's end: a
/// letter or an underscore, where `\b` is no boundary.
fn taken_along(matched: &str, number: Option<&usize>) -> Option<usize> {
    let behind = matched.get(*number?..)?;
    matches!(behind.as_bytes(), [b'_' | b'a'..=b'z' | b'A'..=b'Z']).then_some(matched.len())
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
const IBAN_LENGTHS: &str = "\
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 \
    EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 \
    IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 \
    NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 \
    SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30";

/// The length of a country's account numbers.
fn iban_length(country: &[u8]) -> Option<usize> {
    let length = IBAN_LENGTHS.split(' ').find_map(|entry| entry.strip_prefix(std::str::from_utf8(country).ok()?));
    length?.parse().ok()
}

/// The one length at which `text` is an account number, if it is one.
fn iban(text: &str) -> Option<usize> {
    let mut letters = [0_u8; 34];
    let mut count = 0;
    let mut length = letters.len();
    let mut end = None;
    for (at, char) in text.char_indices().filter(|(_, char)| !matches!(char, ' ' | '-' | '.')) {
        letters[count] = u8::try_from(char).ok().filter(u8::is_ascii_alphanumeric)?.to_ascii_uppercase();
        count += 1;
        if count == 2 {
            length = iban_length(&letters[..2])?;
        }
        if count == length {
            end = Some(at + 1);
            break;
        }
    }
    let remainder = letters[4..length].iter().chain(&letters[..4]).fold(0_u32, |remainder, letter| match letter {
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
    let runs =
        others.chunk_by(|one, other| one == other).map(|run| f64::from(u32::try_from(run.len()).unwrap_or(u32::MAX)));
    let counts = ascii.iter().filter(|count| **count > 0).map(|count| f64::from(*count));
    let total = f64::from(total.max(1));
    counts.chain(runs).map(|count| -(count / total) * (count / total).log2()).sum()
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
        assert!(ends("luhn", "4111 1111 1111 1111_").contains(&20));
        assert!(ends("luhn", "4111111111111111x").contains(&17));
        assert!(!ends("luhn", "4111111111111112x").contains(&17));
        assert!(!ends("luhn", "4111111111111111xx").contains(&18));
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
            assert_eq!(ends("luhn", text).contains(&end), sum.is_multiple_of(10), "{end}");
        }
    }

    #[test]
    fn iban_wants_country_length_and_remainder() {
        assert_eq!(ends("iban", "GB82 WEST 1234 5698 7654 32"), [27]);
        assert_eq!(ends("iban", "de89370400440532013000"), [22]);
        assert_eq!(ends("iban", "NO9386011117947"), [15]);
        assert_eq!(ends("iban", "NO93860111179471234"), [15]);
        assert_eq!(ends("iban", "NO9386011117947_"), [15, 16]);
        assert_eq!(ends("iban", "NO9386011117947x"), [15]);
        assert!(ends("iban", "NO9386011117948").is_empty());
        assert!(ends("iban", "NO93860111179").is_empty());
        assert!(ends("iban", "ZZ82WEST12345698765432").is_empty());
        assert!(ends("iban", "").is_empty());
        assert!(ends("iban", "GB82 WÄST 1234 5698 7654 32").is_empty());
        let lengths = IBAN_LENGTHS.split(' ').map(|entry| iban_length(&entry.as_bytes()[..2]).unwrap());
        assert!(lengths.clone().count() == 89 && lengths.clone().all(|length| (15..=34).contains(&length)));
    }

    #[test]
    fn ssn_wants_an_issued_number() {
        assert_eq!(ends("ssn", "123-45-6789"), [11]);
        assert_eq!(ends("ssn", "123 45 6789"), [11]);
        assert_eq!(ends("ssn", "123-45-6789_"), [11, 12]);
        for never in
            ["000-45-6789", "666-45-6789", "900-45-6789", "123-00-6789", "123-45-0000", "123-45-678", "123-45-67890"]
        {
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
        for (text, word) in
            [("lhun", "luhn"), ("entropy:x", "entropy:BITS"), ("entropy:-1", "0 and 21"), ("entropy:nan", "0 and 21")]
        {
            let message = Check::parse(text).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
    }
}
