//! Values of chunks that `chunk_tree` found: filters undone, chunks put side by side, a band of rows at a time.

use std::io::Read;
use std::ops::ControlFlow;

use super::chunk_tree::{Chunk, Chunks};
use super::fletcher;
use crate::model::{Progress, ReadError, Shape};
use crate::raw::{ByteSource, limits};

const DEFLATE: u16 = 1;
const SHUFFLE: u16 = 2;
const FLETCHER32: u16 = 3;
const LZF: u16 = 32000;

/// Whether the filter is one that is undone here.
pub(super) fn is_supported(filter: u16) -> bool {
    matches!(filter, DEFLATE | SHUFFLE | FLETCHER32 | LZF)
}

/// A dataset whose chunks are known.
#[derive(Debug)]
pub(super) struct ChunkedValues {
    /// The bytes of the file.
    pub source: ByteSource,
    /// Where the chunks are.
    pub chunks: Chunks,
    /// Dimensions of the dataset itself, without those of an array type.
    pub shape: Shape,
    /// Bytes of one element.
    pub item_bytes: u64,
    /// Filters in the order in which they were applied, each with its settings.
    pub filters: Vec<(u16, Vec<u32>)>,
}

impl ChunkedValues {
    /// Bytes that the chunks take in the file.
    pub fn stored_bytes(&self) -> u64 {
        self.chunks
            .found
            .values()
            .fold(0u64, |sum, chunk| sum.saturating_add(chunk.size))
            .min(self.source.len())
    }

    /// Passes the values to `sink` as they are stored, in whole elements.
    pub fn read(
        &self,
        band_limit: u64,
        progress: &Progress,
        mut sink: impl FnMut(&mut [u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let dims = self.shape.dims();
        let (Some(&rows), Some(&band)) = (dims.first(), self.chunks.shape.first()) else { return Ok(()) };
        let row_bytes =
            dims.iter().skip(1).try_fold(self.item_bytes, |product, &dim| product.checked_mul(dim));
        let band_bytes = row_bytes.and_then(|bytes| bytes.checked_mul(band.min(rows)));
        let band_bytes = band_bytes.filter(|&bytes| bytes <= band_limit).ok_or(ReadError::OverLimit {
            what: "the size of one row of chunks".into(),
            value: band_bytes.unwrap_or(u64::MAX),
            limit: band_limit,
        })?;
        let row_bytes = row_bytes.unwrap_or(0);
        for number in 0..rows.div_ceil(band) {
            let height = band.min(rows - number * band);
            let mut values = vec![0; band_bytes.min(height * row_bytes) as usize];
            if self.chunks.fill.len() as u64 == self.item_bytes
                && self.chunks.fill.iter().any(|&byte| byte != 0)
            {
                for element in values.chunks_exact_mut(self.chunks.fill.len()) {
                    element.copy_from_slice(&self.chunks.fill);
                }
            }
            for (numbers, chunk) in self.chunks.found.range(vec![number]..vec![number + 1]) {
                progress.advance(0)?;
                let bytes = self.decode(chunk, progress)?;
                self.place(&bytes, numbers, height, &mut values);
            }
            for piece in values.chunks_mut(
                (limits::CHUNK_BYTES / self.item_bytes.max(1) as usize).max(1)
                    * self.item_bytes.max(1) as usize,
            ) {
                progress.advance(piece.len() as u64)?;
                if sink(piece).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The values of one chunk, as long as a chunk is.
    fn decode(&self, chunk: &Chunk, progress: &Progress) -> Result<Vec<u8>, ReadError> {
        let broken = |reason: &'static str| ReadError::malformed("a chunk of a dataset", chunk.at, reason);
        let shape = &self.chunks.shape;
        let wanted = shape.iter().fold(self.item_bytes, |product, &dim| product.saturating_mul(dim));
        let mut bytes = self.source.read_vec(
            "a chunk of a dataset",
            chunk.at,
            chunk.size,
            wanted.saturating_add(1 << 16),
        )?;
        for (index, (filter, settings)) in self.filters.iter().enumerate().rev() {
            if index < 32 && chunk.skipped & (1 << index) != 0 {
                continue;
            }
            match *filter {
                DEFLATE => {
                    let mut inflated = Vec::new();
                    let mut rest =
                        flate2::read::ZlibDecoder::new(bytes.as_slice()).take(wanted.saturating_add(8));
                    // In parts, so that a large chunk can be cancelled.
                    while rest
                        .by_ref()
                        .take(limits::CHUNK_BYTES as u64)
                        .read_to_end(&mut inflated)
                        .map_err(|_| broken("it does not inflate"))?
                        > 0
                    {
                        progress.advance(0)?;
                    }
                    bytes = inflated;
                }
                SHUFFLE => {
                    let unit = settings.first().map_or(self.item_bytes, |&unit| u64::from(unit));
                    bytes = unshuffled(&bytes, usize::try_from(unit).unwrap_or(usize::MAX));
                }
                LZF => {
                    bytes = inflated_lzf(&bytes, usize::try_from(wanted).unwrap_or(usize::MAX))
                        .ok_or_else(|| broken("it does not inflate"))?;
                }
                // The checksum stands behind the values.
                _ => {
                    let values = fletcher::verified(&bytes).map(<[u8]>::len);
                    bytes.truncate(values.ok_or_else(|| broken("its checksum is wrong"))?);
                }
            }
        }
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(broken("it has another size than a chunk")) }
    }

    /// Copies the part of a chunk that is inside the dataset to its place in the band.
    fn place(&self, bytes: &[u8], numbers: &[u64], height: u64, values: &mut [u8]) {
        let (dims, chunk) = (self.shape.dims(), self.chunks.shape.as_slice());
        // Per dimension: where the chunk begins in the band, and how much of it is inside.
        let mut inside = Vec::with_capacity(dims.len());
        for (axis, ((&dim, &size), &number)) in dims.iter().zip(chunk).zip(numbers).enumerate() {
            let (start, end) = if axis == 0 { (0, height) } else { (number.saturating_mul(size), dim) };
            if start >= end {
                return;
            }
            inside.push((start, size.min(end - start)));
        }
        let Some(&(_, run)) = inside.last() else { return };
        let run = (run * self.item_bytes) as usize;
        let lines =
            inside.iter().rev().skip(1).fold(1u64, |product, &(_, count)| product.saturating_mul(count));
        for line in 0..lines {
            let (mut rest, mut from, mut to) = (line, 0u64, 0u64);
            let (mut from_stride, mut to_stride) = (1u64, 1u64);
            for (axis, (&(start, count), (&size, &dim))) in
                inside.iter().zip(chunk.iter().zip(dims)).enumerate().rev()
            {
                let index = if axis + 1 == inside.len() { 0 } else { rest % count };
                if axis + 1 != inside.len() {
                    rest /= count;
                }
                from += index * from_stride;
                to += (start + index) * to_stride;
                from_stride = from_stride.saturating_mul(size);
                to_stride = to_stride.saturating_mul(dim);
            }
            let (from, to) = ((from * self.item_bytes) as usize, (to * self.item_bytes) as usize);
            if let (Some(target), Some(origin)) = (values.get_mut(to..to + run), bytes.get(from..from + run))
            {
                target.copy_from_slice(origin);
            }
        }
    }
}

/// LZF: a byte below 32 is followed by one more literal bytes than it says; of others the upper three bits, with 7
/// meaning that a byte more is added, are a length of two more, and the rest with the next byte a distance of one more.
/// Source: `lzf_d.c` of `LibLZF`. At most `limit` bytes.
fn inflated_lzf(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let mut output: Vec<u8> = Vec::new();
    let mut input = bytes.iter().copied();
    while let Some(control) = input.next() {
        let control = usize::from(control);
        if control < 32 {
            for _ in 0..=control {
                output.push(input.next()?);
            }
        } else {
            let mut len = control >> 5;
            if len == 7 {
                len += usize::from(input.next()?);
            }
            let distance = ((control & 31) << 8) + usize::from(input.next()?) + 1;
            for _ in 0..len + 2 {
                output.push(*output.get(output.len().checked_sub(distance)?)?);
            }
        }
        if output.len() > limit {
            return None;
        }
    }
    Some(output)
}

/// Elements from their first bytes, their second bytes, and so on. What does not fill an element stays at the end.
fn unshuffled(bytes: &[u8], unit: usize) -> Vec<u8> {
    let count = bytes.len().checked_div(unit).unwrap_or(0);
    if unit < 2 || count < 2 {
        return bytes.to_vec();
    }
    let mut elements = Vec::with_capacity(bytes.len());
    for index in 0..count {
        elements.extend(bytes.iter().skip(index).step_by(count).take(unit));
    }
    elements.extend(bytes.iter().skip(count * unit));
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lzf_repeats_what_came_before() {
        assert_eq!(
            inflated_lzf(&[1, 7, 8, 0x20, 1, 0xe0, 1, 0], 100).as_deref(),
            Some(&[7, 8, 7, 8, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7][..])
        );
        assert_eq!(inflated_lzf(&[0x20, 9], 100), None);
        assert_eq!(inflated_lzf(&[0, 1, 0xe0, 255, 0], 100), None);
    }

    #[test]
    fn shuffled_bytes_are_put_together_again() {
        assert_eq!(unshuffled(&[1, 3, 5, 2, 4, 6, 7], 2), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(unshuffled(&[1, 2], 4), [1, 2]);
    }
}
