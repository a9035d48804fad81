//! `kiln login`: asks who the user is, asks the registry, keeps the answer.

use std::io::{self, IsTerminal, Read, Write};

use kiln_exec::Cancel;
use kiln_registry::{Credential, CredentialFiles, Credentials, KeptIn, Registries};

use super::prompt;
use crate::cli::login::Login;
use crate::cli::pull::Access;
use crate::report::failure::Failure;
use crate::session::{DOCKER_HUB, Session, credential_files, registry_name};

/// No password comes near.
const LONGEST: u64 = 64 << 10;

pub(super) fn run(options: &Login, session: &Session) -> anyhow::Result<()> {
    let registry = registry_name(options.server.as_deref())?;
    let files = credential_files(options.authfile.as_deref())?;
    let cancel = session.interrupts.catch()?;
    let access = Access { authfile: options.authfile.clone(), ..Access::default() };
    let registries = session.registries(&cancel, &access, &registry)?;
    if options.username.is_none()
        && options.password.is_none()
        && !options.password_stdin
        && is_still_good(&registries, &files, &registry)?
    {
        return Ok(());
    }
    let credential = ask(options, &registry, &cancel)?;
    registries.check_login(&registry, &credential).map_err(|error| {
        if !error.is_about_the_user() {
            return anyhow::Error::new(error).context(format!("cannot log in to {registry}"));
        }
        let failure =
            Failure::new(format!("cannot log in to {registry}: unauthorized: incorrect username or password"));
        let failure = if registry == DOCKER_HUB {
            failure.hint("with two-factor authentication, the password is an access token of the account's settings")
        } else {
            failure
        };
        failure.into()
    })?;
    if let KeptIn::File(path) = files.keep(&registry, &credential)? {
        let mut notes = anstream::stderr();
        writeln!(notes, "\nWARNING! Your credentials are stored unencrypted in '{}'.", path.display())?;
        writeln!(notes, "Configure a credential helper to remove this warning: \"credsStore\" in that file\n")?;
    }
    succeeded()
}

fn succeeded() -> anyhow::Result<()> {
    let mut out = super::stdout();
    writeln!(out, "Login Succeeded")?;
    Ok(out.flush()?)
}

/// Whether the user is logged in already.
fn is_still_good(registries: &Registries, files: &CredentialFiles, registry: &str) -> anyhow::Result<bool> {
    let Some(credential) = files.of(registry)? else { return Ok(false) };
    writeln!(anstream::stderr(), "Authenticating with existing credentials... [Username: {}]", credential.user)?;
    match registries.check_login(registry, &credential) {
        Ok(()) => succeeded().map(|()| true),
        Err(error) if error.is_about_the_user() => {
            writeln!(anstream::stderr(), "Login did not succeed: {error}")?;
            Ok(false)
        }
        Err(error) => Err(anyhow::Error::new(error).context(format!("cannot log in to {registry}"))),
    }
}

fn ask(options: &Login, registry: &str, cancel: &Cancel) -> anyhow::Result<Credential> {
    if options.password.is_some() {
        writeln!(anstream::stderr(), "WARNING! Using --password via the CLI is insecure. Use --password-stdin.")?;
    }
    if options.password_stdin && options.username.is_none() {
        return Err(Failure::new("Must provide --username with --password-stdin").into());
    }
    let missing = options.username.is_none() || (options.password.is_none() && !options.password_stdin);
    if missing && !io::stdin().is_terminal() {
        return Err(Failure::new("Cannot perform an interactive login from a non TTY device")
            .hint(format!("give both: kiln login -u NAME --password-stdin {registry} < FILE"))
            .into());
    }
    let user = match &options.username {
        Some(user) => user.trim().to_owned(),
        None => prompt::visible("Username: ", cancel)?.trim().to_owned(),
    };
    if user.is_empty() {
        return Err(Failure::new("username is empty").into());
    }
    let password = match (&options.password, options.password_stdin) {
        (Some(password), _) => password.clone(),
        (None, true) => {
            let mut text = String::new();
            io::stdin().take(LONGEST).read_to_string(&mut text)?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        (None, false) => prompt::hidden("Password: ", cancel)?,
    };
    if password.is_empty() {
        return Err(Failure::new("password is empty").into());
    }
    Ok(Credential::password(user, password))
}
