//! A second oracle: the vendors' own SDKs, unmodified, read a sample of the answers that came out of the host, byte for
//! byte as they came. What a program gets from them is looked through for the canary.
//!
//! What must hold: with no policy in force they see what there is to see; else they would find nothing for nothing.

use std::{io, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{
    ask::{Answer, header},
    make::make,
    matrix::Id,
    oracle::Read,
    places::{Expects, Form},
    run::Campaign,
};
use crate::rig::repository;

/// Dialects that an SDK speaks.
const DIALECTS: [&str; 4] = ["openai-chat", "openai-responses", "openai-completions", "anthropic-messages"];
/// Cases that are told; the rest is counted.
const TOLD: usize = 20;

/// What the SDKs made of a sample.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Answers that they read.
    pub read: u64,
    /// Those in which a program sees the canary.
    pub seen: u64,
    /// Those of which the SDK made nothing but an error, though nothing was refused.
    pub raised: u64,
    /// The first of those in which the canary is seen, and where.
    pub told: Vec<(Id, String)>,
}

/// The program that reads with the SDKs.
struct Reader {
    _child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

#[derive(Deserialize)]
struct Heard {
    texts: Vec<String>,
    raised: Option<String>,
}

impl Campaign {
    /// Has the SDKs read the answers of so many cases; for none they need not be there.
    ///
    /// # Errors
    /// When they are not installed, or their program ends.
    pub async fn by_sdk(&self, answers: u64) -> io::Result<Sample> {
        let (mut sample, mut caller, mut at) = (Sample::default(), self.caller(0), 0);
        if answers == 0 {
            return Ok(sample);
        }
        let mut reader = Reader::start()?;
        while sample.read < answers {
            let id = Id::Dealt(at);
            at += 1;
            let case = self.matrix.case(id, &self.places);
            let form = &self.places.forms[case.form];
            let dialect = self.places.dialects[form.dialect].name.as_str();
            if !DIALECTS.contains(&dialect) || form.expects == Expects::Refused {
                continue;
            }
            let made = std::sync::Arc::new(make(&case, &self.places));
            let Some((answer, _)) = self.carry(&made, &mut caller, 0).await else {
                return Err(io::Error::other(format!("{id}: no answer")));
            };
            let heard = reader.read(dialect, form, &answer).await?;
            sample.read += 1;
            sample.raised += u64::from(heard.raised.is_some() && form.status == 200);
            if let Some(place) = Read::said(heard.texts).find(&made.wanted.needles) {
                sample.seen += 1;
                if sample.told.len() < TOLD {
                    sample.told.push((id, place));
                }
            }
        }
        Ok(sample)
    }
}

impl Reader {
    fn start() -> io::Result<Self> {
        let folder = repository().join("tests/sdk/python");
        let python = folder.join(".venv/bin/python");
        if !python.exists() {
            return Err(io::Error::other(format!("{} is missing: run tests/setup", python.display())));
        }
        let mut child = Command::new(python)
            .arg(folder.join("read.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the program has no pipes"));
        };
        Ok(Self { _child: child, stdin, lines: BufReader::new(stdout).lines() })
    }

    async fn read(&mut self, dialect: &str, form: &Form, answer: &Answer) -> io::Result<Heard> {
        let asked = json!({
            "dialect": dialect,
            "stream": form.streamed(),
            "status": answer.status,
            "type": header(&answer.head, "content-type").unwrap_or_default(),
            "body": STANDARD.encode(&answer.body),
        });
        self.stdin.write_all(format!("{asked}\n").as_bytes()).await?;
        let line = self.lines.next_line().await?.ok_or_else(|| io::Error::other("the SDKs' program has ended"))?;
        Ok(serde_json::from_str(&line)?)
    }
}
