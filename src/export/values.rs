//! Values on their way from the checkpoint to a writer: read ahead on a thread of their own, cast, and handed over in order.
//!
//! At most [`PIECES_AHEAD`] pieces wait, so memory is bounded whatever the size of a tensor.

use std::collections::VecDeque;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use super::cast::Cast;
use super::plan::PlannedTensor;
use super::write::WrittenTensor;
use super::{ExportError, ExportPlan};
use crate::model::{Checkpoint, Progress, ReadError};

/// Bytes of one piece. Large enough that handing it over costs nothing beside copying it, small enough for the caches.
const PIECE_BYTES: usize = 1 << 20;

/// Pieces that are read before the writer asks for them.
const PIECES_AHEAD: usize = 8;

enum Message {
    Piece(Vec<u8>),
    /// The tensor's values are complete.
    End {
        overflowed: u64,
        vanished: u64,
    },
    Failed(ExportError),
}

/// The values of a plan's tensors, in the order in which they were asked for.
pub(super) struct Values<'a> {
    plan: &'a ExportPlan,
    order: VecDeque<usize>,
    pieces: Receiver<Message>,
    used: SyncSender<Vec<u8>>,
    hashes: bool,
    /// What was handed over so far.
    pub written: Vec<WrittenTensor>,
}

impl<'a> Values<'a> {
    /// The plan that is carried out.
    pub fn plan(&self) -> &'a ExportPlan {
        self.plan
    }

    /// One tensor of the plan.
    pub fn tensor(&self, index: usize) -> Result<&'a PlannedTensor, ExportError> {
        self.plan.tensors.get(index).ok_or_else(|| ExportError::refused("no such tensor in the plan"))
    }

    /// Passes the values of the next tensor, which must be `index`, to `sink` in pieces of whole elements.
    pub fn each_piece(
        &mut self,
        index: usize,
        sink: &mut dyn FnMut(&[u8]) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        if self.order.pop_front() != Some(index) {
            return Err(ExportError::refused("the writer asked for tensors in another order than planned"));
        }
        let mut hasher = self.hashes.then(Sha256::new);
        loop {
            match self.pieces.recv() {
                Ok(Message::Piece(piece)) => {
                    if let Some(hasher) = &mut hasher {
                        hasher.update(&piece);
                    }
                    sink(&piece)?;
                    let _ = self.used.try_send(piece); // one too many is dropped
                }
                Ok(Message::End { overflowed, vanished }) => {
                    self.written.push(WrittenTensor {
                        index,
                        overflowed,
                        vanished,
                        sha256: hasher.map(|hasher| hasher.finalize().into()),
                    });
                    return Ok(());
                }
                Ok(Message::Failed(error)) => return Err(error),
                Err(_) => return Err(ExportError::Cancelled),
            }
        }
    }

    /// Writes the values of the next tensor, which must be `index`.
    pub fn copy(&mut self, index: usize, out: &mut dyn Write) -> Result<(), ExportError> {
        self.each_piece(index, &mut |piece| Ok(out.write_all(piece)?))
    }
}

/// Runs `work` with the values of the plan's tensors. `order` are those that have values of their own.
pub(super) fn with_values<T>(
    checkpoint: &Checkpoint,
    plan: &ExportPlan,
    order: Vec<usize>,
    hashes: bool,
    progress: &Progress,
    work: impl FnOnce(&mut Values<'_>) -> Result<T, ExportError>,
) -> Result<T, ExportError> {
    let (sender, pieces) = sync_channel(PIECES_AHEAD);
    let (used, recycled) = sync_channel(PIECES_AHEAD);
    thread::scope(|scope| {
        let reading = order.clone();
        let reader = Reader { checkpoint, plan, progress, sender, recycled };
        thread::Builder::new().name("export-read".to_owned()).spawn_scoped(scope, move || {
            reader.run(&reading);
        })?;
        let order = order.into();
        let mut values = Values { plan, order, pieces, used, hashes, written: Vec::new() };
        // Dropping `values` ends the reader at its next piece.
        work(&mut values)
    })
}

struct Reader<'a> {
    checkpoint: &'a Checkpoint,
    plan: &'a ExportPlan,
    progress: &'a Progress,
    sender: SyncSender<Message>,
    recycled: Receiver<Vec<u8>>,
}

/// The writer is gone.
struct Gone;

impl Reader<'_> {
    fn run(&self, order: &[usize]) {
        for tensor in order.iter().filter_map(|&index| self.plan.tensors.get(index)) {
            match self.tensor(tensor) {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => return,
                Err(ReadError::Cancelled) => {
                    let _ = self.sender.send(Message::Failed(ExportError::Cancelled));
                    return;
                }
                Err(source) => {
                    let tensor = self.checkpoint.tensor(tensor.id).name.clone();
                    let _ = self.sender.send(Message::Failed(ExportError::Read { tensor, source }));
                    return;
                }
            }
        }
    }

    /// A piece that the writer is done with, or a new one.
    fn recycled(&self) -> Vec<u8> {
        self.recycled.try_recv().unwrap_or_default()
    }

    fn empty(&self) -> Vec<u8> {
        let mut piece = self.recycled();
        piece.clear();
        piece
    }

    fn send(&self, message: Message) -> Result<(), Gone> {
        self.sender.send(message).map_err(|_| Gone)
    }

    fn tensor(&self, tensor: &PlannedTensor) -> Result<Result<(), Gone>, ReadError> {
        let Some(mut cast) = Cast::new(&tensor.from, &tensor.dtype) else {
            return Err(ReadError::unsupported("its dtype cannot be converted"));
        };
        let bytes = if cast.is_copy() && self.checkpoint.is_random_access(tensor.id) {
            match self.read_in_place(tensor)? {
                Ok(bytes) => bytes,
                Err(Gone) => return Ok(Err(Gone)),
            }
        } else {
            let (mut piece, mut total, mut gone) = (self.empty(), 0u64, false);
            self.checkpoint.read_chunks(tensor.id, self.progress, &mut |bytes| {
                cast.push(bytes, &mut piece);
                if piece.len() >= PIECE_BYTES {
                    total += piece.len() as u64;
                    let full = std::mem::replace(&mut piece, self.empty());
                    if self.send(Message::Piece(full)).is_err() {
                        gone = true;
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
            total += piece.len() as u64;
            if gone || !piece.is_empty() && self.send(Message::Piece(piece)).is_err() {
                return Ok(Err(Gone));
            }
            total
        };
        if bytes != tensor.bytes {
            let reason = format!("{bytes} bytes of values came, {} were expected", tensor.bytes);
            return Err(ReadError::malformed("the tensor", 0, reason));
        }
        Ok(self.send(Message::End { overflowed: cast.overflowed, vanished: cast.vanished }))
    }

    /// Reads straight into the pieces that are handed over.
    fn read_in_place(&self, tensor: &PlannedTensor) -> Result<Result<u64, Gone>, ReadError> {
        let group = tensor.from.group_bytes().max(1);
        let step = (PIECE_BYTES / group * group).max(group) as u64;
        let mut done = 0;
        while done < tensor.bytes {
            let len = step.min(tensor.bytes - done);
            let mut piece = self.recycled();
            piece.resize(len as usize, 0); // keeps what is there: filling it with zeros each time would cost a third
            match self.checkpoint.read_at(tensor.id, done, &mut piece) {
                Some(read) => read?,
                None => return Err(ReadError::unsupported("its values can no longer be read in place")),
            }
            self.progress.advance(len)?;
            done += len;
            if self.send(Message::Piece(piece)).is_err() {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(done))
    }
}
