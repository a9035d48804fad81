//! Which files of a directory git tracks, and which of them it has as executable.

use std::collections::BTreeMap;
use std::path::Path;

use super::Result;
use super::command::Invocation;
use super::repository::Git;

impl Git {
    /// For each tracked file below `directory`, relative to it, whether it is executable; nothing where the directory is in
    /// no repository.
    pub fn tracked(&self, directory: &Path) -> Result<BTreeMap<Vec<u8>, bool>> {
        let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
        if !absolute.ancestors().any(|above| above.join(".git").exists()) {
            return Ok(BTreeMap::new());
        }
        let listing = Invocation::new(self.settings(), "list the files of", &absolute.display().to_string(), false)
            .offline()
            .directory(&absolute)
            .args(["ls-files", "--stage", "-z"])
            .output()?;
        Ok(parse(&listing))
    }
}

/// `100755 <id> 0<tab>path<nul>`; links and submodules are no files.
fn parse(listing: &[u8]) -> BTreeMap<Vec<u8>, bool> {
    let entry = |line: &[u8]| {
        let tab = line.iter().position(|&byte| byte == b'\t')?;
        let executable = match line.get(..6)? {
            b"100755" => true,
            b"100644" => false,
            _ => return None,
        };
        Some((line[tab + 1..].to_vec(), executable))
    };
    listing.split(|&byte| byte == 0).filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_listed_with_their_mode() {
        let listing =
            b"100755 0123 0\ta b\x00100644 0123 0\tdir/c\td\x00120000 0123 0\tlink\x00160000 0123 0\tmodule\0bad\0";
        let expected = BTreeMap::from([(b"a b".to_vec(), true), (b"dir/c\td".to_vec(), false)]);
        assert_eq!(parse(listing), expected);
        assert!(parse(b"").is_empty());
    }
}
