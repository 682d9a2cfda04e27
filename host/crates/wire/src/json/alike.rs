//! A document that is like the one before: the events of a stream mostly differ in what one or two of their strings say,
//! so that the nodes of the one are those of the other, with other places.
//!
//! What must hold: the nodes are those that a reading of the whole document would make.

use smallvec::SmallVec;

use super::{
    Kind,
    tape::{Node, plain},
};

/// Bytes of a document that is kept to compare the next with.
pub(super) const DOCUMENT_BYTES: usize = 4 << 10;

/// Strings in which two documents may differ: with more, reading is as fast.
const STRINGS: usize = 4;

/// Moves the nodes of `last` to where they stand in `next`, if the two differ in nothing but what strings say that hold no
/// escapes. False when they may differ otherwise; the nodes are those of `last` then. `next` is UTF-8.
pub(super) fn follow(nodes: &mut [Node], last: &[u8], next: &[u8]) -> bool {
    let Some(strings) = differing(nodes, last, next) else { return false };
    for (string, by) in strings {
        for (at, node) in nodes.iter_mut().enumerate() {
            if at > string {
                node.start = node.start.wrapping_add(by);
            }
            // The string itself, what it stands in, and all behind it.
            if node.after as usize > string {
                node.end = node.end.wrapping_add(by);
            }
        }
    }
    true
}

/// The strings in which the two differ, and how many bytes more each has, which may be a negative number (modulo 2³²).
fn differing(nodes: &[Node], last: &[u8], next: &[u8]) -> Option<SmallVec<[(usize, u32); STRINGS]>> {
    let (mut here, mut there) = (0, 0);
    let mut strings = SmallVec::new();
    loop {
        let same = common(&last[here..], &next[there..]);
        here += same;
        there += same;
        if here == last.len() && there == next.len() {
            return Some(strings);
        }
        // The last that begins before the difference; only inside of a string that is a value may anything differ.
        let string = nodes.partition_point(|node| (node.start as usize) < here).checked_sub(1)?;
        let node = nodes[string];
        let quote = node.end as usize - 1;
        if node.kind != Kind::Text || node.escaped || here > quote || strings.len() == STRINGS {
            return None;
        }
        let before = there.wrapping_sub(here);
        there += plain(&next[there..]);
        if next.get(there) != Some(&b'"') {
            return None;
        }
        here = quote;
        strings.push((string, there.wrapping_sub(here).wrapping_sub(before) as u32));
    }
}

/// How many bytes at the begin are the same.
fn common(one: &[u8], other: &[u8]) -> usize {
    const STEP: usize = 32;
    let steps = one.chunks_exact(STEP).zip(other.chunks_exact(STEP)).take_while(|(one, other)| one == other).count();
    let at = steps * STEP;
    at + one[at..].iter().zip(&other[at..]).take_while(|(one, other)| one == other).count()
}
