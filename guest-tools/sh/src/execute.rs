//! Lists, compound commands, subshells and command substitutions.

use kiln_tools::context::show;

use crate::options::Flag;
use crate::redirect::RedirectError;
use crate::state::{Run, STATUS_ERROR, Shell, Stop};
use crate::streams::Stream;
use crate::syntax::ast::{
    AndOr, Arm, ArmEnd, Command, Compound, Connector, Item, List, Pipeline, Redirect, Target, Word,
};

/// Lists and expansions within each other, through functions and otherwise, before the stack is in danger.
const MAX_DEPTH: u32 = 600;

impl Shell {
    pub(crate) fn list(&mut self, list: &List) -> Run {
        self.deeper(|shell| shell.items(list))
    }

    /// Runs or expands something within something else.
    pub(crate) fn deeper(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> Run {
        if self.depth >= MAX_DEPTH {
            return Err(self.fail(&format!("more than {MAX_DEPTH} commands or expansions within each other")));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn items(&mut self, list: &List) -> Run {
        for item in &list.0 {
            if self.options.get(Flag::NoExec) {
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
        let substituted = self.substituted.borrow().len();
        let result = self.tested(pipeline.negated, |shell| match pipeline.commands.as_slice() {
            [only] => {
                let result = shell.command(only);
                shell.pipe_status.clear();
                result
            }
            several => {
                shell.run_pipeline(several)?;
                shell.check_errexit()
            }
        });
        if self.substituted.borrow().len() > substituted {
            self.end_substitutions(substituted);
        }
        if pipeline.timed {
            // No time passes in a step. Where the report cannot be written, the command has run all the same.
            let _ = self.write(2, b"\nreal\t0m0.000s\nuser\t0m0.000s\nsys\t0m0.000s\n");
        }
        result?;
        if pipeline.negated {
            self.status = u8::from(self.status == 0);
        }
        Ok(())
    }

    /// What a failure that nothing tests leads to.
    pub(crate) fn check_errexit(&mut self) -> Run {
        if self.status == 0 || self.tested > 0 {
            return Ok(());
        }
        if !self.traps.is_empty() {
            self.run_error_trap()?;
        }
        if self.options.get(Flag::ErrExit) {
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
                std::rc::Rc::make_mut(&mut self.functions).insert(name.clone(), body.clone());
                self.status = 0;
                Ok(())
            }
            Command::Compound(compound, redirects) if redirects.is_empty() => self.compound(compound),
            Command::Compound(compound, redirects) => self.redirected_compound(compound, redirects),
        }
    }

    fn redirected_compound(&mut self, compound: &Compound, redirects: &[Redirect]) -> Run {
        let saved = self.save_streams(redirects);
        let result = match self.redirect(redirects) {
            Ok(()) => self.compound(compound),
            Err(RedirectError::Stop(stop)) => Err(stop),
            Err(RedirectError::Complained) => {
                self.status = 2;
                self.check_errexit()
            }
        };
        self.restore_streams(saved);
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
                match otherwise {
                    Some(list) => self.list(list),
                    None => {
                        self.status = 0;
                        Ok(())
                    }
                }
            }
            Compound::For { name, words, body } => self.for_loop(name, words.as_deref(), body),
            Compound::While { until, condition, body } => self.while_loop(*until, condition, body),
            Compound::Count { start, condition, step, body } => self.count_loop(start, condition, step, body),
            Compound::Case { word, arms } => self.case(word, arms),
            Compound::Arithmetic(line, expression) => {
                self.line = *line;
                // An error in it is a failure, not the end.
                self.status = match self.arithmetic_word(expression) {
                    Ok(value) => u8::from(value == 0),
                    Err(Stop::Error) => 1,
                    Err(stop) => return Err(stop),
                };
                self.check_errexit()
            }
            Compound::Condition(line, condition) => {
                self.line = *line;
                self.status = match self.condition(condition) {
                    Ok(holds) => u8::from(!holds),
                    Err(Stop::Error) => STATUS_ERROR,
                    Err(stop) => return Err(stop),
                };
                self.check_errexit()
            }
        }
    }

    fn for_loop(&mut self, name: &[u8], words: Option<&[Word]>, body: &List) -> Run {
        let values = match words {
            Some(words) => self.expand_words(words)?,
            None => self.positional.clone(),
        };
        if values.is_empty() {
            self.status = 0;
        }
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

    fn count_loop(&mut self, start: &Word, condition: &Word, step: &Word, body: &List) -> Run {
        self.arithmetic_word(start)?;
        self.status = 0;
        self.looping(|shell| {
            loop {
                if !condition.text.trim_ascii().is_empty() && shell.arithmetic_word(condition)? == 0 {
                    return Ok(());
                }
                if shell.round(body)? {
                    return Ok(());
                }
                shell.arithmetic_word(step)?;
            }
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
        let mut ran = false;
        for arm in arms {
            let mut matched = falls;
            for pattern in &arm.patterns {
                if matched {
                    break;
                }
                let mut pattern = self.expand_pattern(pattern)?;
                if self.options.get(Flag::NoCaseMatch) {
                    pattern = pattern.ignoring_case();
                }
                matched = pattern.matches(&value);
            }
            falls = false;
            if matched {
                if arm.body.0.is_empty() {
                    self.status = 0;
                }
                self.list(&arm.body)?;
                ran = true;
                match arm.end {
                    ArmEnd::Leave => return Ok(()),
                    ArmEnd::FallThrough => falls = true,
                    ArmEnd::TryNext => {}
                }
            }
        }
        if !ran {
            self.status = 0;
        }
        Ok(())
    }

    /// Runs something on a copy of the state and returns its status.
    pub(crate) fn subshell(&mut self, run: impl FnOnce(&mut Shell) -> Run) -> u8 {
        let mut inner = self.clone();
        inner.jobs.clear();
        inner.keep_subshell_traps();
        inner.loops = 0;
        inner.subshells += 1;
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
        if let Some(word) = only_reads(list) {
            return self.capture_file(word);
        }
        let status = self.subshell(|shell| {
            // What lies between two lists here takes more of the stack than a list.
            shell.depth += 2;
            shell.draining = Default::default();
            shell.streams.insert(1, Stream::Capture(capture.clone()));
            if list.0.is_empty() {
                shell.status = 0;
            }
            let result = shell.list(list);
            let drained = shell.draining.take().drain();
            result.and_then(|()| drained.map_err(|error| shell.fail_io("command substitution", &error)))
        });
        self.substitution_status = Some(status);
        Ok(substituted_text(capture.take()))
    }

    /// `$(<file)`
    fn capture_file(&mut self, word: &Word) -> Result<Vec<u8>, Stop> {
        let name = self.expand_text(word)?;
        match std::fs::read(self.path(&name)) {
            Ok(text) => {
                self.substitution_status = Some(0);
                Ok(substituted_text(text))
            }
            Err(error) => {
                self.complain(&format!("cannot open {}: {}", show(&name), crate::builtins::why_not_open(&error)));
                self.substitution_status = Some(2);
                Ok(Vec::new())
            }
        }
    }
}

/// Without zero bytes, and without the newlines at its end.
fn substituted_text(mut output: Vec<u8>) -> Vec<u8> {
    output.retain(|&byte| byte != 0);
    while output.last() == Some(&b'\n') {
        output.pop();
    }
    output
}

/// The file's name where a list is nothing but `<file`.
fn only_reads(list: &List) -> Option<&Word> {
    let [Item { and_or: AndOr { first, rest }, background: false }] = list.0.as_slice() else { return None };
    let Pipeline { negated: false, timed: false, commands } = first else { return None };
    let [Command::Simple(simple)] = commands.as_slice() else { return None };
    let [Redirect { fd: 0, target: Target::Read(word) }] = simple.redirects.as_slice() else { return None };
    (rest.is_empty() && simple.words.is_empty() && simple.assignments.is_empty()).then_some(word)
}
