//! Pushes: what is there is not sent, what breaks off is gone on with, and the tag comes last.
