//! `portcullis sessions show`: a session or an exchange, printed page by page.

use store::{ExchangeRecord, SessionRecord};

use super::{
    entry::entry_text,
    exchanges_table, outcome,
    records::{Found, Records},
};
use crate::cli::{
    print, print_line,
    show::{JsonList, duration_of, json_of, line_of, time_of},
};

pub(super) async fn show(records: &Records, id: &str, json: bool) -> anyhow::Result<()> {
    match records.find(id).await? {
        Found::Session(first) if json => session_json(records, *first).await,
        Found::Session(first) => session_text(records, *first).await,
        Found::Exchange(first) if json => exchange_json(records, *first).await,
        Found::Exchange(first) => exchange_text(records, *first).await,
    }
}

/// The page of a session that comes next.
async fn session_after(records: &Records, page: &SessionRecord) -> anyhow::Result<Option<SessionRecord>> {
    let Some(next) = page.next else { return Ok(None) };
    records.session(page.summary.session, Some(next)).await.map(Some)
}

/// The page of an exchange that comes next.
async fn exchange_after(records: &Records, page: &ExchangeRecord) -> anyhow::Result<Option<ExchangeRecord>> {
    let Some(next) = page.next else { return Ok(None) };
    records.exchange(page.summary.exchange, Some(next)).await.map(Some)
}

async fn session_json(records: &Records, mut page: SessionRecord) -> anyhow::Result<()> {
    let (mut list, begin) = JsonList::begin("exchanges");
    print(&begin)?;
    loop {
        print(&list.items(&page.exchanges)?)?;
        let Some(next) = session_after(records, &page).await? else { break };
        page = next;
    }
    // As it is now: the session may have grown meanwhile.
    print(&list.end(&[("summary", json_of(&page.summary)?)]))
}

async fn exchange_json(records: &Records, mut page: ExchangeRecord) -> anyhow::Result<()> {
    let (mut list, begin) = JsonList::begin("entries");
    print(&begin)?;
    loop {
        print(&list.items(&page.entries)?)?;
        let Some(next) = exchange_after(records, &page).await? else { break };
        page = next;
    }
    print(&list.end(&[("summary", json_of(&page.summary)?), ("root", json_of(&page.root)?)]))
}

async fn session_text(records: &Records, mut page: SessionRecord) -> anyhow::Result<()> {
    let summary = &page.summary;
    let tokens = (summary.input_tokens, summary.output_tokens);
    print_line(&format!(
        "session {}   {} on {}   since {}   {} tokens in, {} out\n",
        summary.session,
        line_of(&summary.caller),
        line_of(&summary.connection),
        time_of(summary.started_ms),
        tokens.0,
        tokens.1,
    ))?;
    loop {
        print_line(&exchanges_table(&page.exchanges))?;
        let Some(next) = session_after(records, &page).await? else { return Ok(()) };
        page = next;
    }
}

/// An exchange, one entry after the other.
async fn exchange_text(records: &Records, mut page: ExchangeRecord) -> anyhow::Result<()> {
    let summary = &page.summary;
    print_line(&format!(
        "exchange {}   {}   {} on {}   {}   {}\npolicy set {}, {}\n",
        summary.exchange,
        outcome(summary),
        line_of(&summary.caller),
        line_of(&summary.connection),
        time_of(summary.started_ms),
        line_of(&summary.detail),
        summary.set.generation,
        summary.set.digest,
    ))?;
    loop {
        for timed in &page.entries {
            let (title, body) = entry_text(&timed.entry);
            let mut lines = format!("{:>9}  {title}", format!("+{}", duration_of(timed.at_us)));
            body.lines().for_each(|line| lines.push_str(&format!("\n           {line}")));
            print_line(&lines)?;
        }
        let Some(next) = exchange_after(records, &page).await? else { break };
        page = next;
    }
    page.root.map_or(Ok(()), |root| print_line(&format!("\nroot {}", line_of(&root))))
}
