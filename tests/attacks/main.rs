//! Attacks and threat regions on models whose answers are known in closed form.

mod linear;
mod toy;
