//! The models that benchmarks run on.

use std::path::{Path, PathBuf};

use ironbound::Model;

const DIGITS: &[u8] = include_bytes!("../../examples/assets/digits_cnn.onnx");

/// MLPs, small CNNs, residual networks, a vision transformer.
const REFERENCE: &[&str] = &[
    "mnist_net_256x2",
    "mnist_cnn_ms",
    "mnist_cnn_max3",
    "cifar_base_kw",
    "cifar_winml_cnn",
    "cifar_resnet_2b",
    "cifar_sri_resnet_a",
    "cifar_vit_pgd",
];

/// The embedded digits CNN, and every ONNX file of the folder that the variable `IRONBOUND_NETWORKS` names; without it the reference
/// models, where `../shared` is there.
pub(crate) fn networks() -> Vec<(String, Model)> {
    let digits = Model::from_bytes(DIGITS, "digits").expect("the embedded model loads");
    let mut networks = vec![("digits".to_owned(), digits)];
    for path in files() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match Model::load(&path) {
            Ok(model) => networks.push((name, model)),
            Err(error) => println!("SKIPPED {name}: {error}"),
        }
    }
    networks
}

fn files() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os("IRONBOUND_NETWORKS") {
        let entries = std::fs::read_dir(&folder).expect("IRONBOUND_NETWORKS names a folder");
        let paths = entries.map(|entry| entry.expect("the folder is read").path());
        let is_model = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "onnx");
        let mut paths: Vec<PathBuf> = paths.filter(is_model).collect();
        paths.sort();
        return paths;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference/models");
    REFERENCE.iter().map(|name| folder.join(format!("{name}.onnx"))).collect()
}

/// So many samples of a model, each another one.
pub(crate) fn samples(features: usize, count: usize) -> Vec<f32> {
    (0..count * features).map(|i| (i as f32 * 0.618).fract()).collect()
}

/// Does work in a pool of so many threads.
pub(crate) fn on<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("the threads start").install(work)
}
