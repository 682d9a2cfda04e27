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
        let among = match &error.kind {
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => forms(schema, error),
            _ => None,
        };
        let message = journal::line(&among.unwrap_or_else(|| error.to_string()));
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

/// What a setting may be that is none of the forms which a schema names one by one; none if one of them has no short name.
fn forms(schema: &Value, error: &ValidationError<'_>) -> Option<String> {
    let forms = place(schema, error.schema_path.as_str())?.as_array()?;
    let named = forms.iter().map(form).collect::<Option<Vec<_>>>()?.concat();
    let (last, first) = named.split_last()?;
    let first = first.join(", ");
    let or = if first.is_empty() { "" } else { " or " };
    Some(format!("{} is not one of the forms that it may have, expected {first}{or}{last}", error.instance))
}

/// `"label"`, `a table with \`text\``, `a string`.
fn form(schema: &Value) -> Option<Vec<String>> {
    let words = |list: &Value| Some(list.as_array()?.iter().map(Value::to_string).collect());
    let table = |required: &Value| {
        let names: Vec<&str> = required.as_array()?.iter().filter_map(Value::as_str).collect();
        Some(vec![format!(
            "a table with {}",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        )])
    };
    let kind = |kind: &Value| {
        Some(vec![match kind.as_str()? {
            "object" => "a table".to_owned(),
            "array" => "a list".to_owned(),
            "integer" => "a whole number".to_owned(),
            other => format!("a {other}"),
        }])
    };
    let of = |keyword: &str| schema.get(keyword);
    of("enum").and_then(words).or_else(|| of("required").and_then(table)).or_else(|| of("type").and_then(kind))
}

/// What a path of the validator leads to: behind a reference, it goes on in what that names.
fn place<'s>(schema: &'s Value, path: &str) -> Option<&'s Value> {
    path.split('/').skip(1).try_fold(schema, |at, step| {
        let step = step.replace("~1", "/").replace("~0", "~");
        let next = match at {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            other => other.get(&step),
        }?;
        match next.as_str().and_then(|reference| reference.strip_prefix('#')) {
            Some(pointer) if step == "$ref" => schema.pointer(pointer),
            _ => Some(next),
        }
    })
}

/// The names of settings that a schema has beside one of its keywords.
fn names<'s>(schema: &'s Value, keyword: &str) -> Vec<&'s str> {
    let beside = keyword.rsplit_once('/').and_then(|(parent, _)| place(schema, parent));
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
    fn what_fits_no_form_is_told_with_the_forms() {
        let schema = r##"{"type":"object","properties":{"by":{"$ref":"#/$defs/by"},"any":{"anyOf":[{"type":"string"},
            {"type":"integer"}]},"odd":{"oneOf":[{"not":{}}]}},"$defs":{"by":{"oneOf":[{"enum":["label","token"]},
            {"type":"object","required":["text"],"properties":{"text":{}},"additionalProperties":false}]}}}"##;
        for (settings, expected) in [
            (
                r#"{"by":"tokens"}"#,
                r#"/by: "tokens" is not one of the forms that it may have, expected "label", "token" or a table with `text`"#,
            ),
            (r#"{"any":[]}"#, "/any: [] is not one of the forms that it may have, expected a string or a whole number"),
            (r#"{"odd":1}"#, "/odd: "),
        ] {
            let message = check(schema, settings).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn a_schema_that_is_none_is_refused() {
        for schema in ["{", r#"{"type":"nothing"}"#, r#"{"$ref":"https://example.com/schema"}"#] {
            assert!(check(schema, "{}").is_err(), "{schema}");
        }
    }
}
