//! Why a step was done, or not: lines for people, or JSON, one object for each step.

use std::io::{self, Write};

use clap::ValueEnum;
use kiln_build::{Below, Difference, Explanation, FileChange, FileChanges, Outcome};
use kiln_types::Platform;
use serde_json::{Value, json};

/// More files would hide what else there is to say.
const FILES: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Lines for people
    Text,
    /// One JSON object for each step
    Json,
}

/// A step as it is named beside its explanation.
pub(super) struct Place<'a> {
    /// Where there are several.
    pub(super) platform: Option<&'a Platform>,
    /// `2/3`; `None` for a trigger of the base image.
    pub(super) number: Option<&'a str>,
    pub(super) instruction: &'a str,
}

pub(super) fn write(
    out: &mut impl Write,
    format: Format,
    place: &Place<'_>,
    explanation: &Explanation,
) -> io::Result<()> {
    match format {
        Format::Text => {
            let platform = place.platform.map(|platform| format!("[{platform}] ")).unwrap_or_default();
            lines(explanation).iter().try_for_each(|line| match place.number {
                Some(number) => writeln!(out, "explain: {platform}step {number}: {line}"),
                None => writeln!(out, "explain: {platform}trigger `{}`: {line}", place.instruction),
            })
        }
        Format::Json => writeln!(out, "{}", object(place, explanation)),
    }
}

fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(executor) = &explanation.executor {
        lines.push(format!("{} by rule {}: {}", executor.name, executor.rule, executor.because));
    }
    match &explanation.outcome {
        Outcome::Hit => lines.push("hit".to_owned()),
        Outcome::NotWanted => lines.push("miss: --no-cache".to_owned()),
        Outcome::New => lines.push("miss: nothing like it was built before".to_owned()),
        Outcome::Lost => lines.push("miss: it was built before, but its layer is gone".to_owned()),
        Outcome::Differs(differences) => {
            for difference in differences {
                lines.push(format!("miss: {}", words(difference)));
                if let Difference::Files(FileChanges::Listed { changes, total }) = difference {
                    lines.extend(changes.iter().take(FILES).map(file));
                    let more = total.saturating_sub(FILES);
                    lines.extend((more > 0).then(|| format!("  … and {more} more")));
                }
            }
        }
    }
    lines
}

fn words(difference: &Difference) -> String {
    match difference {
        Difference::Component { text, .. } => text.clone(),
        Difference::Below(Below::Step { number: Some(number) }) => {
            format!("step {number} before it was done again, and the files are others")
        }
        Difference::Below(Below::Step { number: None }) => {
            "a trigger before it was done again, and the files are others".to_owned()
        }
        Difference::Below(Below::Moved { after }) => format!("before, it came directly after `{after}`"),
        Difference::Below(Below::Base) => "the base image has other files than before".to_owned(),
        Difference::Files(FileChanges::Listed { total: 0, .. }) => {
            "the files it takes differ in their extended attributes".to_owned()
        }
        Difference::Files(_) => "the files it takes differ".to_owned(),
    }
}

fn file(change: &FileChange) -> String {
    let FileChange { sign, path, how } = change;
    if how.is_empty() { format!("  {sign} {path}") } else { format!("  {sign} {path} ({how})") }
}

fn object(place: &Place<'_>, explanation: &Explanation) -> Value {
    let executor = explanation
        .executor
        .as_ref()
        .map(|executor| json!({ "name": executor.name, "rule": executor.rule, "because": executor.because }));
    let (hit, reason, differences) = match &explanation.outcome {
        Outcome::Hit => (true, None, &[][..]),
        Outcome::NotWanted => (false, Some("no-cache"), &[][..]),
        Outcome::New => (false, Some("new"), &[][..]),
        Outcome::Lost => (false, Some("lost"), &[][..]),
        Outcome::Differs(differences) => (false, Some("differs"), &differences[..]),
    };
    let difference = |difference: &Difference| {
        let component = match difference {
            Difference::Below(_) => "parent",
            Difference::Component { name, .. } => name,
            Difference::Files(_) => "files",
        };
        let mut object = json!({ "component": component, "text": words(difference) });
        if let Difference::Files(FileChanges::Listed { changes, total }) = difference {
            let file = |change: &FileChange| json!({ "sign": change.sign, "path": change.path, "how": change.how });
            object["files"] = changes.iter().map(file).collect();
            object["total"] = json!(total);
        }
        object
    };
    let mut object = json!({
        "step": place.number,
        "instruction": place.instruction,
        "executor": executor,
        "hit": hit,
        "reason": reason,
        "differences": differences.iter().map(difference).collect::<Vec<_>>(),
    });
    if let Some(platform) = place.platform {
        object["platform"] = platform.to_string().into();
    }
    object
}

#[cfg(test)]
mod tests {
    use kiln_build::ChosenExecutor;

    use super::*;

    fn written(format: Format, number: Option<&str>, explanation: &Explanation) -> String {
        let mut out = Vec::new();
        write(&mut out, format, &Place { platform: None, number, instruction: "COPY . /" }, explanation)
            .expect("memory");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn files_are_listed_up_to_a_bound() {
        let one = |number| FileChange { sign: '~', path: format!("/{number}"), how: "content".to_owned() };
        let files = FileChanges::Listed { changes: (0..FILES + 2).map(one).collect(), total: 100 };
        let explanation = Explanation { executor: None, outcome: Outcome::Differs(vec![Difference::Files(files)]) };
        let text = written(Format::Text, Some("2/3"), &explanation);
        assert!(
            text.starts_with(
                "explain: step 2/3: miss: the files it takes differ\nexplain: step 2/3:   ~ /0 (content)\n"
            )
        );
        assert!(text.ends_with("  ~ /19 (content)\nexplain: step 2/3:   … and 80 more\n"));
        let value: Value = serde_json::from_str(&written(Format::Json, Some("2/3"), &explanation)).expect("JSON");
        assert_eq!(value["differences"][0]["files"].as_array().map(Vec::len), Some(FILES + 2));
        assert_eq!(
            (&value["step"], &value["hit"], &value["reason"]),
            (&json!("2/3"), &json!(false), &json!("differs"))
        );
    }

    #[test]
    fn the_executor_comes_first() {
        let executor = ChosenExecutor { name: "wasi", rule: 7, because: "`sh` is not in the image".to_owned() };
        let explanation = Explanation { executor: Some(executor), outcome: Outcome::Hit };
        assert_eq!(
            written(Format::Text, None, &explanation),
            "explain: trigger `COPY . /`: wasi by rule 7: `sh` is not in the image\nexplain: trigger `COPY . /`: hit\n"
        );
    }
}
