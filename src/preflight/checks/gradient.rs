//! Gradients that cannot be had, are not finite, or are identically zero.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::finding::{Finding, Severity};
use crate::goal::Aim;
use crate::loss::LossKind;
use crate::model::{Batch, GradientEnd, LossGradient, NodeRef, expect_len};
use crate::preflight::subject::Subject;

use super::finite::first;

/// How many dead gradients are followed through the graph.
const FOLLOWED: usize = 3;

pub(super) fn check(subject: &Subject<'_>) -> Result<Vec<Finding>> {
    if !subject.setting.gradients {
        return Ok(vec![]);
    }
    let gradients = match gradients(subject) {
        Ok(gradients) => gradients,
        Err(Error::NotDifferentiable { nodes, .. }) => return Ok(vec![unsupported(&nodes)]),
        Err(error) => return Err(error),
    };
    let which = |is: fn(&[f32]) -> bool| -> Vec<usize> {
        gradients.iter().filter(|(_, gradient)| is(gradient)).map(|(index, _)| *index).collect()
    };
    let ids = |indices: &[usize]| -> Vec<usize> {
        indices.iter().map(|index| subject.ids[*index]).collect()
    };
    let mut found = vec![];
    let bad = which(|gradient| gradient.iter().any(|g| !g.is_finite()));
    if !bad.is_empty() {
        let message = format!(
            "NaN or infinite gradients on {} of {} samples: {}",
            bad.len(),
            gradients.len(),
            first(&ids(&bad))
        );
        let remedy = "attack it without gradients, or find the node whose slope is infinite there";
        found.push(Finding::error("non-finite-gradient", message).remedy(remedy));
    }
    let dead = which(|gradient| gradient.iter().all(|g| *g == 0.0));
    if !dead.is_empty() && !subject.model.is_flat_at_clean() {
        found.push(dead_finding(subject, &dead, gradients.len(), &first(&ids(&dead)))?);
    }
    Ok(found)
}

/// The gradient of every sample with finite logits, with the sample's place.
fn gradients(subject: &Subject<'_>) -> Result<Vec<(usize, Vec<f32>)>> {
    let usable: Vec<usize> = subject
        .inspected()
        .into_iter()
        .filter(|index| subject.logits[*index].iter().all(|z| z.is_finite()))
        .collect();
    let (features, loss) = (subject.features(), subject.loss());
    let mut all = vec![];
    let mut out = LossGradient::default();
    for chunk in usable.chunks(subject.model.preferred_batch().max(1)) {
        subject.setting.cancel.check()?;
        let inputs = subject.values_at(chunk);
        let aims: Vec<Aim> =
            chunk.iter().map(|index| Aim::untargeted(subject.labels[*index])).collect();
        let samples: Vec<usize> = chunk.iter().map(|index| subject.ids[*index]).collect();
        let batch = Batch { inputs: &inputs, samples: &samples };
        subject.model.loss_and_gradient(batch, &aims, &loss, &mut out)?;
        expect_len(subject.model, "gradient", out.gradient.len(), inputs.len())?;
        let rows = out.gradient.chunks_exact(features).map(<[f32]>::to_vec);
        all.extend(chunk.iter().copied().zip(rows));
    }
    Ok(all)
}

fn unsupported(nodes: &[(String, String)]) -> Finding {
    let mut ops: Vec<&str> = nodes.iter().map(|(_, op)| op.as_str()).collect();
    ops.sort_unstable();
    ops.dedup();
    let message = format!("there is no gradient: no rule for {}", ops.join(", "));
    Finding::error("not-differentiable", message)
        .at(nodes.iter().map(|(name, _)| name))
        .remedy("attack it without gradients, or export the model with other operators")
}

fn dead_finding(
    subject: &Subject<'_>,
    dead: &[usize],
    all: usize,
    samples: &str,
) -> Result<Finding> {
    let cuts = match subject.model.inspector() {
        Some(inspector) => inspector.model().gradient_cuts()?,
        None => vec![],
    };
    let (nodes, passes) = if cuts.is_empty() {
        follow(subject, &dead[..dead.len().min(FOLLOWED)])?
    } else {
        (
            cuts.iter().map(|(node, op)| NodeRef { node: node.clone(), op: op.clone() }).collect(),
            false,
        )
    };
    let place = match nodes.first() {
        Some(NodeRef { node, op }) if !cuts.is_empty() => {
            format!("; rounding cuts every way back from the loss, first at `{node}` ({op})")
        }
        Some(NodeRef { node, op }) => {
            format!("; on its way back from the loss it ends at `{node}` ({op})")
        }
        None if passes => {
            format!("; that of the margin is not: {} is flat there", subject.loss().name())
        }
        None => String::new(),
    };
    let message = format!(
        "the gradient is identically zero on {} of {all} samples ({samples}){place}: attacks by gradients will make the \
         model look robust",
        dead.len()
    );
    let remedy = if nodes.is_empty() && passes {
        "the model is too sure for this loss: attack it with the margin loss"
    } else if cuts.is_empty() {
        "attack it without gradients as well, or with a gradient that passes straight through rounding"
    } else {
        "differentiate straight through the rounding (the option `straight_through`), or attack it without gradients"
    };
    let severity = if dead.len() == all { Severity::Error } else { Severity::Warning };
    let names = nodes.into_iter().map(|node| node.node);
    Ok(Finding::new(severity, "dead-gradient", message).at(names).remedy(remedy))
}

/// The nodes at which the graph ends the gradients of these samples, and whether it lets one through.
///
/// They are followed from the margin, whose gradient is never small: what it does not get past is the graph's doing, the
/// rest is the loss's.
fn follow(subject: &Subject<'_>, samples: &[usize]) -> Result<(Vec<NodeRef>, bool)> {
    let Some(inspector) = subject.model.inspector() else { return Ok((vec![], false)) };
    let inputs = subject.values_at(samples);
    let aims: Vec<Aim> = samples.iter().map(|at| Aim::untargeted(subject.labels[*at])).collect();
    let ids: Vec<usize> = samples.iter().map(|at| subject.ids[*at]).collect();
    let batch = Batch { inputs: &inputs, samples: &ids };
    let ends = inspector.gradient_ends(batch, &aims, &LossKind::Margin.loss())?;
    let passes = ends.contains(&GradientEnd::Arrives);
    let mut nodes: Vec<NodeRef> = vec![];
    for end in ends {
        let GradientEnd::At(found) = end else { continue };
        nodes.extend(found);
    }
    let mut seen = HashSet::new();
    nodes.retain(|node| seen.insert(node.clone()));
    Ok((nodes, passes))
}
