//! Numbers that neither `f32` nor `f64` holds without rounding: integers of 64 bits, also beside floating-point numbers.

use crate::model::Dtype;

/// An integer, or a floating-point number as the sum of a whole part and the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exact {
    whole: i128,
    /// Between −1 and 1; all of a number that is not finite, or larger than any integer here.
    rest: f64,
}

impl Exact {
    /// Floats of at least this magnitude are larger than every integer of 64 bits, and exact as they are.
    const LARGE: f64 = 1e20;

    fn of_float(value: f64) -> Self {
        if value.abs() < Self::LARGE {
            Self { whole: value.trunc() as i128, rest: value.fract() }
        } else {
            Self { whole: 0, rest: value } // NaN too
        }
    }

    fn of_integer(value: impl Into<i128>) -> Self {
        Self { whole: value.into(), rest: 0.0 }
    }

    /// Rounded once.
    pub fn value(self) -> f64 {
        self.whole as f64 + self.rest
    }

    pub fn is_finite(self) -> bool {
        self.rest.is_finite()
    }

    /// How much `other` is more than this; only the result is rounded.
    pub fn distance_to(self, other: Self) -> f64 {
        (other.whole - self.whole) as f64 + (other.rest - self.rest)
    }

    /// The sign, as −1, 0 or 1.
    pub fn sign(self) -> i32 {
        let of = |ordering: std::cmp::Ordering| ordering as i32;
        match self.whole.cmp(&0) {
            std::cmp::Ordering::Equal => self.rest.partial_cmp(&0.0).map_or(0, of),
            ordering => of(ordering),
        }
    }
}

/// The numbers of a piece of packed little-endian elements.
pub(super) fn decode(dtype: &Dtype, bytes: &[u8]) -> Vec<Exact> {
    match dtype {
        Dtype::Int64 => {
            bytes.as_chunks::<8>().0.iter().map(|&b| Exact::of_integer(i64::from_le_bytes(b))).collect()
        }
        Dtype::Uint64 => {
            bytes.as_chunks::<8>().0.iter().map(|&b| Exact::of_integer(u64::from_le_bytes(b))).collect()
        }
        _ => {
            let mut values = Vec::with_capacity(bytes.len());
            dtype.decode(bytes, &mut values);
            values.into_iter().map(Exact::of_float).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_and_a_float_are_equal_only_where_no_rounding_is_needed() {
        let beyond = (1i64 << 53) + 1;
        let rounded = Exact::of_float(beyond as f64);
        assert_ne!(Exact::of_integer(beyond), rounded);
        assert_eq!(rounded.distance_to(Exact::of_integer(beyond)), 1.0);
        assert_eq!(Exact::of_integer(beyond - 1), rounded);
        assert_eq!(
            Exact::of_integer(i64::MAX).distance_to(Exact::of_float(9_223_372_036_854_775_808.0)),
            1.0
        );
        assert_eq!(Exact::of_float(-2.75).value(), -2.75);
    }

    #[test]
    fn what_is_no_number_or_beyond_integers_stays_what_it_is() {
        for value in [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1e300, 3e20] {
            assert_eq!(Exact::of_float(value).value(), value);
            assert_eq!(Exact::of_float(value).sign(), if value > 0.0 { 1 } else { -1 });
        }
        assert!(!Exact::of_float(f64::NAN).is_finite());
        assert_eq!([-0.5, 0.0, -0.0, 0.5].map(|value| Exact::of_float(value).sign()), [-1, 0, 0, 1]);
        let all = decode(&Dtype::Uint64, &[255; 8]);
        assert_eq!(all, [Exact::of_integer(u64::MAX)]);
    }
}
