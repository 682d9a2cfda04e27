//! The guest's side of Portcullis for Rust: write a policy as one type, test it natively, ship it as one `.wasm`.
//!
//! ```
//! use policy_sdk::{Decision, Hooks, Metadata, Plan, Policy, Problem, Window, pattern};
//!
//! struct NoSecrets;
//!
//! impl Policy for NoSecrets {
//!     type Settings = policy_sdk::NoSettings;
//!
//!     fn describe() -> Metadata {
//!         Metadata::new("no-secrets", "1.0.0", "takes the word out")
//!     }
//!
//!     fn configure(_: Self::Settings) -> Result<(Self, Plan), Vec<Problem>> {
//!         let plan = Plan::new(Hooks::TEXT).patterns([pattern::word("secret", "hush")]).only_on_hit();
//!         Ok((Self, plan))
//!     }
//!
//!     fn on_text(&mut self, window: &Window) -> Result<Decision, String> {
//!         Ok(window.hits.iter().fold(Decision::allow(), |decision, hit| {
//!             decision.replace(hit.start, hit.end, "[…]", "word.hush")
//!         }))
//!     }
//! }
//!
//! policy_sdk::export!(NoSecrets);
//!
//! policy_sdk::rig::Rig::<NoSecrets>::new("{}").unwrap().every_split("Hush, hush!", "[…], […]!");
//! ```
//!
//! `cargo build --target wasm32-unknown-unknown` makes a core module that carries its WIT: the host takes it as it is.
//!
//! # Which hooks are exported
//!
//! A component that does not export a hook is never asked, so a policy whose author forgot to export one would let
//! everything pass. Here [`Plan::new`] takes the hooks to call: that is the one place to say it, the settings may change
//! it, and the rig obeys it, so a test sees what the host will do. `export!(Mine)` exports all hooks, `export!(Mine: text)`
//! those of an interface, and no code for others; a plan that asks for one that is not exported is refused when the policy
//! is loaded. A hook that is asked for and not implemented answers `err`, which the host treats as a failure and not as an
//! allow.
//!
//! # Memory
//!
//! A policy's memory is managed by [`talc`](https://docs.rs/talc), whose code is a quarter of that of the standard
//! library's allocator for Wasm. Without the feature `allocator`, which is on by default, that one or your own is used.
//!
//! # Text that is spelled otherwise
//!
//! The host finds patterns also where the text only reads as they say (full-width digits, look-alike letters, unseen
//! characters between). A hit covers the original, so a policy that looks at what was hit folds it first, with [`fold`],
//! or with [`Folded`] where it must find places again.
//!
//! # What must hold
//!
//! The SDK imports nothing of its own. [`host::log`] and the functions behind grants ([`host::clock`], [`host::state`],
//! [`host::scan`]) become imports of the component only if the policy calls them.

// wit-bindgen's macros name this crate by its name, inside it too.
extern crate self as policy_sdk;

mod answer;
#[doc(hidden)]
pub mod bindings;
mod guest;
pub mod host;
pub mod pattern;
mod plan;
mod policy;
#[cfg(not(target_arch = "wasm32"))]
pub mod rig;
mod settings;
pub mod terms;

pub use fold::{Folded, fold};

pub use bindings::{
    audit::exports::portcullis::policy::audit::Summary,
    bytes::exports::portcullis::policy::bytes::{BodyDecision, ByteEdit, Chunk, Head, HeadDecision, Header},
    conversation::exports::portcullis::policy::conversation::{Part, PartEdits, Request, RequestDecision, Tool},
    policy::exports::portcullis::policy::policy::{Hooks, Metadata, OffsetUnit, Pattern, Problem},
    portcullis::policy::types::{
        Attribute, Decision, Direction, Edit, Exchange, Hit, Identity, Question, Refusal, Substitute, Verdict,
    },
    text::exports::portcullis::policy::text::Window,
    tools::exports::portcullis::policy::tools::{ToolCall, ToolDecision},
};
pub use guest::Guest;
pub use plan::Plan;
pub use policy::Policy;
pub use settings::{ByName, NoSettings, settings};
#[doc(hidden)]
pub use wit_bindgen::rt;

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Makes the type that implements [`Policy`] the policy of this component. Once per `cdylib`; expands to nothing in a
/// native build, where [`rig`] takes the type directly.
///
/// `export!(Mine: text, tools)` exports these interfaces of hooks alone, of `conversation`, `text`, `tools`, `bytes` and
/// `audit`: the component is smaller, and sooner compiled. `export!(Mine)` exports all of them.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        $crate::export!($policy: conversation, text, tools, bytes, audit);
    };
    ($policy:ty: $($hooks:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings;

            type Exported = $crate::Guest<$policy, { 0 $(| bindings::$hooks::HOOKS)+ }>;
            bindings::policy::export_raw!(Exported with_types_in $crate::bindings::policy);
            $(bindings::$hooks::export_raw!(Exported with_types_in $crate::bindings::$hooks);)+
        };
    };
}
