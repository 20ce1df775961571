//! `tilec-run`: kernels of a bundle on a machine that has a GPU and no compiler.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tilec_host::{Arguments, RuntimeError, Tensor, files, launch};
use tilec_runtime::args::{Assignment, OutputFile};
use tilec_runtime::{AnyDevice, AnyKernel, Bundle, Chosen};
use tilec_vocab::{ParamKind, Payload, Record, settings};

/// Run and time kernels that `tilec build` packed
#[derive(Parser)]
#[command(
    version,
    after_help = "\
Without arguments for a kernel it lists what the bundle has.

Examples:
  tilec-run flash.tilepack
  tilec-run flash.tilepack -k flash_forward q=randn(1,8,1024,64):f16 k=k.npy v=v.npy scale=0.125
  tilec-run flash.tilepack … --all --repeat 50
  tilec-run flash.tilepack … --device sim -o o=o.npy"
)]
struct Cli {
    /// The bundle
    file: PathBuf,

    /// Arguments of the kernel, as tilec run takes them
    #[arg(value_name = "NAME=VALUE")]
    arguments: Vec<Assignment>,

    /// The kernel, where the bundle has several
    #[arg(short, long, value_name = "NAME")]
    kernel: Option<String>,

    /// Where to run: cuda, cuda:N, sim
    #[arg(long, value_name = "DEVICE", default_value = "cuda")]
    device: String,

    /// Run every setting of knobs that fits, not the best alone
    #[arg(long)]
    all: bool,

    /// Time so many launches after the first
    #[arg(long, value_name = "N", default_value_t = 0)]
    repeat: usize,

    /// Write an output of the last launch to a file: .npy, or .npz or .safetensors with or without :ENTRY
    #[arg(short, long = "output", value_name = "NAME=FILE")]
    outputs: Vec<OutputFile>,
}

/// How launches went.
struct Ran {
    times: Vec<Duration>,
    /// What the code was made of, on a GPU.
    code: Option<String>,
}

/// Runs a launch, and as often again as is to be timed.
fn run_one(device: &AnyDevice, chosen: &Chosen, repeat: usize) -> Result<Ran, RuntimeError> {
    match device.load(chosen.artifact, false)? {
        AnyKernel::Cuda(kernel) => {
            launch(kernel.as_ref(), &chosen.launch)?;
            let code = kernel.built().first().map(|built| built.source.to_string());
            if repeat == 0 {
                return Ok(Ran { times: Vec::new(), code });
            }
            // SAFETY: the launch was bound to this artifact's contract, and its tensors are this process's alone.
            let times =
                unsafe { kernel.stay(chosen.launch.args()) }?.times(repeat.min(3), repeat)?;
            Ok(Ran { times, code })
        }
        AnyKernel::Sim(kernel) => {
            let run = || {
                let start = Instant::now();
                launch(kernel.as_ref(), &chosen.launch)?;
                Ok(start.elapsed())
            };
            run()?;
            let times = (0..repeat).map(|_| run()).collect::<Result<_, RuntimeError>>()?;
            Ok(Ran { times, code: None })
        }
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    let bundle =
        Bundle::read(&cli.file).map_err(|fault| format!("{}: {fault}", cli.file.display()))?;
    if cli.arguments.is_empty() {
        list(&bundle);
        return Ok(());
    }
    for output in &cli.outputs {
        files::check_writable(&output.place.path).map_err(|error| error.to_string())?;
    }
    let mut args = Arguments::new();
    for assignment in &cli.arguments {
        let declared = declared(&bundle, cli.kernel.as_deref(), &assignment.name);
        if args.insert(&assignment.name, assignment.resolve(declared)?).is_some() {
            return Err(format!("argument `{}` is given twice", assignment.name));
        }
    }
    let device = AnyDevice::open(&cli.device, &bundle).map_err(|error| error.to_string())?;
    let kernel = cli.kernel.as_deref();
    let info = device.device().info();
    let chosen = match cli.all {
        true => bundle.fitting(kernel, &args, device.target(), &info),
        false => bundle.choose(kernel, &args, device.target(), &info).map(|one| vec![one]),
    }
    .map_err(|error| error.to_string())?;
    for one in &chosen {
        let Ran { mut times, code } =
            run_one(&device, one, cli.repeat).map_err(|error| error.to_string())?;
        times.sort_unstable();
        let (name, settings) = (&one.artifact.contract.kernel, &one.artifact.specialisation);
        let time = match (times.first(), times.get(times.len() / 2), times.last()) {
            (Some(least), Some(middle), Some(most)) => {
                format!("  median {middle:.2?}, {least:.2?} to {most:.2?}")
            }
            _ => String::new(),
        };
        println!(
            "{name}  {settings}  {}  on {} ({}){time}",
            device.target(),
            info.name,
            info.model
        );
        println!("  knobs by {}", one.because);
        if let Some(code) = code {
            println!("  from {code}");
        }
        for (name, tensor, _) in one.launch.tensors().filter(|(_, _, written)| *written) {
            println!("  {name} {}{:?}  {}", tensor.dtype(), tensor.shape(), first_values(tensor)?);
        }
    }
    let Some(last) = chosen.last() else { return Ok(()) };
    for output in &cli.outputs {
        let mut written = last.launch.tensors().filter(|(_, _, written)| *written);
        let Some((name, tensor, _)) = written.find(|(name, _, _)| *name == output.name) else {
            return Err(format!("the kernel writes no tensor `{}`", output.name));
        };
        let entry = output.place.entry.as_deref().unwrap_or(name);
        files::write(&output.place.path, &[(entry, tensor)]).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The type of a tensor that is to be made up: that of the kernel, if all of it agree.
fn declared(bundle: &Bundle, kernel: Option<&str>, name: &str) -> Option<tilec_vocab::DType> {
    let contracts = bundle.artifacts.iter().map(|artifact| &artifact.contract);
    let meant = contracts.filter(|contract| kernel.is_none_or(|kernel| contract.kernel == kernel));
    let params = meant.flat_map(|contract| contract.params.iter().find(|p| p.name == name));
    let mut types = params.filter_map(|param| match param.kind {
        ParamKind::Tensor { dtype, .. } => Some(dtype),
        ParamKind::Scalar(_) => None,
    });
    let first = types.next()?;
    types.all(|dtype| dtype == first).then_some(first)
}

fn first_values(tensor: &Tensor) -> Result<String, String> {
    let values = tensor.to_f64s().map_err(|error| error.to_string())?;
    let shown: Vec<String> = values.iter().take(4).map(|value| format!("{value:.5}")).collect();
    Ok(shown.join(" ") + if values.len() > 4 { " …" } else { "" })
}

fn list(bundle: &Bundle) {
    println!("packed by tilec {}", bundle.tilec);
    for artifact in &bundle.artifacts {
        let Payload::Ptx(variants) = &artifact.payload else { continue };
        let code = &variants[0];
        println!(
            "{}  {}  {}  {} threads, {} bytes of shared memory, {} variants",
            artifact.contract.kernel,
            artifact.specialisation,
            code.target,
            code.threads,
            code.shared_bytes,
            variants.len()
        );
        for param in &artifact.contract.params {
            match &param.kind {
                ParamKind::Tensor { dtype, dims, mutable } => {
                    let mutable = if *mutable { "&mut " } else { "&" };
                    println!("    {}: {mutable}{dtype}[{}]", param.name, dims.join(", "));
                }
                ParamKind::Scalar(dtype) => println!("    {}: {dtype}", param.name),
            }
        }
    }
    for record in &bundle.records {
        let Record { kernel, types, consts, bucket, device, knobs, date, .. } = record;
        let knobs = settings(knobs);
        println!("{kernel}  {types} {consts}  for {bucket}  on {device}: {knobs}, tuned {date}");
    }
}
