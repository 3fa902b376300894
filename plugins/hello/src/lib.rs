//! Greets whoever is named. Sends structs by position.

use sen_guest::{export_plugin, ArgSpec, Capabilities, CommandSpec, ExecuteResult, PluginManifest};

const WORLD: &str = "World";

static MANIFEST: PluginManifest = PluginManifest {
    api_version: sen_guest::API_VERSION,
    command: CommandSpec {
        name: "hello",
        about: "Says hello to the world",
        version: Some("1.0.0"),
        author: None,
        args: &[ArgSpec { default_value: Some(WORLD), ..ArgSpec::new("name", "Name to greet") }],
        subcommands: &[],
    },
    capabilities: Capabilities::NONE,
};

fn execute(args: &[&str]) -> ExecuteResult {
    let name = args.first().unwrap_or(&WORLD);
    ExecuteResult::Success(format!("Hello, {name}!"))
}

export_plugin! { form: Array, manifest: MANIFEST, execute: execute }
