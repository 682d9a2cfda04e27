//! Which bytes may stand where (RFC 9110, 5.5 and 5.6; RFC 3986).

/// A set of bytes.
type Set = [bool; 256];

const fn set(others: &[u8]) -> Set {
    let mut set = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        set[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        set[others[at] as usize] = true;
        at += 1;
    }
    set
}

const fn values() -> Set {
    let mut set = [false; 256];
    let mut byte = 0x20;
    while byte < 256 {
        set[byte] = byte != 0x7f;
        byte += 1;
    }
    set[b'\t' as usize] = true;
    set
}

const TOKEN: Set = set(b"!#$%&'*+-.^_`|~");
const VALUE: Set = values();
/// A target has no fragment and no backslash; quotes, angle brackets and their like are written encoded.
const TARGET: Set = set(b"-._~:/?[]@!$&'()*+,;=%{}|");
const HOST: Set = set(b"-._");

fn all(set: &Set, bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| set[usize::from(*byte)])
}

/// One or more letters of a token.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(&TOKEN, bytes)
}

/// One letter of a token.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

/// A field's value: no control but the tab.
pub(crate) fn is_value(bytes: &[u8]) -> bool {
    all(&VALUE, bytes)
}

/// One byte of a field's value.
pub(crate) fn is_value_byte(byte: u8) -> bool {
    VALUE[usize::from(byte)]
}

/// A request's target, of whatever form.
pub(crate) fn is_target(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all(&TARGET, bytes)
}

/// A host with or without a port; nothing that some would take for user information, a list or a path.
pub(crate) fn is_host(bytes: &[u8]) -> bool {
    let (host, port) = match bytes.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = memchr::memchr(b']', literal) else { return false };
            let of_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if !literal[..end].iter().all(of_address) || !literal[..end].contains(&b':') {
                return false;
            }
            (&literal[..end], &literal[end + 1..])
        }
        None => {
            let end = memchr::memchr(b':', bytes).unwrap_or(bytes.len());
            if !all(&HOST, &bytes[..end]) {
                return false;
            }
            bytes.split_at(end)
        }
    };
    !host.is_empty() && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_port))
}

fn is_port(digits: &[u8]) -> bool {
    let port = (1..=5).contains(&digits.len()).then(|| number(digits)).flatten();
    port.is_some_and(|port| port <= 65_535)
}

/// A number in decimal digits and nothing else, of at most 19 of them.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if !(1..=19).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // 19 nines are less than 2^64.
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Takes spaces and tabs off both ends.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(begin) = bytes.iter().position(|byte| !blank(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !blank(byte)).unwrap_or(begin);
    &bytes[begin..=end]
}
