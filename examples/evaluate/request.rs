//! From flags to what they ask for. Everything is checked before a file is opened.

use std::sync::Arc;

use ironbound::attack::{AnyAttack, AttackSpec};
use ironbound::report::GateSpec;
use ironbound::{
    Budget, Classifier, DataOptions, Error, Goal, Model, ModelOptions, Norm, ObjectiveKind,
    ObjectiveModel, Report, Result, Shard, Stopping, Threat,
};

use crate::args::Args;
use crate::data::Data;
use crate::digits;
use crate::features::Features;
use crate::gates::expect_some;
use crate::loading::{self, Limits, fault};
use crate::reports;
use crate::share;
use crate::shell::expect_folder;

const ATTACKS: [&str; 3] = ["noise", "fgsm", "pgd"];
/// Outputs that are no scores may be so large that cross-entropy has no slope left, and a distance from the clean outputs
/// has none at the clean input.
const OBJECTIVE_ATTACKS: [&str; 3] =
    ["noise", "fgsm:loss=margin,random_start=true", "pgd:loss=margin"];

/// Budgets for images in [0, 1], when none is given.
const IMAGES_EPS: &[(Norm, &[f64])] =
    &[(Norm::Linf, &[8.0 / 255.0]), (Norm::L2, &[0.5]), (Norm::L1, &[12.0])];
/// Budgets for the 64 pixels of a digit: a curve from little to much.
const DIGITS_EPS: &[(Norm, &[f64])] =
    &[(Norm::Linf, &[0.05, 0.1, 0.2]), (Norm::L2, &[0.25, 0.5, 1.0]), (Norm::L1, &[1.0, 2.0, 4.0])];

pub(crate) struct Request<'a> {
    args: &'a Args,
    options: ModelOptions,
    /// How the surrogate is read, if there is one.
    surrogate: ModelOptions,
    reading: DataOptions,
    limits: Limits,
    features: Features,
    objective: Option<ObjectiveKind>,
    threats: Vec<Threat>,
    pub(crate) attacks: Vec<AttackSpec>,
    pub(crate) shard: Option<Shard>,
    pub(crate) gates: Vec<GateSpec>,
    pub(crate) stopping: Option<Stopping>,
    pub(crate) baseline: Option<Report>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(args: &'a Args) -> Result<Self> {
        for path in args.files.paths().chain(&args.save_adversarial).chain(&args.checkpoint) {
            expect_folder(path)?;
        }
        let (mut options, mut reading) = (args.loading.model()?, args.loading.reading.options()?);
        let objective = args.objective.as_deref().map(str::parse).transpose()?;
        reading.unlabelled = args.objective.is_some();
        options.outputs = args.objective.is_some().then(|| args.outputs.clone());
        let surrogate = ModelOptions {
            preprocessing: options.preprocessing.clone(),
            input_shape: options.input_shape.clone(),
            straight_through: options.straight_through.clone(),
            outputs: options.outputs.clone(),
            ..ModelOptions::default()
        };
        if args.surrogate.is_some() {
            options.straight_through.clear();
        }
        let gates = gates(args)?;
        expect_some(&gates, args.files.attestation.as_deref())?;
        let limits = Limits::or_usual(args.bounds.as_deref(), args.data.as_deref())?;
        let stopping = stopping(args)?;
        let (threats, attacks) = (threats(args)?, attacks(args)?);
        let features = args.features.read()?;
        let shard = args.shard.as_deref().map(str::parse).transpose()?;
        let baseline = args.baseline.as_deref().map(reports::read).transpose()?;
        Ok(Self {
            args,
            options,
            surrogate,
            reading,
            limits,
            features,
            objective,
            threats,
            attacks,
            shard,
            gates,
            stopping,
            baseline,
        })
    }

    /// The threats to these samples.
    pub(crate) fn threats(&self, model: &dyn Classifier, data: &Data) -> Result<Vec<Threat>> {
        let bounds = data.bounds(&self.limits, &model.info().shape)?;
        let restrict = |threat: &Threat| {
            self.features.restrict(threat.clone().with_bounds(bounds.clone()), model.features())
        };
        self.threats.iter().map(restrict).collect()
    }

    /// Reads the model and the data.
    pub(crate) fn load(&self) -> Result<(Box<dyn Classifier>, Data)> {
        // A missing file is told at once, not after minutes of loading a model.
        for path in self.args.data.iter().chain(&self.args.surrogate) {
            std::fs::metadata(path).map_err(|source| Error::Io { path: path.clone(), source })?;
        }
        let is_objective = self.objective.is_some();
        let (model, data) = match (&self.args.model, &self.args.data) {
            (Some(model), Some(data)) => {
                let model = Model::load_with(model, &self.options)?;
                let data = if self.args.stream {
                    Data::Streamed(loading::stream(data, &self.reading, &model)?)
                } else {
                    let data = loading::read(data, &self.reading, &model)?;
                    Data::Memory(if is_objective { data.without_labels() } else { data })
                };
                (model, data)
            }
            _ => {
                let (model, data) = digits::load(&self.options)?;
                (model, Data::Memory(if is_objective { data.without_labels() } else { data }))
            }
        };
        if let Some(expected) = &self.args.expect_sha256 {
            model.info().expect_sha256(expected)?;
        }
        if let Some(baseline) = &self.baseline {
            baseline.expect_data(data.path(), data.sha256())?;
        }
        Ok((self.aimed(model)?, data))
    }

    /// Reads the model that is attacked in the place of the other one.
    pub(crate) fn surrogate(&self) -> Result<Option<Arc<dyn Classifier>>> {
        let load = |path| Ok(self.aimed(Model::load_with(path, &self.surrogate)?)?.into());
        self.args.surrogate.as_ref().map(load).transpose()
    }

    /// The model as what the attacker wants of it makes it.
    fn aimed(&self, model: Model) -> Result<Box<dyn Classifier>> {
        Ok(match &self.objective {
            Some(kind) => Box::new(ObjectiveModel::new(model, kind.objective())?),
            None => Box::new(model),
        })
    }
}

/// That of `--stop-width` or `--stop-at-gate`.
fn stopping(args: &Args) -> Result<Option<Stopping>> {
    if let Some(text) = &args.stop_width {
        return Ok(Some(Stopping::Width(share::read("stop-width", text)?)));
    }
    let gate = args.fail_under.as_deref().filter(|_| args.stop_at_gate);
    gate.map(|text| Ok(Stopping::Gate(share::read("fail-under", text)?))).transpose()
}

/// Those of `--fail-under`, `--max-drop` and `--gate`, in this order.
fn gates(args: &Args) -> Result<Vec<GateSpec>> {
    let named = |flag: &str, text: &Option<String>, gate: fn(f64) -> GateSpec| {
        let share = text.as_deref().map(|text| share::read(flag, text)).transpose()?;
        Ok(share.map(|share| gate(share).named(format!("--{flag} {:.2}%", 100.0 * share))))
    };
    let low = named("fail-under", &args.fail_under, GateSpec::worst_case)?;
    let drop = named("max-drop", &args.max_drop, GateSpec::drop_from_baseline)?;
    let given: Vec<GateSpec> = args.gate.iter().map(|text| text.parse()).collect::<Result<_>>()?;
    if let Some(gate) = given.iter().find(|gate| gate.needs_baseline() && args.baseline.is_none()) {
        return Err(fault("gate", &gate.to_string(), "--baseline is needed to compare with"));
    }
    Ok(low.into_iter().chain(drop).chain(given).collect())
}

fn threats(args: &Args) -> Result<Vec<Threat>> {
    let norms = match &args.norm[..] {
        [] => vec![Norm::Linf],
        names => names.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };
    let goal = args.targeted.as_deref().map_or(Ok(Goal::Untargeted), goal)?;
    let mut threats: Vec<Threat> = vec![];
    for norm in norms {
        let budgets: Vec<Budget> = match &args.eps[..] {
            [] => default_budgets(norm, args.model.is_none()),
            texts => texts.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        };
        for budget in budgets {
            let threat = Threat { budget, goal: goal.clone(), ..Threat::new(norm, 0.0) };
            if !threats.contains(&threat) {
                threats.push(threat);
            }
        }
    }
    Ok(threats)
}

/// The usual budgets of a norm; some budget where there is none, so that the evaluation can say why.
fn default_budgets(norm: Norm, digits: bool) -> Vec<Budget> {
    let table = if digits { DIGITS_EPS } else { IMAGES_EPS };
    let of = table.iter().find(|(of, _)| *of == norm).map_or(&[1.0][..], |(_, eps)| eps);
    of.iter().map(|eps| Budget::Scalar(*eps)).collect()
}

fn attacks(args: &Args) -> Result<Vec<AttackSpec>> {
    let given = args.attack.iter().map(String::as_str);
    let names: Vec<_> = match (args.attack.is_empty(), &args.objective) {
        (false, _) => given.collect(),
        (true, None) => ATTACKS.to_vec(),
        (true, Some(_)) => OBJECTIVE_ATTACKS.to_vec(),
    };
    let parse = |name: &&str| {
        let attack: AttackSpec = name.parse()?;
        attack.validate()?;
        Ok(attack)
    };
    names.iter().map(parse).collect()
}

fn goal(text: &str) -> Result<Goal> {
    match text {
        "random" => Ok(Goal::Random),
        "least-likely" => Ok(Goal::LeastLikely),
        "every-other" => Ok(Goal::EveryOther),
        _ => {
            let goal = match text.strip_prefix("kth-likely:") {
                Some(k) => k.parse().map(Goal::KthLikely),
                None => text.parse().map(Goal::Class),
            };
            goal.map_err(|_| {
                let expected =
                    "expected a class number, random, least-likely, kth-likely:K or every-other";
                fault("targeted", text, expected)
            })
        }
    }
}
