//! What an annotation says about one picture, and the boxes that this makes.

use std::collections::HashMap;

use clrp::evaluation::BoundingBox;

use super::Object;

/// What an annotation says about one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Annotation {
    /// Width and height of the picture that was annotated, at least 1, if that is known.
    pub(super) size: Option<(f64, f64)>,
    /// Its boxes, in order.
    pub(super) marks: Vec<Mark>,
}

/// A box as an annotation has it, with the class of what is in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) class: String,
    /// Left, top, right and bottom edge, not yet checked.
    pub(super) edges: [f64; 4],
    /// Which line, object or annotation it is, for errors.
    pub(super) number: i64,
}

/// What is wrong with the mark of that number, or with all.
#[derive(Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) number: Option<i64>,
    pub(super) what: String,
}

impl Annotation {
    /// The boxes in the pixels of a picture of `found` (width, height), by class.
    pub(super) fn objects(&self, found: (u32, u32)) -> Result<Vec<Object>, Refusal> {
        let measured = self.measured(found).map_err(|what| Refusal { number: None, what })?;
        let mut objects: Vec<Object> = Vec::new();
        let mut places = HashMap::new();
        for mark in &self.marks {
            let bounds = place(mark.edges, measured, found)
                .map_err(|what| Refusal { number: Some(mark.number), what })?;
            let place = *places.entry(mark.class.as_str()).or_insert_with(|| {
                objects.push(Object { class: mark.class.clone(), boxes: Vec::new() });
                objects.len() - 1
            });
            objects[place].boxes.push(bounds);
        }
        Ok(objects)
    }

    /// Width and height that the edges are of.
    fn measured(&self, (width, height): (u32, u32)) -> Result<(f64, f64), String> {
        let found = (f64::from(width), f64::from(height));
        match self.size {
            // No resize does that, but an EXIF orientation that was or was not applied.
            Some(size) if size == (found.1, found.0) && size != found => Err(format!(
                "the annotation is of {}x{} pixels, found {width}x{height}: the picture lies on \
                 its side",
                size.0, size.1
            )),
            Some(size) => Ok(size),
            None => Ok(found),
        }
    }
}

/// Edges in a picture of the `measured` width and height as a box in that of the `found` ones.
fn place(edges: [f64; 4], measured: (f64, f64), found: (u32, u32)) -> Result<BoundingBox, String> {
    let [left, top, right, bottom] = edges;
    let named = || format!("box ({left}, {top}) to ({right}, {bottom})");
    let is_finite = edges.iter().all(|edge| edge.is_finite());
    if !(is_finite && left < right && top < bottom) {
        let expected = "finite edges, the right beyond the left and the lower below the upper";
        return Err(format!("{} has no area, expected {expected}", named()));
    }
    let inside = |edge: f64, measured: f64, found: u32| {
        let side = f64::from(found);
        (edge * (side / measured)).clamp(0.0, side)
    };
    let bounds = BoundingBox {
        left: inside(left, measured.0, found.0),
        top: inside(top, measured.1, found.1),
        right: inside(right, measured.0, found.0),
        bottom: inside(bottom, measured.1, found.1),
    };
    if bounds.left < bounds.right && bounds.top < bounds.bottom {
        return Ok(bounds);
    }
    let (width, height) = measured;
    Err(format!("{} lies outside the picture, which has {width}x{height} pixels", named()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(size: Option<(f64, f64)>, marks: &[(&str, [f64; 4])]) -> Annotation {
        let mark = |(i, (class, edges)): (usize, &(&str, _))| Mark {
            class: (*class).to_owned(),
            edges: *edges,
            number: 1 + i as i64,
        };
        Annotation { size, marks: marks.iter().enumerate().map(mark).collect() }
    }

    fn bounds([left, top, right, bottom]: [f64; 4]) -> BoundingBox {
        BoundingBox { left, top, right, bottom }
    }

    #[test]
    fn boxes_gather_by_class_in_order_of_first_appearance() {
        let edges = |left| [left, 0.0, left + 1.0, 1.0];
        let marks = [("b", edges(0.0)), ("a", edges(1.0)), ("b", edges(2.0))];
        let objects = annotation(None, &marks).objects((4, 4)).expect("they lie inside");
        let expected = [
            Object { class: "b".into(), boxes: vec![bounds(edges(0.0)), bounds(edges(2.0))] },
            Object { class: "a".into(), boxes: vec![bounds(edges(1.0))] },
        ];
        assert_eq!(objects, expected);
    }

    #[test]
    fn edges_are_scaled_to_the_file_and_cut_off_at_its_border() {
        // Half as wide, a third as high: -2 is cut off, 8 becomes 4, 9 becomes 3, 99 is cut off.
        let marks = [("a", [-2.0, 9.0, 8.0, 99.0])];
        let objects = annotation(Some((20.0, 30.0)), &marks).objects((10, 10)).expect("inside");
        assert_eq!(objects[0].boxes, [bounds([0.0, 3.0, 4.0, 10.0])]);
        // Numbers near the largest do not overflow to nothing.
        let marks = [("a", [-f64::MAX, 0.0, f64::MAX, f64::MAX])];
        let objects = annotation(Some((1.0, 1.0)), &marks).objects((10, 9)).expect("inside");
        assert_eq!(objects[0].boxes, [bounds([0.0, 0.0, 10.0, 9.0])]);
    }

    #[test]
    fn boxes_that_cover_nothing_are_refused_by_number() {
        let fine = ("a", [0.0, 0.0, 1.0, 1.0]);
        for wrong in [
            [3.0, 0.0, 2.0, 1.0],
            [3.0, 0.0, 3.0, 1.0],
            [0.0, f64::NAN, 1.0, 1.0],
            [0.0, 0.0, f64::INFINITY, 1.0],
        ] {
            let refusal = annotation(None, &[fine, ("b", wrong)]).objects((4, 4));
            let refusal = refusal.expect_err("it has no area");
            assert_eq!(refusal.number, Some(2));
            assert!(refusal.what.contains(" has no area, expected finite edges"), "{refusal:?}");
        }
        for wrong in [[10.0, 0.0, 12.0, 1.0], [-2.0, 0.0, 0.0, 1.0], [0.0, 20.5, 1.0, 21.0]] {
            let wrong = annotation(Some((10.0, 20.0)), &[("b", wrong)]).objects((5, 4));
            let what = wrong.expect_err("it lies outside").what;
            assert!(what.ends_with(" lies outside the picture, which has 10x20 pixels"), "{what}");
        }
    }

    #[test]
    fn a_picture_on_its_side_is_refused() {
        let turned = annotation(Some((500.0, 375.0)), &[]);
        let what = turned.objects((375, 500)).expect_err("it is turned").what;
        let expected = "the annotation is of 500x375 pixels, found 375x500: the picture lies on \
                        its side";
        assert_eq!(what, expected);
        assert!(annotation(Some((5.0, 5.0)), &[]).objects((5, 5)).is_ok());
    }
}
