//! `-o type=wasm-artifact`: the program of an image, in the CNCF's layout.

use std::io::Read as _;

use kiln_build::WasmArtifact;
use kiln_image::Manifest;
use kiln_image::archive::BlobSource as _;
use kiln_types::Digest;

use crate::support::Bench;

const MODULE: &str = "\0asm\u{1}\0\0\0";
const COMPONENT: &str = "\0asm\r\0\u{1}\0";

fn bench() -> Bench {
    let bench = Bench::new();
    bench.file("app.wasm", MODULE);
    bench.file("component.wasm", COMPONENT);
    bench.file("script", "#!/app.wasm\n");
    bench
}

fn read(artifact: &WasmArtifact, digest: &Digest) -> String {
    let mut text = String::new();
    artifact.open(digest).expect("a blob").read_to_string(&mut text).expect("UTF-8");
    text
}

#[test]
fn the_entry_point_becomes_an_artifact() {
    let bench = bench();
    let mut request = bench.request(
        "FROM --platform=wasi/wasm scratch\nMAINTAINER me\nCOPY --chmod=755 app.wasm /bin/app\nENTRYPOINT [\"app\"]\nCMD [\"x\"]\n",
    );
    request.epoch = Some("0".to_owned());
    let artifact = WasmArtifact::of_image(&bench.run(&request).id(), bench.store()).expect("an artifact");
    assert_eq!(
        String::from_utf8_lossy(&artifact.manifest),
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":\
         \"application/vnd.wasm.config.v0+json\",\"digest\":\
         \"sha256:66fc4818aa50cbd71d750c03de5517274c89de0038b8fbf8b87e6b595de00b5f\",\"size\":175},\"layers\":[{\
         \"mediaType\":\"application/wasm\",\"digest\":\
         \"sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476\",\"size\":8}]}"
    );
    let manifest = Manifest::parse(&artifact.manifest).expect("a manifest");
    assert_eq!(
        read(&artifact, &manifest.config.digest),
        "{\"created\":\"1970-01-01T00:00:00Z\",\"author\":\"me\",\"architecture\":\"wasm\",\"os\":\"wasip1\",\
         \"layerDigests\":[\"sha256:93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476\"]}"
    );
    assert_eq!(read(&artifact, &manifest.layers[0].digest), MODULE);
}

#[test]
fn what_is_not_one_module_is_refused() {
    let bench = bench();
    for (last, reason) in [
        ("LABEL a=b", "neither ENTRYPOINT nor CMD"),
        ("ENTRYPOINT [\"/app.wasm\", \"-v\"]", "gives arguments to `/app.wasm`"),
        ("ENTRYPOINT /app.wasm", "gives arguments to `/bin/sh`"),
        ("CMD [\"/gone\"]", "`/gone` is not a file"),
        ("CMD [\"/\"]", "`/` is not a file"),
        ("CMD [\"/script\"]", "`/script` is not a WebAssembly module"),
        ("CMD [\"/component.wasm\"]", "`/component.wasm` is a component"),
    ] {
        let id = bench.build(&format!("FROM scratch\nCOPY --chmod=755 . /\n{last}\n")).id();
        let error = WasmArtifact::of_image(&id, bench.store()).expect_err(last).to_string();
        assert!(error.contains(reason), "{last}: {error}");
    }
}
