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
