//! Reads the reference archives.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use npyz::{DType, NpyFile};

/// One array of an archive, as f64 whatever it was stored as.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    /// The text of a string scalar.
    pub text: Option<String>,
}

impl Array {
    pub fn floats(&self) -> Vec<f32> {
        self.values.iter().map(|value| *value as f32).collect()
    }

    pub fn classes(&self) -> Vec<usize> {
        self.values.iter().map(|value| *value as usize).collect()
    }
}

/// Every array of an archive.
pub fn read(path: &Path) -> HashMap<String, Array> {
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            let name = entry.name().unwrap().trim_end_matches(".npy").to_owned();
            let mut bytes = vec![];
            entry.read_to_end(&mut bytes).unwrap();
            (name, array(&bytes))
        })
        .collect()
}

fn array(bytes: &[u8]) -> Array {
    let npy = NpyFile::new(bytes).unwrap();
    let shape = npy.shape().iter().map(|dim| *dim as usize).collect();
    let DType::Plain(dt) = npy.dtype() else { panic!("a structured array") };
    let dt = dt.to_string();
    if dt.contains('U') {
        let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let code = |four: &[u8]| u32::from_le_bytes(four.try_into().unwrap());
        let text = bytes[header..].chunks_exact(4).map(code).take_while(|code| *code != 0);
        let text = Some(text.map(|code| char::from_u32(code).unwrap()).collect());
        return Array { shape, values: vec![], text };
    }
    let values = match &dt[1..] {
        "f4" => npy.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect(),
        "f8" => npy.into_vec::<f64>().unwrap(),
        "i8" => npy.into_vec::<i64>().unwrap().into_iter().map(|value| value as f64).collect(),
        "i4" => npy.into_vec::<i32>().unwrap().into_iter().map(f64::from).collect(),
        "u1" => npy.into_vec::<u8>().unwrap().into_iter().map(f64::from).collect(),
        "b1" => npy.into_vec::<bool>().unwrap().into_iter().map(f64::from).collect(),
        other => panic!("an array of {other}"),
    };
    Array { shape, values, text: None }
}
