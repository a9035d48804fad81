//! Runs Linux programs in namespaces of their own, over overlayfs.
