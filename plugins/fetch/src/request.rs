//! The command line: what to fetch, and how often to try.

/// Retries after a failure: a GET may be repeated safely, a POST may not.
const GET_RETRIES: u32 = 2;
const POST_RETRIES: u32 = 0;
const MAX_RETRIES: u32 = 10;

pub struct Request {
    pub url: String,
    pub headers: Vec<(String, String)>,
    /// The body of a POST; None for a GET.
    pub body: Option<String>,
    pub content_type: Option<String>,
    pub retries: u32,
}

impl Request {
    /// Read the arguments; the error says what is wrong with them.
    pub fn parse(args: &[&str]) -> Result<Self, String> {
        let mut url = None;
        let mut headers = Vec::new();
        let mut body = None;
        let mut content_type = None;
        let mut retries = None;

        let mut args = args.iter().copied();
        while let Some(arg) = args.next() {
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value)),
                _ => (arg, None),
            };
            let mut value =
                || inline.or_else(|| args.next()).ok_or_else(|| format!("{name} needs a value"));
            match name {
                "--retry" | "-r" => retries = Some(parse_retries(value()?)?),
                "--post" | "-p" => body = Some(value()?.to_owned()),
                "--content-type" | "-t" => content_type = Some(value()?.to_owned()),
                "--header" | "-H" => headers.push(parse_header(value()?)?),
                _ if name.starts_with('-') => return Err(format!("unknown option {name}")),
                _ if url.is_some() => return Err(format!("more than one URL: {arg}")),
                _ => url = Some(parse_url(arg)?),
            }
        }

        let default = if body.is_some() { POST_RETRIES } else { GET_RETRIES };
        if content_type.is_some() && body.is_none() {
            return Err("--content-type needs --post".to_owned());
        }
        Ok(Self {
            url: url.ok_or("no URL")?,
            headers,
            body,
            content_type,
            retries: retries.unwrap_or(default),
        })
    }
}

fn parse_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("not an http:// or https:// URL: {text}")),
    }
}

fn parse_retries(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(retries) if retries <= MAX_RETRIES => Ok(retries),
        _ => Err(format!("--retry takes a number from 0 to {MAX_RETRIES}, not {text:?}")),
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("--header takes \"Name: value\", not {text:?}")),
    }
}
