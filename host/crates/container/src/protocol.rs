//! What a client and a supervisor say to one another over the container's socket.
//!
//! Frames of a kind (1 byte), a length (4 bytes, little endian) and so many bytes. The client's first frame is its
//! request. The answer is [`Answer::Ready`], [`Answer::Busy`] or [`Answer::Refused`]; who is attached gets output after it, and
//! [`Answer::Ended`] at last. Both ends are the same program, so there are no versions.

use std::io;

use serde::{Deserialize, Serialize};

/// Requests carry environments and arguments; everything else is small.
const MAX_FRAME: usize = 8 << 20;
const HEADER: usize = 5;
/// Most bytes of output or input in one frame.
pub(crate) const PIECE: usize = 32 << 10;

/// What a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To see and to feed the container's process.
    Attach(Attach),
    /// Another process in the container.
    Exec(Exec),
    /// Nothing but to learn whether it started.
    Watch,
    /// To learn how the container ends.
    Wait,
    Signal(i32),
    /// A signal; and SIGKILL when so many seconds have passed, or never.
    Stop {
        signal: i32,
        seconds: Option<u64>,
    },
    Pause,
    Unpause,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Of the client's terminal.
    pub size: Option<WindowSize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    pub argv: Vec<String>,
    /// Over the container's own.
    pub env: Vec<(String, String)>,
    pub cwd: Option<String>,
    pub user: Option<String>,
    pub privileged: bool,
    pub terminal: bool,
    pub stdin: bool,
    /// Nobody sees its output.
    pub detached: bool,
    pub size: Option<WindowSize>,
}

/// Of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// From a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Input(Vec<u8>),
    EndOfInput,
    Resize(WindowSize),
    /// For the process that the client is attached to.
    Signal(i32),
}

/// From the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Something that does not hinder.
    Warning(String),
    Ready,
    /// Somebody else has the container: starts it, runs it, or copies files into it.
    Busy,
    /// `code` is what `run` and `exec` end with.
    Refused {
        message: String,
        code: u8,
    },
    Output(Stream, Vec<u8>),
    /// The exit code of what the client was attached to.
    Ended(i32),
}

/// What can be sent.
pub trait Frame: Sized {
    fn encode(&self, out: &mut Vec<u8>);
    /// `None` if it is none.
    fn decode(kind: u8, payload: &[u8]) -> Option<Self>;
}

fn frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.push(kind);
    let length = u32::try_from(payload.len()).expect("what is sent in one frame is bounded");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(payload);
}

fn number(payload: &[u8]) -> Option<i32> {
    Some(i32::from_le_bytes(payload.try_into().ok()?))
}

impl Frame for Message {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(request) => {
                let json = serde_json::to_vec(request).expect("strings and numbers are always JSON");
                frame(out, b'q', &json);
            }
            Self::Input(bytes) => bytes.chunks(PIECE).for_each(|piece| frame(out, b'i', piece)),
            Self::EndOfInput => frame(out, b'e', &[]),
            Self::Resize(size) => {
                let ([a, b], [c, d]) = (size.rows.to_le_bytes(), size.columns.to_le_bytes());
                frame(out, b'w', &[a, b, c, d]);
            }
            Self::Signal(signal) => frame(out, b's', &signal.to_le_bytes()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        Some(match (kind, payload) {
            (b'q', json) => Self::Request(serde_json::from_slice(json).ok()?),
            (b'i', bytes) => Self::Input(bytes.to_vec()),
            (b'e', _) => Self::EndOfInput,
            (b'w', &[a, b, c, d]) => {
                Self::Resize(WindowSize { rows: u16::from_le_bytes([a, b]), columns: u16::from_le_bytes([c, d]) })
            }
            (b's', payload) => Self::Signal(number(payload)?),
            _ => return None,
        })
    }
}

impl Frame for Answer {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Warning(text) => frame(out, b'm', text.as_bytes()),
            Self::Ready => frame(out, b'r', &[]),
            Self::Busy => frame(out, b'b', &[]),
            Self::Refused { message, code } => frame(out, b'n', &[&[*code], message.as_bytes()].concat()),
            Self::Output(stream, bytes) => {
                let kind = if *stream == Stream::Out { b'1' } else { b'2' };
                bytes.chunks(PIECE).for_each(|piece| frame(out, kind, piece));
            }
            Self::Ended(code) => frame(out, b'x', &code.to_le_bytes()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Option<Self> {
        Some(match kind {
            b'm' => Self::Warning(String::from_utf8_lossy(payload).into_owned()),
            b'r' => Self::Ready,
            b'b' => Self::Busy,
            b'n' => {
                let (code, message) = payload.split_first()?;
                Self::Refused { message: String::from_utf8_lossy(message).into_owned(), code: *code }
            }
            b'1' => Self::Output(Stream::Out, payload.to_vec()),
            b'2' => Self::Output(Stream::Err, payload.to_vec()),
            b'x' => Self::Ended(number(payload)?),
            _ => return None,
        })
    }
}

/// What has arrived and was not taken yet.
#[derive(Debug, Default)]
pub struct Incoming {
    bytes: Vec<u8>,
    /// So many of them were taken.
    taken: usize,
}

impl Incoming {
    pub fn push(&mut self, bytes: &[u8]) {
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        } else if self.taken > PIECE {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if all of it is there.
    ///
    /// # Errors
    /// What is no frame: the other end is not one of ours.
    pub fn take<F: Frame>(&mut self) -> io::Result<Option<F>> {
        let rest = &self.bytes[self.taken..];
        let [kind, a, b, c, d, payload @ ..] = rest else { return Ok(None) };
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no frame of the protocol");
        if length > MAX_FRAME {
            return Err(wrong());
        }
        let Some(payload) = payload.get(..length) else { return Ok(None) };
        let frame = F::decode(*kind, payload).ok_or_else(wrong)?;
        self.taken += HEADER + length;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size() -> WindowSize {
        WindowSize { rows: 24, columns: 300 }
    }

    #[test]
    fn what_is_sent_arrives_however_it_is_cut() {
        let messages = [
            Message::Request(Request::Exec(Exec { argv: vec!["ls".into()], size: Some(size()), ..Exec::default() })),
            Message::Request(Request::Stop { signal: 15, seconds: Some(10) }),
            Message::Input(b"hello".to_vec()),
            Message::EndOfInput,
            Message::Resize(size()),
            Message::Signal(2),
        ];
        let mut bytes = Vec::new();
        messages.iter().for_each(|message| message.encode(&mut bytes));
        for piece in [1, 3, 7, bytes.len()] {
            let mut incoming = Incoming::default();
            let mut arrived = Vec::new();
            for part in bytes.chunks(piece) {
                incoming.push(part);
                while let Some(message) = incoming.take::<Message>().expect("ours") {
                    arrived.push(message);
                }
            }
            assert_eq!(arrived, messages);
        }
    }

    #[test]
    fn answers_come_back() {
        let answers = [
            Answer::Warning("mind".to_owned()),
            Answer::Ready,
            Answer::Busy,
            Answer::Refused { message: "no".to_owned(), code: 125 },
            Answer::Output(Stream::Err, vec![0, 255]),
            Answer::Ended(-1),
        ];
        let mut incoming = Incoming::default();
        for answer in &answers {
            let mut bytes = Vec::new();
            answer.encode(&mut bytes);
            incoming.push(&bytes);
        }
        for answer in answers {
            assert_eq!(incoming.take().expect("ours"), Some(answer));
        }
        assert_eq!(incoming.take::<Answer>().expect("ours"), None);
    }

    #[test]
    fn long_output_is_cut_into_pieces() {
        let mut bytes = Vec::new();
        Answer::Output(Stream::Out, vec![7; PIECE + 1]).encode(&mut bytes);
        assert_eq!(bytes.len(), PIECE + 1 + 2 * HEADER);
    }

    proptest! {
        #[test]
        fn strangers_are_no_danger(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut incoming = Incoming::default();
            incoming.push(&bytes);
            while let Ok(Some(_)) = incoming.take::<Message>() {}
            let mut incoming = Incoming::default();
            incoming.push(&bytes);
            while let Ok(Some(_)) = incoming.take::<Answer>() {}
        }
    }
}
