//! The contract as Rust, made from `wit/policy.wit` by wasmtime's generator. Nothing outside `runtime` names these
//! types.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "full-policy",
    exports: { default: async },
    imports: { "portcullis:policy/scan": trappable, "portcullis:policy/state": trappable },
    ownership: Borrowing { duplicate_if_necessary: true },
});
