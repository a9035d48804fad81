//! Lists, compound commands, subshells and command substitutions.

use crate::redirect::RedirectError;
use crate::state::{Run, STATUS_ERROR, Shell, Stop};
use crate::streams::Stream;
use crate::syntax::ast::{AndOr, Arm, Command, Compound, Connector, List, Pipeline, Redirect, Word};

/// Lists within each other, through functions and otherwise, before the stack is in danger.
const MAX_DEPTH: u32 = 600;

impl Shell {
    pub(crate) fn list(&mut self, list: &List) -> Run {
        if self.depth == MAX_DEPTH {
            return Err(self.fail(&format!("more than {MAX_DEPTH} commands or functions within each other")));
        }
        self.depth += 1;
        let result = self.items(list);
        self.depth -= 1;
        result
    }

    fn items(&mut self, list: &List) -> Run {
        for item in &list.0 {
            if self.options.get("noexec") {
                return Ok(());
            }
            if item.background {
                self.background(&item.and_or)?;
            } else {
                self.and_or(&item.and_or)?;
            }
        }
        Ok(())
    }

    pub(crate) fn and_or(&mut self, and_or: &AndOr) -> Run {
        let mut pipeline = &and_or.first;
        let mut rest = and_or.rest.iter();
        loop {
            // The remaining connectors whose command this status lets run.
            let is_last = rest.len() == 0;
            self.tested(!is_last, |shell| shell.pipeline(pipeline))?;
            loop {
                let Some((connector, next)) = rest.next() else { return Ok(()) };
                if (*connector == Connector::And) == (self.status == 0) {
                    pipeline = next;
                    break;
                }
            }
        }
    }

    /// Runs something whose failure, if `ignored`, does not end a shell with `set -e`.
    fn tested<T>(&mut self, ignored: bool, run: impl FnOnce(&mut Shell) -> T) -> T {
        self.tested += u32::from(ignored);
        let result = run(self);
        self.tested -= u32::from(ignored);
        result
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Run {
        self.tested(pipeline.negated, |shell| match pipeline.commands.as_slice() {
            [only] => shell.command(only),
            several => {
                shell.run_pipeline(several)?;
                shell.check_errexit()
            }
        })?;
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        Ok(())
    }

    pub(crate) fn check_errexit(&self) -> Run {
        if self.status != 0 && self.tested == 0 && self.options.get("errexit") {
            return Err(Stop::Exit(self.status));
        }
        Ok(())
    }

    pub(crate) fn command(&mut self, command: &Command) -> Run {
        match command {
            Command::Simple(simple) => {
                self.simple(simple)?;
                self.check_errexit()
            }
            Command::Function(name, body) => {
                self.functions.insert(name.clone(), body.clone());
                self.status = 0;
                Ok(())
            }
            Command::Compound(compound, redirects) if redirects.is_empty() => self.compound(compound),
            Command::Compound(compound, redirects) => self.redirected_compound(compound, redirects),
        }
    }

    fn redirected_compound(&mut self, compound: &Compound, redirects: &[Redirect]) -> Run {
        let saved = self.streams.clone();
        let result = match self.redirect(redirects) {
            Ok(()) => self.compound(compound),
            Err(RedirectError::Stop(stop)) => Err(stop),
            Err(RedirectError::Complained) => {
                self.status = 2;
                self.check_errexit()
            }
        };
        self.streams = saved;
        result
    }

    fn compound(&mut self, compound: &Compound) -> Run {
        match compound {
            Compound::Brace(list) => self.list(list),
            Compound::Subshell(list) => {
                self.status = self.subshell(|shell| shell.list(list));
                self.check_errexit()
            }
            Compound::If { branches, otherwise } => {
                for (condition, then) in branches {
                    self.tested(true, |shell| shell.list(condition))?;
                    if self.status == 0 {
                        return self.list(then);
                    }
                }
                self.status = 0;
                match otherwise {
                    Some(list) => self.list(list),
                    None => Ok(()),
                }
            }
            Compound::For { name, words, body } => self.for_loop(name, words.as_deref(), body),
            Compound::While { until, condition, body } => self.while_loop(*until, condition, body),
            Compound::Case { word, arms } => self.case(word, arms),
        }
    }

    fn for_loop(&mut self, name: &[u8], words: Option<&[Word]>, body: &List) -> Run {
        let values = match words {
            Some(words) => self.expand_words(words)?,
            None => self.positional.clone(),
        };
        self.status = 0;
        self.looping(|shell| {
            for value in values {
                shell.assign(name, value)?;
                if shell.round(body)? {
                    break;
                }
            }
            Ok(())
        })
    }

    fn while_loop(&mut self, until: bool, condition: &List, body: &List) -> Run {
        self.looping(|shell| {
            let mut status = 0;
            loop {
                match shell.tested(true, |shell| shell.list(condition)) {
                    Ok(()) => {}
                    Err(Stop::Break(1)) => break,
                    Err(Stop::Continue(1)) => continue,
                    Err(Stop::Break(levels)) => return Err(Stop::Break(levels - 1)),
                    Err(Stop::Continue(levels)) => return Err(Stop::Continue(levels - 1)),
                    Err(stop) => return Err(stop),
                }
                if (shell.status == 0) == until {
                    break;
                }
                if shell.round(body)? {
                    return Ok(());
                }
                status = shell.status;
            }
            shell.status = status;
            Ok(())
        })
    }

    fn looping(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        self.loops += 1;
        let result = run(self);
        self.loops -= 1;
        result
    }

    /// One round of a loop; returns whether it was the last.
    fn round(&mut self, body: &List) -> Result<bool, Stop> {
        match self.list(body) {
            Ok(()) | Err(Stop::Continue(1)) => Ok(false),
            Err(Stop::Break(1)) => Ok(true),
            Err(Stop::Break(levels)) => Err(Stop::Break(levels - 1)),
            Err(Stop::Continue(levels)) => Err(Stop::Continue(levels - 1)),
            Err(stop) => Err(stop),
        }
    }

    fn case(&mut self, word: &Word, arms: &[Arm]) -> Run {
        let value = self.expand_text(word)?;
        let mut falls = false;
        for arm in arms {
            let mut matched = falls;
            for pattern in &arm.patterns {
                if matched {
                    break;
                }
                matched = self.expand_pattern(pattern)?.matches(&value);
            }
            if matched {
                self.status = 0;
                self.list(&arm.body)?;
                if !arm.falls_through {
                    return Ok(());
                }
                falls = true;
            }
        }
        if !falls {
            self.status = 0;
        }
        Ok(())
    }

    /// Runs something on a copy of the state and returns its status.
    pub(crate) fn subshell(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> u8 {
        let mut inner = self.clone();
        inner.jobs.clear();
        inner.traps.retain(|_, action| action.is_empty());
        inner.loops = 0;
        let result = run(&mut inner);
        let status = inner.finish(result);
        if inner.umask != self.umask {
            kiln_guest::umask(self.umask);
        }
        status
    }

    /// The status of a shell whose last list ended like this, after its EXIT trap.
    pub(crate) fn finish(&mut self, result: Run) -> u8 {
        self.status = match result {
            Ok(()) | Err(Stop::Break(_) | Stop::Continue(_)) => self.status,
            Err(Stop::Return(status) | Stop::Exit(status)) => status,
            Err(Stop::Error) => STATUS_ERROR,
        };
        self.run_exit_trap();
        self.status
    }

    /// What a list prints, without the newlines at its end.
    pub(crate) fn capture(&mut self, list: &List) -> Result<Vec<u8>, Stop> {
        let capture = crate::streams::Capture::default();
        let status = self.subshell(|shell| {
            shell.draining = Default::default();
            shell.streams.insert(1, Stream::Capture(capture.clone()));
            let result = shell.list(list);
            let drained = shell.draining.take().drain();
            result.and_then(|()| drained.map_err(|error| shell.fail_io("command substitution", &error)))
        });
        self.substitution_status = Some(status);
        let mut output = capture.take();
        output.retain(|&byte| byte != 0);
        while output.last() == Some(&b'\n') {
            output.pop();
        }
        Ok(output)
    }
}
