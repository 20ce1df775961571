//! What the static model says of settings of the knobs, as a table and as JSON.

use std::time::Duration;

use serde_json::{Value, json};
use tilec_model::{Estimate, GPUS};
use tilec_tune::{Ranked, show};

use crate::failure::Outcome;
use crate::output;

/// The ranking of `tilec tune` where nothing can be timed.
pub fn report(title: &str, bucket: &str, ranked: &[Ranked], json: bool) -> Outcome {
    let best = ranked.first().and_then(Ranked::time_ns);
    if json {
        let rows: Vec<Value> = ranked.iter().map(to_json).collect();
        return output::print_json(&json!({
            "schema": "tilec.tune/1", "from": "model", "bucket": bucket,
            "knobs": best.map(|_| &ranked[0].knobs), "candidates": rows,
        }));
    }
    let cells = ranked.iter().map(|ranked| match &ranked.outcome {
        Ok(estimate) => row(ranked, estimate, best),
        Err(why) => {
            let mut cells = vec![show(&ranked.knobs)];
            cells.resize(7, "-".to_owned());
            cells.extend(["unfit".to_owned(), why.clone()]);
            cells
        }
    });
    let head = [
        "knobs",
        "modelled",
        "ratio",
        "registers",
        "shared",
        "CTAs/SM",
        "waves",
        "status",
        "bound",
    ];
    let table = output::table(&head, &[1, 2, 3, 4, 5, 6], cells.collect());
    let ending = match (ranked.first(), best) {
        (Some(first), Some(_)) => {
            format!(
                "best {} by the model, which is what a run takes; not stored",
                show(&first.knobs)
            )
        }
        _ => "nothing fits".to_owned(),
    };
    output::print(&format!("{title}\n\n{table}\n{ending}\n"))
}

fn row(ranked: &Ranked, estimate: &Estimate, best: Option<f64>) -> Vec<String> {
    let ratio = best.map_or(1.0, |best| estimate.time_ns / best);
    vec![
        show(&ranked.knobs),
        output::time(Duration::from_nanos(estimate.time_ns as u64)),
        format!("{ratio:.2}"),
        estimate.needs.registers.to_string(),
        estimate.needs.shared_bytes.to_string(),
        estimate.ctas_per_sm.to_string(),
        format!("{:.2}", estimate.waves),
        "ok".to_owned(),
        estimate.bound.name().to_owned(),
    ]
}

fn to_json(ranked: &Ranked) -> Value {
    match &ranked.outcome {
        Ok(estimate) => {
            let mut value = estimate_json(estimate);
            value["knobs"] = json!(ranked.knobs);
            value["status"] = json!("ok");
            value
        }
        Err(why) => json!({ "knobs": ranked.knobs, "status": "unfit", "reason": why }),
    }
}

/// An estimate for programs.
pub fn estimate_json(estimate: &Estimate) -> Value {
    let [compute, l2, memory] = estimate.parts_ns;
    let pipes = estimate.pipes.iter().map(|(pipe, clocks)| (pipe.name().to_owned(), json!(clocks)));
    json!({
        "gpu": estimate.gpu,
        "registers": estimate.needs.registers,
        "shared_bytes": estimate.needs.shared_bytes,
        "threads": estimate.needs.threads,
        "ctas_per_sm": estimate.ctas_per_sm,
        "limited_by": estimate.limit.name(),
        "occupancy": estimate.occupancy,
        "ctas": estimate.ctas,
        "waves": estimate.waves,
        "flops_executed": estimate.work.flops(),
        "bytes_asked": estimate.work.global_bytes,
        "clocks_of_an_sm": pipes.collect::<serde_json::Map<String, Value>>(),
        "compute_ns": compute,
        "l2_ns": l2,
        "memory_ns": memory,
        "bound": estimate.bound.name(),
        "time_ns": estimate.time_ns,
        "guessed": estimate.guessed,
    })
}

/// The names of the GPUs that are known.
pub fn known_gpus() -> String {
    GPUS.iter().map(|gpu| gpu.name).collect::<Vec<_>>().join(", ")
}
