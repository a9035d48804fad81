//! From an image's configuration and the options to what a container is to be, by Docker's rules.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use kiln_container::{
    ExecutorKind, MountPoint, MountSource, NetworkMode, Resources, RestartPolicy, Spec, Ulimit, devices, mounts, ports,
    security, signal, size, sysctl,
};
use kiln_image::config::Empty;
use kiln_image::{Config, Healthcheck};

use super::security_option;
use crate::cli::run::Options;
use crate::commands::arguments;
use crate::report::failure::Failure;

/// What was asked for, before the image was looked at.
pub(super) struct Described {
    pub(super) spec: Spec,
    /// Directories of the host that `-v` makes where they are missing.
    pub(super) sources: Vec<PathBuf>,
}

/// `detached`: nobody will be connected. The hostname is still empty if none was asked for.
pub(super) fn describe(
    options: &Options,
    detached: bool,
    image: &Config,
    directory: &Path,
) -> anyhow::Result<Described> {
    let (mounts, sources) = all_mounts(options, directory)?;
    let attached = |stream: &str| match options.attach.is_empty() {
        true => !detached,
        false => options.attach.iter().any(|wanted| wanted.eq_ignore_ascii_case(stream)),
    };
    let ports = options.publish.iter().map(|text| ports::parse_publish(text)).collect::<Result<Vec<_>, _>>()?;
    let security_opt: Vec<String> =
        options.security_opt.iter().map(|option| security_option::read(option)).collect::<anyhow::Result<_>>()?;
    security::parse(&security_opt)?;
    let config = config(options, image, &ports)?;
    let spec = Spec {
        image: options.image().to_owned(),
        // Decided when it is known what is run.
        executor: ExecutorKind::Namespace,
        config,
        hostname: options.hostname.clone().unwrap_or_default(),
        terminal: options.tty,
        open_stdin: options.interactive,
        stdin_once: options.interactive && attached("stdin"),
        auto_remove: options.rm,
        network: network(&options.network)?,
        ports: ports.concat(),
        publish_all: options.publish_all,
        mounts,
        read_only: options.read_only,
        privileged: options.privileged,
        init: options.init,
        cap_add: options.cap_add.clone(),
        cap_drop: options.cap_drop.clone(),
        security_opt,
        resources: resources(options)?,
        shm_size: options.shm_size.as_deref().map(size::parse).transpose()?,
        ulimits: options.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
        stop_timeout: options.stop_timeout,
        extra_hosts: options.add_host.iter().map(|text| extra_host(text)).collect::<Result<_, _>>()?,
        dns: options.dns.clone(),
        group_add: options.group_add.clone(),
        limits: options.limits.clone(),
        log: kiln_container::parse_log(options.log_driver.as_deref(), &options.log_opt)?,
        restart: options.restart,
        devices: options.device.iter().map(|text| devices::parse(text)).collect::<Result<_, _>>()?,
        sysctls: options.sysctl.iter().map(|text| sysctl::parse(text)).collect::<Result<_, _>>()?,
        volumes_from: options.volumes_from.clone(),
    };
    if spec.auto_remove && spec.restart != RestartPolicy::No {
        let failure = Failure::new("conflicting options: cannot specify both --restart and --rm");
        return Err(failure.hint("a container that is removed when it ends is not started again").into());
    }
    spec.sysctls.keys().try_for_each(|name| sysctl::check(name, spec.network))?;
    if spec.argv().is_empty() {
        let failure = Failure::new("the image does not say what to run").hint("name a command after the image");
        return Err(failure.into());
    }
    Ok(Described { spec, sources })
}

fn config(options: &Options, image: &Config, ports: &[Vec<kiln_container::PortMapping>]) -> anyhow::Result<Config> {
    let mut config = image.clone();
    config.on_build = None;
    if let Some(program) = &options.entrypoint {
        // It stands for both.
        config.entrypoint = (!program.is_empty()).then(|| vec![program.clone()]);
        config.cmd = None;
    }
    if !options.arguments().is_empty() {
        config.cmd = Some(options.arguments().to_vec());
    }
    let mut env = arguments::read_files(&options.env_file)?;
    env.extend(arguments::read(&options.env)?);
    config.env = Some(with_variables(config.env.unwrap_or_default(), env));
    if let Some(user) = &options.user {
        config.user.clone_from(user);
    }
    config.working_dir = directory(options.workdir.as_deref(), &config.working_dir)?;
    for text in options.expose.iter() {
        config.exposed_ports.extend(ports::parse_expose(text)?.into_iter().map(|port| (port, Empty {})));
    }
    for mapping in ports.concat() {
        config.exposed_ports.insert(format!("{}/{}", mapping.container, mapping.protocol), Empty {});
    }
    let mut labels = arguments::read_files(&options.label_file)?;
    for text in &options.label {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        labels.push((key.to_owned(), value.to_owned()));
    }
    config.labels.extend(labels.into_iter().collect::<BTreeMap<_, _>>());
    if let Some(signal) = &options.stop_signal {
        signal::parse(signal)?;
        config.stop_signal = Some(signal.clone());
    }
    config.healthcheck = healthcheck(options, config.healthcheck);
    Ok(config)
}

/// Over the image's variables those of the options, each in its place.
fn with_variables(mut env: Vec<String>, options: Vec<(String, String)>) -> Vec<String> {
    for (name, value) in options {
        let line = format!("{name}={value}");
        let same = |other: &String| other.split_once('=').is_some_and(|(other, _)| other == name);
        match env.iter_mut().find(|other| same(other)) {
            Some(old) => *old = line,
            None => env.push(line),
        }
    }
    env
}

fn directory(option: Option<&str>, image: &str) -> Result<String, Failure> {
    match option {
        Some(path) if path.starts_with('/') => Ok(path.to_owned()),
        Some(path) => {
            Err(Failure::new(format!("the working directory {path} is not absolute")).hint("begin it with `/`"))
        }
        None => Ok(image.to_owned()),
    }
}

fn healthcheck(options: &Options, image: Option<Healthcheck>) -> Option<Healthcheck> {
    if options.no_healthcheck {
        return Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() });
    }
    let mut check = image.unwrap_or_default();
    if let Some(command) = &options.health_cmd {
        check.test = vec!["CMD-SHELL".to_owned(), command.clone()];
    }
    for (option, field) in [
        (options.health_interval, &mut check.interval),
        (options.health_timeout, &mut check.timeout),
        (options.health_start_period, &mut check.start_period),
        (options.health_start_interval, &mut check.start_interval),
        (options.health_retries, &mut check.retries),
    ] {
        if let Some(value) = option {
            *field = value;
        }
    }
    (check != Healthcheck::default()).then_some(check)
}

fn network(text: &str) -> Result<NetworkMode, Failure> {
    match text {
        "private" | "bridge" | "default" => Ok(NetworkMode::Private),
        "host" => Ok(NetworkMode::Host),
        "none" => Ok(NetworkMode::None),
        _ => Err(Failure::new(format!("there is no network `{text}`")).hint(
            "kiln has private (Docker's bridge), host and none; containers reach one another by published ports",
        )),
    }
}

fn resources(options: &Options) -> anyhow::Result<Resources> {
    let memory = options.memory.as_deref().map(size::parse).transpose()?;
    let memory_swap = match options.memory_swap.as_deref() {
        Some("-1") => Some(-1),
        text => text.map(size::parse).transpose()?.map(|bytes| i64::try_from(bytes).unwrap_or(-1)),
    };
    if memory.is_some_and(|memory| memory < 6 << 20) {
        return Err(Failure::new("--memory is below 6 MiB").hint("no program starts with less").into());
    }
    if let (Some(memory), Some(swap @ 1..)) = (memory, memory_swap)
        && swap.unsigned_abs() < memory
    {
        return Err(Failure::new("--memory-swap is less than --memory").hint("it counts both together").into());
    }
    let cpus = options.cpus.as_deref().map(|text| {
        let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && *number < 1e6);
        let wrong = || Failure::new(format!("`{text}` is no number of processors")).hint("write for example 1.5");
        number.map(|number| (number * 1e9) as u64).ok_or_else(wrong)
    });
    Ok(Resources {
        memory,
        memory_swap,
        nano_cpus: cpus.transpose()?,
        cpu_shares: options.cpu_shares,
        pids: options.pids_limit,
    })
}

/// `NAME=SOFT[:HARD]`
fn ulimit(text: &str) -> Result<Ulimit, Failure> {
    let parsed = || {
        let (name, values) = text.split_once('=')?;
        let value = |text: &str| if text == "unlimited" { Some(-1) } else { text.parse::<i64>().ok() };
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (value(soft)?, value(hard)?);
        let fits = hard == -1 || (soft != -1 && soft <= hard);
        (soft >= -1 && hard >= -1 && fits).then(|| Ulimit { name: name.to_owned(), soft, hard })
    };
    parsed().ok_or_else(|| {
        Failure::new(format!("`{text}` is no limit")).hint("write NAME=SOFT[:HARD], as nofile=1024:4096; -1 is none")
    })
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`.
fn extra_host(text: &str) -> Result<(String, IpAddr), Failure> {
    let parsed = || {
        let (name, address) = text.split_once(['=', ':'])?;
        let address = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        let plain = !name.is_empty() && !name.contains(char::is_whitespace);
        Some((name.to_owned(), address.parse().ok().filter(|_| plain)?))
    };
    parsed().ok_or_else(|| Failure::new(format!("`{text}` is no line for /etc/hosts")).hint("write NAME:ADDRESS"))
}

fn all_mounts(options: &Options, directory: &Path) -> anyhow::Result<(Vec<MountPoint>, Vec<PathBuf>)> {
    let volumes = options.volume.iter().map(|text| mounts::parse_volume(text, directory));
    let wanted = volumes.chain(options.mount.iter().map(|text| mounts::parse_mount(text, directory)));
    let (mut all, mut sources): (Vec<MountPoint>, Vec<PathBuf>) = (Vec::new(), Vec::new());
    for wanted in wanted {
        let wanted = wanted?;
        if let MountSource::Bind { source } = &wanted.mount.source {
            if wanted.make_source {
                sources.push(source.clone());
            } else if !source.exists() {
                let message = format!("the source of the mount does not exist: {}", source.display());
                return Err(Failure::new(message).hint("make it, or use -v, which does").into());
            }
        }
        all.push(wanted.mount);
    }
    for text in &options.tmpfs {
        all.push(mounts::parse_tmpfs(text)?);
    }
    for (at, mount) in all.iter().enumerate() {
        let same =
            |other: &MountPoint| kiln_types::paths::clean(&other.target) == kiln_types::paths::clean(&mount.target);
        if all[..at].iter().any(same) {
            return Err(Failure::new(format!("there are two mounts at {}", mount.target)).into());
        }
    }
    Ok((all, sources))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn described(line: &str, image: &Config) -> anyhow::Result<Spec> {
        let line = <Line as clap::Parser>::try_parse_from(["run"].into_iter().chain(line.split_whitespace()))?;
        Ok(describe(&line.options, false, image, Path::new("/here"))?.spec)
    }

    fn words(text: &str) -> Option<Vec<String>> {
        (!text.is_empty()).then(|| text.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn entrypoint_and_cmd_are_put_together_as_docker_does() {
        for (line, entrypoint, cmd, expected) in [
            ("img", "", "/hello", "/hello"),
            ("img", "echo", "a b", "echo a b"),
            ("img c", "echo", "a b", "echo c"),
            ("img cat x", "", "/bin/bash", "cat x"),
            ("img -i", "echo -s", "", "echo -s -i"),
            ("--entrypoint ls img", "echo", "a b", "ls"),
            ("--entrypoint ls img -l", "echo", "a b", "ls -l"),
            ("--entrypoint= img ls", "echo", "a b", "ls"),
        ] {
            let image = Config { entrypoint: words(entrypoint), cmd: words(cmd), ..Config::default() };
            assert_eq!(described(line, &image).expect(line).argv().join(" "), expected, "{line}");
        }
        described("img", &Config::default()).expect_err("nothing to run");
    }

    #[test]
    fn options_win_over_the_image() {
        let image = Config {
            cmd: words("true"),
            env: words("PATH=/bin A=1 B=2 broken"),
            working_dir: "/a".to_owned(),
            user: "app".to_owned(),
            ..Config::default()
        };
        let spec = described("-e B=3 -e C= -w /b -u root -l x=y -l z --stop-signal INT img", &image).expect("valid");
        assert_eq!(spec.env(), ["PATH=/bin", "A=1", "B=3", "broken", "C="]);
        assert_eq!((spec.config.working_dir.as_str(), spec.config.user.as_str()), ("/b", "root"));
        assert_eq!(spec.labels().get("z").map(String::as_str), Some(""));
        assert_eq!(described("img", &image).expect("valid").config.working_dir, "/a");
    }

    #[test]
    fn ports_limits_and_hosts() {
        let image = Config { cmd: words("true"), ..Config::default() };
        let line = "-p 8080:80 --expose 53/udp --ulimit nofile=1024:4096 --ulimit core=-1 --cpus 1.5 -m 64m \
                    --memory-swap -1 --add-host db:10.0.0.1 --add-host six=[::1] --network bridge -h box img";
        let spec = described(line, &image).expect("valid");
        assert_eq!(spec.config.exposed_ports.keys().cloned().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!((spec.ulimits[0].soft, spec.ulimits[0].hard, spec.ulimits[1].hard), (1024, 4096, -1));
        let Resources { memory, memory_swap, nano_cpus, .. } = spec.resources;
        assert_eq!((memory, memory_swap, nano_cpus), (Some(64 << 20), Some(-1), Some(1_500_000_000)));
        assert_eq!(spec.extra_hosts[1], ("six".to_owned(), "::1".parse().expect("an address")));
        assert_eq!((spec.network, spec.hostname.as_str()), (NetworkMode::Private, "box"));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let image = Config { cmd: words("true"), ..Config::default() };
        for line in [
            "-w b img",
            "-p x img",
            "-v a:b img",
            "--network other img",
            "--cpus 0 img",
            "--ulimit nofile img",
            "--ulimit nofile=5:4 img",
            "--add-host x img",
            "-m 1k img",
            "-m 64m --memory-swap 32m img",
            "--security-opt x=y img",
            "--stop-signal NONE img",
            "-v /a:/x -v /b:/x/ img",
            "--restart sometimes img",
            "--restart always --rm img",
            "--log-driver syslog img",
            "--log-opt max-file=2 img",
            "--device /dev/null:r img",
            "--sysctl kernel.hostname=x img",
            "--sysctl net.core.somaxconn=1 --network host img",
            "--tmpfs /x:suid img",
            "--mount type=bind,src=/does/not/exist,dst=/x img",
        ] {
            described(line, &image).expect_err(line);
        }
    }

    #[test]
    fn healthchecks_are_merged() {
        let check = Healthcheck { test: vec!["CMD".into(), "true".into()], interval: 5, ..Healthcheck::default() };
        let image = Config { cmd: words("true"), healthcheck: Some(check), ..Config::default() };
        let of = |line| described(line, &image).expect("valid").config.healthcheck.expect("one");
        assert_eq!(of("--health-retries 7 img").retries, 7);
        assert_eq!(of("--health-cmd false --health-interval 2s img").interval, 2_000_000_000);
        assert_eq!(of("--no-healthcheck img").test, ["NONE"]);
    }
}
