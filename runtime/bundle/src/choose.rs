//! Which of a bundle's artifacts runs some arguments on some device: the one that tuning found to be the fastest for their like,
//! else the first that suits.

use std::fmt;

use tilec_host::{Arguments, DeviceInfo, Launch, RuntimeError, bind, bucket};
use tilec_vocab::{Artifact, Record};

use crate::bundle::{Bundle, target};
use crate::outputs::make_outputs;

/// An artifact that suits the arguments, and the launch of it.
pub struct Chosen<'a> {
    /// Which of the bundle's artifacts it is.
    pub number: usize,
    /// What a device loads.
    pub artifact: &'a Artifact,
    /// The arguments, checked, with outputs made for those that nobody gave.
    pub launch: Launch,
    /// Why it comes where it does.
    pub because: Choice,
}

/// Why a launch has the knobs it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A tuning record has them.
    Record {
        /// When it was made.
        date: String,
        /// The shapes it holds for.
        bucket: String,
        /// The GPU and driver it was made on, where that is another driver.
        other: Option<String>,
    },
    /// It is the bundle's first that suits, and there is no record for these shapes.
    Order {
        /// The shapes.
        bucket: String,
    },
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Record { date, bucket, other } => {
                write!(f, "the tuning record of {date} for {bucket}")?;
                other.as_ref().map_or(Ok(()), |device| write!(f, ", made on {device}"))
            }
            Choice::Order { bucket } => {
                write!(f, "the bundle's order: it has no tuning record for {bucket}")
            }
        }
    }
}

impl Choice {
    /// The better, the less.
    fn rank(&self) -> u8 {
        match self {
            Choice::Record { other: None, .. } => 0,
            Choice::Record { other: Some(_), .. } => 1,
            Choice::Order { .. } => 2,
        }
    }

    fn bucket(&self) -> &str {
        match self {
            Choice::Record { bucket, .. } | Choice::Order { bucket } => bucket,
        }
    }
}

/// Which of the artifacts that suit are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    /// What cannot be the best is left out without a look at the arguments.
    Best,
}

impl Bundle {
    /// Every artifact that suits, best first: what a record names, then in the bundle's order. `wanted` is the target that
    /// the device takes code for.
    ///
    /// # Errors
    ///
    /// None does: why the first of the kernel for that target did not, or what there is instead.
    pub fn fitting(
        &self,
        kernel: Option<&str>,
        args: &Arguments,
        wanted: &str,
        device: &DeviceInfo,
    ) -> Result<Vec<Chosen<'_>>, RuntimeError> {
        self.suiting(kernel, args, (wanted, device), Wanted::All)
    }

    /// The best artifact that suits.
    ///
    /// # Errors
    ///
    /// As [`Bundle::fitting`].
    pub fn choose(
        &self,
        kernel: Option<&str>,
        args: &Arguments,
        wanted: &str,
        device: &DeviceInfo,
    ) -> Result<Chosen<'_>, RuntimeError> {
        // There is one, or an error.
        let mut found = self.suiting(kernel, args, (wanted, device), Wanted::Best)?;
        Ok(found.swap_remove(0))
    }

    fn suiting(
        &self,
        kernel: Option<&str>,
        args: &Arguments,
        (wanted, device): (&str, &DeviceInfo),
        which: Wanted,
    ) -> Result<Vec<Chosen<'_>>, RuntimeError> {
        let name = match (kernel, self.kernels().as_slice()) {
            (Some(name), known) if known.contains(&name) => name,
            (None, [one]) => one,
            (Some(name), known) => {
                let known = known.join(", ");
                let text = format!("the bundle has no kernel `{name}`; it has {known}");
                return Err(RuntimeError::Tensor(text));
            }
            (None, known) => {
                let text = format!("the bundle has several kernels: {}", known.join(", "));
                return Err(RuntimeError::Tensor(text));
            }
        };
        let kind = device.kind();
        let (mut found, mut reason) = (Vec::<Chosen<'_>>::new(), None);
        for (number, artifact) in self.artifacts.iter().enumerate() {
            if artifact.contract.kernel != name || target(artifact) != Some(wanted) {
                continue;
            }
            let best = found.iter().min_by_key(|chosen| chosen.because.rank());
            if let (Wanted::Best, Some(best)) = (which, best) {
                let bucket = best.because.bucket();
                if self.because(artifact, bucket, &kind).rank() >= best.because.rank() {
                    continue;
                }
            }
            let mut args = args.clone();
            let bound = make_outputs(&artifact.contract, &mut args)
                .and_then(|_| bind(&artifact.contract, &args));
            match bound {
                Ok(launch) => {
                    let bucket = bucket::of(&bucket::numbers(&launch));
                    let because = self.because(artifact, &bucket, &kind);
                    found.push(Chosen { number, artifact, launch, because });
                }
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        if found.is_empty() {
            return Err(reason.unwrap_or_else(|| {
                let known = self.targets().join(", ");
                let text = format!("the bundle has no `{name}` for {wanted}; it is for {known}");
                RuntimeError::Tensor(text)
            }));
        }
        // A stable sort: the bundle's order where nothing else is known.
        found.sort_by_key(|chosen| chosen.because.rank());
        Ok(found)
    }

    /// What speaks for an artifact at shapes of this bucket on a device of this kind.
    fn because(&self, artifact: &Artifact, bucket: &str, kind: &str) -> Choice {
        let of = |same: fn(&str, &str) -> bool| {
            self.records.iter().find(|record| {
                record.bucket == bucket
                    && same(&record.device, kind)
                    && record.is_of(&artifact.contract.kernel, &artifact.specialisation)
            })
        };
        let choice = |record: &Record, other| Choice::Record {
            date: record.date.clone(),
            bucket: bucket.to_owned(),
            other,
        };
        match of(|a, b| a == b) {
            Some(record) => choice(record, None),
            None => match of(|a, b| without_driver(a) == without_driver(b)) {
                Some(record) => choice(record, Some(record.device.clone())),
                None => Choice::Order { bucket: bucket.to_owned() },
            },
        }
    }
}

/// The kind of a GPU without its driver's version, which ends it: another driver makes other code of the same PTX, but most often
/// the same setting the fastest.
fn without_driver(kind: &str) -> &str {
    kind.rsplit_once(" CUDA ").map_or(kind, |(gpu, _)| gpu)
}
