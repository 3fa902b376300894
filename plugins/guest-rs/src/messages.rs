//! The messages of plugin ABI version 2, as far as these plugins use them.
//! Field order is wire order.

use serde::{Deserialize, Serialize};

pub const API_VERSION: u32 = 2;

#[derive(Serialize)]
pub struct PluginManifest {
    pub api_version: u32,
    pub command: CommandSpec,
    #[serde(skip_serializing_if = "Capabilities::is_empty")]
    pub capabilities: Capabilities,
}

#[derive(Serialize)]
pub struct CommandSpec {
    pub name: &'static str,
    pub about: &'static str,
    pub version: Option<&'static str>,
    pub author: Option<&'static str>,
    pub args: &'static [ArgSpec],
    pub subcommands: &'static [CommandSpec],
}

/// An argument by position, or an option if it has a `long` or a `short` name.
#[derive(Serialize)]
pub struct ArgSpec {
    pub name: &'static str,
    pub long: Option<&'static str>,
    pub short: Option<char>,
    pub required: bool,
    pub help: &'static str,
    pub value_name: Option<&'static str>,
    pub default_value: Option<&'static str>,
    pub possible_values: Option<&'static [&'static str]>,
}

impl ArgSpec {
    /// An optional argument by position, to be refined by struct update.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            long: None,
            short: None,
            required: false,
            help,
            value_name: None,
            default_value: None,
            possible_values: None,
        }
    }
}

/// What a plugin asks its host to allow. None of these plugins asks for more
/// than the network.
#[derive(Serialize)]
pub struct Capabilities {
    // By position, an empty field that is left out would shift the later ones:
    // a plugin that asks for anything has to use the map form.
    #[serde(skip_serializing_if = "<[NetPattern]>::is_empty")]
    pub net: &'static [NetPattern],
}

impl Capabilities {
    pub const NONE: Self = Self { net: &[] };

    fn is_empty(&self) -> bool {
        self.net.is_empty()
    }
}

#[derive(Serialize)]
pub struct NetPattern {
    pub host: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    pub protocol: Protocol,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Https,
    Http,
}

#[derive(Serialize)]
pub enum ExecuteResult {
    Success(String),
    Error { code: u8, message: String },
    Effect(Effect),
}

impl ExecuteResult {
    pub fn error(code: u8, message: impl Into<String>) -> Self {
        Self::Error { code, message: message.into() }
    }
}

/// Work for the host. Its result comes back through `resume` with the same id.
#[derive(Serialize)]
pub enum Effect {
    HttpGet {
        id: u32,
        url: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    HttpPost {
        id: u32,
        url: String,
        body: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    Sleep {
        id: u32,
        duration_ms: u64,
    },
}

#[derive(Deserialize)]
pub enum EffectResult<'a> {
    #[serde(borrow)]
    Http(HttpResponse<'a>),
    SleepComplete,
    Error(&'a str),
}

impl<'a> EffectResult<'a> {
    /// Decode what the host passed to `plugin_resume`; the error is for people.
    pub fn decode(message: &'a [u8]) -> Result<Self, String> {
        rmp_serde::from_slice(message)
            .map_err(|fault| format!("cannot decode the result of the effect: {fault}"))
    }
}

#[derive(Deserialize)]
pub struct HttpResponse<'a> {
    pub status: u16,
    pub body: &'a str,
    #[serde(borrow, default)]
    pub headers: Vec<(&'a str, &'a str)>,
}
