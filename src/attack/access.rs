//! What an attack may ask: the access classes.

use std::fmt::Debug;

/// An access class.
pub trait Access: Debug + Send + Sync + sealed::Sealed + 'static {
    /// The name that reports print.
    const NAME: &'static str;
}

/// Access to at least the decision.
pub trait Decides: Access {}

/// Access to at least the logits.
pub trait Scores: Decides {}

macro_rules! access {
    ($($(#[$doc:meta])* $class:ident $name:literal: $($right:ident)*;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $class;
        impl sealed::Sealed for $class {}
        impl Access for $class {
            const NAME: &'static str = $name;
        }
        $(impl $right for $class {})*
    )* };
}

access! {
    /// Proposes points without an answer.
    Blind "blind":;
    /// Learns whether a point is adversarial.
    Decision "decision": Decides;
    /// Learns the logits.
    Score "score": Decides Scores;
    /// Learns logits, losses and gradients.
    Gradient "gradient": Decides Scores;
}

mod sealed {
    pub trait Sealed {}
}
