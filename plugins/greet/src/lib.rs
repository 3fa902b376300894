//! Greets whoever is named, in words of the caller's choice: two arguments by
//! position, both optional. Sends structs by field name.

use sen_guest::{export_plugin, ArgSpec, Capabilities, CommandSpec, ExecuteResult, PluginManifest};

const WORLD: &str = "World";
const HELLO: &str = "Hello";

static MANIFEST: PluginManifest = PluginManifest {
    api_version: sen_guest::API_VERSION,
    command: CommandSpec {
        name: "greet",
        about: "Greets a person with a custom message",
        version: Some("1.0.0"),
        author: None,
        args: &[
            ArgSpec { default_value: Some(WORLD), ..ArgSpec::new("name", "Name to greet") },
            ArgSpec {
                long: Some("greeting"),
                short: Some('g'),
                default_value: Some(HELLO),
                ..ArgSpec::new("greeting", "Custom greeting")
            },
        ],
        subcommands: &[],
    },
    capabilities: Capabilities::NONE,
};

fn execute(args: &[&str]) -> ExecuteResult {
    let name = args.first().unwrap_or(&WORLD);
    let greeting = args.get(1).unwrap_or(&HELLO);
    ExecuteResult::Success(format!("{greeting}, {name}!"))
}

// Plugins made with the upstream SDK always export plugin_resume: so does this.
export_plugin! {
    form: Map,
    manifest: MANIFEST,
    execute: execute,
    resume: sen_guest::no_effects,
}
