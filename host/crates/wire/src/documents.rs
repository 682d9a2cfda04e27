//! The flow of every dialect that speaks JSON: a whole body is one document; an event stream, lines and a streamed array
//! are many.
//!
//! What must hold: whole and streamed answers go through the same reader; a body that is not what it should be is
//! an error, never passed on; where a client finds lines in ways of its own, it finds the documents that were judged.

use std::ops::Range;

use bytes::BytesMut;
use model::{Channel, PartId, Speaker, Usage};
use smallvec::SmallVec;

use crate::{
    Change, Finds, Flow, Limits, Malformed, Step, ToolCallId, array, breaks,
    case::{self, Spelling},
    frame::{Beside, Kind, Queue, Slot, Splice},
    json::{Doc, Rules, Tape, literal},
    lines,
    nested::LONG_NUMBER,
    openai::terms::Terms,
    parts::{Parts, Source},
    sheet::Sheet,
    sse::{self, Event},
    unread,
};

/// The parts that go on with one text.
pub(crate) type Pieces = SmallVec<[PartId; 2]>;

/// What a dialect knows of its documents.
pub(crate) trait Reader: Send {
    /// Whose words the fields are.
    fn speaker(&self) -> Speaker;

    /// Names of members that say nothing by themselves.
    fn known(&self) -> fn(&str) -> bool;

    /// How the names of its objects are spelled, where these decide what is judged as what.
    fn spelling(&self) -> Option<&'static Spelling> {
        None
    }

    /// The name of the event whose document is read next; empty when it has none. Asked for events only.
    fn named(&mut self, _name: &[u8]) {}

    /// Reads one document.
    fn read(&mut self, sheet: &mut Sheet<'_>) -> Result<(), Malformed>;

    /// Whether nothing is known of these documents: none of their text is known to be what people read.
    fn is_any(&self) -> bool {
        false
    }

    /// Whether the dialect has data that is not JSON.
    fn has_text(&self) -> bool {
        false
    }

    /// The parts that such data, which says this, is a piece of.
    fn text(&mut self, _text: &str, _parts: &mut Parts) -> Result<Pieces, Malformed> {
        Ok(Pieces::new())
    }

    /// Reads an event's data that the dialect has besides JSON; false when it has none such.
    fn mark(&mut self, _data: &[u8], _parts: &mut Parts) -> bool {
        false
    }

    /// Whether a body with no bytes is one.
    fn may_be_empty(&self) -> bool {
        false
    }

    /// Others judge from here on: what was told at once is told again where it comes again.
    fn judged_anew(&mut self, _parts: &mut Parts) {}

    /// Nothing more comes.
    fn end(&mut self, parts: &mut Parts);

    /// Tokens told so far.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// Whether the end of a stream has come; true where the dialect has none.
    fn is_over(&self) -> bool {
        true
    }

    /// What a request asks for besides its conversation, where the dialect keeps it so.
    fn terms(&self) -> Option<&Terms> {
        None
    }

    /// The same, to change it.
    fn terms_mut(&mut self) -> Option<&mut Terms> {
        None
    }

    /// Takes tools away.
    fn remove_tools(&mut self, names: &[String]) {
        if let Some(terms) = self.terms_mut() {
            terms.remove_tools(names);
        }
    }

    /// Takes a merge patch for the parameters.
    fn patch(&mut self, patch: &str) -> Result<(), Malformed> {
        let no_request = Malformed::Shape { path: String::new(), expected: "a request" };
        self.terms_mut().ok_or(no_request)?.patch(patch)
    }

    /// Whether [`Reader::splices`] has any.
    fn spliced(&self) -> bool {
        self.terms().is_some_and(Terms::spliced)
    }

    /// What tools and patch come to, in the request's bytes.
    fn splices(&self, doc: Doc<'_>) -> Vec<Splice> {
        self.terms().map_or_else(Vec::new, |terms| terms.splices(doc))
    }
}

/// How documents stand in the body.
#[derive(Debug)]
enum Framing {
    Whole,
    Events(sse::Framer),
    Lines(lines::Framer),
    Items(array::Framer),
}

impl Framing {
    /// The next complete frame in `rest`; at the `end` of the body, what is left.
    fn find(&mut self, rest: &[u8], end: bool) -> Result<Option<&Event>, Malformed> {
        match self {
            Self::Whole => Ok(None),
            Self::Events(framer) => Ok(framer.find(rest, end)),
            Self::Lines(framer) => Ok(framer.find(rest, end)),
            Self::Items(framer) => framer.find(rest, end),
        }
    }
}

/// A flow of JSON documents.
pub(crate) struct Documents<R> {
    limits: Limits,
    framing: Framing,
    queue: Queue,
    parts: Parts,
    reader: R,
    tape: Tape,
    slots: Vec<Slot>,
    lines: Vec<(u32, u32)>,
    joined: Vec<u8>,
    /// What is told wherever it stands.
    finds: Option<Finds>,
    /// Nothing is read before the body is complete.
    patient: bool,
}

impl<R: Reader> Documents<R> {
    /// A body that is one document.
    pub(crate) fn whole(reader: R, limits: Limits) -> Self {
        Self::new(Framing::Whole, reader, limits)
    }

    /// A body that is an event stream.
    pub(crate) fn events(reader: R, limits: Limits) -> Self {
        Self::new(Framing::Events(sse::Framer::default()), reader, limits)
    }

    /// The same of a dialect whose clients read lines in ways of their own: each event leaves as one line.
    pub(crate) fn plain_events(reader: R, limits: Limits) -> Self {
        Self::new(Framing::Events(sse::Framer::plain()), reader, limits)
    }

    /// A body with a document on each line.
    pub(crate) fn lines(reader: R, limits: Limits) -> Self {
        Self::new(Framing::Lines(lines::Framer::default()), reader, limits)
    }

    /// A body that is an array of documents. One that is no array is one document.
    pub(crate) fn items(reader: R, limits: Limits) -> Self {
        Self::new(Framing::Items(array::Framer::default()), reader, limits)
    }

    /// The same, read once the body is complete, as requests are.
    pub(crate) fn when_complete(self) -> Self {
        Self { patient: true, ..self }
    }

    fn new(framing: Framing, reader: R, limits: Limits) -> Self {
        let mut parts = Parts::default();
        parts.streamed = matches!(framing, Framing::Events(_));
        let tape = if matches!(framing, Framing::Whole) { Tape::default() } else { Tape::of_many() };
        Self {
            limits,
            framing,
            queue: Queue::default(),
            parts,
            reader,
            tape,
            slots: Vec::new(),
            lines: Vec::new(),
            joined: Vec::new(),
            finds: None,
            patient: false,
        }
    }

    fn frames_so_far(&mut self, end: bool) -> Result<(), Malformed> {
        let Self { framing, limits, queue, parts, reader, tape, slots, lines, joined, finds, patient } = self;
        let finds = finds.as_ref();
        if matches!(framing, Framing::Whole) || (*patient && !end) {
            return Ok(());
        }
        let events = matches!(framing, Framing::Events(_));
        let waits = queue.waits();
        // Nobody reads an array line by line.
        let lines_count = !matches!(framing, Framing::Items(_));
        loop {
            let rest = queue.rest();
            let event = framing.find(rest, end)?;
            let unfinished = event.map_or(rest.len(), |event| event.len);
            if unfinished > limits.event_bytes {
                return Err(Malformed::TooLarge { bound: "event_bytes", limit: limits.event_bytes });
            }
            let Some(event) = event else { return Ok(()) };
            parts.extras.crlf = event.crlf;
            if let Some(expected) = event.wrong {
                return Err(Malformed::Shape { path: String::new(), expected });
            }
            read_lines(event, &rest[..event.len], parts, slots, (reader.speaker(), reader.known()))?;
            reader.named(&rest[event.name.clone()]);
            let data = gather(event, rest, lines, joined);
            let (known, speaker) = (reader.known(), reader.speaker());
            let (mut says, mut lines_of, mut breaks) = (true, false, false);
            if events && is_bare(data) && reader.has_text() {
                read_text(event, queue, reader, parts, slots)?;
            } else if !data.trim_ascii().is_empty() && !reader.mark(data, parts) {
                let rules = Rules { depth: limits.json_depth, duplicates: false };
                match tape.read(data, rules) {
                    Ok(doc) => {
                        spelled(reader, doc)?;
                        if speaker == Speaker::Provider {
                            unread::check(doc)?;
                        }
                        join_lines(event, slots)?;
                        lines_of = lines_count;
                        breaks = lines_count && breaks::in_json(data);
                        reader.read(&mut Sheet { doc, parts, slots, lines, whole: false, speaker, known, finds })?;
                    }
                    Err(Malformed::Json { .. } | Malformed::Truncated { .. }) if events && reader.has_text() => {
                        read_text(event, queue, reader, parts, slots)?;
                    }
                    Err(error) => return Err(error),
                }
            } else {
                says = false;
            }
            parts.bounded()?;
            let len = event.len;
            if says && !event.missing.is_empty() {
                slots.push(Slot::put(len..len, event.missing));
            }
            let spared = parts.settle_spared(waits, slots);
            // In front of all that stands in the frame, and of what is dropped from it.
            slots.splice(0..0, parts.extras.slots.drain(..));
            queue.frame(len, slots, Beside { spared, lines: lines_of, breaks });
        }
    }

    /// What is no array is one document after all, within the bound of those.
    fn settle_framing(&mut self) -> Result<(), Malformed> {
        if let Framing::Items(framer) = &self.framing
            && framer.is_array(self.queue.rest()) == Some(false)
        {
            self.framing = Framing::Whole;
        }
        if matches!(self.framing, Framing::Whole) && self.queue.len() > self.limits.body_bytes {
            return Err(Malformed::TooLarge { bound: "body_bytes", limit: self.limits.body_bytes });
        }
        Ok(())
    }

    fn whole_body(&mut self) -> Result<(), Malformed> {
        let Self { limits, queue, parts, reader, tape, slots, finds, .. } = self;
        let rules = Rules { depth: limits.json_depth, duplicates: false };
        if queue.rest().is_empty() && reader.may_be_empty() {
            return Ok(());
        }
        if reader.speaker() == Speaker::Provider && breaks::has_object_on_a_line(queue.rest()) {
            tape.read(queue.rest(), rules)?;
            breaks::one_line(queue.rest_mut());
        }
        let rest = queue.rest();
        let doc = tape.read(rest, rules)?;
        spelled(reader, doc)?;
        let (known, speaker, finds) = (reader.known(), reader.speaker(), finds.as_ref());
        reader.read(&mut Sheet { doc, parts, slots, lines: &[(0, 0)], whole: true, speaker, known, finds })?;
        parts.bounded()?;
        let len = rest.len();
        queue.frame(len, slots, Beside::default());
        Ok(())
    }
}

/// Whether a document's names are spelled as the dialect has them. Of one that is like the one before that is known.
fn spelled(reader: &impl Reader, doc: Doc<'_>) -> Result<(), Malformed> {
    match reader.spelling().filter(|_| !doc.alike) {
        Some(spelling) => spelling.check(doc, 0).map_err(|path| Malformed::Shape { path, expected: case::EXPECTED }),
        None => Ok(()),
    }
}

/// Whether data may be a piece of text that only looks like JSON: a number, a word, or nothing but white space. A stream
/// of text, event by event, has such pieces.
fn is_bare(data: &[u8]) -> bool {
    let first = data.iter().find(|byte| !byte.is_ascii_whitespace());
    !data.is_empty() && first.is_none_or(|byte| !matches!(byte, b'{' | b'[' | b'"'))
}

/// Reads what stands in an event besides its data.
fn read_lines(
    event: &Event,
    raw: &[u8],
    parts: &mut Parts,
    slots: &mut Vec<Slot>,
    (speaker, known): (Speaker, fn(&str) -> bool),
) -> Result<(), Malformed> {
    if event.fields.is_empty() && event.puts.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(raw).map_err(|error| Malformed::NotUtf8 { at: error.valid_up_to() })?;
    slots.extend(event.puts.iter().map(|(range, text)| Slot::put(range.clone(), text)));
    for value in &event.fields {
        let line = &text[value.clone()];
        if known(line) || (line.len() < LONG_NUMBER && line.bytes().all(|byte| byte.is_ascii_digit())) {
            continue;
        }
        // Not the name of any JSON literal.
        let name = format!("line {line}");
        let (part, spared) = match parts.remembered(&name) {
            Some((part, run)) => (part, run.left_alone()),
            None => {
                let (part, _) = parts.whole(Channel::Field, speaker, line);
                parts.remember(&name, part);
                (part, false)
            }
        };
        let source = Source::Part(part);
        let (at, end, to) = (value.start as u32, value.end as u32, line.len() as u64);
        let slot = Slot { source: Some(source), kind: Kind::Line, at, end, from: 0, to, tail: true };
        if spared {
            parts.spare(slot);
            continue;
        }
        if let Some(run) = parts.run_mut(source) {
            run.live += 1;
        }
        slots.push(slot);
    }
    Ok(())
}

/// Lets several lines of data that are one document leave as one: some clients read each line by itself.
fn join_lines(event: &Event, slots: &mut Vec<Slot>) -> Result<(), Malformed> {
    let between = event.between();
    if between.is_empty() {
        return Ok(());
    }
    if event.fields.iter().any(|field| between.contains(&field.start)) {
        return Err(Malformed::Shape {
            path: String::new(),
            expected: "lines of data with no name or id between them",
        });
    }
    // What else was to change there.
    slots.retain(|slot| !between.contains(&(slot.at as usize)));
    slots.extend(sse::joints(&event.data).map(|(range, by)| Slot::put(range, by)));
    Ok(())
}

/// Reads data that is no JSON: as a part of its own, and as a piece of those that go on from event to event. What looks
/// like JSON may be read as such by somebody less strict, so its escapes are undone where they are valid. Characters that
/// end a line for some clients are spaces from here on.
fn read_text(
    event: &Event,
    queue: &mut Queue,
    reader: &mut impl Reader,
    parts: &mut Parts,
    slots: &mut Vec<Slot>,
) -> Result<(), Malformed> {
    let raw = &mut queue.rest_mut()[..event.len];
    event.data.iter().for_each(|line| breaks::blank(&mut raw[line.clone()]));
    let text = std::str::from_utf8(raw).map_err(|error| Malformed::NotUtf8 { at: error.valid_up_to() })?;
    let lines = || event.data.iter().map(|line| &text[line.clone()]);
    let loose = lines().any(|line| line.trim_start().starts_with(['{', '[', '"']));
    let write = |count: usize, line: &Range<usize>, out: &mut String| {
        if count > 0 {
            out.push('\n');
        }
        if loose { literal::decode(&text[line.clone()], out) } else { out.push_str(&text[line.clone()]) }
    };
    let mut said = String::new();
    event.data.iter().enumerate().for_each(|(count, line)| write(count, line, &mut said));
    let joined = reader.text(&said, parts)?;
    let own = parts.begin(Channel::Content, reader.speaker());
    for (count, line) in event.data.iter().enumerate() {
        let last = count + 1 == event.data.len();
        for (part, tail) in std::iter::once((own, last)).chain(joined.iter().map(|joined| (*joined, false))) {
            let range = parts.say(part, |out| write(count, line, out));
            if let Some(run) = parts.run_mut(Source::Part(part)) {
                run.live += 1;
            }
            let (source, kind) = (Some(Source::Part(part)), if loose { Kind::Loose } else { Kind::Line });
            let from = range.start + u64::from(count > 0);
            slots.push(Slot { source, kind, at: line.start as u32, end: line.end as u32, from, to: range.end, tail });
        }
    }
    parts.end(own);
    Ok(())
}

/// An event's data, its lines joined by LF, and where they stand.
fn gather<'a>(event: &Event, rest: &'a [u8], lines: &mut Vec<(u32, u32)>, joined: &'a mut Vec<u8>) -> &'a [u8] {
    lines.clear();
    match event.data.as_slice() {
        [] => &[],
        [line] => {
            lines.push((0, line.start as u32));
            &rest[line.clone()]
        }
        many => {
            joined.clear();
            for line in many {
                if !lines.is_empty() {
                    joined.push(b'\n');
                }
                lines.push((joined.len() as u32, line.start as u32));
                joined.extend_from_slice(&rest[line.clone()]);
            }
            joined
        }
    }
}

impl<R: Reader> Flow for Documents<R> {
    fn is_any(&self) -> bool {
        self.reader.is_any()
    }

    fn look_for(&mut self, finds: &Finds) {
        self.finds = Some(finds.clone());
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        if self.queue.len() + bytes.len() > self.limits.held_bytes {
            return Err(Malformed::TooLarge { bound: "held_bytes", limit: self.limits.held_bytes });
        }
        self.queue.push(bytes);
        self.settle_framing()?;
        self.frames_so_far(false)
    }

    fn finish(&mut self) -> Result<(), Malformed> {
        match self.framing {
            Framing::Whole => self.whole_body()?,
            Framing::Events(_) | Framing::Lines(_) | Framing::Items(_) => self.frames_so_far(true)?,
        }
        self.reader.end(&mut self.parts);
        if !self.parts.extras.slots.is_empty() {
            self.slots.append(self.parts.extras.last());
            self.queue.frame(0, &mut self.slots, Beside::default());
        }
        self.parts.bounded()
    }

    fn next(&mut self) -> Option<Step> {
        self.parts.next()
    }

    fn release(&mut self, part: PartId, upto: u64, changes: Vec<Change>) {
        self.parts.release(part, upto, changes);
    }

    fn tool_input(&self, call: ToolCallId) -> String {
        self.parts.call_input(call)
    }

    fn clear_tool_call(&mut self, call: ToolCallId, input: Option<String>) {
        self.parts.clear_call(call, input);
    }

    fn remove_tools(&mut self, names: &[String]) {
        self.reader.remove_tools(names);
    }

    fn patch_parameters(&mut self, patch: &str) -> Result<(), Malformed> {
        self.reader.patch(patch)
    }

    fn judged_anew(&mut self) {
        self.parts.forget_fields();
        self.reader.judged_anew(&mut self.parts);
        self.queue.tell_again(&mut self.parts);
    }

    fn take(&mut self, out: &mut BytesMut) {
        let Self { queue, parts, reader, tape, limits, .. } = self;
        let splices = |raw: &[u8]| {
            if !reader.spliced() {
                return Vec::new();
            }
            // The bytes were read before, so they can be read again.
            let doc = tape.read(raw, Rules { depth: limits.json_depth, duplicates: false });
            doc.map(|doc| reader.splices(doc)).unwrap_or_default()
        };
        queue.take(parts, splices, out);
    }

    fn held(&self) -> usize {
        self.queue.len()
    }

    fn came(&self) -> u64 {
        self.queue.came()
    }

    fn left(&self) -> u64 {
        self.queue.left()
    }

    fn keeps_decided(&self) -> bool {
        self.queue.keeps_decided(&self.parts)
    }

    fn usage(&self) -> Usage {
        self.reader.usage()
    }

    fn is_over(&self) -> bool {
        matches!(self.framing, Framing::Whole) || self.reader.is_over()
    }
}
