//! Why a mutant that nothing notices is taken to be equivalent: what the simulator recorded, and where it recorded an effect,
//! or nothing, an argument. A survivor that no row describes counts as missed.

use tilec_ptxsim::mutate::Mutant;

use crate::evidence::Evidence;

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

/// Where in the text an argument holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Before anything is loaded: what a block of the grid is about.
    BeforeLoads,
    /// From there to the last copy.
    Loops,
    /// After the last copy.
    AfterCopies,
}

/// Arguments for mutants whose effect reaches no output, in the order they are tried.
const ARGUMENTS: &[(Where, &str, &[Like])] = &[
    (
        Where::BeforeLoads,
        "a scale of zero makes queries zeros, whatever they are divided by",
        &[like("selp.f32", " 0f3F800000, %r")],
    ),
    (
        Where::BeforeLoads,
        "h / (H / G) in 64 bits, rounded down for either sign: heads are positive and few",
        &[
            like("setp.", ""),
            like("or.b64", ""),
            like("and.b64", ""),
            like("xor.b64", ""),
            like("neg.s64", ""),
            like("add.s64", ""),
            like("sub.s64", ""),
            like("bra", ""),
        ],
    ),
    (
        Where::Loops,
        "chosen only where a difference of 64 bits overflows",
        &[like("shr.s64", ", 63"), like("xor.b64", "-9223372036854775808")],
    ),
    (
        Where::Loops,
        "the loop, or its part with masks, takes more blocks that are masked throughout or need no mask, or fetches one \
         that nobody reads",
        &[
            like("min.s64", ""),
            like("max.s64", ""),
            like("shr.", ""),
            like("shl.b64", ""),
            like("add.s64", ""),
            like("sub.s64", ""),
            like("selp.b64", ""),
            like("setp.le.s", ""),
            like("setp.lt.s", ""),
            like("setp.ge.s", ""),
        ],
    ),
    (
        Where::Loops,
        "columns past the last key are cut thrice, at the scores, at their weights and by rows of values that are zeros",
        &[like("setp.gt.s32", "%r"), like("setp.gt.s64", "%rd"), like("selp.b16", "0x0000")],
    ),
    (
        Where::Loops,
        "a row whose maximum stays weighs by exp(0) = 1 either way",
        &[like("setp.gt.f32", ", %r")],
    ),
    (
        Where::AfterCopies,
        "the denominator is 0 or from 1 to the number of keys: a quotient by any scaling, no subnormal, infinity or NaN",
        &[
            like("setp.", "0f0F800000"),
            like("setp.", "0f6F800000"),
            like("setp.", "0f00800000"),
            like("selp.f32", "0f0F800000"),
            like("selp.f32", "0f6F800000"),
            like("selp.f32", ", %r"),
            like("mul.rn.f32", "0f4C000000"),
            like("selp.b32", "-25"),
            like("add.s32", ", %r"),
        ],
    ),
    (
        Where::AfterCopies,
        "without a key the logarithm of the sum is -inf already, and no maximum is the least number of f32",
        &[like("setp.le.f32", "0fFF7FFFFF"), like("selp.f32", "0fFF800000")],
    ),
    (
        Where::AfterCopies,
        "the logarithm splits at a neighbour of its point, or loses a term below the bound of its result",
        &[like("add.s32", "-1060439283"), like("and.b32", "-8388608"), like("fma.rn.f32", "0f")],
    ),
    (
        Where::AfterCopies,
        "the limit of the rows that a block stores lies past its last row",
        &[like("min.s64", ""), like("setp.lt.s64", "")],
    ),
    (
        Where::AfterCopies,
        "each of the four lanes of a row holds its log-sum-exp",
        &[like("setp.eq.b32", "")],
    ),
];

/// The reason why a survivor cannot be told from the original, if it has one.
pub fn reason(mutant: &Mutant, text: &str, evidence: Evidence) -> Option<&'static str> {
    match evidence {
        Evidence::SameStates => Some("what is broken has no effect where it is executed"),
        Evidence::SameElsewhere => Some("no other instruction sees what it does"),
        Evidence::SameOutside => {
            Some("both ways come to the same, or lead past the fetch of a block that nobody reads")
        }
        Evidence::PastTheRows => Some("query rows past the end are never stored"),
        Evidence::NeverExecuted => never_executed(mutant, text),
        Evidence::Masked => argument(mutant, text),
    }
}

/// A division of 64 bits stands beside one of 32, for heads that a grid cannot have; and a trap where keys are more than a
/// counter of 32 bits holds.
fn never_executed(mutant: &Mutant, text: &str) -> Option<&'static str> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = mutant.line as usize - 1;
    let divides = |line: &str| line.starts_with("div.s64");
    let traps = |line: &str| line.starts_with("trap");
    let (here, before) = (lines[at], lines[at.saturating_sub(1)]);
    let label = here.strip_prefix("bra.uni").map(|label| label.trim().replace(';', ":"));
    let target = label.and_then(|label| lines.iter().position(|line| *line == label));
    if divides(here) || target.is_some() && divides(before) {
        Some("a grid has fewer than 2^31 heads, so they are divided in 32 bits")
    } else if traps(here) || target.and_then(|at| lines.get(at + 1)).is_some_and(|line| traps(line))
    {
        Some("the trap for more than 2^36 keys")
    } else {
        None
    }
}

fn argument(mutant: &Mutant, text: &str) -> Option<&'static str> {
    let numbered = || (1..).zip(text.lines());
    let loads = numbered().find(|(_, line)| line.contains("ld.global"));
    let copies = numbered().filter(|(_, line)| line.contains("cp.async")).last();
    let after = |place: Option<(u32, &str)>| place.is_none_or(|(line, _)| mutant.line > line);
    let place = match (after(loads), after(copies)) {
        (false, _) => Where::BeforeLoads,
        (true, false) => Where::Loops,
        (true, true) => Where::AfterCopies,
    };
    let bare = match mutant.from.strip_prefix('@') {
        Some(rest) => rest.split_once(' ').map_or("", |(_, bare)| bare),
        None => &mutant.from,
    };
    let (opcode, operands) = bare.split_once(' ').unwrap_or((bare, ""));
    let fits = |like: &Like| opcode.starts_with(like.opcode) && operands.contains(like.holds);
    let mut rows = ARGUMENTS.iter().filter(|row| row.0 == place);
    rows.find(|(_, _, likes)| likes.iter().any(fits)).map(|(_, reason, _)| *reason)
}
