//! Phased updates: Ubuntu gives a new version to a growing share of machines, drawn by lot.

use super::world::{PackageId, VersionId, World};
use crate::settings::Phasing;

impl World<'_> {
    /// Has the phased update not reached this machine yet? Never true if a security fix lies between the installed
    /// version and the candidate.
    pub(crate) fn is_phased(&self, package: PackageId) -> bool {
        let it = &self.packages[package.at()];
        let (Some(current), Some(candidate)) = (it.current, it.candidate) else {
            return false;
        };
        let version = &self.versions[candidate.at()];
        version.phased < 100 && !self.passes_security(package, current, candidate) && self.waits(candidate)
    }

    /// A version after the candidate and before the installed one is in a suite of security fixes.
    fn passes_security(&self, package: PackageId, current: VersionId, candidate: VersionId) -> bool {
        let versions = self.packages[package.at()].versions.iter();
        let below = versions.skip_while(|version| **version != candidate).skip(1);
        let suite = |file: &usize| {
            let release = self.files[*file].archive.map(|archive| archive.release);
            release.and_then(|release| release.suite.as_deref())
        };
        below.take_while(|version| **version != current).any(|version| {
            let files = &self.versions[version.at()].files;
            files.iter().filter_map(suite).any(|suite| suite.ends_with("-security"))
        })
    }

    fn waits(&self, candidate: VersionId) -> bool {
        match &self.state.settings.phasing {
            Phasing::Taken => false,
            Phasing::Held => true,
            Phasing::Drawn { machine } => {
                let version = &self.versions[candidate.at()];
                let seed = format!("{}-{}-{machine}", version.source, version.source_version);
                draw(&seed) > u32::from(version.phased)
            }
        }
    }

    pub(super) fn hold_phased(&mut self) -> Vec<PackageId> {
        let phased: Vec<PackageId> = self
            .sorted()
            .into_iter()
            .filter(|package| self.is_phased(*package))
            .collect();
        for package in &phased {
            self.keep(*package);
            self.planned(*package).protected = true;
        }
        phased
    }
}

/// A number from 0 to 100 as the C++ standard library draws it from a `minstd_rand` that is seeded by a `seed_seq` of the
/// text's bytes: ISO C++ [rand.util.seedseq], [rand.eng.lcong], and the even division of libstdc++'s
/// `uniform_int_distribution`.
fn draw(seed: &str) -> u32 {
    const MODULUS: u64 = 2_147_483_647;
    const MULTIPLIER: u64 = 48_271;
    const RANGE: u64 = 101;
    // The engine takes the fourth of the words it has the sequence make.
    let word = u64::from(seed_words::<4>(seed.as_bytes())[3]) % MODULUS;
    let mut state = if word == 0 { 1 } else { word };
    // The engine gives 1..=MODULUS - 1; what does not divide evenly is drawn again.
    let scale = (MODULUS - 2) / RANGE;
    loop {
        state = state * MULTIPLIER % MODULUS;
        let number = (state - 1) / scale;
        if number < RANGE {
            return u32::try_from(number).unwrap_or(0);
        }
    }
}

/// `std::seed_seq::generate` for a few words.
fn seed_words<const N: usize>(seed: &[u8]) -> [u32; N] {
    let mut words = [0x8b8b_8b8b_u32; N];
    let length = seed.len();
    let t = match N {
        623.. => 11,
        68.. => 7,
        39.. => 5,
        7.. => 3,
        _ => (N - 1) / 2,
    };
    let p = (N - t) / 2;
    let q = p + t;
    let rounds = N.max(length + 1);
    let mix = |x: u32| x ^ (x >> 27);
    for k in 0..rounds {
        let before = words[k % N] ^ words[(k + p) % N] ^ words[(k + N - 1) % N];
        let first = mix(before).wrapping_mul(1_664_525);
        let added = match k {
            0 => length,
            k if k <= length => k % N + signed(seed[k - 1]),
            k => k % N,
        };
        let second = first.wrapping_add(added as u32);
        words[(k + p) % N] = words[(k + p) % N].wrapping_add(first);
        words[(k + q) % N] = words[(k + q) % N].wrapping_add(second);
        words[k % N] = second;
    }
    for k in rounds..rounds + N {
        let sum = words[k % N]
            .wrapping_add(words[(k + p) % N])
            .wrapping_add(words[(k + N - 1) % N]);
        let third = mix(sum).wrapping_mul(1_566_083_941);
        let fourth = third.wrapping_sub((k % N) as u32);
        words[(k + p) % N] ^= third;
        words[(k + q) % N] ^= fourth;
        words[k % N] = fourth;
    }
    words
}

/// Names, versions and machine-ids are ASCII: no byte is negative.
fn signed(byte: u8) -> usize {
    usize::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with libstdc++ 12: the same seeds through `std::seed_seq`, `std::minstd_rand` and `uniform_int_distribution`.
    #[test]
    fn lots_are_drawn_as_the_standard_library_draws_them() {
        let drawn: Vec<u32> = LOTS.iter().map(|(seed, _)| draw(seed)).collect();
        let wanted: Vec<u32> = LOTS.iter().map(|(_, lot)| *lot).collect();
        assert_eq!(drawn, wanted);
    }

    const LOTS: &[(&str, u32)] = &[
        ("", 63),
        ("a", 94),
        ("apt-2.4.5-0123456789abcdef0123456789abcdef", 36),
        ("systemd-249.11-0ubuntu3.16-b08dfa6083e7567a1921a715000001fb", 95),
        ("linux-meta-5.15.0.130.128-ffffffffffffffffffffffffffffffff", 22),
        ("glibc-2.35-0ubuntu3.9-00000000000000000000000000000000", 58),
        ("x-1-1", 93),
        ("openssl-3.0.2-0ubuntu1.19-0123456789abcdef0123456789abcdef", 22),
    ];
}
