//! Which of a bundle's artifacts runs some arguments on some target.

use tilec_host::{Arguments, Launch, RuntimeError, bind};
use tilec_vocab::Artifact;

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
}

impl Bundle {
    /// Every artifact that suits, best first.
    ///
    /// # Errors
    ///
    /// None does: why the first of the kernel for that target did not, or what there is instead.
    pub fn fitting(
        &self,
        kernel: Option<&str>,
        args: &Arguments,
        wanted: &str,
    ) -> Result<Vec<Chosen<'_>>, RuntimeError> {
        self.suiting(kernel, args, wanted, usize::MAX)
    }

    /// As [`Bundle::fitting`], the first `most` of them.
    fn suiting(
        &self,
        kernel: Option<&str>,
        args: &Arguments,
        wanted: &str,
        most: usize,
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
        let (mut found, mut reason) = (Vec::new(), None);
        for (number, artifact) in self.artifacts.iter().enumerate() {
            if artifact.contract.kernel != name || target(artifact) != Some(wanted) {
                continue;
            }
            if found.len() == most {
                break;
            }
            let mut args = args.clone();
            let bound = make_outputs(&artifact.contract, &mut args)
                .and_then(|_| bind(&artifact.contract, &args));
            match bound {
                Ok(launch) => found.push(Chosen { number, artifact, launch }),
                Err(error) => reason = reason.or(Some(error)),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        Err(reason.unwrap_or_else(|| {
            let known = self.targets().join(", ");
            let text = format!("the bundle has no `{name}` for {wanted}; it is for {known}");
            RuntimeError::Tensor(text)
        }))
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
    ) -> Result<Chosen<'_>, RuntimeError> {
        // There is one, or an error.
        let mut found = self.suiting(kernel, args, wanted, 1)?;
        Ok(found.swap_remove(0))
    }
}
