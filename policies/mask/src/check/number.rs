//! Numbers of cards and telephones.

use core::ops::Range;

use super::{mentions, starts};

/// Words before a short number that make a card of it.
const CARD_WORDS: &[&str] = &[
    "card", "visa", "maestro", "credit", "debit", "karte", "carte", "tarjeta", "carta", "cc:", "cc ", "cc=", " pan ",
    "(pan ", "pan:", "pan=", "pan\"",
];

/// Digits of the shortest number of a card that stands for itself. Shorter ones are also numbers of articles and parcels.
const CARD_DIGITS: usize = 14;
/// Digits of the longest, of which UnionPay's are common; others in one run are more often identifiers.
const LONG_DIGITS: usize = 19;
/// What UnionPay's begin with.
const UNIONPAY: &str = "62";

/// Characters of a group of an account's number.
const GROUP: usize = 4;

/// Digits of a number of the North American plan with its country code.
const NANP_DIGITS: usize = 11;

/// First two digits of the country codes that have three, and those that nobody has (ITU-T E.164).
const THREE_DIGITS: &str = "21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99";
const NO_COUNTRY: &str = "28 83 89";

/// The host's Luhn check has been passed, as every tenth run of digits passes it: also the fraction of a number.
pub(super) fn card(before: &str, found: &str) -> bool {
    let fraction = matches!(before.as_bytes(), [.., digit, b'.' | b','] if digit.is_ascii_digit());
    let digits = found.bytes().filter(u8::is_ascii_digit).count();
    let rare =
        digits < CARD_DIGITS || found.len() == LONG_DIGITS && digits == LONG_DIGITS && !found.starts_with(UNIONPAY);
    // Dots part all four groups of four, or none: `4111.1111 4111.1111` are two numbers with fractions.
    let dots = found.matches('.').count();
    let whole = dots == 0 || dots == 3 && digits == 16 && found.len() == 19;
    // Directly behind such a word, or with `_` between.
    let (named, word) = (mentions(before, CARD_WORDS), before.trim_end_matches('_').as_bytes());
    let ends = |name: &&str| {
        word.len().checked_sub(name.len()).is_some_and(|at| word[at..].eq_ignore_ascii_case(name.as_bytes()))
    };
    let joined = CARD_WORDS.iter().any(ends);
    (starts(before) || joined) && whole && !fraction && (!rare || named)
}

/// The host has checked country, length and remainder. Where hyphens part the groups, they part them by four: not so in
/// a UUID, of which one in some thousands passes.
pub(super) fn iban(before: &str, found: &str) -> bool {
    let mut groups = found.split('-').rev();
    let last = groups.next().is_none_or(|last| last.len() <= GROUP);
    let grouped = !found.contains('-') || last && groups.all(|group| group.len() == GROUP);
    starts(before) && grouped && !goes_on(before)
}

/// Whether the text ends in the beginning of a number that goes on after a separator.
pub(super) fn goes_on(before: &str) -> bool {
    matches!(before.as_bytes(), [.., letter, b'-' | b'.'] if letter.is_ascii_alphanumeric())
}

/// A number with its country code. Of a North American one the length is known, and a number behind it does not belong
/// to it. `00` in place of the plus is also the beginning of many other numbers: it counts with spaces in them alone.
pub(super) fn phone(before: &str, found: &str) -> Option<Range<usize>> {
    let national = found.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(found.len());
    let zeros = found.starts_with("00");
    let spaced = found.contains(' ') && !found.contains(['-', '.', '/']) && starts_apart(before);
    if zeros && !spaced {
        return None;
    }
    let places =
        || found[..national].char_indices().filter(|(_, c)| c.is_ascii_digit()).skip(if zeros { 2 } else { 0 });
    let digits: String = places().map(|(_, c)| c).collect();
    if dated(found, &digits) {
        return None;
    }
    if let Some(plan) = digits.strip_prefix('1') {
        let end = match places().nth(NANP_DIGITS - 1)? {
            _ if digits.len() == NANP_DIGITS => found.len(),
            (last, _) => last + 1,
        };
        // Longer without a gap: no number of this plan.
        let gap = !found[end..].starts_with(|c: char| c.is_ascii_digit());
        let codes = plan.bytes().step_by("415".len()).take(2).all(|code| code >= b'2');
        return (codes && gap).then_some(0..end);
    }
    let (two, rest) = digits.split_at_checked(2)?;
    let within = |list: &str| list.split(' ').any(|code| code == two);
    let rest = if within(THREE_DIGITS) { rest.get(1..)? } else { rest };
    // `+49 (0)30 …` is what people write; two zeros after the country are the thousands of an amount.
    let amount = rest.starts_with("00") && !found.contains("(0");
    (!within(NO_COUNTRY) && !amount).then_some(0..found.len())
}

/// `+2024-01-15`, also with a time behind it: a line that was added to a log. Egypt's numbers have ten digits and more.
fn dated(found: &str, digits: &str) -> bool {
    const DATE: usize = "+2024-01-15".len();
    if !found.starts_with("+20") {
        return false;
    }
    let (date, behind) = found.split_at_checked(DATE).unwrap_or((found, ""));
    let parts = date[1..].split(['-', '/', '.']).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let parted = parts.map(str::len).eq(["2024".len(), "01".len(), "15".len()])
        && !behind.starts_with(|c: char| c.is_ascii_digit());
    parted || digits.len() == "20240115".len()
}

/// Whether the text ends in no other number: `00` is also the end of a time or of a group of digits.
fn starts_apart(before: &str) -> bool {
    !before.trim_end().ends_with(|c: char| c.is_ascii_digit() || ".,:-/".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::{Check, tests::counts};

    #[test]
    fn cards_and_not_articles_or_fractions() {
        counts(&[
            (Check::Card, "", "4111111111111111", true),
            (Check::Card, r"\n", "4111111111111111", true),
            (Check::Card, "order", "4111111111111111", false),
            (Check::Card, "0.", "4111111111111111", false),
            (Check::Card, "end.", "4111111111111111", true),
            (Check::Card, "old visa ", "4222222222222", true),
            (Check::Card, "", "6200000000000000000", true),
            (Check::Card, "post ", "4415831068674949480", false),
            (Check::Card, "Visa ", "4415831068674949480", true),
            (Check::Card, "post ", "4415 8310 6867 4949 480", true),
            (Check::Card, "", "4111.1111.1111.1111", true),
            (Check::Card, "", "4111.1111 1111.1111", false),
            (Check::Card, "", "4111 1111.1111 1111", false),
            (Check::Card, "the card", "4111111111111111", true),
            (Check::Card, "card_", "4111111111111111", true),
            (Check::Card, "id_", "4111111111111111", false),
            // An article's number of as many digits.
            (Check::Card, "EAN ", "4006381333931", false),
            (Check::Card, "the card ", "4006381333931", true),
        ]);
    }

    #[test]
    fn accounts_and_not_identifiers() {
        counts(&[
            (Check::Iban, "", "DE89370400440532013000", true),
            (Check::Iban, "", "DE89-3704-0044-0532-0130-00", true),
            (Check::Iban, "", "be18a391-9910-4f77", false),
            (Check::Iban, "4550-", "be63-702d4616c9b1", false),
            (Check::Iban, "9aff4be2-7ff7-4550-", "be63702d4616c9b1", false),
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
            (Check::Phone, "", "+90(100)879-6944", true),
            (Check::Phone, "", "+49 (0) 0975 179368", true),
            (Check::Phone, "order ", "002-4588126-0606245", false),
            (Check::Phone, "", "+28 123 456 789", false),
            (Check::Phone, "", "+49 30 901820 ext 12", true),
            (Check::Phone, "", "+2024-01-15", false),
            (Check::Phone, "", "+2024-01-15 10", false),
            (Check::Phone, "", "+2024/01/15 10", false),
            (Check::Phone, "", "+20240115", false),
            (Check::Phone, "", "+20 10 1234 5678", true),
            (Check::Phone, "", "+20-10-1234-5678", true),
            (Check::Phone, "", "+2010-12-34567", true),
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
