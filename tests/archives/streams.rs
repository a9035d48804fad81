//! Archives through pipes, compressed by others, and files that are written whole or not at all.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::kiln::Kiln;
use crate::work::Work;

#[test]
fn any_compression_under_any_name() {
    let Some(work) = Work::with(&["gzip", "bzip2", "xz", "zstd"]) else { return };
    let id = work.build("app:1", &[]);
    for format in ["docker-archive", "oci-archive"] {
        work.kiln(&["save", "--format", format, "-o", "app.tar", "app:1"]);
        for filter in ["cat", "gzip", "bzip2", "xz", "zstd"] {
            work.run(&format!("{filter} < app.tar > app.tar.gz"));
            for way in ["-i app.tar.gz", "< app.tar.gz", "-q < app.tar.gz"] {
                let other = Kiln::new();
                let script = format!("\"$KILN\" load {way}");
                let mut command = other.command();
                let program = command.get_program().to_owned();
                let root = command.get_envs().find(|(name, _)| *name == "KILN_ROOT").and_then(|(_, value)| value);
                let root = root.expect("a store").to_owned();
                command = std::process::Command::new("sh");
                command.args(["-c", &script]).current_dir(work.path(""));
                let said = crate::work::told(command.env("KILN", program).env("KILN_ROOT", root));
                assert_eq!(said, "Loaded image: app:1");
                assert_eq!(work.id(&other, "app:1"), id);
            }
        }
    }
}

#[test]
fn the_same_image_is_the_same_archive() {
    let work = Work::new();
    work.build("app:1", &[]);
    let other = Kiln::new();
    for (format, file) in [("docker-archive", "tar"), ("oci-archive", "tar")] {
        work.kiln(&["save", "--format", format, "-o", "a.tar", "app:1"]);
        work.kiln_of(&other, &["load", "-q", "-i", "a.tar"]);
        for store in [&work.kiln, &other] {
            work.kiln_of(store, &["save", "--format", format, "-o", "b.tar", "app:1"]);
            assert_eq!(work.run("cmp a.tar b.tar && rm b.tar"), "", "{format} {file}");
        }
        work.run("rm a.tar");
        work.kiln_of(&other, &["rmi", "app:1"]);
    }
}

/// The file with the first layer of `app:1`.
fn first_layer(work: &Work) -> PathBuf {
    let layer = work.kiln.layers("app:1")[0].strip_prefix("sha256:").expect("a digest").to_owned();
    let command = work.kiln.command();
    let root = command.get_envs().find(|(name, _)| *name == "KILN_ROOT").and_then(|(_, value)| value).expect("a store");
    Path::new(root).join("blobs/sha256").join(layer)
}

/// What kiln says when it fails.
#[track_caller]
fn failed(work: &Work, arguments: &[&str]) -> String {
    let output = work.kiln.command().args(arguments).current_dir(work.path("")).output().expect("kiln starts");
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn who_writes_to_a_large_layer_is_found_out() {
    let work = Work::new();
    work.run("mkdir context; head -c 3000000 /dev/zero > context/large; cd context; echo FROM scratch > Dockerfile; echo COPY large / >> Dockerfile");
    work.kiln(&["build", "-q", "-t", "app:1", "context"]);
    work.kiln(&["save", "-o", "app.tar", "app:1"]);
    let blob = first_layer(&work);
    std::fs::set_permissions(&blob, PermissionsExt::from_mode(0o600)).expect("its owner may");
    let file = File::options().write(true).open(&blob).expect("open");
    file.write_all_at(b"x", 2_000_000).expect("write");
    let said = failed(&work, &["save", "-o", "other.tar", "app:1"]);
    assert!(said.contains("was damaged and has been removed"), "{said}");
    assert!(!work.has("other.tar"));
    work.kiln(&["load", "-q", "-i", "app.tar"]);
    work.kiln(&["save", "-o", "other.tar", "app:1"]);
    assert_eq!(work.run("cmp app.tar other.tar"), "");
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let work = Work::new();
    work.build("app:1", &[]);
    work.run("echo before > out.tar");
    let failed = |arguments: &[&str]| failed(&work, arguments);
    failed(&["save", "-o", "out.tar", "app:1", "no-such-image"]);
    // A layer that was damaged behind kiln's back.
    let blob = first_layer(&work);
    let mut bytes = std::fs::read(&blob).expect("the layer");
    bytes[600] ^= 1;
    std::fs::remove_file(&blob).expect("remove");
    std::fs::write(&blob, bytes).expect("write");
    let said = failed(&["save", "-o", "out.tar", "app:1"]);
    assert!(said.contains("was damaged and has been removed"), "{said}");
    assert_eq!(work.run("cat out.tar; ls -A | grep -c out"), "before\n1");
    failed(&["save", "--format", "oci-dir", "-o", "new", "app:1"]);
    assert!(!work.has("new"));
}

/// Serves one file, and breaks the first connection in the middle of it.
fn serve(content: Vec<u8>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/root.tar", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let mut ranges = Vec::new();
        for broken in [true, false] {
            let (mut connection, _) = listener.accept().expect("a connection");
            let mut request = BufReader::new(connection.try_clone().expect("the same connection")).lines();
            let mut start = 0;
            while let Some(Ok(line)) = request.next()
                && !line.is_empty()
            {
                if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    start = range.trim_end_matches('-').parse().expect("a number");
                    ranges.push(range.to_owned());
                }
            }
            let (status, length) = (if start == 0 { "200 OK" } else { "206 Partial Content" }, content.len());
            let head = format!(
                "HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{length}\r\n\
                 Connection: close\r\n\r\n",
                length - start,
                length - 1
            );
            let end = if broken { length / 2 } else { length };
            connection
                .write_all(head.as_bytes())
                .and_then(|()| connection.write_all(&content[start..end]))
                .expect("send");
        }
        ranges
    });
    (url, server)
}

#[test]
fn an_import_from_a_url_is_resumed() {
    let work = Work::new();
    work.build("app:1", &[]);
    work.kiln(&["export", "-o", "root.tar", "app:1"]);
    let (url, server) = serve(std::fs::read(work.path("root.tar")).expect("ours"));
    let mut command = work.kiln.command();
    command.env_remove("http_proxy").env_remove("all_proxy").env_remove("ALL_PROXY");
    let id = crate::work::told(command.args(["import", "-m", "from afar", &url, "far:1"]));
    assert_eq!(server.join().expect("served").len(), 1, "the rest was asked for");
    assert_eq!(work.id(&work.kiln, "far:1"), id);
    work.kiln(&["import", "root.tar", "near:1"]);
    assert_eq!(work.kiln.layers("far:1"), work.kiln.layers("near:1"));
    assert!(work.kiln(&["history", "far:1"]).contains("from afar"));
}
