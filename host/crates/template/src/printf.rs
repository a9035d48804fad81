//! Go's fmt: how values are written, alone and by the verbs of `printf`.

mod float;
mod format;
mod quote;
mod verb;

use crate::value::{Types, Val};
use format::Flags;
pub(crate) use quote::is_printable;

/// What printing needs to know, and how much it may write.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub(crate) types: &'a Types,
    pub(crate) bytes: usize,
}

/// More was to be written than is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMuch;

/// What Go calls `Sprint`: spaces only between values of which neither is text.
pub(crate) fn print(values: &[Val<'_>], limits: Limits<'_>) -> Result<String, TooMuch> {
    let mut printer = Printer { out: String::new(), limits };
    let mut text_before = true;
    for value in values {
        let is_text = matches!(value, Val::Text(_));
        if !text_before && !is_text {
            printer.push(" ")?;
        }
        printer.plain(value)?;
        text_before = is_text;
    }
    Ok(printer.out)
}

/// What Go calls `Sprintln`.
pub(crate) fn println(values: &[Val<'_>], limits: Limits<'_>) -> Result<String, TooMuch> {
    let mut printer = Printer { out: String::new(), limits };
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            printer.push(" ")?;
        }
        printer.plain(value)?;
    }
    printer.push("\n")?;
    Ok(printer.out)
}

/// What Go calls `Sprintf`.
pub(crate) fn printf(format: &str, values: &[Val<'_>], limits: Limits<'_>) -> Result<String, TooMuch> {
    let mut printer = Printer { out: String::new(), limits };
    format::run(&mut printer, format, values)?;
    Ok(printer.out)
}

struct Printer<'a> {
    out: String,
    limits: Limits<'a>,
}

impl Printer<'_> {
    fn push(&mut self, text: &str) -> Result<(), TooMuch> {
        self.out.push_str(text);
        if self.out.len() > self.limits.bytes { Err(TooMuch) } else { Ok(()) }
    }

    fn plain(&mut self, value: &Val<'_>) -> Result<(), TooMuch> {
        self.verb(value, 'v', &Flags::default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::value::Shape;

    const TYPES: Types = Types { name: "row", maps: &[], lists: &[], methods: &[] };
    const LIMITS: Limits<'_> = Limits { types: &TYPES, bytes: 1 << 22 };

    fn written(format: &str, values: &[Value]) -> String {
        let values: Vec<Val<'_>> = values.iter().map(|json| Val::of(json, Shape::Map)).collect();
        printf(format, &values, LIMITS).expect("short")
    }

    /// What Go 1.26 answers.
    #[test]
    fn verbs_are_gos() {
        for (format, values, expected) in [
            ("%d", json!([12345]), "12345"),
            ("%v", json!([12345]), "12345"),
            ("%t", json!([true]), "true"),
            ("%s", json!(["abc"]), "abc"),
            ("%q", json!(["abc"]), r#""abc""#),
            ("%#q", json!(["abc"]), "`abc`"),
            ("%#q", json!(["a`c"]), r#""a`c""#),
            ("%+q", json!(["日本語\u{ffff}"]), r#""\u65e5\u672c\u8a9e\uffff""#),
            ("%q", json!(["\u{7}\n\u{ff}\\\""]), r#""\a\nÿ\\\"""#),
            ("%x", json!(["xyz"]), "78797a"),
            ("%X", json!(["xyz"]), "78797A"),
            ("% x", json!(["xyz"]), "78 79 7a"),
            ("%# x", json!(["xyz"]), "0x78 0x79 0x7a"),
            ("%#x", json!(["xyz"]), "0x78797a"),
            ("%.2x", json!(["xyz"]), "7879"),
            ("%5s", json!(["abc"]), "  abc"),
            ("%-5s|", json!(["abc"]), "abc  |"),
            ("%05s", json!(["abc"]), "00abc"),
            ("%5s", json!(["日本"]), "   日本"),
            ("%.2s", json!(["日本語"]), "日本"),
            ("%.0s", json!(["abc"]), ""),
            ("%8q", json!(["abc"]), r#"   "abc""#),
            ("%.3q", json!(["日本語日本語"]), r#""日本語""#),
            ("%c", json!([0x65e5]), "日"),
            ("%q", json!([0x65e5]), "'日'"),
            ("%+q", json!([0x65e5]), r"'\u65e5'"),
            ("%q", json!([10]), r"'\n'"),
            ("%U", json!([0x1f600]), "U+1F600"),
            ("%#U", json!([0x1f600]), "U+1F600 '😀'"),
            ("%U", json!([10]), "U+000A"),
            ("%#.6U", json!([0x65e5]), "U+0065E5 '日'"),
            ("%b", json!([7]), "111"),
            ("%#b", json!([7]), "0b111"),
            ("%o", json!([668]), "1234"),
            ("%#o", json!([668]), "01234"),
            ("%O", json!([668]), "0o1234"),
            ("%x", json!([-255]), "-ff"),
            ("%#X", json!([255]), "0XFF"),
            ("%+d", json!([5]), "+5"),
            ("% d", json!([5]), " 5"),
            ("%08d", json!([-12]), "-0000012"),
            ("%-08d|", json!([-12]), "-12     |"),
            ("%+08d", json!([12]), "+0000012"),
            ("%.4d", json!([-12]), "-0012"),
            ("%8.4d", json!([-12]), "   -0012"),
            ("%08.4d", json!([-12]), "   -0012"),
            ("%.0d", json!([0]), ""),
            ("%6.0d|", json!([0]), "      |"),
            ("%d", json!([u64::MAX]), "18446744073709551615"),
            ("%*d", json!([6, 42]), "    42"),
            ("%-*d|", json!([4, 42]), "42  |"),
            ("%*d|", json!([-4, 42]), "42  |"),
            ("%.*f", json!([2, 1.2345]), "1.23"),
            ("%e", json!([1.0]), "1.000000e+00"),
            ("%E", json!([123_456.789]), "1.234568E+05"),
            ("%.3e", json!([-1e-9]), "-1.000e-09"),
            ("%f", json!([1234.5678]), "1234.567800"),
            ("%.0f", json!([2.5]), "2"),
            ("%#.0f", json!([2.5]), "2."),
            ("%8.2f", json!([-1.5]), "   -1.50"),
            ("%08.2f", json!([-1.5]), "-0001.50"),
            ("%+.1f", json!([1.25]), "+1.2"),
            ("% .1f", json!([1.25]), " 1.2"),
            ("%g", json!([100_000.5]), "100000.5"),
            ("%g", json!([1_000_000.0]), "1e+06"),
            ("%g", json!([1e-5]), "1e-05"),
            ("%G", json!([1e-7]), "1E-07"),
            ("%.3g", json!([1234.5]), "1.23e+03"),
            ("%.3g", json!([0.00012345]), "0.000123"),
            ("%.10g", json!([1.5]), "1.5"),
            ("%#.4g", json!([1.5]), "1.500"),
            ("%#g", json!([1e6]), "1.00000e+06"),
            ("%v", json!([1.5e300]), "1.5e+300"),
            ("%v", json!([[1, "a", null, 1.5, true]]), "[1 a <nil> 1.5 true]"),
            ("%q", json!([["a", "b"]]), r#"["a" "b"]"#),
            ("%03d", json!([[1, 2]]), "[001 002]"),
            ("%v", json!([{"b": 2, "a": [1]}]), "map[a:[1] b:2]"),
            ("%s", json!([{"b": "2", "a": "1"}]), "map[a:1 b:2]"),
            (
                "%#v",
                json!(["a", 1, [1, "b"], {"k": null}, 2.0]),
                "\"a\"%!(EXTRA int=1, []interface {}=[1 b], map[string]interface {}=map[k:<nil>], float64=2)",
            ),
            (
                "%#v",
                json!([[1, "b", 2.0, {"k": null}]]),
                r#"[]interface {}{1, "b", 2, map[string]interface {}{"k":interface {}(nil)}}"#,
            ),
            (
                "%T %T %T %T %T",
                json!([1, "a", 1.5, [], {}]),
                "int string float64 []interface {} map[string]interface {}",
            ),
            ("%v %s %d %T", json!([null, null, null, null]), "<nil> %!s(<nil>) %!d(<nil>) <nil>"),
            ("%5t|%-7t|", json!([true, false]), " true|false  |"),
            ("100%%", json!([]), "100%"),
            ("%z", json!([1]), "%!z(int=1)"),
            ("%d", json!(["hi"]), "%!d(string=hi)"),
            ("%s", json!([23]), "%!s(int=23)"),
            ("%s", json!([true]), "%!s(bool=true)"),
            ("%d", json!([1.5]), "%!d(float64=1.5)"),
            ("%d", json!([]), "%!d(MISSING)"),
            ("%d %d", json!([1]), "1 %!d(MISSING)"),
            ("%d", json!([1, 2, "x"]), "1%!(EXTRA int=2, string=x)"),
            ("%", json!([]), "%!(NOVERB)"),
            ("%-", json!([]), "%!(NOVERB)"),
            ("%*d", json!(["a", 1]), "%!(BADWIDTH)1"),
            ("%.*d", json!(["a", 1]), "%!(BADPREC)1"),
            ("%.*d", json!([-1, 1]), "%!(BADPREC)1"),
            ("%[2]d %[1]d", json!([1, 2]), "2 1"),
            ("%[1]d %d", json!([1, 2]), "1 2"),
            ("%[2]*[1]d", json!([12, 5]), "   12"),
            ("%[3]d", json!([1]), "%!d(BADINDEX)"),
            ("%[]d", json!([1]), "%!d(BADINDEX)"),
            ("%[x]d", json!([1]), "%!d(BADINDEX)"),
            ("%[1", json!([1]), "%!(NOVERB)"),
            ("%1000001d", json!([1]), "%!(NOVERB)%!(EXTRA int=1)"),
            ("é%dé", json!([1]), "é1é"),
            ("%é", json!([1]), "%!é(int=1)"),
        ] {
            let Value::Array(values) = values else { unreachable!("a list") };
            assert_eq!(written(format, &values), expected, "{format} {values:?}");
        }
    }

    #[test]
    fn operands_are_parted_as_go_does() {
        let values = [json!(1), json!(2), json!("a"), json!("b"), json!(3), json!(null)];
        let values: Vec<Val<'_>> = values.iter().map(|json| Val::of(json, Shape::Map)).collect();
        assert_eq!(print(&values, LIMITS).as_deref(), Ok("1 2a b3 <nil>".replace("a b", "ab").as_str()));
        assert_eq!(println(&values, LIMITS).as_deref(), Ok("1 2 a b 3 <nil>\n"));
    }

    #[test]
    fn nobody_fills_the_memory() {
        let limits = Limits { bytes: 1000, ..LIMITS };
        assert_eq!(printf("%999999d", &[Val::Whole(1)], limits), Err(TooMuch));
        assert_eq!(print(&vec![Val::Whole(1); 600], limits), Err(TooMuch));
    }
}
