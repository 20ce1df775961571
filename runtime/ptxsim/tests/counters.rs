//! Counters against hand counts: instruction mix by loop, shared wavefronts, global sectors, divergence.

use tilec_ptxsim::*;

fn run(body: &str, block: u32, shared: u32, elements: u64) -> Outcome {
    let text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.extern .shared .align 16 .b8 smem[];\n.visible .entry k(.param .u64 p)\n{{\n\t.reg .pred %c, %q;\n\t.reg .b32 %t, %i, %j, %v, %x<4>;\n\t.reg .b64 %a, %o, %s;\n\tmov.u32 %t, %tid.x;\n\tld.param.u64 %o, [p];\n\tmov.b64 %s, smem;\n{body}\tret;\n}}\n"
    );
    let module = Module::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let contents = vec![0; 4 * elements as usize];
    let launch = Launch {
        entry: "k".into(),
        grid: [1; 3],
        block: [block, 1, 1],
        dynamic_shared_bytes: shared,
        args: vec![Arg::buffer(0)],
        buffers: vec![Buffer {
            direction: Direction::InOut,
            ..Buffer::input("p", Elem::U32, contents)
        }],
        shared_regions: vec![],
    };
    let outcome =
        simulate(&module, &launch, &Config { counters: Counters::Full, ..Config::default() })
            .unwrap();
    let reports: String = outcome.findings.iter().map(|f| f.to_string()).collect();
    assert!(outcome.is_clean(), "{reports}");
    outcome
}

fn count(mix: &LoopMix, opcode: &str) -> u64 {
    mix.opcodes.iter().find(|o| o.0 == opcode).map_or(0, |o| o.1)
}

#[test]
fn the_instruction_mix_is_counted_by_innermost_loop() {
    let body = "	mov.b32 %i, 0;
OUTER:
	mov.b32 %j, 0;
INNER:
	mul.lo.u32 %v, %i, %j;
	add.u32 %j, %j, 1;
	setp.lt.u32 %c, %j, 5;
	@%c bra INNER;
	add.u32 %i, %i, 1;
	setp.lt.u32 %q, %i, 3;
	@%q bra OUTER;
";
    let stats = run(body, 64, 0, 1).stats;
    let depths: Vec<u32> = stats.loops.iter().map(|l| l.depth).collect();
    assert_eq!(
        {
            let mut d = depths.clone();
            d.sort_unstable();
            d
        },
        [0, 1, 2],
        "{stats}"
    );
    let at = |depth: u32| stats.loops.iter().find(|l| l.depth == depth).unwrap();
    // Two warps, three rounds outside, five inside.
    assert_eq!(count(at(2), "mul.lo.u32"), 2 * 3 * 5);
    assert_eq!(count(at(2), "bra"), 2 * 3 * 5);
    assert_eq!(at(2).executed, 4 * 2 * 3 * 5);
    assert_eq!(count(at(1), "mov.b32"), 2 * 3);
    assert_eq!(at(1).executed, 4 * 2 * 3);
    assert_eq!(at(0).executed, 2 * 5);
    assert_eq!(stats.warp_instructions, 120 + 24 + 10);
    assert_eq!(stats.lane_instructions, 32 * (120 + 24 + 10) - 2 * 32 * 3 - 2 * 32);
    assert!(stats.divergence.is_empty());
}

/// Wavefronts of one store of `bytes` bytes for each lane at `lane * stride`.
fn wavefronts(stride: u32, bytes: u32) -> (u64, u64) {
    let store = match bytes {
        4 => "st.shared.b32 [%s], %t;",
        8 => "st.shared.v2.b32 [%s], {%t, %t};",
        _ => "st.shared.v4.b32 [%s], {%t, %t, %t, %t};",
    };
    let body = format!("	mad.wide.u32 %s, %t, {stride}, %s;\n	{store}\n");
    run(&body, 32, 32 * stride, 1).stats.total("shared")
}

#[test]
fn shared_wavefronts_follow_the_banks() {
    // 32 banks of 4 bytes; 8-byte accesses go in halves of the warp, 16-byte ones in quarters.
    assert_eq!(wavefronts(4, 4), (1, 1));
    assert_eq!(wavefronts(8, 4), (2, 1));
    assert_eq!(wavefronts(128, 4), (32, 1));
    assert_eq!(wavefronts(132, 4), (1, 1));
    assert_eq!(wavefronts(8, 8), (2, 2));
    assert_eq!(wavefronts(16, 8), (4, 2));
    assert_eq!(wavefronts(16, 16), (4, 4));
    assert_eq!(wavefronts(128, 16), (32, 4));
}

#[test]
fn lanes_that_read_one_word_share_a_wavefront() {
    let body = "	setp.eq.u32 %c, %t, 0;\n	@%c st.shared.b32 [%s], 7;\n	bar.sync 0;\n	ld.shared.b32 %v, [%s];\n";
    let stats = run(body, 32, 16, 1).stats;
    assert_eq!(stats.total("shared"), (2, 2), "{stats}");
}

#[test]
fn ldmatrix_needs_one_wavefront_for_eight_rows_that_miss_each_other() {
    let fill = "	mov.b32 %i, 0;
FILL:
	mad.lo.u32 %v, %i, 512, 0;
	mad.lo.u32 %v, %t, 16, %v;
	cvt.u64.u32 %a, %v;
	add.u64 %a, %a, %s;
	st.shared.v4.b32 [%a], {%t, %t, %t, %t};
	add.u32 %i, %i, 1;
	setp.lt.u32 %c, %i, 8;
	@%c bra FILL;
	bar.sync 0;
";
    let load = |stride: u32| {
        let body = format!(
            "{fill}	and.b32 %v, %t, 7;\n	mad.wide.u32 %a, %v, {stride}, %s;\n	ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{%x0}}, [%a];\n"
        );
        let stats = run(&body, 32, 4096, 1).stats;
        let site = stats.traffic.iter().find(|t| t.ptx.starts_with("ldmatrix")).unwrap();
        (site.requests, site.actual, site.ideal)
    };
    assert_eq!(load(16), (1, 1, 1));
    assert_eq!(load(128), (1, 8, 1));
    assert_eq!(load(144), (1, 1, 1));
    assert_eq!(load(64), (1, 4, 1));
}

#[test]
fn global_sectors_are_32_bytes() {
    let sectors = |stride: u32, offset: u32| {
        let body =
            format!("	mad.wide.u32 %o, %t, {stride}, %o;\n	ld.global.b32 %v, [%o+{offset}];\n");
        run(&body, 32, 0, 2048).stats.total("global")
    };
    assert_eq!(sectors(4, 0), (4, 4));
    assert_eq!(sectors(4, 16), (5, 4), "half a sector off");
    assert_eq!(sectors(8, 0), (8, 4));
    assert_eq!(sectors(128, 0), (32, 4));
    assert_eq!(sectors(0, 0), (1, 1), "a broadcast");
}

#[test]
fn divergence_is_counted_at_the_branch_that_splits_the_warp() {
    let body = "	setp.lt.u32 %c, %t, 40;
	@%c bra LOW;
	add.u32 %v, %t, 1;
	bra END;
LOW:
	add.u32 %v, %t, 2;
END:
	add.u32 %v, %v, 3;
";
    let outcome = run(body, 64, 0, 1);
    let stats = &outcome.stats;
    // Warp 0 goes one way; warp 1 splits once, into eight lanes and twenty-four.
    assert_eq!(stats.divergence.len(), 1);
    assert_eq!(stats.divergence[0].1, 1);
    let text = stats.to_string();
    assert!(
        text.contains(&format!("divergence: ptx:{} split a warp 1 times", stats.divergence[0].0)),
        "{text}"
    );
    // Seven before and after for each warp, one or two in between for warp 0 and three for warp 1.
    assert_eq!(stats.warp_instructions, (3 + 2 + 1 + 1 + 1) + (3 + 2 + 2 + 1 + 1 + 1));
}
