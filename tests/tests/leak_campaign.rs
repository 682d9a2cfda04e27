//! The leak campaign, cut short: `tests/leaks` runs the same cases by the million.

use std::sync::Arc;

use scenarios::{leaks::Campaign, rig::Durability};

/// Streams of a run, in a build that is not optimised.
const STREAMS: u64 = 4_000;
/// Streams with no policy in force.
const SEEN: u64 = 1_500;
/// Streams with no policy whose record is looked at.
const STORED: u64 = 200;
/// Answers that the vendors' own SDKs read.
const BY_SDK: u64 = 300;
/// Bytes of clean traffic.
const CLEAN_BYTES: u64 = 8_000_000;
const SEED: u64 = 20_260_101;

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_leaves_the_host_nor_stays_in_its_store() {
    let campaign = Arc::new(Campaign::start(SEED, Durability::Bounded, true).await.unwrap());
    let report = campaign.run(STREAMS).await;
    assert_eq!((report.streams, report.leaks, report.wrong), (STREAMS, 0, 0), "{:#?}", report.told);
    let stored = campaign.in_store().await.unwrap();
    assert!(stored.file.is_none() && stored.record.is_none(), "{stored:?}");
    assert!(stored.bytes > STREAMS * 1_000, "the store holds the exchanges: {stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_policy_the_store_holds_canaries_in_files_and_in_records() {
    let campaign = Arc::new(Campaign::start(SEED, Durability::Bounded, false).await.unwrap());
    campaign.blind(STORED).await;
    let stored = campaign.in_store().await.unwrap();
    assert!(stored.file.is_some() && stored.record.is_some(), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_policy_the_oracle_sees_every_canary() {
    let campaign = Arc::new(Campaign::start(SEED, Durability::Off, false).await.unwrap());
    let report = campaign.blind(SEEN).await;
    assert_eq!((report.streams, report.wrong), (SEEN, 0), "{:#?}", report.told);
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_on_the_vendors_sdks_see_no_canary() {
    let open = Campaign::start(SEED, Durability::Off, false).await.unwrap().by_sdk(BY_SDK).await.unwrap();
    // They leave out what they don't know: comments, names, bytes that no model of theirs has a place for.
    assert!(open.seen * 10 > open.read * 7, "with no policy they see it: {open:?}");
    let masked = Campaign::start(SEED, Durability::Off, true).await.unwrap().by_sdk(BY_SDK).await.unwrap();
    assert_eq!((masked.read, masked.seen), (BY_SDK, 0), "{:#?}", masked.told);
    assert!(masked.raised <= open.raised, "they read what was masked as well as what was not: {masked:?} {open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clean_traffic_is_not_changed_by_a_byte() {
    let campaign = Arc::new(Campaign::start(SEED, Durability::Off, true).await.unwrap());
    let clean = campaign.clean(CLEAN_BYTES).await;
    assert!(clean.changed.is_empty(), "{} of {}: {:#?}", clean.changed.len(), clean.streams, clean.changed);
    assert!(clean.bytes >= CLEAN_BYTES && clean.streams > 50);
}
