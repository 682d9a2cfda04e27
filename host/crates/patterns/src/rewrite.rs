//! Patterns for readings: the same pattern, as it must be written to match text that was folded or decoded.

use fold::{Fold, fold, fold_char};
use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Repetition,
};

use crate::reading::BREAK;

/// Characters of a class that names characters one by one, such as a letter in either case, at most. A larger one names a
/// kind of character, and what these fold to is of another kind.
const NAMED: usize = 8;

/// The pattern as it must be to match folded text, or `None` if it matches that as it is, or not at all.
pub(crate) fn folded(hir: &Hir) -> Option<Hir> {
    let folded = rewrite(hir, &|text| fold(text).into_owned(), &fold_class, &Class::Bytes);
    let useless = folded.properties().minimum_len().is_none_or(|shortest| shortest == 0);
    (folded != *hir && !useless).then_some(folded)
}

/// The pattern so that no match crosses what is no text.
pub(crate) fn within_text(hir: &Hir) -> Hir {
    let stops = BREAK.chars().map(|char| ClassUnicodeRange::new(char, char)).collect::<Vec<_>>();
    let unicode = |class: &ClassUnicode| {
        let mut class = class.clone();
        class.difference(&ClassUnicode::new(stops.iter().copied()));
        class
    };
    let bytes = |mut class: ClassBytes| {
        class.difference(&ClassBytes::new(BREAK.bytes().map(|byte| ClassBytesRange::new(byte, byte))));
        Class::Bytes(class)
    };
    rewrite(hir, &str::to_owned, &unicode, &bytes)
}

/// With the folded forms of what it names.
fn fold_class(class: &ClassUnicode) -> ClassUnicode {
    let mut folded = class.clone();
    let count: usize = class.iter().map(ClassUnicodeRange::len).sum();
    if count > NAMED {
        return folded;
    }
    for char in class.iter().flat_map(|range| range.start()..=range.end()) {
        let becomes = match fold_char(char) {
            Fold::Ascii(byte) => char::from(byte),
            Fold::Other(other) => other,
            Fold::Same | Fold::Gone | Fold::Word(_) => continue,
        };
        folded.push(ClassUnicodeRange::new(becomes, becomes));
    }
    folded
}

/// Makes a pattern anew with other literals and classes.
fn rewrite(
    hir: &Hir,
    literal: &dyn Fn(&str) -> String,
    unicode: &dyn Fn(&ClassUnicode) -> ClassUnicode,
    bytes: &dyn Fn(ClassBytes) -> Class,
) -> Hir {
    let again = |hir: &Hir| rewrite(hir, literal, unicode, bytes);
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Literal(text) => match std::str::from_utf8(&text.0) {
            Ok(text) => Hir::literal(literal(text).into_bytes()),
            // A piece of a character; its other pieces stand beside it.
            Err(_) => hir.clone(),
        },
        HirKind::Class(Class::Unicode(class)) => Hir::class(Class::Unicode(unicode(class))),
        HirKind::Class(Class::Bytes(class)) => Hir::class(bytes(class.clone())),
        HirKind::Repetition(repeated) => {
            let Repetition { min, max, greedy, sub } = repeated;
            Hir::repetition(Repetition { min: *min, max: *max, greedy: *greedy, sub: Box::new(again(sub)) })
        }
        HirKind::Capture(capture) => {
            let Capture { index, name, sub } = capture;
            Hir::capture(Capture { index: *index, name: name.clone(), sub: Box::new(again(sub)) })
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(again).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(again).collect()),
    }
}
