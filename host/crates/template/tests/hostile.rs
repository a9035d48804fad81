//! Templates that want too much: each is refused within bounds of time, memory and stack.

use std::time::{Duration, Instant};

use kiln_template::{Template, Types};
use proptest::prelude::*;
use serde_json::{Value, json};

const TYPES: Types = Types { name: "row", maps: &["m"], lists: &["l"], methods: &[] };

fn data() -> Value {
    json!({ "s": "text é", "i": -7, "f": 0.1, "b": true, "n": null, "l": [1, "a", [2]], "m": { "k": { "k": 1 } } })
}

#[test]
fn what_never_ends_is_ended() {
    let doubling = "{{$x := \"aaaaaaaaaaaaaaaa\"}}{{range 100}}{{$x = print $x $x}}{{end}}";
    let kept = format!("{{{{$a := printf \"%1000000d\" 1}}}}{}", "{{$b := print $a $a}}".repeat(1000));
    for template in [
        "{{define \"x\"}}{{template \"x\" .}}{{end}}{{template \"x\" .}}".to_owned(),
        "{{define \"x\"}}{{template \"y\" .}}{{end}}{{define \"y\"}}{{template \"x\"}}{{end}}{{template \"x\" .}}".to_owned(),
        "{{define \"x\"}}{{range 9}}{{template \"x\" .}}{{end}}{{end}}{{template \"x\"}}".to_owned(),
        "{{range 9999999}}{{range 9999999}}{{end}}{{end}}".to_owned(),
        "{{range 9223372036854775807}}{{end}}".to_owned(),
        "{{range 99999}}{{printf \"%999999d\" 1}}{{end}}".to_owned(),
        "{{range 99999}}{{pad \"x\" 999999 999999}}{{end}}".to_owned(),
        "{{pad \"x\" 9223372036854775807 1}}".to_owned(),
        "{{printf \"%999999[1]d%999999[1]d\" 1 | printf \"%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s%[1]s\" | html | js | urlquery | printf \"%[1]q%[1]q%[1]q%[1]q%[1]q\" }}".to_owned(),
        doubling.to_owned(),
        kept,
        format!("{{{{{}1{}}}}}", "(".repeat(100_000), ")".repeat(100_000)),
        "{{if true}}".repeat(100_000),
        format!("{}{}", "{{if false}}{{else if true}}".repeat(10_000), "{{end}}".repeat(10_000)),
        "{{block \"x\" .}}".repeat(100_000),
    ] {
        let before = Instant::now();
        let result = Template::parse(&template).and_then(|template| template.render(&data(), &TYPES));
        let shown: String = template.chars().take(80).collect();
        assert!(result.is_err(), "{shown}");
        assert!(before.elapsed() < Duration::from_secs(20), "{shown}: {:?}", before.elapsed());
    }
}

#[test]
fn long_and_flat_is_no_crime() {
    for template in [
        format!("{{{{.m{}}}}}", ".k".repeat(10_000)),
        "{{.s}}".repeat(10_000),
        format!("{{{{print{}}}}}", " 1".repeat(10_000)),
        format!("{{{{.s{}}}}}", " | print".repeat(10_000)),
    ] {
        let parsed = Template::parse(&template).expect("a template");
        let _ = parsed.render(&data(), &TYPES);
    }
}

/// Pieces from which templates are made that are nearly right.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(
            &[
                "{{",
                "}}",
                "{{-",
                "-}}",
                " ",
                ".s",
                ".l",
                ".m.k",
                ".n",
                ".",
                "$",
                "$x",
                ":=",
                "=",
                "|",
                "(",
                ")",
                ",",
                "if",
                "else",
                "end",
                "range",
                "with",
                "define",
                "template",
                "block",
                "break",
                "continue",
                "nil",
                "true",
                "1",
                "-1",
                "1.5",
                "0x1p4",
                "'a'",
                "\"a\"",
                "`b`",
                "\"%d%q%v%*x%[2]s\"",
                "print",
                "printf",
                "index",
                "slice",
                "len",
                "and",
                "or",
                "not",
                "eq",
                "lt",
                "json",
                "split",
                "join",
                "title",
                "pad",
                "truncate",
                "html",
                "js",
                "urlquery",
                "/*",
                "*/",
                "é",
                "\n",
            ][..]
        )
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics(pieces in prop::collection::vec(piece(), 0..24)) {
        let text = pieces.concat();
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&data(), &TYPES);
            let _ = template.header(&data());
        }
    }

    #[test]
    fn no_action_panics(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = format!("{{{{{}}}}}", pieces.join(" "));
        if let Ok(template) = Template::parse(&text) {
            let _ = template.render(&data(), &TYPES);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = Template::parse(&String::from_utf8_lossy(&bytes));
        let _ = Template::parse(&format!("{{{{{}", String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn no_format_panics(format in "[%#0+\\- *.\\[\\]0-9a-zA-Zé]{0,16}", whole in any::<i64>(), float in any::<f64>()) {
        let template = Template::parse(&format!("{{{{printf {format:?} .a .b .c .d .e}}}}")).expect("a template");
        let data = json!({ "a": whole, "b": float, "c": "é\u{0}", "d": [whole, float, null], "e": true });
        let _ = template.render(&data, &TYPES);
    }

    #[test]
    fn text_without_actions_stays(text in "[^{]*") {
        prop_assert_eq!(Template::parse(&text).and_then(|template| template.render(&data(), &TYPES)), Ok(text));
    }

    #[test]
    fn numbers_are_written_as_json_has_them(whole in any::<i64>(), text in "\\PC*") {
        let data = json!({ "i": whole, "s": text });
        let template = Template::parse("{{.i}} {{printf \"%d\" .i}} {{json .s}}").expect("a template");
        let quoted = data["s"].to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        prop_assert_eq!(template.render(&data, &TYPES), Ok(format!("{whole} {whole} {quoted}")));
    }
}
