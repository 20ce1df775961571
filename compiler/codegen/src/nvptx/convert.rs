//! Conversions between layouts.

use tilec_gpu::gir::{Buf, Conversion, Val};
use tilec_ir::Axis;
use tilec_layout::{Exchange, Layout, Load, Place, Plan, Sync};
use tilec_vocab::DType;

use super::emit::{Emitter, Result};
use super::fragment::{Source, fragment_tile};
use super::value::{Tile, Value};

impl Emitter<'_> {
    pub fn convert(&mut self, result: Val, x: Val, how: &Conversion) -> Result<()> {
        let elem = self.elem(result);
        let Some(to) = self.program.layout(result) else {
            // A tile without axes may stand for a uniform value.
            let same = match self.value(x)? {
                Value::Uniform(name) => name,
                Value::Tile(tile) => tile.register(&mut self.text, elem, 0),
            };
            self.set(result, Value::Uniform(same));
            return Ok(());
        };
        let registers = to.count(Place::Register) as usize;
        let tile = match self.value(x)? {
            Value::Uniform(name) => {
                self.set_registers(result, vec![name; registers]);
                return Ok(());
            }
            Value::Tile(tile) => tile,
        };
        let from = self.layout(x)?;
        let made = match how {
            Conversion::Free => match same_registers(from, to) {
                Some(map) => tile.mapped(&mut self.text, elem, &map),
                None => {
                    return Err(self.unsupported("a free conversion between threads"));
                }
            },
            Conversion::Plan(Plan::Same, _) => tile,
            Conversion::Plan(Plan::Registers(map), _) => tile.mapped(&mut self.text, elem, map),
            Conversion::Plan(Plan::Shuffles(shuffles), _) => {
                self.shuffle(&tile, elem, shuffles, registers)
            }
            Conversion::Plan(Plan::Shared(exchange), through) => {
                let through = through
                    .ok_or_else(|| self.unsupported("an exchange without its shared memory"))?;
                self.exchange(&tile, elem, (from, to), exchange, through)?
            }
        };
        self.set(result, Value::Tile(made));
        Ok(())
    }

    /// Stores, a meeting, loads, a meeting: the buffer is free again.
    fn exchange(
        &mut self,
        tile: &Tile,
        elem: DType,
        (from, to): (&Layout<Axis>, &Layout<Axis>),
        exchange: &Exchange<Axis>,
        through: Buf,
    ) -> Result<Tile> {
        let data = &self.program.buffers[through];
        if exchange.buffer.bytes() > data.buffer.bytes() * data.slots {
            return Err(self.unsupported(format!("{through} is too small for an exchange")));
        }
        let first_byte = data.offset;
        self.put_at(tile, elem, from, &exchange.buffer, first_byte, None);
        self.meet(exchange.sync);
        let made = match &exchange.load {
            Load::Vectors => self.get_at(elem, to, &exchange.buffer, first_byte, None),
            Load::Ldmatrix(load) => {
                let source = Source::ldmatrix(self, load, to, &exchange.buffer, first_byte, None);
                match source {
                    Some(mut source) => {
                        fragment_tile(self, &mut source, elem, to.count(Place::Register))
                    }
                    None => self.get_at(elem, to, &exchange.buffer, first_byte, None),
                }
            }
        };
        self.meet(exchange.sync);
        Ok(made)
    }

    fn meet(&mut self, sync: Sync) {
        match sync {
            Sync::Warp => self.warp_barrier(),
            Sync::Cta => self.barrier(),
        }
    }
}

/// For each register of `to`, the register of `from` that holds the same element in thread 0; `None` if some is not there.
fn same_registers(from: &Layout<Axis>, to: &Layout<Axis>) -> Option<Vec<u32>> {
    use tilec_layout::Position;
    let at =
        |layout: &Layout<Axis>, register| layout.at(Position { register, ..Position::default() });
    let own: Vec<_> = (0..from.count(Place::Register)).map(|r| at(from, r)).collect();
    (0..to.count(Place::Register))
        .map(|register| {
            let wanted = at(to, register);
            own.iter().position(|have| *have == wanted).map(|found| found as u32)
        })
        .collect()
}
