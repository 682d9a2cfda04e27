//! Settings against the schema that a policy gives for them, before it ever sees them.

mod bounds;

use jsonschema::{PatternOptions, ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;

use super::{
    journal,
    prepare::{PrepareError, SettingProblem, fail, refused},
};
use crate::words::{nearest, quoted};

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
    let (validator, schema) = compile(schema, &settings)?;
    let problems = validator.iter_errors(&settings).take(PROBLEMS).flat_map(|error| told(&error, &schema));
    let problems: Vec<SettingProblem> = problems.collect();
    if problems.is_empty() { Ok(()) } else { Err(refused("settings", problems, 0)) }
}

fn compile(schema: &str, settings: &Value) -> Result<(Validator, Value), PrepareError> {
    let wrong = fail("settings");
    if schema.len() > SCHEMA_BYTES {
        return Err(wrong(&format!("its settings schema has {} bytes, and {SCHEMA_BYTES} are allowed", schema.len())));
    }
    let schema: Value =
        serde_json::from_str(schema).map_err(|error| wrong(&format!("its settings schema is not JSON: {error}")))?;
    bounds::check(&schema, settings).map_err(|why| wrong(&format!("its settings schema {why}")))?;
    let validator = jsonschema::options()
        // Linear time: the schema comes from the policy.
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES))
        .build(&schema)
        .map_err(|error| wrong(&format!("its settings schema is no JSON Schema: {error}")))?;
    Ok((validator, schema))
}

/// What an error of the schema says, for each setting that it is about.
fn told(error: &ValidationError<'_>, schema: &Value) -> Vec<SettingProblem> {
    let at = error.instance_path.as_str();
    let ValidationErrorKind::AdditionalProperties { unexpected } = &error.kind else {
        let message = journal::line(&error.to_string());
        return vec![SettingProblem { pointer: at.to_owned(), name: false, message, hint: None }];
    };
    let known = names(schema, error.schema_path.as_str());
    let unknown = |name: &String| SettingProblem {
        pointer: format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
        name: true,
        message: journal::line(&format!("unknown setting `{name}`, expected {}", quoted(&known))),
        hint: nearest(name, &known).map(|meant| journal::line(&format!("did you mean `{meant}`?"))),
    };
    unexpected.iter().map(unknown).collect()
}

/// The names of settings that a schema has beside one of its keywords.
fn names<'s>(schema: &'s Value, keyword: &str) -> Vec<&'s str> {
    let beside = keyword.rsplit_once('/').and_then(|(parent, _)| schema.pointer(parent));
    let properties = beside.and_then(|beside| beside.get("properties")?.as_object());
    properties.into_iter().flat_map(|properties| properties.keys()).map(String::as_str).collect()
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
    fn a_name_that_is_misspelt_is_told_with_the_one_that_was_meant() {
        let problems = check(SCHEMA, r#"{"wrods":[],"a/b":1}"#).unwrap_err().problems;
        let mut told: Vec<_> =
            problems.iter().map(|problem| (problem.pointer.as_str(), problem.hint.as_deref())).collect();
        told.sort_unstable();
        assert_eq!(told, [("/a~1b", None), ("/wrods", Some("did you mean `words`?"))]);
        assert!(problems.iter().all(|problem| problem.name && problem.message.contains("expected `words`")));
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for schema in ["{", r#"{"type":"nothing"}"#, r#"{"$ref":"https://example.com/schema"}"#] {
            assert!(check(schema, "{}").is_err(), "{schema}");
        }
    }
}
