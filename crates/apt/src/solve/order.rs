//! The orders in which apt goes through its packages. Where nothing else decides, they do.
//!
//! apt stores names in a table of buckets (`pkgCache::sHash`, `pkgCacheGenerator::NewGroup`) and walks that table; and
//! it sorts by weight with the C++ standard library, which leaves equal weights in an order of its own.

/// `APT::Cache-HashTableSize`, which nobody sets.
const BUCKETS: u32 = 196_613;

/// Where a name stands in the walk: by bucket, in there by length, then by its bytes.
pub(super) fn bucket(name: &str) -> u32 {
    let hash = name.bytes().fold(5381_u32, |hash, byte| {
        hash.wrapping_mul(33).wrapping_add(u32::from(byte | 0x20))
    });
    hash % BUCKETS
}

/// Stretches up to this length are left to the insertion at the end.
const SHORT: usize = 16;

/// Orders as libstdc++'s `std::sort` does, to the last equal element: quicksort with the median of three, down to short
/// stretches, then one insertion sort over everything.
pub(super) fn sort_as_libstdcxx<T: Copy>(list: &mut [T], less: impl Fn(&T, &T) -> bool) {
    // Twice the binary logarithm, as there. What is still long after that, a heap sorts there and the insertion here: no list
    // of weights has come so far.
    let depth = 2 * list.len().checked_ilog2().unwrap_or(0);
    partition_all(list, depth, &less);
    for at in 1..list.len() {
        let value = list[at];
        let place = list[..at].iter().rposition(|before| !less(&value, before));
        let place = place.map_or(0, |before| before + 1);
        list.copy_within(place..at, place + 1);
        list[place] = value;
    }
}

fn partition_all<T: Copy>(mut list: &mut [T], mut depth: u32, less: &impl Fn(&T, &T) -> bool) {
    while list.len() > SHORT && depth > 0 {
        depth -= 1;
        let cut = partition(list, less);
        let (before, after) = list.split_at_mut(cut);
        partition_all(after, depth, less);
        list = before;
    }
}

/// Around the median of three, which comes to the front; where the second half begins.
fn partition<T: Copy>(list: &mut [T], less: &impl Fn(&T, &T) -> bool) -> usize {
    let (a, b, c) = (1, list.len() / 2, list.len() - 1);
    let is = |x: usize, y: usize| less(&list[x], &list[y]);
    let median = if is(a, b) {
        if is(b, c) {
            b
        } else if is(a, c) {
            c
        } else {
            a
        }
    } else if is(a, c) {
        a
    } else if is(b, c) {
        c
    } else {
        b
    };
    list.swap(0, median);
    let pivot = list[0];
    let (mut low, mut high) = (1, list.len());
    // The pivot is a median: something on either side stops both.
    loop {
        while less(&list[low], &pivot) {
            low += 1;
        }
        high -= 1;
        while less(&pivot, &list[high]) {
            high -= 1;
        }
        if low >= high {
            return low;
        }
        list.swap(low, high);
        low += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By hand, for one and two letters: start with 5381, times 33 plus the letter, modulo the number of buckets.
    #[test]
    fn names_fall_into_buckets() {
        assert_eq!(bucket(""), 5381);
        assert_eq!(bucket("a"), 177_670);
        assert_eq!(bucket("ab"), 161_431);
        assert_eq!(bucket("AB"), bucket("ab"));
    }

    /// Made with libstdc++ 12: what `std::sort` makes of numbers below four, from large to small. They are drawn by the
    /// generator of the C standard's example of `rand`.
    #[test]
    fn equal_ones_come_out_as_from_the_standard_library() {
        for (count, wanted) in SORTED {
            let mut state = 1_u32;
            let mut list: Vec<(usize, u32)> = (0..*count)
                .map(|at| {
                    state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    (at, (state >> 16) % 4)
                })
                .collect();
            sort_as_libstdcxx(&mut list, |a, b| a.1 > b.1);
            let places: Vec<usize> = list.into_iter().map(|(at, _)| at).collect();
            assert_eq!(places, *wanted);
        }
    }

    #[rustfmt::skip]
    const SORTED: &[(usize, &[usize])] = &[
        (17, &[3, 4, 5, 7, 15, 11, 1, 0, 6, 9, 16, 14, 10, 2, 12, 13, 8]),
        (40, &[
            35, 3, 4, 5, 34, 7, 22, 17, 23, 11, 26, 15, 24, 28, 21, 25, 1, 32, 33, 36, 19, 20, 0, 9, 6, 18, 16, 14, 38, 27, 10,
            37, 31, 2, 39, 8, 30, 29, 12, 13,
        ]),
        (100, &[
            65, 43, 44, 80, 35, 34, 47, 85, 86, 26, 24, 23, 22, 53, 17, 57, 15, 5, 7, 97, 4, 62, 61, 11, 60, 94, 3, 45, 74, 64,
            1, 75, 63, 48, 49, 72, 71, 70, 54, 55, 56, 69, 79, 81, 36, 33, 32, 96, 28, 0, 25, 21, 20, 19, 6, 9, 95, 67, 99, 77,
            68, 92, 91, 89, 87, 82, 78, 59, 2, 10, 14, 16, 18, 27, 31, 37, 38, 42, 46, 58, 50, 88, 66, 98, 8, 12, 13, 93, 52,
            51, 90, 41, 73, 29, 30, 84, 83, 76, 39, 40,
        ]),
    ];

    proptest! {
        #[test]
        fn it_sorts(mut list in prop::collection::vec(0_u8..6, 0..200)) {
            let mut wanted = list.clone();
            wanted.sort_unstable();
            sort_as_libstdcxx(&mut list, |a, b| a < b);
            prop_assert_eq!(list, wanted);
        }
    }
}
