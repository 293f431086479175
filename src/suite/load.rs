//! From the file to the plan. Everything is checked before a model is loaded.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;

use super::file::{BoundsEntry, BoundsWord, DataEntry, File, ModelEntry, ThreatEntry};
use super::plan::{Reference, Suite, SuiteBounds, SuiteData, SuiteModel};
use crate::attack::{AnyAttack, AttackSpec};
use crate::data::{DataKind, DataOptions};
use crate::error::{Error, Result};
use crate::report::GateSpec;
use crate::threat::{Bounds, Threat};

impl Suite {
    /// Reads a suite's file. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; those of [`parse`](Self::parse).
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Io { path: path.into(), source })?;
        Self::parse(&text, &path.display().to_string(), path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a suite from TOML; `file` is for messages, `folder` what paths are relative to.
    ///
    /// # Errors
    /// [`Error::Data`] with file and line: for a key that does not exist, with those that do; for an attack, a gate or a value
    /// that cannot be; for names that are there twice; for a gate on a drop where there is no baseline.
    pub fn parse(text: &str, file: &str, folder: &Path) -> Result<Self> {
        let source = Source { text, file, folder };
        let entries: File = toml::from_str(text)
            .map_err(|error| source.fault(error.span().unwrap_or_default(), error.message()))?;
        source.suite(entries)
    }
}

/// The file, for messages.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
    folder: &'a Path,
}

impl Source<'_> {
    fn fault(&self, span: Range<usize>, problem: impl ToString) -> Error {
        let line = 1 + self.text[..span.start.min(self.text.len())].matches('\n').count();
        let file = format!("{}:{line}", self.file);
        // Some messages have more lines, of which the first says it.
        let problem = problem.to_string().lines().next().unwrap_or_default().to_owned();
        Error::Data { file, problem, source: None }
    }

    fn whole(&self, problem: &str) -> Error {
        Error::Data { file: self.file.into(), problem: problem.into(), source: None }
    }

    fn suite(&self, entries: File) -> Result<Suite> {
        let File { seed, offset, limit, attacks, gates, threats, data, models } = entries;
        let attacks: Vec<AttackSpec> = self.all(&attacks)?;
        let gates = self.all(&gates)?;
        let are_bounded = threats.iter().any(|threat| threat.bounds.is_some());
        let threats: Vec<Threat> = threats.into_iter().flat_map(threats_of).collect();
        if attacks.is_empty() != threats.is_empty() {
            return Err(self.whole("`threats` and `attacks` go together: one of them is empty"));
        }
        let data: Vec<SuiteData> =
            data.into_iter().map(|entry| self.data(entry, are_bounded)).collect::<Result<_>>()?;
        let mut suite = Suite { seed, offset, limit, threats, attacks, data, models: vec![] };
        for entry in models {
            let model = self.model(entry, &gates, &suite.models)?;
            suite.models.push(model);
        }
        if suite.data.is_empty() || suite.models.is_empty() {
            return Err(self.whole("expected at least one of `data` and one of `models`"));
        }
        for (what, names) in [
            ("data", suite.data.iter().map(|data| &data.name).collect::<Vec<_>>()),
            ("models", suite.models.iter().map(|model| &model.name).collect()),
        ] {
            let twice = (1..names.len()).find(|&at| names[..at].contains(&names[at]));
            if let Some(at) = twice {
                let problem = format!(
                    "`{what}`: the name `{}` is there twice; give another `name`",
                    names[at]
                );
                return Err(self.whole(&problem));
            }
        }
        for threat in &suite.threats {
            threat.bounds.validate(0).map_err(|error| self.whole(&error.to_string()))?;
        }
        for attack in &suite.attacks {
            attack.validate().map_err(|error| self.whole(&error.to_string()))?;
        }
        Ok(suite)
    }

    /// What is written as texts.
    fn all<T: FromStr<Err = Error>>(&self, texts: &[Spanned<String>]) -> Result<Vec<T>> {
        let one = |text: &Spanned<String>| {
            text.get_ref().parse().map_err(|error: Error| self.fault(text.span(), error.one_line()))
        };
        texts.iter().map(one).collect()
    }

    /// `are_bounded`: whether a threat says what the bounds are.
    fn data(&self, entry: DataEntry, are_bounded: bool) -> Result<SuiteData> {
        let name = self.name(entry.name, &entry.path)?;
        let path = self.folder.join(entry.path.into_inner());
        let bounds = match entry.bounds {
            Some(BoundsEntry::Given(lower, upper)) => {
                let bounds = Bounds::Uniform(lower, upper);
                bounds.validate(0).map_err(|error| self.whole(&error.to_string()))?;
                SuiteBounds::Given(bounds)
            }
            Some(BoundsEntry::Word(BoundsWord::Data)) => SuiteBounds::OfData,
            None if !are_bounded && DataKind::is_table(&path) => SuiteBounds::OfData,
            None => SuiteBounds::OfThreats,
        };
        let inside = |path: PathBuf| self.folder.join(path);
        let options = DataOptions {
            keys: entry.keys,
            labels: entry.labels.map(inside),
            label: entry.label,
            drop: entry.drop,
            groups: entry.groups,
            class_names: entry.class_names.map(inside),
            raw_pixels: entry.raw_pixels,
            resize: entry.resize,
            layout: entry.layout,
            ..DataOptions::default()
        };
        Ok(SuiteData { name, path, options, bounds })
    }

    fn model(
        &self,
        entry: ModelEntry,
        shared: &[GateSpec],
        before: &[SuiteModel],
    ) -> Result<SuiteModel> {
        let ModelEntry { name, path, expect_sha256, baseline, gates, options } = entry;
        let name = self.name(name, &path)?;
        let own: Vec<GateSpec> = self.all(&gates)?;
        let all: Vec<GateSpec> = shared.iter().cloned().chain(own).collect();
        let gates = all;
        if let (Some(gate), None) = (gates.iter().find(|gate| gate.needs_baseline()), &baseline) {
            let problem = format!(
                "the model `{name}` has no `baseline` for the gate `{gate}`; give it one, or the gate to the models that have \
                 one"
            );
            return Err(self.fault(path.span(), problem));
        }
        let baseline = baseline.map(|baseline| self.reference(&baseline, before)).transpose()?;
        let path = self.folder.join(path.into_inner());
        Ok(SuiteModel { name, path, options, expect_sha256, baseline, gates })
    }

    /// A report's file, or a model that stands before.
    fn reference(&self, text: &Spanned<String>, before: &[SuiteModel]) -> Result<Reference> {
        let name = text.get_ref();
        if name.ends_with(".json") {
            return Ok(Reference::Report(self.folder.join(name)));
        }
        let found = before.iter().position(|model| model.name == *name);
        found.map(Reference::Model).ok_or_else(|| {
            let names: Vec<_> = before.iter().map(|model| format!("`{}`", model.name)).collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            let problem = format!(
                "`baseline` is `{name}`: expected a report that ends in .json, or a model that stands before: {names}"
            );
            self.fault(text.span(), problem)
        })
    }

    /// The name that was given, or that of the file, if it is fit for a file.
    fn name(&self, given: Option<String>, path: &Spanned<PathBuf>) -> Result<String> {
        let stem = path.get_ref().file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let name = given.unwrap_or_else(|| stem.into());
        let is_plain = |letter: char| letter.is_alphanumeric() || "-_.+".contains(letter);
        if !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain) {
            return Ok(name);
        }
        let problem = format!(
            "the name `{name}` cannot be that of a file: give a `name` of letters, digits, dots, dashes and underscores"
        );
        Err(self.fault(path.span(), problem))
    }
}

fn threats_of(entry: ThreatEntry) -> impl Iterator<Item = Threat> {
    let ThreatEntry { norm, eps, bounds, goal, domain } = entry;
    let bounds = bounds.map_or(Bounds::default(), |(lower, upper)| Bounds::Uniform(lower, upper));
    eps.into_iter().map(move |eps| Threat {
        budget: eps.0,
        bounds: bounds.clone(),
        goal: goal.clone(),
        domain: domain.clone(),
        ..Threat::new(norm, 0.0)
    })
}
