//! A WebAssembly program that looks at everything that could differ between two hosts, and writes what it saw to files.
//!
//! It is made of text, so that it can be read; where it does the same with many instructions, the text is made here. It
//! is its own child: with an argument it does a child's part.

use std::fmt::Write as _;

/// Operands that matter: zeros, the smallest and largest numbers, infinities, and NaNs of either sign, quiet and
/// signalling, with and without a payload.
const F32: [u32; 16] = [
    0,
    0x8000_0000,
    1,
    0x8000_0001,
    0x3f80_0000,
    0xbf80_0000,
    0x3fc0_0001,
    0x4f00_0000,
    0x7f7f_ffff,
    0x7f80_0000,
    0xff80_0000,
    0x7fc0_0000,
    0xffc0_0000,
    0x7fa0_0001,
    0xffe1_2345,
    0x7f80_0001,
];
const F64: [u64; 16] = [
    0,
    1 << 63,
    1,
    (1 << 63) + 1,
    0x3ff0_0000_0000_0000,
    0xbff0_0000_0000_0000,
    0x3ff8_0000_0000_0001,
    0x41e0_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_0000,
    0x7ff4_0000_0000_0001,
    0xfffc_1234_5678_9abc,
    0x7ff0_0000_0000_0001,
];

const UNARY: [&str; 7] = ["abs", "neg", "sqrt", "ceil", "floor", "trunc", "nearest"];
const BINARY: [&str; 6] = ["add", "sub", "mul", "div", "min", "max"];
/// Of one vector.
const VECTOR_UNARY: [&str; 22] = [
    "f32x4.demote_f64x2_zero",
    "f64x2.promote_low_f32x4",
    "i32x4.trunc_sat_f32x4_s",
    "i32x4.trunc_sat_f32x4_u",
    "i32x4.trunc_sat_f64x2_s_zero",
    "i32x4.trunc_sat_f64x2_u_zero",
    "f32x4.convert_i32x4_s",
    "f32x4.convert_i32x4_u",
    "f64x2.convert_low_i32x4_s",
    "f64x2.convert_low_i32x4_u",
    "i32x4.relaxed_trunc_f32x4_s",
    "i32x4.relaxed_trunc_f32x4_u",
    "i32x4.relaxed_trunc_f64x2_s_zero",
    "i32x4.relaxed_trunc_f64x2_u_zero",
    "i8x16.popcnt",
    "i16x8.extadd_pairwise_i8x16_s",
    "i32x4.extadd_pairwise_i16x8_u",
    "i64x2.extend_low_i32x4_s",
    "i8x16.abs",
    "i16x8.neg",
    "i32x4.abs",
    "i64x2.neg",
];
/// Of two.
const VECTOR_BINARY: [&str; 17] = [
    "f32x4.pmin",
    "f32x4.pmax",
    "f64x2.pmin",
    "f64x2.pmax",
    "f32x4.eq",
    "f32x4.lt",
    "f64x2.ne",
    "f64x2.ge",
    "f32x4.relaxed_min",
    "f32x4.relaxed_max",
    "f64x2.relaxed_min",
    "f64x2.relaxed_max",
    "i8x16.relaxed_swizzle",
    "i16x8.relaxed_q15mulr_s",
    "i16x8.relaxed_dot_i8x16_i7x16_s",
    "i8x16.swizzle",
    "i16x8.q15mulr_sat_s",
];
/// Of three.
const VECTOR_TERNARY: [&str; 9] = [
    "f32x4.relaxed_madd",
    "f32x4.relaxed_nmadd",
    "f64x2.relaxed_madd",
    "f64x2.relaxed_nmadd",
    "i8x16.relaxed_laneselect",
    "i16x8.relaxed_laneselect",
    "i32x4.relaxed_laneselect",
    "i64x2.relaxed_laneselect",
    "i32x4.relaxed_dot_i8x16_i7x16_add_s",
];

const IMPORTS: &str = r#"
(import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "clock_res_get" (func $clock_res_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
(import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_open"
  (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_create_directory" (func $path_create_directory (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_filestat_get"
  (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_rename" (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "path_link" (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "sock_shutdown" (func $sock_shutdown (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
(import "kiln_proc_v1" "spawn" (func $spawn (param i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
(import "kiln_proc_v1" "wait" (func $wait (param i32 i32 i32 i32) (result i32)))
(import "kiln_proc_v1" "pipe" (func $pipe (param i32 i32) (result i32)))
(import "kiln_proc_v1" "self" (func $self (result i32)))
(import "kiln_fs_v1" "stat" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
(import "kiln_fs_v1" "umask" (func $umask (param i32) (result i32)))
"#;

/// Below 4096 is scratch, at 4096 the operands, at 8192 strings, at 65536 a buffer, from 131072 on the record.
const OPERANDS_F32: u32 = 4096;
const OPERANDS_F64: u32 = 4352;
const STRINGS: u32 = 8192;
const RECORD: u32 = 131_072;
const PAGES: u32 = 64;

const HELPERS: &str = r#"
(func $note (param i32) (i32.store (global.get $at) (local.get 0)) (global.set $at (i32.add (global.get $at) (i32.const 4))))
(func $note64 (param i64) (i64.store (global.get $at) (local.get 0)) (global.set $at (i32.add (global.get $at) (i32.const 8))))
(func $note128 (param v128) (v128.store (global.get $at) (local.get 0)) (global.set $at (i32.add (global.get $at) (i32.const 16))))
(func $keep (param $from i32) (param $length i32)
  (memory.copy (global.get $at) (local.get $from) (local.get $length))
  (global.set $at (i32.add (global.get $at) (local.get $length))))
(func $read (param $fd i32) (param $length i32) (result i32)
  (i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (local.get $length)) (i32.store (i32.const 8) (i32.const 0))
  (drop (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (i32.load (i32.const 8)))
(func $write (param $fd i32) (param $from i32) (param $length i32) (result i32)
  (i32.store (i32.const 0) (local.get $from)) (i32.store (i32.const 4) (local.get $length))
  (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
;; For writing where it is made.
(func $open (param $path i32) (param $length i32) (param $how i32) (result i32)
  (i32.store (i32.const 16) (i32.const -1))
  (drop (call $path_open (i32.const 3) (i32.const 1) (local.get $path) (local.get $length) (local.get $how)
    (select (i64.const -1) (i64.const 0x4002) (i32.and (local.get $how) (i32.const 1))) (i64.const 0)
    (i32.const 0) (i32.const 16)))
  (i32.load (i32.const 16)))
;; Writes the record to a file and begins a new one.
(func $save (param $path i32) (param $length i32) (local $fd i32)
  (local.set $fd (call $open (local.get $path) (local.get $length) (i32.const 9)))
  (if (call $write (local.get $fd) (i32.const 131072) (i32.sub (global.get $at) (i32.const 131072))) (then unreachable))
  (drop (call $fd_close (local.get $fd)))
  (global.set $at (i32.const 131072)))
;; All entries of a directory, some at a time.
(func $list (param $fd i32) (local $cookie i64) (local $used i32) (local $entry i32)
  (block $done (loop $more
    (call $note (call $fd_readdir (local.get $fd) (i32.const 65536) (i32.const 100) (local.get $cookie) (i32.const 0)))
    (local.set $used (i32.load (i32.const 0)))
    (local.set $entry (i32.const 65536))
    (br_if $done (i32.lt_u (local.get $used) (i32.const 24)))
    (loop $next
      (if (i32.le_u (i32.add (local.get $entry) (i32.const 24)) (i32.add (i32.const 65536) (local.get $used))) (then
        (if (i32.le_u (i32.add (i32.add (local.get $entry) (i32.const 24)) (i32.load offset=16 (local.get $entry)))
                      (i32.add (i32.const 65536) (local.get $used))) (then
          (call $keep (local.get $entry) (i32.add (i32.const 24) (i32.load offset=16 (local.get $entry))))
          (local.set $cookie (i64.load (local.get $entry)))
          (local.set $entry (i32.add (i32.add (local.get $entry) (i32.const 24)) (i32.load offset=16 (local.get $entry))))
          (br $next))))))
    (br_if $more (i32.eq (local.get $used) (i32.const 100))))))
(func $look_at_file (param $path i32) (param $length i32)
  (memory.fill (i32.const 512) (i32.const 0) (i32.const 64))
  (call $note (call $path_filestat_get (i32.const 3) (i32.const 0) (local.get $path) (local.get $length) (i32.const 512)))
  (call $keep (i32.const 512) (i32.const 64))
  (call $note (call $stat (i32.const 3) (local.get $path) (local.get $length) (i32.const 0) (i32.const 512)))
  (call $keep (i32.const 512) (i32.const 16)))
(func $clock (param $number i32)
  (call $note (call $clock_time_get (local.get $number) (i64.const 0) (i32.const 512)))
  (call $note64 (i64.load (i32.const 512))))
;; A subscription at 256 to time, or to a descriptor.
(func $until (param $clock i32) (param $time i64) (param $flags i32)
  (memory.fill (i32.const 256) (i32.const 0) (i32.const 48))
  (i32.store (i32.const 272) (local.get $clock)) (i64.store (i32.const 280) (local.get $time))
  (i32.store16 (i32.const 296) (local.get $flags)))
(func $polled (param $count i32)
  (memory.fill (i32.const 512) (i32.const 0) (i32.const 128))
  (call $note (call $poll_oneoff (i32.const 256) (i32.const 512) (local.get $count) (i32.const 1020)))
  (call $note (i32.load (i32.const 1020)))
  (call $keep (i32.const 512) (i32.const 128)))
"#;

struct Text {
    strings: Vec<u8>,
    body: String,
    functions: String,
}

impl Text {
    fn string(&mut self, text: &str) -> String {
        let at = STRINGS as usize + self.strings.len();
        self.strings.extend_from_slice(text.as_bytes());
        format!("(i32.const {at}) (i32.const {})", text.len())
    }

    fn say(&mut self, line: &str) -> &mut Self {
        self.body.push_str(line);
        self.body.push('\n');
        self
    }

    /// With the address and length of `text` in the place of `$text`.
    fn with(&mut self, line: &str, text: &str) -> &mut Self {
        let string = self.string(text);
        self.say(&line.replace("$text", &string))
    }

    fn save(&mut self, name: &str) {
        self.with("(call $save $text)", name);
    }

    /// A function that does `instruction` with all operands.
    fn apply(&mut self, instruction: &str, operands: usize) {
        let scalar = instruction.as_bytes()[3] == b'.';
        let wide = instruction.contains("64");
        let (size, table) = if wide { (8, OPERANDS_F64) } else { (4, OPERANDS_F32) };
        let load = if scalar { format!("{}.load", &instruction[..3]) } else { "v128.load".to_owned() };
        let operand = |name: &str| {
            format!("({load} (i32.add (i32.const {table}) (i32.mul (local.get ${name}) (i32.const {size}))))")
        };
        let arguments: String = ["a", "b", "c"][..operands].iter().map(|name| operand(name)).collect();
        let applied = format!("({instruction} {arguments})");
        let noted = match (scalar, wide) {
            (true, false) => format!("(call $note (i32.reinterpret_f32 {applied}))"),
            (true, true) => format!("(call $note64 (i64.reinterpret_f64 {applied}))"),
            (false, _) => format!("(call $note128 {applied})"),
        };
        let number = self.functions.matches("(func $apply").count();
        // Vectors take the operand and those after it; there are as many to spare.
        let next = |name: &str| {
            format!(
                "(local.set ${name} (i32.add (local.get ${name}) (i32.const 1))) (br_if ${name} (i32.lt_u (local.get ${name}) (i32.const 16)))"
            )
        };
        let inner = match operands {
            1 => noted,
            2 => format!("(local.set $b (i32.const 0)) (loop $b {noted} {})", next("b")),
            // Not every triple: what comes after is enough.
            _ => format!(
                "(local.set $c (i32.xor (local.get $a) (i32.const 11))) (local.set $b (i32.const 0)) (loop $b {noted} {})",
                next("b")
            ),
        };
        let _ = writeln!(
            self.functions,
            "(func $apply{number} (local $a i32) (local $b i32) (local $c i32) (loop $a {inner} {}))",
            next("a")
        );
        self.say(&format!("(call $apply{number})"));
    }
}

fn bytes(data: &[u8]) -> String {
    data.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// The program's text. What it looks at in the image is the directory `/in`; it writes to `/out`.
pub(crate) fn program() -> String {
    let mut text = Text { strings: Vec::new(), body: String::new(), functions: String::new() };
    text.with("(drop (call $path_create_directory (i32.const 3) $text))", "out");
    numbers(&mut text);
    world(&mut text);
    directories(&mut text);
    descriptors(&mut text);
    growth(&mut text);
    children(&mut text);
    let Text { strings, body, functions } = text;
    // Operands twice, so that vectors can begin at any.
    let f32s: Vec<u8> = F32.iter().chain(&F32).flat_map(|bits| bits.to_le_bytes()).collect();
    let f64s: Vec<u8> = F64.iter().chain(&F64).flat_map(|bits| bits.to_le_bytes()).collect();
    format!(
        "(module {IMPORTS}
        (memory (export \"memory\") {PAGES}) (memory $small 1 20) (table $table 3 30 funcref)
        (global $at (mut i32) (i32.const {RECORD}))
        (data (i32.const {OPERANDS_F32}) \"{}\") (data (i32.const {OPERANDS_F64}) \"{}\")
        (data (i32.const {STRINGS}) \"{}\")
        {HELPERS} {functions}
        (func $parent (local $i i32) (local $fd i32) {body})
        {CHILD}
        (func (export \"_start\")
          (drop (call $args_sizes_get (i32.const 0) (i32.const 4)))
          (if (i32.gt_u (i32.load (i32.const 0)) (i32.const 1)) (then (call $child)) (else (call $parent)))))",
        bytes(&f32s),
        bytes(&f64s),
        bytes(&strings)
    )
}

fn numbers(text: &mut Text) {
    for kind in ["f32", "f64", "f32x4", "f64x2"] {
        UNARY.iter().for_each(|name| text.apply(&format!("{kind}.{name}"), 1));
        BINARY.iter().for_each(|name| text.apply(&format!("{kind}.{name}"), 2));
        if !kind.contains('x') {
            text.apply(&format!("{kind}.copysign"), 2);
        }
        text.save(&format!("out/numbers-{kind}"));
    }
    VECTOR_UNARY.iter().for_each(|name| text.apply(name, 1));
    VECTOR_BINARY.iter().for_each(|name| text.apply(name, 2));
    VECTOR_TERNARY.iter().for_each(|name| text.apply(name, 3));
    // Between the two kinds of float, and to whole numbers that hold them all.
    for at in 0..16 {
        let f32 = format!("(f32.load (i32.const {}))", OPERANDS_F32 + at * 4);
        let f64 = format!("(f64.load (i32.const {}))", OPERANDS_F64 + at * 8);
        text.say(&format!("(call $note64 (i64.reinterpret_f64 (f64.promote_f32 {f32})))"));
        text.say(&format!("(call $note (i32.reinterpret_f32 (f32.demote_f64 {f64})))"));
        text.say(&format!("(call $note (i32.trunc_sat_f32_s {f32})) (call $note64 (i64.trunc_sat_f64_u {f64}))"));
    }
    text.save("out/numbers-others");
}

fn world(text: &mut Text) {
    for clock in [0, 1, 1, 2, 3, 1, 4] {
        text.say(&format!("(call $clock (i32.const {clock}))"));
    }
    text.say(
        "(call $note (call $clock_res_get (i32.const 0) (i32.const 512))) (call $note64 (i64.load (i32.const 512)))",
    );
    // Five seconds, then until a time that has passed, then until one to come; none of it takes any.
    for (time, flags) in [(5_000_000_000_u64, 0), (7, 1), (60_000_000_000, 1)] {
        text.say(&format!(
            "(call $until (i32.const 1) (i64.const {time}) (i32.const {flags})) (call $polled (i32.const 1))"
        ));
        text.say("(call $clock (i32.const 1))");
    }
    text.say("(drop (call $sched_yield)) (call $clock (i32.const 0)) (call $clock (i32.const 1))");
    text.save("out/clocks");
    text.say("(call $note (call $random_get (i32.const 65536) (i32.const 100))) (call $keep (i32.const 65536) (i32.const 100))");
    text.with("(local.set $fd (call $open $text (i32.const 0)))", "dev/urandom");
    text.say("(call $note (call $read (local.get $fd) (i32.const 50))) (call $keep (i32.const 65536) (i32.const 50))");
    text.say("(drop (call $fd_close (local.get $fd)))");
    text.save("out/random");
    text.say("(drop (call $args_sizes_get (i32.const 0) (i32.const 4))) (drop (call $args_get (i32.const 1024) (i32.const 65536)))");
    text.say("(call $note (i32.load (i32.const 0))) (call $keep (i32.const 65536) (i32.load (i32.const 4)))");
    text.say("(drop (call $environ_sizes_get (i32.const 0) (i32.const 4))) (drop (call $environ_get (i32.const 1024) (i32.const 65536)))");
    text.say("(call $note (i32.load (i32.const 0))) (call $keep (i32.const 65536) (i32.load (i32.const 4)))");
    text.say("(call $note (call $self)) (call $note (call $umask (i32.const 18))) (call $note (call $sock_shutdown (i32.const 1) (i32.const 0)))");
    text.save("out/process");
}

fn directories(text: &mut Text) {
    for path in ["in", "out", "dev", "proc"] {
        text.with("(local.set $fd (call $open $text (i32.const 2)))", path);
        text.say("(call $list (local.get $fd)) (drop (call $fd_close (local.get $fd)))");
    }
    text.with("(drop (call $path_create_directory (i32.const 3) $text))", "out/d");
    // Made in an order that is none, some of them renamed, linked or removed.
    for number in (0..40).map(|number| number * 17 % 40) {
        text.with("(drop (call $fd_close (call $open $text (i32.const 1))))", &format!("out/d/{number}"));
    }
    for number in [3, 20, 39] {
        text.with("(call $note (call $path_unlink_file (i32.const 3) $text))", &format!("out/d/{number}"));
        let (from, to) = (text.string(&format!("out/d/{}", number - 1)), text.string(&format!("out/d/r{number}")));
        text.say(&format!("(call $note (call $path_rename (i32.const 3) {from} (i32.const 3) {to}))"));
        let link = text.string(&format!("out/d/l{number}"));
        text.say(&format!("(call $note (call $path_link (i32.const 3) (i32.const 0) {to} (i32.const 3) {link}))"));
    }
    text.with("(local.set $fd (call $open $text (i32.const 2)))", "out/d");
    text.say("(call $list (local.get $fd)) (call $list (local.get $fd)) (drop (call $fd_close (local.get $fd)))");
    for path in ["in/b", "in/a", "in", "out/d/7", "out/d/r20", "out/d/l20", "out", "", "in/none", "dev/null"] {
        text.with("(call $look_at_file $text)", path);
    }
    text.save("out/directories");
}

fn descriptors(text: &mut Text) {
    text.say("(local.set $fd (i32.const 0)) (loop $each
        (memory.fill (i32.const 512) (i32.const 0) (i32.const 64))
        (call $note (call $fd_fdstat_get (local.get $fd) (i32.const 512))) (call $keep (i32.const 512) (i32.const 24))
        (call $note (call $fd_filestat_get (local.get $fd) (i32.const 512))) (call $keep (i32.const 512) (i32.const 64))
        (call $note (call $fd_prestat_get (local.get $fd) (i32.const 512))) (call $keep (i32.const 512) (i32.const 8))
        (local.set $fd (i32.add (local.get $fd) (i32.const 1))) (br_if $each (i32.lt_u (local.get $fd) (i32.const 8))))");
    for _ in 0..4 {
        text.with("(call $note (call $open $text (i32.const 0)))", "in/a");
    }
    text.say("(drop (call $fd_close (i32.const 6))) (drop (call $fd_close (i32.const 5)))");
    text.say("(call $note (call $pipe (i32.const 512) (i32.const 516))) (call $keep (i32.const 512) (i32.const 8))");
    text.with("(call $note (call $open $text (i32.const 0)))", "in/a");
    text.say("(call $note (call $fd_renumber (i32.const 8) (i32.const 7))) (call $note (call $fd_renumber (i32.const 7) (i32.const 77)))");
    text.with("(call $note (call $open $text (i32.const 0)))", "in/b");
    // Of a pipe: nothing to read until a second is over; then something to read; room to write.
    let readable = "(i32.store8 (i32.const 312) (i32.const 1)) (i32.store (i32.const 320) (i32.const 5))";
    let subscribe = format!(
        "(call $until (i32.const 1) (i64.const 1000000) (i32.const 0)) (memory.fill (i32.const 304) (i32.const 0) (i32.const 48)) (i64.store (i32.const 304) (i64.const 9)) {readable}"
    );
    text.say(&subscribe).say("(call $polled (i32.const 2)) (call $clock (i32.const 1))");
    text.say("(call $note (call $write (i32.const 6) (i32.const 8192) (i32.const 10)))");
    text.say(&subscribe).say("(call $polled (i32.const 2)) (call $clock (i32.const 1))");
    text.say(
        "(call $note (call $read (i32.const 5) (i32.const 4))) (call $note (call $read (i32.const 5) (i32.const 40)))",
    );
    for fd in [5, 6, 7, 8, 9] {
        text.say(&format!("(call $note (call $fd_close (i32.const {fd})))"));
    }
    text.save("out/descriptors");
}

/// Where growing fails is the module's own doing: at its maximum, and at what 32 bits can address.
fn growth(text: &mut Text) {
    text.say(
        "(local.set $i (i32.const 0)) (loop $more
        (call $note (memory.grow $small (i32.const 3))) (call $note (memory.size $small))
        (call $note (table.grow $table (ref.null func) (i32.const 4))) (call $note (table.size $table))
        (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $more (i32.lt_u (local.get $i) (i32.const 10))))",
    );
    for pages in [0, 65_536, -1, 2] {
        text.say(&format!("(call $note (memory.grow 0 (i32.const {pages}))) (call $note (memory.size 0))"));
        if pages == 65_536 {
            text.say(&format!("(call $note (memory.grow 0 (i32.const {})))", 65_537 - PAGES));
        }
    }
    text.save("out/growth");
}

/// Each child has a pipe to write to and shares a second one and the directory with all others. Whichever comes first,
/// the sums are the same.
fn children(text: &mut Text) {
    text.say("(drop (call $pipe (i32.const 640) (i32.const 644)))");
    for child in 0..8 {
        text.say("(drop (call $pipe (i32.const 512) (i32.const 516)))");
        text.say(&format!("(i32.store (i32.const {}) (i32.load (i32.const 512)))", 700 + child * 4));
        // Its standard output, and what it shares.
        text.say(
            "(i32.store (i32.const 600) (i32.load (i32.const 516))) (i32.store (i32.const 604) (i32.const 1))
            (i32.store (i32.const 608) (i32.load (i32.const 644))) (i32.store (i32.const 612) (i32.const 5))",
        );
        let argv = text.string(&format!("/bin/torture\0{child}\0"));
        let (env, cwd) = (text.string(&format!("CHILD={child}\0")), text.string("/out"));
        text.say(&format!(
            "(call $note (call $spawn {argv} {env} {cwd} (i32.const 600) (i32.const 2) (i32.const 512)))"
        ));
        text.say("(call $note (i32.load (i32.const 512))) (drop (call $fd_close (i32.load (i32.const 600))))");
    }
    text.say("(drop (call $fd_close (i32.load (i32.const 644))))");
    for child in 0..8 {
        text.say(&format!(
            "(loop $more
            (local.set $i (call $read (i32.load (i32.const {at})) (i32.const 1000)))
            (call $keep (i32.const 65536) (local.get $i)) (br_if $more (local.get $i)))
            (drop (call $fd_close (i32.load (i32.const {at}))))",
            at = 700 + child * 4
        ));
    }
    text.save("out/children");
    // How many times each byte came through the pipe of all, and the sum of all statuses.
    text.say(
        "(memory.fill (i32.const 66560) (i32.const 0) (i32.const 1024))
        (loop $more
          (local.set $i (call $read (i32.load (i32.const 640)) (i32.const 1)))
          (if (local.get $i) (then
            (local.set $fd (i32.add (i32.const 66560) (i32.mul (i32.load8_u (i32.const 65536)) (i32.const 4))))
            (i32.store (local.get $fd) (i32.add (i32.load (local.get $fd)) (i32.const 1))) (br $more))))
        (call $keep (i32.const 66560) (i32.const 1024))
        (local.set $fd (i32.const 0))
        (loop $more (if (i32.eqz (call $wait (i32.const -1) (i32.const 0) (i32.const 512) (i32.const 516))) (then
          (local.set $fd (i32.add (local.get $fd) (i32.load (i32.const 516)))) (br $more))))
        (call $note (local.get $fd))",
    );
    text.say("(call $random_get (i32.const 65536) (i32.const 16)) drop (call $keep (i32.const 65536) (i32.const 16)) (call $clock (i32.const 1))");
    text.save("out/sums");
}

/// 512: the digit that is its argument. What it writes to standard output is larger than a pipe.
const CHILD: &str = r#"(func $child (local $i i32) (local $fd i32)
  (drop (call $args_get (i32.const 1024) (i32.const 512)))
  (i32.store8 (i32.const 700) (i32.load8_u (i32.load (i32.const 1028))))
  (drop (call $random_get (i32.const 65536) (i32.const 32))) (call $keep (i32.const 65536) (i32.const 32))
  (call $clock (i32.const 0)) (call $clock (i32.const 1)) (call $clock (i32.const 1))
  (drop (call $environ_sizes_get (i32.const 0) (i32.const 4))) (drop (call $environ_get (i32.const 1024) (i32.const 65536)))
  (call $keep (i32.const 65536) (i32.load (i32.const 4)))
  (loop $fill
    (drop (call $random_get (i32.const 65536) (i32.const 997))) (call $keep (i32.const 65536) (i32.const 997))
    ;; The same bytes to the same file, by all; and a file of its own that appears and goes.
    (i32.store (i32.const 704) (i32.const 0x2f74756f)) (i32.store (i32.const 708) (i32.const 0x656d6173))
    (local.set $fd (call $open (i32.const 704) (i32.const 8) (i32.const 1)))
    (drop (call $write (local.get $fd) (i32.const 4096) (i32.const 256))) (drop (call $fd_close (local.get $fd)))
    (i32.store8 (i32.const 708) (i32.load8_u (i32.const 700)))
    (drop (call $fd_close (call $open (i32.const 704) (i32.const 5) (i32.const 1))))
    (drop (call $path_unlink_file (i32.const 3) (i32.const 704) (i32.const 5)))
    (drop (call $write (i32.const 5) (i32.const 700) (i32.const 1)))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $fill (i32.lt_u (local.get $i) (i32.const 100))))
  ;; A file that stays.
  (drop (call $fd_close (call $open (i32.const 704) (i32.const 5) (i32.const 1))))
  (drop (call $write (i32.const 1) (i32.const 131072) (i32.sub (global.get $at) (i32.const 131072))))
  (call $proc_exit (i32.load8_u (i32.const 700))))"#;
