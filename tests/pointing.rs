//! Pointing games against the packages that define them: `tests/golden/pointing.json` holds what
//! Quantus and `TorchRay` say of small maps and points.

use clrp::Error;
use clrp::evaluation::{BoundingBox, Pointing, Region};
use clrp::image::Plane;
use serde_json::Value;

use crate::support::MEASURED_F64;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/pointing.json")).expect("it is JSON")
}

fn list<'a>(of: &'a Value, name: &str) -> &'a [Value] {
    of[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}

fn numbers(of: &Value, name: &str) -> Vec<usize> {
    list(of, name).iter().map(|n| n.as_u64().expect("a number") as usize).collect()
}

fn pixel(x: usize, y: usize) -> BoundingBox {
    let (left, top) = (x as f64, y as f64);
    BoundingBox { left, top, right: left + 1.0, bottom: top + 1.0 }
}

/// A map and its region, which has no pixels where boxes lie beyond the map.
fn map(of: &Value) -> (Plane, Region) {
    let rows: Vec<Vec<f32>> = serde_json::from_value(of["values"].clone()).expect("rows");
    let (height, width) = (rows.len(), rows[0].len());
    let mut boxes = Vec::new();
    for (y, row) in list(of, "region").iter().enumerate() {
        let row = row.as_str().expect("a row").bytes().enumerate();
        boxes.extend(row.filter(|(_, is_inside)| *is_inside == b'1').map(|(x, _)| pixel(x, y)));
    }
    if boxes.is_empty() {
        boxes.push(pixel(width, height));
    }
    let plane = Plane::new(height, width, rows.concat()).expect("it fits");
    (plane, Region::union([height, width], &boxes).expect("boxes have an area"))
}

#[test]
fn maps_point_as_quantus_and_torchray_say() {
    let golden = golden();
    let (mut empty, mut nowhere) = (0, 0);
    for (number, of) in list(&golden, "maps").iter().enumerate() {
        let (plane, region) = map(of);
        if region.area() == 0 {
            // Quantus: not-a-number, and a hit.
            let error = Pointing::of(&plane, &region).expect_err("nothing to point at");
            assert!(matches!(error, Error::Setting { .. }), "{number}: {error}");
            empty += 1;
            continue;
        }
        let found = Pointing::of(&plane, &region).expect("it can be measured");
        if plane.values().iter().all(|value| *value <= 0.0) {
            // Quantus: the largest value is the maximum, whatever it is.
            assert_eq!((found.maximum, found.is_hit_by_any_maximum), (None, false), "{number}");
            nowhere += 1;
            continue;
        }
        let (x, y) = found.maximum.expect("it points somewhere");
        assert_eq!(vec![x, y], numbers(of, "maximum"), "{number}");
        assert_eq!(found.is_hit, region.contains(x, y), "{number}");
        for (tolerance, near) in of["near"].as_object().expect("TorchRay's") {
            let tolerance = tolerance.parse().expect("a number");
            assert_eq!(region.is_near(x, y, tolerance), *near, "{number}: within {tolerance}");
        }
        assert_eq!(found.is_hit_within_tolerance, of["near"]["15"], "{number}");
        let positive = &of["positive"];
        assert_eq!(found.is_hit_by_any_maximum, positive["any"], "{number}");
        let close = |found: f64, expected: &Value, what: &str| {
            let expected = expected.as_f64().unwrap_or_else(|| panic!("{number}: {what}"));
            assert!(
                (found - expected).abs() < MEASURED_F64,
                "{number}: {what} {found}, {expected}"
            );
        };
        close(found.mass_accuracy, &positive["mass"], "mass");
        close(found.rank_accuracy, &of["rank"], "rank");
        if !positive["rank"].is_null() {
            close(found.rank_accuracy, &positive["rank"], "rank by Quantus");
        }
        for (share, hit) in of["kept"].as_object().expect("by share") {
            let share = share.parse().expect("a number");
            assert_eq!(found.is_hit_at(share), *hit, "{number}: {share} of the energy");
        }
    }
    assert_eq!((empty, nowhere), (1, 3), "the maps of which Quantus says something else");
}

#[test]
fn points_are_as_near_as_torchray_says() {
    let golden = golden();
    for of in list(&golden, "points") {
        let [width, height] = numbers(of, "size")[..] else { panic!("two sides") };
        let edges: Vec<f64> = numbers(of, "region").iter().map(|edge| *edge as f64).collect();
        let [left, top, right, bottom] = edges[..] else { panic!("four edges") };
        let bounds = BoundingBox { left, top, right, bottom };
        let region = Region::union([height, width], &[bounds]).expect("it has an area");
        let point = numbers(of, "point");
        let tolerance = of["tolerance"].as_u64().expect("a number") as usize;
        assert_eq!(region.is_near(point[0], point[1], tolerance), of["near"], "{of}");
    }
}
