//! The attention kernels of `tests/attention`: launches, inputs, and an f64 oracle.

use tilec_ptxsim::*;

/// One attention problem for one of the stored kernels.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    pub brain: bool,
    pub causal: bool,
    pub heads: usize,
    pub seq: usize,
    pub d: usize,
    /// Elements between two heads of q, k, v and o: no kernel may touch them.
    pub gap: usize,
    /// Factor on q: at 16, scores span hundreds, and a wrong row maximum overflows or underflows.
    pub q_scale: f32,
}

/// What a launch should have computed.
pub struct Reference {
    pub out: Vec<f64>,
    /// Base-2 log-sum-exp of the scaled scores.
    pub lse: Vec<f64>,
}

impl Attention {
    /// The stored PTX for this problem.
    pub fn text(&self) -> String {
        let element = if self.brain { "bf16" } else { "f16" };
        let mask = if self.causal { "causal" } else { "full" };
        let name = format!(
            "{}/tests/attention/attn_{element}_{mask}_d{}.ptx",
            env!("CARGO_MANIFEST_DIR"),
            self.d
        );
        std::fs::read_to_string(&name).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn encode(&self, x: f32) -> u16 {
        if self.brain {
            half::bf16::from_f32(x).to_bits()
        } else {
            half::f16::from_f32(x).to_bits()
        }
    }

    fn decode(&self, bits: u16) -> f64 {
        if self.brain {
            half::bf16::from_bits(bits).to_f64()
        } else {
            half::f16::from_bits(bits).to_f64()
        }
    }

    /// Inputs in [-2, 2), q in [-2, 2) * q_scale, already rounded to the element type.
    fn input(&self, seed: u64) -> Vec<u16> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 * 2.0 - 2.0
        };
        let scale = if seed == 1 { self.q_scale } else { 1.0 };
        (0..self.heads * self.seq * self.d).map(|_| self.encode(next() * scale)).collect()
    }

    /// Elements from one head to the next.
    fn stride(&self) -> usize {
        self.seq * self.d + self.gap
    }

    /// `x` with NaN in the gaps.
    fn spread(&self, x: Vec<u16>) -> Vec<u8> {
        let mut out = vec![0xffffu16; self.heads * self.stride()];
        for (head, rows) in x.chunks_exact(self.seq * self.d).enumerate() {
            out[head * self.stride()..][..rows.len()].copy_from_slice(rows);
        }
        out.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// The launch, with fresh inputs and poisoned outputs.
    pub fn launch(&self) -> Launch {
        let elem = if self.brain { Elem::Bf16 } else { Elem::F16 };
        let shape = [self.heads as u64, self.seq as u64, self.d as u64];
        let mut buffers: Vec<Buffer> = (0..3)
            .map(|i| Buffer::input(["q", "k", "v"][i], elem, self.spread(self.input(i as u64 + 1))))
            .collect();
        buffers.push(Buffer::output("o", elem, (self.heads * self.stride()) as u64));
        buffers.push(Buffer::output("lse", Elem::F32, shape[0] * shape[1]));
        for b in &mut buffers[..4] {
            let strides = vec![self.stride() as u64, self.d as u64, 1];
            b.view = Some(View { shape: shape.to_vec(), strides, offset: 0 });
        }
        buffers[4].view = Some(View::contiguous(&shape[..2]));
        let tile = 64 * self.d as u64 * 2;
        let region = |name: &str, offset, stages| SharedRegion {
            name: name.into(),
            offset,
            stage_bytes: tile,
            stages,
            row_bytes: 2 * self.d as u64,
            elem_bytes: 2,
        };
        let mut args: Vec<Arg> = (0..5).map(Arg::buffer).collect();
        args.push(Arg::u32(self.seq as u32));
        args.push(Arg::u64(self.stride() as u64));
        args.push(Arg::f32(self.scale() as f32));
        Launch {
            entry: "attn".into(),
            grid: [self.seq.div_ceil(64) as u32, self.heads as u32, 1],
            block: [128, 1, 1],
            dynamic_shared_bytes: 5 * tile as u32,
            args,
            buffers,
            shared_regions: vec![region("q", 0, 1), region("k", tile, 2), region("v", 3 * tile, 2)],
        }
    }

    fn scale(&self) -> f64 {
        std::f64::consts::LOG2_E / (self.d as f64).sqrt()
    }

    /// Attention in f64, of the rounded inputs.
    pub fn reference(&self) -> Reference {
        let [q, k, v] =
            [1, 2, 3].map(|s| self.input(s).iter().map(|x| self.decode(*x)).collect::<Vec<f64>>());
        let (d, seq) = (self.d, self.seq);
        let scale = (self.scale() as f32) as f64;
        let (mut out, mut lse) = (vec![], vec![]);
        for row in 0..self.heads * seq {
            let (head, i) = (row / seq, row % seq);
            let visible = if self.causal { i + 1 } else { seq };
            let key = |j: usize| (head * seq + j) * d;
            let dot =
                |j: usize| (0..d).map(|x| q[row * d + x] * k[key(j) + x]).sum::<f64>() * scale;
            let s: Vec<f64> = (0..visible).map(dot).collect();
            let top = s.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = s.iter().map(|x| (x - top).exp2()).sum();
            lse.push(top + sum.log2());
            for x in 0..d {
                let acc: f64 =
                    s.iter().enumerate().map(|(j, s)| (s - top).exp2() * v[key(j) + x]).sum();
                out.push(acc / sum);
            }
        }
        Reference { out, lse }
    }

    /// Compares a launch's outputs, given by name, with the oracle. `NaN` and missing values fail.
    ///
    /// The bound on `o`: probabilities and outputs are rounded to the element type (unit roundoff u, |v| <= 2), so an
    /// element is off by at most about 2u from each, plus the f32 accumulation, which is far smaller: 6u in all.
    // The negated comparison is what makes NaN fail.
    #[allow(clippy::neg_cmp_op_on_partial_ord)]
    pub fn check(
        &self,
        bytes_of: impl Fn(&str) -> Option<Vec<u8>>,
        reference: &Reference,
    ) -> Result<f64, String> {
        let o = bytes_of("o").ok_or("no output `o`")?;
        let lse = bytes_of("lse").ok_or("no output `lse`")?;
        let u = if self.brain { 1.0 / 256.0 } else { 1.0 / 2048.0 };
        let mut worst = 0.0f64;
        let per_head = self.seq * self.d;
        let elements =
            (0..self.heads * per_head).map(|i| 2 * (i / per_head * self.stride() + i % per_head));
        let inside = elements.map_while(|at| o.get(at..at + 2));
        for (i, (chunk, expected)) in inside.zip(&reference.out).enumerate() {
            let got = self.decode(u16::from_le_bytes([chunk[0], chunk[1]]));
            let error = (got - expected).abs();
            if !(error <= 6.0 * u) {
                return Err(format!("o[{i}] is {got}, should be {expected}"));
            }
            worst = worst.max(error);
        }
        for (i, (chunk, expected)) in lse.chunks_exact(4).zip(&reference.lse).enumerate() {
            let got = f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]) as f64;
            let error = (got - expected).abs();
            if !(error <= 1e-4) {
                return Err(format!("lse[{i}] is {got}, should be {expected}"));
            }
        }
        if o.len() != self.heads * self.stride() * 2 || lse.len() != reference.lse.len() * 4 {
            return Err("an output has the wrong size".into());
        }
        Ok(worst)
    }
}
