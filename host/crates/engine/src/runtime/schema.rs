//! Settings against the schema that a policy gives for them, before it ever sees them.

mod bounds;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::{
    journal,
    prepare::{PrepareError, fail},
};

/// Bytes of a schema: it is compiled in the host.
const SCHEMA_BYTES: usize = 256 << 10;
/// Problems that are told at once.
const PROBLEMS: usize = 20;
/// Bytes that a pattern of a schema may compile to.
const PATTERN_BYTES: usize = 256 << 10;

/// Checks settings; an empty schema allows any JSON value.
pub(super) fn check(schema: &str, settings: &str) -> Result<(), PrepareError> {
    let settings: Value =
        serde_json::from_str(settings).map_err(|error| fail("settings")(&format!("they are not JSON: {error}")))?;
    if schema.is_empty() {
        return Ok(());
    }
    let problems: Vec<String> = compile(schema, &settings)?
        .iter_errors(&settings)
        .take(PROBLEMS)
        .map(|error| problem(error.instance_path.as_str(), &error.to_string()))
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(fail("settings")(&problems.join("; "))) }
}

fn compile(schema: &str, settings: &Value) -> Result<Validator, PrepareError> {
    let wrong = fail("settings");
    if schema.len() > SCHEMA_BYTES {
        return Err(wrong(&format!("its settings schema has {} bytes, and {SCHEMA_BYTES} are allowed", schema.len())));
    }
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| wrong(&format!("its settings schema is not JSON: {error}")))?;
    bounds::check(&schema, settings).map_err(|why| wrong(&format!("its settings schema {why}")))?;
    jsonschema::options()
        // Linear time: the schema comes from the policy.
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
        .build(&schema)
        .map_err(|error| wrong(&format!("its settings schema is no JSON Schema: {error}")))
}

/// One problem, with the place in the settings that it is about.
pub(super) fn problem(pointer: &str, message: &str) -> String {
    let place = if pointer.is_empty() { "/" } else { pointer };
    journal::line(&format!("{place}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","properties":{"words":{"type":"array","items":{"type":"string"}}},
        "additionalProperties":false}"#;

    #[test]
    fn settings_that_fit_pass() {
        assert_eq!(check("", "[1]"), Ok(()));
        assert_eq!(check(SCHEMA, r#"{"words":["a"]}"#), Ok(()));
    }

    #[test]
    fn each_problem_names_its_place() {
        let message = check(SCHEMA, r#"{"words":["a",7],"more":1}"#).unwrap_err().message;
        assert!(message.contains("/words/1: "), "{message}");
        assert!(message.contains("more"), "{message}");
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for schema in ["{", r#"{"type":"nothing"}"#, r#"{"$ref":"https://example.com/schema"}"#] {
            assert!(check(schema, "{}").is_err(), "{schema}");
        }
    }
}
