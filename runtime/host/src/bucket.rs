//! Which shapes share a record: those whose numbers round up to the same powers of two.

use std::collections::BTreeMap;

use crate::bind::Launch;
use crate::device::Arg;

/// Numbers of a launch that its time may depend on: dimensions and integer arguments, by name.
pub fn numbers(launch: &Launch) -> BTreeMap<String, i64> {
    let contract = launch.contract();
    let dims = contract.dims.iter().cloned().zip(launch.args().dims.iter().copied());
    let params = contract.params.iter().zip(&launch.args().args);
    let ints = params.filter_map(|(param, arg)| match arg {
        Arg::Scalar(scalar) if scalar.dtype().is_int() => {
            Some((param.name.clone(), scalar.to_i64()?))
        }
        _ => None,
    });
    dims.chain(ints).collect()
}

/// `B=1 H=8 M=1024 N=1024`: each number rounded up to a power of two; 0 and below stay.
///
/// ```
/// let numbers = [("M".to_owned(), 1000), ("window".to_owned(), -1)];
/// assert_eq!(tilec_host::bucket::of(&numbers.into()), "M=1024 window=-1");
/// ```
pub fn of(numbers: &BTreeMap<String, i64>) -> String {
    let round = |n: i64| match u64::try_from(n) {
        Ok(n) if n > 0 => n.checked_next_power_of_two().unwrap_or(n),
        _ => 0,
    };
    let one = |(name, &n): (&String, &i64)| match round(n) {
        0 => format!("{name}={n}"),
        rounded => format!("{name}={rounded}"),
    };
    numbers.iter().map(one).collect::<Vec<_>>().join(" ")
}
