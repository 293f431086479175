//! Attacks that should lose to others: those that know less, or try less.

use super::bar::{beats, surely};
use crate::attack::{Access, Blind, Decision, Gradient, Member, Score, TRANSFER};
use crate::evaluate::results::{Fate, Row};
use crate::finding::Finding;
use crate::threat::Threat;

/// Two sides, the first of which should not break more samples than the second.
struct Contest {
    code: &'static str,
    underdog: Side,
    favourite: Side,
    /// Whether chance must be ruled out: both sides know as much.
    even: bool,
    /// What it means when the underdog wins.
    verdict: &'static str,
    remedy: &'static str,
}

/// A row's standing on a side; none where it is not on it.
type Side = fn(&Row) -> Option<Standing<'_>>;

/// An attack, and the samples that it broke.
#[derive(Clone, Copy)]
struct Standing<'a> {
    row: &'a Row,
    attack: &'a str,
    broken: usize,
}

static CONTESTS: &[Contest] = &[
    Contest {
        code: "black-box-beats-white-box",
        underdog: black_box,
        favourite: white_box,
        even: false,
        verdict: "gradients should help, and here they mislead",
        remedy: "believe the black box, and attack with more queries; among the gradients try another loss (margin, \
                 dlr), straight-through rounding, and averages of a random model's (eot)",
    },
    Contest {
        code: "fgsm-beats-pgd",
        underdog: fgsm,
        favourite: iterated,
        even: true,
        verdict: "many small steps should find what one large step finds: the gradient may point elsewhere nearby than \
                  further off",
        remedy: "attack it with more restarts, larger steps and the margin loss, and without gradients (square)",
    },
    Contest {
        code: "noise-beats-fgsm",
        underdog: noise,
        favourite: fgsm,
        even: false,
        verdict: "the gradient at the clean input may be masked",
        remedy: "attack it with iterated steps, the margin loss, and without gradients (square)",
    },
    Contest {
        code: "noise-beats-gradient",
        underdog: noise,
        favourite: white_box,
        even: false,
        verdict: "the gradient may be masked, so that the gradient attacks say little",
        remedy: "believe the noise, and attack the model without gradients as well",
    },
];

pub(super) fn check(rows: &[Row]) -> Vec<Finding> {
    let mut threats: Vec<&Threat> = vec![];
    for row in rows {
        if !threats.contains(&&row.threat) {
            threats.push(&row.threat);
        }
    }
    let decided = |contest: &Contest| -> Vec<Finding> {
        threats.iter().filter_map(|threat| contest.decide(rows, threat)).collect()
    };
    CONTESTS.iter().flat_map(decided).collect()
}

impl Contest {
    fn decide(&self, rows: &[Row], threat: &Threat) -> Option<Finding> {
        let best = |side: Side| {
            let finished = |row: &&Row| {
                row.threat == *threat && row.attempts.iter().all(|a| a.fate != Fate::Unreached)
            };
            // The first of the best, so that the message does not depend on the order of ties.
            rows.iter()
                .filter(finished)
                .filter_map(side)
                .rev()
                .max_by_key(|standing| standing.broken)
        };
        let (winner, loser) = best(self.underdog).zip(best(self.favourite))?;
        let samples = rows.first()?.attempts.len();
        let message = format!(
            "{} broke {} of {samples} samples within {} {}, {} only {}: {}",
            winner.attack,
            winner.broken,
            threat.norm,
            threat.budget.largest(),
            loser.attack,
            loser.broken,
            self.verdict
        );
        let enough = beats(winner.broken, loser.broken, samples)
            && (!self.even || surely(winner.row, loser.row));
        enough.then(|| Finding::warning(self.code, message).remedy(self.remedy))
    }
}

fn all(row: &Row) -> Standing<'_> {
    Standing { row, attack: &row.attack, broken: row.broken() }
}

/// What asks another model is blind, but no noise.
fn noise(row: &Row) -> Option<Standing<'_>> {
    (row.access == Blind::NAME && row.attack != TRANSFER).then(|| all(row))
}

fn fgsm(row: &Row) -> Option<Standing<'_>> {
    (row.attack == "fgsm").then(|| all(row))
}

fn iterated(row: &Row) -> Option<Standing<'_>> {
    ["pgd", "apgd"].contains(&&row.attack[..]).then(|| all(row))
}

/// An attack by scores, by decisions or on another model, or an ensemble's member, to whose credit is what those before it
/// broke, too.
fn black_box(row: &Row) -> Option<Standing<'_>> {
    let is_black = |access: &str| [Decision::NAME, Score::NAME].contains(&access);
    if is_black(&row.access) || row.attack == TRANSFER {
        return Some(all(row));
    }
    let mut members = row.attempts.iter().filter_map(|a| a.adversarial.as_ref()?.member.as_ref());
    let member = members.find(|member| is_black(&member.access))?;
    Some(Standing { row, attack: &member.name, broken: row.broken() })
}

/// What an attack by gradients broke, or an ensemble's members of that class.
fn white_box(row: &Row) -> Option<Standing<'_>> {
    let by_gradients =
        |member: &Option<Member>| member.as_ref().is_none_or(|m| m.access == Gradient::NAME);
    let found = row.attempts.iter().filter_map(|attempt| attempt.adversarial.as_ref());
    let broken = found.filter(|found| by_gradients(&found.member)).count();
    row.is_white_box().then_some(Standing { row, attack: &row.attack, broken })
}
