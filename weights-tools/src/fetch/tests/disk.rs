//! Downloads beside each other, onto disks that are full, and over damaged files.

use std::fs;
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

use super::super::{Error, Phase};
use super::server::Act;
use super::{Place, offsets};

#[test]
fn a_damaged_file_is_found_and_fetched_anew() {
    let place = Place::new();
    let mut damaged = place.bytes.clone();
    damaged[150_000] ^= 1;
    fs::write(place.target(), damaged).expect("it can be written");
    let server = place.serve(&[]);
    place.assert_good(place.fetch(&server));
    assert_eq!(offsets(&server), [None]);
}

#[test]
fn several_at_once_fetch_one_file() {
    let place = Place::new();
    let server = place.serve(&[Act::Stall(1000), Act::HangUp(5000)]);
    thread::scope(|scope| {
        let fetches = [(); 4].map(|()| scope.spawn(|| place.fetch(&server)));
        for fetch in fetches {
            place.assert_good(fetch.join().expect("no panic"));
        }
    });
    assert_eq!(offsets(&server), [None, Some(1000), Some(6000)]);
}

#[test]
fn whoever_waits_can_cancel() {
    let place = Place::new();
    let server = place.serve(&[]);
    let (started, starts) = mpsc::channel();
    let (end, ends) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            let (started, ends) = (started, ends);
            place.fetch_watched(&server, |_| {
                // Both may fail once nobody cares any more.
                let _ = started.send(());
                let _ = ends.recv();
                ControlFlow::Continue(())
            })
        });
        starts.recv().expect("it starts");
        let second = place.fetch_watched(&server, |progress| {
            assert_eq!(progress.phase, Phase::Waiting);
            ControlFlow::Break(())
        });
        drop(end);
        assert!(matches!(second, Err(Error::Cancelled { found: 0, .. })), "{second:?}");
        place.assert_good(first.join().expect("no panic"));
    });
}

#[test]
fn a_folder_is_made_and_one_that_cannot_be_is_named() {
    let mut place = Place::new();
    let server = place.serve(&[]);
    let (source, whole) = (place.source(&server), place.folder.path().join("a/b"));
    let go_on = |_| ControlFlow::Continue(());
    let fetched = super::super::fetch(&source, &whole, go_on).expect("it is fetched");
    assert_eq!(fetched.path, whole.join(&place.file));

    let taken = place.folder.path().join("taken");
    fs::write(&taken, b"x").expect("it can be written");
    for folder in [&taken, &taken.join("below")] {
        let error = super::super::fetch(&source, folder, go_on).expect_err("a file is in the way");
        assert!(error.to_string().starts_with("cannot create `"), "{error}");
        assert!(error.to_string().contains("taken"), "{error}");
    }

    // A folder that has the file's name.
    place.file = fetched.path.file_name().expect("a name").to_string_lossy().into_owned();
    fs::create_dir(place.target()).expect("it can be created");
    let error = place.fetch(&server).expect_err("a folder is in the way").to_string();
    assert!(error.starts_with("cannot write `"), "{error}");
    assert_eq!(server.asked().len(), 2);
}

/// `/dev/full` takes no bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/full", place.part()).expect("it can be linked");
    let error = place.fetch(&place.serve(&[])).expect_err("nothing fits");
    assert!(matches!(error, Error::DiskFull { found: 0, .. }), "{error}");
    assert!(error.to_string().starts_with("the disk is full: `"), "{error}");
    assert!(error.to_string().contains(".part` has 0 bytes"), "{error}");
}

/// Where rights count for something: not for an administrator.
#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let set = |mode| fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(mode));
    set(0o555).expect("it is ours");
    let fetched = place.fetch(&place.serve(&[]));
    set(0o755).expect("it is ours");
    match fetched {
        Err(error) => {
            assert!(error.to_string().starts_with("cannot create `"), "{error}");
        }
        Ok(fetched) => place.assert_good(Ok(fetched)),
    }
}
