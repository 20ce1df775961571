//! Ops without effects.

use tilec_vocab::{DType, Span};

use super::track::Track;
use super::{AXIS_EXTENTS, BOUND_MAX, Draw, INDEX_MAX, Item};
use crate::kernel::{Axis, AxisData, ParamType};
use crate::ops::{BinaryOp, CompareOp, Imm, Precision, ReduceOp, UnaryOp};
use crate::types::{AxisSet, Elem, Extent};

const FLOATS: [DType; 3] = [DType::F16, DType::BF16, DType::F32];

impl Draw {
    /// One op, if there are operands for the one that was drawn.
    pub(super) fn op(&mut self) -> Option<Item> {
        match self.rng.below(100) {
            0..10 => self.constant(),
            10..16 => self.scalar_or_dim(),
            16..20 => self.index(),
            20..25 => self.splat(),
            25..35 => self.unary(),
            35..55 => self.binary(),
            55..63 => self.compare(),
            63..70 => self.select(),
            70..80 => self.cast(),
            80..91 => self.reduce(),
            _ => self.dot(),
        }
    }

    fn constant(&mut self) -> Option<Item> {
        let dtype = self.rng.pick(&DType::ALL);
        let (imm, track) = match dtype {
            DType::Bool => (Imm::Bool(self.rng.percent(50)), Track::int(1.0)),
            DType::I32 => (Imm::Int(self.rng.between(-3, 40)), Track::int(40.0)),
            DType::I64 => {
                let value = match self.rng.below(12) {
                    0 => i64::MIN,
                    1 => i64::MAX,
                    2 => 0,
                    _ => self.rng.between(-8, 40),
                };
                (Imm::Int(value), Track::int(value.unsigned_abs() as f64))
            }
            DType::F16 | DType::BF16 | DType::F32 => {
                let value = match self.rng.below(12) {
                    0 => f64::NEG_INFINITY,
                    1 => f64::INFINITY,
                    2 => f64::NAN,
                    3 => -0.0,
                    4 => 0.0,
                    5 => 1.0,
                    _ => self.rng.between(-12, 12) as f64 / 4.0,
                };
                let max = if value.is_finite() { value.abs() } else { 0.0 };
                (Imm::Float(value), Track { max, grain: Some(2), err: 0.0 })
            }
        };
        let value = self.to().constant(imm, Elem::Known(dtype));
        Some(self.keep(value, track))
    }

    fn scalar_or_dim(&mut self) -> Option<Item> {
        if self.rng.percent(50) && !self.scalars.is_empty() {
            let scalars: Vec<_> = self.scalars.iter().map(|&(param, _)| param).collect();
            let param = self.rng.pick(&scalars);
            let ParamType::Scalar(Elem::Known(dtype)) = self.kernel.params[param].ty else {
                return None;
            };
            let value = self.to().scalar(param);
            return Some(self.keep(value, Track::input(dtype)));
        }
        let dims: Vec<_> = self.kernel.dims.keys().collect();
        let dim = self.rng.pick(&dims);
        let value = self.to().dim(dim);
        Some(self.keep(value, Track::int(40.0)))
    }

    fn index(&mut self) -> Option<Item> {
        let axis = match self.axes.is_empty() || self.rng.percent(20) {
            true => self.axis()?,
            false => self.rng.pick(&self.axes.clone()),
        };
        let value = self.to().index(axis);
        Some(self.keep(value, Track::int(INDEX_MAX)))
    }

    /// An axis over part of a range, whole, or full.
    pub(super) fn axis(&mut self) -> Option<Axis> {
        let lanes = self.rng.pick(&AXIS_EXTENTS);
        let name = self.rng.pick(&["d", "e", "k", "n"]).to_owned();
        let full = self.rng.percent(30);
        let (start, end) = match full {
            true => {
                let mut to = self.to();
                (to.int(0), to.int(lanes))
            }
            false => (self.bound()?.value, self.bound()?.value),
        };
        let extent = Extent::Const(lanes);
        let data = AxisData { name, extent, full, span: Span::default() };
        let axis = self.to().axis(data, start, end);
        self.axes.push(axis);
        let index = self.to().index(axis);
        self.keep(index, Track::int(INDEX_MAX));
        Some(axis)
    }

    /// A scalar index of modest size.
    pub(super) fn bound(&mut self) -> Option<Item> {
        if self.rng.percent(50) {
            let n = self.rng.between(-2, 34);
            let value = self.to().int(n);
            return Some(self.keep(value, Track::int(34.0)));
        }
        self.find(|draw, item| {
            let ty = draw.ty(item);
            ty.is_scalar() && ty.elem == Elem::I64 && item.track.max <= BOUND_MAX
        })
    }

    fn splat(&mut self) -> Option<Item> {
        let x = self.find(|_, _| true)?;
        let axes: AxisSet =
            self.axes.clone().into_iter().filter(|_| self.rng.percent(40)).collect();
        let union = self.ty(x).axes.union(&axes);
        if !self.small(&union) {
            return None;
        }
        let value = self.to().splat(x.value, &axes);
        Some(self.keep(value, x.track))
    }

    fn unary(&mut self) -> Option<Item> {
        let op = self.rng.pick(UnaryOp::ALL);
        let x = self.find(|draw, item| {
            let dtype = draw.dtype(item);
            let takes = match op {
                UnaryOp::Not => dtype == DType::Bool,
                UnaryOp::Neg | UnaryOp::Abs => dtype.is_float() || dtype == DType::I64,
                _ => dtype.is_float(),
            };
            takes && item.track.unary(op, dtype).is_some()
        })?;
        let track = x.track.unary(op, self.dtype(x))?;
        let value = self.to().unary(op, x.value);
        Some(self.keep(value, track))
    }

    /// A second operand of the same type whose axes keep the result small.
    fn partner(&mut self, x: Item, fits: impl Fn(Item) -> bool) -> Option<Item> {
        self.find(|draw, item| {
            draw.ty(item).elem == draw.ty(x).elem
                && draw.small(&draw.ty(item).axes.union(&draw.ty(x).axes))
                && fits(item)
        })
    }

    fn binary(&mut self) -> Option<Item> {
        let op = self.rng.pick(BinaryOp::ALL);
        let a = self.find(|draw, item| {
            let dtype = draw.dtype(item);
            match op {
                BinaryOp::And | BinaryOp::Or => dtype == DType::Bool,
                BinaryOp::Rem => dtype == DType::I64,
                _ => dtype.is_float() || dtype == DType::I64,
            }
        })?;
        let dtype = self.dtype(a);
        let b = self.partner(a, |b| a.track.binary(op, b.track, dtype).is_some())?;
        let track = a.track.binary(op, b.track, dtype)?;
        let value = self.to().binary(op, a.value, b.value);
        Some(self.keep(value, track))
    }

    fn compare(&mut self) -> Option<Item> {
        let op = self.rng.pick(CompareOp::ALL);
        let a = self.find(|draw, item| {
            let dtype = draw.dtype(item);
            let takes = match op {
                CompareOp::Eq | CompareOp::Ne => dtype != DType::I32,
                _ => dtype.is_float() || dtype == DType::I64,
            };
            takes && item.track.is_equal()
        })?;
        let b = self.partner(a, |b| b.track.is_equal())?;
        let value = self.to().compare(op, a.value, b.value);
        Some(self.keep(value, Track::int(1.0)))
    }

    fn select(&mut self) -> Option<Item> {
        let condition = self.find(|draw, item| draw.dtype(item) == DType::Bool)?;
        let a = self.find(|_, _| true)?;
        let b = self.partner(a, |_| true)?;
        let axes = self.ty(a).axes.union(&self.ty(b).axes).union(&self.ty(condition).axes);
        if !self.small(&axes) {
            return None;
        }
        let value = self.to().select(condition.value, a.value, b.value);
        Some(self.keep(value, a.track.either(b.track)))
    }

    fn cast(&mut self) -> Option<Item> {
        let to = self.rng.pick(&DType::ALL[1..]);
        let fits = |draw: &Draw, item: Item| item.track.cast(draw.dtype(item), to);
        let x = self.find(|draw, item| draw.dtype(item) != to && fits(draw, item).is_some())?;
        let track = fits(self, x)?;
        let value = self.to().cast(x.value, Elem::Known(to));
        Some(self.keep(value, track))
    }

    /// Some of the axes of a value, at least one.
    fn some_axes(&mut self, axes: &AxisSet) -> Vec<Axis> {
        let sure = self.rng.below(axes.len());
        let chosen = axes.iter().enumerate().filter(|&(n, _)| n == sure || self.rng.percent(30));
        chosen.map(|(_, axis)| axis).collect()
    }

    fn reduce(&mut self) -> Option<Item> {
        let op = self.rng.pick(ReduceOp::ALL);
        let x = self.find(|draw, item| {
            let dtype = draw.dtype(item);
            let takes = match op {
                ReduceOp::All | ReduceOp::Any => dtype == DType::Bool,
                ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min => {
                    dtype.is_float() || dtype == DType::I64
                }
            };
            takes && !draw.ty(item).is_scalar()
        })?;
        let axes = self.ty(x).axes.clone();
        let over = self.some_axes(&axes);
        let lanes = self.lanes(&over.iter().copied().collect());
        let track = match op {
            ReduceOp::Sum => x.track.sum(lanes, self.dtype(x))?,
            ReduceOp::Max | ReduceOp::Min | ReduceOp::All | ReduceOp::Any => x.track,
        };
        let value = self.to().reduce(op, x.value, &over);
        Some(self.keep(value, track))
    }

    fn dot(&mut self) -> Option<Item> {
        let dtype = self.rng.pick(&FLOATS);
        let a = self.find(|draw, item| draw.dtype(item) == dtype && !draw.ty(item).is_scalar())?;
        let shared = |draw: &Draw, item: Item| -> AxisSet {
            let axes = &draw.ty(a).axes;
            draw.ty(item).axes.iter().filter(|&axis| axes.contains(axis)).collect()
        };
        let b = self.find(|draw, item| {
            let union = draw.ty(item).axes.union(&draw.ty(a).axes);
            draw.dtype(item) == dtype && !shared(draw, item).is_empty() && draw.small(&union)
        })?;
        let common = shared(self, b);
        let over = self.some_axes(&common);
        let lanes = self.lanes(&over.iter().copied().collect());
        let precision = self.rng.pick(Precision::ALL);
        let track = a.track.product(b.track, precision, dtype).sum(lanes, DType::F32)?;
        let value = self.to().dot(a.value, b.value, &over, precision);
        Some(self.keep(value, track))
    }
}
