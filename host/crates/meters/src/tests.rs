//! Counted as the path tells, rendered as Prometheus reads.

use std::time::Duration;

use exchange::ports::{Stage, TurnedAway, Watch};
use model::{
    Caller, Digest, Direction, Entry, ExchangeId, Generation, Outcome, Rule, SessionId, Usage,
    record::{Closed, EditRecord, Judged, JudgedVerdict, Opened, PolicyTally, SetRef},
};

use super::*;

fn opened() -> Opened {
    Opened {
        exchange: ExchangeId::new(),
        session: SessionId::new(),
        at_ms: 1,
        caller: Caller { subject: "ann-the-caller".into(), ..Caller::default() }.into(),
        connection: "openai".into(),
        dialect: "openai-chat".into(),
        method: "POST".into(),
        path: "/v1/secret-path".into(),
        headers: Vec::new(),
        set: SetRef::default(),
    }
}

fn judged(verdict: JudgedVerdict, shadow: bool) -> Entry {
    let edit = EditRecord { start: 0, end: 1, by: "x".into(), reason: "r".into(), was: [0; 16] };
    Entry::Judged(Judged {
        at: 0,
        policy: "10-mask".into(),
        digest: Digest::default(),
        generation: Generation(1),
        direction: Direction::Request,
        hook: "on-text".into(),
        part: None,
        verdict,
        edits: vec![edit.clone(), edit],
        notes: Vec::new(),
        shadow,
    })
}

fn closed(outcome: Outcome) -> Entry {
    Entry::Closed(Closed {
        at: 1,
        outcome,
        detail: "a sentence".into(),
        usage: Usage { input_tokens: 5, output_tokens: 7 },
        policies: vec![PolicyTally {
            policy: "10-mask".into(),
            digest: Digest::default(),
            generation: Generation(1),
            calls: 3,
            cleared: 1,
            edits: 2,
        }],
    })
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|has| has == line), "`{line}` is not in\n{text}");
}

#[test]
fn what_the_path_tells_is_counted() {
    let meters = Meters::new("0.1.0");
    let mut follower = meters.opened(&opened());
    has(&meters.render(&Facts::default()), r#"portcullis_exchanges_running{connection="openai"} 1"#);
    follower.saw(&judged(JudgedVerdict::Allow, false));
    follower.saw(&judged(JudgedVerdict::Done, true));
    let failed = JudgedVerdict::Failed { kind: "trap".into(), message: "m".into(), open: false };
    follower.saw(&judged(failed, false));
    follower.saw(&closed(Outcome::Completed));
    follower.timed(Stage::JudgeRequest, Duration::from_micros(30));
    drop(follower);
    drop(meters.opened(&opened()));
    meters.turned_away(&TurnedAway { code: "no_credential", ..TurnedAway::default() });
    meters.answered("openai", Some(200), Duration::from_millis(20));
    meters.answered("openai", None, Duration::from_secs(9));
    let text = meters.render(&Facts::default());
    for line in [
        r#"portcullis_build_info{version="0.1.0"} 1"#,
        r#"portcullis_exchanges_running{connection="openai"} 0"#,
        r#"portcullis_exchanges_total{connection="openai",dialect="openai-chat",outcome="completed"} 1"#,
        r#"portcullis_exchanges_total{connection="openai",dialect="openai-chat",outcome="cancelled"} 1"#,
        r#"portcullis_exchange_seconds_count{connection="openai"} 2"#,
        r#"portcullis_judge_seconds_bucket{le="0.00005",connection="openai",direction="request"} 1"#,
        r#"portcullis_judge_seconds_count{connection="openai",direction="response"} 0"#,
        r#"portcullis_upstream_head_seconds_count{connection="openai"} 1"#,
        r#"portcullis_upstream_answers_total{connection="openai",status="none"} 1"#,
        r#"portcullis_tokens_total{connection="openai",kind="output"} 7"#,
        r#"portcullis_requests_refused_total{reason="no_credential"} 1"#,
        r#"portcullis_policy_calls_total{policy="10-mask"} 3"#,
        r#"portcullis_policy_edits_total{policy="10-mask",mode="enforce"} 4"#,
        r#"portcullis_policy_edits_total{policy="10-mask",mode="shadow"} 2"#,
        r#"portcullis_policy_failures_total{policy="10-mask",kind="trap"} 1"#,
    ] {
        has(&text, line);
    }
    assert!(!text.contains("ann-the-caller") && !text.contains("secret-path") && !text.contains("sentence"));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_others_keep_is_told_as_it_is() {
    let meters = Meters::new("0.1.0");
    let facts = Facts {
        generation: 7,
        problems: 1,
        panics: 2,
        store: StoreFacts {
            failed: false,
            control_failed: true,
            appended: 100,
            written: 90,
            durable: 80,
            ingested: 80,
        },
        alerts: vec![(Rule::RevokedCredentials, 2)],
        webhooks: vec![WebhookFacts { name: "soc".into(), delivered: 1, failed: 3, pending: 1 }],
        log_lines_dropped: 9,
        certificate_expires: Some(1_800_000_000),
        ..Facts::default()
    };
    let text = meters.render(&facts);
    for line in [
        "portcullis_policy_set_generation 7",
        "portcullis_policy_set_problems 1",
        "portcullis_panics_total 2",
        "portcullis_store_failed 0",
        "portcullis_control_log_failed 1",
        "portcullis_store_appended_bytes_total 100",
        "portcullis_store_undurable_bytes 20",
        r#"portcullis_alerts_total{rule="revoked-credentials"} 2"#,
        r#"portcullis_webhook_deliveries_total{webhook="soc",result="failed"} 3"#,
        r#"portcullis_webhook_pending{webhook="soc"} 1"#,
        "portcullis_log_lines_dropped_total 9",
        r#"portcullis_certificate_expiry_timestamp_seconds{listener="listen"} 1800000000"#,
    ] {
        has(&text, line);
    }
}

#[test]
fn the_documentation_lists_every_metric() {
    let page = include_str!("../../../docs/metrics.md");
    for name in Families::NAMES {
        assert!(page.contains(&format!("`portcullis_{name}")), "host/docs/metrics.md does not tell of {name}");
    }
}
