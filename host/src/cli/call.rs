//! `--call=METHOD[,format=json][,ignorestatus=true]`, as buildx has it; SARIF is kiln's own.

use std::str::FromStr;

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) form: Form,
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

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Text,
    /// The document of docker build
    Json,
    /// SARIF 2.1.0, for services that show findings in code; of a check only
    Sarif,
}

impl Call {
    pub(crate) fn new(method: Method) -> Self {
        Self { method, form: Form::Text, ignore_status: false }
    }

    /// In the form that another option names.
    pub(crate) fn written(self, form: Option<Form>) -> Result<Self, String> {
        let form = form.unwrap_or(self.form);
        if form == Form::Sarif && self.method != Method::Check {
            return Err("only the findings of a check can be written as SARIF".to_owned());
        }
        Ok(Self { form, ..self })
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
                "format=json" => call.form = Form::Json,
                "format=text" => call.form = Form::Text,
                "format=sarif" => call.form = Form::Sarif,
                "ignorestatus=true" | "ignorestatus=1" => call.ignore_status = true,
                "ignorestatus=false" | "ignorestatus=0" => call.ignore_status = false,
                _ => {
                    let known = [
                        "build",
                        "check",
                        "outline",
                        "targets",
                        "format=json",
                        "format=text",
                        "format=sarif",
                        "ignorestatus=true",
                    ];
                    return Err(match kiln_dockerfile::closest(field, known) {
                        Some(guess) => format!("unknown method or option `{field}`; did you mean {guess}?"),
                        None => format!("unknown method or option `{field}`; known are {}", known.join(", ")),
                    });
                }
            }
        }
        call.written(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_options() {
        let check = Call::new(Method::Check);
        assert_eq!("check".parse(), Ok(check));
        assert_eq!("lint,format=json".parse(), Ok(Call { form: Form::Json, ..check }));
        assert_eq!(
            "format=json,check,ignorestatus=true".parse(),
            Ok(Call { form: Form::Json, ignore_status: true, ..check })
        );
        assert_eq!("targets".parse(), Ok(Call::new(Method::Targets)));
        assert!("chek".parse::<Call>().is_err_and(|message| message.contains("did you mean check?")));
        assert!("check,format=xml".parse::<Call>().is_err());
        assert_eq!("check,format=sarif".parse(), Ok(Call { form: Form::Sarif, ..check }));
        assert!("format=sarif,targets".parse::<Call>().is_err());
        assert!(Call::new(Method::Outline).written(Some(Form::Sarif)).is_err());
    }
}
