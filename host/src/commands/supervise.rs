//! `kiln supervise`: what `run` and `start` have look after a container.

use crate::cli::supervise::Supervise;
use crate::session::Session;

#[cfg(target_os = "linux")]
pub(super) fn run(options: &Supervise, session: &Session) -> anyhow::Result<()> {
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use anyhow::Context as _;
    use signal_hook::consts::SIGTERM;

    // Who started this is at the other end of standard input, which no container shall have.
    let client = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().context("no client")?);
    let nothing = std::fs::File::open("/dev/null").context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdin(&nothing).context("cannot put standard input away")?;
    // A terminal's end or keys are nothing to it.
    let (terminate, wake) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(SIGTERM, wake)?;
    let environment = kiln_container::Environment {
        root: session.root().to_owned(),
        executor: session.linux_executor()?,
        client,
        terminate,
    };
    Ok(kiln_container::supervise(environment, &options.id)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn run(options: &Supervise, _: &Session) -> anyhow::Result<()> {
    let message = format!("container {} cannot be looked after: there is no Linux kernel", options.id);
    Err(crate::report::failure::Failure::new(message).into())
}
