//! What a server wants to know before it answers: `WWW-Authenticate` (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// The strongest of those in the header that are understood.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut found = None;
        for (scheme, mut parameters) in challenges(header) {
            if scheme.eq_ignore_ascii_case("bearer") {
                let mut take = |name: &str| parameters.remove(name).filter(|value| !value.is_empty());
                let Some(realm) = take("realm") else { continue };
                let (service, scope) = (take("service"), take("scope"));
                return Some(Self::Bearer { realm, service, scope });
            }
            if scheme.eq_ignore_ascii_case("basic") {
                found = Some(Self::Basic);
            }
        }
        found
    }
}

/// Each scheme with its parameters, names in lower case. What is none ends the list.
fn challenges(header: &str) -> Vec<(&str, BTreeMap<String, String>)> {
    let mut found: Vec<(&str, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = token(rest);
        if word.is_empty() {
            return found;
        }
        let after = &rest[word.len()..];
        match (after.trim_start().strip_prefix('='), found.last_mut()) {
            (Some(after), Some((_, parameters))) => {
                let Some((value, after)) = value(after.trim_start()) else { return found };
                parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push((word, BTreeMap::new()));
                rest = after;
            }
        }
    }
}

/// The token (RFC 9110, section 5.6.2) that a text begins with.
fn token(text: &str) -> &str {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    &text[..text.bytes().position(|byte| !legal(byte)).unwrap_or(text.len())]
}

/// A parameter's value, quoted or not, and what follows.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Realms are URLs, and some servers do not quote them.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.to_owned(), service: own(service), scope: own(scope) })
    }

    #[test]
    fn what_servers_say() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push")),
            ),
            (r#"bearer Realm="https://a/", scope="""#, bearer("https://a/", None, None)),
            (
                r#"Basic realm="a, b \" c", Bearer realm=https://a/?b=c , service = d"#,
                bearer("https://a/?b=c", Some("d"), None),
            ),
            (r#"Basic realm="Registry""#, Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("Negotiate, Basic", Some(Challenge::Basic)),
            ("Bearer", None),
            (r#"Bearer realm="never ends"#, None),
            (r#"realm="x""#, None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in r#"[a-zB "=,\\é]{0,60}"#) {
            let _ = Challenge::parse(&header);
        }
    }
}
