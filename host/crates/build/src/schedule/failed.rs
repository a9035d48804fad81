//! What is kept of a RUN that failed: see [`crate::failed`].

use std::sync::Arc;

use kiln_exec::Network;
use kiln_types::Digest;

use super::Build;
use crate::failed::{FailedStep, How, KeptMount, Left};
use crate::ops::run::Ran;
use crate::plan::{Run, Shown, shell_of};
use crate::state::State;
use crate::{Error, StepId, failed};

/// The hint for those who were stopped by a limit, or by what else is no answer of the command.
const LOOK: &str = "`kiln debug` opens the image as it was before this step";

impl Build<'_> {
    /// Notes how a RUN failed, until it is known whether it was the first one.
    pub(super) fn note_failed(
        &self,
        shown: &Shown,
        run: &Run,
        state: &State,
        key: Digest,
        mounts: Vec<KeptMount>,
        (code, left): (Option<i32>, Left),
    ) {
        let Some(directory) = self.request.keep_failure.clone() else { return };
        let request = self.request;
        let failed = FailedStep {
            directory,
            dockerfile: request.dockerfile_name.clone(),
            target: request.target.clone(),
            platform: request.platform.as_ref().map(ToString::to_string),
            number: shown.number,
            total: self.plan.total,
            text: shown.text.clone(),
            code,
            left,
            shell: shell_of(&state.config.config).first().cloned().unwrap_or_else(|| "/bin/sh".to_owned()),
            before: state.layers.clone(),
            how: How {
                argv: run.argv.clone(),
                env: run.env.clone(),
                cwd: run.cwd.clone(),
                user: run.user.clone(),
                hostname: run.hostname.clone(),
                network: run.network == Network::Host,
                hosts: request.hosts.clone(),
                insecure: run.insecure,
                untrusted: request.untrusted,
                seed: key,
                clock: run.clock,
                mounts,
            },
        };
        self.failed.lock().expect("no thread panics holding it").push((shown.id, failed));
    }

    /// Makes a layer of what a failed command left, unless a secret is in it.
    pub(super) fn left(&self, shown: &Shown, run: &Run, ran: Ran) -> Left {
        if self.request.keep_failure.is_none() {
            return Left::Nothing;
        }
        let layer = || {
            self.check_secrets(shown, run, &ran.changes)?;
            let layer = self.layer(shown, ran.changes)?;
            if let (Some(layer), Some(directory)) = (&layer, ran.directory) {
                self.environment.store.adopt_directory(layer, &directory.free())?;
            }
            Ok::<_, Error>(layer)
        };
        match layer() {
            Ok(Some(layer)) => Left::Layer(layer.diff_id),
            Ok(None) => Left::Nothing,
            Err(error) => Left::Unknown(error.to_string()),
        }
    }

    /// Keeps the step that the build failed with, and says so in its error; forgets an earlier one where the build
    /// succeeded. Whether anything became superfluous by that.
    pub(super) fn keep_failed(&self, result: &mut Result<Arc<State>, Error>) -> Result<bool, kiln_store::Error> {
        let Some(name) = failed::name(self.request) else { return Ok(false) };
        let store = &self.environment.store;
        let Err(error) = result else { return store.remove_failure(&name) };
        let at: Option<StepId> = self.failed_at.get().copied();
        let noted = std::mem::take(&mut *self.failed.lock().expect("no thread panics holding it"));
        let Some((_, failed)) = noted.into_iter().find(|(step, _)| Some(*step) == at) else { return Ok(false) };
        match error {
            Error::Step(failure) => failure.kept = true,
            Error::Instruction(located) => drop(located.hint.get_or_insert_with(|| LOOK.to_owned())),
            _ => return Ok(false),
        }
        let superfluous = store.remove_failure(&name)?;
        store.put_failure(&name, &failed.layers(), &failed)?;
        Ok(superfluous)
    }
}
