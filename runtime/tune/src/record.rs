//! What was found, where it is kept, and which launch it is for.

use std::collections::BTreeMap;

use tilec_cache::{Cache, CacheError, Key, Kind, Lookup, sha256_hex};
use tilec_host::DeviceInfo;
use tilec_ir::{GenericKind, Kernel, Module};
use tilec_vocab::{Record, Specialisation, settings};

use crate::ranking::gpu_choices;
use crate::space::Knobs;

/// The version of the compiler: all our crates have one.
const COMPILER: &str = env!("CARGO_PKG_VERSION");

/// Everything that decides which record a launch takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    kernel: String,
    ir: String,
    types: String,
    consts: String,
    bucket: String,
    device: String,
    /// The kernel's knobs and their choices: what a record may say.
    choices: BTreeMap<String, Vec<i64>>,
}

impl Site {
    /// The site of a launch of `kernel`, still generic, under `binding`, for shapes of `bucket`.
    pub fn new(
        kernel: &Kernel,
        binding: &Specialisation,
        bucket: &str,
        device: &DeviceInfo,
    ) -> Site {
        let is_const = |name: &&String| {
            kernel.generics.values().any(|g| g.name == **name && g.kind == GenericKind::Const)
        };
        let consts = binding.ints.iter().filter(|(name, _)| is_const(name));
        let text =
            tilec_ir::print(&Module::<tilec_ir::Tile>::new(vec![kernel.clone()], Vec::new()));
        let choices = kernel.generics.values().filter_map(|g| match &g.kind {
            GenericKind::Knob(choices) => Some((g.name.clone(), choices.clone())),
            GenericKind::DType(_) | GenericKind::Const => None,
        });
        let mut choices: BTreeMap<String, Vec<i64>> = choices.collect();
        if device.features.iter().any(|feature| feature.starts_with("sm_")) {
            for (name, values) in gpu_choices() {
                choices.entry(name).or_insert(values);
            }
        }
        Site {
            choices,
            kernel: kernel.name.clone(),
            ir: sha256_hex(text.as_bytes()),
            types: settings(&binding.dtypes),
            consts: settings(consts),
            bucket: bucket.to_owned(),
            device: device.kind(),
        }
    }

    /// Whether a record sets every knob of the kernel, each to one of its choices, and nothing else.
    fn admits(&self, knobs: &Knobs) -> bool {
        let is_choice = |(name, value): (&String, &i64)| {
            self.choices.get(name).is_some_and(|choices| choices.contains(value))
        };
        knobs.len() == self.choices.len() && knobs.iter().all(is_choice)
    }

    fn key(&self) -> Key {
        Key::new(Kind::Record)
            .with("compiler", COMPILER)
            .with("kernel", &self.kernel)
            .with("ir", &self.ir)
            .with("types", &self.types)
            .with("consts", &self.consts)
            .with("bucket", &self.bucket)
            .with("device", &self.device)
    }

    /// The record of tuning at this site; the date is now.
    pub fn record(
        &self,
        shape: BTreeMap<String, i64>,
        knobs: Knobs,
        (time_ns, default_ns): (u64, Option<u64>),
        tried: usize,
        code: String,
    ) -> Record {
        let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        Record {
            schema: Record::SCHEMA.to_owned(),
            kernel: self.kernel.clone(),
            bucket: self.bucket.clone(),
            shape,
            types: self.types.clone(),
            consts: self.consts.clone(),
            knobs,
            time_ns,
            default_ns,
            tried,
            code,
            device: self.device.clone(),
            compiler: COMPILER.to_owned(),
            date: now.to_string(),
        }
    }
}

/// The record of a site. What cannot be used counts as none; `warn` hears why.
pub fn find(cache: &Cache, site: &Site, warn: &mut dyn FnMut(String)) -> Option<Record> {
    match cache.get(&site.key()) {
        Lookup::Miss => None,
        Lookup::Refused(path, fault) => {
            warn(format!("{} is not used: {fault}", path.display()));
            None
        }
        Lookup::Hit(payload) => match serde_json::from_slice::<Record>(&payload) {
            Ok(record) if record.schema == Record::SCHEMA && site.admits(&record.knobs) => {
                Some(record)
            }
            Ok(record) if record.schema == Record::SCHEMA => {
                let knobs = crate::show(&record.knobs);
                warn(format!("a tuning record is not used: {knobs} are no knobs of the kernel"));
                None
            }
            Ok(record) => {
                warn(format!("a tuning record of schema {} is not used", record.schema));
                None
            }
            Err(error) => {
                warn(format!("a tuning record is not used: {error}"));
                None
            }
        },
    }
}

/// The record of a site among those that came with the program. Such a record may be of an older text of the kernel: it
/// counts if its knobs are still choices.
pub fn shipped<'r>(records: &'r [Record], site: &Site) -> Option<&'r Record> {
    records.iter().find(|record| {
        record.schema == Record::SCHEMA
            && record.kernel == site.kernel
            && record.types == site.types
            && record.consts == site.consts
            && record.bucket == site.bucket
            && record.device == site.device
            && site.admits(&record.knobs)
    })
}

/// The records of a kernel under a binding for any shape on any GPU: the user's own, then those that came with the program
/// where there is no own one. What cannot be used is none.
pub fn of_gpus(
    cache: Option<&Cache>,
    came_with_us: &[Record],
    kernel: &Kernel,
    binding: &Specialisation,
) -> Vec<Record> {
    let (model, features) = (String::new(), vec!["sm_".to_owned()]);
    let gpu = DeviceInfo { name: "cuda".to_owned(), model, units: 0, features };
    let any = Site::new(kernel, binding, "", &gpu);
    let at = |record: &Record| Site {
        bucket: record.bucket.clone(),
        device: record.device.clone(),
        ..any.clone()
    };
    let listed = cache.and_then(|cache| cache.list().ok()).unwrap_or_default();
    let own = listed.into_iter().filter_map(|listed| {
        let (key, payload) = listed.content.ok()?;
        let record = serde_json::from_slice::<Record>(&payload).ok()?;
        (key == at(&record).key()).then_some(record)
    });
    let mut found: Vec<Record> =
        own.filter(|record| record.schema == Record::SCHEMA && any.admits(&record.knobs)).collect();
    for record in came_with_us {
        let site = at(record);
        let is_new = !found.iter().any(|own| at(own) == site);
        found.extend(shipped(std::slice::from_ref(record), &site).filter(|_| is_new).cloned());
    }
    found.retain(|record| record.device.starts_with("cuda "));
    // The order of a folder's files says nothing.
    found.sort_by(|a, b| (&a.device, &a.bucket).cmp(&(&b.device, &b.bucket)));
    found
}

/// Stores the record of a site, in place of an older one.
///
/// # Errors
///
/// Those of [`Cache::put`].
pub fn store(cache: &Cache, site: &Site, record: &Record) -> Result<(), CacheError> {
    let text = serde_json::to_string_pretty(record).unwrap_or_default();
    cache.put(&site.key(), format!("{text}\n").as_bytes()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(units: usize) -> DeviceInfo {
        DeviceInfo { name: "cpu".into(), model: "M".into(), units, features: vec!["avx2".into()] }
    }

    fn site(bucket: &str, units: usize) -> Site {
        let mut kernel = Kernel::new("k", Default::default());
        let kind = GenericKind::Knob(vec![32, 64]);
        kernel.generics.push(tilec_ir::GenericData { name: "BM".into(), kind });
        Site::new(&kernel, &Specialisation::default(), bucket, &device(units))
    }

    #[test]
    fn a_record_is_found_at_its_own_site_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let cache = Cache::open(folder.path().join("cache")).expect("a cache");
        let here = site("M=64", 2);
        let knobs = Knobs::from([("BM".to_owned(), 64)]);
        let record = here.record(BTreeMap::new(), knobs, (5, None), 3, "c0de".into());
        store(&cache, &here, &record).expect("stored");
        let mut warnings = Vec::new();
        let mut look = |site: &Site| find(&cache, site, &mut |text| warnings.push(text));
        assert_eq!(look(&here).as_ref(), Some(&record));
        for other in [site("M=128", 2), site("M=64", 4)] {
            assert_eq!(look(&other), None);
            assert_eq!(shipped(std::slice::from_ref(&record), &other), None);
        }
        assert_eq!(shipped(std::slice::from_ref(&record), &here), Some(&record));
        assert!(warnings.is_empty());

        // What stands there may be anything that this user wrote.
        cache.put(&here.key(), b"{}").expect("stored");
        assert_eq!(find(&cache, &here, &mut |text| warnings.push(text)), None);
        for knobs in [[("BM".to_owned(), 63)].into(), [("BX".to_owned(), 64)].into(), Knobs::new()]
        {
            let record = here.record(BTreeMap::new(), knobs, (5, None), 3, "c0de".into());
            store(&cache, &here, &record).expect("stored");
            assert_eq!(find(&cache, &here, &mut |text| warnings.push(text)), None);
        }
        assert_eq!(warnings.len(), 4, "{warnings:?}");
    }
}
