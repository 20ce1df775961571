//! What counts as a change, and that the digest tells texts apart that differ in effect, and only those.

use tilec_ptxsim::{
    Arg, Buffer, Changes, Config, Counters, Elem, Launch, Module, Schedule, simulate,
};

/// Two warps; each line that follows is one whose effect a test asks for.
const TEXT: &str = ".version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 a, .param .u64 o, .param .u32 n)
{
.shared .align 16 .b8 box[1024];
.reg .pred %p;
.reg .b32 %t, %n, %s, %v, %w;
.reg .b64 %a, %o;
ld.param.u64 %a, [a];
ld.param.u64 %o, [o];
ld.param.u32 %n, [n];
mov.u32 %t, %tid.x;
mov.u32 %s, box;
mad.lo.u32 %s, %t, 16, %s;
mad.wide.u32 %a, %t, 16, %a;
setp.lt.u32 %p, %t, %n;
cp.async.commit_group;
@%p cp.async.cg.shared.global [%s], [%a], 16;
cp.async.commit_group;
cp.async.wait_group 1;
cp.async.wait_group 0;
bar.sync 0;
mov.u32 %v, 7;
@%p ld.shared.b32 %v, [%s];
max.u32 %w, %v, 0;
min.u32 %w, %w, %v;
@%p bra SMALL;
add.u32 %w, %w, 1;
SMALL:
mad.wide.u32 %o, %t, 4, %o;
st.global.b32 [%o], %w;
ret;
}
";

/// The changes of a launch in which `n` threads copy.
fn changes(text: &str, n: u32, schedule: Schedule) -> Changes {
    but_for(text, n, schedule, [(0, 0); 2])
}

/// The same, lines left out of the digest.
fn but_for(text: &str, n: u32, schedule: Schedule, except: [(u32, u32); 2]) -> Changes {
    let module = Module::parse(text).expect("PTX");
    let launch = Launch {
        entry: "k".into(),
        grid: [2, 1, 1],
        block: [64, 1, 1],
        dynamic_shared_bytes: 0,
        args: vec![Arg::buffer(0), Arg::buffer(1), Arg::u32(n)],
        buffers: vec![
            Buffer::input("a", Elem::U32, (0..=255).flat_map(|v: u32| v.to_le_bytes()).collect()),
            Buffer {
                direction: tilec_ptxsim::Direction::Scratch,
                ..Buffer::output("o", Elem::U32, 64)
            },
        ],
        shared_regions: vec![],
    };
    let config = Config { counters: Counters::Changes { except }, schedule, ..Config::default() };
    simulate(&module, &launch, &config).expect("a launch").changes
}

/// Executions and effective ones of the `turn`-th statement that begins so.
fn counts(changes: &Changes, start: &str, turn: usize) -> (u64, u64) {
    let mut lines = changes.lines.values().filter(|line| line.ptx.starts_with(start));
    lines.nth(turn).map(|line| (line.executed, line.changed)).expect("such a statement")
}

#[test]
fn groups_waits_copies_and_branches_without_effect_are_told_from_those_with_one() {
    let some = changes(TEXT, 32, Schedule::RoundRobin);
    assert_eq!(counts(&some, "cp.async.commit_group", 0), (4, 0));
    assert_eq!(counts(&some, "@%p cp.async", 0), (2, 2));
    assert_eq!(counts(&some, "cp.async.commit_group", 1), (4, 2));
    assert_eq!(counts(&some, "cp.async.wait_group 1", 0), (4, 0));
    assert_eq!(counts(&some, "cp.async.wait_group 0", 0), (4, 2));
    assert_eq!(counts(&some, "bar.sync", 0), (4, 4));
    assert_eq!(counts(&some, "max.u32", 0), (4, 4));
    assert_eq!(counts(&some, "min.u32", 0), (4, 0));
    assert_eq!(counts(&some, "@%p bra", 0), (4, 2));
    assert_eq!(counts(&some, "add.u32", 0), (2, 2));
    let none = changes(TEXT, 0, Schedule::RoundRobin);
    assert_eq!(counts(&none, "@%p cp.async", 0), (0, 0));
    assert_eq!(counts(&none, "cp.async.commit_group", 1), (4, 0));
    assert_eq!(counts(&none, "@%p bra", 0), (4, 0));
}

#[test]
fn the_digest_is_that_of_the_states_a_launch_goes_through() {
    let digest = |text: &str, schedule| changes(text, 32, schedule).digest;
    let original = digest(TEXT, Schedule::RoundRobin);
    for schedule in Schedule::variety(6) {
        assert_eq!(digest(TEXT, schedule), original, "{schedule:?}");
    }
    let with = |from: &str, to: &str| {
        let text = TEXT.replacen(from, to, 1);
        assert_ne!(text, TEXT);
        digest(&text, Schedule::RoundRobin)
    };
    // Without effect: gone, or another way to the same.
    assert_eq!(with("cp.async.commit_group;\n@%p", "\n@%p"), original);
    assert_eq!(with("cp.async.wait_group 1;", ""), original);
    assert_eq!(with("min.u32 %w, %w, %v;", "max.u32 %w, %w, %v;"), original);
    assert_eq!(with("setp.lt.u32 %p, %t, %n", "setp.lt.s32 %p, %t, %n"), original);
    // With one: a copy that nobody needs to see, a lane more, a value, a place.
    assert_ne!(with("cp.async.commit_group;\ncp.async.wait_group 1", "\n"), original);
    assert_ne!(with("setp.lt.u32", "setp.le.u32"), original);
    assert_ne!(with("max.u32 %w, %v, 0", "max.u32 %w, %v, 1"), original);
    assert_ne!(with("st.global.b32 [%o]", "st.global.b32 [%o+4]"), original);
    assert_ne!(with("bar.sync 0;", ""), original);
}

#[test]
fn lines_and_the_copies_they_issue_can_be_left_out_of_the_digest() {
    let line = |start: &str| {
        let line = TEXT.lines().position(|line| line.starts_with(start)).expect("such a line");
        line as u32 + 1
    };
    let (copy, add) = (line("@%p cp.async"), line("add.u32"));
    // Copies of other lanes: neither the commit nor the wait tells.
    let more = TEXT.replace("@%p ld.shared.b32 %v, [%s];", "").replace("@%p cp", "cp");
    let fewer = TEXT.replace("@%p ld.shared.b32 %v, [%s];", "");
    let all =
        |text: &str, line| but_for(text, 32, Schedule::RoundRobin, [(line, line), (0, 0)]).digest;
    assert_ne!(all(&more, 0), all(&fewer, 0));
    assert_eq!(all(&more, copy), all(&fewer, copy));
    // What the lines left out do to others is not.
    let other = TEXT.replace("add.u32 %w, %w, 1", "add.u32 %w, %w, 2");
    assert_ne!(all(&other, add), all(TEXT, add));
}
