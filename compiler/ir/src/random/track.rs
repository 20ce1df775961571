//! What is known of a random value: its size, whether it is exact, and how far two correct
//! computations of it can lie apart.
//!
//! A float that is a multiple of `2^-grain` and at most `max` is exact in a type of `bits` bits as
//! long as `max * 2^grain <= 2^bits`, and sums of such numbers do not depend on their order.
//! A single operation on equal operands gives equal results (IEEE), rounded or not, but for a
//! product, which may be fused into the sum that follows.

use tilec_vocab::DType;

use crate::ops::{BinaryOp, Precision, UnaryOp};

/// See the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    /// No finite value is larger in magnitude.
    pub max: f64,
    /// The value is a multiple of two to minus this.
    pub grain: Option<i32>,
    /// How far two correct results can lie apart; 0 means they are equal.
    pub err: f64,
}

/// What the vector functions of a target may be off by, in units of the last place of f32. The
/// narrower types are computed in f32 and rounded once.
const FUNCTION_ULPS: f64 = 16.0;

/// Beyond this an error would hide what the comparison is for.
const ERR_MAX: f64 = 0.1;

/// Significant bits, and a size well below overflow.
fn precision(dtype: DType) -> (i32, f64) {
    match dtype {
        DType::F16 => (11, 30_000.0),
        DType::BF16 => (8, 1e30),
        DType::F32 => (24, 1e30),
        DType::Bool | DType::I32 | DType::I64 => (63, f64::INFINITY),
    }
}

fn ulp(max: f64, bits: i32) -> f64 {
    max * f64::from(-bits).exp2()
}

fn exact(max: f64, grain: Option<i32>, bits: i32) -> bool {
    grain.is_some_and(|grain| max * f64::from(grain).exp2() <= f64::from(bits).exp2())
}

impl Track {
    /// An integer or truth value: always equal, wrapped or not.
    pub fn int(max: f64) -> Track {
        Track { max, grain: Some(0), err: 0.0 }
    }

    /// A multiple of a quarter, or one of the kernel's other inputs.
    pub fn input(dtype: DType) -> Track {
        match dtype {
            DType::Bool => Track::int(1.0),
            DType::I32 | DType::I64 => Track::int(super::INT_MAX as f64),
            DType::F16 | DType::BF16 | DType::F32 => {
                Track { max: super::FLOAT_MAX, grain: Some(2), err: 0.0 }
            }
        }
    }

    /// Whether every computation of it gives the same.
    pub fn is_equal(self) -> bool {
        self.err == 0.0
    }

    /// Whether whatever holds of `other` holds of this.
    pub fn within(self, other: Track) -> bool {
        let grain = match (self.grain, other.grain) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => a <= b,
        };
        self.max <= other.max && grain && self.err <= other.err
    }

    /// Either of two.
    pub fn either(self, other: Track) -> Track {
        let grain = self.grain.zip(other.grain).map(|(a, b)| a.max(b));
        Track { max: self.max.max(other.max), grain, err: self.err.max(other.err) }
    }

    /// After rounding to `dtype`; `None` where it may overflow or the error grows too large.
    pub fn rounded(mut self, dtype: DType) -> Option<Track> {
        let (bits, size) = precision(dtype);
        if !exact(self.max, self.grain, bits) {
            self.grain = None;
            if self.err > 0.0 {
                self.err += ulp(self.max, bits);
            }
        }
        (self.max <= size && self.err <= ERR_MAX).then_some(self)
    }

    /// With an error of so many units in the last place of `dtype`.
    fn off_by(self, ulps: f64, dtype: DType) -> Option<Track> {
        let (bits, _) = precision(dtype);
        Track { grain: None, err: self.err + ulps * ulp(self.max, bits), ..self }.rounded(dtype)
    }

    pub fn unary(self, op: UnaryOp, dtype: DType) -> Option<Track> {
        // The functions are only asked where their slope and size are modest.
        let function = |max: f64, slope: f64| {
            let f32 = Track { max, grain: None, err: self.err * slope };
            f32.off_by(FUNCTION_ULPS, DType::F32)?.rounded(dtype)
        };
        let of_exact = |max: f64| if self.is_equal() { function(max, 0.0) } else { None };
        match op {
            UnaryOp::Neg | UnaryOp::Not | UnaryOp::Abs => Some(self),
            UnaryOp::Exp if self.max <= 6.0 => function(self.max.exp(), self.max.exp()),
            UnaryOp::Exp2 if self.max <= 8.0 => function(self.max.exp2(), self.max.exp2()),
            UnaryOp::Exp | UnaryOp::Exp2 => None,
            UnaryOp::Tanh => function(1.0, 1.0),
            // The least positive value is one grain; 0 gives an infinity, less a NaN.
            UnaryOp::Log | UnaryOp::Log2 => {
                let grain = self.grain.filter(|&grain| grain <= 16)?;
                of_exact(self.max.log2().abs().max(f64::from(grain)).max(1.0))
            }
            UnaryOp::Sqrt => of_exact(self.max.sqrt().max(1.0)),
            UnaryOp::Rsqrt => {
                let grain = self.grain.filter(|&grain| grain <= 16)?;
                of_exact((f64::from(grain) / 2.0).exp2())
            }
        }
    }

    pub fn binary(self, op: BinaryOp, other: Track, dtype: DType) -> Option<Track> {
        if dtype.is_float() {
            return self.float(op, other, dtype);
        }
        let max = match op {
            BinaryOp::Add | BinaryOp::Sub => self.max + other.max,
            BinaryOp::Mul => self.max * other.max,
            BinaryOp::Div | BinaryOp::Rem => self.max.max(other.max),
            BinaryOp::Min | BinaryOp::Max | BinaryOp::And | BinaryOp::Or => self.max.max(other.max),
        };
        // What may wrap can be anything.
        Some(Track::int(if max < 9e18 { max } else { f64::INFINITY }))
    }

    fn float(self, op: BinaryOp, other: Track, dtype: DType) -> Option<Track> {
        let (bits, _) = precision(dtype);
        let err = self.err + other.err;
        match op {
            BinaryOp::Add | BinaryOp::Sub => {
                let grain = self.grain.zip(other.grain).map(|(a, b)| a.max(b));
                Track { max: self.max + other.max, grain, err }.rounded(dtype)
            }
            BinaryOp::Mul => {
                let max = self.max * other.max;
                let grain = self.grain.zip(other.grain).map(|(a, b)| a + b);
                let err = self.err * other.max + other.err * self.max;
                let product = Track { max, grain, err };
                match exact(max, grain, bits) {
                    true => product.rounded(dtype),
                    false => product.off_by(1.0, dtype),
                }
            }
            BinaryOp::Div => {
                let grain = other.grain.filter(|&grain| grain <= 16 && err == 0.0)?;
                let max = self.max * f64::from(grain).exp2();
                Track { max, grain: None, err: 0.0 }.off_by(2.0, dtype)
            }
            BinaryOp::Min | BinaryOp::Max => Some(self.either(other)),
            BinaryOp::Rem | BinaryOp::And | BinaryOp::Or => None,
        }
    }

    /// A sum of so many, accumulated in f32 and rounded to `dtype`.
    pub fn sum(self, lanes: i64, dtype: DType) -> Option<Track> {
        let lanes = lanes as f64;
        let total = Track { max: self.max * lanes, grain: self.grain, err: self.err * lanes };
        if !dtype.is_float() {
            return Some(Track::int(total.max));
        }
        match exact(total.max, total.grain, 24) {
            true => total.rounded(dtype),
            false => total.off_by(lanes, DType::F32)?.off_by(1.0, dtype),
        }
    }

    /// One product of a `dot`; for tf32 both operands must survive its ten bits.
    pub fn product(self, other: Track, precision: Precision, dtype: DType) -> Track {
        let max = self.max * other.max;
        let grain = self.grain.zip(other.grain).map(|(a, b)| a + b);
        let mut err = self.err * other.max + other.err * self.max;
        let survives = |t: Track| dtype != DType::F32 || exact(t.max, t.grain, 11);
        if precision != Precision::Ieee && !(survives(self) && survives(other)) {
            err += ulp(max, 9);
        }
        Track { max, grain: if err == 0.0 { grain } else { None }, err }
    }

    pub fn cast(self, from: DType, to: DType) -> Option<Track> {
        let (bits, _) = precision(to);
        match (from.is_float(), to.is_float()) {
            (true, true) => self.rounded(to),
            // A fraction cut off, a NaN made 0, an infinity the greatest.
            (true, false) => self.is_equal().then_some(Track::int(f64::INFINITY)),
            (false, true) => exact(self.max, Some(0), bits).then_some(self),
            (false, false) => (to == DType::I64 || self.max < 2e9).then_some(self),
        }
    }
}
