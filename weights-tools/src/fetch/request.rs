//! One request for a file from some byte on, and what its answer means.

use std::fmt::Display;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

use super::address::Address;
use super::error::Error;

/// How many redirects are followed.
const REDIRECTS: u32 = 10;

/// A good answer.
pub(super) enum Answer {
    /// Bytes from `start` on, which is what was asked for or 0.
    Bytes {
        start: u64,
        /// The whole file's size.
        total: Option<u64>,
        /// What names this version of the file, for `If-Range`.
        validator: Option<String>,
        body: Box<dyn Read>,
    },
    /// There is nothing there: the file ends before, or just here.
    Beyond { total: Option<u64> },
}

/// Why there is no good answer.
pub(super) enum Trouble {
    /// There was no connection.
    Unreached { host: String, cause: String },
    /// It may go better next time.
    Passing(String),
    /// The answer is not about the bytes that were asked for, so next time ask for all.
    Unfit(String),
    /// Another try would end alike.
    Final(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Final(error)
    }
}

/// Asks for the file's bytes from `offset` on; from 0 on if the file is no longer the one that
/// `validator` names.
pub(super) fn request(
    address: &Address,
    offset: u64,
    validator: Option<&str>,
    stall: Duration,
) -> Result<Answer, Trouble> {
    let mut at = address.clone();
    for _ in 0..=REDIRECTS {
        let response = send(&at, offset, validator, stall)?;
        let status = response.status();
        let fail = || Trouble::Final(status_error(address, status));
        match status {
            StatusCode::OK => return Ok(whole(response)),
            StatusCode::PARTIAL_CONTENT => return part(response, offset),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let range = content_range(response.headers());
                return Ok(Answer::Beyond { total: range.and_then(|range| range.total) });
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                return Err(Trouble::Passing(format!("status {}", status.as_u16())));
            }
            _ if status.is_server_error() => {
                return Err(Trouble::Passing(format!("status {}", status.as_u16())));
            }
            _ if status.is_redirection() => {
                let location = text(response.headers(), header::LOCATION).ok_or_else(fail)?;
                at = at.follow(location)?;
            }
            _ => return Err(fail()),
        }
    }
    Err(Error::Redirects { url: address.url().to_owned(), most: REDIRECTS }.into())
}

fn status_error(address: &Address, status: StatusCode) -> Error {
    Error::Status { url: address.url().to_owned(), found: status.as_u16() }
}

fn send(
    address: &Address,
    offset: u64,
    validator: Option<&str>,
    stall: Duration,
) -> Result<Response<Body>, Trouble> {
    let config = Agent::config_builder()
        .user_agent(concat!("clrp/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        // They are followed here, where each is looked at.
        .max_redirects(0)
        .timeout_resolve(Some(stall))
        .timeout_connect(Some(stall))
        .timeout_recv_response(Some(stall))
        .timeout_per_read(Some(stall))
        .timeout_per_write(Some(stall));
    // No proxy can know what this machine is to itself.
    let config = if address.is_local() { config.proxy(None) } else { config };
    let mut request = config.build().new_agent().get(address.url());
    // A packed body would have other offsets.
    request = request.header(header::ACCEPT_ENCODING, "identity");
    if offset > 0 {
        request = request.header(header::RANGE, format!("bytes={offset}-"));
        if let Some(validator) = validator {
            request = request.header(header::IF_RANGE, validator);
        }
    }
    request.call().map_err(|error| {
        let cause = cause(&error, stall);
        if is_unreached(&error) {
            return Trouble::Unreached { host: address.host().to_owned(), cause };
        }
        Trouble::Passing(cause)
    })
}

fn whole(response: Response<Body>) -> Answer {
    Answer::Bytes {
        start: 0,
        total: response.body().content_length(),
        validator: validator(response.headers()),
        body: Box::new(response.into_body().into_reader()),
    }
}

fn part(response: Response<Body>, offset: u64) -> Result<Answer, Trouble> {
    let range = content_range(response.headers());
    let unfit = |found: &dyn Display| {
        Trouble::Unfit(format!("expected the bytes from {offset} on, found {found}"))
    };
    let range = range.ok_or_else(|| unfit(&"no range"))?;
    match range.span {
        // A file that goes on behind the range would look as if the connection broke off, and the
        // next request asks for the rest.
        Some((first, _)) if first == offset => Ok(Answer::Bytes {
            start: offset,
            total: range.total,
            validator: validator(response.headers()),
            body: Box::new(response.into_body().into_reader()),
        }),
        Some((first, last)) => Err(unfit(&format!("{first} to {last}"))),
        None => Err(unfit(&"none")),
    }
}

/// The tag of this version, unless it is a weak one, which `If-Range` must not have (RFC 9110).
fn validator(headers: &HeaderMap) -> Option<String> {
    text(headers, header::ETAG).filter(|tag| tag.starts_with('"')).map(str::to_owned)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// What a `Content-Range` says.
#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    /// The first and the last byte.
    span: Option<(u64, u64)>,
    total: Option<u64>,
}

fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    parse_range(text(headers, header::CONTENT_RANGE)?)
}

/// `bytes 5-9/10`, with `*` for what is not known. Nonsense is nothing.
fn parse_range(value: &str) -> Option<ContentRange> {
    let (span, total) = value.strip_prefix("bytes ")?.trim().split_once('/')?;
    let total = if total == "*" { None } else { Some(total.parse::<u64>().ok()?) };
    if span == "*" {
        return Some(ContentRange { span: None, total });
    }
    let (first, last) = span.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let sound = first <= last && total.is_none_or(|total| last < total);
    sound.then_some(ContentRange { span: Some((first, last)), total })
}

/// Whether no server was there to answer.
fn is_unreached(error: &ureq::Error) -> bool {
    use ureq::Error as E;
    if let E::Io(error) = error {
        // These happen to a connection that exists; a failed look-up of the name has no kind.
        return !matches!(
            error.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
        );
    }
    matches!(
        error,
        E::HostNotFound
            | E::ConnectionFailed
            | E::ConnectProxyFailed(_)
            | E::InvalidProxyUrl
            | E::Tls(_)
            | E::Rustls(_)
            | E::Timeout(Timeout::Resolve | Timeout::Connect)
    )
}

/// What happened, in one line.
fn cause(error: &ureq::Error, stall: Duration) -> String {
    let text = if let ureq::Error::Timeout(_) = error {
        format!("no answer for {stall:?}")
    } else if let ureq::Error::Io(error) = error {
        error.to_string()
    } else {
        error.to_string()
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What happened while a body was read.
pub(super) fn body_cause(error: io::Error, stall: Duration) -> String {
    cause(&ureq::Error::from(error), stall)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_or_refused() {
        let range = |span, total| Some(ContentRange { span, total });
        assert_eq!(parse_range("bytes 5-9/10"), range(Some((5, 9)), Some(10)));
        assert_eq!(parse_range("bytes 0-0/*"), range(Some((0, 0)), None));
        assert_eq!(parse_range("bytes */10"), range(None, Some(10)));
        for nonsense in [
            "",
            "bytes",
            "bytes 5-9",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes 5-/10",
            "bytes -5/10",
            "items 5-9/10",
            "bytes 5-9/99999999999999999999",
        ] {
            assert_eq!(parse_range(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_weak_tag_names_no_version() {
        let tagged = |tag: &'static str| {
            validator(&HeaderMap::from_iter([(header::ETAG, tag.parse().expect("it is ASCII"))]))
        };
        assert_eq!(tagged("\"a\"").as_deref(), Some("\"a\""));
        assert_eq!(tagged("W/\"a\""), None);
    }

    #[test]
    fn a_broken_connection_was_one() {
        let io = |kind: ErrorKind| is_unreached(&ureq::Error::Io(kind.into()));
        assert!(io(ErrorKind::ConnectionRefused) && io(ErrorKind::HostUnreachable));
        assert!(!io(ErrorKind::ConnectionReset) && !io(ErrorKind::UnexpectedEof));
        assert!(is_unreached(&ureq::Error::Timeout(Timeout::Connect)));
        assert!(!is_unreached(&ureq::Error::Timeout(Timeout::PerRead)));
    }
}
