//! Templates over data, and what they give: the answers are Go's.

use kiln_template::{Template, Types};
use serde_json::{Value, json};

const TYPES: Types =
    Types { name: "image", maps: &["Labels", "Ports", "Empty"], lists: &["Tags", "Cmd", "Entrypoint"], methods: &[] };

fn data() -> Value {
    json!({
        "ID": "2fb6fc2d97e1",
        "Repository": "busybox",
        "Size": 1_239_820,
        "Big": u64::MAX,
        "Ratio": 1.5,
        "Zero": 0,
        "Yes": true,
        "No": false,
        "Nothing": null,
        "Blank": "",
        "Labels": { "com.example.vendor": "ACME", "a": "b", "list": "x,y,z" },
        "Ports": { "80/tcp": {}, "443/tcp": [{ "HostIp": "", "HostPort": "8443" }] },
        "Empty": null,
        "Tags": ["a:1", "b:2", "c:3"],
        "Cmd": ["/bin/sh", "-c", "echo \"hi\""],
        "Entrypoint": null,
        "Config": { "Env": ["A=1", "B=2"], "Labels": {}, "User": "root" },
        "Mounts": [{ "Source": "/a", "RW": true }, { "Source": "/b", "RW": false }],
        "Names": "日本, café",
    })
}

fn rendered(template: &str) -> String {
    match Template::parse(template).and_then(|template| template.render(&data(), &TYPES)) {
        Ok(text) => text,
        Err(error) => error.to_string(),
    }
}

#[test]
fn values_fields_and_variables() {
    for (template, expected) in [
        ("", ""),
        ("plain } text }}", "plain } text }}"),
        ("{{.ID}}: {{.Repository}}", "2fb6fc2d97e1: busybox"),
        ("{{.Size}} {{.Big}} {{.Ratio}} {{.Yes}}", "1239820 18446744073709551615 1.5 true"),
        ("{{.Nothing}} {{.Entrypoint}} {{.Empty}}", "<no value> [] map[]"),
        ("{{.Tags}} {{.Labels}}", "[a:1 b:2 c:3] map[a:b com.example.vendor:ACME list:x,y,z]"),
        ("{{.Labels.a}} {{.Labels.missing}} {{.Labels.missing.more}}", "b <no value> <no value>"),
        ("{{index .Labels \"com.example.vendor\"}}", "ACME"),
        ("[{{index .Labels \"missing\"}}]", "[]"),
        ("{{(index (index .Ports \"443/tcp\") 0).HostPort}}", "8443"),
        ("{{index .Tags 1}} {{(index .Mounts 1).Source}}", "b:2 /b"),
        ("{{$x := .Config}}{{$x.User}} {{$.Config.User}} {{($x).User}}", "root root root"),
        ("{{$x := 1}}{{if true}}{{$x = 2}}{{$x := 3}}{{end}}{{$x}}", "2"),
        ("{{/* nothing */}}a{{- /* trims */ -}} b", "ab"),
        ("a \n {{- .Yes -}} \n b", "atrueb"),
        ("{{ `raw\\n` }}{{ \"\\t\\u00e9\" }}{{ 'a' }} {{ 0x10 }} {{ 1e3 }} {{ -1 }}", "raw\\n\té97 16 1000 -1"),
        ("{{.Repository | upper | printf \"%s!\" | printf \"%10s\"}}", "  BUSYBOX!"),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
}

#[test]
fn control() {
    for (template, expected) in [
        ("{{if .Yes}}a{{else}}b{{end}}{{if .No}}a{{else}}b{{end}}", "ab"),
        ("{{if .Zero}}a{{else if .Blank}}b{{else if .Entrypoint}}c{{else if .Config}}d{{end}}", "d"),
        (
            "{{with .Labels.a}}{{.}}{{$.ID}}{{end}}{{with .Blank}}x{{else with .Zero}}y{{else}}z{{end}}",
            "b2fb6fc2d97e1z",
        ),
        ("{{range .Tags}}<{{.}}>{{end}}", "<a:1><b:2><c:3>"),
        ("{{range $i, $tag := .Tags}}{{if $i}}, {{end}}{{$tag}}{{end}}", "a:1, b:2, c:3"),
        ("{{range $key, $value := .Labels}}{{$key}}={{$value}};{{end}}", "a=b;com.example.vendor=ACME;list=x,y,z;"),
        ("{{range .Entrypoint}}x{{else}}none{{end}}{{range .Nothing}}x{{else}}none{{end}}", "nonenone"),
        ("{{range .Tags}}{{if eq . \"b:2\"}}{{continue}}{{end}}{{.}}{{end}}", "a:1c:3"),
        ("{{range .Tags}}{{if eq . \"b:2\"}}{{break}}{{end}}{{.}}{{end}}", "a:1"),
        ("{{range .Mounts}}{{.Source}}={{.RW}} {{end}}", "/a=true /b=false "),
        (
            "{{range $port, $conf := .Ports}}{{$port}}->{{range $conf}}{{.HostPort}}{{end}} {{end}}",
            "443/tcp->8443 80/tcp-> ",
        ),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{define \"tag\"}}<{{.}}>{{end}}{{range .Tags}}{{template \"tag\" .}}{{end}}", "<a:1><b:2><c:3>"),
        ("{{block \"b\" .Config}}{{.User}}{{end}}", "root"),
        (
            "{{define \"tree\"}}{{if .}}({{template \"tree\" slice . 1}}){{end}}{{end}}{{template \"tree\" .Tags}}",
            "((()))",
        ),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
}

#[test]
fn functions() {
    for (template, expected) in [
        ("{{json .ID}} {{json .Nothing}} {{json .Tags}}", r#""2fb6fc2d97e1" null ["a:1","b:2","c:3"]"#),
        ("{{json .Cmd}}", r#"["/bin/sh","-c","echo \"hi\""]"#),
        ("{{json .Entrypoint}} {{json \"<&>\"}}", r#"null "<&>""#),
        ("{{join .Tags \" / \"}} {{join .Cmd \",\"}}", "a:1 / b:2 / c:3 /bin/sh,-c,echo \"hi\""),
        ("{{join (split .Labels.list \",\") \"+\"}} {{join .Entrypoint \",\"}}", "x+y+z "),
        ("{{index (split .Repository \"y\") 1}} {{len (split \"abc\" \"\")}}", "box 3"),
        ("{{title \"hello wide-world o'neill _x 日本\"}}", "Hello Wide-World O'Neill _x 日本"),
        ("{{lower \"ÀB\"}} {{upper \"éb\"}}", "àb ÉB"),
        ("[{{pad .Repository 2 1}}] [{{pad .Blank 2 1}}]", "[  busybox ] []"),
        ("{{truncate .ID 4}} {{truncate .ID 40}} {{truncate .Names 4}}", "2fb6 2fb6fc2d97e1 日"),
        ("{{len .Tags}} {{len .Labels}} {{len .Names}} {{len .Entrypoint}}", "3 3 13 0"),
        ("{{print 1 2 \"a\" \"b\" 3}}|{{println .Yes .Nothing}}", "1 2a b3|true <nil>\n".replace("a b", "ab").as_str()),
        (
            "{{printf \"%-10s|%6.2f|%q|%v|%05d|%x\" .Repository .Ratio .ID .Tags 42 \"hi\"}}",
            "busybox   |  1.50|\"2fb6fc2d97e1\"|[a:1 b:2 c:3]|00042|6869",
        ),
        (
            "{{eq .Repository \"a\" \"busybox\"}} {{ne 1 2}} {{lt 1 2}} {{ge \"b\" \"a\"}} {{eq .Nothing nil}}",
            "true true true true true",
        ),
        ("{{and .Yes .Blank}}|{{or .Blank .ID}}|{{not .No}}|{{and .No (index .Tags 9)}}", "|2fb6fc2d97e1|true|false"),
        ("{{slice .ID 0 4}} {{slice .Tags 1}}", "2fb6 [b:2 c:3]"),
        (
            "{{html \"<a b='c'>\"}} {{js \"it's <b>\"}} {{urlquery \"a b&c/é\"}}",
            "&lt;a b=&#39;c&#39;&gt; it\\'s \\u003Cb\\u003E a+b%26c%2F%C3%A9",
        ),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
}

#[test]
fn errors_say_where_and_what() {
    for (template, expected) in [
        ("{{.Repo}}", r#"template: :1:2: executing "" at <.Repo>: can't evaluate field Repo in type image"#),
        (
            "a\n {{.Config.Lables}}",
            r#"template: :2:10: executing "" at <.Config.Lables>: can't evaluate field Lables in type image"#,
        ),
        ("{{.ID.x}}", r#"template: :1:5: executing "" at <.ID.x>: can't evaluate field x in type string"#),
        ("{{.Nothing.x}}", r#"template: :1:10: executing "" at <.Nothing.x>: nil pointer evaluating interface {}.x"#),
        ("{{.ID 1}}", r#"template: :1:2: executing "" at <.ID>: ID is not a method but has arguments"#),
        ("{{InvalidFunction}}", r#"template: :1: function "InvalidFunction" not defined"#),
        ("{{nil}}", r#"template: :1:2: executing "" at <nil>: nil is not a command"#),
        ("{{.ID", "template: :1: unclosed action"),
        ("{{if .ID}}", "template: :1: unexpected EOF"),
        ("x\n{{end}}", "template: :2: unexpected {{end}}"),
        ("{{$x}}", r#"template: :1: undefined variable "$x""#),
        ("{{join .ID}}", r#"template: :1:2: executing "" at <join .ID>: wrong number of args for join: want 2 got 1"#),
        (
            "{{join .ID \",\"}}",
            r#"template: :1:2: executing "" at <join .ID ",">: error calling join: expected slice, got string"#,
        ),
        (
            "{{upper .Size}}",
            r#"template: :1:8: executing "" at <.Size>: wrong type for value; expected string; got int"#,
        ),
        ("{{range .ID}}{{end}}", r#"template: :1:8: executing "" at <.ID>: range can't iterate over 2fb6fc2d97e1"#),
        (
            "{{slice \"é\" 0 1}}",
            r#"template: :1:2: executing "" at <slice "é" 0 1>: error calling slice: a slice must not cut a character in two"#,
        ),
        (
            "{{eq 1 \"a\"}}",
            r#"template: :1:2: executing "" at <eq 1 "a">: error calling eq: incompatible types for comparison"#,
        ),
        (
            "{{define \"a\"}}{{.x}}{{end}}{{template \"a\" .ID}}",
            r#"template: :1:16: executing "a" at <.x>: can't evaluate field x in type string"#,
        ),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
}

#[test]
fn a_wrong_field_is_answered_with_those_there_are() {
    let template = Template::parse("{{.Config.Lables}}").expect("a template");
    let error = template.render(&data(), &TYPES).expect_err("no such field");
    assert_eq!(error.fields(), ["Env", "Labels", "User"]);
}

#[test]
fn headers_keep_their_names() {
    let headers = json!({ "ID": "IMAGE ID", "Repository": "REPOSITORY", "Size": "SIZE" });
    for (template, expected) in [
        ("{{.ID}}\t{{.Repository}}", "IMAGE ID\tREPOSITORY"),
        ("{{lower .Repository}}\t{{truncate .ID 3}}\t{{json .Size}}", "REPOSITORY\tIMAGE ID\tSIZE"),
        ("{{.Repository | upper | printf \"%s:\"}}", "REPOSITORY:"),
        ("{{split .ID \"x\"}}{{join .Size \",\"}}", "IMAGE IDSIZE"),
        ("{{if .ID}}{{.ID}}{{else}}N/A{{end}}", "IMAGE ID"),
        ("{{.ID}}\t{{.Labels}}", "IMAGE ID\t<no value>"),
        ("{{.ID}}\t{{len 3}}\t{{.Size}}", "IMAGE ID\t"),
    ] {
        assert_eq!(Template::parse(template).expect(template).header(&headers), expected, "{template}");
    }
}

/// From the reference of Docker's commands.
#[test]
fn dockers_examples() {
    let container = json!({
        "LogPath": "/log",
        "Config": { "Image": "nginx", "Hostname": "web", "Env": ["A=1"] },
        "Os": "linux",
        "Architecture": "amd64",
        "NetworkSettings": {
            "Networks": { "bridge": { "IPAddress": "172.17.0.2", "MacAddress": "02:42" } },
            "Ports": { "80/tcp": null, "8787/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8787" }] },
        },
        "Client": { "Version": "29.0" },
        "ManagerStatus": { "Leader": true },
    });
    let types = Types { name: "container", maps: &["Networks", "Ports"], lists: &[], methods: &[] };
    for (template, expected) in [
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "172.17.0.2"),
        ("{{range .NetworkSettings.Networks}}{{.MacAddress}}{{end}}", "02:42"),
        ("{{.LogPath}} {{.Config.Image}} {{.Config.Hostname}}", "/log nginx web"),
        (
            "{{range $p, $conf := .NetworkSettings.Ports}} {{$p}} -> {{with $conf}}{{(index . 0).HostPort}}{{else}}none{{end}} {{end}}",
            " 80/tcp -> none  8787/tcp -> 8787 ",
        ),
        ("{{(index (index .NetworkSettings.Ports \"8787/tcp\") 0).HostPort}}", "8787"),
        ("{{json .Config}}", r#"{"Env":["A=1"],"Hostname":"web","Image":"nginx"}"#),
        ("{{.Os}}/{{.Architecture}} {{.Client.Version}} {{ .ManagerStatus.Leader }}", "linux/amd64 29.0 true"),
        ("{{join .Config.Env \" , \"}}", "A=1"),
        ("{{json .ManagerStatus}}", r#"{"Leader":true}"#),
        (
            "{{split .Config.Image \"i\"}} {{title .Config.Hostname}} {{upper .Os}} {{pad .Os 5 10}}|",
            "[ng nx] Web LINUX      linux          |",
        ),
    ] {
        let parsed = Template::parse(template).expect(template);
        assert_eq!(parsed.render(&container, &types).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn methods_look_into_maps() {
    let row = json!({ "ID": "1", "Label": { "a.b-c": "x", "n": "" } });
    let types = Types { name: "container", maps: &["Label"], lists: &[], methods: &["Label"] };
    for (template, expected) in [
        ("{{.Label \"a.b-c\"}}|{{.Label \"none\"}}|", "x||"),
        ("{{\"a.b-c\" | .Label | upper}}", "X"),
        ("{{if .Label \"n\"}}yes{{else}}no{{end}}", "no"),
    ] {
        assert_eq!(Template::parse(template).expect(template).render(&row, &types).as_deref(), Ok(expected));
    }
    for template in ["{{.Label}}", "{{.Label 1}}", "{{.Label \"a\" \"b\"}}", "{{.ID \"a\"}}"] {
        assert!(Template::parse(template).expect(template).render(&row, &types).is_err(), "{template}");
    }
    // The header of such a column is the last part of the key.
    let template = Template::parse("{{.ID}}\t{{.Label \"a.b-c\"}}").expect("a template");
    assert_eq!(template.header(&json!({ "ID": "CONTAINER ID" })), "CONTAINER ID\tb c");
}
