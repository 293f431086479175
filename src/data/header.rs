//! The header of an npy array.

use std::io::Read;

use super::npy::{Fault, fill};

/// Longer headers are refused before they are read; numpy's own reader stops at 10,000 characters.
const MAX_HEADER: usize = 1 << 16;
/// numpy's limit since version 2.
const MAX_AXES: usize = 64;

/// What stands before an array's data.
#[derive(Debug)]
pub(super) struct Header {
    /// numpy's kind and item size, such as "f4".
    pub(super) dtype: String,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, Fault> {
        let mut start = [0; 8];
        let got = fill(reader, &mut start)?;
        if start.starts_with(b"PK") {
            return Err("this is an npz archive (or another zip file), not an npy file".into());
        }
        if got < start.len() || !start.starts_with(b"\x93NUMPY") {
            return Err("not an npy array: its first bytes are not the format's".into());
        }
        let size = match start[6] {
            1 => {
                let mut size = [0; 2];
                reader.read_exact(&mut size)?;
                usize::from(u16::from_le_bytes(size))
            }
            2 | 3 => {
                let mut size = [0; 4];
                reader.read_exact(&mut size)?;
                u32::from_le_bytes(size) as usize
            }
            version => return Err(format!("npy format version {version} is unknown").into()),
        };
        if size > MAX_HEADER {
            return Err(
                format!("the npy header claims {size} bytes, more than {MAX_HEADER}").into()
            );
        }
        let mut text = vec![0; size];
        reader.read_exact(&mut text)?;
        Dict { text: &text, at: 0 }.header()
    }
}

/// The header's Python dictionary: descr, `fortran_order` and shape, in any order.
struct Dict<'a> {
    text: &'a [u8],
    at: usize,
}

impl Dict<'_> {
    fn header(mut self) -> Result<Header, Fault> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.eat(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            match key.as_str() {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                _ => return Err(format!("the npy header has an unknown key `{key}`").into()),
            }
            if !self.eat(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        let (Some(descr), Some(fortran), Some(shape)) = (descr, fortran, shape) else {
            return Err("the npy header lacks one of descr, fortran_order and shape".into());
        };
        let dtype = descr.trim_start_matches(['<', '>', '|', '=']).to_owned();
        Ok(Header { dtype, big_endian: descr.starts_with('>'), fortran, shape })
    }

    fn descr(&mut self) -> Result<String, Fault> {
        if self.eat(b'[') {
            return Err(
                "holds records (a structured dtype); save each field as an array of its own".into(),
            );
        }
        self.string()
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        self.skip_spaces();
        for (word, value) in [(&b"True"[..], true), (&b"False"[..], false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.malformed())
    }

    fn shape(&mut self) -> Result<Vec<usize>, Fault> {
        self.expect(b'(')?;
        let mut shape = vec![];
        while !self.eat(b')') {
            shape.push(self.number()?);
            if shape.len() > MAX_AXES {
                return Err(format!("the array has more than {MAX_AXES} axes").into());
            }
            // Python 2 wrote long integers with an L.
            self.eat(b'L');
            if !self.eat(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, Fault> {
        self.skip_spaces();
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = &self.text[self.at..self.at + digits];
        let number = std::str::from_utf8(text).ok().filter(|text| !text.is_empty());
        let number = number.ok_or_else(|| self.malformed())?;
        let number =
            number.parse().map_err(|_| format!("an axis of {number} is larger than any memory"))?;
        self.at += digits;
        Ok(number)
    }

    fn string(&mut self) -> Result<String, Fault> {
        self.skip_spaces();
        let quote = self.text.get(self.at).copied().filter(|byte| matches!(byte, b'\'' | b'"'));
        let quote = quote.ok_or_else(|| self.malformed())?;
        let rest = &self.text[self.at + 1..];
        let length = rest.iter().position(|byte| *byte == quote).ok_or_else(|| self.malformed())?;
        self.at += length + 2;
        Ok(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn skip_spaces(&mut self) {
        self.at +=
            self.text[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { Err(self.malformed()) }
    }

    fn malformed(&self) -> Fault {
        format!("the npy header is malformed at byte {}", self.at).into()
    }
}
