//! Kernels drawn at random, for tests of everything that reads or rewrites IR: the text round
//! trip, the passes, and the interpreter against each target.
//!
//! A kernel drawn here verifies, is specialised, and always means something: indices out of range,
//! absent lanes, loops of no iterations, gathers through data, NaN and infinities are all in it.
//! Its result does not depend on what is left open. Programs write apart from each other, but for
//! integer adds and exact float adds; what feeds a comparison, a branch, an index or a conversion to an
//! integer is the same on every target; and where rounding may differ (order of a sum, fused
//! multiply-add, `exp`), the error that can come of it is followed along (`track.rs`) and given
//! for each output, so that a comparison has a bound with a reason.

mod access;
mod control;
mod coverage;
mod ops;
mod track;

use tilec_vocab::{DType, HostExpr, Span};

pub use coverage::Coverage;
use track::Track;

use crate::build::Builder;
use crate::entity::Entity;
use crate::kernel::{
    Axis, AxisData, Block, DimData, DimId, GridAxis, Kernel, Param, ParamData, ParamType, Value,
};
use crate::ops::Imm;
use crate::types::{AxisSet, Elem, Extent, Type};

/// A stream of random numbers (splitmix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends and is no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.next() % n as u64) as usize }
    }

    /// One of `lo..=hi`.
    pub fn between(&mut self, lo: i64, hi: i64) -> i64 {
        lo + self.below((hi - lo + 1) as usize) as i64
    }

    /// True in so many cases of a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A kernel with arguments it can be run on.
#[derive(Clone, Debug)]
pub struct Case {
    /// The kernel; it verifies and is specialised.
    pub kernel: Kernel,
    /// The extent of each dimension.
    pub dims: Vec<(DimId, i64)>,
    /// The value of each number parameter.
    pub scalars: Vec<(Param, Imm)>,
    /// The tensors it writes.
    pub outputs: Vec<Output>,
}

/// A tensor that a kernel writes.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Which.
    pub param: Param,
    /// How far two correct results can lie apart; 0 where they must be equal. Two NaNs are equal.
    pub tolerance: f64,
}

/// A random element of a tensor argument, as the kernels drawn here expect them: floats are
/// quarters from -2 to 2, integers lie in -4 to 40, truth values are 0 or 1. Outputs begin so too.
pub fn element(dtype: DType, rng: &mut Rng) -> f64 {
    match dtype {
        DType::Bool => rng.between(0, 1) as f64,
        DType::I32 | DType::I64 => rng.between(-4, INT_MAX) as f64,
        DType::F16 | DType::BF16 | DType::F32 => rng.between(-8, 8) as f64 / 4.0,
    }
}

impl Case {
    /// The extents of a tensor parameter under the case's dimensions; none for a number.
    pub fn shape(&self, param: Param) -> Vec<i64> {
        let extent = |extent: &Extent| match extent {
            Extent::Const(n) => *n,
            Extent::Dim(dim) => self.dims.iter().find(|(of, _)| of == dim).map_or(0, |(_, n)| *n),
            Extent::Generic(_) => 0,
        };
        match &self.kernel.params[param].ty {
            ParamType::Tensor { dims, .. } => dims.iter().map(extent).collect(),
            ParamType::Scalar(_) => Vec::new(),
        }
    }

    /// Random elements for a tensor parameter, row-major; integers and truth values as floats.
    pub fn elements(&self, param: Param, seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(seed ^ ((param.index() as u64) << 32));
        let count: i64 = self.shape(param).iter().product();
        match self.kernel.params[param].ty {
            ParamType::Tensor { elem: Elem::Known(dtype), .. } => {
                (0..count).map(|_| element(dtype, &mut rng)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// The kernel of a seed.
pub fn case(seed: u64) -> Case {
    let mut draw = Draw::new(seed);
    draw.signature();
    for _ in 0..draw.rng.below(3) {
        draw.axis();
    }
    for _ in 0..4 {
        draw.load();
    }
    let budget = 10 + draw.rng.below(50);
    draw.statements(budget);
    draw.finish()
}

const FLOAT_MAX: f64 = 2.0;
const INT_MAX: i64 = 40;
/// Tiles are kept small, so that five hundred kernels run in seconds.
const TILE_ELEMENTS: i64 = 4096;
/// Starts and ends of axes and loops are no larger than this, and indices than that.
const BOUND_MAX: f64 = 1000.0;
const INDEX_MAX: f64 = 1100.0;
const DIM_EXTENTS: [i64; 11] = [1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33];
const AXIS_EXTENTS: [i64; 10] = [1, 2, 3, 4, 5, 7, 8, 13, 16, 32];

/// A value at hand.
#[derive(Clone, Copy)]
struct Item {
    value: Value,
    track: Track,
}

/// A kernel in the making.
struct Draw {
    rng: Rng,
    kernel: Kernel,
    block: Block,
    /// What is visible here, oldest first.
    items: Vec<Item>,
    axes: Vec<Axis>,
    depth: usize,
    dims: Vec<(DimId, i64)>,
    scalars: Vec<(Param, Imm)>,
    /// The indices that tell this program from every other.
    own: Vec<Own>,
    outputs: Vec<access::Written>,
    regions: Vec<access::Region>,
}

/// An index that no other program has, and the dimension of outputs it goes to.
#[derive(Clone, Copy)]
struct Own {
    index: Value,
    extent: Extent,
}

impl Draw {
    fn new(seed: u64) -> Draw {
        let kernel = Kernel::new(format!("random_{seed}"), Span::default());
        Draw {
            rng: Rng::new(seed),
            block: kernel.body,
            kernel,
            items: Vec::new(),
            axes: Vec::new(),
            depth: 0,
            dims: Vec::new(),
            scalars: Vec::new(),
            own: Vec::new(),
            outputs: Vec::new(),
            regions: Vec::new(),
        }
    }

    fn to(&mut self) -> Builder<'_> {
        Builder { kernel: &mut self.kernel, block: self.block, span: Span::default() }
    }

    fn ty(&self, item: Item) -> &Type {
        self.kernel.ty(item.value)
    }

    fn dtype(&self, item: Item) -> DType {
        // Nothing is generic here.
        self.ty(item).elem.known().unwrap_or(DType::I64)
    }

    fn keep(&mut self, value: Value, track: Track) -> Item {
        if self.rng.percent(20) {
            let name = self.rng.pick(&["x", "acc", "top", "p", "mask"]);
            self.kernel.values[value].name = Some(name.to_owned());
        }
        let item = Item { value, track };
        self.items.push(item);
        item
    }

    /// A value that fits: of any type as likely as of any other, rather a tile, rather a new one.
    fn find(&mut self, fits: impl Fn(&Draw, Item) -> bool) -> Option<Item> {
        let mut found: Vec<Item> = self.items.iter().copied().filter(|&i| fits(self, i)).collect();
        let mut dtypes: Vec<DType> = found.iter().map(|&item| self.dtype(item)).collect();
        dtypes.sort();
        dtypes.dedup();
        if dtypes.is_empty() {
            return None;
        }
        let dtype = self.rng.pick(&dtypes);
        found.retain(|&item| self.dtype(item) == dtype);
        if self.rng.percent(60) && found.iter().any(|&item| !self.ty(item).is_scalar()) {
            found.retain(|&item| !self.ty(item).is_scalar());
        }
        let recent = if self.rng.percent(50) { found.len().min(6) } else { found.len() };
        found.get(found.len() - 1 - self.rng.below(recent)).copied()
    }

    fn lanes(&self, axes: &AxisSet) -> i64 {
        let lanes = |axis: Axis| match self.kernel.axes[axis].extent {
            Extent::Const(n) => n,
            Extent::Generic(_) | Extent::Dim(_) => 1,
        };
        axes.iter().map(lanes).product()
    }

    fn small(&self, axes: &AxisSet) -> bool {
        axes.len() <= 3 && self.lanes(axes) <= TILE_ELEMENTS
    }

    fn dim(&mut self, name: &str) -> Extent {
        let known = self.kernel.dims.iter().find(|(_, dim)| dim.name == name);
        if let Some((id, _)) = known {
            return Extent::Dim(id);
        }
        let extent = match name {
            "P" => self.rng.between(1, 4),
            _ if self.rng.percent(4) => 0,
            _ => self.rng.pick(&DIM_EXTENTS),
        };
        let id = self.kernel.dims.push(DimData { name: name.to_owned() });
        self.dims.push((id, extent));
        Extent::Dim(id)
    }

    fn param(&mut self, name: String, ty: ParamType) -> Param {
        self.kernel.params.push(ParamData { name, ty, span: Span::default() })
    }

    /// Inputs of every type, numbers, and one of a few grids.
    fn signature(&mut self) {
        let first = vec![self.dim("P"), self.dim("N")];
        let mut dtypes = DType::ALL.to_vec();
        dtypes.extend([DType::F32, DType::I32]);
        for (n, dtype) in dtypes.into_iter().enumerate() {
            if n > 0 && self.rng.percent(25) {
                continue;
            }
            let dims = if n == 0 { first.clone() } else { self.input_dims() };
            let elem = Elem::Known(dtype);
            self.param(format!("x{n}"), ParamType::Tensor { elem, dims, mutable: false });
        }
        for (n, dtype) in DType::ALL.into_iter().enumerate() {
            if self.rng.percent(50) {
                let param = self.param(format!("s{n}"), ParamType::Scalar(Elem::Known(dtype)));
                let value = element(dtype, &mut self.rng);
                let imm = match dtype {
                    DType::Bool => Imm::Bool(value != 0.0),
                    DType::I32 | DType::I64 => Imm::Int(value as i64),
                    DType::F16 | DType::BF16 | DType::F32 => Imm::Float(value),
                };
                self.scalars.push((param, imm));
            }
        }
        self.grid();
    }

    fn input_dims(&mut self) -> Vec<Extent> {
        let rank = self.rng.below(4);
        (0..rank)
            .map(|_| match self.rng.below(4) {
                0 => Extent::Const(self.rng.between(0, 20)),
                1 => self.dim("M"),
                2 => self.dim("P"),
                _ => self.dim("N"),
            })
            .collect()
    }

    /// One program for each `p`, or for each `p` and block of `N`.
    fn grid(&mut self) {
        let programs = HostExpr::Name("P".to_owned());
        self.kernel.grid.push(GridAxis { name: "p".to_owned(), programs });
        let p = self.to().program(0);
        self.keep(p, Track::int(8.0));
        let extent = self.dim("P");
        self.own.push(Own { index: p, extent });
        if self.rng.percent(40) {
            return;
        }
        let block = self.rng.pick(&AXIS_EXTENTS[2..]);
        let (n, blocks) = (HostExpr::Name("N".to_owned()), HostExpr::Int(block));
        let programs = HostExpr::binary(tilec_vocab::HostOp::Cdiv, n, blocks);
        self.kernel.grid.push(GridAxis { name: "m".to_owned(), programs });
        let extent = self.dim("N");
        let mut to = self.to();
        let (m, size, end) = (to.program(1), to.int(block), to.extent(extent));
        let start = to.binary(crate::ops::BinaryOp::Mul, m, size);
        let data = AxisData {
            name: "m".to_owned(),
            extent: Extent::Const(block),
            full: false,
            span: Span::default(),
        };
        let axis = to.axis(data, start, end);
        let index = to.index(axis);
        self.axes.push(axis);
        self.keep(end, Track::int(64.0));
        self.keep(start, Track::int(64.0));
        self.keep(index, Track::int(128.0));
        self.own.push(Own { index, extent });
    }

    fn finish(mut self) -> Case {
        let wanted = 4 + self.rng.below(8);
        for _ in 0..wanted {
            self.store();
        }
        if self.outputs.is_empty() {
            let x = self.to().int(1);
            let item = self.keep(x, Track::int(1.0));
            self.store_item(item);
        }
        self.to().yield_values(&[]);
        let outputs = self.outputs.iter().map(access::Written::output).collect();
        Case { kernel: self.kernel, dims: self.dims, scalars: self.scalars, outputs }
    }
}
