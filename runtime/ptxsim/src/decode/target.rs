//! Forms that a later architecture brought, by the text of their opcode: refused in a module for sm_80, as `ptxas` does.

/// The architecture of a `.target`, such as 80; 0 if it names none.
pub fn architecture(target: &str) -> u32 {
    let digits: String =
        target.trim_start_matches("sm_").chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// The architecture an opcode needs, where that is above sm_80: bf16 beyond products, extrema and f32 conversions, and
/// tf32 rounded to even or toward zero.
pub fn needs(opcode: &str) -> u32 {
    let mut parts = opcode.split('.');
    let name = parts.next().unwrap_or("");
    let parts: Vec<&str> = parts.collect();
    let brain = parts.iter().any(|p| *p == "bf16" || *p == "bf16x2");
    let later = match name {
        "add" | "sub" | "mul" | "setp" | "ex2" | "tanh" | "atom" | "red" => brain,
        "cvt" => match parts[..] {
            [.., "bf16", "f32"] | [.., "f32", "bf16"] | [.., "bf16x2", "f32"] => false,
            [.., "tf32", "f32"] => !parts.contains(&"rna"),
            _ => brain,
        },
        _ => false,
    };
    if later { 90 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_are_read_from_targets() {
        assert_eq!(architecture("sm_80"), 80);
        assert_eq!(architecture("sm_90a"), 90);
        assert_eq!(architecture("texmode_unified"), 0);
    }

    /// What ptxas 12.9 refuses for sm_80 and takes for sm_90.
    #[test]
    fn later_forms_are_those_that_ptxas_refuses_for_sm_80() {
        for opcode in [
            "add.bf16",
            "add.rn.bf16",
            "sub.bf16x2",
            "mul.bf16",
            "setp.lt.bf16",
            "ex2.approx.ftz.bf16",
            "tanh.approx.bf16x2",
            "cvt.rn.bf16.f64",
            "cvt.rn.bf16.s32",
            "cvt.rzi.s32.bf16",
            "cvt.f64.bf16",
            "cvt.rn.bf16.f16",
            "cvt.rn.tf32.f32",
            "cvt.rz.tf32.f32",
            "atom.global.add.noftz.bf16",
            "red.global.add.noftz.bf16x2",
        ] {
            assert_eq!(needs(opcode), 90, "{opcode}");
        }
        for opcode in [
            "fma.rn.bf16",
            "fma.rn.relu.bf16x2",
            "min.bf16",
            "max.NaN.bf16x2",
            "neg.bf16",
            "abs.bf16x2",
            "cvt.f32.bf16",
            "cvt.rn.bf16.f32",
            "cvt.rz.bf16.f32",
            "cvt.rn.relu.bf16x2.f32",
            "cvt.rna.tf32.f32",
            "tanh.approx.f16",
            "atom.global.add.noftz.f16x2",
        ] {
            assert_eq!(needs(opcode), 0, "{opcode}");
        }
    }
}
