//! Which knobs a launch takes when nobody set any: a tuning record, on a GPU what the model expects to be fastest of what
//! fits, on the CPU larger blocks of the grid where those pay, else the first choice of each.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tilec_driver::CompileError;
use tilec_host::{Arguments, CodeKey, CodeStore, DeviceInfo, RuntimeError};
use tilec_ir::{Kernel, Module, Tile};
use tilec_model::{Estimate, Gpu};
use tilec_ptx::KNOBS;
use tilec_tune::{GpuLaunch, Knobs, candidates, gpu_candidates, model, rank, show};
use tilec_vocab::Artifact;

use crate::blocks;
use crate::failure::Failure;
use crate::output::{self, Talk};
use crate::prepare::{Prepared, prepare};
use crate::records;

/// A launch with its knobs chosen.
pub struct Hinted {
    /// The launch, with the kernel's own knobs.
    pub prepared: Prepared,
    /// Knobs that every GPU kernel has and this one does not declare.
    pub gpu: Knobs,
}

impl Hinted {
    /// The launch as it is.
    pub fn none(prepared: Prepared) -> Hinted {
        Hinted { prepared, gpu: Knobs::new() }
    }

    /// The artifact of the launch.
    pub fn compile(
        &self,
        kernel: &Kernel,
        options: &tilec_driver::Options,
    ) -> Result<Artifact, CompileError> {
        let mut artifact = tilec_driver::compile(kernel, &self.prepared.binding, options)?;
        // The compiler to PTX reads them there; the kernel does not.
        artifact.specialisation.ints.extend(self.gpu.clone());
        Ok(artifact)
    }
}

/// Where a launch would run, and what is kept of choices between runs.
pub struct At<'a> {
    /// The device.
    pub device: &'a DeviceInfo,
    /// Where the model's choice is kept, so that it is made once.
    pub store: Option<&'a Arc<dyn CodeStore>>,
    /// To say what was chosen.
    pub talk: Talk,
}

/// What the model chose.
#[derive(Serialize, Deserialize)]
struct Chosen {
    knobs: Knobs,
    time_ns: f64,
}

/// The launch with the knobs that it should take; `given` are constants, and no knobs.
pub fn choose(
    kernel: &Kernel,
    args: &mut Arguments,
    prepared: Prepared,
    given: &Knobs,
    at: &At<'_>,
) -> Result<Hinted, Failure> {
    let knobs = match records::for_launch(kernel, &prepared, at.device, at.talk) {
        Some(record) => Some(record.knobs),
        None => modelled(kernel, &prepared, at),
    };
    let Some(knobs) = knobs else { return Ok(Hinted::none(prepared)) };
    let (own, gpu): (Knobs, Knobs) = knobs.into_iter().partition(|(name, _)| kernel.declares(name));
    let all = given.clone().into_iter().chain(own).collect();
    let prepared = Prepared { made: prepared.made, ..prepare(kernel, args, &all)? };
    Ok(Hinted { prepared, gpu })
}

/// What code for a device is made for, if it is a GPU.
pub fn target_of(device: &DeviceInfo) -> Option<&str> {
    device.features.iter().map(String::as_str).find(|feature| feature.starts_with("sm_"))
}

/// The GPU that a device is, or stands for.
pub fn gpu_of(device: &DeviceInfo) -> Option<&'static Gpu> {
    Gpu::like(&device.model, target_of(device)?)
}

/// The model's choice for a launch on a GPU. A kernel without a `tune` clause keeps the usual knobs if they fit.
fn modelled(kernel: &Kernel, prepared: &Prepared, at: &At<'_>) -> Option<Knobs> {
    if let Some(knobs) = blocks::larger(kernel, prepared, at.device) {
        at.talk.detail(format!("knobs {}, the largest blocks that suit the CPU", show(&knobs)));
        return Some(knobs);
    }
    let gpu = gpu_of(at.device)?;
    let launch = GpuLaunch::new(kernel, &prepared.binding, &prepared.launch, gpu);
    let mut make = || -> Result<Vec<u8>, RuntimeError> {
        let chosen = best(&launch)
            .map_err(|why| RuntimeError::Device { device: at.device.name.clone(), message: why })?;
        Ok(serde_json::to_vec(&chosen).unwrap_or_default())
    };
    let text = tilec_ir::print(&Module::<Tile>::new(vec![kernel.clone()], Vec::new()));
    let key = CodeKey {
        kernel: &kernel.name,
        ir: &text,
        fields: vec![
            ("code", "choice of knobs".to_owned()),
            ("gpu", gpu.name.to_owned()),
            ("specialisation", prepared.binding.to_string()),
            ("facts", format!("{:?}", launch.facts)),
            ("shape", show(&launch.names)),
        ],
    };
    let bytes = match at.store {
        Some(store) => store.get_or_make(&key, &mut make).map(|code| code.bytes),
        None => make(),
    };
    let chosen = bytes.ok().and_then(|bytes| serde_json::from_slice::<Chosen>(&bytes).ok());
    let Some(Chosen { knobs, time_ns }) = chosen else {
        at.talk.detail(format!("default knobs: no choice fits {}", gpu.product));
        return None;
    };
    if !are_choices(kernel, &knobs) {
        return None;
    }
    let (knobs_text, name) = (show(&knobs), gpu.name);
    let time = output::time(std::time::Duration::from_nanos(time_ns as u64));
    at.talk.detail(format!("knobs {knobs_text} by the model of {name}, which expects {time}"));
    Some(knobs)
}

/// The kernel's own knobs alone, for a launch whose `warps` and `stages` are the usual ones: a record's, else on a GPU those that
/// the model expects to be fastest. Where nothing is timed, the first that fit.
pub fn own_knobs(
    kernel: &Kernel,
    prepared: &Prepared,
    device: &DeviceInfo,
    is_timed: bool,
    talk: Talk,
) -> Option<Knobs> {
    let own = |knobs: Knobs| -> Knobs {
        knobs.into_iter().filter(|(name, _)| kernel.declares(name)).collect()
    };
    if let Some(record) = records::for_launch(kernel, prepared, device, talk) {
        return Some(own(record.knobs));
    }
    if let Some(knobs) = blocks::larger(kernel, prepared, device) {
        return Some(knobs);
    }
    let declared = candidates(kernel, &Knobs::new()).ok()?;
    let launch = GpuLaunch::new(kernel, &prepared.binding, &prepared.launch, gpu_of(device)?);
    [2, 1].into_iter().find_map(|stages| {
        let usual = [("warps".to_owned(), 4), ("stages".to_owned(), stages)].into();
        let all = gpu_candidates(&declared, &usual);
        match is_timed {
            true => rank(&launch, &all)
                .into_iter()
                .find(|ranked| ranked.outcome.is_ok())
                .map(|r| r.knobs),
            false => {
                let mut fits = all.into_iter().filter_map(|k| Some((model(&launch, &k).ok()?, k)));
                let first = fits.next()?;
                let calm = |(estimate, _): &(Estimate, Knobs)| !estimate.spills;
                let best = if calm(&first) { Some(first) } else { fits.find(calm).or(Some(first)) };
                best.map(|(_, knobs)| knobs)
            }
        }
        .map(own)
    })
}

fn best(launch: &GpuLaunch<'_>) -> Result<Chosen, String> {
    let declared = candidates(launch.kernel, &Knobs::new()).unwrap_or_default();
    let all = gpu_candidates(&declared, &Knobs::new());
    if declared.is_empty()
        && let Ok(estimate) = model(launch, &all[0])
    {
        return Ok(Chosen { knobs: all[0].clone(), time_ns: estimate.time_ns });
    }
    let ranked = rank(launch, &all);
    let first = ranked.into_iter().next().ok_or("there is no candidate")?;
    let estimate = first.outcome?;
    Ok(Chosen { knobs: first.knobs, time_ns: estimate.time_ns })
}

/// What stood in a cache may be anything.
fn are_choices(kernel: &Kernel, knobs: &Knobs) -> bool {
    knobs.iter().all(|(name, value)| {
        let declared = kernel.generics.values().find(|generic| generic.name == *name);
        match declared.map(|generic| &generic.kind) {
            Some(tilec_ir::GenericKind::Knob(choices)) => choices.contains(value),
            Some(_) => false,
            None => KNOBS.iter().any(|(knob, values)| knob == name && values.contains(value)),
        }
    })
}
