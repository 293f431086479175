//! Losses that need more classes than there are.

use crate::error::Result;
use crate::finding::Finding;
use crate::preflight::subject::Subject;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    let classes = subject.model.classes();
    let mut found = vec![];
    for loss in subject.setting.losses {
        let needed = loss.min_classes();
        let name = loss.name();
        let message = format!("the loss {name} needs {needed} classes, the model has {classes}");
        let finding = Finding::error("too-few-classes", message).remedy("choose another loss");
        if classes < needed && !found.contains(&finding) {
            found.push(finding);
        }
    }
    Ok(found)
}
