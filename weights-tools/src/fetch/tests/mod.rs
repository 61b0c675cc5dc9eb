//! Downloads from servers that behave, and from those that do not.

mod disk;
mod server;

use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{Error, Fetched, Phase, Progress, Result, Settings, Source, fetch_with};
use server::{Act, Asked, Server};

/// A folder to fetch into, and the file to fetch.
struct Place {
    folder: TempDir,
    bytes: Vec<u8>,
    file: String,
}

impl Place {
    fn new() -> Self {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let bytes: Vec<u8> = (0..300_000).map(|_| next()).collect();
        let hash = Sha256::digest(&bytes);
        let digits: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, bytes, file: format!("toy-{digits}.pth") }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join(&self.file)
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join(format!("{}.part", self.file))
    }

    fn serve(&self, acts: &[Act]) -> Server {
        Server::start(&self.bytes, acts)
    }

    fn source(&self, server: &Server) -> Source {
        Source::new(&server.base(), &self.file, Some(300_000)).expect("it is on this machine")
    }

    fn fetch(&self, server: &Server) -> Result<Fetched> {
        self.fetch_watched(server, |_| ControlFlow::Continue(()))
    }

    fn fetch_watched(
        &self,
        server: &Server,
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Fetched> {
        let settings = Settings {
            stall: Duration::from_millis(400),
            retries: 3,
            pause: Duration::from_millis(2),
        };
        fetch_with(&settings, &self.source(server), self.folder.path(), progress)
    }

    /// The right file is there, and nothing else but its lock.
    fn assert_good(&self, fetched: Result<Fetched>) {
        let fetched = fetched.expect("it is fetched");
        assert_eq!((&fetched.path, fetched.bytes), (&self.target(), 300_000));
        assert_eq!(fetched.sha256[..8], self.file[4..12]);
        assert!(fs::read(self.target()).expect("it is there") == self.bytes);
        assert!(!self.part().exists());
    }

    /// Nothing has the file's name, and the error says this.
    fn assert_bad(&self, fetched: Result<Fetched>, said: &str) -> Error {
        let error = fetched.expect_err("it is not fetched");
        let line = error.to_string();
        assert!(line.contains(said) && !line.contains('\n'), "{line}");
        assert!(!self.target().exists());
        error
    }
}

/// The first byte that each request asked for.
fn offsets(server: &Server) -> Vec<Option<usize>> {
    server.asked().iter().map(|asked| asked.from).collect()
}

#[test]
fn a_file_is_fetched_once() {
    let place = Place::new();
    let server = place.serve(&[]);
    let mut seen = Vec::new();
    let mut watch = |progress| {
        seen.push(progress);
        ControlFlow::Continue(())
    };
    place.assert_good(place.fetch_watched(&server, &mut watch));
    let path = format!("/models/{}", place.file);
    assert_eq!(server.asked(), [Asked { path, ..Asked::default() }]);
    let done: Vec<u64> = seen.iter().map(|progress| progress.done).collect();
    assert!(done.is_sorted() && done.first() == Some(&0), "{done:?}");
    let last = seen.last().expect("it was told");
    assert_eq!((last.phase, last.done, last.total), (Phase::Checking, 300_000, Some(300_000)));

    place.assert_good(place.fetch(&server));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_connection_that_breaks_off_is_resumed_in_the_same_version() {
    let place = Place::new();
    let server = place.serve(&[Act::HangUp(100_000), Act::HangUp(50_000), Act::HangUp(0)]);
    place.assert_good(place.fetch(&server));
    assert_eq!(offsets(&server), [None, Some(100_000), Some(150_000), Some(150_000)]);
    assert_eq!(server.asked()[1].if_range.as_deref(), Some("\"v1\""));
}

#[test]
fn a_stall_is_a_break() {
    let place = Place::new();
    let server = place.serve(&[Act::Stall(70_000)]);
    place.assert_good(place.fetch(&server));
    assert_eq!(offsets(&server), [None, Some(70_000)]);

    let place = Place::new();
    let silent = place.serve(&[Act::Stall(0), Act::Raw(Vec::new())]);
    place.assert_good(place.fetch(&silent));
    assert_eq!(offsets(&silent), [None, None, None]);
}

#[test]
fn a_later_run_goes_on_where_this_one_ended() {
    let place = Place::new();
    let bad = place.serve(&vec![Act::HangUp(1000); 4]);
    let said = "expected 300000 bytes, found 4000 after 4 tries: ";
    assert!(matches!(place.assert_bad(place.fetch(&bad), said), Error::Broken { .. }));

    let server = place.serve(&[]);
    let cancelled = place.fetch_watched(&server, |progress| {
        assert_eq!((progress.resumed_from, progress.phase), (4000, Phase::Downloading));
        if progress.done > 100_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(place.assert_bad(cancelled, "was cancelled"), Error::Cancelled { .. }));
    let length = fs::metadata(place.part()).expect("it is kept").len() as usize;
    assert!((100_000..300_000).contains(&length), "{length}");

    place.assert_good(place.fetch(&server));
    assert_eq!(offsets(&server), [Some(4000), Some(length)]);
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_again() {
    let place = Place::new();
    let server = place.serve(&[Act::HangUp(1000), Act::Whole]);
    let mut resumed = Vec::new();
    let fetched = place.fetch_watched(&server, |progress| {
        resumed.push(progress.resumed_from);
        ControlFlow::Continue(())
    });
    place.assert_good(fetched);
    assert_eq!(offsets(&server), [None, Some(1000)]);
    assert!(resumed.iter().all(|from| *from == 0));
}

#[test]
fn a_wrong_range_is_not_taken_for_the_right_one() {
    let place = Place::new();
    for headers in [
        &["Content-Range: bytes 999-299999/300000", "Content-Length: 299001"][..],
        &["Content-Range: bytes */300000", "Content-Length: 5"],
        &["Content-Range: nonsense", "Content-Length: 5"],
        &["Content-Length: 5"],
    ] {
        let lie = Act::raw("206 Partial Content", headers, &place.bytes[999..]);
        let server = place.serve(&[Act::HangUp(1000), lie]);
        place.assert_good(place.fetch(&server));
        assert_eq!(offsets(&server), [None, Some(1000), None]);
        fs::remove_file(place.target()).expect("it is there");
    }
}

#[test]
fn a_part_that_is_all_there_is_only_checked() {
    let place = Place::new();
    fs::write(place.part(), &place.bytes).expect("it can be written");
    let server = place.serve(&[]);
    place.assert_good(place.fetch(&server));
    assert_eq!(offsets(&server), [Some(300_000)]);
}

#[test]
fn a_part_of_another_file_is_found_out() {
    for length in [1000, 300_000, 300_001] {
        let place = Place::new();
        fs::write(place.part(), vec![7; length]).expect("it can be written");
        let server = place.serve(&[]);
        place.assert_good(place.fetch(&server));
        assert_eq!(offsets(&server), [Some(length), None]);
    }
}

#[test]
fn a_file_with_another_hash_is_not_kept() {
    let place = Place::new();
    let other = Server::start(&vec![7; 300_000], &[]);
    let error = place.assert_bad(place.fetch(&other), &place.file);
    let Error::Hash { expected, found, .. } = error else { panic!("{error}") };
    assert_eq!((&*expected, found.len()), (&place.file[4..12], 8));
    assert!(!place.part().exists());
    assert_eq!(offsets(&other), [None]);
}

#[test]
fn an_answer_that_is_too_long_is_cut_off() {
    let place = Place::new();
    // The limit is an eighth and a MiB above what the file should have.
    let (limit, endless) = (337_500 + (1 << 20), vec![0; 2 << 20]);
    for headers in [&["Content-Length: 2097152"][..], &[]] {
        let server = place.serve(&[Act::raw("200 OK", headers, &endless)]);
        let error = place.assert_bad(place.fetch(&server), "expected at most");
        assert!(matches!(error, Error::Size { expected, .. } if expected == limit), "{error}");
        assert!(!place.part().exists());
    }
    // The range is shorter than the body.
    let range = ["Content-Range: bytes 0-999/1000", "Content-Length: 2000"];
    let server = place.serve(&[Act::raw("206 Partial Content", &range, &place.bytes[..2000])]);
    let error = place.assert_bad(place.fetch(&server), "expected at most 1000 bytes");
    assert!(matches!(error, Error::Size { .. }), "{error}");
}

#[test]
fn what_follows_the_announced_bytes_does_not_count() {
    let place = Place::new();
    let more = [&place.bytes[..], b"more"].concat();
    let server = place.serve(&[Act::raw("200 OK", &["Content-Length: 300000"], &more)]);
    place.assert_good(place.fetch(&server));
}

#[test]
fn a_server_with_trouble_is_asked_again_and_one_that_refuses_is_not() {
    let place = Place::new();
    let broken = Act::status("500 Internal Server Error");
    let server = place.serve(&[broken.clone(), Act::status("429 Too Many Requests")]);
    place.assert_good(place.fetch(&server));
    assert_eq!(server.asked().len(), 3);

    let place = Place::new();
    let server = place.serve(&vec![broken; 4]);
    let error = place.assert_bad(place.fetch(&server), "after 4 tries: status 500");
    assert!(matches!(error, Error::Broken { expected: None, found: 0, .. }), "{error}");
    let server = place.serve(&[Act::status("404 Not Found")]);
    place.assert_bad(place.fetch(&server), "expected status 200 or 206, found 404");
    assert_eq!(server.asked().len(), 1);
    assert!(!place.part().exists());
}

#[test]
fn redirects_are_followed_up_to_a_point_and_never_off_to_http() {
    let place = Place::new();
    let elsewhere = place.serve(&[]);
    let there = format!("{}/real.pth?x=1", elsewhere.base());
    let server = place.serve(&[Act::redirect("/other"), Act::redirect(&there)]);
    place.assert_good(place.fetch(&server));
    assert_eq!(server.asked()[1].path, "/other");
    assert_eq!(elsewhere.asked()[0].path, "/models/real.pth?x=1");

    let place = Place::new();
    let circle = place.serve(&vec![Act::redirect("round"); 11]);
    place.assert_bad(place.fetch(&circle), "expected at most 10 redirects");
    let server = place.serve(&[Act::redirect("http://example.com/x.pth")]);
    place.assert_bad(place.fetch(&server), "found `http://example.com/x.pth`");
    let nowhere = place.serve(&[Act::status("302 Found")]);
    place.assert_bad(place.fetch(&nowhere), "found 302");
}

#[test]
fn whoever_is_offline_is_told_what_is_missing() {
    let place = Place::new();
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("it is bound"));
    drop(listener);
    let source = Source::new(&base, &place.file, None).expect("it is on this machine");
    let settings = Settings { pause: Duration::from_secs(60), ..Settings::default() };
    let go_on = |_| ControlFlow::Continue(());
    let fetched = fetch_with(&settings, &source, place.folder.path(), go_on);
    let error = place.assert_bad(fetched, "cannot reach 127.0.0.1 (").to_string();
    // What can be done about it is for each program to say.
    assert!(error.ends_with(&format!(") to fetch {base}/{}", place.file)), "{error}");
}
