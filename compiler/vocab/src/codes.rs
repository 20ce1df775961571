//! The table of diagnostic codes.
//!
//! One row for each code; its page stands in `codes/` beside `src/` and is what `tilec explain`
//! shows. Codes are never reused. E01xx lexing and parsing, E02xx names and imports, E03xx axes and
//! types, E04xx kernels, grids, specs and knobs, E05xx limits, E06xx compile-time evaluation and
//! specialisation, W09xx warnings.

/// A stable diagnostic code; a row of the table in this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(&'static Row);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Row {
    name: &'static str,
    title: &'static str,
    page: &'static str,
}

macro_rules! codes {
    ($($name:ident $title:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: Code = Code(&Row {
                name: stringify!($name),
                title: $title,
                page: include_str!(concat!("../codes/", stringify!($name), ".md")),
            });
        )*

        /// Every code, in the order of the table.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    E0101 "unexpected character";
    E0102 "comment not closed";
    E0103 "number out of range";
    E0104 "name too long";
    E0105 "missing semicolon";
    E0106 "unexpected token";
    E0107 "chained comparison";
    E0108 "operator or word of another language";
    E0109 "not assignable";
    E0110 "positional argument after a named one";
    E0111 "grid on a function";
    E0112 "kernel without a grid";
    E0113 "more than one grid";
    E0201 "unknown name";
    E0202 "no such file to import";
    E0203 "no such item in the imported file";
    E0204 "item declared twice";
    E0205 "name declared twice in one signature";
    E0206 "imports form a cycle";
    E0207 "import refused";
    E0208 "too many imports";
    E0209 "item cannot be imported";
    E0210 "assignment to something that is not a variable";
    E0211 "not a type";
    E0212 "name of a builtin";
    E0213 "called but not a function";
    E0214 "recursion";
    E0215 "wrong number of arguments";
    E0216 "no parameter of this name";
    E0217 "argument given twice";
    E0218 "closure assigns a variable of the code around it";
    E0219 "not a value";
    E0301 "conversion that loses something must be written";
    E0302 "not an axis";
    E0303 "axis declared twice";
    E0304 "variable cannot change its axes";
    E0305 "stored value has an axis the index lacks";
    E0306 "operands of `dot` do not share the axis";
    E0307 "reduction over an axis the value lacks";
    E0308 "float types that do not mix";
    E0309 "condition is not a bool";
    E0310 "condition of `if` is a tile";
    E0311 "numbers and truth values do not mix";
    E0312 "`and`, `or`, `not` take truth values";
    E0313 "index or bound is not an integer";
    E0314 "wrong number of indices";
    E0315 "store to a tensor that is only read";
    E0316 "only tensors are indexed";
    E0317 "function takes floats";
    E0318 "remainder of floats";
    E0319 "tuple of another size";
    E0320 "not a tuple";
    E0321 "number needed, tile given";
    E0322 "value over a loop's axis used after the loop";
    E0323 "tensor used as a value";
    E0324 "truth values have no order";
    E0325 "argument of another kind than the parameter";
    E0326 "one dimension name, two extents";
    E0327 "axis named twice";
    E0328 "no such precision";
    E0329 "value has an axis its type lacks";
    E0330 "variable holds one number or tile";
    E0332 "conversion to bool";
    E0333 "builtin called in a form it does not have";
    E0334 "call that gives no value";
    E0335 "`&mut` needed";
    E0401 "axis needs an extent known at compile time";
    E0402 "block size not known at compile time";
    E0403 "knob without values";
    E0404 "knob declared with different choices";
    E0405 "spec of an unknown kernel";
    E0406 "spec leaves an output unwritten";
    E0407 "kernel parameter without a usable type";
    E0408 "not something the launcher can evaluate";
    E0409 "generic that nothing determines";
    E0410 "`return` in a place it cannot stand";
    E0411 "spec uses a knob";
    E0412 "requirement is not a condition";
    E0413 "kernel gives a value";
    E0414 "block size out of range";
    E0416 "knob lists a value twice";
    E0501 "nested too deeply";
    E0502 "source too large";
    E0601 "integer constant out of range";
    E0602 "division by zero";
    E0603 "program too large once inlined";
    E0604 "calls nested too deeply";
    E0605 "tile too large";
    E0606 "generic of a function that nothing determines";
    E0607 "constant needed, run-time dimension given";
    E0608 "signature too large";
    E0609 "float constant out of range";
    E0610 "not a constant";
    W0901 "unused variable";
    W0902 "unused parameter";
    W0903 "unused import";
    W0904 "output never written";
    W0905 "statement never reached";
    W0906 "value of a call not used";
    W0907 "unused knob";
    W0908 "precision has no effect";
    W0909 "variable never assigned again";
}

impl Code {
    /// `E0301`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// A few words.
    pub fn title(self) -> &'static str {
        self.0.title
    }

    /// The page `tilec explain` shows, in Markdown.
    pub fn page(self) -> &'static str {
        self.0.page
    }

    /// The code with this name, in any case.
    pub fn find(name: &str) -> Option<Code> {
        ALL.iter().copied().find(|code| code.name().eq_ignore_ascii_case(name))
    }
}
