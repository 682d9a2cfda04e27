//! `make-guests FOLDER`: writes the handmade guests into a folder; see `guests::handmade`.

#[cfg(not(target_arch = "wasm32"))]
fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os().nth(1).ok_or_else(|| anyhow::anyhow!("usage: make-guests FOLDER"))?;
    guests::handmade::write_all(folder.as_ref())
}

#[cfg(target_arch = "wasm32")]
fn main() {}
