//! How much work a schema makes, before anything else looks at it: its references followed, as whoever applies it does.
//!
//! A schema comes from a policy, and what checks settings by it runs in the host. A few bytes can say much: a reference
//! to itself has no end, and a chain of definitions that each name the one before twice has 2^n.
//!
//! What must hold: a schema that passes here ends, on a stack of usual size, within work that is known; each reference
//! leads where the validator's leads, so only pointers into the schema itself are taken.

use std::collections::HashMap;

use serde_json::Value;

/// JSON values of a schema, each as often as references lead to it.
const NODES: u64 = 20_000;
/// What a regular expression counts for: it is compiled wherever it stands.
const PATTERN_NODES: u64 = 100;
/// Nesting, references counted as one.
const DEPTH: usize = 64;
/// Nodes of the schema times values of the settings.
const WORK: u64 = 50_000_000;
/// Keywords that look again at what the keywords beside them have seen.
const AGAIN: [&str; 2] = ["unevaluatedItems", "unevaluatedProperties"];

/// Whether these settings can be checked against this schema within the bounds.
///
/// # Errors
/// What stands against it, as the end of a sentence about the schema.
pub(super) fn check(schema: &Value, settings: &Value) -> Result<(), String> {
    let mut walk = Walk { root: schema, known: HashMap::new() };
    let Size { nodes, .. } = walk.size(schema, 0)?;
    let values = values(settings);
    if nodes.saturating_mul(values) > WORK {
        return Err(format!("has {nodes} parts for {values} values of settings: that is too much work"));
    }
    Ok(())
}

/// Values of a JSON document.
fn values(value: &Value) -> u64 {
    match value {
        Value::Array(list) => list.iter().map(values).sum::<u64>() + 1,
        Value::Object(fields) => fields.values().map(values).sum::<u64>() + 1,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

/// What is known of a part of a schema, its references followed.
#[derive(Clone, Copy)]
struct Size {
    nodes: u64,
    height: usize,
}

impl Size {
    const LEAF: Self = Self { nodes: 1, height: 0 };

    /// With this below.
    fn over(self, below: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(below.nodes), height: self.height.max(below.height + 1) }
    }

    fn more(self, nodes: u64) -> Self {
        Self { nodes: self.nodes.saturating_add(nodes), ..self }
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// By address: the size of what was walked; `None` while that is under way.
    known: HashMap<*const Value, Option<Size>>,
}

impl<'a> Walk<'a> {
    fn size(&mut self, value: &'a Value, depth: usize) -> Result<Size, String> {
        let at = std::ptr::from_ref(value);
        match self.known.get(&at) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err("refers to itself: settings that nest without end can't be checked".to_owned()),
            None => {}
        }
        let deep = || format!("is nested deeper than {DEPTH} levels, references counted");
        if depth > DEPTH {
            return Err(deep());
        }
        self.known.insert(at, None);
        let mut size = Size::LEAF;
        match value {
            Value::Array(list) => {
                for value in list {
                    size = size.over(self.size(value, depth + 1)?);
                }
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    size = self.keyword(size, key, value, depth)?.over(self.size(value, depth + 1)?);
                }
                if AGAIN.iter().any(|again| fields.contains_key(*again)) {
                    size.nodes = size.nodes.saturating_mul(3);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if size.nodes > NODES {
            return Err(format!("is larger than {NODES} parts when its references are followed"));
        }
        // What was walked before may be met again deeper down.
        if size.height > DEPTH {
            return Err(deep());
        }
        self.known.insert(at, Some(size));
        Ok(size)
    }

    /// With what a keyword adds to the values below it. A setting may have its name, but a setting's schema is no string.
    fn keyword(&mut self, size: Size, key: &str, value: &'a Value, depth: usize) -> Result<Size, String> {
        let refuse = |place: &str| Err(format!("says `{key}`{place}, which is not followed; use `$ref` with `#/…`"));
        match (key, value) {
            ("$ref", Value::String(to)) => {
                let target = self.target(to)?;
                Ok(size.over(self.size(target, depth + 1)?))
            }
            ("pattern", Value::String(_)) => Ok(size.more(PATTERN_NODES)),
            ("patternProperties", Value::Object(patterns)) => {
                Ok(size.more(PATTERN_NODES.saturating_mul(patterns.len() as u64)))
            }
            ("$dynamicRef" | "$recursiveRef", Value::String(_)) => refuse(""),
            ("$id" | "$schema", Value::String(_)) if depth > 0 => refuse(" below its top"),
            ("id", Value::String(_)) if depth > 0 && self.is_draft_4() => refuse(" below its top"),
            _ => Ok(size),
        }
    }

    /// Where `id` is what became `$id`.
    fn is_draft_4(&self) -> bool {
        self.root.get("$schema").and_then(Value::as_str).is_some_and(|draft| draft.contains("draft-04"))
    }

    fn target(&self, to: &str) -> Result<&'a Value, String> {
        let pointer = to.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let pointer = pointer.filter(|pointer| !pointer.contains('%'));
        let pointer = pointer.ok_or_else(|| format!("refers to {to:?}; only `#/…`, a place in itself, is followed"))?;
        self.root.pointer(pointer).ok_or_else(|| format!("refers to {to:?}, and nothing is there"))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    fn refused(schema: &Value) -> String {
        check(schema, &json!({})).expect_err("refused")
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_refused_in_every_way_of_saying_it() {
        for schema in [
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$ref": "#"}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"$ref": "#/$defs/a"}}}),
            json!({"properties": {"more": {"$ref": "#"}}}),
        ] {
            assert!(refused(&schema).contains("itself"), "{schema}");
        }
        for (schema, word) in [
            (json!({"$id": "https://a.example/", "allOf": [{"$ref": "https://a.example/"}]}), "only `#/…`"),
            (json!({"$anchor": "a", "allOf": [{"$ref": "#a"}]}), "only `#/…`"),
            (json!({"$ref": "#/%24defs/a", "$defs": {"a": {}}}), "only `#/…`"),
            (json!({"$dynamicAnchor": "a", "$dynamicRef": "#a"}), "$dynamicRef"),
            (json!({"$recursiveAnchor": true, "not": {"$recursiveRef": "#"}}), "$recursiveRef"),
            (json!({"allOf": [{"$id": "b", "$ref": "#"}]}), ""),
            (json!({"$ref": "#/nowhere"}), "nothing is there"),
        ] {
            assert!(refused(&schema).contains(word), "{schema}: {}", refused(&schema));
        }
    }

    #[test]
    fn a_chain_that_doubles_is_refused_before_it_grows() {
        let chain = |steps: usize| {
            let mut defs = serde_json::Map::from_iter([("d0".to_owned(), json!({"type": "object"}))]);
            for at in 1..=steps {
                let before = json!({"$ref": format!("#/$defs/d{}", at - 1)});
                defs.insert(format!("d{at}"), json!({"allOf": [before, before]}));
            }
            json!({"$ref": format!("#/$defs/d{steps}"), "$defs": defs})
        };
        assert_eq!(check(&chain(5), &json!({})), Ok(()));
        for steps in [16, 40] {
            let why = refused(&chain(steps));
            assert!(why.contains("parts") || why.contains("deeper"), "{why}");
        }
        assert!(refused(&chain(16)).contains("parts"), "not long, but large");
    }

    #[test]
    fn a_chain_is_as_long_as_it_is_whichever_end_is_met_first() {
        for towards_the_end in [true, false] {
            let mut defs = serde_json::Map::from_iter([("d000".to_owned(), json!({})), ("d200".to_owned(), json!({}))]);
            for at in 1..200 {
                let to = if towards_the_end { at + 1 } else { at - 1 };
                defs.insert(format!("d{at:03}"), json!({"$ref": format!("#/$defs/d{to:03}")}));
            }
            assert!(refused(&json!({"$defs": defs})).contains("deeper"), "{towards_the_end}");
        }
    }

    #[test]
    fn what_looks_again_counts_again() {
        let mut schema = json!({"type": "object"});
        for _ in 0..12 {
            schema = json!({"allOf": [schema], "unevaluatedProperties": false});
        }
        assert!(refused(&schema).contains("parts"));
    }

    #[test]
    fn large_settings_take_a_small_schema() {
        let schema = json!({"properties": {"words": {"items": {"anyOf": vec![json!({"type": "string"}); 2_000]}}}});
        assert_eq!(check(&schema, &json!({"words": ["a"]})), Ok(()));
        assert!(check(&schema, &json!({"words": vec!["a"; 20_000]})).expect_err("too much").contains("work"));
    }

    #[test]
    fn patterns_are_few() {
        let pattern = json!({"type": "string", "pattern": "[a-z]{1,64}"});
        assert!(refused(&json!({"prefixItems": vec![pattern.clone(); 300]})).contains("parts"));
        assert_eq!(check(&json!({"prefixItems": vec![pattern; 100]}), &json!([])), Ok(()));
    }

    #[test]
    fn the_deepest_schema_that_passes_is_applied_on_a_usual_stack() {
        let mut text = String::from(r##"{"$ref":"#/$defs/a0","$defs":{"##);
        // Each step is an object, a reference in it, and what that leads to.
        let steps = DEPTH - 3;
        for at in 0..steps {
            let _ = write!(text, r##""a{at}":{{"$ref":"#/$defs/a{}"}},"##, at + 1);
        }
        let _ = write!(text, r#""a{steps}":{{"type":"object"}}}}}}"#);
        let schema: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(check(&schema, &json!({})), Ok(()));
        let validator = jsonschema::options().build(&schema).expect("a schema");
        assert!(validator.is_valid(&json!({})) && !validator.is_valid(&json!(1)));
    }
}
