//! The NVIDIA target: programs by hand, compiled to PTX and run in the simulator with all checks on.

#[path = "nvptx/attention.rs"]
mod attention;
#[path = "nvptx/build.rs"]
mod build;
#[path = "nvptx/dot.rs"]
mod dot;
#[path = "nvptx/elementwise.rs"]
mod elementwise;
#[path = "nvptx/exchange.rs"]
mod exchange;
#[path = "nvptx/text.rs"]
mod text;
