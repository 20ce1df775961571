//! The syntax tree of a PTX module: names are still text, opcodes are still text.

use std::collections::BTreeMap;

/// A parsed PTX file.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// `.target`, such as `sm_80`.
    pub target: String,
    /// Module-scope variables in any space.
    pub variables: Vec<Variable>,
    /// Entries and device functions, in text order; prototypes have no body.
    pub functions: Vec<Function>,
    /// `.file` table.
    pub files: BTreeMap<u32, String>,
}

/// A state space that a declaration or an access can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// No space named: resolved by address.
    Generic,
    Global,
    Shared,
    Local,
    Const,
    Param,
}

/// A declared variable.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub space: Space,
    pub align: u64,
    /// `None` for `.extern … name[]`, whose size the launch decides.
    pub bytes: Option<u64>,
    pub initial: Vec<u8>,
    pub line: u32,
}

/// A formal parameter or a return value.
#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    /// The scalar type without its dot, such as `u64`.
    pub ty: String,
    pub bytes: u64,
    pub align: u64,
}

/// An entry or a device function.
#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub is_entry: bool,
    pub params: Vec<Param>,
    pub returns: Vec<Param>,
    pub reqntid: Option<[u32; 3]>,
    pub maxntid: Option<[u32; 3]>,
    pub body: Option<Vec<Statement>>,
    pub line: u32,
}

/// A source position named by `.loc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loc {
    pub file: u32,
    pub line: u32,
    pub column: u32,
}

/// A statement of a function body.
#[derive(Clone, Debug)]
pub enum Statement {
    Open,
    Close,
    Label {
        name: String,
        line: u32,
    },
    /// `.reg .b32 %r<8>;` gives `("%r", Some(8))`; `.reg .b32 x, y;` gives names without a count.
    Registers {
        ty: String,
        names: Vec<(String, Option<u32>)>,
        line: u32,
    },
    Variable(Variable),
    /// A `.param` declared in a call scope.
    CallParam(Param),
    /// `label: .branchtargets a, b;`
    Targets {
        label: String,
        targets: Vec<String>,
    },
    Loc(Loc),
    Instruction(Instruction),
}

/// One instruction.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// Guard predicate and whether it is negated.
    pub guard: Option<(String, bool)>,
    pub opcode: String,
    pub operands: Vec<Operand>,
    pub line: u32,
    /// Byte range of the statement, from guard or opcode to before the semicolon.
    pub span: (usize, usize),
}

/// An operand as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Register, label, symbol, special register or the sink `_`.
    Name(String),
    /// `!%p`
    Not(String),
    /// An integer, sign-extended to 64 bits.
    Int(u64),
    F32(u32),
    F64(u64),
    /// `sym+offset` outside brackets.
    Sum(String, i64),
    /// `[base+offset]`; an absolute address has no base.
    Memory {
        base: Option<String>,
        offset: i64,
    },
    /// `{a, b}`
    Vector(Vec<Operand>),
    /// `a|b`
    Pair(Box<Operand>, Box<Operand>),
    /// `(a, b)` of a call.
    List(Vec<Operand>),
}
