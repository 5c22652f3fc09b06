//! What processes use, as `/proc` has it.

use std::{collections::HashMap, fs, time::Duration};

use anyhow::{Context, Result};

/// The kernel counts processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// The processor time that a process and its descendants have used so far.
///
/// # Errors
/// If the process is gone.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let used = Stat::of(pid).with_context(|| format!("process {pid} is gone"))?.used;
    Ok(used
        + descendants(pid).into_iter().filter_map(Stat::of).map(|stat| stat.used).sum::<Duration>())
}

/// A process's resident memory, in MB.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    Ok(kilobytes(pid, "VmRSS:").context("VmRSS")? / 1024)
}

/// The most resident memory that a process and its descendants have had, in MB.
pub(crate) fn peak_memory(pid: u32) -> Result<u64> {
    let peak = kilobytes(pid, "VmHWM:").with_context(|| format!("process {pid} is gone"))?;
    let others = descendants(pid).into_iter().filter_map(|pid| kilobytes(pid, "VmHWM:"));
    Ok((peak + others.sum::<u64>()) / 1024)
}

/// The number of processes that were running or waiting to run, on average over the last minute.
pub(crate) fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

struct Stat {
    parent: u32,
    /// Of all its threads, and of its children that have ended.
    used: Duration,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks: Result<Vec<u32>, _> =
            fields.get(11..15)?.iter().map(|field| field.parse()).collect();
        Some(Stat { parent: fields[1].parse().ok()?, used: TICK * ticks.ok()?.iter().sum() })
    }
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(other) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some(stat) = Stat::of(other) {
            children.entry(stat.parent).or_default().push(other);
        }
    }
    let (mut found, mut next) = (Vec::new(), vec![pid]);
    while let Some(parent) = next.pop() {
        let children = children.remove(&parent).unwrap_or_default();
        found.extend(&children);
        next.extend(children);
    }
    found
}

fn kilobytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().trim_end_matches(" kB").parse().ok()
}
