//! Recursive descent over the tokens of a module. Statements end at `;`, never at a line end: LLVM prints `mma` over
//! five lines and `trap; exit;` on one.

mod operand;

use super::PtxError;
use super::ast::*;
use super::lex::{Kind, Token, lex};
use operand::integer;

/// Parses PTX text.
pub fn parse(source: &str) -> Result<Tree, PtxError> {
    let tokens = lex(source)?;
    Parser { tokens, at: 0 }.module()
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

type Parsed<T> = Result<T, PtxError>;

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<Kind<'a>> {
        self.tokens.get(self.at).map(|t| t.kind)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |t| t.line)
    }

    fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(PtxError::new(self.line(), message))
    }

    fn next(&mut self) -> Parsed<Kind<'a>> {
        match self.tokens.get(self.at) {
            Some(t) => {
                self.at += 1;
                Ok(t.kind)
            }
            None => self.error("the text ends in the middle of a statement"),
        }
    }

    fn is(&self, c: char) -> bool {
        self.peek() == Some(Kind::Punct(c))
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.is(c);
        self.at += found as usize;
        found
    }

    fn expect(&mut self, c: char) -> Parsed<()> {
        if self.eat(c) { Ok(()) } else { self.error(format!("expected `{c}`")) }
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(Kind::Word(word));
        self.at += found as usize;
        found
    }

    fn word(&mut self) -> Parsed<&'a str> {
        match self.peek() {
            Some(Kind::Word(w)) => {
                self.at += 1;
                Ok(w)
            }
            _ => self.error("expected a name"),
        }
    }

    fn integer(&mut self) -> Parsed<i64> {
        let negative = self.eat('-');
        match self.next()? {
            Kind::Number(n) => {
                let value = integer(n)
                    .map_or_else(|| self.error(format!("`{n}` is not an integer")), Ok)?;
                Ok(if negative { (value as i64).wrapping_neg() } else { value as i64 })
            }
            _ => self.error("expected an integer"),
        }
    }

    fn count(&mut self) -> Parsed<u32> {
        let line = self.line();
        u32::try_from(self.integer()?)
            .map_err(|_| PtxError::new(line, "expected a number that fits 32 bits"))
    }

    fn module(mut self) -> Parsed<Tree> {
        let mut tree = Tree::default();
        while let Some(kind) = self.peek() {
            let Kind::Word(word) = kind else {
                return self.error("expected a directive");
            };
            match word {
                ".version" => {
                    self.at += 2;
                }
                ".target" => {
                    self.at += 1;
                    tree.target = self.word()?.to_string();
                    while self.eat(',') {
                        self.word()?;
                    }
                }
                ".address_size" => {
                    self.at += 1;
                    if self.integer()? != 64 {
                        return self.error("only 64-bit addresses are modelled");
                    }
                }
                ".file" => self.file(&mut tree)?,
                ".section" => self.section()?,
                ".visible" | ".weak" | ".common" | ".extern" => self.at += 1,
                ".entry" | ".func" => {
                    let function = self.function()?;
                    tree.functions.push(function);
                }
                ".global" | ".const" | ".shared" => {
                    let variables = self.variables()?;
                    tree.variables.extend(variables);
                }
                ".pragma" => self.skip_statement()?,
                _ => return self.error(format!("unknown directive `{word}`")),
            }
        }
        Ok(tree)
    }

    fn skip_statement(&mut self) -> Parsed<()> {
        while self.next()? != Kind::Punct(';') {}
        Ok(())
    }

    fn file(&mut self, tree: &mut Tree) -> Parsed<()> {
        self.at += 1;
        let index = self.count()?;
        let Kind::Text(name) = self.next()? else {
            return self.error("expected a file name");
        };
        tree.files.insert(index, name.to_string());
        while self.eat(',') {
            self.integer()?;
        }
        Ok(())
    }

    /// Debug sections describe the program to a debugger and change nothing here.
    fn section(&mut self) -> Parsed<()> {
        while !self.eat('{') {
            self.next()?;
        }
        while !self.eat('}') {
            self.next()?;
        }
        Ok(())
    }

    fn function(&mut self) -> Parsed<Function> {
        let line = self.line();
        let is_entry = self.word()? == ".entry";
        let mut returns = vec![];
        if !is_entry && self.is('(') {
            returns = self.params()?;
        }
        let name = self.word()?.to_string();
        let params = if self.is('(') { self.params()? } else { vec![] };
        let (mut reqntid, mut maxntid) = (None, None);
        loop {
            match self.peek() {
                Some(Kind::Punct('{')) => {
                    self.at += 1;
                    let body = Some(self.body()?);
                    return Ok(Function {
                        name,
                        is_entry,
                        params,
                        returns,
                        reqntid,
                        maxntid,
                        body,
                        line,
                    });
                }
                Some(Kind::Punct(';')) => {
                    self.at += 1;
                    return Ok(Function {
                        name,
                        is_entry,
                        params,
                        returns,
                        reqntid,
                        maxntid,
                        body: None,
                        line,
                    });
                }
                Some(Kind::Word(".reqntid")) => reqntid = Some(self.extent()?),
                Some(Kind::Word(".maxntid")) => maxntid = Some(self.extent()?),
                Some(Kind::Word(".minnctapersm" | ".maxnreg")) => {
                    self.at += 1;
                    self.integer()?;
                }
                Some(Kind::Word(".noreturn")) => self.at += 1,
                Some(Kind::Word(".pragma")) => self.skip_statement()?,
                _ => return self.error("expected a function body"),
            }
        }
    }

    fn extent(&mut self) -> Parsed<[u32; 3]> {
        self.at += 1;
        let mut extent = [1; 3];
        for (i, e) in extent.iter_mut().enumerate() {
            if i > 0 && !self.eat(',') {
                break;
            }
            *e = self.count()?;
        }
        Ok(extent)
    }

    fn params(&mut self) -> Parsed<Vec<Param>> {
        self.expect('(')?;
        let mut params = vec![];
        while !self.eat(')') {
            params.push(self.param()?);
            if !self.is(')') {
                self.expect(',')?;
            }
        }
        Ok(params)
    }

    /// `.param .align 8 .b8 name[16]`, `.param .u64 .ptr .global .align 16 name`, `.reg .b32 name`.
    fn param(&mut self) -> Parsed<Param> {
        let (mut ty, mut align, mut pointer) = (None, None, false);
        loop {
            match self.word()? {
                ".param" | ".reg" | ".global" | ".shared" | ".const" | ".local" => {}
                ".ptr" => pointer = true,
                ".align" => {
                    let value = self.integer()? as u64;
                    // The alignment after `.ptr` is that of the pointee.
                    if !pointer {
                        align = Some(value);
                    }
                }
                word if word.starts_with('.') => ty = Some(word[1..].to_string()),
                name => {
                    let Some(ty) = ty else {
                        return self.error("this parameter has no type");
                    };
                    let Some(width) = type_bytes(&ty) else {
                        return self.error(format!("unknown type `.{ty}`"));
                    };
                    let mut bytes = width;
                    if self.eat('[') {
                        bytes = width.saturating_mul(self.count()? as u64);
                        self.expect(']')?;
                    }
                    let align = align.unwrap_or(width);
                    if !align.is_power_of_two() {
                        return self.error("an alignment is a power of two");
                    }
                    return Ok(Param { name: name.to_string(), ty, bytes, align });
                }
            }
        }
    }

    /// `.shared .align 16 .b8 a[64], b[64];` and `.global .u32 table[2] = {1, 2};`
    fn variables(&mut self) -> Parsed<Vec<Variable>> {
        let line = self.line();
        let space = match self.word()? {
            ".global" => Space::Global,
            ".const" => Space::Const,
            ".shared" => Space::Shared,
            _ => Space::Local,
        };
        let (mut ty, mut align) = (None, None);
        let mut out = vec![];
        loop {
            match self.word()? {
                ".align" => align = Some(self.integer()? as u64),
                ".attribute" => return self.error("variable attributes are not modelled"),
                word if word.starts_with('.') => ty = Some(word),
                name => {
                    let Some(width) = ty.and_then(|t| type_bytes(&t[1..])) else {
                        return self.error("this variable has no known type");
                    };
                    out.push(self.variable(name, space, align, width, line)?);
                    if self.eat(';') {
                        return Ok(out);
                    }
                    self.expect(',')?;
                }
            }
        }
    }

    fn variable(
        &mut self,
        name: &str,
        space: Space,
        align: Option<u64>,
        width: u64,
        line: u32,
    ) -> Parsed<Variable> {
        let mut bytes = Some(width);
        while self.eat('[') {
            if self.eat(']') {
                bytes = None;
            } else {
                let n = self.count()? as u64;
                bytes = bytes.map(|b| b.saturating_mul(n));
                self.expect(']')?;
            }
        }
        let mut initial = vec![];
        if self.eat('=') {
            let mut depth = 0;
            loop {
                match self.peek() {
                    Some(Kind::Punct('{')) => depth += 1,
                    Some(Kind::Punct('}')) => depth -= 1,
                    Some(Kind::Punct(',')) if depth > 0 => {}
                    _ => {
                        let value = match self.operand()? {
                            Operand::Int(v) => v,
                            Operand::F32(v) => v as u64,
                            Operand::F64(v) => v,
                            _ => return self.error("an initialiser is a list of numbers here"),
                        };
                        initial.extend_from_slice(&value.to_le_bytes()[..width as usize]);
                        self.at -= 1;
                    }
                }
                self.at += 1;
                if depth == 0 {
                    break;
                }
            }
        }
        let align = align.unwrap_or(width);
        if !align.is_power_of_two() {
            return self.error("an alignment is a power of two");
        }
        Ok(Variable { name: name.to_string(), space, align, bytes, initial, line })
    }

    fn body(&mut self) -> Parsed<Vec<Statement>> {
        let mut out = vec![];
        let mut depth = 1;
        loop {
            match self.peek() {
                Some(Kind::Punct('{')) => {
                    self.at += 1;
                    depth += 1;
                    out.push(Statement::Open);
                }
                Some(Kind::Punct('}')) => {
                    self.at += 1;
                    depth -= 1;
                    if depth == 0 {
                        return Ok(out);
                    }
                    out.push(Statement::Close);
                }
                Some(Kind::Punct(';')) => self.at += 1,
                Some(Kind::Word(".loc")) => out.push(self.loc()?),
                Some(Kind::Word(".reg")) => out.push(self.registers()?),
                Some(Kind::Word(".local" | ".shared")) => {
                    out.extend(self.variables()?.into_iter().map(Statement::Variable));
                }
                Some(Kind::Word(".param")) => {
                    out.push(Statement::CallParam(self.param()?));
                    self.expect(';')?;
                }
                Some(Kind::Word(".pragma")) => self.skip_statement()?,
                Some(Kind::Word(word)) if word.starts_with('.') => {
                    return self.error(format!("unknown directive `{word}`"));
                }
                Some(Kind::Word(name))
                    if self.tokens.get(self.at + 1).is_some_and(|t| t.kind == Kind::Punct(':')) =>
                {
                    let line = self.line();
                    self.at += 2;
                    if self.eat_word(".branchtargets") {
                        out.push(self.targets(name)?);
                    } else {
                        out.push(Statement::Label { name: name.to_string(), line });
                    }
                }
                _ => out.push(Statement::Instruction(self.instruction()?)),
            }
        }
    }

    fn loc(&mut self) -> Parsed<Statement> {
        self.at += 1;
        let loc = Loc { file: self.count()?, line: self.count()?, column: self.count()? };
        // `, function_name label, inlined_at file line column` refines the position, which is enough as it is.
        while self.eat(',') {
            let key = self.word()?;
            if key == "inlined_at" {
                for _ in 0..3 {
                    self.integer()?;
                }
            } else {
                self.word()?;
                if self.eat('+') {
                    self.integer()?;
                }
            }
        }
        Ok(Statement::Loc(loc))
    }

    fn registers(&mut self) -> Parsed<Statement> {
        let line = self.line();
        self.at += 1;
        let ty = self.word()?.trim_start_matches('.').to_string();
        let mut names = vec![];
        loop {
            let name = self.word()?.to_string();
            let mut count = None;
            if self.eat('<') {
                count = Some(self.count()?);
                self.expect('>')?;
            }
            names.push((name, count));
            if self.eat(';') {
                return Ok(Statement::Registers { ty, names, line });
            }
            self.expect(',')?;
        }
    }

    fn targets(&mut self, label: &str) -> Parsed<Statement> {
        let mut targets = vec![];
        loop {
            targets.push(self.word()?.to_string());
            if self.eat(';') {
                return Ok(Statement::Targets { label: label.to_string(), targets });
            }
            self.expect(',')?;
        }
    }

    fn instruction(&mut self) -> Parsed<Instruction> {
        let line = self.line();
        let Some(start) = self.tokens.get(self.at).map(|t| t.start) else {
            return self.error("the text ends inside a function");
        };
        let mut guard = None;
        if self.eat('@') {
            let negated = self.eat('!');
            guard = Some((self.word()?.to_string(), negated));
        }
        let opcode = self.word()?.to_string();
        let mut operands = vec![];
        if !self.is(';') {
            loop {
                operands.push(self.operand()?);
                if !self.eat(',') {
                    break;
                }
            }
        }
        let end = self.tokens[self.at - 1].end;
        if !self.eat(';') {
            return self.error(format!("expected `;` after `{opcode}`"));
        }
        Ok(Instruction { guard, opcode, operands, line, span: (start, end) })
    }
}

/// Bytes of a fundamental type named without its dot.
pub fn type_bytes(ty: &str) -> Option<u64> {
    Some(match ty {
        "b8" | "u8" | "s8" => 1,
        "b16" | "u16" | "s16" | "f16" | "bf16" => 2,
        "b32" | "u32" | "s32" | "f32" | "f16x2" | "bf16x2" => 4,
        "b64" | "u64" | "s64" | "f64" => 8,
        _ => return None,
    })
}
