//! Which images of an index are wanted.

use kiln_image::Descriptor;
use kiln_image::manifest::is_manifest_list;
use kiln_types::Platform;

use crate::{Error, PullOptions, Result};

pub(crate) struct Choice<'a> {
    /// The one that is taken where none is asked for.
    pub(crate) image: &'a Descriptor,
    /// What else comes along.
    pub(crate) further: Vec<&'a Descriptor>,
}

/// Picks what the options want of what an index lists: `what` is the name of it all, for messages.
pub(crate) fn choose<'a>(what: &str, entries: &'a [Descriptor], options: &PullOptions) -> Result<Choice<'a>> {
    let images: Vec<&Descriptor> = entries.iter().filter(|entry| entry.is_image()).collect();
    let of = |platform: &Platform| {
        let served = images.iter().filter_map(|image| Some((platform.rank(image.platform.as_ref()?)?, *image)));
        served.min_by_key(|&(rank, _)| rank).map(|(_, image)| image)
    };
    let image = match &options.platform {
        Some(platform) => of(platform),
        None => of(&Platform::host())
            .or_else(|| of(&Platform::wasi()))
            .or_else(|| images.first().copied().filter(|_| images.len() == 1 || options.all_platforms)),
    };
    let Some(image) = image else {
        if entries.iter().any(|entry| is_manifest_list(&entry.media_type)) {
            return Err(Error::NestedIndex { what: what.to_owned() });
        }
        return Err(Error::NoPlatform {
            what: what.to_owned(),
            wanted: options.platform.clone().unwrap_or_else(Platform::host),
            offered: images.iter().filter_map(|image| image.platform.clone()).collect(),
        });
    };
    let further = match options.all_platforms {
        true => entries.iter().filter(|entry| !std::ptr::eq(*entry, image)).collect(),
        false => Vec::new(),
    };
    Ok(Choice { image, further })
}

#[cfg(test)]
mod tests {
    use kiln_types::Digest;

    use super::*;

    fn index(platforms: &[&str]) -> Vec<Descriptor> {
        let entry = |platform: &&str| {
            let parts: Vec<&str> = platform.split('/').collect();
            Descriptor {
                platform: Some(Platform::new(parts[0], parts[1])),
                ..Descriptor::new("application/vnd.oci.image.manifest.v1+json", Digest::of(platform), 1)
            }
        };
        platforms.iter().map(entry).collect()
    }

    #[test]
    fn what_may_be_in_an_index_within_is_not_said_to_be_missing() {
        let mut index = index(&["plan9/386"]);
        index[0].media_type = "application/vnd.oci.image.index.v1+json".to_owned();
        let refused = choose("x", &index, &PullOptions::default()).err();
        assert!(matches!(refused, Some(Error::NestedIndex { .. })), "{refused:?}");
    }

    #[test]
    fn what_is_taken() {
        let host = Platform::host().to_string();
        let host = host.as_str();
        for (offered, wanted, all, expected) in [
            (&["plan9/386", "wasip1/wasm", host][..], None, false, Ok((host, 0))),
            (&["plan9/386", "wasip1/wasm"], None, false, Ok(("wasip1/wasm", 0))),
            (&["unknown/unknown", "plan9/386"], None, false, Ok(("plan9/386", 0))),
            (&["plan9/386", "plan9/arm"], None, false, Err("plan9/386, plan9/arm")),
            (&["plan9/386", "plan9/arm"], None, true, Ok(("plan9/386", 1))),
            (&["plan9/386", host, "unknown/unknown"], None, true, Ok((host, 2))),
            (&["plan9/386", host], Some("plan9/386"), false, Ok(("plan9/386", 0))),
            (&[host], Some("plan9/386"), false, Err(host)),
            (&["unknown/unknown"], None, true, Err("none")),
            (&[], None, false, Err("none")),
        ] {
            let index = index(offered);
            let platform = wanted.map(|wanted| wanted.parse().expect("a platform"));
            let options = PullOptions { platform, all_platforms: all, ..PullOptions::default() };
            match (choose("x", &index, &options), expected) {
                (Ok(choice), Ok((image, further))) => {
                    assert_eq!((choice.image.digest, choice.further.len()), (Digest::of(image), further));
                }
                (Err(error), Err(expected)) => assert!(error.to_string().ends_with(expected), "{error}"),
                (Ok(choice), Err(_)) => panic!("{offered:?}: {:?}", choice.image),
                (Err(error), Ok(_)) => panic!("{offered:?}: {error}"),
            }
        }
    }
}
