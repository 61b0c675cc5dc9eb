//! `clrp evaluate`: runs that are broken off and go on, shards, figures that add up, bad data.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, words};

/// Few scenes, few ways.
const GAME: &str = "evaluate pointing-game --dataset digits --count 12 --device cpu \
                    --method lrp,clrp1,random,centre --batch 2";

fn bytes(place: &Place, name: &str) -> Vec<u8> {
    fs::read(place.path(name)).expect(name)
}

fn summary(place: &Place, folder: &str) -> Value {
    serde_json::from_slice(&bytes(place, &format!("{folder}/summary.json"))).expect("it is JSON")
}

/// The results that must not depend on how a run went.
const SAME: [&str; 3] = ["records.jsonl", "summary.json", "results.csv"];

fn assert_same(place: &Place, one: &str, other: &str) {
    for name in SAME {
        let files = [one, other].map(|folder| bytes(place, &format!("{folder}/{name}")));
        assert!(files[0] == files[1], "{name} of {one} and {other} differ");
    }
}

#[test]
fn the_figures_are_those_of_the_records() {
    let place = Place::new();
    let run = place.good(words(&format!("{GAME} -o out")));
    for name in
        SAME.into_iter().chain(["report.html", "pointing-digits.png", "pointing-digits.svg"])
    {
        assert!(place.path("out").join(name).is_file(), "{name} is missing: {:?}", place.files());
    }
    assert!(
        run.out.contains("clrp1") && run.out.contains("report: out/report.html"),
        "{}",
        run.out
    );
    let records = String::from_utf8(bytes(&place, "out/records.jsonl")).expect("it is UTF-8");
    let records: Vec<Value> =
        records.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!((records.len(), &records[0]["pictures"]), (13, &Value::from(12)));
    let objects = records[1..].iter().flat_map(|r| r["objects"].as_array().expect("a list"));
    let hits: Vec<bool> = objects
        .map(|object| object["methods"][1]["pointing"]["hit"].as_bool().expect("a hit or none"))
        .collect();
    assert_eq!(hits.len(), 24);
    let share = hits.iter().filter(|hit| **hit).count() as f64 / 24.0;
    let summary = summary(&place, "out");
    let methods = &summary["networks"][0]["subsets"][0]["methods"];
    assert_eq!(methods[1]["method"], "clrp1");
    let found = methods[1]["pointing"]["by_maximum"]["value"].as_f64().expect("a number");
    assert!((found - share).abs() < 1e-12, "{found} {share}: {methods}");
    let page = String::from_utf8(bytes(&place, "out/report.html")).expect("it is UTF-8");
    assert!(page.contains("data:image/png;base64,") && page.contains("<svg"));
    for elsewhere in ["<script", "src=\"http", "href=\"http"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_results() {
    const KILLS: usize = 50;
    let place = Place::new();
    let game = |folder: &str| {
        format!(
            "evaluate pointing-game --dataset digits --count 40 --device cpu --method lrp,random \
             --batch 2 -o {folder}"
        )
    };
    let start = Instant::now();
    place.good(words(&game("whole")));
    let whole = start.elapsed();
    // Moments spread over a run, in an order that is no order.
    let moment = |kill: usize| whole.mul_f64((kill * 37 % KILLS) as f64 / KILLS as f64);
    let mut kills = 0;
    let mut rounds = 0;
    // Kills that came when some pictures were done and others were not.
    let mut midway = 0;
    let lines = |folder: &str| {
        let records = fs::read(place.path(&format!("{folder}/records.jsonl")));
        records.map_or(0, |records| records.iter().filter(|byte| **byte == b'\n').count())
    };
    while kills < KILLS {
        rounds += 1;
        let folder = format!("killed{rounds}");
        // Ever again from the start, as it ends at last.
        loop {
            let resume = if place.path(&folder).exists() { " --resume" } else { "" };
            let mut child = Command::new(env!("CARGO_BIN_EXE_clrp"))
                .current_dir(place.path(""))
                .args(words(&format!("{}{resume}", game(&folder))))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the binary starts");
            if kills % 2 == 0 {
                // By the round too: a run that ends before is not killed, and the next may as well.
                std::thread::sleep(moment(kills + rounds).max(Duration::from_millis(5)));
            } else {
                // As soon as a part is written: most of a run is its start.
                let before = lines(&folder);
                while lines(&folder) <= before.max(1) && child.try_wait().is_ok_and(|s| s.is_none())
                {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
            if child.try_wait().expect("it can be asked").is_some_and(|status| status.success()) {
                break;
            }
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            kills += 1;
            // A line of settings, then 40 of pictures.
            midway += usize::from((2..41).contains(&lines(&folder)));
            if kills >= KILLS {
                let resume = if place.path(&folder).exists() { " --resume" } else { "" };
                place.good(words(&format!("{}{resume}", game(&folder))));
                break;
            }
        }
        assert_same(&place, "whole", &folder);
    }
    assert!(midway > 0, "no kill came while pictures were measured");
}

#[test]
fn only_what_was_made_alike_is_put_together() {
    let place = Place::with_scenes(4);
    let game = "evaluate pointing-game --dataset . --model digits --device cpu --batch 2 \
                --method clrp2,rise";
    let run = place.good(words(&format!("{game} --masks 8 -o out")));
    let summary = summary(&place, "out");
    assert!(summary["header"]["rules"].as_str().is_some_and(|rules| rules.contains("bias=false")));
    assert_eq!(summary["header"]["settings"][0], serde_json::json!(["masks", "8"]));
    let without = summary["networks"][0]["without_contrast"]["clrp2"].as_u64().unwrap_or(0);
    assert!(without > 0 && run.out.contains("of which nothing was subtracted"), "{}", run.out);
    for (other, expected) in [
        ("--masks 9", "settings is"),
        ("--masks 8 --rule linear=epsilon:1e-3", "composite is"),
        ("--masks 8 --stabilizer 1e-6", "rules is"),
    ] {
        let line = place.bad(words(&format!("{game} {other} -o out --resume")));
        assert!(line.contains("was made with other settings"), "{other}: {line}");
        assert!(line.contains(expected), "{other}: {line}");
    }
    let boxes = fs::read_to_string(place.path("boxes.csv")).expect("it is there");
    let shifted = boxes + "0,5,1,1,9,9\n";
    fs::write(place.path("boxes.csv"), shifted).expect("it can be written");
    let line = place.bad(words(&format!("{game} --masks 8 -o out --resume")));
    assert!(line.contains("dataset_sha256 is"), "{line}");
}

#[test]
fn too_many_unreadable_pictures_stay_too_many() {
    let place = Place::with_scenes(4);
    let game =
        "evaluate pointing-game --dataset . --model digits --device cpu --method lrp --batch 2";
    fs::write(place.path("scene-00003.png"), b"no picture").expect("it can be written");
    let expected = "1 of 4 pictures are unreadable, more than --max-unreadable 0.05";
    for resume in ["", "--resume", "--resume"] {
        let run = place.run(words(&format!("{game} -o out {resume}")));
        assert!(run.code == 1 && run.err.contains(expected), "{resume}: {}", run.err);
    }
    let merged = place.bad(words("evaluate merge out -o merged"));
    assert!(merged.contains(expected), "{merged}");
    // What was refused can be done again, and twice.
    for _ in 0..2 {
        place.good(words("evaluate merge out -o merged --max-unreadable 0.5"));
    }
    place.good(words(&format!("{game} -o out --resume --max-unreadable 0.5")));
    assert_same(&place, "out", "merged");
}

#[test]
fn what_the_network_lacks_or_cannot_see_is_told() {
    let place = Place::with_scenes(2);
    let neurons = "evaluate neurons --dataset digits --count 2 --device cpu -o no \
                   --neurons classifier.0:top2";
    let line = place.bad(words(&format!("{neurons} --method centre,lrp")));
    assert!(line.contains("`centre` has no map of a neuron"), "{line}");
    let ablation = "evaluate ablation --dataset digits --count 2 --device cpu -o no";
    let line = place.bad(words(&format!("{ablation} --curves 9999")));
    assert!(line.contains("--curves is 9999, expected 1 to 4096"), "{line}");
    let none = fs::read_to_string(place.path("boxes.csv")).expect("it is there");
    let none: Vec<&str> = none.lines().take(1).chain(["0,77,1,1,9,9", "1,78,1,1,9,9"]).collect();
    fs::write(place.path("boxes.csv"), none.join("\n")).expect("it can be written");
    let game = "evaluate pointing-game --dataset . --model digits --device cpu --method lrp -o all";
    let run = place.run(words(game));
    assert_eq!(run.code, 1);
    let expected = "the networks lack all classes that it shows, as `7";
    assert!(run.err.contains(expected), "{}", run.err);
}

#[test]
fn shards_put_together_are_the_whole() {
    let place = Place::new();
    place.good(words(&format!("{GAME} -o whole")));
    for shard in 1..=3 {
        let run = place.good(words(&format!("{GAME} --shard {shard}/3 -o part{shard}")));
        assert!(run.out.contains("clrp evaluate merge"), "{}", run.out);
    }
    let missing = place.bad(words("evaluate merge part1 part3 -o merged"));
    assert!(missing.starts_with("4 of 12 pictures have no record"), "{missing}");
    place.good(words("evaluate merge part3 part1 part2 -o merged"));
    assert_same(&place, "whole", "merged");
    place.good(words(&format!("{GAME} --seed 1 -o other")));
    let other = place.bad(words("evaluate merge part1 other -o again"));
    assert!(other.contains("was made with other settings: seed is 1, expected 0"), "{other}");
    let there = place.bad(words(&format!("{GAME} -o whole")));
    assert!(there.contains("--resume goes on with it"), "{there}");
}

#[test]
fn a_disk_that_is_full_loses_nothing() {
    let place = Place::new();
    place.good(words(&format!("{GAME} -o whole")));
    // Writes beyond 8 KiB fail, as where no space is left; the signal that says so is ignored.
    let script = format!("trap '' XFSZ; ulimit -f 16; exec \"$0\" {GAME} -o small");
    let run = Command::new("sh")
        .current_dir(place.path(""))
        .args(["-c", &script, env!("CARGO_BIN_EXE_clrp")])
        .output()
        .expect("a shell");
    let error = String::from_utf8(run.stderr).expect("it is UTF-8");
    assert_eq!(run.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: cannot write `small/records.jsonl`"), "{error}");
    assert!(error.contains("what was done is kept, --resume goes on with it"), "{error}");
    place.good(words(&format!("{GAME} -o small --resume")));
    assert_same(&place, "whole", "small");
}

#[test]
fn what_is_taken_out_is_the_mean_of_the_data() {
    let place = Place::new();
    let data = "--dataset digits --count 6";
    let ablation = format!("evaluate ablation {data} --device cpu --method clrp1,random --batch 4");
    place.good(words(&format!("{ablation} --curves 4 -o own")));
    let run = place.good(words(&format!("evaluate mean-image {data} -o mean.npy")));
    assert!(run.out.starts_with("mean of 6 of 6 pictures: mean.npy, mean.png"), "{}", run.out);
    place.good(words(&format!("{ablation} --curves 4 --mean-image mean.npy -o given")));
    let results = ["own", "given"].map(|folder| bytes(&place, &format!("{folder}/results.csv")));
    assert!(results[0] == results[1], "the mean is the same");
    let summary = summary(&place, "own");
    let method = &summary["networks"][0]["subsets"][0]["methods"][0];
    assert!(
        method["ablation"]["drop_logit"]["value"].as_f64().expect("a number") > 0.0,
        "{method}"
    );
    let deletion = method["curves"]["deletion"].as_array().expect("a curve");
    assert_eq!(deletion.len(), 5, "{method}");
    // Nothing is left of any picture: all steps end in the mean.
    let records = String::from_utf8(bytes(&place, "own/records.jsonl")).expect("it is UTF-8");
    let first: Value =
        serde_json::from_str(records.lines().nth(1).expect("it is there")).expect("JSON");
    let curves = &first["objects"][0]["methods"][0]["curves"];
    assert_eq!(curves["deletion"][0], curves["insertion"][4]);
    assert_eq!(curves["deletion"][4], curves["insertion"][0]);
    assert_eq!(curves["deletion"][0], first["objects"][0]["probability"]);
}

#[test]
fn neurons_are_told_apart_by_their_patches() {
    let place = Place::new();
    place.good(words(
        "evaluate neurons --dataset digits --count 3 --device cpu --neurons classifier.0:top4 \
         --method clrp2 -o out",
    ));
    let records = String::from_utf8(bytes(&place, "out/records.jsonl")).expect("it is UTF-8");
    for line in records.lines().skip(1) {
        let record: Value = serde_json::from_str(line).expect("it is JSON");
        let neurons = &record["neurons"][0];
        let drops = neurons["drops"].as_array().expect("a matrix");
        assert_eq!((drops.len(), drops[0].as_array().map(Vec::len)), (4, Some(4)));
    }
    let files = place.files();
    assert!(files.contains(&"out/neurons-0-clrp2-0.svg".to_owned()), "{files:?}");
    let wrong = place.bad(words("evaluate neurons --dataset digits --count 3 --neurons 3 -o no"));
    assert!(wrong.contains("expected two or more neurons of a layer"), "{wrong}");
}

#[test]
fn maps_change_with_the_weights_and_the_class() {
    let place = Place::new();
    place.good(words(
        "evaluate sanity --dataset digits --count 4 --device cpu --shuffles 2 --method clrp1,random -o out",
    ));
    let summary = summary(&place, "out");
    let alike = &summary["networks"][0]["subsets"][0]["methods"][0]["alike"];
    let changes: Vec<&str> =
        alike.as_array().expect("a list").iter().filter_map(|one| one["change"].as_str()).collect();
    assert_eq!(changes.first(), Some(&"class"), "{alike}");
    assert_eq!(changes.last(), Some(&"features.0"), "{alike}");
    for one in alike.as_array().expect("a list") {
        assert!(one["spearman"]["value"].as_f64().expect("a number") < 0.9, "{one}");
    }
}

#[test]
fn bad_data_is_named_and_counted() {
    let place = Place::with_scenes(4);
    let game =
        "evaluate pointing-game --dataset . --model digits --device cpu --method lrp --batch 2";
    fs::write(place.path("scene-00002.png"), b"no picture").expect("it can be written");
    let few = place.run(words(&format!("{game} -o few")));
    assert_eq!(few.code, 1);
    assert!(few.err.contains("1 of 4 pictures are unreadable, more than --max-unreadable 0.05"));
    assert!(few.err.contains("scene-00002.png"), "{}", few.err);
    let run = place.good(words(&format!("{game} -o all --max-unreadable 0.5")));
    assert!(run.out.contains("unreadable"), "{}", run.out);
    let summary = summary(&place, "all");
    let counts = &summary["counts"];
    assert_eq!((&counts["pictures"], &counts["unreadable"]), (&4.into(), &1.into()), "{counts}");
    assert!(counts["unreadable_named"][0]["name"].as_str().is_some_and(|n| n.contains("00002")));
    // A class that the network lacks.
    let boxes = fs::read_to_string(place.path("boxes.csv")).expect("it is there");
    fs::write(place.path("boxes.csv"), boxes + "3,99,1,1,9,9\n").expect("it can be written");
    place.good(words(&format!("{game} -o lacking --max-unreadable 0.5")));
    let summary = self::summary(&place, "lacking");
    assert_eq!(summary["networks"][0]["lacking"]["99"], 1, "{}", summary["networks"][0]["lacking"]);
    for (options, expected) in [
        ("--dataset nowhere", "nowhere"),
        ("--dataset digits --method clpr1", "unknown method `clpr1`; nearest: `clrp1`"),
        ("--dataset digits --method middle", "`random`, `centre`"),
        ("--dataset digits --method lrp,clrp1-logit", "nearest: `clrp1-logits`"),
        ("--dataset digits --shard 4/3", "expected a part and how many there are, as 1/3"),
        ("--dataset digits --preprocess short-side", "makes inputs of many sizes"),
        ("--dataset digits --max-unreadable 2", "expected a number from 0 to 1"),
        ("--dataset digits --also digits", "network `digits` is given twice"),
    ] {
        let message = place.bad(words(&format!("evaluate pointing-game -o no {options}")));
        assert!(message.contains(expected), "{options}: {message}");
    }
}

#[test]
fn what_could_not_be_read_gives_way_to_what_could() {
    let place = Place::new();
    place.good(words(&format!("{GAME} -o whole")));
    for shard in 1..=2 {
        place.good(words(&format!("{GAME} --shard {shard}/2 -o part{shard}")));
    }
    // The first picture of the first part could not be read.
    let text = String::from_utf8(bytes(&place, "part1/records.jsonl")).expect("it is UTF-8");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mended = lines[1].clone();
    let record: Value = serde_json::from_str(&mended).expect("it is JSON");
    let failed = serde_json::json!({"index": 0, "name": record["name"], "error": "torn"});
    lines[1] = failed.to_string();
    place.write("part1/records.jsonl", (lines.join("\n") + "\n").as_bytes());
    place.good(words("evaluate merge part1 part2 -o both --max-unreadable 0.1"));
    assert_eq!(summary(&place, "both")["counts"]["unreadable"], 1);

    // It is mended where the parts were put together, and put together again: it stays.
    let both = String::from_utf8(bytes(&place, "both/records.jsonl")).expect("it is UTF-8");
    place.write("both/records.jsonl", (both + &mended + "\n").as_bytes());
    place.good(words("evaluate merge part1 part2 -o both"));
    assert_same(&place, "whole", "both");
}

#[test]
fn the_mean_that_is_taken_out_is_on_record() {
    let place = Place::new();
    let study = GAME.replace("pointing-game", "ablation");
    place.good(words(&format!("{study} -o whole")));
    for shard in 1..=2 {
        place.good(words(&format!("{study} --shard {shard}/2 -o part{shard}")));
    }
    place.good(words("evaluate merge part1 part2 -o both"));
    assert_same(&place, "whole", "both");
    let mean = "mean-digits.npy";
    assert_eq!(bytes(&place, &format!("both/{mean}")), bytes(&place, &format!("whole/{mean}")));
    let settings = &summary(&place, "whole")["header"]["settings"];
    let settings = settings.as_array().expect("a list").iter();
    let told: Vec<_> = settings.filter(|setting| setting[0] == "mean of digits").collect();
    assert!(
        told[0][1].as_str().is_some_and(|told| told.starts_with("of 12 of 12 pictures, sha256"))
    );

    // A file that is lost is made again; another one is refused.
    fs::remove_file(place.path(&format!("both/{mean}"))).expect("it is there");
    place.good(words(&format!("{study} --resume -o both")));
    assert_same(&place, "whole", "both");
    let mut other = bytes(&place, &format!("both/{mean}"));
    *other.last_mut().expect("numbers") ^= 1;
    place.write(&format!("both/{mean}"), &other);
    let refused = place.bad(words(&format!("{study} --resume -o both")));
    assert!(refused.contains("was made with other settings: settings is"), "{refused}");
}

#[test]
fn edited_records_are_refused_and_left_as_they_are() {
    let place = Place::new();
    place.good(words(&format!("{GAME} -o out")));
    let whole = String::from_utf8(bytes(&place, "out/records.jsonl")).expect("it is UTF-8");
    let record: Value =
        serde_json::from_str(whole.lines().nth(3).expect("a record")).expect("JSON");
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 8] = [
        (|r| r["index"] = 99.into(), "line 4: picture 99, of 12 there are"),
        (|r| r["objects"][0]["network"] = 7.into(), "line 4: network 7, of 1 there are"),
        (|r| r["objects"][0]["class"] = 1000.into(), "line 4: class 1000, of 10 that `digits` has"),
        (|r| drop(r["objects"][0]["methods"].as_array_mut().expect("a list").pop()), "3 methods"),
        (|r| r["objects"][0]["methods"][0]["pointing"]["reach"] = 7.into(), "a share of 7"),
        (|r| r["objects"][0]["methods"][0]["pointing"]["mass"] = 50.into(), "a share of 50"),
        (|r| r["objects"][0]["more"] = 1.into(), "line 4: unknown field `more`"),
        (|r| r["name"] = "other".into(), "line 4: `other`, expected `scene-00002`"),
    ];
    for (edit, expected) in edits {
        let mut edited = record.clone();
        edit(&mut edited);
        let line = |(i, line): (usize, &str)| match i {
            3 => format!("{edited}\n"),
            _ => format!("{line}\n"),
        };
        let text: String = whole.lines().take(8).enumerate().map(line).collect();
        place.write("out/records.jsonl", text.as_bytes());
        let refused = place.bad(words(&format!("{GAME} --resume -o out")));
        assert!(refused.contains(expected), "{refused}");
        assert_eq!(bytes(&place, "out/records.jsonl"), text.as_bytes(), "{expected}");
    }
}
