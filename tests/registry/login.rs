//! Registries that want to know who asks: basic authentication and tokens.

use std::io::Write as _;
use std::process::Stdio;

use crate::registry::{Options, PASSWORD, Registry, USER};
use crate::token_server::TokenServer;
use crate::user::{User, both};
use crate::with;

/// Before a login nothing works, after it everything, and a logout ends that.
fn logs_in_and_out(registry: &Registry) {
    let user = User::new();
    let (host, name) = (registry.host(), format!("{}/app:1", registry.host()));
    user.image(&name, &[b"one"]);
    let login = format!("kiln login {host}");
    for command in ["push", "pull"] {
        let reason = user.fails(&[command, &name]);
        assert!(reason.contains(&login), "the remedy is told: {reason}");
    }
    let wrong = user.fails(&["login", "-u", USER, "-p", "wrong", &host]);
    assert!(wrong.contains("incorrect username or password"), "{wrong}");
    assert!(!user.home().join(".docker/config.json").exists());

    let mut command = user.command(&["login", "--username", USER, "--password-stdin", &host]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kiln");
    let mut input = child.stdin.take().expect("it was asked for");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("kiln reads");
    drop(input);
    let output = child.wait_with_output().expect("kiln ends");
    assert!(both(&output).contains("Login Succeeded"), "{}", both(&output));

    user.kiln(&["push", &name]);
    user.kiln(&["rmi", &name]);
    user.kiln(&["pull", &name]);
    // Other programs find it where Docker keeps it.
    let kept = std::fs::read_to_string(user.home().join(".docker/config.json")).expect("it was kept");
    assert!(kept.contains(&host) && !kept.contains(PASSWORD), "{kept}");
    let variables = user.home().join(".docker/config.json").display().to_string();
    let target = format!("docker://{name}");
    user.run("skopeo", &["inspect", "--tls-verify=false", "--authfile", &variables, &target]);

    let text = user.kiln(&["logout", &host]);
    assert!(text.contains(&format!("Removing login credentials for {host}")), "{text}");
    assert!(user.fails(&["pull", &name]).contains(&login));
}

#[test]
fn basic_authentication() {
    let Some(registry) = with(&Options { login: true, ..Options::default() }) else { return };
    logs_in_and_out(&registry);
}

#[test]
fn tokens() {
    let tokens = TokenServer::start();
    let Some(registry) = with(&Options { token: Some(tokens.token()), ..Options::default() }) else { return };
    logs_in_and_out(&registry);
    assert!(tokens.scopes().iter().any(|scope| scope.starts_with("repository:app:pull,push")), "{:?}", tokens.scopes());
}

#[test]
fn what_is_public_needs_no_login() {
    let tokens = TokenServer::start();
    let Some(registry) = with(&Options { token: Some(tokens.token()), ..Options::default() }) else { return };
    let (author, stranger) = (User::new(), User::new());
    let name = format!("{}/public/app:1", registry.host());
    author.image(&name, &[b"one"]);
    author.kiln(&["login", "-u", USER, "-p", PASSWORD, &registry.host()]);
    author.kiln(&["push", &name]);
    stranger.kiln(&["pull", &name]);
    assert_eq!(stranger.id(&name), author.id(&name));
    let reason = stranger.fails(&["push", &name]);
    assert!(reason.contains("kiln login"), "{reason}");
}

/// A layer of a repository that may be read is mounted with a token that opens both.
#[test]
fn mounting_with_tokens() {
    let tokens = TokenServer::start();
    let Some(registry) = with(&Options { token: Some(tokens.token()), ..Options::default() }) else { return };
    let author = User::new();
    let (from, to) = (format!("{}/one/app:1", registry.host()), format!("{}/two/app:1", registry.host()));
    author.image(&from, &[b"one"]);
    author.kiln(&["login", "-u", USER, "-p", PASSWORD, &registry.host()]);
    author.kiln(&["push", &from]);
    author.kiln(&["tag", &from, &to]);
    let pushed = author.kiln(&["push", &to]);
    assert!(pushed.contains(": Mounted from one/app\n"), "{pushed}");
}

/// A credential helper as Docker's: a program that is asked.
#[test]
fn credential_helpers() {
    let Some(registry) = with(&Options { login: true, ..Options::default() }) else { return };
    let user = User::new();
    let program = user.write(
        "bin/docker-credential-test",
        format!("#!/bin/sh\ncat >> asked\nprintf '{{\"Username\":\"{USER}\",\"Secret\":\"{PASSWORD}\"}}'\n").as_bytes(),
    );
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let helpers = format!("{{\"credHelpers\":{{\"{}\":\"test\"}}}}", registry.host());
    user.write(".docker/config.json", helpers.as_bytes());
    let path = format!("{}:{}", program.parent().expect("bin").display(), std::env::var("PATH").unwrap_or_default());
    let user = user.with_variable("PATH", path);
    let name = format!("{}/app:1", registry.host());
    user.image(&name, &[b"one"]);
    user.kiln(&["push", &name]);
    let asked = std::fs::read_to_string(user.home().join("asked")).expect("the helper was asked");
    assert!(asked.lines().all(|line| line == registry.host()), "{asked}");
}
