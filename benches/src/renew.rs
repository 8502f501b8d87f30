//! Planning: a pass over many certificates that are kept alive, of which none is due.
//!
//! The same house as in the engine's tests, in a build that is optimised. Four kinds of pass: the very first one, the first
//! after a start, one in which all are looked at again, and one in which nobody has to be.

#[path = "../../crates/engine/tests/fleet/house.rs"]
mod house;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Result;

/// So many passes in which all are looked at: memory has to be the same after all of them.
const PASSES: usize = 60;

/// So many certificates.
pub(crate) fn run(count: usize) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut house = house::house("bench", count);
    // Time on the wall, and of the processor; in milliseconds.
    let look = |house: &house::House| -> Result<(f64, f64)> {
        let (begun, used) = (Instant::now(), crate::cost::used()?);
        let (_, said) = runtime.block_on(house.look());
        let took = (begun.elapsed().as_secs_f64() * 1e3, (crate::cost::used()? - used) / 1e3);
        if house.orders() > 0 || said.is_some() {
            return Err(format!("something was ordered: {} times, {said:?}", house.orders()).into());
        }
        Ok(took)
    };
    let first = look(&house)?;
    house.restart();
    let restarted = look(&house)?;
    let (mut hourly, mut processor, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    let before = house::resident();
    for _ in 0..PASSES {
        // Each is looked at once an hour at the latest.
        house.clock.advance(Duration::from_secs(3_601));
        let (took, used) = look(&house)?;
        hourly.push(took);
        processor.push(used);
        house.clock.advance(Duration::from_secs(60));
        idle.push(look(&house)?.0);
    }
    let most = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
    let after = house::resident();
    Ok(json!({
        "first_ms": first.0, "first_cpu_ms": first.1, "restarted_ms": restarted.0, "restarted_cpu_ms": restarted.1, "hourly_ms": median(&mut hourly), "hourly_most_ms": most(&hourly),
        "hourly_cpu_ms": median(&mut processor), "idle_ms": median(&mut idle), "passes": 2 * PASSES, "resident_mb": after, "added_mb": after.saturating_sub(before),
    }))
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
