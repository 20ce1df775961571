//! Tuning records at a launch.

use std::collections::BTreeMap;

use tilec_cache::{Cache, CacheError, default_root};
use tilec_host::{DeviceInfo, bucket};
use tilec_ir::{GenericKind, Kernel};
use tilec_tune::{Site, find, shipped, show};
use tilec_vocab::{Record, Specialisation};

use crate::output::Talk;
use crate::prepare::Prepared;

/// Whether one of these names is a knob of the kernel, rather than a constant.
pub fn sets_a_knob(kernel: &Kernel, given: &BTreeMap<String, i64>) -> bool {
    let is_knob = |kind: &GenericKind| matches!(kind, GenericKind::Knob(_));
    kernel.generics.values().any(|g| is_knob(&g.kind) && given.contains_key(&g.name))
}

/// The record of a launch, if somebody tuned for its like. Whatever is wrong with the cache is only talked about.
pub fn for_launch(
    kernel: &Kernel,
    prepared: &Prepared,
    device: &DeviceInfo,
    talk: Talk,
) -> Option<Record> {
    let has_knobs = kernel.generics.values().any(|g| matches!(g.kind, GenericKind::Knob(_)));
    if !has_knobs {
        return None;
    }
    let bucket = bucket::of(&bucket::numbers(&prepared.launch));
    let cache = cache(talk);
    let site = Site::new(kernel, &prepared.binding, &bucket, device);
    let mut warn = |text: String| talk.say(format!("warning: {text}"));
    let own = cache.and_then(|cache| find(&cache, &site, &mut warn));
    let (record, whose) = match own {
        Some(record) => (record, ""),
        None => match shipped(&came_with_us(), &site) {
            Some(record) => (record.clone(), ", which came with tilec,"),
            None => {
                talk.detail(format!("no tuning record for {bucket}"));
                return None;
            }
        },
    };
    let (knobs, date) = (show(&record.knobs), &record.date);
    talk.detail(format!("knobs {knobs} from the tuning record of {date}{whose} for {bucket}"));
    Some(record)
}

/// The records of any GPU and any shape for code of this kernel under this binding.
pub fn of_gpus(kernel: &Kernel, binding: &Specialisation, talk: Talk) -> Vec<Record> {
    tilec_tune::of_gpus(cache(talk).as_ref(), &came_with_us(), kernel, binding)
}

/// The cache, if there is one that can be used.
fn cache(talk: Talk) -> Option<Cache> {
    match default_root().and_then(Cache::open_existing) {
        Ok(cache) => cache,
        Err(CacheError::NoPlace) => None,
        Err(error) => {
            talk.say(format!("warning: {error}"));
            None
        }
    }
}

/// The records that came with the program.
pub fn came_with_us() -> Vec<Record> {
    // A test reads them; what cannot be read is none.
    serde_json::from_str(tilec_kernels::TUNED).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_that_come_with_us_can_be_read_and_name_kernels_of_the_library() {
        let records: Vec<Record> = serde_json::from_str(tilec_kernels::TUNED).expect("records");
        for record in &records {
            let words = format!("kernel {}(", record.kernel);
            let known = tilec_kernels::FILES.iter().any(|file| file.text.contains(&words));
            assert!(known, "no kernel `{}` in the library", record.kernel);
        }
    }
}
