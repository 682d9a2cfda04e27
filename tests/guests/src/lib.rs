//! Guests for the tests: a few that behave, and many that don't.
//!
//! Those that a Rust policy can express are the `examples` of this crate, one behaviour each, steered by their settings.
//! Those that need a module of another making (a start function that spins, a wrong version of the contract, imports that
//! nobody grants) are put together by [`handmade`]. `tests/guests/build` makes all of them into one folder, and
//! [`folder`] does that for a test.
//!
//! What must hold: a guest is harmless until its trigger word is in the text, so that it passes the trial at load and
//! fails where the test wants it to; with an empty trigger it fails at once.

#[cfg(not(target_arch = "wasm32"))]
pub mod handmade;

use policy_sdk::{Hooks, Metadata};

/// The word that sets a guest off, unless its settings name another.
pub const TRIGGER: &str = "NOW";

/// [`TRIGGER`], for serde.
#[must_use]
pub fn trigger() -> String {
    TRIGGER.to_owned()
}

/// Facts of a guest of this crate.
#[must_use]
pub fn describe(name: &str) -> Metadata {
    Metadata::new(name, env!("CARGO_PKG_VERSION"), "a guest of the tests")
}

/// Text, in both directions, and nothing else.
#[must_use]
pub fn text_only() -> Hooks {
    Hooks::TEXT
}

/// Builds all guests and answers the folder that holds them, as `NAME.wasm`.
///
/// # Errors
/// What the build says.
#[cfg(not(target_arch = "wasm32"))]
pub fn folder() -> anyhow::Result<std::path::PathBuf> {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = std::process::Command::new(here.join("build")).arg("--rust").output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    anyhow::ensure!(output.status.success(), "tests/guests/build failed:\n{}", text(&output.stderr));
    let folder = std::path::PathBuf::from(text(&output.stdout));
    handmade::write_all(&folder)?;
    Ok(folder)
}

/// [`policy_sdk::export!`] for a policy of text alone that counts it in a unit of its own: the function is given the
/// settings and answers the unit that the plan is to name. (The SDK itself counts bytes, as Rust does.)
#[macro_export]
macro_rules! export_in_unit {
    ($policy:ty, $unit:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use ::policy_sdk::bindings::{
                self, policy::exports::portcullis::policy::policy, text::exports::portcullis::policy::text,
            };

            type Inner = ::policy_sdk::Guest<$policy, { bindings::text::HOOKS }>;

            struct Exported;

            impl policy::Guest for Exported {
                fn describe() -> policy::Metadata {
                    <Inner as policy::Guest>::describe()
                }
                fn configure(json: String) -> Result<policy::Plan, Vec<policy::Problem>> {
                    let offsets = $unit(&json);
                    <Inner as policy::Guest>::configure(json).map(|plan| policy::Plan { offsets, ..plan })
                }
                fn open(exchange: policy::Exchange) -> Result<policy::Verdict, String> {
                    <Inner as policy::Guest>::open(exchange)
                }
            }

            impl text::Guest for Exported {
                fn on_text(window: text::Window) -> Result<text::Decision, String> {
                    <Inner as text::Guest>::on_text(window)
                }
            }

    bindings::policy::export_raw!(Exported with_types_in ::policy_sdk::bindings::policy);
    bindings::text::export_raw!(Exported with_types_in ::policy_sdk::bindings::text);
        };
    };
}
