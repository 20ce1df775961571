//! PTX that was made before, by way of a store.

use std::sync::Arc;

use tilec_host::gpu::PtxCompiler;
use tilec_host::{CodeKey, CodeStore, RuntimeError};
use tilec_vocab::{Artifact, Bug, Payload, PtxCode, TensorFacts};

use crate::Compiler;

/// A compiler that asks a store first.
pub struct Stored {
    /// Makes what is not there.
    pub compiler: Compiler,
    /// Keeps what was made.
    pub store: Arc<dyn CodeStore>,
}

impl PtxCompiler for Stored {
    fn compile(
        &self,
        artifact: &Artifact,
        facts: &[TensorFacts],
        target: &str,
    ) -> Result<PtxCode, RuntimeError> {
        let Payload::TileIr(ir) = &artifact.payload else {
            return self.compiler.compile(artifact, facts, target);
        };
        let fields = vec![
            ("code", "PTX".to_owned()),
            ("target", target.to_owned()),
            ("facts", format!("{facts:?}")),
            ("options", format!("{:?}", self.compiler.0)),
            ("specialisation", artifact.specialisation.to_string()),
        ];
        let key = CodeKey { kernel: &artifact.contract.kernel, ir, fields };
        let code = self.store.get_or_make(&key, &mut || {
            let code = self.compiler.compile(artifact, facts, target)?;
            serde_json::to_vec(&code)
                .map_err(|error| Bug::new("ptx", format!("no JSON: {error}")).into())
        })?;
        match serde_json::from_slice::<PtxCode>(&code.bytes) {
            Ok(code) if code.target == target => Ok(code),
            _ => self.compiler.compile(artifact, facts, target),
        }
    }
}
