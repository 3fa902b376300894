//! Fetches a URL by way of the host, for a plugin has no network of its own.
//!
//! A run is a small state machine that lives between calls. `execute` asks for
//! the request and returns; every `resume` brings the result of one effect and
//! takes the run to its next effect or to its end. A server's error and a failed
//! request are tried again after a pause, as often as the caller allows. Several
//! runs may be under way at once: each effect has an id of its own.

mod request;

use std::sync::{Mutex, MutexGuard, PoisonError};

use request::Request;
use sen_guest::{
    export_plugin, ArgSpec, Capabilities, CommandSpec, Effect, EffectResult, ExecuteResult,
    HttpResponse, NetPattern, PluginManifest, Protocol, FAILURE, USAGE,
};

const PAUSE_MS: u64 = 100;
/// How much of a body is shown, in characters.
const EXCERPT_CHARS: usize = 200;
/// A host may abandon a run without a word: beyond this many, the oldest goes.
const MAX_PENDING: usize = 64;

static MANIFEST: PluginManifest = PluginManifest {
    api_version: sen_guest::API_VERSION,
    command: CommandSpec {
        name: "fetch",
        about: "Fetches a URL, with retries",
        version: Some("1.0.0"),
        author: None,
        args: &[
            ArgSpec {
                required: true,
                value_name: Some("URL"),
                ..ArgSpec::new("url", "What to fetch: an http:// or https:// URL")
            },
            ArgSpec {
                long: Some("retry"),
                short: Some('r'),
                value_name: Some("N"),
                ..ArgSpec::new(
                    "retry",
                    "Retries, 0 to 10; 2 for a GET and 0 for a POST if not given",
                )
            },
            ArgSpec {
                long: Some("post"),
                short: Some('p'),
                value_name: Some("BODY"),
                ..ArgSpec::new("post", "Send BODY in a POST instead of a GET")
            },
            ArgSpec {
                long: Some("content-type"),
                short: Some('t'),
                value_name: Some("TYPE"),
                ..ArgSpec::new("content-type", "Content type of the POST")
            },
            ArgSpec {
                long: Some("header"),
                short: Some('H'),
                value_name: Some("HEADER"),
                ..ArgSpec::new(
                    "header",
                    "A header for the request, \"Name: value\"; may be repeated",
                )
            },
        ],
        subcommands: &[],
    },
    capabilities: Capabilities {
        net: &[
            NetPattern { host: "*", port: None, protocol: Protocol::Https },
            NetPattern { host: "*", port: None, protocol: Protocol::Http },
        ],
    },
};

enum Waiting {
    ForResponse,
    ForPause,
}

struct Run {
    request: Request,
    attempts: u32,
    waiting: Waiting,
}

struct Pending {
    runs: Vec<(u32, Run)>,
    last_id: u32,
}

static PENDING: Mutex<Pending> = Mutex::new(Pending { runs: Vec::new(), last_id: 0 });

fn pending() -> MutexGuard<'static, Pending> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pending {
    /// Keep a run until the effect with the returned id is done.
    fn keep(&mut self, run: Run) -> u32 {
        if self.runs.len() == MAX_PENDING {
            self.runs.remove(0);
        }
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.runs.iter().any(|(id, _)| *id == self.last_id) {
                break;
            }
        }
        self.runs.push((self.last_id, run));
        self.last_id
    }

    fn take(&mut self, effect_id: u32) -> Option<Run> {
        let at = self.runs.iter().position(|(id, _)| *id == effect_id)?;
        Some(self.runs.remove(at).1)
    }
}

impl Run {
    fn send(mut self) -> ExecuteResult {
        self.attempts += 1;
        self.waiting = Waiting::ForResponse;
        let url = self.request.url.clone();
        let headers = self.request.headers.clone();
        let content_type = self.request.content_type.clone();
        let post = self.request.body.clone();
        let id = pending().keep(self);
        ExecuteResult::Effect(match post {
            Some(body) => Effect::HttpPost { id, url, body, content_type, headers },
            None => Effect::HttpGet { id, url, headers },
        })
    }

    fn pause_or_fail(mut self, reason: &str) -> ExecuteResult {
        if self.attempts > self.request.retries {
            return self.fail(reason);
        }
        self.waiting = Waiting::ForPause;
        let id = pending().keep(self);
        ExecuteResult::Effect(Effect::Sleep { id, duration_ms: PAUSE_MS })
    }

    fn fail(&self, reason: &str) -> ExecuteResult {
        let Self { request: Request { url, .. }, attempts, .. } = self;
        let times = if *attempts == 1 { "attempt" } else { "attempts" };
        ExecuteResult::error(FAILURE, format!("{url}: {reason} ({attempts} {times})"))
    }

    fn on_response(self, response: &HttpResponse<'_>) -> ExecuteResult {
        match response.status {
            200..=299 => ExecuteResult::Success(summary(&self.request.url, response)),
            status @ 500..=599 => self.pause_or_fail(&format!("status {status}")),
            status => self.fail(&format!("status {status}")),
        }
    }
}

/// One line about the response, then the beginning of its body.
fn summary(url: &str, response: &HttpResponse<'_>) -> String {
    let HttpResponse { status, body, headers } = response;
    let mut text = format!("{status} {url} ({} bytes", body.len());
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some((_, value)) = content_type {
        text.push_str(", ");
        text.push_str(value);
    }
    text.push(')');
    if !body.is_empty() {
        text.push('\n');
        match body.char_indices().nth(EXCERPT_CHARS) {
            Some((end, _)) => {
                text.push_str(&body[..end]);
                text.push_str("...");
            }
            None => text.push_str(body),
        }
    }
    text
}

fn execute(args: &[&str]) -> ExecuteResult {
    match Request::parse(args) {
        Ok(request) => Run { request, attempts: 0, waiting: Waiting::ForResponse }.send(),
        Err(fault) => ExecuteResult::error(USAGE, fault),
    }
}

fn resume(effect_id: u32, message: &[u8]) -> ExecuteResult {
    let run = match pending().take(effect_id) {
        Some(run) => run,
        None => return sen_guest::no_effects(effect_id, message),
    };
    let result = match EffectResult::decode(message) {
        Ok(result) => result,
        Err(fault) => return run.fail(&fault),
    };
    match (&run.waiting, result) {
        (Waiting::ForResponse, EffectResult::Http(response)) => run.on_response(&response),
        (Waiting::ForResponse, EffectResult::Error(reason)) => run.pause_or_fail(reason),
        (Waiting::ForPause, EffectResult::SleepComplete) => run.send(),
        (Waiting::ForPause, EffectResult::Error(reason)) => run.fail(reason),
        _ => run.fail("the host answered with the result of another kind of effect"),
    }
}

export_plugin! { form: Map, manifest: MANIFEST, execute: execute, resume: resume }
