//! The few operators that the backward pass needs and tract lacks.
