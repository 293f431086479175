//! Counter-based random streams: one answer, whatever the batch size, thread count, order or shard.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// The generator of one sample's draws.
pub type Stream = ChaCha8Rng;

/// The stream of (`seed`, `attack`, `sample`, `restart`), independent of every other.
///
/// `sample` is the index in the whole data set, so that a shard draws what the full run draws.
#[must_use]
pub fn stream(seed: u64, attack: &str, sample: usize, restart: usize) -> Stream {
    let mut key = Sha256::new();
    key.update(seed.to_le_bytes());
    key.update((sample as u64).to_le_bytes());
    key.update((restart as u64).to_le_bytes());
    key.update(attack.as_bytes());
    ChaCha8Rng::from_seed(key.finalize().into())
}
