//! Logits that are not finite.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::subject::Subject;

/// What to do about non-finite logits.
pub(crate) const NON_FINITE_REMEDY: &str = "find the node that overflows or divides by zero on these samples; half precision is a frequent cause";

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let bad = |index: &usize| subject.logits[*index].iter().any(|z| !z.is_finite());
    let bad: Vec<usize> = (0..subject.len()).filter(bad).map(|index| subject.ids[index]).collect();
    if bad.is_empty() {
        return Ok(vec![]);
    }
    let message = format!(
        "NaN or infinite logits on {} of {} samples: {}",
        bad.len(),
        subject.len(),
        first(&bad)
    );
    Ok(vec![Finding::error("non-finite", message).remedy(NON_FINITE_REMEDY)])
}

/// The first few of a list of samples.
pub(super) fn first(samples: &[usize]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = samples.iter().take(SHOWN).map(ToString::to_string).collect();
    shown.join(", ") + if samples.len() > SHOWN { ", …" } else { "" }
}
