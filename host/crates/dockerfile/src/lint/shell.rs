//! Just enough of a shell to find the commands in a RUN: words, operators, what stands in `$(…)`. Whoever runs the
//! command understands it better; a text that is not understood has no commands.

/// Commands within commands deeper than this are not looked at.
const DEEPEST: usize = 8;

/// A simple command: its words, without assignments and words such as `then` and `sudo` before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) words: Vec<String>,
    /// It ends with a single `&`, and another command follows on the same level.
    pub(super) background: bool,
    /// In parentheses or in `$(…)`.
    pub(super) nested: bool,
}

/// Words that may stand before a command.
const BEFORE: [&str; 17] = [
    "!", "{", "if", "then", "else", "elif", "do", "while", "until", "time", "exec", "command", "builtin", "sudo",
    "env", "nice", "nohup",
];

impl Command {
    pub(super) fn name(&self) -> &str {
        let first = self.words.first().map(String::as_str).unwrap_or_default();
        first.rsplit('/').next().unwrap_or_default()
    }

    /// The first word after the name that is no option.
    pub(super) fn verb(&self) -> &str {
        let rest = self.words.iter().skip(1).map(String::as_str);
        rest.clone().find(|word| !word.starts_with('-')).unwrap_or_default()
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.words.iter().any(|found| found == word)
    }
}

/// The commands of a shell's text, in their order, with the variables that it reads outside single quotes.
pub(super) fn commands(text: &str) -> Vec<Command> {
    let mut scan = Scan { rest: text, commands: Vec::new(), depth: 0, heredocs: Vec::new() };
    scan.run(None);
    scan.commands
}

struct Scan<'a> {
    rest: &'a str,
    commands: Vec<Command>,
    depth: usize,
    /// The names of heredocs whose bodies begin with the next line.
    heredocs: Vec<String>,
}

impl Scan<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn take(&mut self, prefix: &str) -> bool {
        let found = self.rest.strip_prefix(prefix);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// Up to the end or past `stop`.
    fn run(&mut self, stop: Option<char>) {
        let (mut words, mut word): (Vec<String>, Option<String>) = (Vec::new(), None);
        while let Some(next) = self.next() {
            if Some(next) == stop {
                break;
            }
            match next {
                ' ' | '\t' => words.extend(word.take()),
                '\n' => {
                    self.end(&mut words, &mut word, false);
                    self.skip_heredocs();
                }
                ';' | ')' => self.end(&mut words, &mut word, false),
                '|' => {
                    self.take("|");
                    self.end(&mut words, &mut word, false);
                }
                '&' if self.take("&") => self.end(&mut words, &mut word, false),
                '&' if self.take(">") => self.skip_target(),
                '&' => {
                    let more = self.rest.trim_start_matches([' ', '\t']);
                    let follows = !more.is_empty() && !more.starts_with(['\n', ';', ')', '}']);
                    self.end(&mut words, &mut word, follows);
                }
                '>' | '<' => {
                    // The digits before a redirection belong to it.
                    word = word.filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
                    words.extend(word.take());
                    self.redirection(next);
                }
                '(' => {
                    self.end(&mut words, &mut word, false);
                    self.within(')');
                }
                '#' if word.is_none() => self.rest = self.rest.find('\n').map_or("", |at| &self.rest[at..]),
                '\'' => {
                    let end = self.rest.find('\'').unwrap_or(self.rest.len());
                    word.get_or_insert_default().push_str(&self.rest[..end].replace('$', "\\$"));
                    self.rest = self.rest.get(end + 1..).unwrap_or_default();
                }
                '"' => self.double_quotes(word.get_or_insert_default()),
                '\\' => word.get_or_insert_default().extend(self.next()),
                _ => self.character(next, word.get_or_insert_default()),
            }
        }
        self.end(&mut words, &mut word, false);
    }

    /// A character of a word, or a command in its place.
    fn character(&mut self, next: char, word: &mut String) {
        match next {
            '`' => self.within('`'),
            // Arithmetic has no commands.
            '$' if self.take("((") => self.rest = self.rest.split_once("))").map_or("", |(_, after)| after),
            '$' if self.take("(") => self.within(')'),
            _ => word.push(next),
        }
    }

    /// Where output goes is of no interest; where input comes from stays among the words.
    fn redirection(&mut self, next: char) {
        if next == '>' || self.take("&") {
            self.skip_target();
        } else if self.take("<") && !self.take("<") {
            let rest = self.rest.trim_start_matches(['-', ' ']);
            let end = rest.find([' ', '\t', '\n', ';', '|', '&', ')']).unwrap_or(rest.len());
            self.heredocs.push(rest[..end].replace(['\'', '"', '\\'], ""));
            self.rest = &rest[end..];
        }
    }

    fn skip_target(&mut self) {
        let rest = self.rest.trim_start_matches(['>', '|', '&', ' ', '\t']);
        let end = rest.find([' ', '\t', '\n', ';', '|', '&', ')', '<', '>']).unwrap_or(rest.len());
        self.rest = &rest[end..];
    }

    fn skip_heredocs(&mut self) {
        for name in std::mem::take(&mut self.heredocs) {
            while !self.rest.is_empty() {
                let (line, after) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = after;
                if line.trim_start_matches('\t') == name {
                    break;
                }
            }
        }
    }

    fn double_quotes(&mut self, word: &mut String) {
        while let Some(next) = self.next() {
            match next {
                '"' => return,
                '\\' => word.extend(self.next()),
                _ => self.character(next, word),
            }
        }
    }

    /// The commands up to `stop`, as commands of their own.
    fn within(&mut self, stop: char) {
        if self.depth == DEEPEST {
            self.rest = "";
            return;
        }
        self.depth += 1;
        let first = self.commands.len();
        self.run(Some(stop));
        self.commands[first..].iter_mut().for_each(|command| command.nested = true);
        self.depth -= 1;
    }

    fn end(&mut self, words: &mut Vec<String>, word: &mut Option<String>, background: bool) {
        words.extend(word.take());
        let is_assignment = |word: &str| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
        };
        let begin = words.iter().take_while(|word| BEFORE.contains(&word.as_str()) || is_assignment(word)).count();
        let own = words.split_off(begin);
        words.clear();
        if own.iter().any(|word| !word.is_empty()) {
            self.commands.push(Command { words: own, background, nested: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let show = |command: &Command| {
            let mark = if command.background { " &" } else { "" };
            command.words.join(" ") + mark
        };
        commands(text).iter().map(show).collect()
    }

    #[test]
    fn commands_are_found() {
        for (text, expected) in [
            ("apt-get update && apt-get install -y curl", &["apt-get update", "apt-get install -y curl"][..]),
            ("groupadd -r redis & useradd -r redis", &["groupadd -r redis &", "useradd -r redis"]),
            ("server &", &["server"]),
            ("a 2>&1 >x | b &>y; c >&2 d <e", &["a", "b", "c d e"]),
            ("cat <<-'E' >f; b\nc & d\n\tE\ne", &["cat", "b", "e"]),
            ("echo 'a & b' \"c & d\" e\\&f", &["echo a & b c & d e&f"]),
            ("X=1 sudo env Y=2 /usr/bin/curl -L x", &["/usr/bin/curl -L x"]),
            ("if ! test -f x; then date; fi", &["test -f x", "date", "fi"]),
            ("echo $(date +%s) `uuidgen`x", &["date +%s", "uuidgen", "echo  x"]),
            ("echo $((1 & 2))x", &["echo x"]),
            ("a # b & c\nd", &["a", "d"]),
            ("(a & b) && c", &["a &", "b", "c"]),
            ("echo 'open", &["echo open"]),
            ("", &[]),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        assert!(commands(&"$(".repeat(100_000)).len() < 2);
        assert!(commands(&"(".repeat(100_000)).len() < 2);
    }
}
