//! Search: the old index of Docker Hub, which some other registries have, too.

use kiln_fetch::Url;
use serde::Deserialize;

use crate::{Error, Registries, Result};

/// Docker Hub's index is another host than its registry.
const HUB_INDEX: &str = "https://index.docker.io";
/// A hundred results with descriptions are about 50 kB.
const LONGEST_ANSWER: u64 = 4 << 20;
/// The most that Docker Hub answers.
pub const MOST_FOUND: u32 = 100;

/// A repository that was found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Found {
    pub name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    #[serde(default, rename = "star_count")]
    pub stars: u64,
    #[serde(default)]
    pub is_official: bool,
    #[serde(default)]
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Found>,
}

/// Repositories without a description have `null`.
fn or_default<'de, D: serde::Deserializer<'de>>(input: D) -> std::result::Result<String, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

impl Registries {
    /// Repositories that have to do with `term`, those with the most stars first.
    pub fn search(&self, registry: &str, term: &str, limit: u32) -> Result<Vec<Found>> {
        let what = format!("the search for `{term}`");
        let bad = |reason: String| Error::BadAnswer { registry: registry.to_owned(), what: what.clone(), reason };
        let limit_text = limit.to_string();
        let mut unreachable = None;
        for base in self.indexes(registry) {
            let url: Url = format!("{base}/v1/search").parse().map_err(|error| bad(format!("{error}")))?;
            let url = url.with_parameters([("q", term), ("n", &limit_text)]);
            match self.get(&url, LONGEST_ANSWER) {
                Ok(bytes) => {
                    let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
                    let mut found = answer.results;
                    found.sort_by_key(|found| std::cmp::Reverse(found.stars));
                    found.truncate(limit as usize);
                    return Ok(found);
                }
                Err(Error::NotFound { .. }) => return Err(Error::NoSearch { registry: registry.to_owned() }),
                // Where nothing speaks http, something may speak https.
                Err(error @ Error::Fetch(_)) => {
                    unreachable.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(unreachable.unwrap_or_else(|| bad("there is no place to ask".to_owned())))
    }

    /// Where to ask, in order.
    fn indexes(&self, registry: &str) -> Vec<String> {
        if registry == "docker.io" {
            return vec![HUB_INDEX.to_owned()];
        }
        let mut bases = vec![format!("https://{registry}")];
        if self.hosts().of(registry).insecure {
            bases.insert(0, format!("http://{registry}"));
        }
        bases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_docker_hub() {
        let text = r#"{"num_pages":1,"results":[
            {"name":"centos","description":"The official build","star_count":7066,"is_official":true,"is_automated":false,
             "is_trusted":false},
            {"name":"a/b","description":null}]}"#;
        let answer: Answer = serde_json::from_str(text).expect("valid");
        assert_eq!((answer.results[0].stars, answer.results[0].is_official), (7066, true));
        assert_eq!((&*answer.results[1].description, answer.results[1].stars), ("", 0));
    }
}
