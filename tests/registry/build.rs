//! Builds and runs that need an image which is not here: it is pulled.

use std::fs;

use crate::plain;
use crate::user::User;

/// A context whose Dockerfile copies a file on top of that base.
fn context(base: &str) -> tempfile::TempDir {
    let context = tempfile::tempdir().expect("a temporary directory");
    fs::write(context.path().join("Dockerfile"), format!("FROM {base}\nCOPY Dockerfile /\n")).expect("ours");
    context
}

#[test]
fn a_missing_base_is_pulled_and_a_newer_one_if_wanted() {
    let Some(registry) = plain() else { return };
    let (author, user) = (User::new(), User::new());
    let base = format!("{}/base:1", registry.host());
    let publish = |content: &[u8]| {
        author.image(&base, &[content]);
        author.kiln(&["push", &base]);
        author.id(&base)
    };
    let first = publish(b"first");
    let context = context(&base);
    let path = context.path().to_str().expect("UTF-8");
    let layers = |options: &[&str]| {
        user.kiln(&[&["build", "-t", "app"], options, &[path]].concat());
        user.inspect("app")["RootFS"]["Layers"].as_array().expect("a list").clone()
    };
    let built = layers(&[]);
    assert_eq!(user.id(&base), first);
    assert_eq!(built.len(), 2);

    let second = publish(b"second");
    assert_eq!(layers(&[]), built, "what is here is used");
    assert_eq!(user.id(&base), first);
    registry.forget();
    let newer = layers(&["--pull"]);
    assert_eq!(user.id(&base), second);
    assert_ne!(newer[0], built[0]);
    assert_eq!(newer[1], built[1]);
    // If it is the newest that is here, nothing but its digest is asked for.
    registry.forget();
    assert_eq!(layers(&["--pull"]), newer);
    assert!(registry.requests().iter().all(|request| !request.path.contains("/blobs/")), "{:?}", registry.requests());
}

#[test]
fn copies_from_images_that_are_elsewhere() {
    let Some(registry) = plain() else { return };
    let (author, user) = (User::new(), User::new());
    let source = format!("{}/source:1", registry.host());
    author.image(&source, &[b"content"]);
    author.kiln(&["push", &source]);
    let context = tempfile::tempdir().expect("a temporary directory");
    fs::write(context.path().join("Dockerfile"), format!("FROM scratch\nCOPY --from={source} /file0 /\n"))
        .expect("ours");
    user.kiln(&["build", "-t", "app", context.path().to_str().expect("UTF-8")]);
    assert!(user.has("app"));
}

#[test]
fn a_base_that_cannot_be_had_fails_the_build_at_its_line() {
    let Some(registry) = plain() else { return };
    let user = User::new();
    let base = format!("{}/nothing:1", registry.host());
    let context = context(&base);
    let reason = user.fails(&["build", context.path().to_str().expect("UTF-8")]);
    assert!(reason.contains(&base) && reason.contains("not found") && reason.contains("Dockerfile:1"), "{reason}");
}

#[test]
fn a_build_is_pushed() {
    let Some(registry) = plain() else { return };
    let (author, reader) = (User::new(), User::new());
    let name = format!("{}/app:1", registry.host());
    let context = context("scratch");
    author.kiln(&["build", "--push", "-t", &name, context.path().to_str().expect("UTF-8")]);
    reader.kiln(&["pull", &name]);
    assert_eq!(reader.id(&name), author.id(&name));
}
