//! Bounded pipes between processes. Waiting ends when the waiting process is to end.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::guest::{Failure, Stop};
use crate::wasi::errno::Errno;
use crate::wasi::limits::Reservation;

/// How often a waiting process looks whether it is to end.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
    _memory: Reservation,
}

struct State {
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, stop: &Stop) -> Result<MutexGuard<'a, State>, Failure> {
        stop.check()?;
        Ok(self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0)
    }
}

/// The bytes that `memory` is for.
pub(crate) const CAPACITY: usize = 64 << 10;

pub(crate) fn pipe(memory: Reservation) -> (Reader, Writer) {
    let state = Mutex::new(State { bytes: VecDeque::new(), readers: 1, writers: 1 });
    let pipe = Arc::new(Pipe { state, changed: Condvar::new(), _memory: memory });
    (Reader(pipe.clone()), Writer(pipe))
}

pub(crate) struct Reader(Arc<Pipe>);

impl Reader {
    /// At least one byte, or 0 when there is no writer any more.
    pub(crate) fn read(&self, buffer: &mut [u8], wait: bool, stop: &Stop) -> Result<usize, Failure> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.lock();
        while state.bytes.is_empty() {
            if state.writers == 0 {
                return Ok(0);
            }
            if !wait {
                return Err(Errno::Again.into());
            }
            state = self.0.wait(state, stop)?;
        }
        let length = buffer.len().min(state.bytes.len());
        for (to, from) in buffer.iter_mut().zip(state.bytes.drain(..length)) {
            *to = from;
        }
        self.0.changed.notify_all();
        Ok(length)
    }

    /// Bytes that can be read at once; `None` when there is nothing and may be something later.
    pub(crate) fn ready(&self) -> Option<u64> {
        let state = self.0.lock();
        (!state.bytes.is_empty() || state.writers == 0).then_some(state.bytes.len() as u64)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.lock().readers -= 1;
        self.0.changed.notify_all();
    }
}

pub(crate) struct Writer(Arc<Pipe>);

impl Writer {
    /// All of `bytes`; where there is not room for all and `wait` is false, as many as fit.
    pub(crate) fn write(&self, mut bytes: &[u8], wait: bool, stop: &Stop) -> Result<usize, Failure> {
        let mut written = 0;
        let mut state = self.0.lock();
        while !bytes.is_empty() {
            if state.readers == 0 {
                return if written > 0 { Ok(written) } else { Err(Errno::BrokenPipe.into()) };
            }
            let length = bytes.len().min(CAPACITY - state.bytes.len());
            if length > 0 {
                state.bytes.extend(&bytes[..length]);
                bytes = &bytes[length..];
                written += length;
                self.0.changed.notify_all();
            } else if wait {
                state = self.0.wait(state, stop)?;
            } else if written > 0 {
                break;
            } else {
                return Err(Errno::Again.into());
            }
        }
        Ok(written)
    }

    /// Bytes that can be written at once, or `None` when a write would wait.
    pub(crate) fn ready(&self) -> Option<u64> {
        let state = self.0.lock();
        let room = CAPACITY - state.bytes.len();
        (room > 0 || state.readers == 0).then_some(room as u64)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().writers -= 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasi::limits::{Budget, Limit};

    fn new() -> (Reader, Writer) {
        pipe(Reservation::new(&Arc::new(Budget::new(Limit::Memory(1))), 1).expect("there is one"))
    }

    #[test]
    fn everything_arrives_in_order_however_big() {
        let (reader, writer) = new();
        let sent: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || writer.write(&sent, true, &Stop::default()).is_ok());
        let (mut got, mut buffer) = (Vec::new(), [0; 1000]);
        loop {
            match reader.read(&mut buffer, true, &Stop::default()) {
                Ok(0) => break,
                Ok(length) => got.extend_from_slice(&buffer[..length]),
                Err(_) => panic!("nobody stops us"),
            }
        }
        assert!(writing.join().expect("joins"));
        assert_eq!(got, expected);
    }

    #[test]
    fn ends_are_noticed() {
        let (reader, writer) = new();
        let mut buffer = [0; 8];
        assert!(matches!(reader.read(&mut buffer, false, &Stop::default()), Err(Failure::Errno(Errno::Again))));
        drop(writer);
        assert!(matches!(reader.read(&mut buffer, true, &Stop::default()), Ok(0)));
        let (reader, writer) = new();
        drop(reader);
        assert!(matches!(writer.write(b"x", true, &Stop::default()), Err(Failure::Errno(Errno::BrokenPipe))));
    }

    #[test]
    fn a_stopped_process_does_not_wait() {
        let (reader, _writer) = new();
        let stop = Stop::default();
        stop.set(15);
        assert!(matches!(reader.read(&mut [0], true, &stop), Err(Failure::End(_))));
    }
}
