//! Properties of the verification competition: those known to be violable are violated, the others are not.
//!
//! A box of inputs, and a condition on the outputs that is a disjunction of conjunctions of linear terms.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::npz::{self, Array};
use common::shared;
use ironbound::attack::{AnyAttack, AttackSpec, Sample, Session};
use ironbound::objective::{Dnf, Term};
use ironbound::{
    Aim, Bounds, Budget, Classifier, Model, ModelOptions, Norm, ObjectiveModel, Threat,
};
use serde_json::Value;

/// One after the other until one finds a counterexample.
const ATTACKS: [&str; 6] = [
    "noise:draws=200",
    "pgd:loss=margin,restarts=10",
    "apgd-t:loss=margin,restarts=10",
    "autoattack",
    "pgd-t:restarts=50",
    "square:queries=20000",
];
/// Those of them that take a moment.
const QUICK: usize = 3;

/// The binarised model, and the operator whose rounding cuts its gradient.
const BINARISED: (&str, &str) = ("gtsrb_qconv30", "Sign");

/// Instances of the binarised model that no attack violates, not with straight-through gradients and a hundred restarts, a hundred
/// thousand queries of Square, ten thousand of HopSkipJump.
const OUT_OF_REACH: usize = 4;

struct Instance {
    id: String,
    model: String,
    violable: bool,
    difficulty: String,
    lower: Vec<f32>,
    upper: Vec<f32>,
    witness: Option<Vec<f32>>,
    dnf: Dnf,
}

/// All instances; those whose inputs are no box, none of them violable, are left out.
fn instances() -> Option<Vec<Instance>> {
    let folder = "reference/instances";
    let table = std::fs::read_to_string(shared(&format!("{folder}/instances.csv"))?).unwrap();
    let boxes = npz::read(&shared(&format!("{folder}/boxes.npz"))?);
    let witnesses = npz::read(&shared(&format!("{folder}/witness.npz"))?);
    let conditions = std::fs::read_to_string(shared(&format!("{folder}/boxes_dnf.json"))?).unwrap();
    let conditions: HashMap<String, Value> = serde_json::from_str(&conditions).unwrap();
    let mut lines = table.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|known| *known == name).unwrap();
    let columns = ["id", "model", "expected", "difficulty"].map(column);
    let instance = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let [id, model, expected, difficulty] = columns.map(|at| cells[at]);
        let Some(condition) = conditions.get(id) else {
            assert_ne!(expected, "sat", "{id} has no box");
            return None;
        };
        Some(Instance {
            id: id.into(),
            model: model.into(),
            violable: expected == "sat",
            difficulty: difficulty.into(),
            lower: boxes[&format!("{id}|lb")].floats(),
            upper: boxes[&format!("{id}|ub")].floats(),
            witness: witnesses.get(id).map(Array::floats),
            dnf: Dnf { any: condition.as_array().unwrap().iter().map(terms).collect() },
        })
    };
    Some(lines.filter_map(instance).collect())
}

fn terms(list: &Value) -> Vec<Term> {
    let term = |term: &Value| {
        let coefficients = term["coef"].as_object().unwrap().iter();
        Term {
            coefficients: coefficients
                .map(|(i, c)| (i.parse().unwrap(), c.as_f64().unwrap()))
                .collect(),
            constant: term["const"].as_f64().unwrap(),
        }
    };
    list.as_array().unwrap().iter().map(term).collect()
}

impl Instance {
    fn load(&self) -> Option<ObjectiveModel<'static>> {
        let path = shared(&format!("reference/models/{}.onnx", self.model))?;
        let straight_through =
            if self.model == BINARISED.0 { vec![BINARISED.1.to_owned()] } else { vec![] };
        let outputs = Some(vec![]);
        let options = ModelOptions { outputs, straight_through, ..ModelOptions::default() };
        let model = Model::load_with(path, &options).unwrap();
        Some(ObjectiveModel::new(model, Arc::new(self.dnf.clone())).unwrap())
    }

    /// Which attack violates the condition within the box, if one does.
    fn violate(&self, model: &dyn Classifier, attacks: &[&'static str]) -> Option<&'static str> {
        let pairs = || self.lower.iter().zip(&self.upper);
        let clean: Vec<f32> = pairs().map(|(&l, &u)| f32::midpoint(l, u).clamp(l, u)).collect();
        let reach = |((&l, &u), &c): ((&f32, &f32), &f32)| {
            (f64::from(u) - f64::from(c)).max(f64::from(c) - f64::from(l))
        };
        let mut threat = Threat::new(Norm::Linf, 0.0)
            .with_bounds(Bounds::PerFeature(pairs().map(|(l, u)| (*l, *u)).collect()));
        threat.budget = Budget::PerFeature(pairs().zip(&clean).map(reach).collect());
        threat.validate(1, clean.len(), model.classes()).unwrap();
        let is_met = |point: &[f32]| {
            let mut scores = vec![];
            model.logits_alone(point.into(), &mut scores).unwrap();
            Aim::untargeted(0).is_met(&scores)
        };
        if let Some(witness) = &self.witness {
            assert!(is_met(witness), "{}: its witness holds", self.id);
        }
        if is_met(&clean) {
            return Some("the centre");
        }
        let samples = [Sample { id: 0, clean: &clean, aim: Aim::untargeted(0) }];
        attacks.iter().copied().find(|name| {
            let attack: AttackSpec = name.parse().unwrap();
            let session = Session::new(model, &threat);
            let outcome = attack.run(&session, &samples).unwrap().remove(0);
            if outcome.success {
                let point = outcome.point.unwrap();
                threat.region(0, &clean).check(&point).unwrap();
                assert!(is_met(&point), "{}", self.id);
            }
            outcome.success
        })
    }
}

/// Runs the instances that `pick` picks; returns how many of each difficulty were violated, and of how many.
fn run(
    pick: impl Fn(&Instance) -> bool,
    attacks: &[&'static str],
) -> Option<BTreeMap<String, (usize, usize)>> {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for instance in instances()?.iter().filter(|instance| pick(instance)) {
        let found = instance.violate(&instance.load()?, attacks);
        let difficulty = if instance.violable { &instance.difficulty } else { "none can be" };
        println!("{:60} {difficulty:16} {}", instance.id, found.unwrap_or("-"));
        assert!(instance.violable || found.is_none(), "{}: proved, yet {found:?}", instance.id);
        let (violated, all) = counts.entry(difficulty.into()).or_default();
        *violated += usize::from(found.is_some());
        *all += 1;
    }
    println!("violated: {counts:?}");
    Some(counts)
}

/// The smaller models, with attacks that take a moment.
#[test]
fn what_is_easily_violated_is_violated() {
    let easy = ["trivial", "random-findable", "pgd"];
    let small = ["acas", "linearizenn", "malimg", "mnist", "rl", "rul"];
    let pick = |instance: &Instance| {
        easy.contains(&&*instance.difficulty)
            && small.iter().any(|name| instance.model.starts_with(name))
    };
    let Some(counts) = run(pick, &ATTACKS[..QUICK]) else { return };
    assert!(counts.len() == 3 && counts.values().all(|(found, all)| found == all), "{counts:?}");
}

#[test]
#[ignore = "half an hour: for a change of the attacks; its quick twin runs"]
fn all_that_are_violable_are_violated_and_no_other() {
    let Some(counts) = run(|_| true, &ATTACKS) else { return };
    for (difficulty, (found, all)) in &counts {
        let least = match &**difficulty {
            "none can be" => 0,
            // Verifiers found more on the binarised network than any attack does.
            "hard" => all - OUT_OF_REACH,
            _ => *all,
        };
        assert!(*found >= least, "{difficulty}: {counts:?}");
    }
}
