//! Reads two tensors side by side, in pieces of the same elements.
//!
//! Readers push pieces of whatever size suits their format; here both sides are brought to the same blocks, so that results
//! do not depend on how a file happens to be cut.

use std::ops::{ControlFlow, Range};
use std::sync::mpsc;
use std::thread;

use super::turned::read_turned;
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// Elements per piece: both sides of `float32` and what is computed from them stay in the second-level cache.
pub(super) const PIECE_ELEMENTS: u64 = 32 * 1024;

/// Tensors up to this size are held whole when neither side can be read at a position.
const HELD_BYTES: u64 = 32 << 20;

/// One side of a pair.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub checkpoint: &'a Checkpoint,
    pub id: TensorId,
    /// Bytes of [`PIECE_ELEMENTS`] elements.
    pub piece_bytes: usize,
}

/// Which side could not be read, and why.
#[derive(Debug)]
pub(super) struct SideError {
    pub is_left: bool,
    pub error: ReadError,
}

impl<'a> Side<'a> {
    /// `None` where a piece does not fill whole bytes.
    pub fn new(checkpoint: &'a Checkpoint, id: TensorId) -> Option<Self> {
        let bytes = checkpoint.tensor(id).dtype.bytes_for(PIECE_ELEMENTS)?;
        Some(Self { checkpoint, id, piece_bytes: usize::try_from(bytes).ok()? })
    }

    fn bytes(&self) -> u64 {
        self.checkpoint.tensor(self.id).bytes()
    }

    pub fn is_random_access(&self) -> bool {
        self.checkpoint.is_random_access(self.id)
    }

    /// Reads the piece of that number into `buffer`, which gets the piece's size.
    fn read_piece(&self, piece: u64, buffer: &mut Vec<u8>, progress: &Progress) -> Result<(), ReadError> {
        let start = piece * self.piece_bytes as u64;
        let len = (self.piece_bytes as u64).min(self.bytes().saturating_sub(start)) as usize;
        buffer.resize(len, 0);
        match self.checkpoint.read_at(self.id, start, buffer) {
            Some(result) => result?,
            None => return Err(ReadError::unsupported("its values can be read in order only")),
        }
        Ok(progress.advance(len as u64)?)
    }

    /// Gives pieces by number: read at their position, or from memory where that cannot be (call it for few bytes only).
    fn lookup(
        self,
        progress: &'a Progress,
    ) -> Result<impl FnMut(u64, &mut Vec<u8>) -> Result<(), ReadError>, ReadError> {
        let held = if self.is_random_access() { None } else { Some(self.read_whole(progress)?) };
        Ok(move |piece: u64, buffer: &mut Vec<u8>| {
            let Some(held) = &held else { return self.read_piece(piece, buffer, progress) };
            let start = (piece as usize).saturating_mul(self.piece_bytes).min(held.len());
            let end = start.saturating_add(self.piece_bytes).min(held.len());
            buffer.clear();
            buffer.extend_from_slice(&held[start..end]);
            Ok(())
        })
    }

    fn read_whole(&self, progress: &Progress) -> Result<Vec<u8>, ReadError> {
        let mut held = Vec::new();
        self.checkpoint.read_chunks(self.id, progress, &mut |bytes| {
            held.extend_from_slice(bytes);
            if held.len() as u64 > HELD_BYTES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(held)
    }

    /// Passes all pieces, in order.
    pub fn read_pieces(&self, progress: &Progress, each: &mut PieceSink<'_>) -> Result<(), ReadError> {
        let mut held: Vec<u8> = Vec::new();
        let mut result = Ok(());
        self.checkpoint.read_chunks(self.id, progress, &mut |mut bytes| {
            while !bytes.is_empty() && result.is_ok() {
                if held.is_empty() && bytes.len() >= self.piece_bytes {
                    let (piece, rest) = bytes.split_at(self.piece_bytes);
                    result = each(piece);
                    bytes = rest;
                    continue;
                }
                let (part, rest) = bytes.split_at(bytes.len().min(self.piece_bytes - held.len()));
                held.extend_from_slice(part);
                bytes = rest;
                if held.len() == self.piece_bytes {
                    result = each(&held);
                    held.clear();
                }
            }
            if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        result?;
        if held.is_empty() { Ok(()) } else { each(&held) }
    }
}

/// Two buffers that are used again for the next segment.
#[derive(Default)]
pub(super) struct Buffers {
    left: Vec<u8>,
    right: Vec<u8>,
}

/// Passes the pieces of that range of both sides, which must be random access.
pub(super) fn read_range(
    left: Side<'_>,
    right: Side<'_>,
    pieces: Range<u64>,
    buffers: &mut Buffers,
    progress: &Progress,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), SideError> {
    for piece in pieces {
        left.read_piece(piece, &mut buffers.left, progress).map_err(of(true))?;
        right.read_piece(piece, &mut buffers.right, progress).map_err(of(false))?;
        each(&buffers.left, &buffers.right);
    }
    Ok(())
}

/// Receives the pieces of one side.
pub(super) type PieceSink<'s> = dyn FnMut(&[u8]) -> Result<(), ReadError> + 's;

/// Reads one side from its start, as often as it is called.
type Stream<'s> = dyn FnMut(&mut PieceSink<'_>) -> Result<(), ReadError> + 's;

/// Fills a buffer with the piece of a number.
type Lookup<'s> = dyn FnMut(u64, &mut Vec<u8>) -> Result<(), ReadError> + 's;

/// Passes all pieces of both sides, of which one can be read in order only or is turned (see [`read_turned`]).
pub(super) fn read_in_order(
    left: Side<'_>,
    axes: Option<&[usize]>,
    right: Side<'_>,
    progress: &Progress,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), SideError> {
    let mut left_stream = |sink: &mut PieceSink<'_>| match axes {
        Some(axes) => read_turned(left, axes, progress, sink),
        None => left.read_pieces(progress, sink),
    };
    if right.is_random_access() || right.bytes() <= HELD_BYTES {
        let mut lookup = right.lookup(progress).map_err(of(false))?;
        return beside(&mut left_stream, &mut lookup, each);
    }
    if axes.is_none() && (left.is_random_access() || left.bytes() <= HELD_BYTES) {
        let mut lookup = left.lookup(progress).map_err(of(true))?;
        let mut right_stream = |sink: &mut PieceSink<'_>| right.read_pieces(progress, sink);
        return beside(&mut right_stream, &mut lookup, &mut |right, left| each(left, right))
            .map_err(|failure| SideError { is_left: !failure.is_left, ..failure });
    }
    thread::scope(|scope| {
        // A second thread reads the right side, two pieces ahead at most.
        let (sender, receiver) = mpsc::sync_channel::<Vec<u8>>(2);
        let reader = thread::Builder::new().name("compare-right".to_owned()).spawn_scoped(scope, move || {
            right.read_pieces(progress, &mut |piece| {
                // A closed channel: the left side failed, and its error is the one to tell.
                sender.send(piece.to_vec()).map_err(|_| ReadError::Cancelled)
            })
        });
        let reader = reader.map_err(|error| SideError { is_left: false, error: error.into() })?;
        let mut lookup = |_, buffer: &mut Vec<u8>| {
            *buffer = receiver.recv().map_err(|_| ReadError::Cancelled)?;
            Ok(())
        };
        let both = beside(&mut left_stream, &mut lookup, each);
        drop(receiver);
        let right = match reader.join() {
            Ok(result) => result.map_err(of(false)),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        match (both, right) {
            // The channel broke off because the right side failed.
            (Err(SideError { is_left: false, .. }), Err(right)) => Err(right),
            (Err(failure), _) => Err(failure),
            (Ok(()), right) => right,
        }
    })
}

/// Streams the left side; `lookup` has the right side's pieces.
fn beside(
    stream: &mut Stream<'_>,
    lookup: &mut Lookup<'_>,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), SideError> {
    let mut buffer = Vec::new();
    let mut piece = 0;
    let mut right_failed = None;
    let read = stream(&mut |bytes| {
        if let Err(error) = lookup(piece, &mut buffer) {
            right_failed = Some(error);
            return Err(ReadError::Cancelled);
        }
        piece += 1;
        each(bytes, &buffer);
        Ok(())
    });
    match right_failed {
        Some(error) => Err(SideError { is_left: false, error }),
        None => read.map_err(of(true)),
    }
}

fn of(is_left: bool) -> impl Fn(ReadError) -> SideError {
    move |error| SideError { is_left, error }
}
