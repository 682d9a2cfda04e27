//! An entry of a record as text.
//!
//! What must hold: it claims no more than the record knows. What was cleared was recorded and then handed over; how much of it
//! went, or arrived, nobody here knows.

use model::{
    Entry,
    record::{Closed, Judged, JudgedVerdict},
};

use crate::cli::show::{bytes_of, line_of, size_of};

/// Title and body of an entry; safe for a terminal.
pub(super) fn entry_text(entry: &Entry) -> (String, String) {
    match entry {
        Entry::Opened(opened) => {
            let headers =
                opened.headers.iter().map(|header| format!("{}: {}\n", line_of(&header.name), line_of(&header.value)));
            (format!("request    {} {}", line_of(&opened.method), line_of(&opened.path)), headers.collect())
        }
        Entry::Request(request) => {
            let size = size_of(request.body.len() as u64);
            let title = if request.forwarded {
                format!("cleared    {size} for the upstream")
            } else {
                format!("stopped    {size}")
            };
            (title, bytes_of(&request.body))
        }
        Entry::Judged(judged) => judged_text(judged),
        Entry::Held(held) => {
            (format!("held       {} ({})", line_of(&held.question.title), held.approval), String::new())
        }
        Entry::Decided(decided) => {
            let by = if decided.by.is_empty() { String::new() } else { format!(" by {}", line_of(&decided.by)) };
            (format!("decided    {}{by}", line_of(&decided.state)), line_of(&decided.reason))
        }
        Entry::Switched(set, _) => {
            (format!("switched   to policy set {} ({})", set.generation, set.digest.short()), String::new())
        }
        Entry::ResponseHead(head) => {
            let headers =
                head.headers.iter().map(|header| format!("{}: {}\n", line_of(&header.name), line_of(&header.value)));
            (format!("response   {}", head.status), headers.collect())
        }
        Entry::Chunk(chunk) => {
            (format!("cleared    {} for the caller", size_of(chunk.data.len() as u64)), bytes_of(&chunk.data))
        }
        Entry::PutBack(back) => {
            let tokens =
                back.tokens.iter().map(|at| format!("{} bytes {}..{}\n", line_of(&at.token), at.start, at.end));
            (format!("put back   {} value(s)", back.tokens.len()), tokens.collect())
        }
        Entry::Unsent(_) => ("not sent   nothing of the request went upstream".to_owned(), String::new()),
        Entry::Closed(closed) => closed_text(closed),
    }
}

fn judged_text(judged: &Judged) -> (String, String) {
    let verdict = match &judged.verdict {
        JudgedVerdict::Allow => "allow".to_owned(),
        JudgedVerdict::Done => "done".to_owned(),
        JudgedVerdict::Block(refusal) => format!("block {}", line_of(&refusal.code)),
        JudgedVerdict::Ask(question) => format!("ask {}", line_of(&question.title)),
        JudgedVerdict::Failed { kind, message, open } => {
            format!("FAILED ({}{}) {}", line_of(kind), if *open { ", let pass" } else { "" }, line_of(message))
        }
        JudgedVerdict::Skipped(why) => format!("skipped: {}", line_of(why)),
    };
    let shadow = if judged.shadow { " (shadow)" } else { "" };
    let changed = if judged.edits.is_empty() { String::new() } else { format!(", {} edit(s)", judged.edits.len()) };
    let (policy, digest, hook) = (line_of(&judged.policy), judged.digest.short(), line_of(&judged.hook));
    let title = format!("judged     {policy} ({digest}) {hook}: {verdict}{changed}{shadow}");
    let edits = judged
        .edits
        .iter()
        .map(|edit| format!("{} bytes {}..{} -> {}\n", line_of(&edit.reason), edit.start, edit.end, line_of(&edit.by)));
    (title, edits.collect())
}

fn closed_text(closed: &Closed) -> (String, String) {
    let mut body = line_of(&closed.detail);
    for tally in &closed.policies {
        body.push_str(&format!(
            "\n{} {} of set {}: {} call(s), {} window(s) cleared with none, {} edit(s)",
            line_of(&tally.policy),
            tally.digest,
            tally.generation,
            tally.calls,
            tally.cleared,
            tally.edits,
        ));
    }
    (format!("closed     {}", closed.outcome.as_str()), body)
}

#[cfg(test)]
mod tests {
    use model::{
        Outcome, Usage,
        record::{Chunk, PolicyTally, Request},
    };

    use super::*;

    #[test]
    fn nothing_is_claimed_that_the_record_does_not_know() {
        let request =
            |forwarded| Request { at: 1, model: "m".into(), streaming: false, body: b"hi".to_vec(), forwarded };
        for (entry, told) in [
            (Entry::Request(request(true)), "cleared    2 B for the upstream"),
            (Entry::Request(request(false)), "stopped    2 B"),
            (Entry::Unsent(2), "not sent   nothing of the request went upstream"),
            (Entry::Chunk(Chunk { at: 3, data: b"ho".to_vec() }), "cleared    2 B for the caller"),
        ] {
            assert_eq!(entry_text(&entry).0, told);
        }
    }

    #[test]
    fn the_end_names_each_policy_by_its_digest() {
        let digest = model::Digest([0xab; 32]);
        let tally = PolicyTally {
            policy: "10-mask\x1b".into(),
            digest,
            generation: model::Generation(7),
            calls: 3,
            cleared: 2,
            edits: 1,
        };
        let closed = Closed {
            at: 4,
            outcome: Outcome::Completed,
            detail: String::new(),
            usage: Usage::default(),
            policies: vec![tally],
        };
        let body = entry_text(&Entry::Closed(closed)).1;
        let told = format!("\n10-mask\\u{{1b}} {digest} of set 7: 3 call(s), 2 window(s) cleared with none, 1 edit(s)");
        assert_eq!(body, told);
    }
}
