//! Several blobs at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{Error, Result};

/// Tells those that are still at work that one of them has failed.
#[derive(Default)]
pub(crate) struct Failed(AtomicBool);

impl Failed {
    /// # Errors
    /// `Cancelled`, which is nobody's reason to fail.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(kiln_fetch::Error::Cancelled.into()) } else { Ok(()) }
    }
}

/// Does all jobs, in their order, up to `width` at the same time. Answers what each gave, or what the first that failed
/// met with.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    width: usize,
    jobs: &[T],
    work: impl Fn(&T, &Failed) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (next, failed, failure) = (AtomicUsize::new(0), Failed::default(), Mutex::new(None));
    let done: Vec<Mutex<Option<R>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let worker = || {
        while failed.check().is_ok()
            && let at = next.fetch_add(1, Ordering::Relaxed)
            && let Some(job) = jobs.get(at)
        {
            match work(job, &failed) {
                Ok(result) => *done[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result),
                // The others fail for this one's sake.
                Err(error) if !failed.0.swap(true, Ordering::Relaxed) => {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
                Err(_) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        let others = width.min(jobs.len()).saturating_sub(1);
        (0..others).for_each(|_| drop(scope.spawn(worker)));
        worker();
    });
    let failure: Option<Error> = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(error) => Err(error),
        None => {
            Ok(done.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_or_the_first_failure_ends_it() {
        let jobs: Vec<usize> = (0..100).collect();
        let sum = AtomicUsize::new(0);
        let doubled = in_parallel(4, &jobs, |job, _| {
            sum.fetch_add(*job, Ordering::Relaxed);
            Ok(job * 2)
        });
        assert_eq!(doubled.expect("nothing fails"), jobs.iter().map(|job| job * 2).collect::<Vec<_>>());
        assert_eq!(sum.into_inner(), 4950);
        let done = AtomicUsize::new(0);
        let result = in_parallel(4, &jobs, |job, failed| {
            if *job == 3 {
                return Err(Error::NoSuchName { name: "three".to_owned() });
            }
            while *job < 3 && failed.check().is_ok() {
                std::thread::yield_now();
            }
            failed.check()?;
            done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        assert!(matches!(result, Err(Error::NoSuchName { .. })), "{result:?}");
        assert!(done.into_inner() < 100);
        assert!(in_parallel(4, &[] as &[u8], |_, _| Ok(())).expect("nothing to do").is_empty());
    }
}
