//! Tuning records at a launch.

use std::collections::BTreeMap;

use tilec_cache::{Cache, CacheError, default_root};
use tilec_host::DeviceInfo;
use tilec_ir::{GenericKind, Kernel};
use tilec_tune::{Record, Site, bucket, find, show};

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
    let cache = match default_root().and_then(Cache::open_existing) {
        Ok(Some(cache)) => cache,
        Ok(None) | Err(CacheError::NoPlace) => return no_record(&bucket, talk),
        Err(error) => {
            talk.say(format!("warning: {error}"));
            return None;
        }
    };
    let site = Site::new(kernel, &prepared.binding, &bucket, device);
    let mut warn = |text: String| talk.say(format!("warning: {text}"));
    let Some(record) = find(&cache, &site, &mut warn) else { return no_record(&bucket, talk) };
    let knobs = show(&record.knobs);
    talk.detail(format!("knobs {knobs} from the tuning record of {} for {bucket}", record.date));
    Some(record)
}

fn no_record(bucket: &str, talk: Talk) -> Option<Record> {
    talk.detail(format!("default knobs: no tuning record for {bucket}"));
    None
}
