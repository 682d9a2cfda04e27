//! What wit-bindgen makes of `wit/policy.wit`: the types of the contract, the host's functions and the raw exports.
//! Nothing in here is written by hand, and nothing else in the crate is unsafe.
//!
//! There is a world for the interface that every policy exports, with all that a policy may import, and one for each
//! interface of hooks, so that a policy carries the code of those that it exports and no other. The worlds that a
//! component says it has are united when it is made. An import costs a policy nothing: a core module imports only what
//! its code calls, and the host (like `wasm-tools component new`) makes the component's imports from the module's.
#![allow(missing_docs, clippy::all, unused_qualifications, unreachable_pub, reason = "generated from wit/policy.wit")]

use policy::exports::portcullis::policy::policy::Hooks;
pub use policy::portcullis;

/// What every policy exports, and all that one may import.
pub mod policy {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package portcullis:sdk;

            world policy {
                include portcullis:policy/base@0.1.0;
                import portcullis:policy/clock@0.1.0;
                import portcullis:policy/state@0.1.0;
                import portcullis:policy/scan@0.1.0;
            }
        ",
        runtime_path: "::policy_sdk::rt",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_raw",
        generate_all,
    });
}

/// The exports of one interface of hooks, and which hooks of the contract's flags they are.
macro_rules! hooks {
    ($interface:ident, $hooks:expr, $world:literal) => {
        pub mod $interface {
            pub const HOOKS: u8 = $hooks.bits();

            wit_bindgen::generate!({
                path: "../wit",
                inline: $world,
                runtime_path: "::policy_sdk::rt",
                additional_derives: [PartialEq],
                pub_export_macro: true,
                export_macro_name: "export_raw",
                with: { "portcullis:policy/types@0.1.0": ::policy_sdk::bindings::portcullis::policy::types },
            });
        }
    };
}

hooks!(
    conversation,
    super::Hooks::CONVERSATION,
    "package portcullis:sdk; world conversation { export portcullis:policy/conversation@0.1.0; }"
);
hooks!(text, super::Hooks::TEXT, "package portcullis:sdk; world text { export portcullis:policy/text@0.1.0; }");
hooks!(tools, super::Hooks::TOOLS, "package portcullis:sdk; world tools { export portcullis:policy/tools@0.1.0; }");
hooks!(
    bytes,
    super::Hooks::HEAD.union(super::Hooks::BODY),
    "package portcullis:sdk; world bytes { export portcullis:policy/bytes@0.1.0; }"
);
hooks!(audit, super::Hooks::AUDIT, "package portcullis:sdk; world audit { export portcullis:policy/audit@0.1.0; }");
