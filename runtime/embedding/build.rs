//! Puts the bundle of kernels into the program.

fn main() -> Result<(), tilec_runtime::embed::EmbedError> {
    tilec_runtime::embed::pack("kernels/rms_norm.tilepack")
}
