//! Schedules and deliveries: they differ where a program lets them, a correct program cannot tell, and a racy one is found
//! under each.

#[path = "support/suite.rs"]
#[allow(dead_code)]
mod suite;

#[path = "support/attention.rs"]
#[allow(dead_code)]
mod attention;

use std::collections::BTreeSet;

use attention::Attention;
use suite::Suite;
use tilec_ptxsim::*;

/// Warps and CTAs append their number to a list, by an atomic: the list is the schedule.
const ORDER: &str = ".version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 count, .param .u64 order)
{
	.reg .pred %c;
	.reg .b32 %t, %w, %b, %n, %i;
	.reg .b64 %p, %o;
	mov.u32 %t, %laneid;
	setp.ne.u32 %c, %t, 0;
	@%c exit;
	ld.param.u64 %p, [count];
	ld.param.u64 %o, [order];
	mov.u32 %w, %tid.x;
	shr.u32 %w, %w, 5;
	mov.u32 %b, %ctaid.x;
	mad.lo.u32 %w, %b, 10, %w;
	mov.b32 %i, 0;
AGAIN:
	atom.global.add.u32 %n, [%p], 1;
	mul.wide.u32 %p, %n, 4;
	add.u64 %p, %p, %o;
	st.global.b32 [%p], %w;
	ld.param.u64 %p, [count];
	add.u32 %i, %i, 1;
	setp.lt.u32 %c, %i, 20;
	@%c bra AGAIN;
	ret;
}
";

fn order(schedule: Schedule) -> Vec<u32> {
    let count =
        Buffer { direction: Direction::InOut, ..Buffer::input("count", Elem::U32, vec![0; 4]) };
    let launch = Launch {
        entry: "k".into(),
        grid: [2, 1, 1],
        block: [96, 1, 1],
        dynamic_shared_bytes: 0,
        args: vec![Arg::buffer(0), Arg::buffer(1)],
        buffers: vec![count, Buffer::output("order", Elem::U32, 120)],
        shared_regions: vec![],
    };
    let module = Module::parse(ORDER).unwrap();
    let outcome = simulate(&module, &launch, &Config { schedule, ..Config::default() }).unwrap();
    assert!(outcome.is_clean(), "{schedule:?} {:?}", outcome.findings);
    let bytes = outcome.bytes_of("order").unwrap();
    bytes.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

fn repeated(warps: [u32; 6]) -> Vec<u32> {
    warps.iter().flat_map(|w| std::iter::repeat_n(*w, 20)).collect()
}

#[test]
fn each_schedule_runs_warps_in_its_order() {
    assert_eq!(order(Schedule::RoundRobin), repeated([0, 1, 2, 10, 11, 12]));
    assert_eq!(order(Schedule::Reverse), repeated([12, 11, 10, 2, 1, 0]));
    assert_eq!(order(Schedule::FarAhead(2)), repeated([2, 0, 1, 12, 10, 11]));
    let random = order(Schedule::Random(3));
    assert_eq!(random, order(Schedule::Random(3)), "a seed is a schedule");
    assert_ne!(random, order(Schedule::Random(4)));
    let switches = random.windows(2).filter(|w| w[0] != w[1]).count();
    assert!(switches > 12, "warps are interleaved finely: {switches} switches");
    let mut sorted = random;
    sorted.sort_unstable();
    assert_eq!(sorted, repeated([0, 1, 2, 10, 11, 12]));
}

fn racy(name: &str) -> Suite {
    Suite::read(std::path::Path::new(&format!(
        "{}/tests/suite/checks/{name}.ptx",
        env!("CARGO_MANIFEST_DIR")
    )))
}

#[test]
fn races_are_found_under_every_schedule_and_delivery() {
    for name in [
        "race_trips",
        "race_reuse_trips",
        "race_write_trips",
        "race_copy_trips",
        "global_race_trips",
        "inflight_trips",
    ] {
        let file = racy(name);
        let wanted: BTreeSet<&str> = file.finds.iter().map(|f| f.0.as_str()).collect();
        for schedule in Schedule::variety(20) {
            for delivery in [Delivery::Late, Delivery::Early] {
                let outcome =
                    file.run(&Config { schedule, delivery, ..Config::default() }).unwrap();
                let found = outcome.findings.iter().any(|f| wanted.contains(f.code.name()));
                assert!(found, "{name} {schedule:?} {delivery:?}");
            }
        }
    }
}

/// Without checks the two deliveries of a missing wait give different bytes: that is what the check is for.
#[test]
fn a_missing_wait_shows_in_the_bytes_when_copies_land_late() {
    let mut text = racy("inflight_trips")
        .text
        .replace("ld.shared.b32 %v, [%s];", "ld.shared.b32 %v, [%s]; st.global.b32 [%o], %v;");
    text = text.replace(".param .u64 pa", ".param .u64 pa, .param .u64 po").replace(
        "ld.param.u64 %a, [pa];",
        "ld.param.u64 %a, [pa]; ld.param.u64 %o, [po]; mad.wide.u32 %o, %t, 4, %o;",
    );
    let module = Module::parse(&text).unwrap_or_else(|e| panic!("{e}"));
    let mut launch = racy("inflight_trips").launch;
    launch.buffers.push(Buffer::output("o", Elem::U32, 8));
    launch.args.push(Arg::buffer(1));
    let run = |delivery| {
        let config = Config { delivery, checks: Checks::Structure, ..Config::default() };
        let outcome = simulate(&module, &launch, &config).unwrap();
        assert!(outcome.is_clean(), "{:?}", outcome.findings);
        outcome.bytes_of("o").unwrap()
    };
    assert_eq!(run(Delivery::Late), vec![0xff; 32]);
    let early: Vec<u8> = (0..8u32).flat_map(|t| (4 * t).to_le_bytes()).collect();
    assert_eq!(run(Delivery::Early), early);
}

/// The barrier between two uses of a stage removed from attention: found under all 20 schedules, not by luck in one.
#[test]
fn attention_without_a_barrier_is_racy_under_every_schedule() {
    let problem =
        Attention { brain: false, causal: true, heads: 1, seq: 155, d: 64, gap: 0, q_scale: 1.0 };
    let text = problem.text();
    for at in text.match_indices("\tbar.sync").map(|m| m.0) {
        let end = at + text[at..].find(';').unwrap() + 1;
        let module = Module::parse(&format!("{}{}", &text[..at], &text[end..])).unwrap();
        for schedule in Schedule::variety(20) {
            let outcome =
                simulate(&module, &problem.launch(), &Config { schedule, ..Config::default() })
                    .unwrap();
            let codes: BTreeSet<Code> = outcome.findings.iter().map(|f| f.code).collect();
            assert!(codes.contains(&Code::Race), "{schedule:?}: {codes:?}");
        }
    }
}
