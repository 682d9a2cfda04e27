//! Lines of the log on their way to standard error, which may be a pipe that nobody reads.
//!
//! ```text
//!   whoever logs ──push──▶ a bounded queue ──the thread of its own──▶ standard error
//!                    └ full: dropped and counted
//! ```
//!
//! What must hold: whoever logs never waits for who reads; what is dropped is counted, and told in one line as soon as
//! something is read again.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait to be written, with what keeps them.
const QUEUE_BYTES: usize = 1 << 20;
/// What keeps a line, however short it is: its place in the queue, which has up to twice the places that it needs.
const PLACE_BYTES: usize = 2 * size_of::<Vec<u8>>();
/// How long the end of a host waits for what was said last.
const FLUSH: Duration = Duration::from_secs(1);

/// What takes lines.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Told when there is something to write, and when it is written.
    moved: Condvar,
    most: usize,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether the thread holds something that it took and has not written.
    writing: bool,
    dropped: u64,
    /// Of these, how many the log tells of already.
    told: u64,
}

impl Lines {
    /// Begins to write to `out`; `lost` writes there that so many lines were dropped.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn to(out: impl Write + Send + 'static, lost: impl Fn(u64) + Send + 'static) -> io::Result<Self> {
        Self::bounded(QUEUE_BYTES, out, lost)
    }

    fn bounded(
        most: usize,
        mut out: impl Write + Send + 'static,
        lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), moved: Condvar::new(), most });
        let lines = Self(Arc::clone(&shared));
        // It ends with the process: the log is the last that says something.
        std::thread::Builder::new().name("log".to_owned()).spawn(move || {
            loop {
                let (line, dropped) = shared.next();
                // Nobody is left to tell when standard error is gone.
                let _ = out.write_all(&line);
                if dropped > 0 {
                    lost(dropped);
                }
                shared.written();
            }
        })?;
        Ok(lines)
    }

    /// How many lines were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.state().dropped
    }

    /// Waits until all is written; not for long, since perhaps nobody reads it.
    pub(crate) fn flush(&self) {
        let waiting = |state: &mut State| state.writing || !state.queue.is_empty();
        let flushed = self.0.moved.wait_timeout_while(self.0.state(), FLUSH, waiting);
        drop(flushed.unwrap_or_else(PoisonError::into_inner));
    }

    /// Says what is no event, in its turn.
    pub(crate) fn say(&self, text: &str) {
        self.push(text.as_bytes());
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.0.state();
        let bytes = line.len() + PLACE_BYTES;
        if state.bytes + bytes > self.0.most {
            state.dropped += 1;
            return;
        }
        state.bytes += bytes;
        state.queue.push_back(line.to_vec());
        drop(state);
        self.0.moved.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Changed by steps that don't panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next line, and how many were dropped that nobody was told of.
    fn next(&self) -> (Vec<u8>, u64) {
        let state = self.moved.wait_while(self.state(), |state| state.queue.is_empty());
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let line = state.queue.pop_front().expect("it was waited for, and nobody else takes from it");
        state.bytes -= line.len() + PLACE_BYTES;
        state.writing = true;
        let untold = state.dropped - state.told;
        state.told = state.dropped;
        (line, untold)
    }

    fn written(&self) {
        self.state().writing = false;
        self.moved.notify_all();
    }
}

/// An event comes whole, as one write.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A reader that takes a write when it is asked to.
    struct Pipe(SyncSender<String>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Lines of 8 bytes each, of which 4 fit into the queue.
    fn lines() -> (Lines, Receiver<String>) {
        let (told, reader) = sync_channel(0);
        let out = Pipe(told.clone());
        (
            Lines::bounded(4 * (8 + PLACE_BYTES), out, move |lost| told.send(format!("{lost} lost")).unwrap()).unwrap(),
            reader,
        )
    }

    #[test]
    fn a_log_that_nobody_reads_keeps_nobody_waiting_and_says_what_is_missing() {
        let (mut lines, reader) = lines();
        // Nobody reads: this ends all the same.
        for number in 0..1000 {
            lines.write_all(format!("line {number:03}").as_bytes()).unwrap();
        }
        // Four wait; the thread has perhaps one more in its hands.
        let dropped = lines.dropped();
        assert!((995..=996).contains(&dropped), "{dropped}");
        let (mut told, mut kept) = (0, Vec::new());
        while told < dropped || kept.len() as u64 + dropped < 1000 {
            let line = reader.recv().unwrap();
            match line.strip_suffix(" lost") {
                Some(lost) => told += lost.parse::<u64>().unwrap(),
                None => kept.push(line),
            }
        }
        assert_eq!((told, kept[0].as_str()), (dropped, "line 000"));
        // There is room again.
        lines.write_all(b"the last").unwrap();
        assert_eq!((reader.recv().unwrap().as_str(), lines.dropped()), ("the last", dropped));
    }

    #[test]
    fn lines_of_nothing_take_room_too() {
        let (mut lines, _reader) = lines();
        for _ in 0..1000 {
            lines.write_all(b"\n").unwrap();
        }
        assert!(lines.dropped() >= 990, "{}", lines.dropped());
    }

    #[test]
    fn what_was_said_last_is_written_before_the_end() {
        let (mut lines, reader) = lines();
        let reading = std::thread::spawn(move || reader.iter().take(3).collect::<Vec<_>>());
        for line in ["one", "two", "three"] {
            lines.write_all(line.as_bytes()).unwrap();
        }
        lines.flush();
        let state = lines.0.state();
        assert!(state.queue.is_empty() && !state.writing);
        drop(state);
        assert_eq!(reading.join().unwrap(), ["one", "two", "three"]);
    }
}
