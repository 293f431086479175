//! The attacks: each proposes points; the evaluator's judge decides.

mod access;
mod adam;
mod any;
mod apgd;
mod apgd_t;
mod ascent;
mod auto_ascent;
mod auto_attack;
mod blended_noise;
mod boundary;
mod boundary_attack;
mod checks;
mod contrast_reduction;
mod corruption;
mod cw;
mod ddn;
mod deepfool;
mod difference;
mod diversity;
mod ead;
mod estimate;
mod fab;
mod fab_t;
mod family;
mod fgsm;
mod fmn;
mod geo_da;
mod hop_skip_jump;
mod inquiry;
mod inversion;
mod jsma;
mod kernel;
mod mi_fgsm;
mod minimal;
mod nes;
mod noise;
mod odi;
mod outcome;
mod pace;
mod packed;
mod patch;
mod path;
mod pgd;
mod pgd_t;
mod prepare;
mod ranks;
mod rows;
mod saliency;
mod salt_and_pepper;
mod schedule;
mod session;
mod sigma_zero;
mod simba;
mod source;
mod spatial;
mod spec;
mod spsa;
mod square;
mod square_moves;
mod start;
mod starts;
mod target;
mod trade;
mod transfer;
mod transform;
mod universal;
mod zoo;

pub use access::{Access, Blind, Decision, Gradient, Score};
pub use any::AnyAttack;
pub use apgd::Apgd;
pub use apgd_t::ApgdT;
pub use auto_attack::{AutoAttack, Version};
pub use blended_noise::BlendedNoise;
pub use boundary_attack::BoundaryAttack;
pub use contrast_reduction::ContrastReduction;
pub use corruption::{Corrupted, Corruption};
pub use cw::Cw;
pub use ddn::Ddn;
pub use deepfool::DeepFool;
pub use ead::Ead;
pub use fab::Fab;
pub use fab_t::FabT;
pub use family::Family;
pub(crate) use family::expect_norm;
pub use fgsm::Fgsm;
pub use fmn::Fmn;
pub use geo_da::GeoDa;
pub use hop_skip_jump::HopSkipJump;
pub use inversion::Inversion;
pub use jsma::{Direction, Jsma};
pub use kernel::Kernel;
pub use mi_fgsm::MiFgsm;
pub use minimal::Minimal;
pub use nes::Nes;
pub use noise::{Noise, NoiseKind};
pub use outcome::{Closest, Member, Outcome};
pub use patch::Patch;
pub use pgd::Pgd;
pub use pgd_t::PgdT;
pub use prepare::Prepared;
pub use salt_and_pepper::SaltAndPepper;
pub use session::{Sample, Session};
pub use sigma_zero::SigmaZero;
pub use simba::{Basis, Simba};
pub use spatial::{Pose, Spatial};
pub use spsa::Spsa;
pub use square::Square;
pub use starts::Starts;
pub use target::Target;
pub(crate) use transfer::ID as TRANSFER;
pub use transfer::Transfer;
pub use transform::{Subject, Transform};
pub use universal::Universal;
pub use zoo::Zoo;

use std::fmt::Debug;

use crate::error::Result;
use crate::loss::LossKind;
use crate::model::ModelInfo;
use crate::norm::Norm;

spec::attacks! {
    "apgd" => Apgd,
    "apgd-t" => ApgdT,
    "autoattack" => AutoAttack,
    "blended-noise" => BlendedNoise,
    "boundary" => BoundaryAttack,
    "contrast-reduction" => ContrastReduction,
    "corruption" => Corruption,
    "cw" => Cw,
    "ddn" => Ddn,
    "deepfool" => DeepFool,
    "ead" => Ead,
    "fab" => Fab,
    "fab-t" => FabT,
    "fgsm" => Fgsm,
    "fmn" => Fmn,
    "geoda" => GeoDa,
    "hopskipjump" => HopSkipJump,
    "inversion" => Inversion,
    "jsma" => Jsma,
    "mi-fgsm" => MiFgsm,
    "minimal" => Minimal,
    "nes" => Nes,
    "noise" => Noise,
    "patch" => Patch,
    "pgd" => Pgd,
    "pgd-t" => PgdT,
    "salt-and-pepper" => SaltAndPepper,
    "sigma-zero" => SigmaZero,
    "simba" => Simba,
    "spatial" => Spatial,
    "spsa" => Spsa,
    "square" => Square,
    "universal" => Universal,
    "zoo" => Zoo,
}

/// A way of looking for adversarial points.
///
/// An attack proposes: it asks its [`Target`] about points, and the target remembers the best point that it was
/// ever asked about. Nothing that an attack returns is believed.
///
/// # Example: an attack of one's own
///
/// One random corner per sample. Because it serializes, it is an [`AnyAttack`] as well, which the evaluator runs.
///
/// ```
/// use ironbound::attack::{AnyAttack, Attack, Blind, Target};
/// use ironbound::{Result, StepSize};
///
/// #[derive(Debug, serde::Serialize)]
/// struct Corner;
///
/// impl Attack for Corner {
///     type Access = Blind;
///
///     fn id(&self) -> &'static str {
///         "corner"
///     }
///
///     fn validate(&self) -> Result<()> {
///         Ok(())
///     }
///
///     fn run(&self, target: &mut Target<'_, Blind>) -> Result<()> {
///         let mut slots: Vec<usize> = (0..target.len()).collect();
///         target.retain_open(&mut slots);
///         for slot in slots {
///             let region = target.region(slot);
///             let (mut point, mut direction) = (region.clean.to_vec(), region.clean.to_vec());
///             region.random_direction(&mut target.stream(slot, 0), &mut direction);
///             region.step(&mut point, &direction, StepSize::Relative(1.0));
///             region.project(&mut point);
///             target.submit(&[slot], &point)?;
///         }
///         Ok(())
///     }
/// }
///
/// let attack: Box<dyn AnyAttack> = Box::new(Corner);
/// assert_eq!((attack.id(), attack.access()), ("corner", "blind"));
/// ```
pub trait Attack: Debug + Send + Sync {
    /// What the attack may ask the target.
    type Access: Access;

    /// The name in the table and in reports.
    fn id(&self) -> &'static str;

    /// What it does with the budget: keeps to it, unless it has a [`transform`](Self::transform).
    fn family(&self) -> Family {
        if self.transform().is_some() { Family::Transformation } else { Family::FixedBudget }
    }

    /// The norms that it works in; a [`transform`](Self::transform) knows none.
    fn norms(&self) -> &'static [Norm] {
        if self.transform().is_some() { family::ANY_NORM } else { family::NORMS }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field.
    fn validate(&self) -> Result<()>;

    /// The loss that it climbs; none by default, for attacks without one.
    fn loss(&self) -> Option<&LossKind> {
        None
    }

    /// What it does to samples, for a [transformation](Family::Transformation); none by default.
    fn transform(&self) -> Option<&dyn Transform> {
        None
    }

    /// What it makes of the session's data set, [`Session::starts`], before it attacks a sample; none by default. It is made once
    /// per threat, and run on the samples in the place of the attack.
    ///
    /// # Errors
    /// When the model cannot be run, or the run was cancelled.
    fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
        let _ = session;
        Ok(None)
    }

    /// Checks that the attack can work on a model: that it has as many classes as the attack needs, and the like.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter), naming the field that does not fit.
    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// Attacks every sample of the target's batch. Stop working on a sample once it is no longer open.
    ///
    /// # Errors
    /// When the model cannot be run, or the run was cancelled.
    fn run(&self, target: &mut Target<'_, Self::Access>) -> Result<()>;
}
