//! `--call=METHOD[,format=json][,ignorestatus=true]`, as buildx has it.

use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) json: bool,
    /// Succeed although there is something to say.
    pub(crate) ignore_status: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Build,
    Check,
    Outline,
    Targets,
}

impl Call {
    pub(crate) fn new(method: Method) -> Self {
        Self { method, json: false, ignore_status: false }
    }
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut call = Self::new(Method::Build);
        for field in text.split(',') {
            match field {
                "build" => call.method = Method::Build,
                // Its name before it was called check.
                "check" | "lint" => call.method = Method::Check,
                "outline" => call.method = Method::Outline,
                "targets" => call.method = Method::Targets,
                "format=json" => call.json = true,
                "format=text" => call.json = false,
                "ignorestatus=true" | "ignorestatus=1" => call.ignore_status = true,
                "ignorestatus=false" | "ignorestatus=0" => call.ignore_status = false,
                _ => {
                    let known =
                        ["build", "check", "outline", "targets", "format=json", "format=text", "ignorestatus=true"];
                    return Err(match kiln_dockerfile::closest(field, known) {
                        Some(guess) => format!("unknown method or option `{field}`; did you mean {guess}?"),
                        None => format!("unknown method or option `{field}`; known are {}", known.join(", ")),
                    });
                }
            }
        }
        Ok(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_options() {
        let check = Call::new(Method::Check);
        assert_eq!("check".parse(), Ok(check));
        assert_eq!("lint,format=json".parse(), Ok(Call { json: true, ..check }));
        assert_eq!(
            "format=json,check,ignorestatus=true".parse(),
            Ok(Call { json: true, ignore_status: true, ..check })
        );
        assert_eq!("targets".parse(), Ok(Call::new(Method::Targets)));
        assert!("chek".parse::<Call>().is_err_and(|message| message.contains("did you mean check?")));
        assert!("check,format=xml".parse::<Call>().is_err());
    }
}
