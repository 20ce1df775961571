//! What all warps of a CTA share, and the making of reports.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::finding::{Code, Finding, Sink, Site, SourcePos, Span};
use crate::lanes::{Kernels, Place};
use crate::launch::{Checks, Config, Counters, SharedRegion};
use crate::memory::global::{GlobalMemory, Miss};
use crate::memory::order::Mark;
use crate::memory::shadow::{Acquired, Conflict, Visitor};
use crate::memory::shared::{Clash, SharedMemory};
use crate::program::*;
use crate::stats::Tally;

use super::barrier::BarrierState;
use super::warp::Warp;

/// Everything a launch's workers read and only memory changes.
pub struct Device<'m> {
    pub kernel: &'m Kernel,
    pub files: &'m BTreeMap<u32, String>,
    pub config: Config,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared_bytes: u32,
    pub shared_bytes: usize,
    pub regions: &'m [SharedRegion],
    pub params: Vec<u8>,
    pub global: GlobalMemory,
    pub kernels: Kernels,
    /// For each synchronising address, what the CTAs that released there had done.
    pub releases: Mutex<BTreeMap<u64, Acquired>>,
}

impl Device<'_> {
    pub fn coordinates(&self, linear: u32) -> [u32; 3] {
        let [x, y, _] = self.grid;
        [linear % x, linear / x % y, linear / x / y]
    }
}

/// The shared state of a CTA.
pub struct Core<'d> {
    pub device: &'d Device<'d>,
    pub shared: SharedMemory,
    pub sink: Sink,
    pub tally: Tally,
    /// Linear CTA index.
    pub cta: u32,
    pub barriers: [BarrierState; 16],
    pub acquired: Acquired,
    pub full_counts: bool,
    /// Whether changes are noted, and but for which lines.
    pub tracing: Option<[(u32, u32); 2]>,
    pub checks: bool,
}

impl<'d> Core<'d> {
    pub fn new(device: &'d Device<'d>, num_warps: usize) -> Core<'d> {
        let checks = device.config.checks == Checks::All;
        let counters = device.config.counters;
        Core {
            device,
            shared: SharedMemory::new(device.shared_bytes, num_warps, checks),
            sink: Sink::new(device.config.max_findings),
            tally: Tally::new(device.kernel.code.len(), counters),
            cta: 0,
            barriers: std::array::from_fn(|_| BarrierState::default()),
            acquired: Acquired::new(),
            full_counts: counters == Counters::Full,
            tracing: match counters {
                Counters::Changes { except } => Some(except),
                Counters::Steps | Counters::Full => None,
            },
            checks,
        }
    }

    pub fn begin(&mut self, cta: u32) {
        self.cta = cta;
        self.shared.reset();
        self.barriers = std::array::from_fn(|_| BarrierState::default());
        self.acquired.clear();
    }

    pub fn place(&self, warp: u32, num_warps: u32) -> Place {
        Place {
            warp,
            num_warps,
            block: self.device.block,
            cta: self.device.coordinates(self.cta),
            grid: self.device.grid,
            dynamic_shared_bytes: self.device.dynamic_shared_bytes,
            total_shared_bytes: self.device.shared_bytes as u32,
            numerics: self.device.config.numerics,
        }
    }

    pub fn visitor(&self) -> Visitor<'_> {
        Visitor { cta: self.cta, acquired: &self.acquired }
    }

    /// A site of this CTA.
    pub fn site(&self, role: &'static str, mark: Mark) -> Site {
        self.site_of(role, self.cta, mark)
    }

    fn site_of(&self, role: &'static str, cta: u32, mark: Mark) -> Site {
        let site = &self.device.kernel.sites[mark.pc as usize];
        let source = site.loc.map(|loc| SourcePos {
            file: self
                .device
                .files
                .get(&loc.file)
                .cloned()
                .unwrap_or_else(|| format!("file {}", loc.file)),
            line: loc.line,
            column: loc.column,
        });
        Site {
            role,
            cta: self.device.coordinates(cta),
            warp: mark.warp,
            lane: mark.lane,
            ptx_line: site.line,
            ptx: site.text.clone(),
            source,
        }
    }

    /// Records a finding at an instruction of `warp`.
    #[cold]
    pub fn report(&mut self, warp: &Warp, code: Code, lane: Option<u32>, details: Details) {
        let pc = details.pc.unwrap_or(warp.pc);
        let mark = Mark { warp: warp.index, lane, pc };
        let other = details.other.map_or(NOWHERE, |(_, _, m)| m.pc);
        if self.sink.bump(code, pc, other) {
            return;
        }
        let mut sites = vec![self.site(details.role, mark)];
        if let Some((role, cta, mark)) = details.other {
            sites.push(self.site_of(role, cta, mark));
        }
        let finding = Finding {
            code,
            kernel: self.device.kernel.name.clone(),
            cta: self.device.coordinates(self.cta),
            barriers: warp.barriers,
            message: details.message,
            sites,
            span: details.span,
            help: details.help,
            count: 1,
        };
        self.sink.add(code, pc, other, self.cta as u64, finding);
    }

    /// Reports a clash in shared memory.
    #[cold]
    pub fn shared_clash(
        &mut self,
        warp: &Warp,
        lane: Option<u32>,
        role: &'static str,
        at: usize,
        bytes: usize,
        clash: Clash,
    ) {
        let cta = self.cta;
        let span = Some(self.shared_span(at as i64, bytes as u64));
        let is_copy =
            |m: &Mark| matches!(self.device.kernel.code[m.pc as usize].op, Op::CpAsync { .. });
        let (code, message, other, help) = match clash {
            Clash::Uninit => (
                Code::UninitShared,
                format!("{role} of shared memory that nothing has written"),
                None,
                None,
            ),
            Clash::InFlight(m) => (
                Code::InFlight,
                format!("{role} of bytes that an asynchronous copy has not finished writing"),
                Some(("copy", cta, m)),
                Some("the thread that issued the copy has to execute cp.async.wait_group first, and a barrier has to follow".to_string()),
            ),
            Clash::AfterWrite(m) => (
                Code::Race,
                format!("shared memory {role} races with a {}", if is_copy(&m) { "copy" } else { "write" }),
                Some((if is_copy(&m) { "copy" } else { "write" }, cta, m)),
                Some(if is_copy(&m) {
                    "the copy's owner has waited for it, but no barrier makes it visible to this warp".to_string()
                } else {
                    "no barrier orders the two; one belongs between them".to_string()
                }),
            ),
            Clash::AfterRead(m) => (
                Code::Race,
                format!("shared memory {role} races with an earlier read"),
                Some(("read", cta, m)),
                Some("a barrier belongs between the read and this instruction".to_string()),
            ),
        };
        self.report(warp, code, lane, Details { role, message, other, span, help, pc: None });
    }

    /// Reports unordered accesses to global memory.
    #[cold]
    pub fn global_conflict(
        &mut self,
        warp: &Warp,
        lane: u32,
        role: &'static str,
        at: Region,
        c: Conflict,
    ) {
        let other_role = if c.wrote { "write" } else { "read" };
        let whose = match (c.several, c.cta == self.cta) {
            // The shadow keeps one reader and the fact that there were more.
            (true, _) => "several threads, of which this is the last",
            (false, true) => "another thread of this CTA",
            (false, false) => "another CTA",
        };
        let details = Details {
            role,
            message: format!("global memory {role} races with a {other_role} by {whose}"),
            other: Some((other_role, c.cta, c.mark)),
            span: Some(self.global_span(at.buffer, at.start as i64, at.bytes)),
            help: None,
            pc: None,
        };
        self.report(warp, Code::GlobalRace, Some(lane), details);
    }

    /// Reports an address that does not reach global memory.
    #[cold]
    pub fn global_miss(
        &mut self,
        warp: &Warp,
        lane: u32,
        role: &'static str,
        bytes: u64,
        miss: Miss,
    ) {
        let (code, message, span) = match miss {
            Miss::Outside(Some(index), at) => {
                let buffer = self.device.global.buffer(index);
                let (name, size) = (&buffer.name, buffer.bytes);
                let side = if at < 0 {
                    format!("{} bytes before `{name}`", -at)
                } else {
                    format!("at byte {at} of `{name}`, which has {size} bytes")
                };
                (
                    Code::OutOfBounds,
                    format!("{bytes}-byte {role} {side}"),
                    Some(self.global_span(index, at, bytes)),
                )
            }
            Miss::Outside(None, at) => (
                Code::OutOfBounds,
                format!("{bytes}-byte {role} at {:#x}, which is in no buffer", at),
                None,
            ),
            Miss::Gap(index, at) => {
                let name = &self.device.global.buffer(index).name;
                let message = format!(
                    "{bytes}-byte {role} at byte {at} of `{name}`, between the elements of its view"
                );
                (Code::Gap, message, Some(self.global_span(index, at as i64, bytes)))
            }
            Miss::Misaligned(index, at) => {
                let name = &self.device.global.buffer(index).name;
                let message = format!(
                    "{bytes}-byte {role} at byte {at} of `{name}` is not aligned to {bytes} bytes"
                );
                (Code::Misaligned, message, Some(self.global_span(index, at as i64, bytes)))
            }
        };
        self.report(
            warp,
            code,
            Some(lane),
            Details { role, message, other: None, span, help: None, pc: None },
        );
    }

    /// A finding without a second site.
    #[cold]
    pub fn simple(
        &mut self,
        warp: &Warp,
        code: Code,
        lane: Option<u32>,
        role: &'static str,
        message: String,
    ) {
        self.report(
            warp,
            code,
            lane,
            Details { role, message, other: None, span: None, help: None, pc: None },
        );
    }

    /// A shared access that needed more wavefronts than its bytes demand.
    #[inline(always)]
    pub fn bank_warning(&mut self, warp: &Warp, actual: u64, ideal: u64) {
        if actual > ideal {
            let message = format!("{actual} wavefronts where {ideal} would do");
            self.simple(warp, Code::Bank, None, "access", message);
        }
    }

    pub fn global_span(&self, buffer: usize, start: i64, bytes: u64) -> Span {
        let buffer = self.device.global.buffer(buffer);
        Span {
            space: "global",
            name: buffer.name.clone(),
            start,
            bytes,
            element: Some(buffer.describe(start)),
        }
    }

    /// Names bytes of shared memory by the launch's regions, or by the PTX variable.
    pub fn shared_span(&self, at: i64, bytes: u64) -> Span {
        for r in self.device.regions {
            let Some(inside) = u64::try_from(at).ok().and_then(|a| a.checked_sub(r.offset)) else {
                continue;
            };
            let (stage_bytes, row_bytes, elem) =
                (r.stage_bytes.max(1), r.row_bytes.max(1), r.elem_bytes.max(1));
            if inside >= stage_bytes * r.stages.max(1) {
                continue;
            }
            let (stage, in_stage) = (inside / stage_bytes, inside % stage_bytes);
            let (row, col) = (in_stage / row_bytes, in_stage % row_bytes / elem);
            let last = col + bytes.div_ceil(elem);
            let mut element = format!("row {row}, columns {col}..{last}");
            if r.stages > 1 {
                element = format!("stage {stage} of {}, {element}", r.stages);
            }
            return Span {
                space: "shared",
                name: r.name.clone(),
                start: inside as i64,
                bytes,
                element: Some(element),
            };
        }
        let variables = &self.device.kernel.shared;
        let owner = variables.iter().rev().find(|v| {
            let end = v.bytes.map_or(i64::MAX, |b| (v.offset + b) as i64);
            at >= v.offset as i64 && at < end
        });
        match owner {
            Some(v) => Span {
                space: "shared",
                name: v.name.clone(),
                start: at - v.offset as i64,
                bytes,
                element: None,
            },
            None => Span {
                space: "shared",
                name: "shared memory".into(),
                start: at,
                bytes,
                element: None,
            },
        }
    }
}

/// Bytes of a buffer.
#[derive(Clone, Copy)]
pub struct Region {
    pub buffer: usize,
    pub start: u64,
    pub bytes: u64,
}

/// The parts of a report that depend on its kind.
pub struct Details {
    pub role: &'static str,
    pub message: String,
    /// Role, CTA and mark of the other access.
    pub other: Option<(&'static str, u32, Mark)>,
    pub span: Option<Span>,
    pub help: Option<String>,
    /// The instruction, if not the warp's present one.
    pub pc: Option<Pc>,
}
