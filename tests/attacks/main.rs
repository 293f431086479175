//! Attacks and threat regions on models whose answers are known in closed form.

#![expect(clippy::float_cmp, reason = "feasibility and repeatability are exact")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod accounting;
mod apgd;
mod ascent;
mod catalogue;
mod corruption;
mod decision;
mod domain;
mod jsma;
mod linear;
mod masking;
mod minimal;
mod noise;
mod optimum;
mod path;
mod prepared;
mod realise;
mod regions;
mod same_bits;
mod score;
mod settings;
mod spatial;
mod toy;
mod transfer;
mod vectors;
