//! Search: the old index of Docker Hub, which some other registries have, too.

use kiln_fetch::encode_form;
use serde::Deserialize;

use crate::endpoint::Endpoint;
use crate::session::{Call, Target};
use crate::{Error, Registries, Result};

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
    /// Repositories that have to do with `term`, those with the most stars first. Mirrors have no index, so none is asked.
    pub fn search(&self, registry: &str, term: &str, limit: u32) -> Result<Vec<Found>> {
        let what = format!("the search for `{term}`");
        let endpoint = Endpoint::index(self.hosts(), registry);
        let session = self.unscoped(&endpoint);
        let path = format!("/search?q={}&n={limit}", encode_form(term));
        let headers = &[("accept", "application/json")];
        let response = session.send(&Call { headers, ..Call::get(Target::Base(&path), &what) })?;
        match response.status {
            200 => {}
            404 => return Err(Error::NoSearch { registry: registry.to_owned() }),
            _ => return Err(session.refusal(&what, response)),
        }
        let bytes = self.body(response, "what was found", LONGEST_ANSWER)?;
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|error| session.bad_answer(&what, error.to_string()))?;
        let mut found = answer.results;
        found.sort_by_key(|found| std::cmp::Reverse(found.stars));
        found.truncate(limit as usize);
        Ok(found)
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
