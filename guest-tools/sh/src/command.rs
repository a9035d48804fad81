//! Simple commands: what a name means, and running it.

use std::io::{self, BufWriter, Read, Write};
use std::rc::Rc;

use kiln_guest::{Pid, SpawnError};
use kiln_tools::context::{STATUS_BROKEN_PIPE, reason, show};
use kiln_tools::{Context, Tool};

use crate::builtins::{self, Builtin};
use crate::options::Flag;
use crate::redirect::RedirectError;
use crate::state::{Call, Run, Shell, Stop};
use crate::streams::{CapturePipes, Stream};
use crate::syntax::ast::{Assigned, Assignment, Command, Element, Part, Simple};
use crate::syntax::{DECLARING, print};
use crate::variables::{ArrayArgument, Elements, Variable};

/// A command after expansion, with its redirections and assignments in force.
pub(crate) struct Prepared {
    pub(crate) argv: Vec<Vec<u8>>,
    /// What the assignments hide while the command runs.
    hidden: Vec<(Vec<u8>, Option<Variable>)>,
}

/// What a command name stands for.
pub(crate) enum Resolved {
    Builtin(&'static Builtin),
    Function(Rc<Command>),
    /// A utility that runs in the shell's own process.
    Tool(Tool),
    Program,
}

impl Shell {
    pub(crate) fn simple(&mut self, simple: &Simple) -> Run {
        if simple.redirects.is_empty() {
            return match self.prepare(simple)? {
                Some(prepared) => self.run_prepared(prepared),
                None => Ok(()),
            };
        }
        let saved = self.save_streams(&simple.redirects);
        let result = match self.prepare(simple) {
            Ok(None) => Ok(()),
            Ok(Some(prepared)) => {
                let words = if prepared.argv[0] == b"command" { &prepared.argv[1..] } else { &prepared.argv[..] };
                let keeps_streams = words == [b"exec"];
                let result = self.run_prepared(prepared);
                if keeps_streams {
                    return result;
                }
                result
            }
            Err(stop) => Err(stop),
        };
        self.restore_streams(saved);
        result
    }

    /// Expands, redirects and assigns. `None` if there is nothing left to run; the status is set then.
    pub(crate) fn prepare(&mut self, simple: &Simple) -> Result<Option<Prepared>, Stop> {
        self.line = simple.line;
        self.substitution_status = None;
        let argv = self.expand_command_words(simple)?;
        if !simple.redirects.is_empty() {
            let special = argv.first().and_then(|name| builtins::find(name)).is_some_and(|builtin| builtin.special);
            match self.redirect(&simple.redirects) {
                Ok(()) => {}
                Err(RedirectError::Stop(stop)) => return Err(stop),
                Err(RedirectError::Complained) if special => return Err(Stop::Error),
                Err(RedirectError::Complained) => {
                    self.status = 2;
                    return Ok(None);
                }
            }
        }
        let mut hidden = Vec::new();
        let traced = self.options.get(Flag::XTrace);
        let mut trace = Vec::new();
        for assignment in &simple.assignments {
            let name = &assignment.name;
            if !argv.is_empty() {
                hidden.push((name.clone(), self.variables.get(name).cloned()));
            }
            trace.extend(self.run_assignment(assignment, traced)?);
            if !argv.is_empty() {
                self.variable_mut(name).exported = true;
            }
        }
        if traced {
            trace.extend(argv.iter().map(|word| print::quote_if_needed(word)));
            self.trace(&trace)?;
        }
        if argv.is_empty() {
            self.status = self.substitution_status.unwrap_or(0);
            return Ok(None);
        }
        Ok(Some(Prepared { argv, hidden }))
    }

    /// Assigns, and returns how a trace shows it if there is one.
    fn run_assignment(&mut self, assignment: &Assignment, traced: bool) -> Result<Option<Vec<u8>>, Stop> {
        let Assignment { name, subscript, append, value } = assignment;
        let sign = if *append { &b"+="[..] } else { b"=" };
        match value {
            Assigned::Text(word) => {
                let value = self.expand_assignment(word)?;
                let shown = traced.then(|| [name, sign, &print::quote_if_needed(&value)].concat());
                let key = match subscript {
                    Some(word) => Some(self.key(name, word)?),
                    None => None,
                };
                self.assign_to(name, key, value, *append)?;
                Ok(shown)
            }
            Assigned::Elements(elements) => {
                let elements = self.expand_elements(elements)?;
                let shown = traced.then(|| {
                    let shown = elements.iter().map(|(_, value)| print::quote_if_needed(value)).collect::<Vec<_>>();
                    [name, sign, b"(", &shown.join(&b' '), b")"].concat()
                });
                self.assign_elements(name, *append, elements)?;
                Ok(shown)
            }
        }
    }

    fn expand_elements(&mut self, elements: &[Element]) -> Result<Elements, Stop> {
        let mut out = Vec::new();
        for element in elements {
            match &element.key {
                Some(key) => {
                    let key = self.expand_text(key)?;
                    out.push((Some(key), self.expand_assignment(&element.value)?));
                }
                None => {
                    let values = self.expand_words(std::slice::from_ref(&element.value))?;
                    out.extend(values.into_iter().map(|value| (None, value)));
                }
            }
        }
        Ok(out)
    }

    /// The arguments; those of `export` and the like that are assignments are not split, and arrays go beside them.
    fn expand_command_words(&mut self, simple: &Simple) -> Result<Vec<Vec<u8>>, Stop> {
        let declares = simple.words.first().is_some_and(|word| DECLARING.contains(&word.text.as_slice()));
        if !declares {
            return self.expand_words(&simple.words);
        }
        self.elements.clear();
        let mut argv = Vec::new();
        for word in &simple.words {
            let [Part::Assignment(assignment)] = word.parts.as_slice() else {
                argv.extend(self.expand_words(std::slice::from_ref(word))?);
                continue;
            };
            let Assignment { name, subscript, append, value } = &**assignment;
            match value {
                Assigned::Text(value) => {
                    let mut text = name.clone();
                    if let Some(subscript) = subscript {
                        text.extend_from_slice(&[b"[", &self.expand_text(subscript)?[..], b"]"].concat());
                    }
                    text.extend_from_slice(if *append { b"+=" } else { b"=" });
                    text.extend_from_slice(&self.expand_assignment(value)?);
                    argv.push(text);
                }
                Assigned::Elements(elements) => {
                    let elements = self.expand_elements(elements)?;
                    self.elements.push(ArrayArgument { name: name.clone(), append: *append, elements });
                    argv.push(name.clone());
                }
            }
        }
        Ok(argv)
    }

    fn trace(&mut self, words: &[Vec<u8>]) -> Run {
        if words.is_empty() {
            return Ok(());
        }
        // What the prompt runs is not traced.
        self.options.set(Flag::XTrace, false);
        let mut line = self.expand_prompt(b"PS4");
        self.options.set(Flag::XTrace, true);
        line.extend_from_slice(&words.join(&b' '));
        line.push(b'\n');
        // A trace that cannot be written must not change what the program does.
        let _ = self.write(2, &line);
        Ok(())
    }

    pub(crate) fn resolve(&self, argv: &[Vec<u8>]) -> Resolved {
        let name = argv[0].as_slice();
        if name.contains(&b'/') {
            return Resolved::Program;
        }
        let builtin = builtins::find(name);
        match builtin {
            Some(builtin) if builtin.special => return Resolved::Builtin(builtin),
            _ => {}
        }
        if let Some(body) = self.functions.get(name) {
            return Resolved::Function(body.clone());
        }
        if let Some(builtin) = builtin {
            return Resolved::Builtin(builtin);
        }
        match builtins::in_process_tool(name) {
            Some(tool) if self.find_program(name).is_none_or(|path| path.starts_with("/.kiln/bin")) => {
                Resolved::Tool(tool)
            }
            _ => Resolved::Program,
        }
    }

    /// Where PATH finds a program.
    pub(crate) fn find_program(&self, name: &[u8]) -> Option<std::path::PathBuf> {
        let path = self.value(b"PATH").unwrap_or(b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let directories = path.split(|&byte| byte == b':').chain(std::iter::once(&b"/.kiln/bin"[..]));
        for directory in directories {
            let candidate = self.cwd.join(kiln_guest::path(directory)).join(kiln_guest::path(name));
            if let Ok(stat) = kiln_guest::stat(&candidate, true)
                && stat.is_file()
                && stat.mode & 0o111 != 0
            {
                return Some(candidate);
            }
        }
        None
    }

    pub(crate) fn run_prepared(&mut self, mut prepared: Prepared) -> Run {
        // What is assigned before a special builtin stays.
        if builtins::find(&prepared.argv[0]).is_some_and(|builtin| builtin.special) {
            prepared.hidden.clear();
        }
        let result = self.run_resolved(&prepared);
        for (name, variable) in std::mem::take(&mut prepared.hidden).into_iter().rev() {
            self.restore_variable(name, variable);
        }
        self.last_word = prepared.argv.pop().unwrap_or_default();
        result
    }

    fn run_resolved(&mut self, prepared: &Prepared) -> Run {
        let argv = &prepared.argv;
        match self.resolve(argv) {
            Resolved::Builtin(builtin) => (builtin.run)(self, argv).map(|status| self.status = status),
            Resolved::Function(body) => self.call(&body, argv),
            Resolved::Tool(tool) => self.run_tool(tool, argv).map(|status| self.status = status),
            Resolved::Program => self.run_program(prepared),
        }
    }

    /// Runs words that need no expansion any more.
    pub(crate) fn run_words(&mut self, words: &[Vec<u8>]) -> Result<u8, Stop> {
        self.run_prepared(Prepared { argv: words.to_vec(), hidden: Vec::new() })?;
        Ok(self.status)
    }

    fn run_program(&mut self, prepared: &Prepared) -> Run {
        let mut pipes = CapturePipes::default();
        match self.spawn_prepared(prepared, &mut pipes) {
            Ok(pid) => {
                pipes.drain().map_err(|error| self.fail_io("pipe", &error))?;
                self.status = self.wait_for(pid);
                Ok(())
            }
            Err(error) => {
                self.status = self.not_spawned(&prepared.argv[0], error);
                Ok(())
            }
        }
    }

    pub(crate) fn spawn_prepared(&self, prepared: &Prepared, pipes: &mut CapturePipes) -> Result<Pid, SpawnError> {
        self.spawn_program(&prepared.argv, pipes)
    }

    pub(crate) fn spawn_program(&self, argv: &[Vec<u8>], pipes: &mut CapturePipes) -> Result<Pid, SpawnError> {
        let result = self.spawn(argv, &self.environment(), &self.streams, pipes);
        if !matches!(result, Err(SpawnError::NotExecutable)) {
            return result;
        }
        // POSIX: a text without an interpreter line is a script of this shell.
        let path = if argv[0].contains(&b'/') { Some(self.path(&argv[0])) } else { self.find_program(&argv[0]) };
        let Some(path) = path.filter(|path| is_text(path)) else { return result };
        let mut script = vec![b"sh".to_vec(), kiln_tools::context::path_bytes(&path).to_vec()];
        script.extend_from_slice(&argv[1..]);
        self.spawn(&script, &self.environment(), &self.streams, pipes)
    }

    /// Prints why a program did not start; returns the status that says so.
    pub(crate) fn not_spawned(&self, name: &[u8], error: SpawnError) -> u8 {
        let (why, status) = match error {
            SpawnError::NotFound => ("not found".to_string(), 127),
            SpawnError::Denied => ("Permission denied".to_string(), 126),
            SpawnError::NotExecutable => (format!("Exec format error{}", self.what_it_is(name)), 126),
            SpawnError::Other(error) => (reason(&error), 126),
        };
        self.complain(&format!("{}: {why}", show(name)));
        status
    }

    /// What a program is that cannot be run, where that says why.
    fn what_it_is(&self, name: &[u8]) -> &'static str {
        let path = if name.contains(&b'/') { Some(self.path(name)) } else { self.find_program(name) };
        let is_elf = path.is_some_and(|path| beginning(&path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF")));
        if is_elf { ": it is a Linux program, and only WebAssembly programs run here" } else { "" }
    }

    fn call(&mut self, body: &Command, argv: &[Vec<u8>]) -> Run {
        let positional = std::mem::replace(&mut self.positional, argv[1..].to_vec());
        let loops = std::mem::take(&mut self.loops);
        self.calls.push(Call { name: argv[0].clone(), line: self.line, locals: Vec::new() });
        let result = self.command(body);
        let locals = self.calls.pop().map(|call| call.locals).unwrap_or_default();
        for (name, variable) in locals.into_iter().rev() {
            self.restore_variable(name, variable);
        }
        self.loops = loops;
        self.positional = positional;
        match result {
            Err(Stop::Return(status)) => {
                self.status = status;
                Ok(())
            }
            other => other,
        }
    }

    /// Runs a utility in this process.
    pub(crate) fn run_tool(&mut self, tool: Tool, argv: &[Vec<u8>]) -> Result<u8, Stop> {
        let stream = |number| Handle(self.streams.get(&number));
        let name = show(&argv[0]).into_owned();
        // Builtins speak as the shell does, know its variables, and write in one piece.
        let (prefix, env, buffered) = match builtins::find(&argv[0]) {
            Some(_) => (format!("{}: {}: {name}", show(&self.name), self.line), Vec::new(), 0),
            None => (name, self.environment(), 8 * 1024),
        };
        let mut stdout = BufWriter::with_capacity(buffered, stream(1));
        let (mut stdin, mut stderr) = (stream(0), stream(2));
        let mut context = Context {
            name: &prefix,
            args: &argv[1..],
            env: &env,
            cwd: &self.cwd,
            stdin: &mut stdin,
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let status = kiln_tools::context::run(tool, &mut context);
        // What could not be written has been complained of.
        let _ = stdout.into_parts();
        if status == STATUS_BROKEN_PIPE {
            return Err(Stop::Exit(status));
        }
        Ok(status)
    }
}

/// A stream of the table, or a descriptor that is closed. An absent standard input is empty.
struct Handle<'a>(Option<&'a Stream>);

fn closed() -> io::Error {
    io::Error::other("Bad file descriptor")
}

impl Read for Handle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.map_or(Ok(0), |mut stream| stream.read(buffer))
    }
}

impl Write for Handle<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.ok_or_else(closed)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_text(path: &std::path::Path) -> bool {
    beginning(path).is_ok_and(|bytes| !bytes.contains(&0))
}

fn beginning(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(256).read_to_end(&mut bytes)?;
    Ok(bytes)
}
