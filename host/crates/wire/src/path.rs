//! Where a string stands in a document: the names and places above it, so that strings at one place of several documents
//! are known as one.
//!
//! What must hold: a path is short, however long and many the names above it are, since each string that is remembered
//! keeps one; two places have two paths; where a path begins it says whose words stand there, however long it is.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
    ops::Deref,
    sync::LazyLock,
};

use crate::json::{Doc, Kind};

/// Longest path that is kept as it is, in bytes.
const LONGEST: usize = 128;

/// Places that lists have fewer than.
const PLACES: f64 = 1e9;

/// Below these the model speaks.
const SAID: [&str; 2] = ["content", "reasoning_details"];

/// Nobody can know which paths hash alike.
static PATHS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The path of what is read. What is longer than some bytes is told by its hash.
#[derive(Debug)]
pub(crate) struct Path(String);

/// What a path was before it went further.
#[must_use]
pub(crate) enum Above {
    /// Its length.
    Cut(usize),
    /// All of it.
    Whole(String),
}

impl Path {
    /// Where reading begins.
    pub(crate) fn at(root: &str) -> Self {
        Self(if root.len() > LONGEST { shortened(root, "") } else { root.to_owned() })
    }

    /// To a member of this name.
    pub(crate) fn enter(&mut self, name: &str) -> Above {
        let len = self.0.len();
        if len + 1 + name.len() > LONGEST {
            let longer = shortened(&self.0, name);
            return Above::Whole(std::mem::replace(&mut self.0, longer));
        }
        self.0.push('/');
        self.0.push_str(name);
        Above::Cut(len)
    }

    /// To an item of a list: by its `index`, as clients join the items of several pieces, or its place.
    pub(crate) fn enter_item(&mut self, doc: Doc<'_>, place: usize, item: usize) -> Above {
        match doc.get(item, "index").and_then(|index| counted(doc, index)) {
            Some(index) => self.enter(&index),
            None => self.enter(&place.to_string()),
        }
    }

    /// Back to where it was.
    pub(crate) fn leave(&mut self, above: Above) {
        match above {
            Above::Cut(len) => self.0.truncate(len),
            Above::Whole(path) => self.0 = path,
        }
    }
}

impl Deref for Path {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// An index as clients take it: a number by what it comes to, and `true` is 1 to some.
fn counted<'a>(doc: Doc<'a>, index: usize) -> Option<Cow<'a, str>> {
    let literal = doc.raw(index);
    match doc.kind(index) {
        Kind::Number if literal.bytes().all(|byte| byte.is_ascii_digit()) => Some(literal.into()),
        Kind::Number => Some(match literal.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 && (0.0..PLACES).contains(&number) => number.abs().to_string().into(),
            _ => literal.into(),
        }),
        Kind::Word if literal == "true" => Some("1".into()),
        Kind::Word if literal == "false" => Some("0".into()),
        _ => None,
    }
}

/// A name, or what is short and stands for it.
pub(crate) fn short(name: &str) -> Cow<'_, str> {
    if name.len() > LONGEST { Cow::Owned(hashed(name, "")) } else { Cow::Borrowed(name) }
}

/// The same, which keeps what the model says apart from what its server says.
fn shortened(path: &str, name: &str) -> String {
    let root = path.split('/').next().filter(|root| SAID.contains(root));
    root.map_or_else(String::new, |root| format!("{root}/")) + &hashed(path, name)
}

/// What is short and stands for both.
pub(crate) fn hashed(path: &str, name: &str) -> String {
    format!("#{:016x}", PATHS.hash_one((path, name)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_path_is_short_and_comes_back() {
        let long = "x".repeat(1 << 20);
        let mut path = Path::at("choices");
        let mut above = Vec::new();
        for name in [&long, "a", "b", &long, "", "/"].repeat(20) {
            above.push((path.to_owned(), path.enter(name)));
            assert!(path.len() <= LONGEST, "{} bytes", path.len());
        }
        while let Some((was, above)) = above.pop() {
            path.leave(above);
            assert_eq!(&*path, was);
        }
        assert_eq!(&*path, "choices");
        assert!(Path::at(&long).len() <= LONGEST);
    }

    #[test]
    fn two_places_have_two_paths() {
        let mut seen = HashSet::new();
        for root in ["a".repeat(LONGEST), "a".repeat(LONGEST + 1), "a".repeat(LONGEST + 2)] {
            for name in ["", "a", "b", "aa"] {
                let mut path = Path::at(&root);
                let _ = path.enter(name);
                assert!(seen.insert(path.to_owned()), "{} bytes, {name}", root.len());
            }
        }
        let (mut short, mut shorter) = (Path::at("content"), Path::at("content"));
        let _ = (short.enter("0"), shorter.enter("1"));
        assert_eq!((&*short, &*shorter), ("content/0", "content/1"));
        for root in ["content", "reasoning_details"] {
            let mut path = Path::at(root);
            let _ = (path.enter(&"0".repeat(LONGEST)), path.enter("text"));
            assert!(path.starts_with(&format!("{root}/#")) && path.ends_with("/text"), "{}", &*path);
            assert!(Path::at(&format!("{root}/{}/text", "x".repeat(LONGEST))).starts_with(&format!("{root}/#")));
        }
    }
}
