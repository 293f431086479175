//! Outputs that differ from run to run.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::subject::Subject;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let Some(index) = subject.unsteady else { return Ok(vec![]) };
    let message = format!(
        "the same input gives other logits from run to run (first on sample {}): nothing that an attack finds can be \
         verified",
        subject.ids[index]
    );
    let random = subject.model.notes().into_iter().filter(|note| note.code == "random-operators");
    let finding = Finding::error("nondeterministic", message)
        .at(random.flat_map(|note| note.nodes))
        .remedy("make the model deterministic: remove what it draws, or fix its seed");
    Ok(vec![finding])
}
