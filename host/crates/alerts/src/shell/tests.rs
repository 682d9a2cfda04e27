//! The shell over a log in memory, and over receivers on this machine.

use std::{
    sync::atomic::AtomicBool,
    time::{SystemTime, UNIX_EPOCH},
};

use exchange::ports::{Follow, TurnedAway, Watch};
use futures_util::future::BoxFuture;
use model::{
    Caller, Digest, Entry, Event, ExchangeId, SessionId,
    record::{Decided, Held, Judged, JudgedVerdict, Opened, SetRef},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use super::*;
use crate::{Burst, Secret, Volume};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A log that can be full.
#[derive(Default)]
struct Log {
    events: Mutex<Vec<ControlEvent>>,
    full: AtomicBool,
}

impl ControlLog for Log {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        Ok(model::control::living(self.events.lock().unwrap().clone(), 0))
    }

    fn append(&self, event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        Box::pin(async move {
            if self.full.load(Ordering::Relaxed) {
                return Err(RecordError("full".into()));
            }
            self.events.lock().unwrap().push(event);
            Ok(())
        })
    }
}

fn terms() -> Terms {
    Terms {
        unusual_volume: Some(Volume { interval_ms: 1000, history: 3, floor: 10, ..Volume::default() }),
        refused_credentials: Some(Burst { count: 3, window_ms: 60_000 }),
        failed_approvals: Some(Burst { count: 2, window_ms: 60_000 }),
        ..Terms::default()
    }
}

fn alerts(webhooks: Vec<Webhook>, log: &Arc<Log>) -> Alerts {
    Alerts::open(terms(), webhooks, Arc::clone(log) as Arc<dyn ControlLog>, None).unwrap()
}

fn caller() -> Caller {
    Caller { subject: "ann".into(), issuer: "token".into(), ..Caller::default() }
}

fn opened() -> Opened {
    Opened {
        exchange: ExchangeId::new(),
        session: SessionId::new(),
        at_ms: 1000,
        caller: caller().into(),
        connection: "openai".into(),
        dialect: "openai-chat".into(),
        method: "POST".into(),
        path: "/".into(),
        headers: Vec::new(),
        set: SetRef::default(),
    }
}

fn rules(alerts: &Alerts) -> Vec<(Rule, String, u64)> {
    alerts.list().into_iter().map(|alert| (alert.rule, alert.subject.to_string(), alert.count)).collect()
}

fn failed(shadow: bool) -> Entry {
    Entry::Judged(Judged {
        at: 0,
        policy: "10-mask".into(),
        digest: Digest::default(),
        generation: model::Generation(1),
        direction: model::Direction::Request,
        hook: "on-text".into(),
        part: None,
        verdict: JudgedVerdict::Failed { kind: "trap".into(), message: "secret words".into(), open: false },
        edits: Vec::new(),
        notes: Vec::new(),
        shadow,
    })
}

fn decided(held: &Held, state: &str) -> Event {
    Event::Approval {
        at_ms: 1,
        approval: held.approval,
        exchange: ExchangeId::new(),
        state: state.into(),
        by: String::new(),
        reason: String::new(),
    }
}

fn held(follower: &mut dyn Follow) -> Held {
    let question = model::Question {
        title: "may it?".into(),
        summary: String::new(),
        approvers: Vec::new(),
        timeout_seconds: 0,
        remember_key: String::new(),
    };
    let held = Held { at: 0, approval: ApprovalId::new(), question, bound_to: Digest::default() };
    follower.saw(&Entry::Held(held.clone()));
    held
}

#[tokio::test]
async fn what_the_path_tells_finds_its_rule() {
    let alerts = alerts(Vec::new(), &Arc::default());
    // A policy fails in each of its hooks: that is once in an exchange.
    let fails = |shadow| {
        let mut follower = alerts.opened(&opened());
        (0..4).for_each(|_| follower.saw(&failed(shadow)));
    };
    [true, true, true, false, false].into_iter().for_each(fails);
    assert!(alerts.list().is_empty(), "a policy in the shadow may fail");
    fails(false);
    assert_eq!(rules(&alerts), [(Rule::PolicyFailures, "policy 10-mask".into(), 1)]);
    assert!(!alerts.list()[0].detail.contains("secret"));

    let mut follower = alerts.opened(&opened());
    let (one, two, three) = (held(&mut *follower), held(&mut *follower), held(&mut *follower));
    for (held, state) in [(&one, "pending"), (&one, "denied"), (&one, "denied"), (&two, "approved"), (&two, "expired")]
    {
        alerts.event(&decided(held, state));
    }
    assert_eq!(alerts.list().len(), 1, "a denial counts once, an approval never, used or not");
    alerts.event(&decided(&three, "expired"));
    assert_eq!(rules(&alerts)[0], (Rule::FailedApprovals, "caller ann".into(), 1));

    for (status, _) in [(Some(401), 1), (None, 2), (Some(403), 3), (Some(401), 4), (Some(401), 5)] {
        alerts.answered("openai", status, Duration::ZERO);
    }
    assert_eq!(rules(&alerts)[0], (Rule::UpstreamCredentials, "connection openai".into(), 1));
}

#[tokio::test]
async fn what_is_denied_again_from_memory_counts_again_and_what_is_heard_of_later_does_not() {
    let alerts = alerts(Vec::new(), &Arc::default());
    let heard = |held: &Held, state: &str| {
        Entry::Decided(Decided {
            at: 1,
            approval: held.approval,
            state: state.into(),
            by: String::new(),
            reason: String::new(),
        })
    };
    let mut follower = alerts.opened(&opened());
    let first = held(&mut *follower);
    alerts.event(&decided(&first, "denied"));
    follower.saw(&heard(&first, "denied"));
    assert!(alerts.list().is_empty(), "one denial, of which its exchange has heard");
    // It is remembered: the desk has nothing to tell.
    let mut follower = alerts.opened(&opened());
    follower.saw(&Entry::Held(first.clone()));
    follower.saw(&heard(&first, "denied"));
    assert_eq!(rules(&alerts), [(Rule::FailedApprovals, "caller ann".into(), 1)]);
    // The exchange hears of an end before the desk tells it.
    let late = held(&mut *follower);
    follower.saw(&heard(&late, "expired"));
    alerts.event(&decided(&late, "expired"));
    assert_eq!(rules(&alerts)[0].2, 2);
}

#[tokio::test]
async fn refused_credentials_are_told_by_digest_and_address_and_revoked_ones_at_once() {
    let alerts = alerts(Vec::new(), &Arc::default());
    let credential = Some(Digest([0xab; 32]));
    let address = Some("10.0.0.7".parse().unwrap());
    for _ in 0..3 {
        alerts.turned_away(&TurnedAway { code: "unknown_credential", credential, address, ..TurnedAway::default() });
    }
    let mut told = rules(&alerts);
    told.sort();
    let of = |subject: &str| (Rule::RefusedCredentials, subject.to_owned(), 1);
    assert_eq!(told, [of("address 10.0.0.7"), of("credential abababab")]);
    alerts.turned_away(&TurnedAway { code: "revoked", credential, address, ..TurnedAway::default() });
    alerts.turned_away(&TurnedAway { code: "revoked", credential, address, ..TurnedAway::default() });
    assert_eq!(rules(&alerts)[0], (Rule::RevokedCredentials, "credential abababab".into(), 2));
    let address = Some("10.0.0.8".parse().unwrap());
    for _ in 0..3 {
        alerts.turned_away(&TurnedAway { code: "wrong_user_code", address, ..TurnedAway::default() });
    }
    assert_eq!(rules(&alerts)[0], of("address 10.0.0.8"), "a code that is guessed at a sign-in");
    for code in ["no_credential", "no_connection", "bad_head"] {
        (0..99).for_each(|_| alerts.turned_away(&TurnedAway { code, credential, address, ..TurnedAway::default() }));
    }
    assert_eq!(alerts.list().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_asks_unusually_often_is_told_of() {
    let alerts = alerts(Vec::new(), &Arc::default());
    for second in 1..10 {
        // The system's clock stands still: a second is one all the same.
        (0..9).for_each(|_| drop(alerts.opened(&opened())));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(alerts.list().is_empty(), "after {second} s");
    }
    (0..50).for_each(|_| drop(alerts.opened(&opened())));
    assert_eq!(rules(&alerts), [(Rule::UnusualVolume, "caller ann".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_noticed_is_kept_with_its_count_and_who_has_seen_it() {
    let log = Arc::new(Log::default());
    let first = alerts(Vec::new(), &log);
    let keeper = tokio::spawn({
        let alerts = first.clone();
        async move { alerts.keep().await }
    });
    let revoked = |alerts: &Alerts| {
        alerts.turned_away(&TurnedAway { code: "revoked", caller: Some(&caller()), ..TurnedAway::default() });
    };
    revoked(&first);
    while log.events.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let id = first.list()[0].id;
    (0..5).for_each(|_| revoked(&first));
    tokio::time::sleep(Duration::from_secs(31)).await;
    first.ack(id, "bob", "known").unwrap();
    assert_eq!(first.ack(AlertId::new(), "bob", "").unwrap_err().to_string().len(), "there is no alert ".len() + 32);
    tokio::time::sleep(Duration::from_millis(1)).await;
    keeper.abort();

    let second = alerts(Vec::new(), &log);
    let alert = second.alert(id).unwrap();
    assert_eq!((alert.count, alert.acked.map(|acked| acked.by)), (6, Some("bob".into())));
    assert!(log.events.lock().unwrap().len() <= 3, "a repetition is no write");
}

/// Answers each connection with the next of these heads, and tells what was asked.
async fn receiver(answers: Vec<&'static str>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut answers = answers.into_iter();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = vec![0; 8192];
            let mut length = 0;
            while !asked[..length].ends_with(b"}}") {
                match stream.read(&mut asked[length..]).await {
                    Ok(more) if more > 0 => length += more,
                    _ => break,
                }
            }
            let answer = answers.next().unwrap_or("200 OK\r\ncontent-length: 0");
            let head = format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n");
            let _gone = stream.write_all(head.as_bytes()).await;
            tell.send(String::from_utf8(asked[..length].to_vec()).unwrap()).unwrap();
        }
    });
    (url, told)
}

fn webhook(url: &str, rules: Vec<Rule>) -> Webhook {
    Webhook::new("soc".into(), url.into(), vec![Secret::parse(SECRET).unwrap()], rules, None).unwrap()
}

fn line(asked: &str, name: &str) -> String {
    let begins = format!("{name}: ");
    asked.lines().find_map(|line| line.strip_prefix(&begins)).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_webhook_that_fails_is_told_again_under_the_same_id_also_after_a_restart() {
    let (url, mut asked) = receiver(vec!["500 Internal Server Error", "200 OK\r\ncontent-encoding: gzip"]).await;
    let log = Arc::new(Log::default());
    let first = alerts(vec![webhook(&url, Vec::new())], &log);
    first.wrong(Rule::RevokedCredentials, Subject::caller("token", "ann"), "x");
    let keep = first.keep();
    let one = tokio::select! {
        () = keep => unreachable!("it runs until it is dropped"),
        one = async {
            let one = asked.recv().await.unwrap();
            // Until the failure is kept.
            while first.standing()[0].failed == 0 || log.events.lock().unwrap().len() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            one
        } => one,
    };
    // The host dies here. When it comes back, the attempt is due.
    for event in log.events.lock().unwrap().iter_mut() {
        if let ControlEvent::Alert(alert) = event {
            assert!(alert.deliveries[0].attempts == 0 || alert.due_for("soc") >= Some(alert.first_ms + 5000));
            alert.deliveries[0].state = DeliveryState::Pending { due_ms: 0 };
        }
    }
    let second = alerts(vec![webhook(&url, Vec::new())], &log);
    let two = tokio::select! {
        () = second.keep() => unreachable!("it runs until it is dropped"),
        two = async {
            let two = asked.recv().await.unwrap();
            while second.standing()[0].delivered == 0 || second.state().book.next_save().is_some() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            two
        } => two,
    };
    let body = |asked: &str| asked.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!((line(&one, "webhook-id"), body(&one)), (line(&two, "webhook-id"), body(&two)));
    assert!(line(&two, "webhook-signature").starts_with("v1,"));
    assert!(one.starts_with("POST /hook HTTP/1.1\r\n"), "{one}");
    assert_eq!((second.standing()[0].pending, second.standing()[0].failed), (0, 0), "a status is an answer");
    let third = alerts(vec![webhook(&url, Vec::new())], &log);
    assert_eq!(third.standing()[0].pending, 0, "what was delivered is not told again");
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_told_nothing_more() {
    let (url, mut asked) = receiver(vec!["410 Gone"]).await;
    let alerts = alerts(vec![webhook(&url, vec![Rule::RevokedCredentials])], &Arc::default());
    let revoked = |name: &str| alerts.wrong(Rule::RevokedCredentials, Subject::caller("token", name), "x");
    revoked("ann");
    (0..3).for_each(|_| alerts.wrong(Rule::PolicyFailures, Subject::policy("p"), "x"));
    let looked = async {
        asked.recv().await.unwrap();
        while alerts.standing()[0].pending > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        revoked("bob");
        while alerts.standing()[0].pending > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = alerts.keep() => unreachable!("it runs until it is dropped"),
        () = looked => {}
    }
    assert!(asked.try_recv().is_err(), "one attempt and no more");
    assert_eq!(alerts.standing()[0].failed, 1, "and no more are counted");
    let mut attempts: Vec<_> = alerts.list().iter().flat_map(|alert| &alert.deliveries).map(|to| to.attempts).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [0, 1]);
    assert!(alerts.list().iter().filter(|alert| alert.rule == Rule::PolicyFailures).all(|it| it.deliveries.is_empty()));
}

#[tokio::test]
async fn a_full_disk_keeps_no_webhook_from_being_told() {
    let (url, mut asked) = receiver(Vec::new()).await;
    let log = Arc::new(Log { full: AtomicBool::new(true), ..Log::default() });
    let alerts = alerts(vec![webhook(&url, Vec::new())], &log);
    alerts.wrong(Rule::RevokedCredentials, Subject::caller("token", "ann"), "x");
    tokio::select! {
        () = alerts.keep() => unreachable!("it runs until it is dropped"),
        asked = asked.recv() => assert!(asked.is_some()),
    }
}

/// A log whose second append never ends.
#[derive(Default)]
struct Stalled {
    kept: Mutex<Vec<ControlEvent>>,
    appends: AtomicU64,
}

impl ControlLog for Stalled {
    fn replay(&self) -> Result<Vec<ControlEvent>, RecordError> {
        Ok(Vec::new())
    }

    fn append(&self, event: ControlEvent) -> BoxFuture<'_, Result<(), RecordError>> {
        Box::pin(async move {
            if self.appends.fetch_add(1, Ordering::Relaxed) == 1 {
                std::future::pending::<()>().await;
            }
            self.kept.lock().unwrap().push(event);
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn alerts_that_were_being_kept_at_a_stop_are_kept_before_its_end() {
    let log = Arc::new(Stalled::default());
    let alerts = Alerts::open(terms(), Vec::new(), Arc::clone(&log) as Arc<dyn ControlLog>, None).unwrap();
    for name in ["ann", "bob", "eve"] {
        alerts.wrong(Rule::RevokedCredentials, Subject::caller("token", name), "x");
    }
    assert!(tokio::time::timeout(Duration::from_secs(1), alerts.keep()).await.is_err());
    assert_eq!(log.kept.lock().unwrap().len(), 1, "it was dropped in the middle");
    alerts.close().await;
    let kept = log.kept.lock().unwrap();
    for alert in alerts.list() {
        let it = |event: &ControlEvent| matches!(event, ControlEvent::Alert(kept) if kept.id == alert.id);
        assert!(kept.iter().any(it), "{}", alert.subject);
    }
}

#[tokio::test]
async fn what_is_told_recorded_and_signed_has_the_time_of_day_as_it_is_now() {
    const MINUTE: u64 = 60_000;
    let wall = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let (url, mut asked) = receiver(Vec::new()).await;
    let log: Arc<Log> = Arc::default();
    // The system's clock was two hours behind when the host began, and was set right.
    let clock = Clock::at(wall() - 120 * MINUTE);
    let webhooks = vec![webhook(&url, Vec::new())];
    let alerts = Alerts::open_at(terms(), webhooks, Arc::clone(&log) as Arc<dyn ControlLog>, None, clock).unwrap();
    alerts.wrong(Rule::RevokedCredentials, Subject::caller("token", "ann"), "x");
    let asked = tokio::select! {
        () = alerts.keep() => unreachable!("it runs until it is dropped"),
        asked = asked.recv() => asked.unwrap(),
    };
    let timestamp: u64 = line(&asked, "webhook-timestamp").parse().unwrap();
    assert!((timestamp * 1000).abs_diff(wall()) < MINUTE, "{asked}");
    let told = alerts.list().remove(0);
    let told = alerts.ack(told.id, "bob", "").unwrap();
    let acked = told.acked.as_ref().map(|acked| acked.at_ms).unwrap_or_default();
    for at_ms in [told.first_ms, told.last_ms, acked] {
        assert!(at_ms.abs_diff(wall()) < MINUTE, "{told:?}");
    }
    assert!(matches!(&log.events.lock().unwrap()[0], ControlEvent::Alert(kept) if kept.first_ms == told.first_ms));
}
