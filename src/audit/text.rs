//! The record for the terminal.

use std::fmt::Write;

use super::record::Audit;
use crate::model::TensorInfo;
use crate::text::{short, written};

impl Audit {
    /// The record as text: the model, the attacked tensor, the operators, the gradient audit, the findings. It ends in a
    /// newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        written(|text| self.write_text(text))
    }

    fn write_text(&self, text: &mut String) -> std::fmt::Result {
        let model = &self.model;
        let hash = short(&model.sha256);
        writeln!(text, "model    {} ({} classes, sha256 {hash})", model.path, model.classes)?;
        write_tensors(text, "input", &model.inputs, &model.input)?;
        write_tensors(text, "output", &model.outputs, &model.output)?;
        writeln!(text, "logits   {}: {}", self.logits.tensor, self.logits.reason)?;
        match &self.gradient {
            None => writeln!(text, "gradient not audited")?,
            Some(audit) => writeln!(
                text,
                "gradient worst relative error {:.1e} over {} directions of {} samples ({} with kinks, {} zero)",
                audit.worst_relative_error,
                audit.directions,
                audit.samples,
                audit.kinks,
                audit.zero
            )?,
        }
        if !self.ops.is_empty() {
            self.write_ops(text)?;
        }
        for node in &self.unsupported {
            writeln!(text, "no gradient rule: `{}` ({})", node.node, node.op)?;
        }
        if !self.findings.is_empty() {
            writeln!(text)?;
        }
        for finding in &self.findings {
            writeln!(text, "{finding}")?;
        }
        Ok(())
    }

    fn write_ops(&self, text: &mut String) -> std::fmt::Result {
        let width = self.ops.iter().map(|row| row.op.chars().count()).max().unwrap_or(0).max(8);
        writeln!(text, "\n{:<width$}  count  gradient", "operator")?;
        for row in &self.ops {
            writeln!(text, "{:<width$}  {:>5}  {}", row.op, row.count, row.status.name())?;
        }
        Ok(())
    }
}

fn write_tensors(
    text: &mut String,
    role: &str,
    tensors: &[TensorInfo],
    attacked: &str,
) -> std::fmt::Result {
    for tensor in tensors {
        let mark = if tensor.name == attacked { "" } else { " (not attacked)" };
        let shape = tensor.shape.join(", ");
        writeln!(text, "{role:<8} {} {}[{shape}]{mark}", tensor.name, tensor.r#type)?;
    }
    Ok(())
}
