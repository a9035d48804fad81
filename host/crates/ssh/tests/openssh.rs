//! Keys of every kind that OpenSSH makes, listed and signed with through a socket, as `ssh-add` and `ssh-keygen` see it.
#![cfg(unix)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use kiln_ssh::{Error, Key, Keys};

/// Makes a key; nothing if OpenSSH is not there.
fn make(directory: &Path, name: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let path = directory.join(name);
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-C", "who@where", "-f"]).arg(&path).args(arguments).stdin(Stdio::null());
    match command.status() {
        Ok(status) => assert!(status.success(), "{name}"),
        Err(error) => {
            assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none_or(|require| require != "1"), "ssh-keygen: {error}");
            return None;
        }
    }
    Some(fs::read(path).expect("a key"))
}

fn serve(mut stream: UnixStream, keys: &Keys) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request)?;
        let answer = keys.answer(&request);
        stream.write_all(&u32::try_from(answer.len()).expect("short").to_be_bytes())?;
        stream.write_all(&answer)?;
    }
}

#[test]
fn openssh_lists_the_keys_and_verifies_what_they_sign() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let kinds: [(&str, &[&str]); 8] = [
        ("ed25519", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        ("p256-sec1", &["-t", "ecdsa", "-b", "256", "-m", "PEM"]),
        ("rsa-pkcs1", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("p384-pkcs8", &["-t", "ecdsa", "-b", "384", "-m", "PKCS8"]),
        ("rsa-pkcs8", &["-t", "rsa", "-b", "3072", "-m", "PKCS8"]),
    ];
    let mut keys = Vec::new();
    let mut public = Vec::new();
    for (name, arguments) in kinds {
        let Some(file) = make(directory, name, &[arguments, &["-N", ""]].concat()) else { return };
        keys.push(Key::parse(&file).unwrap_or_else(|error| panic!("{name}: {error}")));
        let line = fs::read_to_string(directory.join(format!("{name}.pub"))).expect("a public key");
        public.push(line.trim_end().trim_end_matches("who@where").trim_end().to_owned());
        // Signing is to ask the agent.
        fs::remove_file(directory.join(name)).expect("removed");
    }
    let socket = directory.join("agent");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let keys = Keys::new(keys);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = serve(stream.expect("a connection"), &keys);
        }
    });
    let listed = Command::new("ssh-add").arg("-L").env("SSH_AUTH_SOCK", &socket).output().expect("ssh-add");
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert_eq!(listed.lines().map(str::trim_end).collect::<Vec<_>>(), public);
    for ((name, _), public) in kinds.iter().zip(&public) {
        let message = directory.join("message");
        fs::write(&message, name).expect("written");
        let key = directory.join(format!("{name}.pub"));
        let mut sign = Command::new("ssh-keygen");
        sign.args(["-q", "-Y", "sign", "-n", "test", "-f"]).arg(&key).arg(&message).env("SSH_AUTH_SOCK", &socket);
        assert!(sign.status().expect("ssh-keygen").success(), "{name}");
        let allowed = directory.join("allowed");
        fs::write(&allowed, format!("me {public}\n")).expect("written");
        let mut verify = Command::new("ssh-keygen");
        verify.args(["-q", "-Y", "verify", "-n", "test", "-I", "me", "-f"]).arg(&allowed).arg("-s");
        verify.arg(directory.join("message.sig")).stdin(fs::File::open(&message).expect("there"));
        assert!(verify.status().expect("ssh-keygen").success(), "{name}");
        fs::remove_file(directory.join("message.sig")).expect("removed");
    }
}

#[test]
fn what_cannot_be_used_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    for (name, arguments) in [
        ("openssh", &["-t", "ed25519"][..]),
        ("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("pkcs8", &["-t", "ecdsa", "-b", "256", "-m", "PKCS8"]),
    ] {
        let Some(file) = make(directory, name, &[arguments, &["-N", "correct horse"]].concat()) else { return };
        assert_eq!(Key::parse(&file).err(), Some(Error::Passphrase), "{name}");
    }
    for (name, arguments) in [
        ("p521", &["-t", "ecdsa", "-b", "521"][..]),
        ("p521-pem", &["-t", "ecdsa", "-b", "521", "-m", "PEM"]),
        ("short", &["-t", "rsa", "-b", "1024"]),
    ] {
        let Some(file) = make(directory, name, &[arguments, &["-N", ""]].concat()) else { return };
        assert!(matches!(Key::parse(&file).err(), Some(Error::Unknown(_))), "{name}");
    }
    let Some(file) = make(directory, "public", &["-t", "ed25519", "-N", ""]) else { return };
    let public = fs::read(directory.join("public.pub")).expect("a public key");
    assert_eq!(Key::parse(&public).err(), Some(Error::NoKey));
    // Damage anywhere is an error and no panic, or harmless.
    for at in 0..file.len() - 1 {
        let mut damaged = file.clone();
        damaged[at] = if damaged[at] == b'B' { b'C' } else { b'B' };
        let _ = Key::parse(&damaged);
        let _ = Key::parse(&file[..at]).err().expect("cut off");
    }
}
