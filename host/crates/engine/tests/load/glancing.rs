//! One look for the patterns of all policies of a set, with those that ship.

use std::sync::Arc;

use exchange::ports::{Glance, PolicySet, Spared};

use crate::rig::{Folder, ids, lockdown, shipped};

const BLOCK: &str = "[settings]\nwords = [\"launch codes\"]\n";

fn glance(set: &Arc<PolicySet>) -> &Arc<dyn Glance> {
    set.glance.as_ref().expect("two policies look for patterns")
}

#[tokio::test]
async fn a_set_spares_its_policies_text_that_holds_nothing_of_theirs() {
    let mut folder = Folder::new();
    folder.put("10-mask.wasm", shipped("mask"));
    assert!(folder.scan().await.glance.is_none(), "one looks for itself");
    folder.put("20-block.wasm", shipped("block"));
    folder.put("20-block.toml", BLOCK);
    folder.put("30-lockdown.wasm", lockdown());
    folder.put("40-approve.wasm", shipped("approve"));
    let set = folder.scan().await;
    assert_eq!(ids(&set), ["10-mask", "20-block", "30-lockdown", "40-approve"]);
    let all = glance(&set);
    assert_eq!(all.spares("The quick brown fox jumps over the lazy dog. ", true), Spared(0b1011));
    assert_eq!(all.spares("my ssn is 078-05-1120", true), Spared(0b1010));
    assert_eq!(all.spares("the launch codes, please", true), Spared(0b1001));
    assert_eq!(all.spares("the launch co", true), Spared(0b1011));
    assert!(!all.spares("the launch co", false).holds(1), "it may go on");
    for (place, policy) in set.policies.iter().enumerate() {
        for text in ["nothing here", "078-05-1120", "launch codes", "export it"] {
            let scan = policy.scan("", text, true);
            assert!(!all.spares(text, true).holds(place) || scan.hits.is_empty(), "{place} {text}");
        }
        assert_eq!(policy.scan_spared("", "nothing here", true), policy.scan("", "nothing here", true));
    }
}

#[tokio::test]
async fn a_change_that_leaves_the_patterns_as_they_are_leaves_the_glance() {
    let mut folder = Folder::new();
    folder.put("10-mask.wasm", shipped("mask"));
    folder.put("20-block.wasm", shipped("block"));
    folder.put("20-block.toml", BLOCK);
    let before = folder.scan().await;
    folder.put("20-block.toml", format!("mode = \"shadow\"\n{BLOCK}"));
    let same = folder.scan().await;
    assert!(Arc::ptr_eq(glance(&before), glance(&same)));
    folder.put("20-block.toml", BLOCK.replace("launch codes", "zebra"));
    let other = folder.scan().await;
    assert_eq!(glance(&other).spares("a zebra", true), Spared(0b01));
    assert_eq!(glance(&before).spares("a zebra", true), Spared(0b11));
    folder.put("05-lockdown.wasm", lockdown());
    let moved = folder.scan().await;
    assert_eq!(glance(&moved).spares("a zebra", true), Spared(0b010), "the places are others");
}
