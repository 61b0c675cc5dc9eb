//! `clrp fetch`, from a server on this machine.

use std::fs;

use crate::drawn::published_squeezenet;
use crate::server::{Act, Server};
use crate::support::{Place, Run, words};

/// A short text whose SHA-256 happens to start as that of densenet121's weights: `a639ec97`.
const STAND_IN: &[u8] = b"clrp stand-in 277590767";
const FILE: &str = "densenet121-a639ec97.pth";

fn run(place: &Place, server: &Server, line: &str) -> Run {
    place.run_with(&[("CLRP_MIRROR", &server.base())], words(line))
}

/// The one line of a run that failed.
fn failure(run: &Run) -> &str {
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{}", run.err);
    assert_eq!(run.err.lines().count(), 1, "{}", run.err);
    run.err.strip_prefix("error: ").expect("it says so")
}

#[test]
fn a_file_is_fetched_once_and_its_path_size_and_hash_are_printed() {
    let place = Place::new();
    let server = Server::start(STAND_IN, &[]);
    let (path, length) = (place.path("cache").join(FILE), STAND_IN.len());
    let hash = "a639ec97dd8a3cfd4709e2934a3c1f75b8a615b53b169cdf8925e36b64b83e50";
    let line = format!("cache/{FILE}\t{length}\t{hash}\n");
    for _ in 0..2 {
        let run = run(&place, &server, "fetch densenet121 --cache cache");
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, line.as_str(), ""));
        assert_eq!(fs::read(&path).expect("it is there"), STAND_IN);
    }
    assert_eq!(server.asked().len(), 1);
    assert_eq!(server.asked()[0].path, format!("/models/{FILE}"));
}

#[test]
fn the_list_says_what_is_cached() {
    let place = Place::new();
    place.write(FILE, STAND_IN);
    for run in [
        place.good(words("fetch --list --cache .")),
        place.run_with(&[("CLRP_CACHE", ".")], words("fetch --list")),
    ] {
        assert_eq!(run.code, 0, "{}", run.err);
        let row = |name: &str| -> Vec<&str> {
            let mut rows = run.out.lines().map(words);
            rows.find(|row| row[0] == name).expect(name)
        };
        assert_eq!(row("densenet121"), ["densenet121", FILE, "32", "yes"]);
        assert_eq!(row("squeezenet1_1")[2], "5");
        assert_eq!(row("vgg16"), ["vgg16", "vgg16-397923af.pth", "553", "no"]);
        assert_eq!(run.out.lines().count(), 32);
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let place = Place::new();
    let server = Server::start(b"something else", &[Act::status("404 Not Found")]);
    let said = |line: &str| failure(&run(&place, &server, line)).to_owned();
    let unknown = said("fetch densenet121 squeezenet --cache cache");
    assert!(unknown.starts_with("unknown model `squeezenet`; nearest: `squeezenet1_"), "{unknown}");
    assert!(server.asked().is_empty() && place.files().is_empty());

    let missing = said("fetch densenet121 --cache cache");
    assert!(missing.contains(FILE) && missing.contains("found 404"), "{missing}");
    let other = said("fetch densenet121 --cache cache");
    assert!(other.contains("expected a SHA-256 that starts with a639ec97, found "), "{other}");
    let left = |file: &String| file != "cache" && !file.ends_with(".lock");
    assert!(!place.files().iter().any(left), "{:?}", place.files());

    let plain = [("CLRP_MIRROR", "http://example.com/models")];
    let plain = place.run_with(&plain, words("fetch vgg16 --cache cache"));
    assert!(failure(&plain).contains("expected https"), "{}", plain.err);
}

#[test]
fn without_a_network_squeezenet_is_fetched_and_said_so() {
    let place = Place::with_scenes(1);
    let server = Server::start(&published_squeezenet(), &[]);
    let explain = |rest: &str| {
        // CLRP2 of weights that are made up may have nothing to subtract, and say so.
        let line = format!("explain scene-00000.png --method clrp1 --json{rest}");
        place.run_with(&[("CLRP_MIRROR", &server.base()), ("CLRP_CACHE", "cache")], words(&line))
    };
    let offline = explain(" --offline");
    let said = failure(&offline);
    let expected = "the weights of `squeezenet1_1` are missing and must not be fetched (--offline)";
    assert!(said.starts_with(expected) && said.contains("--weights FILE"), "{said}");
    assert!(server.asked().is_empty());

    let first = explain("");
    assert_eq!(first.code, 0, "{}", first.err);
    let note = first.err.lines().next().expect("a note");
    assert!(note.starts_with("note: fetching the weights of `squeezenet1_1` (5 MB) to"), "{note}");
    assert!(place.path("cache/squeezenet1_1-b8a52dc0.pth").exists());

    for again in [explain(""), explain(" --offline")] {
        assert_eq!((again.code, again.err.as_str()), (0, ""));
    }
    assert_eq!(server.asked().len(), 1);

    place.write("cache/squeezenet1_1-b8a52dc0.pth", b"something else");
    let damaged = explain(" --offline");
    let said = failure(&damaged);
    let expected = "is damaged: expected a SHA-256 that starts with b8a52dc0, found ";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("; without --offline it is fetched again"), "{said}");
}

#[test]
fn without_a_connection_it_is_said_what_to_do() {
    let place = Place::with_scenes(1);
    let run = place.run(words("explain scene-00000.png"));
    assert_eq!(run.code, 1, "{}", run.err);
    let last = run.err.lines().last().expect("a line");
    assert!(last.contains("squeezenet1_1-b8a52dc0.pth"), "{}", run.err);
    assert!(
        last.contains("; fetch it yourself and pass it by --weights, or put it to `"),
        "{last}"
    );
    // `clrp fetch` has no such option.
    let said = place.bad(words("fetch squeezenet1_1"));
    assert!(said.contains("; fetch it yourself and put it to `"), "{said}");
}
