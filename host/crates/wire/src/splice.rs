//! Taking members and items out of JSON, and merging into it, without writing the rest anew.

use std::{collections::HashSet, ops::Range};

use serde_json::{Map, Value};

use crate::{
    Malformed,
    frame::Splice,
    json::{Doc, Kind, literal},
};

/// Takes items out of an array; `removed` has an entry for each.
pub(crate) fn items(doc: Doc<'_>, array: usize, removed: &[bool]) -> Vec<Splice> {
    let ranges: Vec<Range<usize>> = doc.items(array).map(|item| range(doc, item, item)).collect();
    thin(&ranges, removed, doc.nodes[array].start as usize + 1, String::new())
}

/// Takes members out of an object, by name.
pub(crate) fn members(doc: Doc<'_>, object: usize, gone: &[&str]) -> Vec<Splice> {
    let mut out = Vec::new();
    merge(doc, object, &Map::new(), gone, &mut out);
    out
}

fn range(doc: Doc<'_>, first: usize, last: usize) -> Range<usize> {
    doc.nodes[first].start as usize..doc.nodes[last].end as usize
}

/// Takes away what is removed, each with one comma, and adds `added` (with no comma at its ends) behind what stays.
/// `open`: the place behind the opening bracket.
fn thin(ranges: &[Range<usize>], removed: &[bool], open: usize, added: String) -> Vec<Splice> {
    let Some(last) = removed.iter().rposition(|&removed| !removed) else {
        let end = ranges.last().map_or(open, |last| last.end);
        let changed = end > open || !added.is_empty();
        return if changed { vec![Splice { range: open..end, by: added }] } else { Vec::new() };
    };
    let mut out: Vec<Splice> = (0..last)
        .filter(|&at| removed[at])
        .map(|at| Splice { range: ranges[at].start..ranges[at + 1].start, by: String::new() })
        .collect();
    let rest = ranges[last].end..ranges.last().map_or(ranges[last].end, |last| last.end);
    if !added.is_empty() {
        out.push(Splice { range: rest, by: format!(",{added}") });
    } else if !rest.is_empty() {
        out.push(Splice { range: rest, by: String::new() });
    }
    out
}

/// JSON Merge Patches (RFC 7396), folded into one.
#[derive(Debug, Default)]
pub(crate) struct Patch(Map<String, Value>);

impl Patch {
    /// Adds a patch that is applied after those before. `not`: members that it can't touch.
    pub(crate) fn add(&mut self, patch: &str, not: &[&str]) -> Result<(), Malformed> {
        let wrong = |path: String, expected| Err(Malformed::Shape { path, expected });
        let Ok(Value::Object(patch)) = serde_json::from_str(patch) else {
            return wrong(String::new(), "a patch that is a JSON object");
        };
        if let Some(name) = patch.keys().find(|name| not.contains(&name.as_str())) {
            return wrong(format!("/{name}"), "left alone: it is no parameter");
        }
        fold(&mut self.0, patch);
        Ok(())
    }

    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What it comes to in a document, together with the members named in `gone`, which are removed.
    pub(crate) fn splices(&self, doc: Doc<'_>, gone: &[&str]) -> Vec<Splice> {
        let mut out = Vec::new();
        merge(doc, 0, &self.0, gone, &mut out);
        out
    }
}

/// Merges `patch` into `into`, keeping the nulls: they still have to remove something.
fn fold(into: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match (into.get_mut(&name), value) {
            (Some(Value::Object(into)), Value::Object(patch)) => fold(into, patch),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

/// Merges into an object. Members that the patch does not name keep their bytes, at every depth, and with them what
/// was decided about their text.
fn merge(doc: Doc<'_>, object: usize, patch: &Map<String, Value>, gone: &[&str], out: &mut Vec<Splice>) {
    let (mut ranges, mut removed, mut there) = (Vec::new(), Vec::new(), HashSet::new());
    for (key, value) in doc.members(object) {
        let name = doc.name(key);
        ranges.push(range(doc, key, value));
        let change = patch.get(&*name);
        removed.push(gone.contains(&&*name) || change.is_some_and(Value::is_null));
        if change.is_some() {
            there.insert(name);
        }
        match change {
            _ if removed.last() == Some(&true) => {}
            Some(Value::Object(inner)) if doc.kind(value) == Kind::Object => merge(doc, value, inner, &[], out),
            Some(change) => out.push(Splice { range: range(doc, value, value), by: without_nulls(change).to_string() }),
            None => {}
        }
    }
    let added: Vec<String> = patch
        .iter()
        .filter(|(name, value)| !value.is_null() && !there.contains(name.as_str()) && !gone.contains(&name.as_str()))
        .map(|(name, value)| format!("\"{}\":{}", literal::escaped(name), without_nulls(value)))
        .collect();
    out.extend(thin(&ranges, &removed, doc.nodes[object].start as usize + 1, added.join(",")));
}

/// What a patch sets where there was nothing: a null in it removes nothing, and so is nothing.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Rules, Tape};

    fn patched(target: &str, patches: &[&str]) -> String {
        let mut patch = Patch::default();
        patches.iter().for_each(|text| patch.add(text, &["messages"]).unwrap());
        let mut tape = Tape::default();
        let doc = tape.read(target.as_bytes(), Rules { depth: 64, duplicates: false }).unwrap();
        let mut splices = patch.splices(doc, &[]);
        splices.sort_by_key(|splice| splice.range.start);
        let (mut out, mut from) = (String::new(), 0);
        for splice in splices {
            out.push_str(&target[from..splice.range.start]);
            out.push_str(&splice.by);
            from = splice.range.end;
        }
        out + &target[from..]
    }

    #[test]
    fn a_patch_leaves_the_other_bytes_alone() {
        let target = r#"{ "a" : 1.50, "b": {"c" :12345678901234567890 , "d":2}, "e":3 }"#;
        let cases = [
            (r#"{"a":null}"#, r#"{ "b": {"c" :12345678901234567890 , "d":2}, "e":3 }"#),
            (r#"{"e":null}"#, r#"{ "a" : 1.50, "b": {"c" :12345678901234567890 , "d":2} }"#),
            (r#"{"b":{"d":null}}"#, r#"{ "a" : 1.50, "b": {"c" :12345678901234567890}, "e":3 }"#),
            (
                r#"{"f":{"x":null,"y":1}}"#,
                r#"{ "a" : 1.50, "b": {"c" :12345678901234567890 , "d":2}, "e":3,"f":{"y":1} }"#,
            ),
            (r#"{"a":null,"b":null,"e":null}"#, r#"{ }"#),
            (r#"{"a":null,"b":null,"e":null,"g":1}"#, r#"{"g":1 }"#),
            (r#"{"b":7,"e":null,"g":1}"#, r#"{ "a" : 1.50, "b": 7,"g":1 }"#),
        ];
        for (patch, expected) in cases {
            let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            let got = patched(target, &[patch]);
            assert_eq!(value(&got), value(expected), "{patch}");
        }
        assert_eq!(patched(target, &[r#"{"a":2}"#]), target.replace("1.50", "2"));
        assert_eq!(patched("{}", &[r#"{"a":2}"#, r#"{"b":3}"#]), r#"{"a":2,"b":3}"#);
    }

    #[test]
    fn a_long_patch_is_merged_into_a_long_object_in_one_go() {
        let members = |names: Range<u32>| {
            let members: Vec<String> = names.map(|name| format!("\"{name}\":1")).collect();
            members.join(",")
        };
        let expected = format!("{{{},{}}}", members(100_000..600_000), members(0..1));
        assert_eq!(patched(&format!("{{{}}}", members(100_000..600_000)), &[r#"{"0":1}"#]), expected);
        let patch = format!("{{{}}}", members(0..100_000));
        let patched = patched(&format!("{{{}}}", members(100_000..600_000)), &[&patch]);
        assert_eq!(patched.matches(':').count(), 600_000);
    }

    #[test]
    fn a_patch_of_the_conversation_is_refused() {
        assert!(Patch::default().add(r#"{"messages":[]}"#, &["messages"]).is_err());
        assert!(Patch::default().add("[]", &[]).is_err());
    }
}
