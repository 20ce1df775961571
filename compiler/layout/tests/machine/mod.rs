//! A small machine, warps of registers and a shared memory, for plans to run on, and random layouts.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::collections::BTreeMap;

use tilec_layout::*;

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) % u64::from(n.max(1))) as u32
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for i in (1..values.len()).rev() {
            values.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

/// Prime factors, the smallest first.
pub fn primes(mut n: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for p in [2, 3, 5, 7] {
        while n.is_multiple_of(p) {
            found.push(p);
            n /= p;
        }
    }
    assert_eq!(n, 1);
    found
}

/// One to three axes of extents with factors 2, 3 and 5, at most 1920 elements together.
pub fn shape(random: &mut Random) -> Vec<(char, u32)> {
    let extents = [2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 80, 96];
    loop {
        let count = 1 + random.below(3) as usize;
        let shape: Vec<_> = ['x', 'y', 'z'][..count]
            .iter()
            .map(|axis| (*axis, extents[random.below(extents.len() as u32) as usize]))
            .collect();
        if shape.iter().map(|(_, extent)| extent).product::<u32>() <= 1920 {
            return shape;
        }
    }
}

/// Parts of any layout of a tile over full warps, copies where elements do not suffice.
pub fn parts(
    shape: &[(char, u32)],
    num_warps: u32,
    random: &mut Random,
) -> Vec<(Place, Part<char>)> {
    let mut digits = Vec::new();
    for &(axis, extent) in shape {
        let mut radices = primes(extent);
        random.shuffle(&mut radices);
        let mut stride = 1;
        for radix in radices {
            digits.push(Part::new(radix, axis, stride));
            stride *= radix;
        }
    }
    random.shuffle(&mut digits);
    let (mut lanes, mut warps) = (32, num_warps);
    let mut parts = Vec::new();
    for digit in digits {
        let place = match random.below(5) {
            0 | 1 if digit.extent == 2 && lanes > 1 => Place::Lane,
            2 if warps.is_multiple_of(digit.extent) => Place::Warp,
            _ => Place::Register,
        };
        match place {
            Place::Lane => lanes /= digit.extent,
            Place::Warp => warps /= digit.extent,
            Place::Register => {}
        }
        parts.push((place, digit));
    }
    parts.push((Place::Warp, Part::copies(warps)));
    parts.extend(primes(lanes).into_iter().map(|p| (Place::Lane, Part::copies(p))));
    random.shuffle(&mut parts);
    parts
}

pub fn layout(shape: &[(char, u32)], num_warps: u32, random: &mut Random) -> Layout<char> {
    Layout::new(parts(shape, num_warps, random)).expect("parts of a layout")
}

/// All elements of a tile.
pub fn elements<A: Copy + Ord>(shape: &[(A, u32)]) -> Vec<Coordinate<A>> {
    let mut all = vec![Coordinate::new()];
    for &(axis, extent) in shape {
        all = all
            .into_iter()
            .flat_map(|at| {
                (0..extent).map(move |index| {
                    let mut at = at.clone();
                    at.insert(axis, index);
                    at
                })
            })
            .collect();
    }
    all
}

/// What each register holds: the element itself, for a label. `[warp][lane][register]`.
pub type Registers<A> = Vec<Vec<Vec<Coordinate<A>>>>;

pub fn filled<A: Copy + Ord>(layout: &Layout<A>) -> Registers<A> {
    let [registers, lanes, warps] = Place::ALL.map(|place| layout.count(place));
    let thread = |lane, warp| {
        (0..registers).map(|register| layout.at(Position { register, lane, warp })).collect()
    };
    (0..warps).map(|warp| (0..lanes).map(|lane| thread(lane, warp)).collect()).collect()
}

/// Runs a plan on the registers of `from`; those it leaves for `to`.
pub fn run<A: Copy + Ord + std::fmt::Debug>(
    plan: &Plan<A>,
    from: &Layout<A>,
    to: &Layout<A>,
) -> Registers<A> {
    let held = filled(from);
    match plan {
        Plan::Same => held,
        Plan::Registers(map) => {
            let pick =
                |lane: &Vec<Coordinate<A>>| map.iter().map(|r| lane[*r as usize].clone()).collect();
            held.iter().map(|warp| warp.iter().map(pick).collect()).collect()
        }
        Plan::Shuffles(shuffles) => held.iter().map(|warp| shuffle(shuffles, warp)).collect(),
        Plan::Shared(exchange) => through_memory(exchange, from, to, &held),
    }
}

fn shuffle<A: Clone>(plan: &Shuffles, warp: &[Vec<A>]) -> Vec<Vec<A>> {
    let word = |lane: usize, i: u32| -> Vec<A> {
        let start = (i * plan.packed) as usize;
        warp[lane][start..start + plan.packed as usize].to_vec()
    };
    let got: Vec<Vec<Vec<A>>> = plan
        .steps
        .iter()
        .map(|step| {
            let offers: Vec<_> = (0..32).map(|lane| word(lane, step.offer[lane])).collect();
            step.from.iter().map(|lane| offers[*lane as usize].clone()).collect()
        })
        .collect();
    (0..32)
        .map(|lane| {
            plan.result
                .iter()
                .flat_map(|sources| match sources[lane] {
                    Source::Own(i) => word(lane, i),
                    Source::Step(i) => got[i as usize][lane].clone(),
                })
                .collect()
        })
        .collect()
}

fn through_memory<A: Copy + Ord + std::fmt::Debug>(
    plan: &Exchange<A>,
    from: &Layout<A>,
    to: &Layout<A>,
    held: &Registers<A>,
) -> Registers<A> {
    let bytes = plan.buffer.elem_bytes();
    let mut memory: BTreeMap<u32, (u32, Coordinate<A>)> = BTreeMap::new();
    let stores = plan.buffer.vectors(from).registers;
    for warp in 0..from.count(Place::Warp) {
        if !from.is_first_copy(Place::Warp, warp) {
            continue;
        }
        let (width, addresses) = plan.buffer.addresses(from, Lanes::FirstCopies, warp);
        for (registers, addresses) in stores.iter().zip(addresses) {
            for (lane, address) in addresses.iter().enumerate() {
                let Some(address) = address else { continue };
                assert_eq!(address % width, 0, "aligned");
                for (register, at) in registers.iter().zip((*address..).step_by(bytes as usize)) {
                    let value = &held[warp as usize][lane][*register as usize];
                    assert_eq!(at, plan.buffer.address(value));
                    assert!(at + bytes <= plan.buffer.bytes());
                    let old = memory.insert(at, (warp, value.clone()));
                    assert_eq!(old, None, "stored once");
                }
            }
        }
    }
    let read = |warp: u32, at: u32| -> Coordinate<A> {
        let (writer, value) = &memory[&at];
        assert!(plan.sync == Sync::Cta || *writer == warp, "another warp's, without a barrier");
        value.clone()
    };
    let mut result = filled(to);
    result.iter_mut().flatten().flatten().for_each(|value| value.clear());
    for warp in 0..to.count(Place::Warp) {
        let registers = &mut result[warp as usize];
        match &plan.load {
            Load::Vectors => {
                let (_, addresses) = plan.buffer.addresses(to, Lanes::All, warp);
                let loads = plan.buffer.vectors(to).registers;
                for (targets, addresses) in loads.iter().zip(addresses) {
                    for (lane, address) in addresses.iter().enumerate() {
                        for (i, register) in (0..).zip(targets) {
                            let at = address.expect("all lanes load") + i * bytes;
                            registers[lane][*register as usize] = read(warp, at);
                        }
                    }
                }
            }
            Load::Ldmatrix(load) => {
                let (width, addresses) =
                    plan.buffer.addresses(&load.addresses, Lanes::FirstCopies, warp);
                assert_eq!(width, 16);
                for (instruction, rows) in (0..).zip(addresses) {
                    ldmatrix(load, bytes, instruction, &rows, registers, &|at| read(warp, at));
                }
                let map = load.loaded.register_map(to).expect("the same threads");
                for lane in registers.iter_mut() {
                    *lane = map.iter().map(|register| lane[*register as usize].clone()).collect();
                }
            }
        }
    }
    result
}

/// The instruction, as the manual describes it.
fn ldmatrix<A: Copy + Ord>(
    load: &Ldmatrix<A>,
    bytes: u32,
    instruction: u32,
    rows: &[Option<u32>],
    registers: &mut [Vec<Coordinate<A>>],
    read: &dyn Fn(u32) -> Coordinate<A>,
) {
    let packed = 4 / bytes;
    for matrix in 0..load.num_matrices {
        let row = |r: u32| rows[(8 * matrix + r) as usize].expect("an address for each row");
        for lane in 0..32 {
            for e in 0..packed {
                let at = if load.trans {
                    row(2 * (lane % 4) + e) + 2 * (lane / 4)
                } else {
                    row(lane / 4) + 4 * (lane % 4) + e * bytes
                };
                let register = (instruction * load.num_matrices + matrix) * packed + e;
                registers[lane as usize][register as usize] = read(at);
            }
        }
    }
}
