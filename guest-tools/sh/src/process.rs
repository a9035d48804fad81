//! `<(list)` and `>(list)`. There are no names for descriptors, so a file stands between: the list that is read from
//! runs before the command, the one that is written to runs after it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kiln_tools::context::path_bytes;

use crate::state::{Shell, Stop};
use crate::streams::Stream;
use crate::syntax::ast::List;

/// A file that stands between a command and a list.
#[derive(Debug)]
pub(crate) struct Substituted {
    path: PathBuf,
    /// The list that reads what the command writes.
    reader: Option<Rc<List>>,
}

impl Shell {
    /// The name of the file to read from or to write to.
    pub(crate) fn process_substitution(&mut self, output: bool, list: &Rc<List>) -> Result<Vec<u8>, Stop> {
        let number = self.substituted.borrow().len();
        let path = self.temporary_directory().join(format!(".sh-process-{}-{number}", kiln_guest::self_pid()));
        let file = File::create(&path).map_err(|error| self.fail_io("process substitution", &error))?;
        let reader = output.then(|| list.clone());
        self.substituted.borrow_mut().push(Substituted { path: path.clone(), reader });
        if !output {
            self.subshell(|shell| {
                shell.streams.insert(1, Stream::file(file));
                shell.list(list)
            });
        }
        Ok(path_bytes(&path).to_vec())
    }

    /// Where files go that nobody is to see.
    pub(crate) fn temporary_directory(&self) -> PathBuf {
        let tmp = Path::new("/tmp");
        if tmp.is_dir() { tmp.to_path_buf() } else { self.cwd.clone() }
    }

    /// Ends the substitutions of a command that is over: all but the first `kept`.
    pub(crate) fn end_substitutions(&mut self, kept: usize) {
        while self.substituted.borrow().len() > kept {
            let Some(ended) = self.substituted.borrow_mut().pop() else { return };
            if let (Some(list), Ok(file)) = (ended.reader, File::open(&ended.path)) {
                self.subshell(|shell| {
                    shell.streams.insert(0, Stream::file(file));
                    shell.list(&list)
                });
            }
            // A file that is gone already need not be removed.
            let _ = std::fs::remove_file(&ended.path);
        }
    }
}
