//! Counted instructions: the limit that ends a step at the same place on every host.
//!
//! A process gets all that the step has left, and what it has used is taken off when it calls the host and when it ends.
//! (Between two looks at the epoch there is nothing to take: a loop keeps its count in a register.) So processes that run
//! at once may together use more than there is, but never without notice: each instruction is taken off once, at the
//! latest at its process's end, before the step can end. Whether the sum exceeds the limit does not depend on the order
//! of its parts. And the parts are the same in every run, as long as processes do not depend on how others are scheduled:
//! one that reads a pipe in more pieces uses some more, and one that is killed has used whatever it has until then.

use wasmtime::{AsContextMut, StoreContextMut};

use super::guest::{End, Guest, SIGNAL_KILL};

/// Takes off what has been used since the last time, and gives what is left. Nothing happens where nobody counts.
pub(crate) fn settle(mut store: impl AsContextMut<Data = Guest>) -> Result<(), End> {
    let mut store: StoreContextMut<'_, Guest> = store.as_context_mut();
    if store.data().step.limits.fuel.is_none() {
        return Ok(());
    }
    let remaining = store.get_fuel().expect("the engine counts where there is a limit");
    let Guest { step, fuel, .. } = store.data_mut();
    if !step.fuel.take(fuel.saturating_sub(remaining)) {
        step.fatal.exceeded(step.fuel.limit);
        return Err(End::Signal(SIGNAL_KILL));
    }
    // One more than there is: a process that runs out has exceeded the limit, not just reached it.
    let given = step.fuel.left().saturating_add(1);
    *fuel = given;
    store.set_fuel(given).expect("the engine counts where there is a limit");
    Ok(())
}
