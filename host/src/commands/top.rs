//! `kiln top`: the processes of a container.

mod columns;
#[cfg(target_os = "linux")]
mod processes;

use crate::cli::top::Top;
use crate::session::Session;

#[cfg(not(target_os = "linux"))]
pub(super) fn run(options: &Top, session: &Session) -> anyhow::Result<()> {
    use crate::report::failure::Failure;
    let container = kiln_container::Container::find(&session.store_to_read()?, &options.container)?;
    columns::chosen(&options.options)?;
    let failure = Failure::new(format!("container {} has no processes of its own", container.name()));
    Err(failure.hint("only Linux programs have; a WebAssembly program runs in the kiln that started it").into())
}

#[cfg(target_os = "linux")]
pub(super) fn run(options: &Top, session: &Session) -> anyhow::Result<()> {
    use std::io::Write as _;

    use kiln_container::{Container, ExecutorKind};

    use crate::report::failure::Failure;

    let columns = columns::chosen(&options.options)?;
    let container = Container::find(&session.store_to_read()?, &options.container)?;
    if container.spec.executor == ExecutorKind::Wasi {
        let failure = Failure::new(format!("container {} has no processes of its own", container.name()));
        return Err(failure.hint("a WebAssembly program runs in the kiln that started it").into());
    }
    let (true, Some(pid)) = (container.state.is_running(), container.state.pid) else {
        return Err(Failure::new(format!("container {} is not running", container.id())).into());
    };
    let host = processes::Host::look()?;
    let rows: Vec<Vec<String>> = processes::of(pid)?
        .iter()
        .map(|process| columns.iter().map(|column| process.column(*column, &host)).collect())
        .collect();
    let mut table = vec![columns.iter().map(|column| column.header().to_owned()).collect::<Vec<_>>()];
    table.extend(rows);
    let mut out = super::stdout();
    columns::write(&table, &mut out)?;
    Ok(out.flush()?)
}
