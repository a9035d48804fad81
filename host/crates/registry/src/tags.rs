//! The tags of a repository, page by page.

use kiln_fetch::{Response, Url};
use kiln_types::Reference;
use serde::Deserialize;

use crate::answer::body;
use crate::session::{Call, Session, Target};
use crate::{Error, Result};

const LONGEST_PAGE: u64 = 8 << 20;
const MOST_TAGS: usize = 100_000;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

impl Session<'_> {
    pub(crate) fn tags(&self, name: &Reference) -> Result<Vec<String>> {
        let what = format!("the tags of {}", name.familiar_name());
        let mut tags: Vec<String> = Vec::new();
        let mut next: Option<Url> = None;
        loop {
            let target = next.as_ref().map_or(Target::Repository("/tags/list?n=1000"), Target::Url);
            let response = self.expect(&Call::get(target, &what), &[200])?;
            let following = self.following(&what, &response)?;
            let bytes = body(self.client, response, &what, LONGEST_PAGE)?;
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|_| self.bad_answer(&what, "it is no list of tags"))?;
            let page = page.tags.unwrap_or_default();
            // A registry that always knows of one more page would be asked for ever.
            let ends = page.is_empty();
            for tag in page {
                if format!("{}/{}:{tag}", name.registry, name.repository).parse::<Reference>().is_err() {
                    return Err(self.bad_answer(&what, "a tag in it is none"));
                }
                tags.push(tag);
            }
            if tags.len() > MOST_TAGS {
                return Err(Error::TooManyTags { what, limit: MOST_TAGS });
            }
            let is_new = |url: &Url| next.as_ref() != Some(url);
            next = following.filter(|url| !ends && is_new(url));
            if next.is_none() {
                return Ok(tags);
            }
        }
    }

    /// `Link: </v2/a/tags/list?n=1000&last=b>; rel="next"` (RFC 8288).
    fn following(&self, what: &str, response: &Response) -> Result<Option<Url>> {
        let Some(link) = response.header("link").and_then(next_link) else { return Ok(None) };
        let url = response.url.join(link).map_err(|error| self.bad_answer(what, error.0))?;
        if url.same_origin(&response.url) { Ok(Some(url)) } else { Err(self.bad_answer(what, "it goes on elsewhere")) }
    }
}

fn next_link(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let mut parameters = parameters.split(';').map(str::trim);
        parameters.any(|parameter| matches!(parameter, "rel=next" | "rel=\"next\"")).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_next_page() {
        for (header, expected) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("/v2/a/tags/list?last=b&n=2")),
            ("</a>; rel=prev, <b>;rel=next", Some("b")),
            ("</a>; rel=prev", None),
            ("</a>", None),
            ("nonsense", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }
}
