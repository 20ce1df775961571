//! Broken text is refused with its line and broken programs are reported; neither may panic.

#[path = "support/suite.rs"]
#[allow(dead_code)]
mod suite;

use suite::Suite;
use tilec_ptxsim::*;

fn texts() -> Vec<(std::path::PathBuf, String)> {
    let mut out = vec![];
    for folder in ["ops", "checks"] {
        let root = format!("{}/tests/suite/{folder}", env!("CARGO_MANIFEST_DIR"));
        for entry in std::fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            out.push((path, text));
        }
    }
    out.sort();
    out
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % n.max(1)
    }
}

#[test]
fn text_cut_anywhere_is_parsed_or_refused() {
    for (_, text) in texts() {
        let code = text.find(".version").unwrap();
        for at in (code..text.len()).filter(|at| text.is_char_boundary(*at)).step_by(3) {
            if let Err(e) = Module::parse(&text[..at]) {
                assert!(e.line as usize <= text.lines().count() + 1, "{e}");
            }
        }
    }
}

/// Words exchanged between places of one file: mostly refused, sometimes a program, and then a strange one.
#[test]
fn shuffled_words_neither_parse_nor_run_into_a_panic() {
    let mut random = Random(5);
    let (mut ran, mut refused) = (0, 0);
    for (path, text) in texts() {
        let file = Suite::read(&path);
        let start = text.rfind("{\n\t.reg").unwrap() + 2;
        let words: Vec<&str> =
            text[start..].split_inclusive([' ', '\t', '\n', ',', ';', '.']).collect();
        for _ in 0..60 {
            let mut words = words.clone();
            for _ in 0..1 + random.below(3) {
                let (from, to) = (random.below(words.len()), random.below(words.len()));
                words[to] = words[from];
            }
            let Ok(module) = Module::parse(&format!("{}{}", &text[..start], words.concat())) else {
                refused += 1;
                continue;
            };
            let config = Config { step_limit: 2000, counters: Counters::Full, ..Config::default() };
            let seed = random.below(1000) as u64;
            if let Ok(outcome) = simulate(
                &module,
                &file.launch,
                &Config { schedule: Schedule::Random(seed), ..config },
            ) {
                let json = to_json(&outcome.findings);
                assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
                ran += 1;
            }
        }
    }
    assert!(ran > 500 && refused > 500, "{ran} ran, {refused} refused");
}

#[test]
fn hostile_text_is_refused() {
    let kernel = |body: &str| {
        format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{{\n{body}\n}}\n"
        )
    };
    for (body, line) in [
        (".shared .align 3 .b8 x[4];", 5),
        (".local .b8 x[99999999999];", 5),
        (".reg .b32 %a;\nmov.b32 %a, %missing;", 6),
        ("bra NOWHERE;", 5),
        (".reg .b32 %a;\n.reg .b32 %a;", 6),
        ("add.u32 %a;", 5),
        ("{{{{{{{{", 6),
        (".reg .b64 %a;\ncp.async.cg.shared.global [%a], [%a], 8;", 6),
        ("X:\nX:\nret;", 6),
        ("call f, ();", 5),
    ] {
        match Module::parse(&kernel(body)) {
            Ok(module) => panic!("`{body}` was accepted: {} kernels", module.kernels().len()),
            Err(e) => assert!(
                e.line >= line && e.line as usize <= 7 + body.lines().count(),
                "`{body}`: {e}"
            ),
        }
    }
}

#[test]
fn launches_that_do_not_fit_the_kernel_are_refused() {
    let text = ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p, .param .u32 n)\n.reqntid 64, 1, 1\n{\n\tret;\n}\n";
    let module = Module::parse(text).unwrap();
    let good = Launch {
        entry: "k".into(),
        grid: [1; 3],
        block: [64, 1, 1],
        dynamic_shared_bytes: 0,
        args: vec![Arg::u64(0), Arg::u32(0)],
        buffers: vec![],
        shared_regions: vec![],
    };
    let refusal = |launch: &Launch| {
        simulate(&module, launch, &Config::default()).err().map(|e| e.to_string())
    };
    assert_eq!(refusal(&good), None);
    for (launch, words) in [
        (Launch { entry: "q".into(), ..good.clone() }, "no entry `q`"),
        (Launch { block: [32, 1, 1], ..good.clone() }, "requires blocks of"),
        (Launch { grid: [0, 1, 1], ..good.clone() }, "a grid of"),
        (Launch { grid: [1, 70000, 1], ..good.clone() }, "a grid of"),
        (Launch { dynamic_shared_bytes: 1 << 20, ..good.clone() }, "bytes of shared memory"),
        (Launch { args: vec![Arg::u64(0)], ..good.clone() }, "2 parameters"),
        (Launch { args: vec![Arg::u64(0), Arg::u64(0)], ..good.clone() }, "has 8 bytes"),
        (Launch { args: vec![Arg::buffer(3), Arg::u32(0)], ..good.clone() }, "buffer 3"),
    ] {
        let message = refusal(&launch).unwrap_or_else(|| panic!("{words}: accepted"));
        assert!(message.contains(words), "{message}");
    }
}

/// What is close to a known form and is not one.
#[test]
fn unknown_forms_are_refused_with_their_line() {
    let declared = ".reg .pred %p;\n.reg .b16 %h;\n.reg .b32 %r, %s, %t;\n.reg .b64 %d, %e;\n.shared .align 16 .b8 box[64];\nT: .branchtargets L;\n";
    for (statement, words) in [
        ("add.sat.s32 %r, %s, %t", "unknown opcode `add.sat.s32`"),
        ("add.rna.f32 %r, %s, %t", "unknown opcode"),
        ("add.rn.bf16 %h, %h, %h", "`add.rn.bf16` needs sm_90, and the module is for sm_80"),
        ("cvt.rn.tf32.f32 %r, %s", "needs sm_90"),
        ("ex2.approx.ftz.f16 %h, %h", "unknown opcode"),
        ("setp.lt.b32 %p, %r, %s", "unknown opcode"),
        ("setp.hi.s32 %p, %r, %s", "unknown opcode"),
        ("selp.f16 %h, %h, %h, %p", "unknown opcode"),
        ("mov.u64 %d, %laneid", "32-bit value"),
        ("atom.global.add.s64 %d, [%d], %e", "unknown opcode"),
        ("ld.global.v8.b32 {%r, %r, %r, %r, %r, %r, %r, %r}, [%d]", "8 elements"),
        ("fma.f32 %r, %s, %t, %t", "unknown opcode"),
        ("fma.rn.f64 %d, %d, %e", "operands"),
        ("add.rz.f64 %d, %d, %e", "unknown opcode"),
        ("div.f32 %r, %s, %t", "unknown opcode"),
        ("div.rn.f32 %r, %s", "operands"),
        ("sin.approx.f16 %h, %h", "unknown opcode"),
        ("lop3.b32 %r, %s, %t, %t, 256", "0 to 255"),
        ("prmt.b32.f4e %r, %s, %t, 0", "unknown opcode"),
        ("setp.lt.f32 %p, %r, %s, %t", "operands"),
        ("setp.lo.f32 %p, %r, %s", "unknown opcode"),
        ("setp.num.s32 %p, %r, %s", "unknown opcode"),
        ("testp.finite.f64 %p, %d", "unknown opcode"),
        ("cvt.f16.f32 %h, %r", "unknown opcode"),
        ("cvt.rn.f32.f16 %r, %h", "unknown opcode"),
        ("cvt.s32.f32 %r, %s", "unknown opcode"),
        ("cvt.rz.f64.u64 %d, %e", "unknown opcode"),
        ("cvt.rm.f16x2.f32 %r, %s, %t", "unknown opcode"),
        ("cvt.rp.tf32.f32 %r, %s", "needs sm_90"),
        ("selp.b8 %r, %s, %t, %p", "unknown opcode"),
        ("slct.b32.f64 %r, %s, %t, %d", "unknown opcode"),
        ("mov.b128 %d, %e", "unknown opcode"),
        ("mov.b32 %r, %d", ""),
        ("mov.b32 %r, %tid", ""),
        ("ld.global.b128 %d, [%d]", ""),
        ("ld.global.b64 %r, [%d]", "narrower"),
        ("ld.shared::cluster.b32 %r, [%d]", "unknown opcode"),
        ("st.const.b32 [%d], %r", "cannot be stored to"),
        ("st.global.b32 [%q], %r", "not declared"),
        ("atom.global.add.b32 %r, [%d], %s", "unknown opcode"),
        ("atom.local.add.u32 %r, [%d], %s", "global and shared"),
        ("atom.global.cas.b32 %r, [%d], %s", "operands"),
        ("fence.proxy.async", "unknown opcode"),
        ("cvta.to.u64 %d, %e", "unknown opcode"),
        ("cp.async.cg.shared.global [%d], [%e], 8", "4, 8 or 16"),
        ("cp.async.bulk.shared.global [%d], [%e], 16", "unknown opcode"),
        ("cp.async.wait_group %r", "constant"),
        ("cp.async.wait_group -1", "counts groups"),
        ("bar.sync", "a barrier has"),
        ("bar.arrive 0", "a barrier has"),
        ("bar.red.xor.pred %p, 0, %p", "unknown opcode"),
        ("shfl.bfly.b32 %r, %s, 1, 31", "unknown opcode"),
        ("shfl.sync.down.b64 %d, %e, 1, 31, -1", "unknown opcode"),
        ("vote.ballot.b32 %r, %p", "unknown opcode"),
        ("redux.sync.xor.u32 %r, %s, -1", "unknown opcode"),
        ("ldmatrix.sync.aligned.m8n8.x3.shared.b16 {%r, %s, %t}, [%d]", "unknown opcode"),
        ("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r}, [%d]", ""),
        (
            "mma.sync.aligned.m16n8k16.row.row.f32.f16.f16.f32 {%r,%r,%r,%r}, {%r,%r,%r,%r}, {%r,%r}, {%r,%r,%r,%r}",
            "unknown opcode",
        ),
        (
            "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r,%r,%r,%r}, {%r,%r,%r,%r}, {%r,%r}, {%r,%r,%r,%r}",
            "unknown opcode",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r,%r,%r}, {%r,%r,%r,%r}, {%r,%r}, {%r,%r,%r,%r}",
            "",
        ),
        ("bra L, M", "one label"),
        ("bra M", "no label `M`"),
        ("brx.idx %r, U", "branchtargets"),
        ("call f", "no body"),
        ("call %d, ()", "register"),
        ("@%r add.u32 %r, %s, %t", ""),
        ("@%q add.u32 %r, %s, %t", ""),
        ("wgmma.fence.sync.aligned", "unknown opcode"),
    ] {
        let text = format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{{\n{declared}{statement};\nL:\nret;\n}}\n"
        );
        let line = 6 + declared.lines().count() as u32;
        match Module::parse(&text) {
            Ok(_) => panic!("`{statement}` was accepted"),
            Err(e) => {
                assert_eq!(e.line, line, "`{statement}`: {e}");
                assert!(e.message.contains(words), "`{statement}`: {e}");
            }
        }
    }
}
