//! The layouts of a dot's operands and result over the axes of the kernel.
//!
//! Warps are spread over the rows first, so that each fragment of the second operand serves as many rows of a warp as
//! there are; what is left of them over the columns, and else they hold copies.

use tilec_ir::{Axis, Precision};
use tilec_layout::{Dot as D, Layout, Mma, Part, Place};
use tilec_vocab::DType;

use crate::roles::Roles;

/// A dot's layouts.
#[derive(Clone, Debug)]
pub(crate) struct Fragments {
    /// `None`: multiply-adds, one by one; `a` and `b` are then of no use.
    pub mma: Option<(Mma, Precision)>,
    pub a: Layout<Axis>,
    pub b: Layout<Axis>,
    pub c: Layout<Axis>,
}

/// The instruction for operands of a type.
pub(crate) fn instruction(elem: DType, precision: Precision) -> Option<(Mma, Precision)> {
    match (elem, precision) {
        (DType::F16 | DType::BF16, _) => Some((Mma::M16N8K16Half, precision)),
        (DType::F32, Precision::Tf32 | Precision::Tf32x3) => Some((Mma::M16N8K8Tf32, precision)),
        _ => None,
    }
}

/// The layouts of a dot with these axes over so many warps; none if the extents of several axes that share a role
/// cannot be cut along the fragments.
pub(crate) fn fragments(
    roles: &Roles,
    mma: Option<(Mma, Precision)>,
    extent: &dyn Fn(Axis) -> u32,
    warps: u32,
) -> Option<Fragments> {
    let shape = mma.map_or(Mma::M16N8K8Tf32, |(mma, _)| mma);
    let total = |axes: &[Axis]| axes.iter().map(|&axis| extent(axis)).product::<u32>();
    let (rows, columns, depth) = (total(&roles.m), total(&roles.n), total(&roles.k));
    let row_warps = row_warps(rows, warps);
    let rest = warps / row_warps;
    let warp_rows = rows.div_ceil(row_warps).next_multiple_of(shape.extent(D::M));
    let tiles = columns.div_ceil(shape.extent(D::N));
    let column_warps = 1 << tiles.trailing_zeros().min(rest.trailing_zeros());
    let copies = rest / column_warps;
    let warp_columns = (tiles / column_warps) * shape.extent(D::N);

    let (a, b) = operands(shape);
    let c = shape
        .c()
        .covering(D::M, warp_rows)
        .covering(D::N, warp_columns)
        .over_warps(D::M, row_warps)
        .over_warps(D::N, column_warps)
        .copied_over_warps(copies);
    let a = a
        .covering(D::K, depth)
        .covering(D::M, warp_rows)
        .over_warps(D::M, row_warps)
        .copied_over_warps(rest);
    // Two columns of tiles beside each other fill an `ldmatrix.x4`.
    let pair = if (warp_columns / shape.extent(D::N)).is_multiple_of(2) { 2 } else { 1 };
    let b = b
        .over_registers(D::N, pair)
        .covering(D::K, depth)
        .covering(D::N, warp_columns)
        .copied_over_warps(row_warps)
        .over_warps(D::N, column_warps)
        .copied_over_warps(copies);
    let named = |layout: &Layout<D>| {
        spread(
            layout,
            &|role| match role {
                D::M => &roles.m,
                D::N => &roles.n,
                D::K => &roles.k,
            },
            extent,
        )
    };
    Some(Fragments { mma, a: named(&a)?, b: named(&b)?, c: named(&c)? })
}

/// Warps along the rows: as many as have sixteen rows of their own.
pub(crate) fn row_warps(rows: u32, warps: u32) -> u32 {
    let most = rows.div_ceil(16).max(1).min(warps);
    let mut count = 1;
    while count * 2 <= most && warps.is_multiple_of(count * 2) {
        count *= 2;
    }
    count
}

/// The fragments of the operands. Those of tf32 are taken in another order along the depth, the same for both: a thread's two
/// elements are neighbours, as they are in an accumulator, which then is the next dot's first operand as it is.
fn operands(shape: Mma) -> (Layout<D>, Layout<D>) {
    if shape != Mma::M16N8K8Tf32 {
        return (shape.a(), shape.b());
    }
    let register = |extent, axis, stride| (Place::Register, Part::new(extent, axis, stride));
    let lane = |extent, axis, stride| (Place::Lane, Part::new(extent, axis, stride));
    let a = [register(2, D::M, 8), register(2, D::K, 1), lane(4, D::K, 2), lane(8, D::M, 1)];
    let b = [register(2, D::K, 1), lane(4, D::K, 2), lane(8, D::N, 1)];
    let built =
        |parts: &[_]| Layout::new(parts.iter().copied()).unwrap_or_else(|_| Layout::scalar());
    (built(&a), built(&b))
}

/// The same with the axes of the kernel in place of rows, columns and depth: several axes of one role are digits of it, the last
/// the fastest.
fn spread<'r>(
    layout: &Layout<D>,
    axes: &dyn Fn(D) -> &'r [Axis],
    extent: &dyn Fn(Axis) -> u32,
) -> Option<Layout<Axis>> {
    let mut parts = Vec::new();
    for (place, part) in layout.all_parts() {
        let Some((role, stride)) = part.along else {
            parts.push((place, Part::copies(part.extent)));
            continue;
        };
        let names: Vec<Axis> = axes(role).iter().rev().copied().collect();
        let (mut at, end) = (stride, stride * part.extent);
        let mut below = 1;
        for (number, &axis) in names.iter().enumerate() {
            // The slowest axis takes all that is left, past its end if need be.
            let last = number + 1 == names.len();
            let above = if last { u32::MAX } else { below * extent(axis) };
            if at < above && at < end {
                let until = end.min(above);
                if at % below != 0 || until % at != 0 || end % until != 0 {
                    return None;
                }
                parts.push((place, Part::new(until / at, axis, at / below)));
                at = until;
            }
            below = above;
        }
        if at < end {
            return None;
        }
    }
    Layout::new(parts).ok()
}
