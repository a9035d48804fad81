//! Plain progress: Docker's classic lines, in the order of the Dockerfile however many steps run at once.
//!
//! The first step that is not finished is told as it happens. What later steps say is kept, in memory up to a bound
//! and then in a temporary file, and told when their turn comes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Seek, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kiln_build::{Event, Reporter, StepId};
use kiln_exec::Cancel;
use kiln_registry::Progress;
use tempfile::SpooledTempFile;

use super::size;
use super::text::{Manner, Text, step_of};
use super::transfer::{Stream, Transfer, heading};

/// What a step may say before a temporary file is used.
const IN_MEMORY: usize = 1 << 20;

pub(crate) struct Plain {
    told: Mutex<Told>,
}

struct Told {
    screen: Text<Box<dyn Write + Send>, Box<dyn Write + Send>>,
    manner: Manner,
    /// The step whose turn it is. Steps are numbered without gaps.
    turn: StepId,
    waiting: BTreeMap<StepId, Waiting>,
    /// The step that failed, as `2/3`.
    failed: Option<String>,
    /// Of each step; triggers have that of their FROM.
    numbers: BTreeMap<StepId, String>,
    /// Steps whose results are not told, as in Docker: a FROM with triggers, and these except the last.
    untold: BTreeSet<StepId>,
    /// Images on their way, before the first step: on a terminal they are shown while that lasts.
    pulls: Option<Transfer>,
    /// Nobody listens any more: the build is to stop.
    lost: Option<io::Error>,
    cancel: Cancel,
}

struct Waiting {
    text: Text<SpooledTempFile, Vec<u8>>,
    over: bool,
}

impl Plain {
    /// Tells on `out`, notes on `notes`; a write that fails cancels the build.
    pub(crate) fn new(
        out: impl Write + Send + 'static,
        notes: impl Write + Send + 'static,
        manner: Manner,
        cancel: Cancel,
    ) -> Self {
        Self {
            told: Mutex::new(Told {
                screen: Text::new(Box::new(out), Box::new(notes), manner.clone()),
                manner,
                turn: StepId(0),
                waiting: BTreeMap::new(),
                failed: None,
                numbers: BTreeMap::new(),
                untold: BTreeSet::new(),
                pulls: None,
                lost: None,
                cancel,
            }),
        }
    }

    /// Tells what is left of steps that others kept waiting. The step that failed comes back as `2/3`.
    pub(crate) fn finish(self) -> io::Result<Option<String>> {
        let mut told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        for waiting in std::mem::take(&mut told.waiting).into_values() {
            let result = waiting.tell(&mut told.screen);
            told.note_loss(result);
        }
        let result = told.screen.end_line().and_then(|()| told.screen.out.flush());
        told.note_loss(result);
        match told.lost {
            Some(error) => Err(error),
            None => Ok(told.failed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reporter for Plain {
    fn event(&self, event: Event<'_>) {
        let mut told = self.lock();
        if told.lost.is_some() {
            return;
        }
        let result = told.event(&event);
        told.note_loss(result);
    }
}

impl Told {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Event::Pulling { name, event } = event {
            let pulls = self.pulls.get_or_insert_with(|| Transfer::bars(Stream::Out));
            if matches!(event, kiln_registry::Event::From { .. }) {
                pulls.title(heading(name));
            }
            pulls.event(*event);
            return Ok(());
        }
        if let Some(pulls) = self.pulls.take() {
            pulls.finish()?;
        }
        let Some(step) = step_of(event) else {
            if let Event::Context { size } = event
                && !self.manner.context_is_told
            {
                writeln!(self.screen.out, "Using build context  {}", size::exact(*size))?;
            }
            return self.screen.out.flush();
        };
        match event {
            Event::Started { number: Some(number), total, .. } => {
                self.numbers.insert(step, format!("{number}/{total}"));
            }
            Event::Triggers { count, .. } => {
                self.untold.extend((step.0..step.0 + count).map(StepId));
                let number = self.numbers.get(&step).cloned().unwrap_or_default();
                self.numbers.extend((1..=*count).map(|nth| (StepId(step.0 + nth), number.clone())));
            }
            // What fails after the first one fails because of it.
            Event::Failed { .. } if self.failed.is_none() => self.failed = self.numbers.get(&step).cloned(),
            _ => {}
        }
        let over = matches!(event, Event::Finished { .. } | Event::Failed { .. });
        let told = !(over && self.untold.contains(&step));
        if step > self.turn {
            let waiting = self.waiting.entry(step).or_insert_with(|| Waiting::new(self.manner.clone()));
            waiting.over = over;
            return if told { waiting.text.event(event) } else { Ok(()) };
        }
        if told {
            self.screen.event(event)?;
        }
        if over {
            self.next()?;
        }
        self.screen.out.flush()
    }

    /// Gives the turn to the following step, past those that are over already.
    fn next(&mut self) -> io::Result<()> {
        loop {
            self.turn = StepId(self.turn.0 + 1);
            let Some(waiting) = self.waiting.remove(&self.turn) else { return Ok(()) };
            let over = waiting.over;
            waiting.tell(&mut self.screen)?;
            if !over {
                return Ok(());
            }
        }
    }

    fn note_loss(&mut self, result: io::Result<()>) {
        if let Err(error) = result
            && self.lost.is_none()
        {
            self.lost = Some(error);
            self.cancel.cancel();
        }
    }
}

impl Waiting {
    fn new(manner: Manner) -> Self {
        Self { text: Text::new(SpooledTempFile::new(IN_MEMORY), Vec::new(), manner), over: false }
    }

    fn tell<O: Write, N: Write>(mut self, screen: &mut Text<O, N>) -> io::Result<()> {
        screen.end_line()?;
        self.text.out.rewind()?;
        io::copy(&mut self.text.out, &mut screen.out)?;
        screen.notes.write_all(&self.text.notes)?;
        screen.mid_line = self.text.mid_line;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kiln_exec::Stream;
    use kiln_types::{Digest, Platform};

    use super::*;
    use crate::report::explanation::Format;

    const MANNER: Manner = Manner { explanations: Format::Text, platform: None, context_is_told: false };

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn image(name: &str) -> Option<Digest> {
        Some(Digest::of(name))
    }

    fn started(step: usize, text: &str) -> Event<'_> {
        Event::Started { step: StepId(step), number: Some(step + 1), total: 3, text }
    }

    fn output(step: usize, text: &str) -> Event<'_> {
        Event::Output { step: StepId(step), stream: Stream::Out, bytes: text.as_bytes() }
    }

    fn finished(step: usize, name: &str) -> Event<'_> {
        Event::Finished { step: StepId(step), image: image(name) }
    }

    #[test]
    fn tells_a_build_as_docker_did() {
        let (page, notes) = (Page::default(), Page::default());
        let plain = Plain::new(page.clone(), notes.clone(), MANNER, Cancel::new());
        let (first, second) = (StepId(1), StepId(2));
        for event in [
            Event::Context { size: 2048 },
            started(0, "FROM scratch"),
            Event::Finished { step: StepId(0), image: None },
            started(1, "RUN echo hello"),
            Event::Running { step: first, container: "aee2a95a0ebd" },
            output(1, "hello\nno end of line"),
            Event::Removed { step: first, container: "aee2a95a0ebd" },
            finished(1, "a"),
            started(2, "CMD [\"/hello\"]"),
            Event::Cached { step: second },
            finished(2, "b"),
        ] {
            plain.event(event);
        }
        assert_eq!(plain.finish().expect("written"), None);
        let [a, b] = ["a", "b"].map(|name| Digest::of(name).short());
        assert_eq!(
            page.text(),
            format!(
                "Using build context  2.048kB\n\
                 Step 1/3 : FROM scratch\n --->\n\
                 Step 2/3 : RUN echo hello\n ---> Running in aee2a95a0ebd\nhello\nno end of line\n\
                 Removing intermediate container aee2a95a0ebd\n ---> {a}\n\
                 Step 3/3 : CMD [\"/hello\"]\n ---> Using cache\n ---> {b}\n"
            )
        );
        assert_eq!(notes.text(), "");
    }

    #[test]
    fn one_of_several_platforms_is_named() {
        let page = Page::default();
        let manner = Manner { platform: Some(Platform::wasi()), context_is_told: true, ..MANNER };
        let plain = Plain::new(page.clone(), io::sink(), manner, Cancel::new());
        plain.event(Event::Context { size: 2048 });
        plain.event(started(1, "RUN second"));
        plain.event(started(0, "FROM scratch"));
        plain.event(Event::Finished { step: StepId(0), image: None });
        plain.finish().expect("written");
        let (first, second) =
            ("[wasip1/wasm] Step 1/3 : FROM scratch\n --->\n", "[wasip1/wasm] Step 2/3 : RUN second\n");
        assert_eq!(page.text(), format!("{first}{second}"));
    }

    #[test]
    fn later_steps_wait_for_their_turn() {
        let (page, notes) = (Page::default(), Page::default());
        let plain = Plain::new(page.clone(), notes.clone(), MANNER, Cancel::new());
        plain.event(started(1, "RUN second"));
        plain.event(Event::Note { step: StepId(1), text: "about the second" });
        plain.event(started(2, "RUN third"));
        plain.event(output(2, "third: one\n"));
        assert_eq!(page.text(), "");
        plain.event(started(0, "RUN first"));
        plain.event(output(0, "first: one"));
        plain.event(output(1, "second: one\n"));
        plain.event(finished(1, "second"));
        assert_eq!((page.text().as_str(), notes.text().as_str()), ("Step 1/3 : RUN first\nfirst: one", ""));
        plain.event(finished(0, "first"));
        assert_eq!(notes.text(), "note: about the second\n");
        plain.event(output(2, "third: two\n"));
        plain.event(Event::Failed { step: StepId(2) });
        assert_eq!(plain.finish().expect("written").as_deref(), Some("3/3"));
        let [first, second] = ["first", "second"].map(|name| Digest::of(name).short());
        assert_eq!(
            page.text(),
            format!(
                "Step 1/3 : RUN first\nfirst: one\n ---> {first}\n\
                 Step 2/3 : RUN second\nsecond: one\n ---> {second}\n\
                 Step 3/3 : RUN third\nthird: one\nthird: two\n"
            )
        );
    }

    #[test]
    fn triggers_belong_to_their_from() {
        let trigger = |step| Event::Started { step: StepId(step), number: None, total: 3, text: "RUN make" };
        let from = [started(0, "FROM base"), Event::Triggers { step: StepId(0), count: 2 }, finished(0, "base")];
        let first = [trigger(1), Event::Cached { step: StepId(1) }, finished(1, "one")];
        let second = [trigger(2), Event::Running { step: StepId(2), container: "aee2a95a0ebd" }, output(2, "made\n")];
        let told = "Step 1/3 : FROM base\n# Executing 2 build triggers\n ---> Using cache\n \
                    ---> Running in aee2a95a0ebd\nmade\n";

        for waits in [false, true] {
            let page = Page::default();
            let plain = Plain::new(page.clone(), io::sink(), MANNER, Cancel::new());
            let mut events = [&from[..], &first, &second, &[finished(2, "two")]].concat();
            if waits {
                // All that comes later comes before the FROM is over.
                events[2..].rotate_left(1);
            }
            events.into_iter().for_each(|event| plain.event(event));
            plain.finish().expect("written");
            assert_eq!(page.text(), format!("{told} ---> {}\n", Digest::of("two").short()));
        }

        let plain = Plain::new(Page::default(), io::sink(), MANNER, Cancel::new());
        let failed = [Event::Failed { step: StepId(2) }];
        [&from[..], &first, &second, &failed].concat().into_iter().for_each(|event| plain.event(event));
        assert_eq!(plain.finish().expect("written").as_deref(), Some("1/3"));
    }

    #[test]
    fn a_reader_that_went_away_cancels_the_build() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let cancel = Cancel::new();
        let plain = Plain::new(Closed, io::sink(), MANNER, cancel.clone());
        plain.event(started(0, "FROM scratch"));
        assert!(cancel.is_cancelled());
        assert_eq!(plain.finish().expect_err("lost").kind(), io::ErrorKind::BrokenPipe);
    }
}
