//! What stands before the body: generics, parameters, requirements, the grid.

use tilec_vocab::{DType, DTypeClass, Require};

use super::lex::Word;
use super::{Read, Reader};
use crate::kernel::{DimData, GenericData, GenericKind, GridAxis, Kernel, ParamData, ParamType};
use crate::limits;
use crate::types::{Elem, Extent};

impl<'s> Reader<'s> {
    pub(super) fn signature(&mut self) -> Read<Kernel> {
        let Word::Symbol(name) = self.word else { return self.expected("`@` and a name") };
        self.advance()?;
        let span = self.span()?.unwrap_or_default();
        let mut kernel = Kernel::new(name, span);
        if self.eat("<")? {
            for generic in self.list(">", limits::SIGNATURE, Self::generic)? {
                kernel.generics.push(generic);
            }
        }
        self.expect("(")?;
        self.list(")", limits::SIGNATURE, |reader| reader.param(&mut kernel))?;
        while self.eat_word("require")? {
            if kernel.requires.len() == limits::SIGNATURE {
                return self.error(format!("more than {} requirements", limits::SIGNATURE));
            }
            let expr = self.host_expr()?;
            let text = match self.word {
                Word::Text(text) => self.unescape(text)?,
                _ => expr.to_string(),
            };
            kernel.requires.push(Require { expr, text });
        }
        if self.eat_word("grid")? {
            kernel.grid = self.items(limits::RANK, Self::grid_axis)?;
        }
        Ok(kernel)
    }

    fn generic(&mut self) -> Read<GenericData> {
        let word = self.name("a generic parameter")?;
        if self.eat(":")? {
            let kind = if self.eat_word(DTypeClass::Float.name())? {
                GenericKind::DType(DTypeClass::Float)
            } else if self.eat_word(DTypeClass::Int.name())? {
                GenericKind::DType(DTypeClass::Int)
            } else {
                return self.expected("`float` or `int`");
            };
            return Ok(GenericData { name: word.to_owned(), kind });
        }
        match word {
            "const" => {
                let name = self.name("a name")?.to_owned();
                Ok(GenericData { name, kind: GenericKind::Const })
            }
            "knob" => {
                let name = self.name("a name")?.to_owned();
                self.expect_word("in")?;
                self.expect("[")?;
                let choices = self.list("]", limits::SIGNATURE, |reader| reader.int("a choice"))?;
                Ok(GenericData { name, kind: GenericKind::Knob(choices) })
            }
            _ => self.expected("`:`"),
        }
    }

    fn param(&mut self, kernel: &mut Kernel) -> Read<()> {
        let name = self.name("a parameter")?.to_owned();
        self.expect(":")?;
        let ty = if self.eat("&")? {
            let mutable = self.eat_word("mut")?;
            let elem = self.elem(kernel)?;
            self.expect("[")?;
            let dims = self.list("]", limits::RANK, |reader| reader.dimension(kernel))?;
            ParamType::Tensor { elem, dims, mutable }
        } else {
            ParamType::Scalar(self.elem(kernel)?)
        };
        let span = self.span()?.unwrap_or_default();
        kernel.params.push(ParamData { name, ty, span });
        Ok(())
    }

    /// An extent in the type of a tensor, where a new name makes a dimension.
    fn dimension(&mut self, kernel: &mut Kernel) -> Read<Extent> {
        if let Word::Name(name) = self.word
            && !name.contains('.')
            && !kernel.declares(name)
            && kernel.dims.values().all(|dim| dim.name != name)
        {
            kernel.dims.push(DimData { name: name.to_owned() });
        }
        self.extent(kernel)
    }

    pub(super) fn extent(&mut self, kernel: &Kernel) -> Read<Extent> {
        if let Word::Number(_) | Word::Mark("-") = self.word {
            return Ok(Extent::Const(self.int("an extent")?));
        }
        let at = self.at;
        let name = self.name("an extent")?;
        if let Some((id, _)) = kernel.generics.iter().find(|(_, g)| g.name == name) {
            return Ok(Extent::Generic(id));
        }
        match kernel.dims.iter().find(|(_, dim)| dim.name == name) {
            Some((id, _)) => Ok(Extent::Dim(id)),
            None => self.error_at(at, format!("there is no dimension or generic `{name}`")),
        }
    }

    pub(super) fn elem(&mut self, kernel: &Kernel) -> Read<Elem> {
        let at = self.at;
        let name = self.name("an element type")?;
        let generic = kernel.generics.iter().find(|(_, generic)| generic.name == name);
        match (generic.map(|(id, generic)| (id, &generic.kind)), DType::from_name(name)) {
            (Some((id, GenericKind::DType(class))), _) => Ok(Elem::Generic(id, *class)),
            (_, Some(dtype)) => Ok(Elem::Known(dtype)),
            _ => self.error_at(at, format!("there is no element type `{name}`")),
        }
    }

    fn grid_axis(&mut self) -> Read<GridAxis> {
        let name = self.name("a grid axis")?.to_owned();
        self.expect_word("in")?;
        let programs = self.host_expr()?;
        Ok(GridAxis { name, programs })
    }

    /// Undoes `str::escape_default`, and takes the word.
    fn unescape(&mut self, text: &str) -> Read<String> {
        let at = self.at;
        let mut plain = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let c = match c {
                '\\' => match chars.next() {
                    Some('n') => Some('\n'),
                    Some('r') => Some('\r'),
                    Some('t') => Some('\t'),
                    Some(c @ ('\\' | '"' | '\'')) => Some(c),
                    Some('u') => unicode(&mut chars),
                    _ => None,
                },
                c => Some(c),
            };
            match c {
                Some(c) => plain.push(c),
                None => return self.error_at(at, "an escape that means nothing"),
            }
        }
        self.advance()?;
        Ok(plain)
    }
}

/// `{1f600}`.
fn unicode(chars: &mut std::str::Chars<'_>) -> Option<char> {
    let rest = chars.as_str().strip_prefix('{')?;
    let (digits, rest) = rest.split_once('}')?;
    let code = u32::from_str_radix(digits, 16).ok()?;
    *chars = rest.chars();
    char::from_u32(code)
}
