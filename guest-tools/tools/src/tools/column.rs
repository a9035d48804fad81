//! `column -t`: fields in columns.

use super::lines::split_lines;
use crate::context::{Context, Failure, Outcome, show};
use crate::options::Spec;

const SPEC: Spec = Spec {
    short: "ts:o:",
    long: &[("table", 't'), ("separator", 's'), ("output-separator", 'o')],
    operands_last: false,
};

pub fn column(context: &mut Context) -> Outcome {
    let given = SPEC.parse(context.args)?;
    if !given.has('t') {
        return Err(Failure::misuse("only -t is supported"));
    }
    let separators = given.value('s').map(<[u8]>::to_vec);
    let between = given.value('o').unwrap_or(b"  ").to_vec();
    let mut rows: Vec<Vec<Vec<u8>>> = Vec::new();
    let status = context.for_each_input(&given.operands, |_, _, text| {
        for line in split_lines(&text, b'\n') {
            let fields: Vec<Vec<u8>> = match &separators {
                Some(separators) => line.split(|byte| separators.contains(byte)).map(<[u8]>::to_vec).collect(),
                None => {
                    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).map(<[u8]>::to_vec).collect()
                }
            };
            if line.iter().any(|byte| !byte.is_ascii_whitespace()) {
                rows.push(fields);
            }
        }
        Ok(())
    })?;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |field: &[u8]| show(field).chars().count();
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|field| length(field)).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let mut line = Vec::new();
        for (index, (field, width)) in row.iter().zip(&widths).enumerate() {
            line.extend_from_slice(field);
            if index + 1 < row.len() {
                line.resize(line.len() + width - length(field), b' ');
                line.extend_from_slice(&between);
            }
        }
        line.push(b'\n');
        context.stdout.write_all(&line)?;
    }
    Ok(status)
}
