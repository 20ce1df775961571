//! The entry: parameters, the position in the grid, debug lines, and the module around it all.

use std::fmt::Write;

use tilec_ir::{DimId, Entity, Extent, Kernel, Param, ParamType};
use tilec_vocab::{DType, Span};

use super::emit::{Emitter, Locate, Result};
use super::shared::SHARED_ALIGNMENT;
use super::text::Text;
use super::value::llvm_type;

/// Debug lines: a metadata node for each place.
pub struct Lines<'a> {
    locate: Locate<'a>,
    files: Vec<String>,
    /// File, line, column.
    places: Vec<(usize, u32, u32)>,
}

/// The metadata node without contents.
pub const EMPTY_NODE: usize = 4;
/// Metadata nodes before those of files and places.
const FIRST_NODE: usize = 5;
/// Room for files before the places.
const MOST_FILES: usize = 64;

impl<'a> Lines<'a> {
    pub fn new(locate: Locate<'a>) -> Lines<'a> {
        Lines { locate, files: Vec::new(), places: Vec::new() }
    }

    /// The metadata node of the place where a span begins.
    pub fn place(&mut self, span: Span) -> Option<usize> {
        let found = (self.locate)(span)?;
        let file = match self.files.iter().position(|file| *file == found.file) {
            Some(at) => at,
            None if self.files.len() < MOST_FILES => {
                self.files.push(found.file);
                self.files.len() - 1
            }
            None => return None,
        };
        let place = (file, found.line, found.column);
        let at = self.places.iter().position(|known| *known == place).unwrap_or_else(|| {
            self.places.push(place);
            self.places.len() - 1
        });
        Some(FIRST_NODE + 2 * MOST_FILES + at)
    }

    /// A function in a file other than the kernel's own has a scope of its own for its lines.
    fn metadata(&self, kernel: &str) -> String {
        let mut out = format!("!{EMPTY_NODE} = !{{}}\n");
        if self.places.is_empty() {
            return out;
        }
        let first = FIRST_NODE;
        let _ = writeln!(
            out,
            "!llvm.dbg.cu = !{{!0}}\n!llvm.module.flags = !{{!1}}\n\
             !0 = distinct !DICompileUnit(language: DW_LANG_C, file: !{first}, producer: \"tilec\", isOptimized: true, runtimeVersion: 0, emissionKind: DebugDirectivesOnly)\n\
             !1 = !{{i32 2, !\"Debug Info Version\", i32 3}}\n\
             !2 = distinct !DISubprogram(name: \"{kernel}\", scope: !{first}, file: !{first}, line: 1, type: !3, unit: !0, spFlags: DISPFlagDefinition)\n\
             !3 = !DISubroutineType(types: !{EMPTY_NODE})"
        );
        for (at, file) in self.files.iter().enumerate() {
            let (node, scope) = (first + 2 * at, first + 2 * at + 1);
            let file = escaped(file);
            let _ = writeln!(out, "!{node} = !DIFile(filename: \"{file}\", directory: \"\")");
            let _ = writeln!(
                out,
                "!{scope} = !DILexicalBlockFile(scope: !2, file: !{node}, discriminator: 0)"
            );
        }
        for (at, (file, line, column)) in self.places.iter().enumerate() {
            let node = first + 2 * MOST_FILES + at;
            let scope = first + 2 * file + 1;
            let _ = writeln!(
                out,
                "!{node} = !DILocation(line: {line}, column: {column}, scope: !{scope})"
            );
        }
        out
    }
}

/// Text between quotation marks.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "\\{byte:02X}");
        }
        out
    })
}

/// A parameter of the entry.
pub struct Parameter {
    /// What it is in LLVM's text; the dot is in no name of a source.
    pub name: String,
    /// Its name in PTX: that of the source, with a `$` where PTX has another use for it.
    pub shown: String,
    ty: &'static str,
}

/// The entry's parameters, in order.
pub fn parameters(signature: &Kernel) -> Vec<Parameter> {
    let mut all = Vec::new();
    let mut push = |name: String, shown: String, ty| all.push(Parameter { name, shown, ty });
    for (_, param) in signature.params.iter() {
        match &param.ty {
            ParamType::Tensor { dims, .. } => {
                let name = &param.name;
                push(format!("p.{name}"), name.clone(), "ptr addrspace(1)");
                for d in 0..dims.len() {
                    push(format!("s.{name}.{d}"), format!("{name}_stride_{d}"), "i64");
                }
            }
            ParamType::Scalar(elem) => {
                let ty = match elem.known() {
                    Some(DType::Bool) | None => "i8",
                    Some(other) => llvm_type(other),
                };
                push(format!("p.{}", param.name), param.name.clone(), ty);
            }
        }
    }
    for (_, dim) in signature.dims.iter() {
        push(format!("d.{}", dim.name), dim.name.clone(), "i64");
    }
    for axis in 0..signature.grid.len() {
        push(format!("g.{axis}"), format!("grid_{axis}"), "i32");
    }
    let mut taken = vec![signature.name.clone(), "WARP_SZ".to_string()];
    for parameter in &mut all {
        while taken.contains(&parameter.shown) {
            parameter.shown.push('$');
        }
        taken.push(parameter.shown.clone());
    }
    all
}

impl Emitter<'_> {
    /// The whole module.
    pub fn module(&self) -> String {
        let name = &self.program.signature.name;
        let threads = self.program.warps * 32;
        let lines = self.lines.metadata(name);
        let subprogram = if self.lines.places.is_empty() { "" } else { " !dbg !2" };
        let parameters: Vec<String> = parameters(&self.program.signature)
            .iter()
            .map(|parameter| format!("{} %\"{}\"", parameter.ty, parameter.name))
            .collect();
        format!(
            "target triple = \"nvptx64-nvidia-cuda\"\n\n\
             @$shared = external addrspace(3) global [0 x i8], align {SHARED_ALIGNMENT}\n\n\
             define ptx_kernel void @\"{name}\"({}) #0{subprogram} {{\n{}}}\n\n{}\n\
             attributes #0 = {{ convergent nounwind \"target-cpu\"=\"{}\" \"nvvm.minctasm\"=\"1\" \"nvvm.reqntid\"=\"{threads},1,1\" }}\n\
             attributes #1 = {{ convergent nounwind }}\n\
             attributes #2 = {{ nounwind willreturn memory(none) }}\n\n{lines}",
            parameters.join(", "),
            self.text.body(),
            self.text.declarations(),
            self.target.name,
        )
    }

    /// The address of a tensor.
    pub fn tensor(&self, param: Param) -> String {
        format!("%\"p.{}\"", self.program.signature.params[param].name)
    }

    /// Element type, extents, and whether it is written, of a tensor.
    pub fn tensor_type(&self, param: Param) -> Result<(DType, Vec<Extent>, bool)> {
        match &self.program.signature.params[param].ty {
            ParamType::Tensor { elem, dims, mutable } => {
                let elem =
                    elem.known().ok_or_else(|| self.unsupported("a generic element type"))?;
                Ok((elem, dims.clone(), *mutable))
            }
            ParamType::Scalar(_) => Err(self.unsupported("an access to a number")),
        }
    }

    /// The stride of a dimension in elements: a number where it is known.
    pub fn stride(&self, param: Param, dim: usize, last: bool) -> Stride {
        let facts = self.program.facts.get(param.index()).copied().unwrap_or_default();
        if last && facts.rows_of_16_bytes {
            return Stride::Known(1);
        }
        let data = &self.program.signature.params[param];
        if let (true, ParamType::Tensor { dims, .. }) = (facts.packed_rows, &data.ty)
            && dim + 2 == dims.len()
            && let Some(Extent::Const(row)) = dims.last()
        {
            return Stride::Known(*row);
        }
        let name = &data.name;
        Stride::Param(format!("%\"s.{name}.{dim}\""))
    }

    /// A run-time dimension.
    pub fn dim(&self, dim: DimId) -> String {
        format!("%\"d.{}\"", self.program.signature.dims[dim].name)
    }

    /// Any extent of a dimension.
    pub fn extent(&self, extent: Extent) -> Result<String> {
        match extent {
            Extent::Const(lanes) => Ok(lanes.to_string()),
            Extent::Dim(dim) => Ok(self.dim(dim)),
            Extent::Generic(_) => Err(self.unsupported("a generic extent")),
        }
    }

    /// A number parameter.
    pub fn scalar(&mut self, param: Param) -> Result<String> {
        let data = &self.program.signature.params[param];
        let name = format!("%\"p.{}\"", data.name);
        match &data.ty {
            ParamType::Scalar(elem) if elem.is_bool() => {
                Ok(self.text.early(format_args!("icmp ne i8 {name}, 0")))
            }
            ParamType::Scalar(_) => Ok(name),
            ParamType::Tensor { .. } => Err(self.unsupported("a tensor used as a number")),
        }
    }

    /// The position along a grid axis, as an `i64`.
    pub fn position(&mut self, axis: u32) -> Result<String> {
        let axes = self.program.signature.grid.len();
        let axis = axis as usize;
        if axis >= axes {
            return Err(self.unsupported("a grid axis that the kernel lacks"));
        }
        let mut number = self.special("ctaid.x");
        let text: &mut Text = &mut self.text;
        for faster in (axis + 1..axes).rev() {
            number = text.early(format_args!("udiv i32 {number}, %g.{faster}"));
        }
        if axis > 0 {
            number = text.early(format_args!("urem i32 {number}, %g.{axis}"));
        }
        Ok(text.early(format_args!("zext i32 {number} to i64")))
    }
}

/// A stride in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stride {
    /// A literal.
    Known(i64),
    /// A run-time number.
    Param(String),
}
