//! `kiln start`.

use std::process::ExitCode;

use kiln_container::{Container, ExecutorKind, Phase};
use kiln_store::Store;

use super::attach::{self, Wanted};
use super::each;
use crate::cli::start::Start;
use crate::report::failure::Failure;
use crate::session::Session;

pub(super) fn run(options: &Start, session: &Session) -> anyhow::Result<ExitCode> {
    if !options.attach && !options.interactive {
        return each::each(&options.containers, &mut |name| start(name, session));
    }
    let [name] = &options.containers[..] else {
        return Err(Failure::new("only one container at a time can be started and attached to").into());
    };
    let store = session.store()?;
    let mut container = Container::find(&store, name)?;
    check(&container)?;
    let stdin = options.interactive && container.spec.open_stdin;
    if container.spec.executor == ExecutorKind::Wasi {
        return super::run::wasi::run(store, &mut container, stdin, session);
    }
    drop(store);
    super::run::check_terminal(stdin, container.spec.terminal)?;
    let terminal = container.spec.terminal;
    let keys = options.detach_keys.clone().unwrap_or_default();
    let wanted = || Wanted { stdin, stdout: true, stderr: true, terminal, keys: keys.clone(), signals: true };
    loop {
        // Its supervisor says whether that can be done now.
        if container.state.is_running() {
            return attach::attach(&container, wanted());
        }
        session.namespace_executor().preflight()?;
        match attach::start_and_follow(&container, session, wanted()) {
            Err(error) if is_busy(&error) => drop(container.wait_for_start()?),
            ended => return ended,
        }
    }
}

fn start(name: &str, session: &Session) -> anyhow::Result<()> {
    start_again(&session.store()?, name, session)
}

/// Nothing is done about one that runs, whoever has started it.
pub(super) fn start_again(store: &Store, name: &str, session: &Session) -> anyhow::Result<()> {
    let mut container = Container::find(store, name)?;
    check(&container)?;
    if container.state.phase == Phase::Running {
        return Ok(());
    }
    if container.spec.executor == ExecutorKind::Wasi {
        let failure = super::run::wasi::refuse(&container, "start in the background");
        return Err(failure.hint(format!("kiln start -a {name}")).into());
    }
    session.namespace_executor().preflight()?;
    loop {
        match attach::start(&container, session) {
            Err(error) if is_busy(&error) => {
                if container.wait_for_start()? {
                    return Ok(());
                }
            }
            started => return started,
        }
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kiln_container::Error::Busy { .. }))
}

fn check(container: &Container) -> Result<(), Failure> {
    if container.state.phase == Phase::Paused {
        let failure = Failure::new(format!("container {} is paused, and so it is started", container.name()));
        return Err(failure.hint(format!("kiln unpause {}", container.name())));
    }
    Ok(())
}
