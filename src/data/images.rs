//! Images brought to one size.

use std::io::Cursor;

use image::imageops::{FilterType, crop_imm, resize};
use image::{GrayImage, ImageBuffer, ImageFormat, ImageReader, Luma, Pixel, Rgb, RgbImage};

use super::npy::Shape;
use super::shape::Layout;
use crate::error::{Cause, Error, Result};

/// More pixels than this are not made of one image: it is far longer than wide.
const MOST_PIXELS: u64 = 1 << 26;

/// What every image becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// One (luma) or three.
    channels: usize,
    layout: Layout,
    /// Height and width; those of the image where there are none.
    size: Option<(u32, u32)>,
    /// What the shorter side is scaled to before the rest is cut off.
    shorter: Option<u32>,
}

/// What is wrong with an image, and what the decoder said.
pub(super) type Fault = (String, Option<Cause>);

/// An image's values, and whether it was scaled.
pub(super) struct Values {
    pub(super) values: Vec<f32>,
    pub(super) shape: Vec<usize>,
    pub(super) is_scaled: bool,
}

impl Frame {
    /// That of a model which takes samples of this shape, if it takes images; of images as they are, where there is none.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub(super) fn new(
        shape: Option<&[usize]>,
        layout: Option<Layout>,
        shorter: Option<u32>,
    ) -> Result<Self> {
        let refuse =
            |shape: &[usize], expected| Error::parameter("sample_shape", Shape(shape), expected);
        let Some(shape) = shape else {
            let layout = layout.unwrap_or(Layout::ChannelsFirst);
            return match shorter {
                Some(side) => {
                    let expected =
                        "expected together with the model's shape, which says what is cut off";
                    Err(Error::parameter("resize", side, expected))
                }
                None => Ok(Self { channels: 3, layout, size: None, shorter }),
            };
        };
        let is_first = layout != Some(Layout::ChannelsLast);
        let is_last = layout != Some(Layout::ChannelsFirst);
        let (channels, layout, height, width) = match *shape {
            [height, width] => (1, Layout::ChannelsFirst, height, width),
            [channels @ (1 | 3), height, width] if is_first => {
                (channels, Layout::ChannelsFirst, height, width)
            }
            [height, width, channels @ (1 | 3)] if is_last => {
                (channels, Layout::ChannelsLast, height, width)
            }
            _ => {
                let expected = "expected that of an image: height and width, with one or three channels before or after";
                return Err(refuse(shape, expected));
            }
        };
        let side = |side: usize| {
            let fits = u32::try_from(side).ok().filter(|side| (1..=1 << 14).contains(side));
            fits.ok_or_else(|| refuse(shape, "expected sides of 1 to 16384"))
        };
        let (height, width) = (side(height)?, side(width)?);
        let least = height.max(width);
        if let Some(side) = shorter.filter(|side| *side < least) {
            let expected =
                format!("expected at least {least}, the longer side of the model's input");
            return Err(Error::parameter("resize", side, expected));
        }
        Ok(Self { channels, layout, size: Some((height, width)), shorter })
    }

    /// The shape that a PNG or JPEG file gets in this frame, and whether it is scaled for it; pixels are not decoded.
    pub(super) fn measure(&self, bytes: &[u8]) -> Result<(Vec<usize>, bool), Fault> {
        let (width, height) = open(bytes)?.into_dimensions().map_err(fault)?;
        let (rows, columns) = self.size.unwrap_or((height, width));
        let is_kept =
            self.size.is_none() || ((rows, columns) == (height, width) && self.shorter.is_none());
        let is_scaled = !is_kept
            && self.scaled((height, width), (rows, columns)) != (height.into(), width.into());
        Ok((self.shape(rows as usize, columns as usize), is_scaled))
    }

    /// That of one sample with so many rows and columns.
    fn shape(&self, rows: usize, columns: usize) -> Vec<usize> {
        match self.layout {
            Layout::ChannelsLast => vec![rows, columns, self.channels],
            Layout::ChannelsFirst => vec![self.channels, rows, columns],
        }
    }

    /// Decodes a PNG or JPEG file and brings it into this frame.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Values, Fault> {
        let image = open(bytes)?.decode().map_err(fault)?.into_rgb8();
        let fitted = if self.channels == 1 { self.fit(&luma(&image)) } else { self.fit(&image) };
        fitted.map_err(|problem| (problem, None))
    }

    fn fit<P: Pixel<Subpixel = u8> + 'static>(
        &self,
        image: &ImageBuffer<P, Vec<u8>>,
    ) -> Result<Values, String> {
        let (width, height) = image.dimensions();
        let Some((rows, columns)) =
            self.size.filter(|size| *size != (height, width) || self.shorter.is_some())
        else {
            return Ok(self.values(image, false));
        };
        let (tall, wide) = self.scaled((height, width), (rows, columns));
        if tall * wide > MOST_PIXELS {
            return Err(format!(
                "{width} x {height} pixels cannot be scaled to cover {columns} x {rows}: it is far too long"
            ));
        }
        // Not more than MOST_PIXELS.
        let (tall, wide) = (tall as u32, wide as u32);
        let is_scaled = (tall, wide) != (height, width);
        let scaled =
            if is_scaled { resize(image, wide, tall, FilterType::Triangle) } else { image.clone() };
        let (top, left) = (half(tall - rows), half(wide - columns));
        Ok(self.values(&crop_imm(&scaled, left, top, columns, rows).to_image(), is_scaled))
    }

    /// Height and width after scaling: the shorter side is as stated, or both just cover the frame.
    fn scaled(&self, (height, width): (u32, u32), (rows, columns): (u32, u32)) -> (u64, u64) {
        let [height, width, rows, columns] = [height, width, rows, columns].map(u64::from);
        let by_height = match self.shorter {
            Some(_) => height <= width,
            None => rows * width >= columns * height,
        };
        let (rows, columns) =
            self.shorter.map_or((rows, columns), |side| (side.into(), side.into()));
        if by_height { (rows, width * rows / height) } else { (height * columns / width, columns) }
    }

    fn values<P: Pixel<Subpixel = u8>>(
        &self,
        image: &ImageBuffer<P, Vec<u8>>,
        is_scaled: bool,
    ) -> Values {
        let (raw, channels) = (image.as_raw(), self.channels);
        let share = |pixel: &u8| f32::from(*pixel) / 255.0;
        let values = match self.layout {
            Layout::ChannelsLast => raw.iter().map(share).collect(),
            Layout::ChannelsFirst => {
                let plane = |channel| raw.iter().skip(channel).step_by(channels).map(share);
                (0..channels).flat_map(plane).collect()
            }
        };
        let shape = self.shape(image.height() as usize, image.width() as usize);
        Values { values, shape, is_scaled }
    }
}

/// A PNG or JPEG file, not decoded yet.
fn open(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, Fault> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let reader = reader.map_err(|source| fault(source.into()))?;
    if matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Ok(reader);
    }
    Err(("its content is neither PNG nor JPEG".into(), None))
}

fn fault(source: image::ImageError) -> Fault {
    ("cannot be read as PNG or JPEG".to_owned(), Some(source.into()))
}

/// Half of what is cut off along an axis; halves of pixels go to the even side.
fn half(excess: u32) -> u32 {
    excess / 2 + u32::from(excess % 4 == 3)
}

/// The brightness of ITU-R BT.601.
fn luma(image: &RgbImage) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        let Rgb([red, green, blue]) = *image.get_pixel(x, y);
        let weighted =
            19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
        Luma([((weighted + 0x8000) >> 16) as u8])
    })
}
