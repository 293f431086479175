//! Robust accuracy against the budget, and how far samples are from being broken.

use maud::{Markup, html};
use serde_json::Value;

use super::chart::{Chart, Point, SERIES, staircase};
use crate::metrics::{Step, Survival};
use crate::report::curves::Curve;
use crate::report::record::{AttackRow, Report};
use crate::report::text::{number, percent};

/// What is up the axis.
const UP: &str = "robust accuracy";

impl Report {
    pub(super) fn curves_section(&self) -> Markup {
        let curves = self.curves.iter().filter(|curve| self.end_of(curve).is_some());
        html! {
            @if !self.curves.is_empty() {
                section #curves {
                    h2 { "By the size of the perturbation" }
                    @for curve in curves {
                        h3 { (self.worst_case[curve.cases[0]].kind()) }
                        div.plots { (self.accuracy(curve)) (self.distribution(curve)) }
                    }
                }
            }
        }
    }

    /// One of [`curves`](Self::curves) as an SVG file: robust accuracy in the worst case against the budget, with 95 % intervals, in
    /// light or dark as the reader's system is. None where there is no such curve.
    #[must_use]
    pub fn curve_to_svg(&self, curve: usize) -> Option<String> {
        let curve = self.curves.get(curve).filter(|curve| self.end_of(curve).is_some())?;
        let drawn = self.accuracy_chart(curve, vec![]);
        Some(drawn.chart.file(&drawn.told, &drawn.along, UP))
    }

    /// Robust accuracy against the budget.
    fn accuracy(&self, curve: &Curve) -> Markup {
        let reach = self.reach(curve);
        let drawn = self.accuracy_chart(curve, self.strongest(curve));
        html! {
            figure {
                (drawn.chart.draw(&drawn.told, &drawn.along, UP))
                ul.legend {
                    li { (swatch("worst")) "worst case, with 95 % intervals" }
                    @for (class, row) in SERIES.iter().zip(&drawn.attacks) {
                        li { (swatch(class)) code { (self.name(row)) } }
                    }
                }
                figcaption {
                    "Mean robust accuracy up to " (number(reach)) ": " (percent(curve.area)) "."
                    @if drawn.attacks.len() > SERIES.len() {
                        " The " (SERIES.len()) " strongest of " (drawn.attacks.len()) " attacks are drawn."
                    }
                }
            }
        }
    }

    /// The plot of a curve with lines of some attacks, and what it shows.
    fn accuracy_chart<'a>(&self, curve: &Curve, attacks: Vec<&'a AttackRow>) -> Drawn<'a> {
        let norm = curve.norm.to_string();
        let start = self.clean.accuracy.map(|clean| ((0.0, clean), self.clean.interval));
        let ends = curve.cases.iter().filter_map(|&index| {
            let case = self.worst_case.get(index)?;
            Some(((case.eps?, case.robust_accuracy?), case.interval))
        });
        let all: Vec<(Point, [f64; 2])> = start.into_iter().chain(ends).collect();
        let (points, intervals): (Vec<Point>, Vec<_>) = all.into_iter().unzip();
        let edge = |end: usize| -> Vec<Point> {
            points
                .iter()
                .zip(&intervals)
                .map(|(point, interval)| (point.0, interval[end]))
                .collect()
        };
        let mut chart = Chart::new(self.reach(curve));
        chart.band(&edge(0), &edge(1));
        for (class, row) in SERIES.iter().zip(&attacks) {
            chart.line(class, &self.course(curve, row));
        }
        chart.line("worst", &points);
        chart.dots(&points);
        let at = |(eps, share): &Point| format!("{} at {}", percent(Some(*share)), number(*eps));
        let told = format!(
            "Robust accuracy in the worst case against the {norm} budget: {}.",
            points.iter().map(at).collect::<Vec<_>>().join(", ")
        );
        Drawn { chart, told, along: format!("{norm} budget"), attacks }
    }

    /// One row of each attack of a curve, that with the lowest accuracy first.
    fn strongest(&self, curve: &Curve) -> Vec<&AttackRow> {
        let Some(last) = curve.cases.last() else { return vec![] };
        let mut rows: Vec<_> = self.attacks.iter().filter(|row| row.case == *last).collect();
        let accuracy = |row: &AttackRow| row.robust_accuracy.unwrap_or(f64::INFINITY);
        rows.sort_by(|a, b| accuracy(a).total_cmp(&accuracy(b)));
        rows
    }

    /// The accuracy that one attack leaves under each budget of a curve.
    fn course(&self, curve: &Curve, attack: &AttackRow) -> Vec<Point> {
        let key = |row: &AttackRow| -> (String, Value) { (row.id.clone(), row.params.clone()) };
        let point = |case: &usize| {
            let mut rows = self.attacks.iter().filter(|row| row.case == *case);
            let row = rows.find(|row| key(row) == key(attack))?;
            Some((row.eps?, row.robust_accuracy?))
        };
        let start = self.clean.accuracy.map(|clean| (0.0, clean));
        start.into_iter().chain(curve.cases.iter().filter_map(point)).collect()
    }

    /// The share of samples that need a larger perturbation, against its size.
    fn distribution(&self, curve: &Curve) -> Markup {
        let (reach, of) = (self.reach(curve), &curve.distance);
        let survival = Survival::of(&self.distances(&curve.cases));
        let mut points: Vec<Point> = vec![(0.0, 1.0)];
        points.extend(survival.steps.iter().map(|step| (step.distance, step.share)));
        let mut chart = Chart::new(reach);
        let known: Vec<&Step> = survival.steps.iter().take_while(|step| step.share > 0.0).collect();
        // Where nothing is left there is no interval.
        let end = survival.steps.get(known.len()).map_or(reach, |step| step.distance);
        let edge = |side: usize| -> Vec<Point> {
            let edge: Vec<_> =
                known.iter().map(|step| (step.distance, step.interval[side])).collect();
            staircase(&edge, end)
        };
        chart.band(&edge(0), &edge(1));
        if let Some(median) = of.median {
            chart.line("half", &[(0.0, 0.5), (median, 0.5), (median, 0.0)]);
        }
        chart.line("worst", &staircase(&points, reach));
        if let Some((_, share)) = points.last().filter(|_| of.censored > 0) {
            chart.cross((reach, *share));
        }
        let half = match of.median {
            Some(median) => {
                format!("Half of {} samples break within {}.", of.samples, number(median))
            }
            None => format!(
                "Fewer than half of {} samples break, so the median is not known.",
                of.samples
            ),
        };
        let rest = format!("{} were not broken up to {}", of.censored, number(reach));
        let told = format!(
            "Share of samples that need a larger perturbation, by its size: {half} {rest}."
        );
        html! {
            figure {
                (chart.draw(&told, &format!("{} size of the smallest perturbation found", curve.norm), "not broken yet"))
                ul.legend {
                    li { (swatch("worst")) "share of the correctly classified samples, with 95 % intervals" }
                    @if of.censored > 0 { li { (swatch("mark")) (rest) " (censored)" } }
                }
                figcaption { (half) " Kaplan-Meier: what was not broken counts as farther away, by an unknown amount." }
            }
        }
    }

    /// The largest budget of a curve.
    fn reach(&self, curve: &Curve) -> f64 {
        self.end_of(curve).and_then(|case| case.eps).unwrap_or(0.0)
    }
}

/// A plot, and what there is to say of it.
struct Drawn<'a> {
    chart: Chart,
    /// The plot in words.
    told: String,
    /// What is along the axis.
    along: String,
    /// The attacks, the strongest first; lines are drawn as far as [`SERIES`] goes.
    attacks: Vec<&'a AttackRow>,
}

/// A bit of a line, for a legend.
fn swatch(class: &str) -> Markup {
    html! {
        svg viewBox="0 0 36 10" aria-hidden="true" {
            @if class == "mark" { path.mark d="M13,5h10m-5,-5v10" {} } @else { path class=(class) d="M0,5H36" {} }
        }
    }
}
