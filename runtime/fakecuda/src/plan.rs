//! What is to go wrong, from the environment.

use std::str::FromStr;

/// The variable that holds the plan.
pub const PLAN: &str = "TILEC_FAKECUDA";

/// The variable that names the file to which every call is written.
pub const LOG: &str = "TILEC_FAKECUDA_LOG";

/// The machine to be, and what is to go wrong on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// GPUs.
    pub devices: i32,
    /// Device memory.
    pub memory_bytes: usize,
    /// Shared memory that a CTA can opt in to.
    pub shared_bytes_optin: i32,
    /// Compute capability, times ten.
    pub capability: i32,
    /// What events measure.
    pub clock: Clock,
    /// Calls that do not do what they should.
    pub faults: Vec<Injected>,
}

/// What events measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// A nanosecond for each warp instruction.
    Instructions,
    /// Nothing: no time passes.
    Zero,
    /// Not a number.
    Nan,
}

/// A call that does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// The function.
    pub call: String,
    /// Which of its calls, from 1; all, if none is given.
    pub number: Option<u64>,
    /// What happens instead.
    pub effect: Effect,
}

/// What happens instead of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It answers this and does nothing.
    Fail(i32),
    /// It never returns.
    Hang,
    /// It does its work and then breaks a bit of every byte it changed.
    Wrong,
}

impl Default for Plan {
    /// An A100 without faults. Source: NVIDIA A100 whitepaper; CUDA C++ Programming Guide, compute capability 8.0.
    fn default() -> Plan {
        Plan {
            devices: 1,
            memory_bytes: 1 << 30,
            shared_bytes_optin: 163 * 1024,
            capability: 80,
            clock: Clock::Instructions,
            faults: Vec::new(),
        }
    }
}

impl FromStr for Plan {
    type Err = String;

    /// Statements between semicolons: `devices 2; fail cuMemAlloc_v2 3 2; hang cuStreamSynchronize 1; clock nan`.
    fn from_str(text: &str) -> Result<Plan, String> {
        let mut plan = Plan::default();
        for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
            plan.take(statement)
                .ok_or_else(|| format!("{PLAN}: `{statement}` is not understood"))?;
        }
        Ok(plan)
    }
}

impl Plan {
    fn take(&mut self, statement: &str) -> Option<()> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let mut inject = |call: &str, number: &str, effect: Effect| {
            let number = if number == "*" { None } else { Some(number.parse().ok()?) };
            self.faults.push(Injected { call: call.to_owned(), number, effect });
            Some(())
        };
        match *words {
            ["fail", call, number, code] => inject(call, number, Effect::Fail(code.parse().ok()?))?,
            ["hang", call, number] => inject(call, number, Effect::Hang)?,
            ["wrong", call, number] => inject(call, number, Effect::Wrong)?,
            ["devices", number] => self.devices = number.parse().ok()?,
            ["memory", bytes] => self.memory_bytes = bytes.parse().ok()?,
            ["shared", bytes] => self.shared_bytes_optin = bytes.parse().ok()?,
            ["capability", number] => self.capability = number.parse().ok()?,
            ["clock", "zero"] => self.clock = Clock::Zero,
            ["clock", "nan"] => self.clock = Clock::Nan,
            _ => return None,
        }
        Some(())
    }

    /// What is to happen instead of this call of a function.
    pub fn effect(&self, call: &str, number: u64) -> Option<Effect> {
        let this =
            |fault: &&Injected| fault.call == call && fault.number.is_none_or(|n| n == number);
        self.faults.iter().find(this).map(|fault| fault.effect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_read() {
        let plan: Plan = "fail cuInit 1 100; hang cuStreamSynchronize *;clock nan ; shared 49152;"
            .parse()
            .expect("a plan");
        assert_eq!(plan.effect("cuInit", 1), Some(Effect::Fail(100)));
        assert_eq!(plan.effect("cuInit", 2), None);
        assert_eq!(plan.effect("cuStreamSynchronize", 9), Some(Effect::Hang));
        assert_eq!((plan.clock, plan.shared_bytes_optin), (Clock::Nan, 49152));
        let error = "fail cuInit".parse::<Plan>().expect_err("no plan");
        assert_eq!(error, "TILEC_FAKECUDA: `fail cuInit` is not understood");
    }
}
