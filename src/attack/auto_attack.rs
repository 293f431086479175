//! AutoAttack: an ensemble without parameters to tune.

use serde::{Deserialize, Serialize};

use super::any::Resume;
use super::{Apgd, ApgdT, Attack, Fab, FabT, Gradient, Square, Target};
use crate::error::Result;
use crate::loss::LossKind;

/// AutoAttack: several attacks one after the other, each on the samples that those before left unbroken.
///
/// # Threat model
/// White box (gradients). Norms l1, l2, linf; eps in the units of the model's input. Untargeted and targeted.
///
/// # Shapes
/// Any; a sample is a flat row of features.
///
/// # Defaults
/// `version=standard`.
///
/// # Queries per sample
/// At most the sum of the members'; the members after the one that broke a sample leave it alone. For ten classes in linf
/// and l2: `standard` 7815 forward and 1900 backward, `plus` 13728 and 7300, `rand` 4002 and 4000, `quick` 85 and 80.
///
/// # Errors
/// When the model cannot be differentiated or run, or the run was cancelled.
///
/// # Reference
/// Croce & Hein 2020, <https://arxiv.org/abs/2003.01690>; in l1 Croce & Hein 2021, <https://arxiv.org/abs/2103.01208>,
/// where APGD has five restarts and its targeted form five classes.
///
/// # Differences
/// Those of the members. With three classes the targeted DLR loss does not exist: APGD on DLR joins, and the targeted runs
/// maximise the margin. With two, every run but those on cross-entropy maximises the margin. `quick` is ours.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoAttack {
    /// Which members, with which settings.
    pub version: Version,
}

/// The presets of [`AutoAttack`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Version {
    /// APGD on cross-entropy, targeted APGD over nine classes, targeted FAB over nine, then the Square attack (5000
    /// queries).
    #[default]
    Standard,
    /// APGD on cross-entropy and on DLR and FAB, five restarts each, the Square attack (5000 queries), then targeted APGD
    /// and targeted FAB over nine classes.
    Plus,
    /// For models that answer at random: APGD on cross-entropy and on DLR, averaging 20 gradients per step.
    Rand,
    /// For continuous integration: APGD on cross-entropy and targeted APGD over three classes, 20 steps each. At most a
    /// fiftieth of the queries of `Standard`. On sixteen results of the authors' `Standard` (`docs/strength.md`), the robust accuracy
    /// came out at most one point above on eleven; the others are 2, 2.5, 5, 6 and 7 points off.
    Quick,
}

/// A member: the name that keys its random streams, and the attack.
type Member = (&'static str, Box<dyn Resume>);

impl Version {
    /// The members in their order, for a model of `classes` classes.
    fn members(self, is_sparse: bool, classes: usize) -> Vec<Member> {
        let ratio = || if classes < 3 { LossKind::Margin } else { LossKind::Dlr };
        let towards = || if classes < 4 { LossKind::Margin } else { LossKind::DlrTargeted };
        let apgd = |loss: LossKind, restarts| Apgd { loss, restarts, ..Apgd::default() };
        let cross_entropy = |restarts| apgd(LossKind::CrossEntropy, restarts);
        let fewer = is_sparse && self == Self::Standard;
        let targeted =
            ApgdT { loss: towards(), classes: if fewer { 5 } else { 9 }, ..ApgdT::default() };
        let boxed = |name, apgd: Apgd| -> Member { (name, Box::new(apgd)) };
        match self {
            Self::Standard => {
                let restarts = if is_sparse { 5 } else { 1 };
                let mut members = vec![boxed("apgd-ce", cross_entropy(restarts))];
                if classes == 3 {
                    members.push(boxed("apgd-dlr", apgd(ratio(), restarts)));
                }
                members.push(("apgd-t", Box::new(targeted)));
                members.push(("fab-t", Box::new(FabT::default())));
                members.push(("square", Box::new(Square::default())));
                members
            }
            Self::Plus => vec![
                boxed("apgd-ce", cross_entropy(5)),
                boxed("apgd-dlr", apgd(ratio(), 5)),
                ("fab", Box::new(Fab { restarts: 5, ..Fab::default() })),
                ("square", Box::new(Square::default())),
                ("apgd-t", Box::new(targeted)),
                ("fab-t", Box::new(FabT::default())),
            ],
            Self::Rand => vec![
                boxed("apgd-ce", Apgd { eot: 20, ..cross_entropy(1) }),
                boxed("apgd-dlr", Apgd { eot: 20, ..apgd(ratio(), 1) }),
            ],
            Self::Quick => vec![
                boxed("apgd-ce", Apgd { steps: 20, ..cross_entropy(1) }),
                ("apgd-t", Box::new(ApgdT { steps: 20, classes: 3, ..targeted })),
            ],
        }
    }
}

impl Attack for AutoAttack {
    type Access = Gradient;

    fn id(&self) -> &'static str {
        "autoattack"
    }

    fn validate(&self) -> Result<()> {
        Ok(())
    }

    fn run(&self, target: &mut Target<'_, Gradient>) -> Result<()> {
        let mut slots: Vec<usize> = (0..target.len()).collect();
        let Some(&first) = slots.first() else { return Ok(()) };
        let is_sparse = target.region(first).norm.is_sparse();
        for (name, member) in self.version.members(is_sparse, target.classes()) {
            slots.retain(|&slot| target.affords(slot, 1) && !target.is_broken(slot));
            target.delegate(name, &*member, &slots)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelInfo;

    const VERSIONS: [Version; 4] =
        [Version::Standard, Version::Plus, Version::Rand, Version::Quick];

    #[test]
    fn members_are_valid_for_any_number_of_classes() {
        for (version, classes) in VERSIONS.into_iter().flat_map(|v| [2, 3, 4, 10].map(|c| (v, c))) {
            for is_sparse in [false, true] {
                let model = ModelInfo { classes, ..ModelInfo::default() };
                let members = version.members(is_sparse, classes);
                for (at, (name, member)) in members.iter().enumerate() {
                    member.validate().unwrap();
                    member.check_model(&model).unwrap();
                    assert!(members[..at].iter().all(|(other, _)| other != name), "{name} twice");
                }
            }
        }
    }

    #[test]
    fn fewer_classes_have_other_losses() {
        let losses = |version: Version, classes| -> Vec<String> {
            let members = version.members(false, classes);
            let loss = |member: &dyn Resume| member.params()["loss"].as_str().map(str::to_owned);
            let named = |(name, member): &Member| Some(format!("{name} {}", loss(&**member)?));
            members.iter().filter_map(named).collect()
        };
        let ten = ["apgd-ce cross-entropy", "apgd-t dlr-t", "square margin"];
        assert_eq!(losses(Version::Standard, 10), ten);
        let three = ["apgd-ce cross-entropy", "apgd-dlr dlr", "apgd-t margin", "square margin"];
        assert_eq!(losses(Version::Standard, 3), three);
        let two = ["apgd-ce cross-entropy", "apgd-t margin", "square margin"];
        assert_eq!(losses(Version::Standard, 2), two);
        assert_eq!(losses(Version::Rand, 2), ["apgd-ce cross-entropy", "apgd-dlr margin"]);
    }
}
