//! Small curves over time, drawn on the server.

use jiff::Timestamp;
use lowtide_core::report::table::Ink;
use lowtide_core::report::words;
use maud::{Markup, html};

/// Units of the drawing, which scales with the page.
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 72.0;
/// Room for a point at the edge.
const EDGE: f64 = 5.0;

/// One value over time, oldest first.
pub(super) struct Series {
    pub(super) heading: &'static str,
    pub(super) points: Vec<Point>,
    /// A value as people read it.
    pub(super) shown: fn(u64) -> String,
}

pub(super) struct Point {
    pub(super) at: Timestamp,
    pub(super) value: u64,
    pub(super) ink: Ink,
}

/// Empty with fewer than two points: there is nothing to compare.
pub(super) fn figure(series: &Series, zone: &str) -> Markup {
    let (Some(first), Some(last), true) = (series.points.first(), series.points.last(), series.points.len() > 1) else {
        return html! {};
    };
    let most = series.points.iter().map(|point| point.value).max().unwrap_or(0);
    let least = series.points.iter().map(|point| point.value).min().unwrap_or(0);
    let places: Vec<(f64, f64)> = series
        .points
        .iter()
        .map(|point| place(point, (first, last), most))
        .collect();
    let curve: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    html! {
        figure {
            h3 { (series.heading) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (series.heading) " over time" } {
                line.base x1="0" x2=(WIDTH) y1=(HEIGHT - EDGE) y2=(HEIGHT - EDGE) {}
                polyline.curve points=(curve.join(" ")) {}
                @for ((x, y), point) in places.iter().zip(&series.points) {
                    circle class=(super::layout::class(point.ink)) cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r="3" {
                        title { (words::moment(point.at, zone)) ": " ((series.shown)(point.value)) }
                    }
                }
            }
            figcaption {
                "Last " ((series.shown)(last.value)) "; from " ((series.shown)(least)) " to " ((series.shown)(most)) " in "
                (words::counted(series.points.len(), "run", "runs")) " since " (words::moment(first.at, zone))
            }
        }
    }
}

/// The bottom is zero, and the top is the largest value.
#[expect(clippy::cast_precision_loss, reason = "a drawing has no more than hundreds of units")]
fn place(point: &Point, (first, last): (&Point, &Point), most: u64) -> (f64, f64) {
    let millis = |from: &Point, to: &Point| to.at.duration_since(from.at).as_millis().max(0) as f64;
    let x = millis(first, point) / millis(first, last).max(1.0);
    let y = point.value as f64 / most.max(1) as f64;
    (
        EDGE + x * (WIDTH - 2.0 * EDGE),
        HEIGHT - EDGE - y * (HEIGHT - 2.0 * EDGE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[u64]) -> Series {
        let at = |n: usize| Timestamp::from_second(1_790_000_000 + 86_400 * i64::try_from(n).unwrap()).unwrap();
        let points = values.iter().enumerate().map(|(n, value)| Point {
            at: at(n),
            value: *value,
            ink: Ink::Plain,
        });
        Series {
            heading: "Image size",
            points: points.collect(),
            shown: |n| format!("{n} B"),
        }
    }

    #[test]
    fn a_curve_has_its_first_point_at_the_left_and_its_largest_at_the_top() {
        let drawn = figure(&series(&[10, 0, 20]), "UTC").into_string();
        assert!(drawn.contains("points=\"5.0,36.0 150.0,67.0 295.0,5.0\""), "{drawn}");
        assert!(
            drawn.contains("Last 20 B; from 0 B to 20 B in 3 runs since 2026-09-21 14:13 UTC"),
            "{drawn}"
        );
    }

    #[test]
    fn nothing_is_drawn_of_one_point_and_equal_ones_lie_on_a_line() {
        assert_eq!(figure(&series(&[7]), "UTC").into_string(), "");
        assert!(
            figure(&series(&[0, 0]), "UTC")
                .into_string()
                .contains("points=\"5.0,67.0 295.0,67.0\"")
        );
    }
}
