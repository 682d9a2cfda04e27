//! From a file's bytes to a valid component.
//!
//! Runs in the child that compiles, not in the host: wit-component and the validator are large, and the bytes are
//! hostile. A panic or an overflowing stack ends the child and fails the file, nothing else.

use std::borrow::Cow;

use wasmparser::{Parser, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

use super::{Refused, shape::Form, stage};

/// Makes a component of a policy's file: a component is taken as it is; a core module with its WIT is wrapped into one.
///
/// # Errors
/// Says what is wrong with the module or its WIT.
pub fn to_component(bytes: &[u8]) -> Result<(Form, Cow<'_, [u8]>), Refused> {
    if Parser::is_component(bytes) {
        return Ok((Form::Component, Cow::Borrowed(bytes)));
    }
    let wrapped = ComponentEncoder::default()
        // Validated below, by the same rules as a component that came as one.
        .validate(false)
        .module(bytes)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| {
            Refused::new(stage::VALIDATE, format!("no component can be made of this core module: {error:#}"))
        })?;
    Ok((Form::CoreModule, Cow::Owned(wrapped)))
}

/// How the validator names what toolchains with asynchronous functions use.
const ASYNC: &str = "component model async";

/// Validates a component by the features that the engine runs with.
///
/// # Errors
/// The validator's own message, and the way out where a toolchain is known to have a switch.
pub fn validate(component: &[u8]) -> Result<(), Refused> {
    Validator::new_with_features(features()).validate_all(component).map(|_types| ()).map_err(|error| {
        let way_out = if error.message().contains(ASYNC) {
            "; build it without asynchronous functions (componentize-qjs: `--sync`)"
        } else {
            ""
        };
        let (message, offset) = (error.message(), error.offset());
        Refused::new(stage::VALIDATE, format!("invalid WebAssembly: {message} at byte {offset}{way_out}"))
    })
}

/// WebAssembly 2.0, the component model, and the proposals that toolchains emit today. No threads, no 64-bit memories,
/// no garbage collection, no exceptions, nothing relaxed: the engine is configured alike, and checks again.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::COMPONENT_MODEL
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::EXTENDED_CONST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_has_switched_off_is_invalid() {
        for (text, valid) in [
            ("(component (core module (memory 1) (memory 1)))", true),
            ("(component (core module (memory i64 1)))", false),
            ("(component (core module (memory 1 1 shared)))", false),
            ("(component (core module (type (struct))))", false),
            ("(component (core module (func (result i32))))", false),
        ] {
            assert_eq!(validate(&wat::parse_str(text).unwrap()).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn what_needs_asynchronous_functions_is_told_with_the_way_out() {
        let component = wat::parse_str("(component (core func (canon context.get i32 0)))").unwrap();
        let refused = validate(&component).expect_err("asynchronous");
        assert!(refused.message.contains("`context.get`") && refused.message.contains("`--sync`"), "{refused}");
    }

    #[test]
    fn a_module_whose_wit_is_nonsense_is_refused() {
        let module = wat::parse_str(r#"(module (@custom "component-type:x" "nonsense"))"#).unwrap();
        let refused = to_component(&module).expect_err("nonsense");
        assert!(refused.message.contains("no component can be made"), "{refused}");
    }
}
