//! `kiln rmi`: its options.

use clap::Args;

/// Remove images
///
/// A name is taken away from its image; an image that has no name left is deleted, with the images of its steps that
/// nothing else needs. With a name of several platforms go the images of all of them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln rmi team/app:1.0
  kiln rmi busybox@sha256:5be7104a4306…
  kiln rmi -f 9a67ab280ca4         also when it has several names
  kiln rmi -f $(kiln images -q)    all")]
pub(crate) struct Rmi {
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<String>,

    /// Remove all names of an image given by id, one that only stopped containers have, the name of one that is running,
    /// and do not mind images that do not exist
    #[arg(short, long)]
    pub(crate) force: bool,

    /// Keep the nameless images that it was built from
    #[arg(long)]
    pub(crate) no_prune: bool,
}
