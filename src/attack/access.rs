//! What an attack may ask: the access classes.

use std::fmt::Debug;

/// An access class.
pub trait Access: Debug + Send + Sync + sealed::Sealed + 'static {
    /// The name that reports print.
    const NAME: &'static str;

    /// What its fullest query costs: a forward pass and, for gradients, a backward pass.
    const COST: u64;
}

/// Access to at least the decision.
pub trait Decides: Access {}

/// Access to at least the logits.
pub trait Scores: Decides {}

macro_rules! access {
    ($($(#[$doc:meta])* $class:ident $name:literal $cost:literal: $($right:ident)*;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $class;
        impl sealed::Sealed for $class {}
        impl Access for $class {
            const NAME: &'static str = $name;
            const COST: u64 = $cost;
        }
        $(impl $right for $class {})*
    )* };
}

access! {
    /// Proposes points without an answer.
    Blind "blind" 1:;
    /// Learns whether a point is adversarial.
    Decision "decision" 1: Decides;
    /// Learns the logits.
    Score "score" 1: Decides Scores;
    /// Learns logits, losses and gradients.
    Gradient "gradient" 2: Decides Scores;
}

mod sealed {
    pub trait Sealed {}
}
