//! Tables: CSV and TSV.

use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Source, hex};
use super::file::{Input, first_line, names};
use super::open::{DataOptions, is_called};
use super::texts::{Texts, listed, sorted_names};
use crate::error::{Error, Result};
use crate::finding::Finding;

/// What the column with the classes is called, where nothing else is said.
const LABELS: [&str; 4] = ["label", "y", "target", "class"];
/// What stands where a value is missing.
const MISSING: [&str; 6] = ["", "?", "na", "n/a", "nan", "null"];

impl Dataset {
    /// Reads a table of numbers, one sample a line: CSV, or TSV where the file is called so; see [`open`](Self::open) for what
    /// the options say.
    ///
    /// Fields may be quoted, as RFC 4180 has it; lines end in LF or CRLF; a byte order mark is passed over, and so is space
    /// around fields. Fields are separated by whichever of comma, semicolon and tab is most often in the first line. That line is
    /// taken to name the columns when none of its fields is a number, one is the name of the column with the classes, or
    /// one is no number where the next line has one.
    ///
    /// Classes are in the column [`label`](DataOptions::label), else in that called `label`, `y`, `target` or `class` (in any
    /// case), else in the last one. They are class indices, if all of them are numbers; else names, which are numbered in
    /// the order of [`class_names`](DataOptions::class_names), or sorted. All other columns are features, in their order, but for
    /// those [dropped](DataOptions::drop); the columns of [`groups`](DataOptions::groups) are features as well, unless they are dropped. Numbers keep their values; True and False are 1 and 0.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Data`], naming line and column, for a feature that is missing, text
    /// or beyond the range of f32, a class that is missing, no class index or not among the names, a line with
    /// another number of fields, text that is not UTF-8, an unknown, ambiguous or unnamed column, or no samples or features.
    pub fn from_csv(path: impl AsRef<Path>, options: &DataOptions) -> Result<Self> {
        let path = path.as_ref();
        let names = options.class_names.as_deref().map(names).transpose()?;
        let mut input = Input::open(path, Sha256::new())?;
        let file = input.file.clone();
        let fault = |problem: String| Error::Data { file: file.clone(), problem, source: None };
        let mut lines = ReaderBuilder::new()
            .has_headers(false)
            .delimiter(delimiter(path)?)
            .from_reader(&mut input);
        let mut next = |record: &mut StringRecord| {
            lines.read_record(record).map_err(|error| unreadable(&file, error))
        };
        let (mut first, mut record) = (StringRecord::new(), StringRecord::new());
        if !next(&mut first)? {
            return Err(fault("there is nothing in it".into()));
        }
        let mut more = next(&mut record)?;
        let is_head = is_head(&first, more.then_some(&record), options.label.as_deref());
        let columns = Columns::new(&file, &first, is_head, options)?;

        let (mut x, mut labels) = (vec![], Texts::default());
        let mut arrays: Vec<Vec<f64>> = vec![vec![]; columns.arrays.len()];
        let mut groups: Vec<Vec<String>> = vec![vec![]; columns.groups.len()];
        let mut samples = 0;
        let mut take = |record: &StringRecord| {
            let line = record.position().map_or(0, csv::Position::line);
            let place = |column: usize| format!("line {line}, column `{}`", columns.names[column]);
            let value = |column: usize| {
                number(&record[column])
                    .map_err(|problem| fault(format!("{}: {problem}", place(column))))
            };
            for column in &columns.features {
                x.push(value(*column)? as f32);
            }
            for (array, column) in arrays.iter_mut().zip(&columns.arrays) {
                array.push(value(*column)?);
            }
            for (group, column) in groups.iter_mut().zip(&columns.groups) {
                group.push(record[*column].to_owned());
            }
            if let Some(column) = columns.label {
                let text = record[column].trim();
                if is_missing(text) {
                    return Err(fault(format!("{}: the class is missing", place(column))));
                }
                labels.push(text, line);
            }
            samples += 1;
            Ok(())
        };
        if !is_head {
            take(&first)?;
        }
        while more {
            take(&record)?;
            more = next(&mut record)?;
        }
        if samples == 0 {
            return Err(fault("it names columns, but has no samples".into()));
        }
        let source = |key: &str| Source::new(&*file, key);
        let label = columns.label.map(|column| &*columns.names[column]);
        let labels = match label {
            Some(column) => Labels::new(&labels, names.as_deref())
                .map_err(|problem| fault(format!("column `{column}`, {problem}")))?,
            None => Labels { y: vec![0; samples], names: vec![], are_sorted: false },
        };
        drop(lines);
        let hash = hex(input.finish()?);
        let axes = [samples, columns.features.len()];
        let sources = (source("features"), source(label.unwrap_or("features")));
        let mut data = Dataset::assemble(&axes, x, labels.y, sources, hash)?;
        data.notes.push(columns.note(is_head));
        for (values, column) in arrays.into_iter().zip(&columns.arrays) {
            data = data.with_stored(&columns.names[*column], &[samples], values)?;
        }
        for (values, column) in groups.iter().zip(&columns.groups) {
            data = data.with_groups(&columns.names[*column], values)?;
        }
        if labels.are_sorted {
            data.notes.push(sorted_names(&labels.names));
        }
        if labels.names.is_empty() { Ok(data) } else { data.with_class_names(labels.names) }
    }
}

/// The classes of samples.
struct Labels {
    y: Vec<usize>,
    /// Their names; none where they are numbers.
    names: Vec<String>,
    /// Whether nothing but their names orders them.
    are_sorted: bool,
}

impl Labels {
    fn new(texts: &Texts, names: Option<&[String]>) -> Result<Self, String> {
        let place = |text: &str| names?.iter().position(|name| name == text);
        if texts.distinct().all(|(text, _)| place(text).is_some()) {
            let y = texts.indices(|_, text| place(text).unwrap_or(0));
            return Ok(Self { y, names: names.unwrap_or_default().into(), are_sorted: false });
        }
        if texts.distinct().all(|(text, _)| text.parse::<f64>().is_ok()) {
            let index = |text: &str| {
                let value = text.parse().ok().filter(|value: &f64| value.fract() == 0.0)?;
                (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as usize)
            };
            if let Some((text, line)) = texts.distinct().find(|(text, _)| index(text).is_none()) {
                return Err(format!(
                    "line {line}: the class is {text}; classes are indices 0, 1, 2, … or names"
                ));
            }
            let y = texts.indices(|_, text| index(text).unwrap_or(0));
            return Ok(Self { y, names: names.unwrap_or_default().into(), are_sorted: false });
        }
        let Some(names) = names else {
            let names = texts.distinct().map(|(text, _)| text.to_owned()).collect();
            return Ok(Self { y: texts.indices(|place, _| place), names, are_sorted: true });
        };
        let unknown = texts.distinct().find(|(text, _)| place(text).is_none());
        let (text, line) = unknown.unwrap_or_default();
        Err(format!(
            "line {line}: the class `{text}` is not among the names, {}",
            listed(names.iter())
        ))
    }
}

/// What the columns are.
struct Columns {
    names: Vec<String>,
    features: Vec<usize>,
    arrays: Vec<usize>,
    groups: Vec<usize>,
    label: Option<usize>,
}

impl Columns {
    fn new(file: &str, first: &StringRecord, is_head: bool, options: &DataOptions) -> Result<Self> {
        let names: Vec<String> = match is_head {
            true => first.iter().map(|name| name.trim().to_owned()).collect(),
            false => (0..first.len()).map(|column| column.to_string()).collect(),
        };
        let fault = |problem| Error::Data { file: file.into(), problem, source: None };
        let find = |name: &str| {
            let mut named = (0..names.len()).filter(|column| names[*column] == name);
            match (named.next(), named.next()) {
                (Some(column), None) => Ok(column),
                (Some(one), Some(two)) => Err(fault(format!(
                    "columns {one} and {two} are both called `{name}`: give a number"
                ))),
                (None, _) => {
                    let number = name.parse().ok().filter(|column| *column < names.len());
                    number.ok_or_else(|| {
                        let all = listed(names.iter());
                        fault(format!("no column `{name}`; the file has {all}, counted from 0"))
                    })
                }
            }
        };
        let dropped = options.drop.iter().map(|name| find(name)).collect::<Result<Vec<_>>>()?;
        let groups = options.groups.iter().map(|name| find(name)).collect::<Result<_>>()?;
        let arrays: Vec<usize> = options
            .arrays
            .iter()
            .filter_map(|name| names.iter().position(|column| is_head && column == name))
            .collect();
        let taken = |column: &usize| dropped.contains(column) || arrays.contains(column);
        let label = match &options.label {
            Some(name) => Some(find(name)?),
            None => {
                let is_label = |column: &usize| is_head && is_label(&names[*column]);
                let mut usual = (0..names.len()).filter(is_label).filter(|column| !taken(column));
                match (usual.next(), usual.next()) {
                    (Some(one), Some(two)) => {
                        let (one, two) = (&names[one], &names[two]);
                        return Err(fault(format!(
                            "columns `{one}` and `{two}` may both hold the classes: name the one that does (label)"
                        )));
                    }
                    (usual, _) if usual.is_some() || options.unlabelled => usual,
                    _ => (0..names.len()).rev().find(|column| !taken(column)),
                }
            }
        };
        let is_feature = |column: &usize| Some(*column) != label && !taken(column);
        let features: Vec<usize> = (0..names.len()).filter(is_feature).collect();
        if let Some(column) = features.iter().find(|column| names[**column].is_empty()) {
            return Err(fault(format!(
                "column {column} has no name, as pandas writes its index: drop it (drop {column}), or save with index=False"
            )));
        }
        if features.is_empty() {
            return Err(fault("no column is left for the features; fields are separated by comma, semicolon or tab".into()));
        }
        Ok(Self { names, features, arrays, groups, label: label.filter(|_| !options.unlabelled) })
    }

    fn note(&self, is_head: bool) -> Finding {
        let label = self.label.map_or_else(String::new, |label| {
            format!("classes are from column `{}`; ", self.names[label])
        });
        let features = self.features.iter().map(|column| &self.names[*column]);
        let count = features.len();
        let head = if is_head { "" } else { ", numbered, as the first line names none" };
        let message = format!("{label}{count} features from columns {}{head}", listed(features));
        Finding::info("data-columns", message)
    }
}

fn is_label(name: &str) -> bool {
    LABELS.iter().any(|label| label.eq_ignore_ascii_case(name.trim()))
}

/// Whether the first line names the columns.
fn is_head(first: &StringRecord, second: Option<&StringRecord>, label: Option<&str>) -> bool {
    let is_name =
        |field: &str| label.map_or_else(|| is_label(field), |label| field.trim() == label);
    let is_number = |field: &str| number(field).is_ok();
    if !first.iter().any(is_number) || first.iter().any(|field| !is_number(field) && is_name(field))
    {
        return true;
    }
    let second = second.into_iter().flatten();
    first.iter().zip(second).any(|(above, below)| !is_number(above) && is_number(below))
}

fn is_missing(text: &str) -> bool {
    MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(text))
}

/// A number that is finite as a 32-bit float, too.
fn number(field: &str) -> Result<f64, String> {
    let text = field.trim();
    if is_missing(text) {
        return Err("the value is missing; every feature needs a number".into());
    }
    let value = match text.parse::<f64>() {
        Ok(value) => value,
        Err(_) if text.eq_ignore_ascii_case("true") => 1.0,
        Err(_) if text.eq_ignore_ascii_case("false") => 0.0,
        Err(_) => {
            return Err(format!(
                "`{text}` is no number; encode it as the model takes it, or leave the column out (drop)"
            ));
        }
    };
    if (value as f32).is_finite() {
        Ok(value)
    } else {
        Err(format!("`{text}` is no finite 32-bit float"))
    }
}

/// What separates the fields: whichever is most often in the first line, comma where none is.
fn delimiter(path: &Path) -> Result<u8> {
    if is_called(path, &["tsv", "tab"]) {
        return Ok(b'\t');
    }
    let first = first_line(path)?;
    let count = |delimiter: &u8| first.iter().filter(|byte| *byte == delimiter).count();
    Ok(*[b'\t', b';', b','].iter().max_by_key(|delimiter| count(delimiter)).unwrap_or(&b','))
}

fn unreadable(file: &str, error: csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let problem = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("line {line} has {len} fields, the first line {expected_len}")
        }
        ErrorKind::Utf8 { .. } => format!("line {line} is not UTF-8 text: save the table as UTF-8"),
        _ => "the table cannot be read".into(),
    };
    Error::Data { file: file.into(), problem, source: Some(error.into()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn read_as(name: &str, bytes: &[u8], options: &DataOptions) -> Result<Dataset> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        Dataset::open(&path, options)
    }

    fn read_text(text: &str) -> Result<Dataset> {
        read_as("t.csv", text.as_bytes(), &DataOptions::default())
    }

    #[track_caller]
    fn refused(result: Result<Dataset>, words: &str) {
        let message = result.unwrap_err().one_line();
        assert!(message.contains("t.csv: ") && message.contains(words), "{message:?}: {words:?}");
    }

    fn labelled(column: &str) -> DataOptions {
        DataOptions { label: Some(column.into()), ..DataOptions::default() }
    }

    fn codes(data: &Dataset) -> Vec<&str> {
        data.notes().iter().map(|note| note.code.as_str()).collect()
    }

    #[test]
    fn features_keep_their_order_around_the_label() {
        let text = "age,Target,height\n30,1,1.5\n40,0,-2e3\n+50, 2 ,.5\n";
        let data = read_text(text).unwrap();
        assert_eq!((data.shape(), data.labels()), (&[2][..], &[1, 0, 2][..]));
        assert_eq!(data.values(), [30.0, 1.5, 40.0, -2000.0, 50.0, 0.5]);
        assert_eq!(data.sha256(), hex(Sha256::new_with_prefix(text)));
        assert_eq!(
            data.notes()[0].message,
            "classes are from column `Target`; 2 features from columns `age`, `height`"
        );
        let by_number = read_as("t.csv", text.as_bytes(), &labelled("1")).unwrap();
        assert_eq!(by_number, Dataset { ..data.clone() }.renamed(&by_number));
        let last = read_text("a,b,c\n1,2,0\n3,4,1\n").unwrap();
        assert_eq!((last.labels(), last.sample(1)), (&[0, 1][..], &[3.0, 4.0][..]));
        let other = read_as("t.csv", b"a,b,c\n1,2,0\n0,4,1\n", &labelled("a")).unwrap();
        assert_eq!((other.labels(), other.sample(1)), (&[1, 0][..], &[4.0, 1.0][..]));
    }

    impl Dataset {
        /// With the place of another: files of tests have places that differ.
        fn renamed(self, other: &Self) -> Self {
            Self { x_source: other.x_source.clone(), y_source: other.y_source.clone(), ..self }
        }
    }

    #[test]
    fn quotes_line_ends_marks_and_separators_are_those_of_the_world() {
        let plain = read_text("a,\"b, or c\",label\n1,2,0\n3,4,1\n").unwrap();
        for (name, text) in [
            ("t.csv", "\u{feff}a,\"b, or c\",label\r\n1,2,0\r\n3,4,1\r\n"),
            ("t.csv", "\"a\",\"b, or c\",\"label\"\n\"1\", \"2\",\"0\"\n3 ,\t4 , 1"),
            ("t.csv", "a;\"b, or c\";label\n1;2;0\n\n3;4;1\n"),
            ("t.tsv", "a\tb, or c\tlabel\n1\t2\t0\n3\t4\t1\n"),
            ("t.TAB", "a\tb, or c\tlabel\n1\t2\t0\n3\t4\t1\n"),
            ("t.csv", "a\tb, or c\tlabel\n1\t2\t0\n3\t4\t1\n"),
        ] {
            // A quote after a space is none, as RFC 4180 has it.
            let text = text.replace(" \"2\"", "2");
            let data = read_as(name, text.as_bytes(), &DataOptions::default()).unwrap();
            assert_eq!((data.values(), data.labels()), (plain.values(), plain.labels()), "{text}");
            assert_eq!(data.notes(), plain.notes());
        }
        let lines = read_text("a,\"two\nlines\",y\n1,2,0\n3,4,?\n");
        refused(lines, "line 4, column `y`: the class is missing");
    }

    #[test]
    fn a_first_line_of_numbers_is_a_sample() {
        for (text, samples) in [
            ("1,2,0\n3,4,1\n", 2),
            ("1,2,0", 1),
            ("a,b,y\n3,4,1\n", 1),
            // Numbers may be names, where others are none or one is the label's.
            ("0,1,label\n3,4,1\n", 1),
            ("0,1,kind\n3,4,1\n", 1),
            ("0,1,label\n3,4,cat\n", 1),
            // As UCI has it: the class is the only text in every line.
            ("5.1,3.5,setosa\n5,4,virginica\n", 2),
        ] {
            let data = read_text(text).unwrap();
            assert_eq!((data.len(), data.features()), (samples, 2), "{text}");
        }
        let data = read_text("5.1,3.5,setosa\n5,4,virginica\n").unwrap();
        let note = &data.notes()[0].message;
        assert!(
            note.ends_with("columns `0`, `1`, numbered, as the first line names none"),
            "{note}"
        );
        refused(read_text("a,b,y\n"), "it names columns, but has no samples");
    }

    #[test]
    fn classes_may_have_names() {
        let text = "a,income\n1,>50K\n2, <=50K\n3,>50K\n";
        let data = read_text(text).unwrap();
        assert_eq!(
            (data.labels(), data.class_names()),
            (&[1, 0, 1][..], &["<=50K".into(), ">50K".into()][..])
        );
        assert_eq!(codes(&data), ["data-columns", "data-classes"]);
        assert!(data.notes()[1].message.ends_with("names: `0 <=50K`, `1 >50K`"));
        let folder = tempfile::tempdir().unwrap();
        let named = |names: &str, text: &str| {
            let path = folder.path().join("names.txt");
            fs::write(&path, names).unwrap();
            let options = DataOptions { class_names: Some(path), ..DataOptions::default() };
            read_as("t.csv", text.as_bytes(), &options)
        };
        let data = named("unknown\n>50K\n<=50K\n", text).unwrap();
        assert_eq!((data.labels(), data.class_names().len()), (&[1, 2, 1][..], 3));
        assert_eq!(codes(&data), ["data-columns"]);
        refused(
            named("a\n>50K\n", text),
            "column `income`, line 3: the class `<=50K` is not among the names, `a`, `>50K`",
        );
        let data = named("no\nyes\n", "a,y\n1,1\n2,0\n").unwrap();
        assert_eq!((data.labels(), &*data.class_names()[1]), (&[1, 0][..], "yes"));
        refused(named("no\nyes\n", "a,y\n1,1\n2,2\n"), "the label of sample 1 is 2, but only 2");
        // Names that are numbers are names first.
        let data = named("3\n5\n", "a,y\n1,5\n2,3\n").unwrap();
        assert_eq!(data.labels(), [1, 0]);
        assert_eq!(read_text("a,y\n1,2.0\n2,0.0\n").unwrap().labels(), [2, 0]);
        let data = read_text("a,y\n1,True\n2,False\n").unwrap();
        assert_eq!((data.labels(), &*data.class_names()[1]), (&[1, 0][..], "True"));
        for label in ["-1", "0.5", "inf", "1e12"] {
            let words = format!("column `y`, line 3: the class is {label}; classes are indices");
            refused(read_text(&format!("a,y\n1,0\n2,{label}\n")), &words);
        }
    }

    #[test]
    fn columns_may_be_left_out() {
        let text = "id,a,flag,y,b\nx1,1,True,0,2\nx2,3,false,1,4\n";
        let drop = |columns: &[&str]| DataOptions {
            drop: columns.iter().map(|name| (*name).into()).collect(),
            ..DataOptions::default()
        };
        let read = |options: &DataOptions| read_as("t.csv", text.as_bytes(), options);
        let data = read(&drop(&["id"])).unwrap();
        assert_eq!(data.values(), [1.0, 1.0, 2.0, 3.0, 0.0, 4.0]);
        assert_eq!(read(&drop(&["0", "flag"])).unwrap().sample(1), [3.0, 4.0]);
        let last = read(&drop(&["id", "y", "flag"])).unwrap();
        assert_eq!((last.labels(), last.features()), (&[2, 4][..], 1));
        let unlabelled = DataOptions { unlabelled: true, ..drop(&["id"]) };
        let data = read(&unlabelled).unwrap();
        assert_eq!((data.labels(), data.features()), (&[0, 0][..], 3));
        let all = DataOptions { unlabelled: true, ..DataOptions::default() };
        assert_eq!(read_as("t.csv", b"a,b\n1,2\n", &all).unwrap().features(), 2);
        let arrays = DataOptions { arrays: vec!["b".into(), "none".into()], ..drop(&["id"]) };
        let data = read(&arrays).unwrap();
        assert_eq!((data.features(), data.given().arrays["b"].get(1)), (2, Some(&[4.0][..])));
        let refuse = |options: &DataOptions, words| refused(read(options), words);
        refuse(
            &drop(&["c"]),
            "no column `c`; the file has `id`, `a`, `flag`, `y`, `b`, counted from 0",
        );
        refuse(&drop(&["id", "a", "flag", "b"]), "no column is left for the features");
        refuse(&labelled("9"), "no column `9`;");
        let twice = || read_as("t.csv", b"a,a,y\n1,2,0\n", &drop(&["a"]));
        refused(twice(), "columns 0 and 1 are both called `a`");
        refused(
            read_text("y,a,class\n1,2,0\n"),
            "columns `y` and `class` may both hold the classes",
        );
        refused(read_text(",a,y\n0,1,0\n"), "column 0 has no name, as pandas writes its index");
        assert_eq!(read_as("t.csv", b",a,y\n0,1,0\n", &drop(&["0"])).unwrap().features(), 1);
    }

    #[test]
    fn columns_may_make_groups() {
        let text = b"age,sex,region,y\n30,1,north,0\n40,0,,1\n50,1,east,1\n";
        let options = |groups: &[&str]| DataOptions {
            groups: groups.iter().map(|name| (*name).into()).collect(),
            drop: vec!["region".into()],
            ..DataOptions::default()
        };
        let data = read_as("t.csv", text, &options(&["region", "sex"])).unwrap();
        assert_eq!(data.sample(0), [30.0, 1.0]);
        let [region, sex] = data.groups() else { panic!("{:?}", data.groups()) };
        assert_eq!((&*region.column, &region.of), ("region", &vec![2, 0, 1]));
        assert_eq!(region.values, ["(missing)", "east", "north"]);
        assert_eq!((&sex.values, &sex.of), (&vec!["0".into(), "1".into()], &vec![1, 0, 1]));
        // A part of the data has the groups of the whole, by the index in the file.
        let part = data.subset(1, None).unwrap();
        assert_eq!(part.groups(), data.groups());
        assert_eq!(part.groups()[0].of_samples(part.ids()).of, [0, 1]);
        refused(read_as("t.csv", text, &options(&["race"])), "no column `race`");
        let words = "no number; encode it as the model takes it, or leave the column out (drop)";
        let kept = DataOptions { drop: vec![], ..options(&["region"]) };
        refused(read_as("t.csv", text, &kept), words);
    }

    #[test]
    fn what_is_no_number_is_named() {
        for value in ["", "NA", "NaN", "?", "null"] {
            let text = format!("age,b,y\n1,2,0\n{value},4,1\n");
            refused(read_text(&text), "line 3, column `age`: the value is missing");
        }
        refused(
            read_text("age,b,y\n1,2,0\n1,Private,1\n"),
            "line 3, column `b`: `Private` is no number; encode",
        );
        refused(read_text("age,b,y\n1,2,0\n1,1e39,1\n"), "column `b`: `1e39` is no finite 32-bit");
        refused(read_text("age,b,y\n1,-inf,0\n"), "line 2, column `b`: `-inf` is no finite");
        refused(read_text("age,b,y\n\"1,5\",2,0\n"), "line 2, column `age`: `1,5` is no number");
        refused(read_text("1,2,0\n3,x,1\n"), "line 2, column `1`: `x` is no number");
    }

    #[test]
    fn files_that_are_none_are_refused() {
        refused(read_text(""), "there is nothing in it");
        refused(read_text("\n\n"), "there is nothing in it");
        refused(read_text("a\n1\n"), "no column is left for the features");
        refused(read_text("a,b,y\n1,2,0\n1,2\n"), "line 3 has 2 fields, the first line 3");
        refused(read_text("a,b,y\n1,2,0\n\"1,2,0\n1,2,0\n"), "line 3 has 1 fields");
        let options = DataOptions::default();
        refused(read_as("t.csv", b"a,y\n1,0\n2,caf\xe9\n", &options), "line 3 is not UTF-8");
        refused(read_as("t.csv", &[0x93, b'N', 0, 255, 10, 0], &options), "is not UTF-8");
        let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2];
        assert!(read_as("t.csv", &gzip, &options).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_text_panics(text in "[a0-3,;\"\n\r\t .\\-\u{feff}é]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_text(&text);
            let _ = read_as("t.tsv", &bytes, &DataOptions::default());
        }
    }
}
