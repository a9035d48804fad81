//! Containers of several processes, of killed ones, and what does not belong in their folder.
