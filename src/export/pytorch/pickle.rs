//! The opcodes of pickle protocol 2 that `torch.load` needs.
//!
//! Source: `Lib/pickletools.py` of `CPython`. Strings and globals that repeat are remembered and fetched, as Python's own
//! pickler does: 100,000 tensors name the same few functions.

use std::collections::HashMap;

/// Decimal digits that fit the 254 bytes of `LONG1` beside the sign: log10(256^254) is 611.7.
const LONG1_DIGITS: usize = 611;

/// A pickle in the making.
pub(super) struct Pickler {
    bytes: Vec<u8>,
    memo: HashMap<String, u32>,
    next: u32,
}

/// Lengths of single texts are written in four bytes.
const TEXT_BYTES: usize = u32::MAX as usize;

impl Pickler {
    pub fn new() -> Self {
        Self { bytes: vec![0x80, 2], memo: HashMap::new(), next: 0 }
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.push(b'.');
        self.bytes
    }

    pub fn none(&mut self) {
        self.bytes.push(b'N');
    }

    pub fn bool(&mut self, value: bool) {
        self.bytes.push(if value { 0x88 } else { 0x89 });
    }

    pub fn int(&mut self, value: i64) {
        if let Ok(byte) = u8::try_from(value) {
            self.bytes.extend([b'K', byte]);
        } else if let Ok(int) = i32::try_from(value) {
            self.bytes.push(b'J');
            self.bytes.extend(int.to_le_bytes());
        } else {
            self.bytes.extend([0x8a, 8]);
            self.bytes.extend(value.to_le_bytes());
        }
    }

    /// An integer beyond 64 bits, from its decimal digits; `false` when they are not digits, or more than fit `LONG1`, the
    /// only opcode for such integers that `weights_only` knows.
    pub fn big_int(&mut self, digits: &str) -> bool {
        let unsigned = digits.strip_prefix('-').unwrap_or(digits);
        if unsigned.is_empty()
            || unsigned.len() > LONG1_DIGITS
            || !unsigned.bytes().all(|byte| byte.is_ascii_digit())
        {
            return false;
        }
        let mut bytes: Vec<u8> = Vec::new();
        for digit in unsigned.bytes() {
            let mut carry = u16::from(digit - b'0');
            for byte in &mut bytes {
                let value = u16::from(*byte) * 10 + carry;
                [*byte, _] = value.to_le_bytes();
                carry = value >> 8;
            }
            bytes.extend(u8::try_from(carry).ok().filter(|&carry| carry > 0));
        }
        bytes.push(0); // the sign
        if digits.starts_with('-') {
            let mut carry = true;
            for byte in &mut bytes {
                (*byte, carry) = (!*byte).overflowing_add(carry.into());
            }
        }
        self.bytes.extend([0x8a, bytes.len() as u8]);
        self.bytes.extend(bytes);
        true
    }

    pub fn float(&mut self, value: f64) {
        self.bytes.push(b'G');
        self.bytes.extend(value.to_be_bytes());
    }

    /// A text. One longer than a pickle of this protocol holds is cut.
    pub fn text(&mut self, text: &str) {
        if self.fetch(text) {
            return;
        }
        let mut end = text.len().min(TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.bytes());
        self.remember(text.to_owned());
    }

    /// A class or function.
    pub fn global(&mut self, module: &str, name: &str) {
        // No text holds a line break and is followed by one, so that keys of the two kinds differ.
        let key = format!("{module}\n{name}\n");
        if self.fetch(&key) {
            return;
        }
        self.bytes.push(b'c');
        self.bytes.extend(key.bytes());
        self.remember(key);
    }

    pub fn mark(&mut self) {
        self.bytes.push(b'(');
    }

    /// A tuple of everything since the mark.
    pub fn tuple(&mut self) {
        self.bytes.push(b't');
    }

    pub fn empty_tuple(&mut self) {
        self.bytes.push(b')');
    }

    pub fn empty_list(&mut self) {
        self.bytes.push(b']');
    }

    /// Adds everything since the mark to the list before it.
    pub fn appends(&mut self) {
        self.bytes.push(b'e');
    }

    pub fn empty_dict(&mut self) {
        self.bytes.push(b'}');
    }

    /// Adds the keys and values since the mark to the dictionary before it.
    pub fn set_items(&mut self) {
        self.bytes.push(b'u');
    }

    /// Calls the function below the tuple on top.
    pub fn reduce(&mut self) {
        self.bytes.push(b'R');
    }

    /// What the tuple on top refers to outside of the pickle.
    pub fn persistent(&mut self) {
        self.bytes.push(b'Q');
    }

    /// An `OrderedDict`, empty.
    pub fn ordered_dict(&mut self) {
        self.global("collections", "OrderedDict");
        self.empty_tuple();
        self.reduce();
    }

    /// Remembers what is on top under a number that [`Self::get`] takes.
    pub fn put(&mut self) -> u32 {
        let number = self.next;
        self.next += 1;
        self.numbered(b'q', b'r', number);
        number
    }

    pub fn get(&mut self, number: u32) {
        self.numbered(b'h', b'j', number);
    }

    fn numbered(&mut self, short: u8, long: u8, number: u32) {
        if let Ok(byte) = u8::try_from(number) {
            self.bytes.extend([short, byte]);
        } else {
            self.bytes.push(long);
            self.bytes.extend(number.to_le_bytes());
        }
    }

    fn fetch(&mut self, key: &str) -> bool {
        let Some(&number) = self.memo.get(key) else { return false };
        self.get(number);
        true
    }

    fn remember(&mut self, key: String) {
        let number = self.put();
        self.memo.insert(key, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_integers_are_in_twos_complement() {
        let written = |digits: &str| {
            let mut pickler = Pickler::new();
            assert!(pickler.big_int(digits), "{digits}");
            pickler.bytes.split_off(2)
        };
        // pickletools: `LONG1` of 2^64, -2^64 and -(2^71 + 1)
        assert_eq!(written("18446744073709551616"), [0x8a, 10, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(written("-18446744073709551616"), [0x8a, 10, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]);
        assert_eq!(
            written("-2361183241434822606849"),
            [0x8a, 10, 255, 255, 255, 255, 255, 255, 255, 255, 127, 255]
        );
        assert!(written(&"9".repeat(LONG1_DIGITS)).len() <= 257);
        assert!(!Pickler::new().big_int("an integer of 300 bytes"));
    }
}
