//! What is not as it should be, declared by name. Every entry must be needed.

/// Cases whose gradient differs from the differences, or cannot be checked by them.
pub(super) const GRADIENTS: &[(&str, &str)] = &[
    ("test_mod_float_edge_cases_fmod_0_float16", INFINITE),
    ("test_mod_float_edge_cases_fmod_0_float32", INFINITE),
    ("test_mod_float_edge_cases_fmod_0_float64", INFINITE),
];

const INFINITE: &str =
    "a remainder by infinity is infinite itself where the signs differ, and has no slope";

/// What rules say of nodes that they have no gradient for: a part of the message, and why.
pub(super) const LIMITS: &[(&str, &str)] = &[
    ("its kernel depends on the attacked input", "no rule for the kernel"),
    ("it takes a diagonal", "no rule for diagonals"),
    (
        "scales, sizes or region unknown",
        "no rule for the region, nor for the data where the region is an input",
    ),
];
