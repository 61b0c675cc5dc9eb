//! How much memory a file may take, so that a small one cannot ask for much.

use crate::foreign::Misfit;

/// Bytes of memory for each of the file. A state dict of nothing but tiny tensors takes some 9;
/// one of a real network far less than 1, as numbers stay in the file.
const PER_BYTE: usize = 10;
/// Bytes of memory for any file.
const BASE: usize = 1 << 18;

/// The memory that a file may still take. What a copy counts comes on top: the readers keep one for
/// what a file says and one for the numbers that are copied.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    room: usize,
    length: usize,
}

impl Allowance {
    /// That of a file of so many bytes.
    pub(super) fn of(length: usize) -> Self {
        Self { room: length.saturating_mul(PER_BYTE).saturating_add(BASE), length }
    }

    /// Takes so many bytes, which may be counted generously.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Misfit> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| {
            let expected = format!(
                "at most {PER_BYTE} bytes of memory for each of the file's {} and {BASE} more",
                self.length
            );
            Misfit::new(expected, "what takes more")
        })?;
        Ok(())
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.room += bytes;
    }
}
