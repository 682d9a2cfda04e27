//! What wit-bindgen makes of `wit/policy.wit`: the types of the contract, the host's functions and the raw exports.
//! Nothing in here is written by hand, and nothing else in the crate is unsafe.
//!
//! The world is the full one. That costs a policy no import: a core module imports only what its code calls, and the
//! host (like `wasm-tools component new`) makes the component's imports from the module's. Every hook is exported, and
//! `Plan` says which of them are called.
#![allow(missing_docs, clippy::all, unused_qualifications, unreachable_pub, reason = "generated from wit/policy.wit")]

wit_bindgen::generate!({
    path: "../wit",
    world: "full-policy",
    runtime_path: "::policy_sdk::rt",
    default_bindings_module: "::policy_sdk::bindings",
    additional_derives: [PartialEq],
    pub_export_macro: true,
    export_macro_name: "export_raw",
    generate_all,
});
