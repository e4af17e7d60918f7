//! Every text once: names, versions and whole clauses return thousands of times in an index.

/// Texts by number, in order of arrival.
pub(super) struct Texts {
    /// Where each text ends; it begins where the one before ends.
    pub(super) ends: Vec<u32>,
    pub(super) bytes: Vec<u8>,
    /// Open addressing, a power of two long, at most half full; number + 1, or 0 where nothing is.
    slots: Vec<u32>,
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            ends: Vec::new(),
            bytes: Vec::new(),
            slots: vec![0; 1 << 16],
        }
    }

    /// The number of a text, new or known.
    pub(super) fn number(&mut self, text: &str) -> u32 {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = hash(text.as_bytes()) as usize & mask;
        while self.slots[slot] != 0 {
            let known = self.slots[slot] - 1;
            if self.bytes(known) == text.as_bytes() {
                return known;
            }
            slot = (slot + 1) & mask;
        }
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        let number = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.slots[slot] = number;
        number - 1
    }

    pub(super) fn text(&self, number: u32) -> &str {
        std::str::from_utf8(self.bytes(number)).unwrap_or_default()
    }

    fn bytes(&self, number: u32) -> &[u8] {
        let at = number as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }

    fn grow(&mut self) {
        let mut slots = vec![0; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for number in 0..u32::try_from(self.ends.len()).unwrap_or(u32::MAX) {
            let mut slot = hash(self.bytes(number)) as usize & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = number + 1;
        }
        self.slots = slots;
    }
}

/// Eight bytes at a time; only has to spread well, and only within this process.
fn hash(text: &[u8]) -> u64 {
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = text.len() as u64;
    for chunk in text.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD);
    }
    state ^ (state >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_text_is_stored_once() {
        let mut texts = Texts::new();
        let numbers: Vec<u32> = ["a", "", "b", "a", ""].map(|t| texts.number(t)).to_vec();
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
        assert_eq!(texts.text(2), "b");
        assert_eq!(texts.bytes, b"ab");
    }

    #[test]
    fn a_hundred_thousand_stay_apart() {
        let mut texts = Texts::new();
        let numbers: HashSet<u32> = (0..100_000)
            .map(|n| texts.number(&format!("lib{n} (>= {n})")))
            .collect();
        assert_eq!(numbers.len(), 100_000);
        for n in (0..100_000_u32).step_by(997) {
            assert_eq!(texts.text(n), format!("lib{n} (>= {n})"));
            assert_eq!(texts.number(&format!("lib{n} (>= {n})")), n);
        }
    }
}
