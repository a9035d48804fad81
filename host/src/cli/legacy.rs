//! Options of other builders that `kiln build` takes and that change nothing here. None is passed over in silence.

use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Accepted for the sake of Docker, without effect")]
pub(crate) struct Legacy {
    /// Intermediate containers are always removed
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = ["true"])]
    #[arg(hide_possible_values = true, value_name = "true")]
    rm: Option<String>,

    /// Intermediate containers are always removed, also when the build fails
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = ["true"])]
    #[arg(hide_possible_values = true, value_name = "true")]
    force_rm: Option<String>,

    /// Contexts are not sent anywhere
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    compress: Option<String>,

    /// Images always go into kiln's store
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    load: Option<String>,

    /// There is one builder
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,

    /// --executor is what chooses how steps are kept apart
    #[arg(long, value_name = "NAME")]
    isolation: Option<String>,

    /// Steps are confined in kiln's own way
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,

    /// The cache is that of the store
    #[arg(long, value_name = "CACHE")]
    cache_from: Vec<String>,

    /// The cache is that of the store
    #[arg(long, value_name = "CACHE")]
    cache_to: Vec<String>,

    /// No attestations are made
    #[arg(long, value_name = "KIND")]
    attest: Vec<String>,

    /// No attestations are made
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "VALUE")]
    provenance: Option<String>,

    /// No attestations are made
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "VALUE")]
    sbom: Option<String>,

    /// Limits of Linux programs are not set; for WASI steps see --limit
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,

    /// As --memory
    #[arg(long, value_name = "BYTES")]
    memory_swap: Option<String>,

    /// As --memory
    #[arg(short, long, value_name = "SHARES")]
    cpu_shares: Option<String>,

    /// As --memory
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<String>,

    /// As --memory
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_quota: Option<String>,

    /// As --memory
    #[arg(long, value_name = "CPUS")]
    cpuset_cpus: Option<String>,

    /// As --memory
    #[arg(long, value_name = "NODES")]
    cpuset_mems: Option<String>,

    /// As --memory
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,

    /// As --memory
    #[arg(long, value_name = "LIMIT")]
    ulimit: Vec<String>,

    /// As --memory
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
}

impl Legacy {
    /// A sentence for each option given that somebody may rely on. What asks for what is so anyway is none.
    pub(crate) fn idle(&self) -> Vec<String> {
        let is_off = |value: &Option<String>| value.as_deref().is_some_and(|value| value == "false");
        let limits = "limits of Linux programs are not set; for WASI steps use --limit";
        let attestations = "kiln makes no attestations";
        let cache = "the cache is that of the store";
        let all = [
            ("--load=false", is_off(&self.load), "images always go into the store"),
            ("--builder", self.builder.as_deref().is_some_and(|name| name != "default"), "there is one builder"),
            (
                "--isolation",
                self.isolation.as_deref().is_some_and(|name| name != "default"),
                "use --executor to choose how steps are kept apart",
            ),
            ("--security-opt", !self.security_opt.is_empty(), "steps are confined in kiln's own way"),
            ("--cache-from", !self.cache_from.is_empty(), cache),
            ("--cache-to", !self.cache_to.is_empty(), cache),
            ("--attest", !self.attest.is_empty(), attestations),
            ("--provenance", self.provenance.is_some() && !is_off(&self.provenance), attestations),
            ("--sbom", self.sbom.is_some() && !is_off(&self.sbom), attestations),
            ("--memory", self.memory.is_some(), limits),
            ("--memory-swap", self.memory_swap.is_some(), limits),
            ("--cpu-shares", self.cpu_shares.is_some(), limits),
            ("--cpu-period", self.cpu_period.is_some(), limits),
            ("--cpu-quota", self.cpu_quota.is_some(), limits),
            ("--cpuset-cpus", self.cpuset_cpus.is_some(), limits),
            ("--cpuset-mems", self.cpuset_mems.is_some(), limits),
            ("--shm-size", self.shm_size.is_some(), limits),
            ("--ulimit", !self.ulimit.is_empty(), limits),
            ("--cgroup-parent", self.cgroup_parent.is_some(), limits),
        ];
        let given = all.into_iter().filter(|(_, given, _)| *given);
        given.map(|(option, _, why)| format!("{option} has no effect: {why}")).collect()
    }
}
