//! What the tests of `load` start in the place of `portcullis compile-policy`.

use std::process::ExitCode;

fn main() -> ExitCode {
    engine::load::compile_child_main(include_bytes!("../../../../../policies/dist/lockdown.wasm"))
}
