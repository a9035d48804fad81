//! `find`.

mod evaluate;
mod parse;

use std::path::{Path, PathBuf};

use kiln_guest::Stat;

use super::chmod::sorted_names;
use crate::context::{Context, Failure, Outcome, path_bytes, reason, show};

/// A file under consideration.
struct Found {
    /// As printed: the operand and the way from it.
    name: Vec<u8>,
    path: PathBuf,
    stat: Stat,
    depth: usize,
    /// The length of the operand within the name.
    operand_length: usize,
}

#[derive(Debug, Clone, Copy)]
struct Walk {
    least_depth: usize,
    most_depth: usize,
    contents_first: bool,
    follow: bool,
    follow_operands: bool,
}

pub fn find(context: &mut Context) -> Outcome {
    let mut args = context.args;
    let mut walk =
        Walk { least_depth: 0, most_depth: usize::MAX, contents_first: false, follow: false, follow_operands: false };
    while let Some(first) = args.first().filter(|arg| matches!(arg.as_slice(), b"-L" | b"-H" | b"-P")) {
        walk.follow = first == b"-L";
        walk.follow_operands = first != b"-P";
        args = &args[1..];
    }
    let is_expression =
        |arg: &Vec<u8>| matches!(arg.as_slice(), b"(" | b"!" | b",") || (arg.len() > 1 && arg[0] == b'-');
    let count = args.iter().position(is_expression).unwrap_or(args.len());
    let (operands, expression) = args.split_at(count);
    let mut plan = parse::parse(context, expression, &mut walk)?;
    let standard = [b".".to_vec()];
    let operands = if operands.is_empty() { &standard[..] } else { operands };
    let mut finder = Finder { walk, status: 0, quit: false };
    for operand in operands {
        let path = context.path(operand);
        finder.visit(context, &mut plan, &path, operand.clone(), 0, operand.len())?;
        if finder.quit {
            break;
        }
    }
    plan.finish(context, &mut finder.status)?;
    Ok(finder.status)
}

struct Finder {
    walk: Walk,
    status: u8,
    quit: bool,
}

impl Finder {
    fn visit(
        &mut self,
        context: &mut Context,
        plan: &mut evaluate::Plan,
        path: &Path,
        name: Vec<u8>,
        depth: usize,
        operand_length: usize,
    ) -> Result<(), Failure> {
        let follow = self.walk.follow || (depth == 0 && self.walk.follow_operands);
        let stat =
            match kiln_guest::stat(path, follow).or_else(|error| kiln_guest::stat(path, false).map_err(|_| error)) {
                Ok(stat) => stat,
                Err(error) => {
                    context.complain(format!("'{}': {}", show(&name), reason(&error)));
                    self.status = 1;
                    return Ok(());
                }
            };
        let found = Found { name, path: path.to_path_buf(), stat, depth, operand_length };
        let mut descend = found.stat.is_dir() && depth < self.walk.most_depth;
        if !self.walk.contents_first && depth >= self.walk.least_depth {
            descend &= !self.evaluate(context, plan, &found)?;
        }
        if descend && !self.quit {
            self.contents(context, plan, &found)?;
        }
        if self.walk.contents_first && depth >= self.walk.least_depth && !self.quit {
            self.evaluate(context, plan, &found)?;
        }
        Ok(())
    }

    /// Returns whether the directory is not to be entered.
    fn evaluate(&mut self, context: &mut Context, plan: &mut evaluate::Plan, found: &Found) -> Result<bool, Failure> {
        let verdict = plan.evaluate(context, found, &mut self.status)?;
        self.quit |= verdict.quit;
        Ok(verdict.prune)
    }

    fn contents(&mut self, context: &mut Context, plan: &mut evaluate::Plan, found: &Found) -> Result<(), Failure> {
        let names = match sorted_names(&found.path) {
            Ok(names) => names,
            Err(error) => {
                context.complain(format!("'{}': {}", show(&found.name), reason(&error)));
                self.status = 1;
                return Ok(());
            }
        };
        for entry in names {
            let entry_name = path_bytes(Path::new(&entry));
            let separator: &[u8] = if found.name.ends_with(b"/") { b"" } else { b"/" };
            let name = [&found.name, separator, entry_name].concat();
            self.visit(context, plan, &found.path.join(&entry), name, found.depth + 1, found.operand_length)?;
            if self.quit {
                break;
            }
        }
        Ok(())
    }
}
