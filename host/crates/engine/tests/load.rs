//! Loading policies, with real files, real children and the policies that ship.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

#[path = "load/rig.rs"]
mod rig;

#[path = "load/changing.rs"]
mod changing;
#[path = "load/compiling.rs"]
mod compiling;
#[path = "load/folder.rs"]
mod folder;
#[path = "load/glancing.rs"]
mod glancing;
#[path = "load/inspecting.rs"]
mod inspecting;
#[path = "load/many_values.rs"]
mod many_values;
#[path = "load/model.rs"]
mod model_of_the_folder;
