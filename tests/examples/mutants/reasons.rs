//! Why a mutant that nothing notices is taken to be equivalent: arguments, not proofs. A survivor that no row describes
//! counts as missed.

use tilec_ptxsim::mutate::Mutant;

/// What an instruction looks like.
#[derive(Clone, Copy)]
struct Like {
    /// How its opcode begins, guard left out.
    opcode: &'static str,
    /// What its operands hold.
    holds: &'static str,
}

const fn like(opcode: &'static str, holds: &'static str) -> Like {
    Like { opcode, holds }
}

/// `h / (H / G)`, before anything is loaded.
const HEADS: &str = "h / (H / G) rounds down for either sign, in 64 bits, and guards against 0 and -1: heads are positive and few";

/// Opcodes of that division.
const OF_HEADS: &[&str] = &[
    "setp.", "selp.", "or.b64", "and.b64", "xor.b64", "and.pred", "neg.s64", "add.s64", "sub.s64",
    "bra",
];

/// Rows in the order they are tried.
const REASONS: &[(&str, &[Like])] = &[
    (
        "zeros for query rows past the end, which are never stored",
        &[
            like("selp.b16", "0x0000"),
            like("mov.b32", ", 0"),
            like("min.s64", ", 64"),
            like("setp.gt.s64", "%rd"),
        ],
    ),
    (
        "a block with a row mask where none is needed, or a clamp that no row of the block reaches",
        &[
            like("setp.lt.s64", ", 32"),
            like("setp.lt.s64", ", 64"),
            like("min.s64", ", 32"),
            like("max.s64", ", 0"),
            like("max.s64", "-1073741824"),
            like("min.s64", "1073741824"),
            like("shr.s64", ", 63"),
            like("xor.b64", "-9223372036854775808"),
        ],
    ),
    (
        "the loop, or its part with masks, takes blocks more that are masked throughout or need no mask; or its counter passes \
         the bound by less than a block",
        &[
            like("min.s64", ""),
            like("max.s64", ""),
            like("shr.s64", ""),
            like("shl.b64", ""),
            like("add.s64", ""),
            like("sub.s64", ""),
            like("setp.ge.s64", ""),
            like("setp.le.s64", ""),
            like("setp.lt.s64", ""),
            like("setp.gt.s64", ""),
            like("selp.b64", ""),
        ],
    ),
    (
        "no copy is outstanding: the group is empty, or guards kept its copies back",
        &[like("cp.async.commit_group", ""), like("cp.async.wait_group", "")],
    ),
    (
        "lanes 1 apart hold the same already, so 3 apart is 2 apart",
        &[like("shfl.sync.bfly.b32", ", 2, ")],
    ),
    ("a row whose maximum stays weighs by exp(0) = 1 either way", &[like("setp.gt.f32", ", %r")]),
    (
        "every row sees key 0 in its first block, so that its maximum is a number",
        &[like("setp.eq.f32", "0fFF800000"), like("selp.f32", " 0f00000000, %r")],
    ),
    (
        "queries are zeros if the scale is, whatever stands for it",
        &[like("selp.f32", " 0f3F800000, %r")],
    ),
    (
        "the denominator is 0 or from 1 to the number of keys: no scaling of a quotient, no subnormal, infinity or NaN",
        &[
            like("", "0f0F800000"),
            like("", "0f6F800000"),
            like("", "0f00800000"),
            like("", "0f4C000000"),
            like("", "0f7F800000"),
            like("", "0f7FC00000"),
            like("selp.b32", "-25"),
            like("setp.nan.f32", ""),
            like("setp.ltu.f32", ""),
            like("selp.f32", "0fFF800000, %r"),
            like("selp.f32", ", %r"),
            like("add.s32", ", %r"),
        ],
    ),
    (
        "the logarithm splits at a neighbour of its point, or loses a term below the rounding of its result",
        &[like("add.s32", "-1060439283"), like("and.b32", "-8388608"), like("fma.rn.f32", "0f")],
    ),
    ("the bit is 0 already, or shifted out", &[like("and.b32", "")]),
    ("each of the four lanes of a row holds its log-sum-exp", &[like("setp.eq.b32", "")]),
    (
        "rows 8 to 15 of a fragment never end at columns 0 or 16",
        &[like("setp.gt.s32", ", 0"), like("setp.gt.s32", ", 16")],
    ),
    ("the register holds that value already", &[like("mov.b32", "%r"), like("mov.b64", "%rd")]),
    ("what follows in the text is where it leads", &[like("bra.uni", "")]),
];

/// The reason why a survivor cannot be told from the original, if it has one. `runs` says whether any case executes it,
/// `loads` on which line the first load stands.
pub fn reason(mutant: &Mutant, runs: bool, loads: u32) -> Option<&'static str> {
    if !runs {
        return Some(
            "never executed: 64-bit division of heads, or copies in a loop over the blocks of the diagonal that is too short for them",
        );
    }
    let bare = match mutant.from.strip_prefix('@') {
        Some(rest) => rest.split_once(' ').map_or("", |(_, bare)| bare),
        None => &mutant.from,
    };
    let (opcode, operands) = bare.split_once(' ').unwrap_or((bare, ""));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    if words(&mutant.from) == words(&mutant.to) {
        return Some("the operands are the same");
    }
    if mutant.line < loads && OF_HEADS.iter().any(|head| opcode.starts_with(head)) {
        return Some(HEADS);
    }
    let fits = |like: &Like| opcode.starts_with(like.opcode) && operands.contains(like.holds);
    REASONS.iter().find(|(_, likes)| likes.iter().any(fits)).map(|(reason, _)| *reason)
}
