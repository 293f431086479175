//! Adversarials of another model.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Access, AnyAttack, Blind, Family, Gradient, Outcome, Prepared, Sample, Session, Target,
    Transform, expect_norm,
};
use crate::error::{Error, Result};
use crate::goal::Aim;
use crate::loss::LossKind;
use crate::model::{Batch, Classifier, LossGradient, ModelInfo};
use crate::norm::Norm;

/// The name in reports.
pub(crate) const ID: &str = "transfer";

/// Any attack on another model, a surrogate that the attacker has in hand; what it finds there is submitted to the model.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use ironbound::attack::{Pgd, Transfer};
/// use ironbound::{Dataset, Evaluation, Model, Norm, Threat};
///
/// # fn main() -> ironbound::Result<()> {
/// let (model, surrogate) = (Model::load("shipped.onnx")?, Model::load("own.onnx")?);
/// let data = Dataset::from_npz("test.npz")?;
/// let attack = Transfer::new(Arc::new(surrogate), Pgd::default());
/// let threat = Threat::new(Norm::Linf, 8.0 / 255.0);
/// let results = Evaluation::new(&model, &data).threat(threat).attack(attack).run()?;
/// # Ok(())
/// # }
/// ```
///
/// # Threat model
/// Blind: the model is not asked before the attack is over. Access to the surrogate, norms, budgets and aims are those of the
/// attack inside.
///
/// # Shapes
/// The surrogate takes samples of the model's shape, but for axes of length one, in the units of the same data, and has as
/// many classes.
///
/// # Defaults
/// None.
///
/// # Queries per sample
/// 1 forward. Those of the surrogate are not counted, and a query limit does not hold for them.
///
/// # Errors
/// When shapes or classes disagree, those of the attack inside, or when one of the models cannot be run.
///
/// # Reference
/// Papernot et al. 2016, <https://arxiv.org/abs/1605.07277>.
///
/// # Differences
/// An attack with a budget does not stop where the surrogate fails: it spends all its steps, and the point at which the
/// surrogate is furthest from right is submitted. Of one that looks for the smallest perturbation it is that: barely beyond the
/// surrogate's boundary, and so less likely to be beyond another's.
#[derive(Clone, Debug)]
pub struct Transfer<A> {
    /// The model to attack.
    pub surrogate: Arc<dyn Classifier>,
    /// The attack.
    pub inner: A,
}

impl<A: AnyAttack> Transfer<A> {
    /// Runs `inner` on `surrogate`.
    #[must_use]
    pub fn new(surrogate: Arc<dyn Classifier>, inner: A) -> Self {
        Self { surrogate, inner }
    }

    /// Submits what was found.
    fn submit(&self, target: &mut Target<'_, Blind>, found: &[Outcome]) -> Result<()> {
        if self.inner.family() != Family::FixedBudget {
            target.lift_budget();
        }
        let (mut slots, mut points) = (vec![], vec![]);
        for (slot, outcome) in found.iter().enumerate().filter(|(slot, _)| target.is_open(*slot)) {
            if let Some(point) = &outcome.point {
                slots.push(slot);
                points.extend_from_slice(point);
            }
        }
        target.submit(&slots, &points)?;
        for slot in slots {
            target.explain(slot, found[slot].change.clone());
        }
        Ok(())
    }
}

impl<A: AnyAttack> AnyAttack for Transfer<A> {
    fn id(&self) -> &'static str {
        ID
    }

    fn access(&self) -> &'static str {
        Blind::NAME
    }

    fn family(&self) -> Family {
        self.inner.family()
    }

    fn norms(&self) -> &'static [Norm] {
        self.inner.norms()
    }

    fn params(&self) -> Value {
        let mut inner = json!({ "attack": self.inner.id() });
        if let (Some(all), Value::Object(params)) = (inner.as_object_mut(), self.inner.params()) {
            all.extend(params);
        }
        let ModelInfo { path, sha256, options, .. } = self.surrogate.info();
        json!({
            "inner": inner,
            "surrogate": { "path": path, "sha256": sha256, "options": options },
        })
    }

    fn validate(&self) -> Result<()> {
        self.inner.validate()
    }

    fn transform(&self) -> Option<&dyn Transform> {
        self.inner.transform()
    }

    /// What the attack inside makes of the surrogate.
    fn prepare(&self, session: &Session<'_>) -> Result<Option<Prepared>> {
        let elsewhere = Session { model: &*self.surrogate, ..session.clone() };
        self.inner.prepare(&elsewhere)
    }

    fn check_model(&self, model: &ModelInfo) -> Result<()> {
        let own = self.surrogate.info();
        let long = |info: &ModelInfo| -> Vec<usize> {
            info.shape.iter().copied().filter(|&axis| axis != 1).collect()
        };
        if (long(own), own.classes) != (long(model), model.classes) {
            let found = format!(
                "{}, which takes samples of shape {:?} and has {} classes",
                own.path, own.shape, own.classes
            );
            let expected = format!(
                "expected shape {:?} and {} classes, as {} has",
                model.shape, model.classes, model.path
            );
            return Err(Error::parameter("surrogate", found, expected));
        }
        self.inner.check_model(own)?;
        // What cannot be run is refused now, and a batch size is settled on the same input whatever runs first later.
        let zeros = vec![0.0; self.surrogate.features()];
        let batch = Batch::from(&zeros[..]);
        self.surrogate.logits(batch, &mut vec![])?;
        if self.inner.access() == Gradient::NAME {
            let loss = LossKind::default().loss();
            let (aim, answer) = (Aim::untargeted(0), &mut LossGradient::default());
            self.surrogate.loss_and_gradient(batch, &[aim], &loss, answer)?;
        }
        Ok(())
    }

    fn attempt(&self, session: &Session<'_>, samples: &[Sample<'_>]) -> (Vec<Outcome>, Result<()>) {
        let confidence = match self.inner.family() {
            Family::FixedBudget | Family::Transformation => f32::INFINITY,
            Family::MinimalNorm => 0.0,
        };
        let model = &*self.surrogate;
        let elsewhere = Session { model, confidence, query_limit: None, ..session.clone() };
        let (found, ended) = self.inner.attempt(&elsewhere, samples);
        let mut target = Target::new(session, ID, samples);
        let submitted =
            expect_norm(self, session.threat.norm).and_then(|()| self.submit(&mut target, &found));
        (target.into_outcomes(), ended.and(submitted))
    }
}
