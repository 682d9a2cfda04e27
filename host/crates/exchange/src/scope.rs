//! What a credential may be used for, checked where it is known: the connection when the request is routed, the operation
//! when it is claimed, the models when the request was read, and again when a policy changed its parameters.

use std::collections::HashSet;

use model::Scope;
use serde_json::Value;
use wire::{Asked, Endpoint};

use crate::refuse::Stop;

/// What a member that names further models has in its name, wherever in the parameters it is: routers ask these models when
/// the first does not answer (`fallbacks`, `context_window_fallbacks`, `fallback_models`, …). Members of the request itself
/// that choose one are more ([`wire::chooses_model`]), and further in those that are called so ([`wire::names_model_within`]).
const FALLBACK: &str = "fallback";

/// Members in which names are data: what describes an answer or the arguments of a function, and what callers note for
/// themselves.
const DATA: [&str; 10] = [
    "response_format",
    "format",
    "functions",
    "responseSchema",
    "response_schema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "response_json_schema",
    "metadata",
    "labels",
];

/// Whether an endpoint may be asked.
pub(crate) fn check_operation(scope: &Scope, endpoint: &dyn Endpoint) -> Result<(), Stop> {
    let name = endpoint.dialect();
    if !scope.allows_operation(name) {
        return Err(Stop::OutOfScope { what: "operation", name: name.to_owned() });
    }
    if endpoint.raw() && !scope.allows_any_model() {
        return Err(Stop::OutOfScope { what: "model", name: "(none can be told here)".to_owned() });
    }
    Ok(())
}

/// Whether every model may be asked that a request names: the one that it is for, and those besides ([`further_models`]).
pub(crate) fn check_models(scope: &Scope, asked: &Asked, further: &[String]) -> Result<(), Stop> {
    if scope.allows_any_model() {
        return Ok(());
    }
    check_model(scope, &asked.model)?;
    further.iter().try_for_each(|model| check_model(scope, model))
}

/// The models that a request names besides the one that it is for: those that a router behind may ask in its place, and those
/// that tools ask.
pub(crate) fn further_models(asked: &Asked) -> Vec<String> {
    let mut further = asked.tool_models.clone();
    if wire::mentions_model(&asked.parameters)
        && let Ok(Value::Object(members)) = serde_json::from_str(&asked.parameters)
    {
        for (name, value) in &members {
            if wire::chooses_model(name) {
                names(value, &mut further);
            } else {
                within(name, value, &mut further);
            }
        }
    }
    let mut known = HashSet::new();
    further.retain(|model| known.insert(model.clone()));
    further
}

fn check_model(scope: &Scope, model: &str) -> Result<(), Stop> {
    if scope.allows_model(model) {
        return Ok(());
    }
    Err(Stop::OutOfScope { what: "model", name: model.to_owned() })
}

/// What the members of a value name that say what else to ask.
fn within(name: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        _ if DATA.contains(&name) => {}
        _ if name.to_ascii_lowercase().contains(FALLBACK) => names(value, found),
        Value::String(model) if wire::names_model_within(name) => found.push(model.clone()),
        Value::Object(members) => members.iter().for_each(|(name, value)| within(name, value, found)),
        Value::Array(items) => items.iter().for_each(|item| within(name, item, found)),
        _ => {}
    }
}

/// All that could be a model's name: strings, and the names of members that have a list (`{"one": ["another"]}`).
fn names(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(name) => found.push(name.clone()),
        Value::Array(items) => items.iter().for_each(|item| names(item, found)),
        Value::Object(members) => {
            for (name, value) in members {
                if value.is_array() {
                    found.push(name.clone());
                }
                names(value, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(parameters: &str) -> Option<String> {
        let scope = Scope { models: vec!["gpt-*".into()], ..Scope::on(["openai"]) };
        let asked = Asked { model: "gpt-4o".into(), parameters: parameters.into(), ..Asked::default() };
        match check_models(&scope, &asked, &further_models(&asked)) {
            Ok(()) => None,
            Err(Stop::OutOfScope { name, .. }) => Some(name),
            Err(other) => unreachable!("{other}"),
        }
    }

    #[test]
    fn every_model_that_a_router_may_ask_must_be_allowed() {
        for parameters in [
            r#"{"models":["o3-pro"],"route":"fallback"}"#,
            r#"{"models":["gpt-4o-mini","o3-pro"]}"#,
            r#"{"fallbacks":["o3-pro"]}"#,
            r#"{"fallbacks":[{"model":"o3-pro"}]}"#,
            r#"{"fallbacks":[{"gpt-4o":["o3-pro"]}]}"#,
            r#"{"context_window_fallbacks":[{"o3-pro":["gpt-4o"]}]}"#,
            r#"{"fallback_models":"o3-pro"}"#,
            r#"{"Models":["o3-pro"]}"#,
            r#"{"router_settings_override":{"fallbacks":[{"gpt-4o":["o3-pro"]}]}}"#,
            r#"{"plugins":[{"id":"x","fallback":"o3-pro"}]}"#,
            r#"{"engine":"o3-pro"}"#,
            r#"{"deployment":"o3-pro"}"#,
            r#"{"deployment_id":"o3-pro"}"#,
            r#"{"\u006dodels":["o3-pro"]}"#,
            r#"{"preset":"o3-pro"}"#,
            r#"{"generationConfig":{"routingConfig":{"manualMode":{"modelName":"o3-pro"}}}}"#,
            r#"{"generation_config":{"routing_config":{"manual_mode":{"model_name":"o3-pro"}}}}"#,
            r#"{"providerOptions":{"gateway":{"models":["gpt-4o","o3-pro"]}}}"#,
            r#"{"user_config":{"model_list":[{"model_name":"gpt-4o","litellm_params":{"model":"o3-pro"}}]}}"#,
            r#"{"plugins":[{"id":"auto-router","allowed_models":["o3-pro"]}]}"#,
            r#"{"extra_body":{"model":"o3-pro"}}"#,
            r#"{"text":{"verbosity":"low","model":"o3-pro"}}"#,
        ] {
            assert_eq!(refused(parameters).as_deref(), Some("o3-pro"), "{parameters}");
        }
    }

    #[test]
    fn what_names_no_other_model_passes() {
        for parameters in [
            "{}",
            r#"{"models":["gpt-4o-mini"],"route":"fallback"}"#,
            r#"{"fallbacks":[{"model":"gpt-4o-mini"}],"num_retries":2}"#,
            r#"{"fallbacks":[]}"#,
            r#"{"disable_fallbacks":true}"#,
            r#"{"search_engine":"any","plugins":[{"id":"web","engine":"any"}]}"#,
            r#"{"metadata":{"model":"mine"},"modalities":["text"]}"#,
            r#"{"generationConfig":{"modelConfig":{"featureSelectionPreference":"BALANCED"}}}"#,
            r#"{"generationConfig":{"responseSchema":{"properties":{"model":{"type":"STRING"}},"required":["model"]}}}"#,
            r#"{"text":{"format":{"type":"json_schema","schema":{"properties":{"model":{"const":"o3-pro"}}}}}}"#,
            r#"{"response_format":{"json_schema":{"properties":{"models":{"type":"string"},"fallback":{"type":"string"}}}}}"#,
        ] {
            assert_eq!(refused(parameters), None, "{parameters}");
        }
        let asked = Asked { model: "any".into(), parameters: r#"{"models":["o3-pro"]}"#.into(), ..Asked::default() };
        assert_eq!(check_models(&Scope::on(["openai"]), &asked, &further_models(&asked)), Ok(()));
    }

    #[test]
    fn a_model_is_told_once_however_often_it_is_named() {
        let asked = Asked {
            model: "a".into(),
            tool_models: vec!["b".into(), "b".into()],
            parameters: r#"{"models":["a","b","c"],"fallbacks":["c"]}"#.into(),
            ..Asked::default()
        };
        assert_eq!(further_models(&asked), ["b", "a", "c"]);
    }
}
