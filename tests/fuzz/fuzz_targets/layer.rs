//! Tar → index with its EROFS image: whatever the tar, the kernel is led nowhere but into the tar and the image, and
//! sees what kiln sees.
#![no_main]

#[path = "../../../host/crates/image/tests/erofs/reader.rs"]
mod reader;

use std::io::Cursor;

use kiln_image::Index;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut tar = data.to_vec();
    // With the sums of headers made right, most changes get past the first check.
    for block in tar.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    }
    let Ok((index, _, size)) = Index::from_tar(&tar[..]) else { return };
    assert_eq!(size, tar.len() as u64);
    let file = index.to_bytes().expect("whole");
    let has_image = reader::check(&file, &index, size);
    assert_eq!(index.check_image(&file[..]).expect("own bytes"), has_image);
    assert!(Index::read(Cursor::new(&file)).expect("own bytes").to_bytes().expect("whole") == file);
});
