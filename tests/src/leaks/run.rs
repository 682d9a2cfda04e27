//! The campaign: one host, one upstream, many callers at once, every case looked at by the oracle.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::task::JoinSet;

use super::{
    ask::{Answer, Caller, header},
    canary,
    make::{Made, Wanted, make},
    matrix::{Case, Id, Matrix},
    oracle::{Read, plain},
    places::{Expects, Form, Framing, Places, Shape},
    serve::Server,
};
use crate::rig::{Durability, Host, Setup, holds};

/// Streams at once.
pub(super) const AT_ONCE: usize = 64;
/// Longest time of one exchange: one that comes a character at a time, each when the one before was read, takes its time
/// where the machine is busy.
const DEADLINE: Duration = Duration::from_secs(120);
/// Records that are read again after a run.
const RECORDS: usize = 2_000;
/// Cases that are told of each sort of finding; the rest is counted.
const TOLD: usize = 20;

/// What is wrong with a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The canary can be read.
    Leak(String),
    /// Something else is not as it must be.
    Wrong(String),
}

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Streams that were run.
    pub streams: u64,
    /// Those in which a canary can be read.
    pub leaks: u64,
    /// Those that are not as they must be in another way.
    pub wrong: u64,
    /// Bytes of all answers.
    pub bytes: u64,
    /// The first findings, with the names of their cases.
    pub told: Vec<(Id, Finding)>,
}

/// Where the store holds a canary.
#[derive(Debug, Default)]
pub struct Stored {
    /// In a file, as bytes.
    pub file: Option<PathBuf>,
    /// In the record of one of the newest exchanges, as it is read: in a file it may be squeezed.
    pub record: Option<String>,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A campaign's parts.
pub struct Campaign {
    host: Host,
    server: Server,
    pub(super) places: Places,
    pub(super) matrix: Matrix,
}

impl Campaign {
    /// Starts host and upstream. `masked`: with the policy; without it everything leaks, which the oracle must find.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(seed: u64, durability: Durability, masked: bool) -> std::io::Result<Self> {
        let server = Server::start(AT_ONCE).await?;
        // Text in a thousand events that are nearly the same packs far better than what a model says.
        let mut setup = Setup::new().durability(durability).limits("decode_ratio = 5000");
        if masked {
            setup = setup.policy_with("10-mask.wasm", "mask", canary::SETTINGS);
        }
        let any = "[[connection.endpoint]]\npath = \"/any\"\nmethods = [\"POST\"]\n\
            view = [\"json\", \"sse\", \"ndjson\", \"text\"]\n";
        for (name, more) in
            [("openai", ""), ("anthropic", ""), ("gemini", ""), ("ollama", ""), ("mcp", ""), ("http", any)]
        {
            setup = setup.connection(name, &format!("/{name}"), name, more);
        }
        let host = setup.start(server.address).await;
        let places = Places::read();
        let matrix = Matrix::new(&places, seed);
        Ok(Self { host, server, places, matrix })
    }

    /// Ends the host in order; its exit code, if it ended by itself.
    pub async fn stop(mut self) -> Option<i32> {
        self.host.stop().await
    }

    /// How many cases the core has.
    #[must_use]
    pub fn core(&self) -> u64 {
        self.matrix.core()
    }

    /// Looks for canaries in the store, as they are.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn in_store(&self) -> std::io::Result<Stored> {
        let (mut folders, mut stored) = (vec![self.host.home().join("store")], Stored::default());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let file = std::fs::read(&path)?;
                stored.bytes += file.len() as u64;
                let held = |canary: &str| file.windows(canary.len()).any(|window| window == canary.as_bytes());
                if canary::KINDS.iter().any(|kind| held(kind.text)) {
                    stored.file = Some(path);
                }
            }
        }
        let records = self.host.records(RECORDS).await;
        let held = |record: &&Value| canary::KINDS.iter().any(|kind| holds(record, kind.text));
        stored.record = records.iter().find(held).map(|record| record["summary"]["exchange"].to_string());
        Ok(stored)
    }

    /// Runs so many streams.
    pub async fn run(self: &Arc<Self>, streams: u64) -> Report {
        self.each(streams, judge).await
    }

    /// Runs so many streams with no policy in force: a canary that the oracle does not read is a finding.
    pub async fn blind(self: &Arc<Self>, streams: u64) -> Report {
        self.each(streams, blind).await
    }

    async fn each(self: &Arc<Self>, streams: u64, judge: Judge) -> Report {
        let next = Arc::new(AtomicU64::new(0));
        let mut lanes = JoinSet::new();
        for lane in 0..AT_ONCE {
            let (campaign, next) = (Arc::clone(self), Arc::clone(&next));
            lanes.spawn(async move {
                let mut report = Report::default();
                let mut caller = campaign.caller(lane);
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= streams {
                        return report;
                    }
                    let id = campaign.matrix.id(streams, at);
                    let case = campaign.matrix.case(id, &campaign.places);
                    let (found, bytes) = campaign.one(&case, &mut caller, lane, judge).await;
                    report.add(id, found, bytes);
                }
            });
        }
        let mut report = Report::default();
        while let Some(lane) = lanes.join_next().await {
            report.join(lane.expect("a lane does not panic"));
        }
        report
    }

    /// Runs one case and says all about it.
    pub async fn single(&self, id: Id) -> (String, Option<Finding>) {
        let case = self.matrix.case(id, &self.places);
        let made = Arc::new(make(&case, &self.places));
        let (answer, received) = self.carry(&made, &mut self.caller(0), 0).await.unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let sent: Vec<String> = made.answer.iter().map(|piece| format!("  {:?}\n", text(piece))).collect();
        let about = format!(
            "{} {case:?}\n{:?}\nrequest {:?} {:?}\nupstream got {:?}\nupstream sent\n{}caller got {} complete={}\n{:?}\n{}\n",
            self.places.forms[case.form].name,
            made.wanted,
            made.request_encoding,
            text(&made.request),
            received.as_deref().map(text),
            sent.concat(),
            answer.status,
            answer.complete,
            answer.head,
            text(&answer.body),
        );
        let form = &self.places.forms[case.form];
        let framing = self.places.dialects[form.dialect].framing;
        let found = judge(&Outcome { form, framing, made: &made, answer: &answer, received: received.as_deref() });
        (about, found)
    }

    async fn one(&self, case: &Case, caller: &mut Caller, lane: usize, judge: Judge) -> (Option<Finding>, u64) {
        let made = Arc::new(make(case, &self.places));
        let Some((answer, received)) = self.carry(&made, caller, lane).await else {
            return (Some(Finding::Wrong(format!("no answer within {DEADLINE:?}"))), 0);
        };
        let form = &self.places.forms[case.form];
        let framing = self.places.dialects[form.dialect].framing;
        let found = judge(&Outcome { form, framing, made: &made, answer: &answer, received: received.as_deref() });
        (found, answer.body.len() as u64)
    }

    /// One exchange: what the caller got, and what the upstream did.
    pub(super) async fn carry(
        &self,
        made: &Arc<Made>,
        caller: &mut Caller,
        lane: usize,
    ) -> Option<(Answer, Option<Vec<u8>>)> {
        self.server.put(lane, Arc::clone(made));
        let Ok(answer) = tokio::time::timeout(DEADLINE, caller.ask(made)).await else {
            *caller = self.caller(lane);
            return None;
        };
        Some((answer, self.server.received(lane)))
    }

    /// A caller with no connection yet.
    pub(super) fn caller(&self, lane: usize) -> Caller {
        let client = self.host.client();
        Caller::new(client.address, client.token, lane)
    }
}

impl Report {
    fn add(&mut self, id: Id, found: Option<Finding>, bytes: u64) {
        self.streams += 1;
        self.bytes += bytes;
        let Some(found) = found else { return };
        match found {
            Finding::Leak(_) => self.leaks += 1,
            Finding::Wrong(_) => self.wrong += 1,
        }
        self.tell(id, found);
    }

    fn tell(&mut self, id: Id, found: Finding) {
        let same = |other: &Finding| std::mem::discriminant(other) == std::mem::discriminant(&found);
        if self.told.iter().filter(|(_, other)| same(other)).count() < TOLD {
            self.told.push((id, found));
        }
    }

    fn join(&mut self, other: Self) {
        self.streams += other.streams;
        self.leaks += other.leaks;
        self.wrong += other.wrong;
        self.bytes += other.bytes;
        other.told.into_iter().for_each(|(id, found)| self.tell(id, found));
    }
}

/// What came of a case.
struct Outcome<'c> {
    form: &'c Form,
    framing: Framing,
    made: &'c Made,
    answer: &'c Answer,
    received: Option<&'c [u8]>,
}

type Judge = fn(&Outcome<'_>) -> Option<Finding>;

impl Outcome<'_> {
    fn read(&self) -> Read {
        let Answer { head, body, .. } = self.answer;
        match self.form.shape {
            // An error in the place of a stream.
            Shape::Stream { .. } if self.framing != Framing::Array && head.contains("application/json") => {
                Read::whole(body)
            }
            Shape::Stream { .. } => Read::stream(self.framing, self.form.raw, body),
            Shape::Whole(_) => Read::whole(body),
        }
    }

    /// Where the canary of the answer can be read.
    fn leak(&self, read: &Read) -> Option<String> {
        let needles = &self.made.wanted.needles;
        read.find(needles).or_else(|| {
            let body = String::from_utf8_lossy(&self.answer.body);
            let places = [("the body as it is", &*body), ("the head", &*self.answer.head)];
            let says = |text: &str| needles.iter().any(|needle| plain(text).contains(needle.as_str()));
            places.iter().find(|(_, text)| says(text)).map(|(place, _)| (*place).to_owned())
        })
    }
}

/// What the oracle does not see of a case with no policy, where nothing was refused.
fn blind(outcome: &Outcome<'_>) -> Option<Finding> {
    let Outcome { form, made, answer, received, .. } = outcome;
    if form.expects == Expects::Refused {
        return None;
    }
    let wrong = |what: &str| {
        let body = String::from_utf8_lossy(&answer.body);
        Some(Finding::Wrong(format!("{}: {what}: {} {body}", form.name, answer.status)))
    };
    let read = outcome.read();
    if read.find(&made.wanted.needles).is_none() {
        return wrong("the oracle does not see the canary");
    }
    let seen = received.is_some_and(|body| Read::whole(body).find(&made.request_wanted.needles).is_some());
    if seen { None } else { wrong("the oracle does not see the canary of the request") }
}

/// What is wrong, if anything.
fn judge(outcome: &Outcome<'_>) -> Option<Finding> {
    let Outcome { form, made, answer, received, .. } = outcome;
    let read = outcome.read();
    if let Some(place) = outcome.leak(&read) {
        return Some(Finding::Leak(place));
    }
    if let Some(found) = received.and_then(|body| judge_request(&made.request_wanted, body)) {
        return Some(found);
    }
    let wrong = |what: String| Some(Finding::Wrong(format!("{}: {what}", form.name)));
    let body = || String::from_utf8_lossy(&answer.body).into_owned();
    if received.is_none() {
        return wrong(format!("the request did not go up: {} {}", answer.status, body()));
    }
    if let Some(coding) = header(&answer.head, "content-encoding") {
        return wrong(format!("the answer is packed ({coding})"));
    }
    let stopped = answer.status >= 500 || read.error || !answer.complete;
    match form.expects {
        Expects::Refused if stopped => return None,
        Expects::Refused => return wrong(format!("{} is not refused: {}", answer.status, body())),
        Expects::Masked | Expects::Gone => {}
    }
    if answer.status != form.status || !answer.complete {
        return wrong(format!("{} complete={} {}", answer.status, answer.complete, body()));
    }
    if let Some(broken) = &read.broken {
        return wrong(broken.clone());
    }
    if form.expects == Expects::Masked && !arrived(&read, &made.wanted) {
        return wrong(format!("{:?} did not arrive: {}", made.wanted.texts, body()));
    }
    None
}

fn judge_request(wanted: &Wanted, body: &[u8]) -> Option<Finding> {
    let read = Read::whole(body);
    if let Some(place) = read.find(&wanted.needles) {
        return Some(Finding::Leak(format!("in the request, {place}")));
    }
    let whole = read.broken.is_none() && arrived(&read, wanted);
    (!whole).then(|| Finding::Wrong(format!("the request went up as {}", String::from_utf8_lossy(body))))
}

fn arrived(read: &Read, wanted: &Wanted) -> bool {
    if wanted.apart { read.arrived_apart(&wanted.texts) } else { read.arrived(&wanted.texts) }
}
