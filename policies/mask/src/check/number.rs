//! Numbers of cards and telephones.

use core::ops::Range;

use super::mentions;

/// Words before a short number that make a card of it.
const CARD_WORDS: &[&str] = &["card", "visa", "maestro", "credit", "debit", "karte", "carte", "tarjeta", "carta", "cc:", "cc ", "cc="];

/// Digits of the shortest number of a card that nothing else uses. Shorter ones are also numbers of articles.
const CARD_DIGITS: usize = 14;

/// Digits of a number of the North American plan with its country code.
const NANP_DIGITS: usize = 11;

/// First two digits of country codes that are not given to anybody (ITU-T E.164).
const NO_COUNTRY: &[&[u8; 2]] = &[b"28", b"83", b"89"];

/// The host's Luhn check has been passed. Of a decimal fraction every tenth passes it too, as does every tenth number of
/// an article (EAN-13, UPC-A); these have a check digit of their own.
pub(super) fn card(before: &str, found: &str) -> bool {
    if matches!(before.as_bytes(), [.., digit, b'.' | b','] if digit.is_ascii_digit()) {
        return false;
    }
    let digits: Vec<u32> = found.chars().filter_map(|c| c.to_digit(10)).collect();
    if digits.len() >= CARD_DIGITS || mentions(before, CARD_WORDS) {
        return true;
    }
    !goes_on(before) && !article(&digits)
}

/// GS1's check digit: weights 1 and 3 in turn, from the right.
fn article(digits: &[u32]) -> bool {
    let weighted = digits.iter().rev().enumerate().map(|(place, digit)| if place % 2 == 0 { *digit } else { 3 * digit });
    weighted.sum::<u32>().is_multiple_of(10)
}

/// Whether the text ends in the beginning of a number that goes on after a separator.
pub(super) fn goes_on(before: &str) -> bool {
    matches!(before.as_bytes(), [.., letter, b'-' | b'.'] if letter.is_ascii_alphanumeric())
}

/// A number with its country code. Of a North American one the length is known, and a number behind it does not belong
/// to it.
pub(super) fn phone(before: &str, found: &str) -> Option<Range<usize>> {
    let national = found.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(found.len());
    let zeros = if found.starts_with("00") { 2 } else { 0 };
    let mut places = found[..national].char_indices().filter(|(_, c)| c.is_ascii_digit()).skip(zeros);
    let digits: Vec<u8> = places.clone().filter_map(|(_, c)| u8::try_from(c).ok()).collect();
    // `00` is also the end of a time or of a group of digits.
    let inside = zeros > 0 && before.trim_end().ends_with(|c: char| c.is_ascii_digit() || ".,:-/".contains(c));
    match digits.as_slice() {
        _ if inside => None,
        [b'1', area, _, _, exchange, ..] => {
            let plan = *area >= b'2' && *exchange >= b'2' && digits.len() >= NANP_DIGITS;
            let (last, _) = places.nth(NANP_DIGITS - 1)?;
            let end = if digits.len() == NANP_DIGITS { found.len() } else { last + 1 };
            // Longer without a gap: no number of this plan.
            let gap = !found[end..].starts_with(|c: char| c.is_ascii_digit());
            (plan && gap).then_some(0..end)
        }
        // Whatever the length of the country code, no national number begins with two zeros: `+20.000.000`.
        [first, second, third, fourth, fifth, ..] => {
            let country = !NO_COUNTRY.contains(&&[*first, *second]);
            let zeros = [third, fourth] == [&b'0', &b'0'] || [fourth, fifth] == [&b'0', &b'0'];
            (country && !zeros).then_some(0..found.len())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Check, tests::counts};

    #[test]
    fn cards_and_not_articles_or_fractions() {
        counts(&[
            (Check::Card, "", "4111111111111111", true),
            (Check::Card, "0.", "4111111111111111", false),
            (Check::Card, "end.", "4111111111111111", true),
            (Check::Card, "", "4222222222222", true),
            // A German book's EAN that happens to pass Luhn's check, too.
            (Check::Card, "article ", "4006381333931", false),
            (Check::Card, "the card ", "4006381333931", true),
            (Check::Card, "deadbeef-", "5018000000000", false),
        ]);
    }

    #[test]
    fn phones_of_countries_that_there_are() {
        counts(&[
            (Check::Phone, "", "+442071838750", true),
            (Check::Phone, "", "0049 30 901820", true),
            (Check::Phone, "12:", "0049 30 901820", false),
            (Check::Phone, "", "+1 (415) 555-2671", true),
            (Check::Phone, "", "+1 115 555 2671", false),
            (Check::Phone, "", "+1 415 555 26", false),
            (Check::Phone, "", "+100.000.000", false),
            (Check::Phone, "", "+20.000.000", false),
            (Check::Phone, "", "+28 123 456 789", false),
            (Check::Phone, "", "+49 30 901820 ext 12", true),
        ]);
        assert_eq!(Check::Phone.passes("", "+1 415 555 2671 12/27"), Some(0..15));
        assert_eq!(Check::Phone.passes("", "+1 415 555 2671 x12"), Some(0..19));
    }

    #[test]
    fn the_end_of_a_longer_number_is_not_apart() {
        counts(&[
            (Check::Apart, "call ", "415-555-2671", true),
            (Check::Apart, "114-", "415-555-2671", false),
            (Check::Apart, "- ", "415-555-2671", true),
        ]);
    }
}
