//! The steps: each gives what it saw.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, process, thread};

/// Run a step; None if there is none of that name, or it lacks something.
pub fn run(step: &str) -> Option<io::Result<String>> {
    let mut words = step.splitn(3, ' ');
    let verb = words.next()?;
    let first = words.next();
    let rest = words.next();
    Some(match (verb, first, rest) {
        ("read", Some(path), None) => fs::read(path).map(|data| shown(&data)),
        ("read-from", Some(offset), Some(path)) => read_from(offset.parse().ok()?, path),
        ("write", Some(path), rest) => fs::write(path, rest.unwrap_or("")).map(done),
        ("append", Some(path), rest) => append(path, rest.unwrap_or("")).map(done),
        ("cut", Some(length), Some(path)) => cut(length.parse().ok()?, path).map(done),
        ("list", Some(path), None) => list(path),
        ("stat", Some(path), None) => fs::metadata(path).map(|found| {
            format!("{} bytes, directory: {}", found.len(), found.is_dir())
        }),
        ("remove", Some(path), None) => fs::remove_file(path).map(done),
        ("mkdir", Some(path), None) => fs::create_dir_all(path).map(done),
        ("rmdir", Some(path), None) => fs::remove_dir_all(path).map(done),
        ("rename", Some(old), Some(new)) => fs::rename(old, new).map(done),
        ("copy", Some(from), Some(to)) => fs::copy(from, to).map(|length| length.to_string()),
        ("link", Some(old), Some(new)) => fs::hard_link(old, new).map(done),
        ("follow", Some(path), None) => {
            fs::read_link(path).map(|target| target.display().to_string())
        }
        ("env", Some(name), None) => Ok(env::var(name).unwrap_or_else(|_| "not set".into())),
        ("env", None, None) => Ok(format!("{:?}", env::vars().collect::<Vec<_>>())),
        ("args", None, None) => Ok(format!("{:?}", env::args().collect::<Vec<_>>())),
        ("time", None, None) => Ok(format!("{:?}", since_1970())),
        ("ticks", None, None) => Ok(format!("{:?}", ticks())),
        ("sleep", Some(ms), None) => Ok(format!("{:?}", sleep(ms.parse().ok()?))),
        ("random", None, None) => Ok(random()),
        ("print", first, rest) => io::stdout().write_all(line(first, rest).as_bytes()).map(done),
        ("complain", first, rest) => io::stderr().write_all(line(first, rest).as_bytes()).map(done),
        ("input", None, None) => input(),
        ("exit", Some(code), None) => process::exit(code.parse().ok()?),
        ("panic", None, None) => panic!("asked to"),
        _ => return None,
    })
}

fn done(_: ()) -> String {
    "done".into()
}

fn shown(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) if text.len() <= 200 => format!("{text:?}"),
        _ => format!("{} bytes, sum {}", data.len(), data.iter().map(|&b| u64::from(b)).sum::<u64>()),
    }
}

fn line(first: Option<&str>, rest: Option<&str>) -> String {
    let words: Vec<&str> = first.into_iter().chain(rest).collect();
    words.join(" ") + "\n"
}

fn read_from(offset: i64, path: &str) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let whence = if offset < 0 { SeekFrom::End(offset) } else { SeekFrom::Start(offset as u64) };
    let position = file.seek(whence)?;
    let mut data = Vec::new();
    file.read_to_end(&mut data)?;
    Ok(format!("{} from {position}", shown(&data)))
}

fn append(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
}

fn cut(length: u64, path: &str) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(length)?;
    file.sync_all()
}

fn list(path: &str) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let mark = if entry.file_type()?.is_dir() { "/" } else { "" };
        names.push(format!("{}{mark}", entry.file_name().to_string_lossy()));
    }
    Ok(names.join(" "))
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the monotonic clock takes from one reading to the next.
fn ticks() -> Duration {
    let first = Instant::now();
    Instant::now() - first
}

fn sleep(milliseconds: u64) -> Duration {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(milliseconds));
    start.elapsed()
}

/// A number from the keys of a hash map, which the system's randomness makes.
fn random() -> String {
    use std::collections::hash_map::RandomState;
    use std::hash::{BuildHasher, Hasher};
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn input() -> io::Result<String> {
    let mut data = Vec::new();
    io::stdin().read_to_end(&mut data)?;
    Ok(shown(&data))
}
