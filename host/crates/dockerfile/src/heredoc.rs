//! `<<NAME` in RUN, COPY and ADD: finds the words on the line and reads the bodies below it.

use crate::expand::{Options, Quotes, lex};
use crate::lines::{Lines, Logical};
use crate::{Diagnostic, Heredoc, Span};

/// A heredoc as it stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) name: String,
    /// With the tabs that `<<-` takes away.
    pub(crate) body: String,
    expand: bool,
    strip_tabs: bool,
    span: Span,
}

impl Raw {
    pub(crate) fn content(&self) -> String {
        if !self.strip_tabs {
            return self.body.clone();
        }
        self.body.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }

    pub(crate) fn resolved(&self) -> Heredoc {
        Heredoc { name: self.name.clone(), content: self.content(), expand: self.expand, span: self.span }
    }
}

/// What a word such as `3<<-"EOF"` announces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) name: String,
    expand: bool,
    strip_tabs: bool,
}

/// None where `word` is no heredoc; Err where the quotes of its name are not closed.
pub(crate) fn announced(word: &str) -> Result<Option<Announced>, crate::ExpandError> {
    let Some(rest) = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<") else { return Ok(None) };
    let (strip_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let unset = |_: &str| None;
    let words = |quotes| {
        let options = Options { quotes, keep_unset: true, ..Options::default() };
        Ok(lex(rest, &unset, options)?.into_words())
    };
    let ([name], [quoted]) = (&words(Quotes::Remove)?[..], &words(Quotes::Keep)?[..]) else { return Ok(None) };
    // A quoted name means that its content is not expanded.
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    Ok(Some(Announced { name: name.clone(), expand: quotes(name) == quotes(quoted), strip_tabs }))
}

/// The heredocs that `line` announces, their bodies taken from `lines`.
pub(crate) fn read(line: &mut Logical, lines: &mut Lines<'_>) -> Result<Vec<Raw>, Diagnostic> {
    let options = Options { quotes: Quotes::Keep, keep_escapes: true, keep_unset: true, ..Options::default() };
    // Where quotes do not match, the shell may know better: there are no heredocs then.
    let Ok(words) = lex(&line.text, &|_| None, options) else { return Ok(Vec::new()) };
    let mut heredocs = Vec::new();
    let mut searched = 0;
    for word in words.into_words().into_iter().filter(|word| word.contains("<<")) {
        let at = line.text[searched..].find(&word).map(|found| searched + found..searched + found + word.len());
        let at = at.unwrap_or(0..line.text.len());
        searched = at.end;
        let span = line.span(at);
        let Some(found) = announced(&word).map_err(|error| error.diagnostic(span))? else { continue };
        let body = read_body(&found, lines, &mut line.heredocs_end).ok_or_else(|| {
            let message = format!("the heredoc {} does not end", crate::diagnostic::quoted(&found.name));
            let hint =
                format!("end it with a line that is {} and nothing else", crate::diagnostic::quoted(&found.name));
            Diagnostic::error("unterminated-heredoc", span, message).hint(hint)
        })?;
        let Announced { name, expand, strip_tabs } = found;
        heredocs.push(Raw { name, body, expand, strip_tabs, span });
    }
    Ok(heredocs)
}

fn read_body(heredoc: &Announced, lines: &mut Lines<'_>, end: &mut usize) -> Option<String> {
    let mut body = String::new();
    loop {
        let line = lines.next()?;
        let text = if heredoc.strip_tabs { line.text().trim_start_matches('\t') } else { line.text() };
        if text == heredoc.name {
            *end = line.span().end;
            return Some(body);
        }
        body.push_str(line.full);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_quoted_in_part() {
        for (word, name, expand, strip_tabs) in [
            ("<<EOF", "EOF", true, false),
            ("3<<-EOF", "EOF", true, true),
            ("<<'EOF'", "EOF", false, false),
            ("<<eo\"f\"", "eof", false, false),
            ("<<eo\\'f", "eo'f", true, false),
            ("<<'one two'", "one two", false, false),
            ("<<$EOF", "$EOF", true, false),
            ("<<  EOF", "EOF", true, false),
            ("<< -EOF", "-EOF", true, false),
        ] {
            let expected = Announced { name: name.to_owned(), expand, strip_tabs };
            assert_eq!(announced(word), Ok(Some(expected)), "{word}");
        }
        for word in ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh", "x<<EOF", "\"<<EOF\""] {
            assert_eq!(announced(word), Ok(None), "{word}");
        }
        for word in ["<<'EOF", "<<EOF\""] {
            assert!(announced(word).is_err(), "{word}");
        }
    }
}
