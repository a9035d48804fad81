//! Contexts that are no directories: archives, named contexts, URLs, repositories.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kiln_build::{Archive, ContextSource, NamedContext, Remote, Request, Secret};

use crate::support::Bench;

fn tar_of(directory: &Path) -> Vec<u8> {
    let output =
        std::process::Command::new("tar").args(["-c", "-C"]).arg(directory).arg(".").output().expect("tar runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn archive(bytes: &[u8]) -> Result<Option<Archive>, String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("archive");
    fs::write(&path, bytes).expect("ours");
    Archive::read(File::open(&path).expect("ours"), directory.path()).map_err(|error| error.to_string())
}

fn source(bytes: &[u8]) -> ContextSource {
    ContextSource::Archive(Arc::new(archive(bytes).expect("readable").expect("a tar")))
}

#[test]
fn a_tar_gives_what_its_directory_gives() {
    let bench = Bench::new();
    for file in ["a", "d/b", "d/e/c", "ignored/x", "ignored/kept"] {
        bench.file(file, file);
    }
    fs::create_dir(bench.context.join("empty")).expect("ours");
    fs::hard_link(bench.context.join("a"), bench.context.join("d/same")).expect("ours");
    #[cfg(unix)]
    std::os::unix::fs::symlink("d/b", bench.context.join("link")).expect("ours");
    let dockerfile = "FROM scratch\nCOPY . /all/\nCOPY d/e /e/\nCOPY a d/b /f/\nADD --chown=1 --chmod=600 d /g\n";
    let ignore = Some(b"ignored\n!ignored/kept\n".to_vec());
    let directory = Request { ignore: ignore.clone(), ..bench.request(dockerfile) };
    let expected = bench.run(&directory);
    let tar = tar_of(&bench.context);
    for bytes in [tar.clone(), zstd::encode_all(&tar[..], 1).expect("in memory")] {
        let request = Request { context: Some(source(&bytes)), ignore: ignore.clone(), ..bench.request(dockerfile) };
        let built = bench.run(&request);
        assert_eq!(built.how(), ["hit"; 4]);
        assert_eq!(built.id(), expected.id());
        // And the same layers when they are made anew.
        let anew = bench.run(&Request { no_cache: true, ..request });
        assert_eq!(anew.id(), expected.id());
    }
}

#[test]
fn hostile_archives_lead_nowhere() {
    let entry = |name: &str, link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("GNU").name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(if link.is_some() { 0 } else { 1 });
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name_literal(link).expect("short");
        }
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        if link.is_none() {
            bytes.extend([b'x'; 1].into_iter().chain([0; 511]));
        }
        bytes
    };
    let end = vec![0; 1024];
    let up = archive(&[entry("ok", None), entry("../evil", None), end.clone()].concat()).expect_err("refused");
    assert!(up.contains("evil"), "{up}");
    let absolute = archive(&[entry("/etc/passwd", None), end.clone()].concat()).expect("readable").expect("a tar");
    assert_eq!(absolute.file("etc/passwd", 10).expect("readable").as_deref(), Some(&b"x"[..]), "beneath its own root");
    let out = archive(&[entry("out", Some("../../../../etc")), entry("f", Some("/etc/passwd")), end].concat());
    let out = out.expect("readable").expect("a tar");
    for path in ["out/passwd", "f", "../../etc/passwd"] {
        assert_eq!(out.file(path, 1 << 20).expect("readable"), None, "{path}");
    }
    assert!(archive(b"FROM scratch\n").expect("readable").is_none());
    assert!(archive(&[0x1f, 0x8b, 0x08, 0, 0]).map_or(true, |archive| archive.is_none()));
}

#[test]
fn archives_are_directories_to_whoever_reads_them() {
    let bench = Bench::new();
    bench.file("sub/Dockerfile", "FROM scratch");
    bench.file("sub/deep/f", "f");
    let archive = archive(&tar_of(&bench.context)).expect("readable").expect("a tar");
    let inside = archive.directory("sub").expect("a directory");
    assert_eq!(inside.file("Dockerfile", 100).expect("short").as_deref(), Some(&b"FROM scratch"[..]));
    assert_eq!(inside.file("./deep/../deep/f", 100).expect("short").as_deref(), Some(&b"f"[..]));
    assert!(inside.file("Dockerfile", 5).is_err(), "longer than allowed");
    assert!(inside.file("deep", 100).expect("no file").is_none());
    assert!(archive.directory("sub/Dockerfile").is_none() && archive.directory("no").is_none());
}

#[test]
fn named_contexts_take_the_place_of_stages_and_images() {
    let bench = Bench::new();
    bench.file("a", "main");
    let other = tempfile::tempdir().expect("a temporary directory");
    fs::write(other.path().join("f"), "other").expect("ours");
    fs::write(other.path().join("secret"), "no").expect("ours");
    let image = bench.build("FROM scratch\nCOPY a /of-image\nENV X=1\n").id();
    let files = NamedContext::Files {
        source: ContextSource::Directory(other.path().to_owned()),
        ignore: Some(b"secret".to_vec()),
    };
    let with = |dockerfile: &str, contexts: &[(&str, NamedContext)]| {
        let named_contexts = contexts.iter().map(|(name, context)| ((*name).to_owned(), context.clone())).collect();
        bench.run(&Request { named_contexts, ..bench.request(dockerfile) })
    };
    let listed = |outcome: &crate::support::Outcome| bench.files(outcome.id());
    let copy = "FROM scratch\nCOPY --from=src . /o/\n";
    assert_eq!(listed(&with(copy, &[("src", files.clone())])), ["755 0:0 o/", "644 0:0 o/f: other"]);
    // The last one of a name counts, and a context hides a stage.
    let stages = "FROM scratch AS Src\nCOPY nothing /\nFROM scratch\nCOPY --from=src / /\n";
    let image_context = NamedContext::Image(image.to_string());
    let built = with(stages, &[("src", files.clone()), ("src", image_context.clone())]);
    assert_eq!(listed(&built), ["644 0:0 of-image: main"]);
    let from = "FROM docker.io/library/base\nCOPY a /\n";
    let built = with(from, &[("base", image_context)]);
    assert_eq!(listed(&built), ["644 0:0 a: main", "644 0:0 of-image: main"]);
    assert_eq!(bench.config(built.id()).config.env.as_deref().map(|env| env.contains(&"X=1".to_owned())), Some(true));
    let built = with("FROM base\nCOPY a /\n", &[("base", files)]);
    assert_eq!(listed(&built), ["644 0:0 a: main", "644 0:0 f: other"]);
    let stage = NamedContext::Stage("one".to_owned());
    let built = with("FROM scratch AS one\nCOPY a /1\nFROM two\nCOPY a /2\n", &[("two", stage)]);
    assert_eq!(listed(&built), ["644 0:0 1: main", "644 0:0 2: main"]);
}

/// Serves files by path, with `ETag` and `Last-Modified`; remembers what was asked for.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: Vec<(&'static str, Vec<u8>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
                let request = lines.next().unwrap_or_default();
                let known = lines.take_while(|line| !line.is_empty()).any(|line| line == "if-none-match: \"1\"");
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let file = files.iter().find(|(name, _)| *name == path);
                let answer = match file {
                    None => b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
                    Some(_) if known => b"HTTP/1.1 304 Same\r\nConnection: close\r\n\r\n".to_vec(),
                    Some((_, bytes)) => {
                        let head = format!(
                            "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                             Content-Length: {}\r\nConnection: close\r\n\r\n",
                            bytes.len()
                        );
                        [head.as_bytes(), bytes].concat()
                    }
                };
                log.lock().expect("no panic").push(format!("{path} {}", if known { "known" } else { "new" }));
                let _ = stream.write_all(&answer);
            }
        });
        Self { port, asked }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().expect("no panic"))
    }
}

#[test]
fn files_from_urls() {
    let bench = Bench::new();
    bench.file("d/x", "x");
    let server = Server::start(vec![
        ("/a%20b.txt", b"hello".to_vec()),
        ("/x.tar", tar_of(&bench.context)),
        ("/", b"root".to_vec()),
    ]);
    for (instruction, expected) in [
        ("ADD {a} /d/", &["755 0:0 d/", "600 0:0 d/a b.txt: hello"][..]),
        ("ADD {a} /d", &["600 0:0 d: hello"]),
        ("ADD --chmod=644 --chown=4:5 {a} /d", &["644 4:5 d: hello"]),
        ("ADD {root} /d/", &["755 0:0 d/", "600 0:0 d/__unnamed__: root"]),
        ("ADD --unpack {x} /d", &["755 0:0 d/", "755 0:0 d/d/", "644 0:0 d/d/x: x"]),
        (
            "ADD {a} {root} d/x /o/",
            &["755 0:0 o/", "600 0:0 o/__unnamed__: root", "600 0:0 o/a b.txt: hello", "644 0:0 o/x: x"],
        ),
    ] {
        let instruction = instruction.replace("{a}", &server.url("/a%20b.txt?q#f").replace("?q", ""));
        let instruction = instruction.replace("{x}", &server.url("/x.tar")).replace("{root}", &server.url("/"));
        let built = bench.build(&format!("FROM scratch\n{instruction}\n"));
        assert_eq!(bench.files(built.id()), expected, "{instruction}");
    }
    let plain = bench.build(&format!("FROM scratch\nADD {} /d\n", server.url("/x.tar")));
    assert_eq!(bench.count(plain.id()), 1, "an archive from elsewhere stays as it is");
    let layer = bench.store().layer(&bench.config(plain.id()).rootfs.diff_ids[0]).expect("there");
    assert_eq!(layer.index.get(b"d").expect("whole").expect("there").mtime, 784_111_777);
    let error = bench.build(&format!("FROM scratch\nADD {} /d\n", server.url("/none"))).error();
    assert!(error.contains("answered 404 (there is no such file)"), "{error}");
    let error = bench.build(&format!("FROM scratch\nCOPY {} /d\n", server.url("/x.tar"))).error();
    assert!(error.contains("COPY takes files only from the build context"), "{error}");
}

#[test]
fn checksums_and_what_is_kept() {
    let server = Server::start(vec![("/f", b"hello".to_vec())]);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let again = || Bench::with_downloads(directory.path());
    let add = |flags: &str| format!("FROM scratch\nADD {flags} {} /f\n", server.url("/f"));
    const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    again().build(&add("")).id();
    assert_eq!(server.asked(), ["/f new"]);
    // Another build asks whether it has changed, and with a checksum nothing.
    again().build(&add("")).id();
    assert_eq!(server.asked(), ["/f known"]);
    again().build(&add(&format!("--checksum={HELLO}"))).id();
    assert_eq!(server.asked(), Vec::<String>::new());
    let bench = again();
    let wrong = HELLO.replace("2cf2", "0000");
    let error = bench.build(&add(&format!("--checksum={wrong}"))).error();
    assert!(error.contains(&format!("has the checksum {HELLO}, but {wrong} is wanted")), "{error}");
    let sha512 = "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da\
                  0c4663475c2e5c3adef46f73bcdec043";
    bench.build(&add(&format!("--checksum={sha512}"))).id();
    for (flags, source, expected) in [
        ("--checksum=sha256:12", server.url("/f"), "is not a checksum"),
        ("--checksum=md5:12", server.url("/f"), "is not a checksum"),
        (&*format!("--checksum={HELLO}"), "f".to_owned(), "--checksum is for one source that is a URL"),
        ("", "http://h:x/".to_owned(), "is not a URL"),
        ("", "file:///etc/x.git".to_owned(), "is a repository of this machine"),
        ("--checksum=foobar", "https://h.invalid/r.git".to_owned(), "`foobar` is no id of a commit"),
    ] {
        let error = bench.build(&format!("FROM scratch\nADD {flags} {source} /f\n")).error();
        assert!(error.contains(expected), "{flags} {source}: {error}");
    }
    // One build sees one state of a URL.
    server.asked();
    bench
        .build(&format!(
            "FROM scratch AS a\nADD {0} /1\nFROM scratch\nADD {0} /2\nCOPY --from=a / /\n",
            server.url("/f")
        ))
        .id();
    assert_eq!(server.asked().len(), 0, "seen before by this process");
}

#[test]
fn repositories_are_added() {
    let git = |directory: &Path, args: &[&str]| {
        let output = std::process::Command::new("git").current_dir(directory).args(args).output();
        assert!(output.expect("git runs").status.success(), "{args:?}");
    };
    if std::process::Command::new("git").arg("--version").output().is_err() {
        assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "git is not installed");
        eprintln!("skipped: git is not installed");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(directory.path().join("d")).expect("ours");
    fs::write(directory.path().join("d/f"), "hi").expect("ours");
    let init = ["-c", "init.defaultBranch=main", "init", "-q"];
    git(directory.path(), &init);
    git(directory.path(), &["add", "-A"]);
    git(directory.path(), &["-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "-m", "x"]);
    git(directory.path(), &["update-server-info"]);
    let mut files = Vec::new();
    let root = directory.path().join(".git");
    let mut pending = vec![root.clone()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).expect("ours").map(|entry| entry.expect("an entry").path()));
        } else {
            let name = format!("/r.git/{}", path.strip_prefix(&root).expect("below").display());
            let mut bytes = Vec::new();
            File::open(&path).expect("ours").read_to_end(&mut bytes).expect("ours");
            files.push((&*name.leak(), bytes));
            let query = format!("{}?service=git-upload-pack", files.last().expect("pushed").0);
            let bytes = files.last().expect("pushed").1.clone();
            files.push((&*query.leak(), bytes));
        }
    }
    let server = Server::start(files);
    let bench = Bench::new();
    let built = bench.build(&format!("FROM scratch\nADD {} /src\n", server.url("/r.git#main")));
    assert_eq!(bench.files(built.id()), ["755 0:0 src/", "755 0:0 src/d/", "644 0:0 src/d/f: hi"]);
    let built = bench.build(&format!("FROM scratch\nADD --keep-git-dir {} /src\n", server.url("/r.git#main")));
    assert!(bench.paths(built.id()).iter().any(|path| path == "src/.git/HEAD"));
    let built = bench.build(&format!("FROM scratch\nADD --chown=7 {} /\n", server.url("/r.git#:d")));
    assert_eq!(bench.files(built.id()), ["644 7:7 f: hi"]);
}

#[test]
fn archives_are_led_through_the_links_of_the_image() {
    let bench = Bench::new();
    let tar = |entries: &[(&str, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, what) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(if name.ends_with('/') { 0o755 } else { 0o644 });
            header.set_size(0);
            let kind = match what.split_once(' ') {
                _ if name.ends_with('/') => tar::EntryType::Directory,
                Some(("->", target)) => {
                    header.set_link_name(target).expect("short");
                    tar::EntryType::Symlink
                }
                Some(("=", target)) => {
                    header.set_link_name(target).expect("short");
                    tar::EntryType::Link
                }
                _ => {
                    header.set_size(what.len() as u64);
                    tar::EntryType::Regular
                }
            };
            header.set_entry_type(kind);
            tar.append_data(&mut header, name, if kind.is_file() { what.as_bytes() } else { b"" }).expect("in memory");
        }
        tar.into_inner().expect("in memory")
    };
    fs::write(
        bench.context.join("base.tar"),
        tar(&[("run/", ""), ("var/", ""), ("var/run", "-> /run"), ("z", "-> var")]),
    )
    .expect("ours");
    let payload = tar(&[("var/run/act/", ""), ("var/run/act/HEAD", "ref"), ("var/run/a", "= var/run/act/HEAD")]);
    fs::write(bench.context.join("payload.tar"), payload).expect("ours");
    let built = bench.build("FROM scratch\nADD base.tar /\nADD payload.tar /\n");
    assert_eq!(
        bench.files(built.id()),
        [
            "755 0:0 run/",
            "644 0:0 run/a: ref",
            "755 0:0 run/act/",
            "644 0:0 run/act/HEAD: ref",
            "755 0:0 var/",
            "777 0:0 var/run -> /run",
            "777 0:0 z -> var"
        ]
    );
    // A directory that the archive has replaces a link; a destination without a slash is a directory all the same.
    fs::write(bench.context.join("own.tar"), tar(&[("run/", ""), ("run/x", "x")])).expect("ours");
    let built = bench.build("FROM scratch\nADD base.tar /\nADD own.tar /z\nADD own.tar /new\n");
    let files = bench.files(built.id());
    for line in ["755 0:0 var/run/", "644 0:0 var/run/x: x", "755 0:0 new/", "644 0:0 new/run/x: x"] {
        assert!(files.iter().any(|found| found == line), "{line}: {files:#?}");
    }
    bench.file("f", "f");
    let error = bench.build("FROM scratch\nCOPY f /f\nADD own.tar /f\n").error();
    assert!(error.contains("/f is no directory"), "{error}");
    let kept = bench.build("FROM scratch\nADD --unpack=false own.tar /kept\n");
    assert_eq!(bench.count(kept.id()), 1);
}

#[test]
fn secrets_tell_servers_who_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let answering = std::thread::spawn(move || {
        let asked = listener.incoming().take(2).map_while(Result::ok).map(|mut stream| {
            let lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let _ = stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let is_authorization = |line: &&String| line.to_ascii_lowercase().starts_with("authorization: ");
            head.iter().find(is_authorization).and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
        });
        asked.collect::<Vec<_>>()
    });
    let secret = |id: &str, value: &str| (id.to_owned(), Secret::new(value.into()));
    let secrets = [secret("HTTP_AUTH_TOKEN_127.0.0.1", "file\n"), secret("GIT_AUTH_TOKEN", "tree\n")];
    let bench = Bench::new();
    let directory = bench.context.join("remote");
    let settings = kiln_fetch::Settings { attempts: 1, ..Default::default() };
    let path = ("PATH".to_owned(), std::env::var("PATH").expect("a PATH"));
    let remote = Remote::new(settings, vec![path], directory, secrets.into());
    let url = format!("http://127.0.0.1:{port}/file").parse().expect("a URL");
    let failed = remote.file(&url, None).expect_err("nothing is there");
    assert!(!format!("{failed} {failed:?}").contains("file\n"));
    let reference = kiln_fetch::git::Reference::parse(&format!("http://127.0.0.1:{port}/app.git#main"));
    let failed = remote.tree(&reference.expect("a repository").expect("a good one")).expect_err("nothing is there");
    assert!(!format!("{failed} {failed:?}").contains("eC1hY2Nlc3M"), "{failed:?}");
    let asked = answering.join().expect("no panic");
    assert_eq!(asked, ["Bearer file", "Basic eC1hY2Nlc3MtdG9rZW46dHJlZQ=="].map(|value| Some(value.to_owned())));
}
