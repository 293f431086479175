//! From flags to what they ask for. Everything is checked before a file is opened.

use ironbound::attack::{AnyAttack, AttackSpec};
use ironbound::{
    Bounds, Budget, Dataset, Error, Goal, Layout, Model, ModelOptions, Norm, Preprocessing, Result,
    Threat,
};

use crate::args::Args;
use crate::expect_folder;

/// The classifier and the test images that come with the example: 8x8 digits.
const MODEL: &[u8] = include_bytes!("../assets/digits_cnn.onnx");
const DATA: &[u8] = include_bytes!("../assets/digits_test.npz");

const ATTACKS: [&str; 3] = ["noise", "fgsm", "pgd"];

/// Budgets for images in [0, 1], when none is given.
const IMAGES_EPS: &[(Norm, &[f64])] =
    &[(Norm::Linf, &[8.0 / 255.0]), (Norm::L2, &[0.5]), (Norm::L1, &[12.0])];
/// Budgets for the 64 pixels of a digit: a curve from little to much.
const DIGITS_EPS: &[(Norm, &[f64])] =
    &[(Norm::Linf, &[0.05, 0.1, 0.2]), (Norm::L2, &[0.25, 0.5, 1.0]), (Norm::L1, &[1.0, 2.0, 4.0])];

pub(crate) struct Request<'a> {
    args: &'a Args,
    options: ModelOptions,
    layout: Option<Layout>,
    /// The arrays with the samples and their classes.
    keys: (&'a str, &'a str),
    pub(crate) threats: Vec<Threat>,
    pub(crate) attacks: Vec<AttackSpec>,
    pub(crate) fail_under: Option<f64>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(args: &'a Args) -> Result<Self> {
        for path in args.json.iter().chain(&args.save_adversarial) {
            expect_folder(path)?;
        }
        let options = ModelOptions {
            input: args.input.clone(),
            output: args.output.clone(),
            preprocessing: Preprocessing {
                scale: args.scale.unwrap_or(1.0),
                mean: args.mean.clone(),
                std: args.std.clone(),
                reverse_channels: args.reverse_channels,
                channel_axis: args.channel_axis,
            },
            constants: args.constant.iter().map(|text| constant(text)).collect::<Result<_>>()?,
            straight_through: args.straight_through.clone(),
            input_shape: (!args.input_shape.is_empty()).then(|| args.input_shape.clone()),
            ..ModelOptions::default()
        };
        let layout = args.layout.as_deref().map(str::parse).transpose()?;
        let keys = args
            .keys
            .split_once(',')
            .ok_or_else(|| fault("keys", &args.keys, "expected two names, such as x,y"))?;
        let fail_under = args.fail_under.as_deref().map(share).transpose()?;
        let (threats, attacks) = (threats(args)?, attacks(args)?);
        Ok(Self { args, options, layout, keys, threats, attacks, fail_under })
    }

    /// Reads the model and the data.
    pub(crate) fn load(&self) -> Result<(Model, Dataset)> {
        match (&self.args.model, &self.args.data) {
            (Some(model), Some(data)) => {
                // A missing data file is told at once, not after minutes of loading a model.
                std::fs::metadata(data)
                    .map_err(|source| Error::Io { path: data.clone(), source })?;
                let model = Model::load_with(model, &self.options)?;
                let data = Dataset::npz_with_arrays(
                    data,
                    self.keys.0,
                    self.keys.1,
                    &model.further_inputs(),
                )?;
                let data = match self.layout {
                    Some(layout) => data.with_layout(layout),
                    None => data,
                };
                Ok((model, data))
            }
            _ => {
                let model = Model::from_bytes_with(MODEL, "digits_cnn.onnx", &self.options)?;
                let data = Dataset::npz_from_bytes("digits_test.npz", DATA, "x", "y")?;
                Ok((model, data))
            }
        }
    }
}

fn threats(args: &Args) -> Result<Vec<Threat>> {
    let norms = match &args.norm[..] {
        [] => vec![Norm::Linf],
        names => names.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };
    let bounds = bounds(&args.bounds)?;
    let goal = args.targeted.as_deref().map_or(Ok(Goal::Untargeted), goal)?;
    let mut threats: Vec<Threat> = vec![];
    for norm in norms {
        let budgets: Vec<Budget> = match &args.eps[..] {
            [] => default_budgets(norm, args.model.is_none()),
            texts => texts.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        };
        for budget in budgets {
            let threat =
                Threat { norm, budget, bounds: bounds.clone(), mask: None, goal: goal.clone() };
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
    let names: Vec<_> = if args.attack.is_empty() { ATTACKS.to_vec() } else { given.collect() };
    let parse = |name: &&str| {
        let attack: AttackSpec = name.parse()?;
        attack.validate()?;
        Ok(attack)
    };
    names.iter().map(parse).collect()
}

fn bounds(text: &str) -> Result<Bounds> {
    if text == "none" {
        return Ok(Bounds::NONE);
    }
    let number = |text: &str| text.trim().parse().ok();
    let pair = text.split_once(',').and_then(|(lower, upper)| number(lower).zip(number(upper)));
    pair.map(|(lower, upper)| Bounds::Uniform(lower, upper))
        .ok_or_else(|| fault("bounds", text, "expected two numbers, such as 0,1, or none"))
}

/// Reads "name=0.5" and "name=1,0,0".
fn constant(text: &str) -> Result<(String, Vec<f64>)> {
    let (name, values) = text.split_once('=').unwrap_or_default();
    let values: Option<Vec<f64>> = values
        .split(',')
        .map(|value| value.trim().parse().ok().filter(|v: &f64| v.is_finite()))
        .collect();
    values.filter(|_| !name.is_empty()).map(|values| (name.into(), values)).ok_or_else(|| {
        fault("constant", text, "expected a name and numbers, such as threshold=0.5")
    })
}

fn goal(text: &str) -> Result<Goal> {
    match text {
        "random" => Ok(Goal::Random),
        "least-likely" => Ok(Goal::LeastLikely),
        class => class.parse().map(Goal::Class).map_err(|_| {
            fault("targeted", text, "expected a class number, random or least-likely")
        }),
    }
}

/// Reads "0.8", "80%" and "80" as the share 0.8.
fn share(text: &str) -> Result<f64> {
    let (digits, percent) = match text.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let value = digits
        .trim()
        .parse::<f64>()
        .ok()
        .map(|value| if percent || value > 1.0 { value / 100.0 } else { value });
    value.filter(|value| (0.0..=1.0).contains(value)).ok_or_else(|| {
        fault("fail-under", text, "expected a share such as 0.8, or a percentage such as 80%")
    })
}

fn fault(field: &str, value: &str, expected: &str) -> Error {
    Error::Parameter { field: field.into(), value: value.into(), expected: expected.into() }
}
