//! A server on this machine that serves one file, well or as told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What to do with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Send what was asked for.
    Well,
    /// The same, but hang up after so many bytes of the body.
    HangUp(usize),
    /// The same, but send no more after so many bytes, until the client hangs up.
    Stall(usize),
    /// Send the whole file, whatever was asked for.
    Whole,
    /// Send these bytes.
    Raw(Vec<u8>),
}

impl Act {
    /// An answer with that status line and those further lines, and a body.
    pub(crate) fn raw(status: &str, headers: &[&str], body: &[u8]) -> Self {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let head = format!("HTTP/1.1 {status}\r\n{lines}Connection: close\r\n\r\n");
        Act::Raw([head.as_bytes(), body].concat())
    }

    /// An answer with that status and nothing else.
    pub(crate) fn status(status: &str) -> Self {
        Self::raw(status, &["Content-Length: 0"], b"")
    }

    /// A redirect to that location.
    pub(crate) fn redirect(location: &str) -> Self {
        Self::raw("302 Found", &[&format!("Location: {location}"), "Content-Length: 0"], b"")
    }
}

/// What a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// The first byte of the range.
    pub(crate) from: Option<usize>,
    pub(crate) if_range: Option<String>,
}

/// A server that lives as long as the process.
pub(crate) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Serves `file` under any path: the first requests as `acts` say, all others well.
    pub(crate) fn start(file: &[u8], acts: &[Act]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, file, acts) = (Arc::clone(&asked), file.to_owned(), acts.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (seen, file, acts) = (Arc::clone(&seen), file.clone(), acts.clone());
                thread::spawn(move || {
                    // A client that leaves early is none of our business.
                    let _ = serve(stream, &seen, &file, &acts);
                });
            }
        });
        Self { address, asked }
    }

    /// The address below which the file lies.
    pub(crate) fn base(&self) -> String {
        format!("http://{}/models", self.address)
    }

    /// What was asked for so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut stream: TcpStream,
    seen: &Mutex<Vec<Asked>>,
    file: &[u8],
    acts: &[Act],
) -> std::io::Result<()> {
    let asked = read_request(&stream)?;
    let act = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.push(asked.clone());
        acts.get(seen.len() - 1).cloned().unwrap_or(Act::Well)
    };
    let from = if matches!(act, Act::Whole) { None } else { asked.from };
    let (head, body) = answer(file, from);
    match act {
        Act::Raw(bytes) => stream.write_all(&bytes),
        Act::Well | Act::Whole => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(body)
        }
        Act::HangUp(count) => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body[..count])
        }
        Act::Stall(count) => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&body[..count])?;
            stream.read(&mut [0]).map(drop)
        }
    }
}

fn read_request(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut asked = Asked::default();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("GET ") {
            asked.path = rest.split(' ').next().unwrap_or_default().to_owned();
        }
        if let Some((name, value)) = line.split_once(": ") {
            if name.eq_ignore_ascii_case("range") {
                let from = value.trim_start_matches("bytes=").trim_end_matches('-');
                asked.from = Some(from.parse().expect("a range that is open at its end"));
            } else if name.eq_ignore_ascii_case("if-range") {
                asked.if_range = Some(value.to_owned());
            }
        }
    }
    Ok(asked)
}

/// Headers and body for the file from there on.
fn answer(file: &[u8], from: Option<usize>) -> (String, &[u8]) {
    let (size, common) = (file.len(), "ETag: \"v1\"\r\nConnection: close\r\n\r\n");
    match from {
        None => (format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{common}"), file),
        Some(from) if from < size => {
            let (last, rest) = (size - 1, size - from);
            let range = format!("Content-Range: bytes {from}-{last}/{size}");
            let status = "HTTP/1.1 206 Partial Content";
            let head = format!("{status}\r\n{range}\r\nContent-Length: {rest}\r\n{common}");
            (head, &file[from..])
        }
        Some(_) => {
            let range = format!("Content-Range: bytes */{size}\r\nContent-Length: 0");
            (format!("HTTP/1.1 416 Range Not Satisfiable\r\n{range}\r\n{common}"), &[])
        }
    }
}
