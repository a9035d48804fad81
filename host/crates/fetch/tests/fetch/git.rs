//! Trees out of repositories made here by the `git` program, read over `file:` and over plain HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kiln_fetch::git::{Error, Git, Reference, Settings};

use crate::server::{Server, answer, write};

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    /// `None` where there is no git.
    fn new() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            assert!(std::env::var_os("KILN_TEST_REQUIRE").is_none(), "git is not installed");
            eprintln!("skipped: git is not installed");
            return None;
        }
        Some(Self { directory: tempfile::tempdir().expect("a temporary directory") })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn git(&self, repository: &str, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.path(repository))
            .args(["-c", "user.name=a", "-c", "user.email=b", "-c", "protocol.file.allow=always"])
            .args(args)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_COMMITTER_DATE", "1000000000 +0000")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// A repository with one commit of these files on `main`; its id.
    fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        fs::create_dir_all(self.path(name)).expect("ours");
        self.git(name, &["init", "-q", "-b", "main"]);
        self.commit(name, files)
    }

    fn commit(&self, name: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.path(name).join(path);
            fs::create_dir_all(path.parent().expect("below")).expect("ours");
            fs::write(path, text).expect("ours");
        }
        self.git(name, &["add", "-A"]);
        self.git(name, &["commit", "-q", "--allow-empty", "-m", "x"]);
        self.git(name, &["update-server-info"]);
        self.git(name, &["rev-parse", "HEAD"])
    }

    fn file_url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// Serves all repositories as plain files, as any web server does.
    fn serve(&self) -> Server {
        let root = self.directory.path().to_owned();
        Server::start(move |request, _, out| {
            let path = request.path().split('?').next().unwrap_or_default();
            match fs::read(root.join(path.trim_start_matches('/'))) {
                Ok(bytes) => answer(out, 200, &[], &bytes),
                Err(_) => answer(out, 404, &[], b""),
            }
        })
    }

    fn settings(&self) -> Settings {
        Settings {
            program: "git".into(),
            environment: vec![("PATH".to_owned(), std::env::var("PATH").expect("a PATH"))],
            directory: self.path("kept"),
            limit: 1 << 30,
            cancelled: Arc::new(|| false),
        }
    }

    /// What the tar of a reference holds: `mode text`, `-> target` or `/` for each path.
    fn tree(&self, reference: &str) -> Result<BTreeMap<String, String>, Error> {
        let reference = Reference::parse(reference).expect("a repository").expect("a reference");
        let git = Git::new(self.settings());
        let resolved = git.resolve(&reference)?;
        let tree = git.tree(&reference, &resolved)?;
        assert_eq!(tree.time, 1_000_000_000);
        Ok(listing(&tree.tar))
    }
}

fn listing(tar: &Path) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(fs::File::open(tar).expect("a tar"));
    let mut found = BTreeMap::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let what = match entry.header().entry_type() {
            tar::EntryType::Directory => "/".to_owned(),
            tar::EntryType::Symlink => {
                format!("-> {}", entry.link_name().expect("a link").expect("a target").display())
            }
            _ => {
                let mode = entry.header().mode().expect("a mode");
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).expect("a file");
                format!("{mode:o} {}", String::from_utf8_lossy(&bytes))
            }
        };
        found.insert(path, what);
    }
    found
}

fn names(tree: &BTreeMap<String, String>) -> Vec<&str> {
    tree.keys().map(String::as_str).collect()
}

#[test]
fn a_tree_is_what_was_committed() {
    let Some(bench) = Bench::new() else { return };
    bench.repository("r", &[("a", "one\r\n"), ("d/run", "#!"), (".gitattributes", "* text eol=crlf export-ignore\n")]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(bench.path("r/d/run"), fs::Permissions::from_mode(0o777)).expect("ours");
        std::os::unix::fs::symlink("../../etc/passwd", bench.path("r/d/out")).expect("ours");
    }
    bench.commit("r", &[(&format!("long/{}", "x".repeat(150)), "long")]);
    let tree = bench.tree(&bench.file_url("r")).expect("a tree");
    assert_eq!(tree["a"], "644 one\n", "as git keeps it: attributes change nothing");
    assert_eq!(tree["d/"], "/");
    assert_eq!(tree["d/run"], "755 #!");
    assert_eq!(tree["d/out"], "-> ../../etc/passwd");
    assert_eq!(tree[&format!("long/{}", "x".repeat(150))], "644 long");
    let inside = bench.tree(&format!("{}#:d", bench.file_url("r"))).expect("a tree");
    assert_eq!(names(&inside), ["out", "run"]);
    let missing = bench.tree(&format!("{}#main:no/such", bench.file_url("r"))).expect_err("no directory");
    assert!(missing.to_string().contains("has no directory `no/such`"), "{missing}");
}

#[test]
fn branches_tags_and_commits() {
    let Some(bench) = Bench::new() else { return };
    let first = bench.repository("r", &[("f", "1")]);
    bench.git("r", &["tag", "-a", "-m", "x", "v1"]);
    bench.commit("r", &[("f", "2")]);
    bench.git("r", &["branch", "old"]);
    let last = bench.commit("r", &[("f", "3")]);
    let remote = bench.file_url("r");
    for (fragment, expected) in [
        (String::new(), "3"),
        ("#v1".to_owned(), "1"),
        ("?tag=v1".to_owned(), "1"),
        ("#refs/heads/old".to_owned(), "2"),
        (format!("#{first}"), "1"),
        (format!("?ref=main&checksum={}", &last[..8]), "3"),
        (format!("?fetch-by-commit=1&checksum={first}#main"), "1"),
    ] {
        let tree = bench.tree(&format!("{remote}{fragment}")).expect(&fragment);
        assert_eq!(tree["f"], format!("644 {expected}"), "{fragment}");
    }
    for (fragment, expected) in [
        ("#nothing".to_owned(), "has no branch, tag or commit `nothing`"),
        (format!("#{}", "0".repeat(40)), "has no commit 0000"),
        (format!("?ref=main&checksum={first}"), "is wanted: the branch or tag has moved"),
    ] {
        let error = bench.tree(&format!("{remote}{fragment}")).expect_err(&fragment).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = bench.tree(&bench.file_url("nowhere")).expect_err("no repository").to_string();
    assert!(error.starts_with("git cannot list the branches and tags of file://"), "{error}");
}

#[test]
fn what_is_here_is_not_fetched_again() {
    let Some(bench) = Bench::new() else { return };
    let commit = bench.repository("r", &[("f", "1")]);
    let pinned = format!("{}#{commit}", bench.file_url("r"));
    let tree = bench.tree(&pinned).expect("a tree");
    fs::remove_dir_all(bench.path("r")).expect("ours");
    assert_eq!(bench.tree(&pinned).expect("kept"), tree);
}

#[test]
fn plain_web_servers_and_submodules() {
    let Some(bench) = Bench::new() else { return };
    bench.repository("inner", &[("i", "inner")]);
    bench.repository("outer", &[("o", "outer")]);
    let server = bench.serve();
    let url = |name: &str| format!("http://127.0.0.1:{}/{name}/.git", server.port);
    bench.git("outer", &["submodule", "--quiet", "add", &bench.file_url("inner"), "lib/inner"]);
    bench.git("outer", &["config", "-f", ".gitmodules", "submodule.lib/inner.url", "../../inner/.git"]);
    bench.commit("outer", &[]);
    let tree = bench.tree(&url("outer")).expect("a tree");
    assert_eq!(tree["lib/inner/i"], "644 inner");
    assert_eq!(names(&tree), [".gitmodules", "lib/", "lib/inner/", "lib/inner/i", "o"]);
    let without = bench.tree(&format!("{}?submodules=0", url("outer"))).expect("a tree");
    assert_eq!(names(&without), [".gitmodules", "lib/", "lib/inner/", "o"]);
    let inside = bench.tree(&format!("{}#:lib", url("outer"))).expect("a tree");
    assert_eq!(names(&inside), ["inner/", "inner/i"]);
    // A repository must not make us read another one of this machine.
    bench.git("outer", &["config", "-f", ".gitmodules", "submodule.lib/inner.url", &bench.file_url("inner")]);
    bench.commit("outer", &[]);
    let refused = bench.tree(&url("outer")).expect_err("refused").to_string();
    assert!(refused.contains("the submodule `lib/inner` of") && refused.contains("submodules=false"), "{refused}");
}

#[test]
fn a_server_that_sends_without_end_is_left() {
    let Some(bench) = Bench::new() else { return };
    bench.repository("r", &[("f", "1")]);
    bench.git("r", &["repack", "-q", "-a", "-d"]);
    bench.git("r", &["update-server-info"]);
    let (root, endless) = (bench.directory.path().to_owned(), Arc::new(AtomicBool::new(true)));
    let is_endless = Arc::clone(&endless);
    let server = Server::start(move |request, _, out| {
        let path = request.path().split('?').next().unwrap_or_default();
        if path.ends_with(".pack") && is_endless.load(Ordering::Relaxed) {
            write(out, b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\r\nPACK");
            while write(out, &[b'x'; 4096]) {}
            return;
        }
        match fs::read(root.join(path.trim_start_matches('/'))) {
            Ok(bytes) => answer(out, 200, &[], &bytes),
            Err(_) => answer(out, 404, &[], b""),
        }
    });
    let git = Git::new(Settings { limit: 8 << 20, ..bench.settings() });
    let reference = Reference::parse(&format!("http://127.0.0.1:{}/r/.git", server.port));
    let reference = reference.expect("a repository").expect("a reference");
    let resolved = git.resolve(&reference).expect("a commit");
    assert!(matches!(git.tree(&reference, &resolved), Err(Error::TooLarge { limit: 8_388_608, .. })));
    // What came takes no space any more once somebody else fetches.
    endless.store(false, Ordering::Relaxed);
    git.tree(&reference, &resolved).expect("a tree");
    let kept = fs::read_dir(bench.path("kept")).expect("ours").map(|entry| entry.expect("an entry").path());
    let repository = kept.into_iter().find(|path| path.extension().is_some_and(|e| e == "git")).expect("one");
    for pack in fs::read_dir(repository.join("objects/pack")).expect("ours") {
        let pack = pack.expect("an entry");
        assert!(pack.metadata().expect("ours").len() < 1 << 20, "{:?}", pack.file_name());
    }
}

#[test]
fn the_git_directory_is_there_when_it_is_wanted() {
    let Some(bench) = Bench::new() else { return };
    let commit = bench.repository("r", &[("f", "1")]);
    bench.git("r", &["tag", "v1"]);
    let remote = format!("{}?keep-git-dir=1#v1", bench.file_url("r"));
    bench.tree(&remote).expect("a tree");
    let kept = fs::read_dir(bench.path("kept")).expect("ours").map(|entry| entry.expect("an entry").path());
    let tar = kept.into_iter().find(|path| path.extension().is_some_and(|e| e == "tar")).expect("one tar");
    fs::create_dir(bench.path("out")).expect("ours");
    tar::Archive::new(fs::File::open(tar).expect("ours")).unpack(bench.path("out")).expect("a tar");
    assert_eq!(bench.git("out", &["rev-parse", "HEAD"]), commit);
    assert_eq!(bench.git("out", &["rev-parse", "v1"]), commit);
    assert_eq!(bench.git("out", &["status", "--short"]), "");
    assert_eq!(bench.git("out", &["config", "remote.origin.url"]), bench.file_url("r"));
    assert!(!bench.path("out/.git/hooks").exists());
}

#[test]
fn hostile_trees_are_refused() {
    let Some(bench) = Bench::new() else { return };
    bench.repository("r", &[("f", "1")]);
    let blob = bench.git("r", &["rev-parse", "HEAD:f"]);
    let raw: Vec<u8> =
        (0..blob.len()).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).expect("hexadecimal")).collect();
    for name in ["..", ".git", ".GIT"] {
        let object = [format!("100644 {name}\0").as_bytes(), &raw].concat();
        fs::write(bench.path("object"), object).expect("ours");
        let file = bench.path("object").display().to_string();
        let tree = bench.git("r", &["hash-object", "-t", "tree", "-w", "--literally", &file]);
        let commit = bench.git("r", &["commit-tree", "-m", "x", &tree]);
        bench.git("r", &["update-ref", "refs/heads/bad", &commit]);
        let error = bench.tree(&format!("{}#bad", bench.file_url("r"))).expect_err(name).to_string();
        assert!(error.contains("a file cannot be called") || error.contains("git cannot"), "{error}");
    }
}

#[test]
fn too_large_trees_and_missing_programs() {
    let Some(bench) = Bench::new() else { return };
    bench.repository("r", &[("f", "12345")]);
    let reference = Reference::parse(&bench.file_url("r")).expect("a repository").expect("a reference");
    let small = Git::new(Settings { limit: 4, ..bench.settings() });
    let resolved = small.resolve(&reference).expect("a commit");
    assert!(matches!(small.tree(&reference, &resolved), Err(Error::TooLarge { limit: 4, .. })));
    assert!(fs::read_dir(bench.path("kept")).expect("ours").all(|entry| {
        let name = entry.expect("an entry").file_name();
        !name.to_string_lossy().starts_with("tmp-") && !name.to_string_lossy().ends_with(".tar")
    }));
    // Files without content are something, too.
    let names: Vec<String> = (0..20).map(|number| format!("empty{number}")).collect();
    bench.commit("r", &names.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>());
    let many = Git::new(Settings { limit: 4096, ..bench.settings() });
    let resolved = many.resolve(&reference).expect("a commit");
    assert!(matches!(many.tree(&reference, &resolved), Err(Error::TooLarge { limit: 4096, .. })));
    let none = Git::new(Settings { program: "/nonexistent/git".into(), ..bench.settings() });
    assert!(matches!(none.resolve(&reference), Err(Error::NoGit)));
}
