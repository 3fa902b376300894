//! Does what its arguments say with the files, variables, clocks and streams that the
//! host grants, and reports what came of each: one argument is one step, such as
//! `write out/note some text` or `env HOME`. It uses nothing but Rust's standard
//! library, whose system here is WASI preview 1.

mod manifest;
mod steps;

use sen_guest::{export_plugin, ExecuteResult, USAGE};

use crate::manifest::MANIFEST;

fn execute(args: &[&str]) -> ExecuteResult {
    let mut report = Vec::with_capacity(args.len());
    for step in args {
        match steps::run(step) {
            Some(Ok(seen)) => report.push(format!("{step}: {seen}")),
            // The kind, for the text is the libc's and not the host's.
            Some(Err(error)) => report.push(format!("{step}: failed: {:?}", error.kind())),
            None => return ExecuteResult::error(USAGE, format!("unknown step: {step}")),
        }
    }
    ExecuteResult::Success(report.join("\n"))
}

export_plugin! {
    form: Map,
    manifest: MANIFEST,
    execute: execute,
}
