//! Values with the names that they have: `"ssn":"078051120"`. Many a value says what it is by its name alone, and whoever
//! looks for it looks for both, as they stand beside one another in text.
//!
//! What must hold: each value of a structure is told by itself, and all of them once more in one part, with their names;
//! what either changes of a value is changed, and of a name nothing is changed here.

use std::ops::Range;

use model::{Channel, PartId, Speaker};

use crate::{
    json::{Doc, Kind},
    parts::Parts,
    words,
};

/// Bytes of a value that its name can say something about: a shorter one is nobody's, and a longer one speaks for itself.
const VALUE_BYTES: std::ops::RangeInclusive<usize> = 6..=1024;

/// Longest name that is told with its value.
const NAME_BYTES: usize = 128;

/// Bytes of names that are told again with the items of their lists, in one document.
const REPEATED_BYTES: usize = 16 << 20;

/// A part, and where in it values stand: their nodes, and their text.
type Places = (PartId, Vec<(usize, Range<u64>)>);

/// Tells the values in a value that have names, if there are any, of numbers those that are `long`; the answer is the part,
/// and where in it they stand.
pub(crate) fn tell(
    parts: &mut Parts,
    doc: Doc<'_>,
    value: usize,
    (channel, speaker): (Channel, Speaker),
    long: fn(&str) -> bool,
) -> Option<Places> {
    let (mut text, mut places, mut repeated) = (String::new(), Vec::new(), 0);
    if parts.overflowed() {
        return None;
    }
    // The names of the lists that are open, and where these end.
    let mut lists: Vec<(usize, Option<usize>)> = Vec::new();
    for node in value..doc.nodes[value].after as usize {
        while lists.last().is_some_and(|(end, _)| *end <= node) {
            lists.pop();
        }
        let own = node.checked_sub(1).filter(|&key| doc.kind(key) == Kind::Key);
        let name = own.or_else(|| lists.last().and_then(|(_, name)| *name));
        let quote = match doc.kind(node) {
            Kind::Array => {
                lists.push((doc.nodes[node].after as usize, name));
                continue;
            }
            Kind::Object => {
                lists.push((doc.nodes[node].after as usize, None));
                continue;
            }
            Kind::Text => "\"",
            Kind::Number if long(doc.raw(node)) => "",
            _ => continue,
        };
        let said = doc.name(node);
        let Some(name) = name.map(|key| doc.name(key)).filter(|name| name.len() <= NAME_BYTES) else { continue };
        if !VALUE_BYTES.contains(&said.len()) || (name == "type" && words::known(&said)) {
            continue;
        }
        if own.is_none() {
            repeated += name.len();
        }
        if repeated > REPEATED_BYTES {
            parts.overflow("names of lists", REPEATED_BYTES);
            return None;
        }
        let comma = if text.is_empty() { "" } else { "," };
        text.push_str(&format!("{comma}\"{name}\":{quote}"));
        let from = text.len() as u64;
        text.push_str(&said);
        places.push((node, from..text.len() as u64));
        text.push_str(quote);
    }
    if places.is_empty() {
        return None;
    }
    let (part, _) = parts.whole(channel, speaker, &text);
    Some((part, places))
}
