//! `portcullis sessions verify`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use serde_json::json;
use store::{Store, StoreError, Verified};

use super::super::{
    host::HostArgs,
    show::{json_of, line_of},
    verdict,
};

/// Verify that all that was recorded is still there, as it was recorded: every entry of every exchange, every event, every
/// page of the sealed segments.
///
/// Reads the whole store, which no host may have open: stop the host, or verify a copy of the folder that was made while it
/// was stopped, or from a snapshot of the file system. A copy needs no `key`: with it, who reads the copy finds out short values
/// that were masked. What a host that died left in the journal is taken over first, as
/// by a host that starts, and an index that is not there is made: the folder must be writable, and its owner's. Ends with 1 at the
/// first thing that does not agree, and names it.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The folder of the store, where it is another than the configuration says.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArgs,
}

pub(super) async fn verify(args: VerifyArgs) -> anyhow::Result<ExitCode> {
    let folder = match args.store {
        Some(folder) => folder,
        None => args.host.place()?.store.context("which store? Name it with --store FOLDER, or by --config FILE")?,
    };
    let shown = folder.clone();
    let look = move || {
        let store = Store::open_read_only(&folder)?;
        store.verify().map(|verified| (verified, store.has_key()))
    };
    let found = match tokio::task::spawn_blocking(look).await? {
        Err(error @ StoreError::InUse { .. }) => {
            return Err(error).context("only the store of a host that is stopped, or a copy of one, can be verified");
        }
        found @ (Ok(_) | Err(StoreError::Corrupt { .. } | StoreError::Database { .. })) => found,
        // That says nothing of the record.
        Err(error) => return Err(error).context("nothing is verified"),
    };
    let good = found.is_ok();
    let told = match found {
        Ok((verified, _)) if args.json => json_of(&json!({ "good": true, "verified": verified }))?,
        Err(error) if args.json => json_of(&json!({ "good": false, "problem": error.to_string() }))?,
        Ok((Verified { exchanges, events, segments }, has_key)) => format!(
            "ok      {}  {exchanges} exchange(s), {events} event(s), {segments} sealed segment(s){}",
            line_of(&shown.display().to_string()),
            if has_key { "" } else { "; without its key, which no host starts without" }
        ),
        Err(error) => format!("WRONG   {}", line_of(&error.to_string())),
    };
    verdict(&told, good)
}
