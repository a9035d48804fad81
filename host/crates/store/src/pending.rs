//! Stand-ins until the image crate has them.
pub(crate) struct Header {
    pub(crate) diff_id: kiln_types::Digest,
    pub(crate) content_digest: kiln_types::Digest,
    pub(crate) files_size: u64,
}
pub(crate) fn header(index: &kiln_image::Index) -> Header {
    Header { diff_id: index.diff_id(), content_digest: index.content_digest(), files_size: index.files_size() }
}
pub(crate) fn read_header(mut file: std::fs::File) -> Option<Header> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).ok()?;
    kiln_image::Index::load(bytes).ok().map(|index| header(&index))
}
pub(crate) struct UnpackOptions {
    pub(crate) userxattr: bool,
    pub(crate) single_id: bool,
}
pub(crate) fn unpack(
    _: &kiln_image::Layer,
    directory: &std::path::Path,
    options: UnpackOptions,
) -> kiln_image::Result<()> {
    let _ = (options.userxattr, options.single_id);
    Err(kiln_image::Error::HostPath {
        action: "unpack into",
        path: directory.to_owned(),
        source: std::io::ErrorKind::Unsupported.into(),
    })
}
