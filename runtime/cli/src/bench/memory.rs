//! Whether there is memory for a row.

/// The share of the free memory that one row may take.
const MEMORY_SHARE: f64 = 0.7;

/// What is wrong if a launch with tensors of so many bytes does not fit.
pub fn does_not_fit(bytes: u64) -> Option<String> {
    let free = free_bytes()?;
    // A device has a copy, and the host what goes there.
    let needed = bytes.saturating_mul(2);
    if needed as f64 <= free as f64 * MEMORY_SHARE {
        return None;
    }
    let (needed, free) = (needed >> 20, free >> 20);
    Some(format!("it takes {needed} MiB, {free} MiB are free"))
}

/// Memory that is free, where the system says.
pub fn free_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
}
