//! What an exchange that does not complete has spent: on record, and told to policies, as of one that does.

use futures_util::StreamExt;
use model::{Entry, Outcome, Usage, record::Closed};

use crate::{
    SSE, event,
    rig::{Does, Rig, Setting, policy, read},
};

const TOLD: Usage = Usage { input_tokens: 5000, output_tokens: 1 };

/// An event in which the provider tells the tokens so far, and text behind it.
fn counted(text: &str) -> String {
    let usage = "data: {\"id\":\"1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\
                 \"usage\":{\"prompt_tokens\":5000,\"completion_tokens\":1,\"total_tokens\":5001}}\n\n";
    usage.to_owned() + &event(text)
}

/// A policy that stops at a word, and one that only looks on; both want to hear of the end.
fn watched() -> Setting {
    let policies =
        vec![policy("20-block", Does::Block("bomb")).auditing(), policy("30-look", Does::Mask("secret", "[X]"))];
    Setting { policies, content_type: SSE, ..Setting::default() }
}

/// How the record ends; nothing is behind it.
fn end(rig: &Rig) -> Closed {
    let entries = rig.entries.lock().unwrap();
    let ends: Vec<_> = entries.iter().filter(|entry| matches!(entry, Entry::Closed(_))).collect();
    assert_eq!(ends.len(), 1, "{entries:?}");
    match entries.last() {
        Some(Entry::Closed(closed)) => closed.clone(),
        other => panic!("the record is not closed: {other:?}"),
    }
}

fn calls(closed: &Closed) -> Vec<(&str, bool)> {
    closed.policies.iter().map(|tally| (tally.policy.as_str(), tally.calls > 0)).collect()
}

#[tokio::test]
async fn what_a_stopped_answer_has_spent_is_on_record_and_told() {
    // With what is stopped, and before it.
    for pieces in [&["a bomb"][..], &["a ", "bomb"]] {
        let setting = watched();
        let (told, spent) = (setting.policies[0].told.clone(), setting.holder.spent.clone());
        let rig = Rig::new(setting);
        rig.say(&counted(pieces[0]));
        let mut body = rig.ask("hi", true).await.into_body();
        if let [_, behind] = pieces {
            body.next().await.unwrap().unwrap();
            rig.say(&event(behind));
        }
        while let Some(Ok(_)) = body.next().await {}
        let closed = end(&rig);
        assert_eq!((closed.outcome, closed.usage), (Outcome::Blocked, TOLD));
        assert_eq!(*told.lock().unwrap(), [(Outcome::Blocked, TOLD)]);
        assert_eq!(spent.lock().unwrap().input_tokens, TOLD.input_tokens, "it is not free either");
    }
}

#[tokio::test]
async fn what_broke_off_has_spent_what_was_told() {
    let mut rig = Rig::new(watched());
    rig.say(&counted("one"));
    rig.upstream.take().unwrap().send(Err(exchange::BodyError("reset".into()))).unwrap();
    assert!(read(rig.ask("hi", true).await).await.1);
    let closed = end(&rig);
    assert_eq!((closed.outcome, closed.usage), (Outcome::UpstreamError, TOLD));
}

#[tokio::test]
async fn what_its_caller_left_is_closed_with_what_was_spent_and_judged() {
    let rig = Rig::new(watched());
    rig.say(&counted("a secret"));
    let mut body = rig.ask("hi", true).await.into_body();
    body.next().await.unwrap().unwrap();
    drop(body);
    let closed = end(&rig);
    assert_eq!((closed.outcome, closed.usage), (Outcome::Cancelled, TOLD));
    assert_eq!(calls(&closed), [("20-block", true), ("30-look", true)]);
    assert_eq!(closed.policies[1].edits, 1);
}

#[tokio::test]
async fn what_its_caller_left_before_the_answer_is_closed_with_what_was_judged() {
    let rig = Rig::new(Setting { silent_upstream: true, ..watched() });
    let mut exchange = Box::pin(rig.ask("a secret", true));
    for _ in 0..10 {
        assert!(futures_util::FutureExt::now_or_never(exchange.as_mut()).is_none(), "it waits");
        tokio::task::yield_now().await;
    }
    drop(exchange);
    let closed = end(&rig);
    assert_eq!((closed.outcome, closed.usage), (Outcome::Cancelled, Usage::default()));
    assert_eq!((calls(&closed), closed.policies[1].edits), (vec![("20-block", true), ("30-look", true)], 1));
}
