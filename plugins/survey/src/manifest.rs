//! What the plugin says of itself; the capabilities that the other plugins lack.

use sen_guest::{ArgSpec, CommandSpec, API_VERSION};
use serde::Serialize;

#[derive(Serialize)]
pub struct PluginManifest {
    api_version: u32,
    command: CommandSpec,
    capabilities: Capabilities,
}

#[derive(Serialize)]
struct Capabilities {
    fs_read: &'static [PathPattern],
    fs_write: &'static [PathPattern],
    env_read: &'static [&'static str],
    stdio: Stdio,
}

#[derive(Serialize)]
struct PathPattern {
    pattern: &'static str,
    recursive: bool,
}

#[derive(Serialize)]
struct Stdio {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

pub static MANIFEST: PluginManifest = PluginManifest {
    api_version: API_VERSION,
    command: CommandSpec {
        name: "survey",
        about: "Reports what files, variables, clocks and streams it can use",
        version: Some("1.0.0"),
        author: None,
        args: &[ArgSpec {
            value_name: Some("STEP"),
            ..ArgSpec::new("step", "What to do, such as \"read data/note\"; any number of them")
        }],
        subcommands: &[],
    },
    capabilities: Capabilities {
        fs_read: &[PathPattern { pattern: "./data", recursive: true }],
        fs_write: &[PathPattern { pattern: "./out", recursive: true }],
        env_read: &["SURVEY_*"],
        stdio: Stdio { stdin: true, stdout: true, stderr: true },
    },
};
