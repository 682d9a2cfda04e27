//! The policy that masks, as it ships, on a text with many values.

use exchange::ports::Window;
use model::{Channel, Direction, PartId, Speaker};

use crate::rig::{Folder, about, policy, shipped};

/// Some 14,000 were the most while an answer was bounded alike however much it was about.
#[tokio::test]
async fn a_text_with_many_values_is_masked_with_the_answer_that_is_the_default() {
    const VALUES: usize = 20_000;
    let mut folder = Folder::new();
    folder.put("10-mask.wasm", shipped("mask"));
    // How fast this machine is does not matter here.
    folder.put("10-mask.toml", "limits = { time_per_call = \"2s\" }\n");
    let set = folder.scan().await;
    let mask = policy(&set, "10-mask");
    let text: String = (0..VALUES).map(|at| format!("10.{}.{}.7 - - GET /x\n", at / 250, at % 250)).collect();
    let scan = mask.scan("", &text, true);
    let window = Window {
        direction: Direction::Request,
        channel: Channel::Content,
        speaker: Speaker::User,
        part: PartId(0),
        before: "",
        pending: &text,
        fresh: 0,
        last: true,
        hits: &scan.hits,
    };
    let decision = mask.guest(&about()).on_text(window).await.unwrap();
    assert_eq!(decision.edits.len(), VALUES);
}
