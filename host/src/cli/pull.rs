//! `kiln pull`: its options, and those that it shares with the other commands that ask a registry.

use std::path::PathBuf;

use clap::Args;
use kiln_types::Reference;

use super::PlatformOption;

/// Download an image from a registry
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kiln pull ubuntu                                 docker.io/library/ubuntu:latest
  kiln pull ubuntu:16.04
  kiln pull 127.0.0.1:5000/team/app:1.0            another registry
  kiln pull ubuntu@sha256:26c68657ccce…            exactly this image
  kiln pull -a team/app                            all tags
  kiln pull --platform linux/arm64 alpine          the image for another platform
  kiln pull --registry-mirror http://mirror:5000 alpine

Mirrors, certificates and insecure registries: docs/registries.md")]
pub(crate) struct Pull {
    /// The image
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    pub(crate) name: Reference,

    /// All tags of the repository
    #[arg(short, long)]
    pub(crate) all_tags: bool,

    /// Print only the image's full name
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// The image for this platform [default: linux on this machine's processor, else wasip1/wasm]
    #[arg(long, value_name = "OS/ARCH", conflicts_with = "all_platforms")]
    pub(crate) platform: Option<PlatformOption>,

    /// The images for all platforms
    #[arg(long)]
    pub(crate) all_platforms: bool,

    #[command(flatten)]
    pub(crate) access: Access,
}

/// How a registry is asked.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Access {
    /// The file of credentials [default: $REGISTRY_AUTH_FILE, else config.json in $DOCKER_CONFIG or ~/.docker]
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,

    /// User and password for this registry, instead of those that `kiln login` keeps
    #[arg(long, value_name = "USER:PASSWORD")]
    pub(crate) creds: Option<String>,

    /// Accepted for Docker's sake: there is no content trust
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = clap::value_parser!(bool))]
    pub(crate) disable_content_trust: Option<bool>,
}
