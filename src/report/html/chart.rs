//! Shares against sizes of perturbations, as SVG that stands in a page or by itself.

use std::fmt::Write;

use maud::{Markup, PreEscaped, html};

use crate::report::text::number;
use crate::text::written;

/// The classes of [`STYLE`] for lines that are told apart by colour and dashes.
pub(super) const SERIES: [&str; 6] =
    ["series s1", "series s2", "series s3", "series s4", "series s5", "series s6"];

pub(super) const STYLE: &str = include_str!("chart.css");

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 236.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 42.0;

/// A plot under construction: what is added later lies above.
pub(super) struct Chart {
    /// The largest size of a perturbation.
    reach: f64,
    layers: Vec<Markup>,
}

/// The size of a perturbation and a share.
pub(super) type Point = (f64, f64);

impl Chart {
    pub(super) fn new(reach: f64) -> Self {
        Self { reach: if reach > 0.0 { reach } else { 1.0 }, layers: vec![] }
    }

    pub(super) fn line(&mut self, class: &str, points: &[Point]) {
        self.layers.push(html! { path class=(class) d=(self.path(points)) {} });
    }

    /// What is between two lines.
    pub(super) fn band(&mut self, lower: &[Point], upper: &[Point]) {
        let around: Vec<Point> = lower.iter().chain(upper.iter().rev()).copied().collect();
        if !around.is_empty() {
            self.layers.push(html! { path.band d=(self.path(&around) + "Z") {} });
        }
    }

    pub(super) fn dots(&mut self, points: &[Point]) {
        for point in points {
            let (x, y) = self.place(*point);
            self.layers.push(html! { circle.dot cx=(x) cy=(y) r="3.5" {} });
        }
    }

    /// A cross at a point.
    pub(super) fn cross(&mut self, point: Point) {
        let (x, y) = self.place(point);
        self.layers.push(html! { path.mark d={ "M" (x) "," (y) "m-5,0h10m-5,-5v10" } {} });
    }

    /// The plot, `told` in words for those who do not see it.
    pub(super) fn draw(self, told: &str, along: &str, up: &str) -> Markup {
        self.draw_with("", told, along, up)
    }

    /// The plot as an SVG file, which has its style with it.
    pub(super) fn file(self, told: &str, along: &str, up: &str) -> String {
        self.draw_with(STYLE, told, along, up).into_string() + "\n"
    }

    fn draw_with(self, style: &str, told: &str, along: &str, up: &str) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        html! {
            svg.chart xmlns="http://www.w3.org/2000/svg" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(told) {
                @if !style.is_empty() { style { (PreEscaped(style)) } }
                @for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
                    @let (_, y) = self.place((0.0, share));
                    path.across d={ "M" (LEFT) "," (y) "H" (right) } {}
                    text.end x=(LEFT - 7.0) y=(y) dy="4" { (100.0 * share) " %" }
                }
                path.axis d={ "M" (LEFT) "," (bottom) "H" (right) } {}
                @for tick in ticks(self.reach) {
                    @let (x, _) = self.place((tick, 0.0));
                    path.axis d={ "M" (x) "," (bottom) "v4" } {}
                    text.middle x=(x) y=(bottom + 16.0) { (number(tick)) }
                }
                text.middle x=(0.5 * (LEFT + right)) y=(HEIGHT - 8.0) { (along) }
                text.middle transform={ "translate(9," (0.5 * (TOP + bottom)) ") rotate(-90)" } { (up) }
                @for layer in &self.layers { (layer) }
            }
        }
    }

    fn place(&self, (size, share): Point) -> (String, String) {
        let x = LEFT + size / self.reach * (WIDTH - LEFT - RIGHT);
        let y = TOP + (1.0 - share) * (HEIGHT - TOP - BOTTOM);
        (format!("{x:.1}"), format!("{y:.1}"))
    }

    fn path(&self, points: &[Point]) -> String {
        written(|path| {
            points.iter().enumerate().try_for_each(|(index, point)| {
                let (x, y) = self.place(*point);
                write!(path, "{}{x},{y}", if index == 0 { 'M' } else { 'L' })
            })
        })
    }
}

/// Points as a staircase: each share holds from its size to the next one, the last up to `reach`.
pub(super) fn staircase(points: &[Point], reach: f64) -> Vec<Point> {
    let ends = points.iter().skip(1).map(|point| point.0).chain([reach]);
    points
        .iter()
        .zip(ends)
        .flat_map(|(&(size, share), end)| [(size, share), (end, share)])
        .collect()
}

/// Round numbers from 0 to `reach`, at most seven.
fn ticks(reach: f64) -> Vec<f64> {
    let unit = 10_f64.powf(reach.log10().floor());
    let steps = [0.1, 0.2, 0.5, 1.0, 2.0].map(|step| step * unit);
    // A rounding error must not cost the last tick.
    let count = |step: f64| (reach / step * (1.0 + 1e-9)).floor() as usize;
    let step = steps.into_iter().find(|step| count(*step) <= 6).unwrap_or(reach);
    (0..=count(step)).map(|index| index as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn ticks_are_round() {
        for (reach, step, count) in [
            (0.2, 0.05, 5),
            (8.0 / 255.0, 0.005, 7),
            (1.0, 0.2, 6),
            (4.0, 1.0, 5),
            (6.1, 1.0, 7),
            (999.0, 200.0, 5),
        ] {
            let found = ticks(reach);
            assert_eq!(found.len(), count, "{reach}: {found:?}");
            assert_relative_eq!(found[1], step, max_relative = 1e-12);
        }
    }

    #[test]
    fn places_are_those_of_the_axes() {
        let chart = Chart::new(2.0);
        assert_eq!(chart.place((0.0, 0.0)), ("60.0".into(), "194.0".into()));
        assert_eq!(chart.place((2.0, 1.0)), ("346.0".into(), "10.0".into()));
        assert_eq!(chart.path(&[(0.0, 1.0), (1.0, 0.5)]), "M60.0,10.0L203.0,102.0");
    }

    #[test]
    fn stairs_go_along_before_they_go_down() {
        let stairs = staircase(&[(0.0, 1.0), (0.5, 0.25)], 2.0);
        assert_eq!(stairs, [(0.0, 1.0), (0.5, 1.0), (0.5, 0.25), (2.0, 0.25)]);
        assert_eq!(staircase(&[], 2.0), []);
    }
}
