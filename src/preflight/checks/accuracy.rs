//! Clean accuracy that guessing would reach.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::alternatives::{all, best, is_chance};
use crate::preflight::subject::Subject;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    if subject.setting.drawn || !is_chance(subject) {
        return Ok(vec![]);
    }
    let hits = subject.hits(&subject.logits);
    let right = hits.iter().filter(|hit| **hit).count();
    let message = format!(
        "the clean accuracy on {} samples is {:.1} %, which guessing among {} classes would reach",
        hits.len(),
        100.0 * right as f64 / hits.len() as f64,
        subject.model.classes()
    );
    Ok(vec![match best(subject, &hits, all(subject))? {
        Some(better) => {
            let message =
                format!("{message}; {} raises it to {:.1} %", better.what, 100.0 * better.accuracy);
            Finding::error("chance-accuracy", message).remedy(better.remedy)
        }
        None => Finding::warning("chance-accuracy", message).remedy(
            "check the preprocessing, the order of the classes, and that the data belong to the model; the common \
             scales, normalisations and channel orders do not help",
        ),
    }])
}
