//! Files as numpy writes them, files as nobody should, and bytes at random.

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;

use half::f16;
use npyz::{AutoSerialize, DType, Order, Serialize, WriteOptions, WriterBuilder};
use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{DataOptions, Dataset};

/// An npy file with any header and any data.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}")
}

fn npy<T: AutoSerialize>(shape: &[u64], values: impl IntoIterator<Item = T>) -> Vec<u8> {
    npy_as(T::default_dtype(), Order::C, shape, values)
}

fn npy_as<T: Serialize>(
    dtype: DType,
    order: Order,
    shape: &[u64],
    values: impl IntoIterator<Item = T>,
) -> Vec<u8> {
    let mut bytes = vec![];
    let options = WriteOptions::new().dtype(dtype).order(order).shape(shape);
    let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
    bytes
}

fn npz(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    for (name, bytes) in entries {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn xy(x: &[u8], y: &[u8]) -> crate::Result<Dataset> {
    let bytes = npz(&[("x.npy", x), ("y.npy", y)], CompressionMethod::Stored);
    Dataset::npz_from_bytes("set.npz", &bytes, "x", "y")
}

fn x_problem(x: &[u8]) -> String {
    xy(x, &npy(&[1], [0_i64])).unwrap_err().to_string()
}

fn y_problem(y: &[u8]) -> String {
    xy(&npy(&[2, 1], [0.0_f32, 1.0]), y).unwrap_err().to_string()
}

#[test]
fn every_dtype_is_converted() {
    fn holds<T: AutoSerialize + Copy>(values: [T; 2], expected: [f32; 2]) {
        let data = xy(&npy(&[2, 1], values), &npy(&[2], [0_i64, 1])).unwrap();
        assert_eq!(data.values(), expected);
        if expected[0] >= 0.0 && expected[0].fract() == 0.0 {
            let data = xy(&npy(&[2, 1], [0.0_f32; 2]), &npy(&[2], values)).unwrap();
            assert_eq!(data.labels(), expected.map(|v| v as usize));
        }
    }
    holds([false, true], [0.0, 1.0]);
    holds([f16::from_f32(-0.25), f16::ONE], [-0.25, 1.0]);
    holds([0.1_f32, 1.0], [0.1, 1.0]);
    holds([0.1_f64, 1e-50], [0.1, 0.0]);
    holds([3.0_f64, 1.0], [3.0, 1.0]);
    holds([-128_i8, 127], [-128.0, 127.0]);
    holds([300_i16, 2], [300.0, 2.0]);
    holds([70_000_i32, 2], [70_000.0, 2.0]);
    holds([1_i64 << 30, 2], [1_073_741_824.0, 2.0]);
    holds([255_u8, 0], [255.0, 0.0]);
    holds([65_535_u16, 0], [65_535.0, 0.0]);
    holds([1_u32 << 24, 0], [16_777_216.0, 0.0]);
    holds([9_u64, 0], [9.0, 0.0]);
}

#[test]
fn byte_order_and_memory_order_are_respected() {
    let big = |text: &str| DType::new_scalar(text.parse().unwrap());
    let x = npy_as(big(">f8"), Order::Fortran, &[2, 3, 2], (0..12).map(f64::from));
    let y = npy_as(big(">i2"), Order::C, &[2, 1], [3_i16, 256]);
    let data = xy(&x, &y).unwrap();
    assert_eq!((data.shape(), data.labels()), (&[3, 2][..], &[3, 256][..]));
    assert_eq!(data.sample(0), [0.0, 6.0, 2.0, 8.0, 4.0, 10.0]);
    assert_eq!(data.sample(1), [1.0, 7.0, 3.0, 9.0, 5.0, 11.0]);
}

#[test]
fn stored_and_deflated_entries_hold_the_same() {
    let x = npy(&[500, 3, 20], (0..30_000_u32).map(|i| i as f32));
    let y = npy(&[500], (0..500_i64).map(|i| i % 7));
    let entries = [("extra.npy", &b"never read"[..]), ("x.npy", &x), ("y.npy", &y)];
    let read = |method| Dataset::npz_from_bytes("a", &npz(&entries, method), "x", "y").unwrap();
    let (stored, deflated) = (read(CompressionMethod::Stored), read(CompressionMethod::Deflated));
    assert_eq!((stored.values(), stored.labels()), (deflated.values(), deflated.labels()));
    assert_eq!(stored.sample(499)[59..], [29_999.0]);
    assert_ne!(stored.sha256(), deflated.sha256());
}

#[test]
fn one_hot_labels_are_read_and_others_refused() {
    let x = npy(&[2, 1], [0.0_f32, 1.0]);
    let data = xy(&x, &npy(&[2, 3], [0.0_f32, 0.0, 1.0, 1.0, 0.0, 0.0])).unwrap();
    assert_eq!(data.labels(), [2, 0]);
    for row in [
        [0.0_f32, 0.0, 0.0],
        [1.0, 1.0, 0.0],
        [0.9, 0.1, 0.0],
        [0.0, 2.0, 0.0],
        [0.0, f32::NAN, 0.0],
    ] {
        let message = y_problem(&npy(&[2, 3], [0.0, 0.0, 1.0].into_iter().chain(row)));
        assert_eq!(
            message,
            "set.npz: `y`: row 1 of the labels is not one-hot; one class index per sample is expected: y.argmax(axis=1)"
        );
    }
    assert!(y_problem(&npy(&[2, 3, 1], [0_i64; 6])).contains("labels have shape (2, 3, 1)"));
    assert!(y_problem(&npy(&[1, 2], [0_i64; 2])).contains("not one-hot"));
}

#[test]
fn labels_must_be_class_indices() {
    for (y, found) in [
        (npy(&[2], [0_i64, -1]), "sample 1 is -1;"),
        (npy(&[2], [0.5_f32, 1.0]), "sample 0 is 0.5;"),
        (npy(&[2], [0.0_f64, f64::NAN]), "sample 1 is NaN;"),
        (npy(&[2], [0.0_f64, f64::INFINITY]), "sample 1 is inf;"),
        (npy(&[2], [u64::MAX, 0]), "sample 0 is 18446744073709552000;"),
    ] {
        let message = y_problem(&y);
        assert!(
            message.starts_with("set.npz: `y`: the label of ") && message.contains(found),
            "{message}"
        );
    }
    assert!(y_problem(&npy(&[3], [0_i64; 3])).contains("3 labels for 2 samples"));
    assert!(y_problem(&npy::<i64>(&[0], [])).contains("0 labels for 2 samples"));
}

#[test]
fn a_missing_key_is_answered_with_those_that_exist() {
    let array = npy(&[1, 1], [0.0_f32]);
    let bytes = npz(
        &[("images.npy", &array), ("b/labels.npy", &array), ("notes.txt", b"")],
        CompressionMethod::Deflated,
    );
    let message = Dataset::npz_from_bytes("a.npz", &bytes, "x", "y").unwrap_err().to_string();
    assert_eq!(
        message,
        "a.npz: no array `x`; the file has `b/labels`, `images`: name the keys to use"
    );
    assert_eq!(Dataset::npz_from_bytes("a.npz", &bytes, "images", "b/labels").unwrap().len(), 1);
    let message = Dataset::npz_from_bytes("a.npz", &npz(&[], CompressionMethod::Stored), "x", "y");
    assert!(message.unwrap_err().to_string().contains("no arrays at all"));
}

#[test]
fn arrays_of_numbers_and_texts_make_groups() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    let (x, y) = (npy(&[3, 1], [0.0_f32, 0.5, 1.0]), npy(&[3], [0_i64, 1, 0]));
    let wide: Vec<u8> = "b\0é\0a\0".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    let arrays = [
        ("x.npy", x),
        ("y.npy", y),
        ("age.npy", npy(&[3], [30_i64, 9, 30])),
        ("flag.npy", npy(&[3, 1], [true, false, true])),
        ("bytes.npy", raw(&header("|S2", "(3,)"), b"no\0\0hm")),
        ("wide.npy", raw(&header(">U2", "(3,)"), &wide)),
        ("none.npy", raw(&header("<U0", "(3,)"), &[])),
        ("short.npy", raw(&header("|S2", "(3,)"), b"nohm\0")),
        ("long.npy", raw(&header("|S2", "(3,)"), b"nohmhmno")),
        ("huge.npy", raw(&header("|S2", "(99999999999, 99999999999)"), b"no")),
        ("latin.npy", raw(&header("|S1", "(3,)"), b"a\xe9b")),
        ("surrogate.npy", raw(&header("<U1", "(1,)"), &[0, 0xd8, 0, 0])),
        ("few.npy", raw(&header("|S1", "(2,)"), b"ab")),
        ("flat.npy", raw(&header("|S1", "(1, 3)"), b"abc")),
    ];
    let entries: Vec<_> = arrays.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    fs::write(&path, npz(&entries, CompressionMethod::Deflated)).unwrap();
    let open = |groups: &[&str]| {
        let groups = groups.iter().map(|name| (*name).into()).collect();
        Dataset::open(&path, &DataOptions { groups, ..DataOptions::default() })
    };
    let data = open(&["age", "flag", "bytes", "wide"]).unwrap();
    let found: Vec<_> = data.groups().iter().map(|of| (of.values.join(" "), &of.of[..])).collect();
    assert_eq!(found[0], ("9 30".into(), &[1, 0, 1][..]));
    assert_eq!(found[1], ("0 1".into(), &[1, 0, 1][..]));
    assert_eq!(found[2], ("(missing) hm no".into(), &[2, 0, 1][..]));
    assert_eq!(found[3], ("a b é".into(), &[1, 2, 0][..]));
    for (key, words) in [
        ("race", "no array `race`"),
        ("none", "`none`: holds texts of length 0"),
        ("short", "`short`: shape (3,) does not fit the 2 texts"),
        ("long", "`long`: shape (3,) does not fit the 3 texts"),
        ("huge", "`huge`: shape (99999999999, 99999999999) does not fit the 0 texts"),
        ("latin", "`latin`: text 1 is not Unicode"),
        ("surrogate", "`surrogate`: text 0 is not Unicode"),
        ("few", "`few`: 2 values for 3 samples"),
        ("flat", "`flat`: has shape (1, 3); one value per sample makes groups"),
    ] {
        let message = open(&[key]).unwrap_err().to_string();
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    }
}

#[test]
fn what_holds_no_numbers_is_refused() {
    for (descr, words) in [
        ("|O", "pickle"),
        ("<U3", "holds text"),
        ("|S8", "holds text"),
        ("<c8", "complex"),
        ("<M8[ns]", "dates"),
        ("|V2", "raw bytes"),
        ("<f16", "not supported"),
        ("", "not supported"),
    ] {
        let message = x_problem(&raw(&header(descr, "(1, 1)"), &[0; 64]));
        assert!(message.starts_with("set.npz: `x`: ") && message.contains(words), "{message}");
    }
    let records = "{'descr': [('a', '<f4'), ('b', '<i4')], 'fortran_order': False, 'shape': (1,)}";
    assert!(x_problem(&raw(records, &[0; 8])).contains("structured"));
}

#[test]
fn shapes_must_make_sense() {
    assert!(x_problem(&npy::<f32>(&[0, 4], [])).contains("(0, 4): there is nothing"));
    assert!(x_problem(&npy::<f32>(&[4, 0], [])).contains("nothing in it"));
    assert!(x_problem(&npy(&[4], [0.0_f32; 4])).contains("x[None]"));
    assert!(x_problem(&npy(&[], [0.0_f32])).contains("single number"));
    let huge = "(4611686018427387904, 4611686018427387904)";
    for (shape, words) in [
        ("(2, 3)", "shape (2, 3) needs 6 values, 4 are there"),
        ("(1, 3)", "more data than shape (1, 3) needs"),
        ("(1152921504606846976, 1)", "4 are there"),
        ("(4611686018427387904, 1)", "larger than any memory"),
        (huge, "larger than any memory"),
        ("(99999999999999999999999,)", "larger than any memory"),
        ("(-1, 4)", "malformed"),
        ("(1.5, 4)", "malformed"),
        ("4", "malformed"),
        ("(4", "malformed"),
    ] {
        let message = x_problem(&raw(&header("<f4", shape), &[0; 16]));
        assert!(message.contains(words), "{shape}: {message}");
    }
    let many = format!("({})", "1,".repeat(65));
    assert!(x_problem(&raw(&header("<f4", &many), &[0; 4])).contains("more than 64 axes"));
    let python2 = xy(&raw(&header("<f4", "(2L, 1L)"), &[0; 8]), &npy(&[2], [0_i64, 1])).unwrap();
    assert_eq!(python2.shape(), [1]);
}

#[test]
fn malformed_headers_are_refused() {
    for text in [
        "",
        "{",
        "{}",
        "nothing",
        "{'descr': '<f4'}",
        "{'descr': '<f4",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': <f4, 'fortran_order': True, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1,), 'more': 1}",
    ] {
        let message = x_problem(&raw(text, &[0; 4]));
        assert!(message.contains("header"), "{text}: {message}");
    }
    assert!(x_problem(&raw(&"[".repeat(60_000), &[])).contains("malformed"));
    assert!(x_problem(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{").contains("claims 4294967295 bytes"));
    assert!(x_problem(b"\x93NUMPY\x09\x00\x01\x00{").contains("version 9"));
    assert!(x_problem(b"\x93NUMPY\x01\x00\x10\x00{").contains("cut short"));
    assert!(x_problem(b"\x93NUM").contains("not an npy array"));
    assert!(x_problem(b"1.0, 2.0, 3.0").contains("not an npy array"));
}

#[test]
fn a_number_too_large_for_f32_is_refused() {
    let message = x_problem(&npy(&[2, 1], [0.5_f64, -1e39]));
    assert_eq!(message, "set.npz: `x`: value 1 (as stored) is -1e39, too large for a 32-bit float");
    // Infinity is not too large: validation names it.
    let x = npy(&[2, 1], [f64::INFINITY, f64::NAN]);
    assert!(xy(&x, &npy(&[2], [0_u8, 0])).unwrap().values()[0].is_infinite());
}

#[test]
fn files_that_are_no_npz_are_recognised() {
    let problem =
        |bytes: &[u8]| Dataset::npz_from_bytes("f", bytes, "x", "y").unwrap_err().to_string();
    let array = npy(&[1, 1], [0.0_f32]);
    assert!(problem(b"").ends_with("the file is empty"));
    assert!(problem(b"5.1,3.5,1.4,0.2\n").ends_with("save the data with np.savez"));
    assert!(problem(&array).ends_with("as npy files"));
    assert!(problem(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
    let whole = npz(&[("x.npy", &array), ("y.npy", &array)], CompressionMethod::Deflated);
    assert!(problem(&whole[..whole.len() - 30]).contains("cut short or damaged"));
}

#[test]
fn a_wrong_checksum_is_noticed() {
    let array = npy(&[1, 1], [1.0_f32]);
    let mut bytes = npz(&[("x.npy", &array), ("y.npy", &array)], CompressionMethod::Stored);
    let at = bytes.windows(4).position(|four| four == 1.0_f32.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    let message = Dataset::npz_from_bytes("f", &bytes, "x", "y").unwrap_err().to_string();
    assert_eq!(message, "f: `x`: the array is damaged");
}

#[test]
fn pairs_of_npy_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let x = save("x.npy", &npy(&[2, 3], [0_u8, 1, 2, 3, 4, 5]));
    let y = save("y.npy", &npy(&[2], [4_i32, 1]));
    let data = Dataset::from_npy(&x, &y).unwrap();
    assert_eq!((data.sample(1), data.labels()), (&[3.0, 4.0, 5.0][..], &[4, 1][..]));
    assert_eq!(data.path(), x.display().to_string());

    let bad = save("bad.npy", &npy(&[2], [0.5_f32, 1.0]));
    let message = Dataset::from_npy(&x, &bad).unwrap_err().to_string();
    assert!(message.starts_with(&bad.display().to_string()), "{message}");
    let message = Dataset::from_npy(&x, save("a.npz", b"PK\x03\x04")).unwrap_err().to_string();
    assert!(message.contains("this is an npz archive"), "{message}");
    let missing = folder.path().join("missing.npy");
    let message = Dataset::from_npy(&x, &missing).unwrap_err().to_string();
    assert!(message.starts_with(&missing.display().to_string()), "{message}");
    assert!(matches!(Dataset::from_npz(folder.path()), Err(crate::Error::Io { .. })));
}

#[test]
fn the_shipped_digits_are_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assets/digits_test.npz");
    let data = Dataset::from_npz(path).unwrap();
    assert_eq!((data.len(), data.shape()), (360, &[1, 8, 8][..]));
    assert_eq!(data.sha256(), "8b4ad369c01782e2565f3832dcf3ad2f5d9fc84167b1ca795721104e9791133e");
    assert!(data.values().iter().all(|v| (v * 16.0).fract() == 0.0));
    data.validate(&crate::Bounds::default(), 10).unwrap();
}

#[test]
fn real_data_sets_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/reference");
    let mut read = 0;
    for folder in ["data", "robustness/data"] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else {
            // Past the test harness, which would swallow a print.
            let mut stderr = std::io::stderr();
            let _ = writeln!(stderr, "SKIPPED: {} is not there", root.join(folder).display());
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let data = Dataset::from_npz(&path).unwrap();
            data.validate(&crate::Bounds::NONE, 1000).unwrap();
            println!("{}: {} x {:?}", path.display(), data.len(), data.shape());
            read += 1;
        }
    }
    assert!(read == 0 || read >= 18, "only {read} files were found");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0..4) {
        let start: &[u8] = [&b""[..], b"PK\x03\x04", b"\x93NUMPY\x01\x00\x40\x00{", b"PK\x05\x06"][start as usize];
        bytes.splice(..start.len().min(bytes.len()), start.iter().copied());
        let _ = Dataset::npz_from_bytes("f", &bytes, "x", "y");
        let _ = xy(&bytes, &bytes);
    }

    #[test]
    fn damaged_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>(),
        fortran in any::<bool>(),
    ) {
        let order = if fortran { Order::Fortran } else { Order::C };
        let x = npy_as(f32::default_dtype(), order, &[2, 2, 3], (0..12_u8).map(f32::from));
        let y = npy(&[2], [0_i64, 1]);
        let damage = |bytes: &mut Vec<u8>| {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if cut {
                bytes.truncate(length.index(bytes.len()));
            }
        };
        let mut array = x.clone();
        damage(&mut array);
        let _ = xy(&array, &y);
        let _ = xy(&x, &array);
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let mut archive = npz(&[("x.npy", &x), ("y.npy", &y)], method);
            damage(&mut archive);
            let _ = Dataset::npz_from_bytes("f", &archive, "x", "y");
        }
    }
}
