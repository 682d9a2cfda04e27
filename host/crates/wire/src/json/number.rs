//! Numbers as they read: a literal with a point or an exponent may be a whole number all the same, and whoever reads it
//! prints that one.
//!
//! What must hold: a whole number has one spelling here, whatever its literal is; what is spelled out is bounded.

use std::borrow::Cow;

/// Places that a number is spelled out to; others stay as they are written.
const PLACES: i64 = 64;

/// The digits of a literal, and where the point stands behind its exponent is applied.
struct Parts<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    /// Digits before the point; of a number below one, negative or 0.
    point: i64,
}

impl<'a> Parts<'a> {
    fn of(literal: &'a str) -> Self {
        let (mantissa, exponent) = literal.split_once(['e', 'E']).unwrap_or((literal, "0"));
        let negative = mantissa.starts_with('-');
        let (whole, fraction) = mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa, ""));
        let whole = whole.trim_start_matches('-');
        // An exponent beyond any place counts as one that is not spelled out.
        let far = if exponent.starts_with('-') { -i64::from(u32::MAX) } else { i64::from(u32::MAX) };
        let exponent = exponent.parse::<i64>().ok().filter(|by| by.abs() < far.abs()).unwrap_or(far);
        Self { negative, whole, fraction, point: whole.len() as i64 + exponent }
    }
}

/// How a number reads: `4.1e3` is `4100`, `7.0` is `7`. What has no point and no exponent stays as it is, and so does
/// what is not a whole number and has no exponent.
pub(crate) fn spelled(literal: &str) -> Cow<'_, str> {
    if !literal.contains(['.', 'e', 'E']) {
        return Cow::Borrowed(literal);
    }
    let Parts { negative, whole, fraction, point } = Parts::of(literal);
    let digits = [whole, fraction].concat();
    let zeros = digits.bytes().take_while(|&byte| byte == b'0').count();
    let digits = digits.trim_start_matches('0').trim_end_matches('0');
    let point = point - zeros as i64;
    let is_whole = digits.len() as i64 <= point;
    if digits.is_empty() || point.abs() > PLACES || (!is_whole && !literal.contains(['e', 'E'])) {
        return Cow::Borrowed(literal);
    }
    let mut out = String::from(if negative { "-" } else { "" });
    let before = usize::try_from(point).unwrap_or(0).min(digits.len());
    out.push_str(if point > 0 { &digits[..before] } else { "0" });
    if is_whole {
        out.extend(std::iter::repeat_n('0', usize::try_from(point).unwrap_or(0) - digits.len()));
    } else {
        out.push('.');
        out.extend(std::iter::repeat_n('0', usize::try_from(-point).unwrap_or(0)));
        out.push_str(&digits[before..]);
    }
    Cow::Owned(out)
}

/// How many digits a number has before its point, however it is written.
pub(crate) fn whole_digits(literal: &str) -> usize {
    let Parts { whole, point, .. } = Parts::of(literal);
    if whole == "0" && !literal.contains(['e', 'E']) {
        return 0;
    }
    usize::try_from(point.clamp(0, PLACES)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_one_way() {
        for (literal, read) in [
            ("0", "0"),
            ("-12", "-12"),
            ("007.0", "7"),
            ("1.5", "1.5"),
            ("1.50", "1.50"),
            ("7.0", "7"),
            ("4.1e3", "4100"),
            ("-4.1E+3", "-4100"),
            ("4100e-2", "41"),
            ("4.125e2", "412.5"),
            ("1.5e-3", "0.0015"),
            ("0.00123e5", "123"),
            ("1e63", "1000000000000000000000000000000000000000000000000000000000000000"),
            ("1e64", "1e64"),
            ("1e99999999999999999999", "1e99999999999999999999"),
            ("1e-99999999999999999999", "1e-99999999999999999999"),
            ("0.0e9", "0.0e9"),
        ] {
            assert_eq!(spelled(literal), read, "{literal}");
        }
    }

    #[test]
    fn digits_before_the_point_are_counted() {
        for (literal, digits) in
            [("0.123456789", 0), ("-1.5e-7", 0), ("12", 2), ("-12.5", 2), ("4.111e15", 16), ("1e999", 64), ("0.4e3", 4)]
        {
            assert_eq!(whole_digits(literal), digits, "{literal}");
        }
    }
}
