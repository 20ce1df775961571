//! The kernel library: `.tile` files, each with its spec, compiled into the program.
//!
//! One row for each file. Any of them can be imported by name from any `.tile` file, run, or
//! copied and changed.

/// One file of the library.
#[derive(Clone, Copy, Debug)]
pub struct LibraryFile {
    /// What `use` and `tilec new --from` call it.
    pub name: &'static str,
    /// Where it stands, from the root of the repository.
    pub path: &'static str,
    /// One line for lists.
    pub about: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// Tuning records that come with the library: what `tilec cache ls --json` shows of a record, in a list. They are hints about
/// speed for the devices they name, and count after the user's own.
pub const TUNED: &str = include_str!("../tuned.json");

macro_rules! files {
    ($($name:literal $path:literal $about:literal;)*) => {
        &[$(LibraryFile {
            name: $name,
            path: concat!("kernels/", $path),
            about: $about,
            text: include_str!(concat!("../", $path)),
        }),*]
    };
}

/// Every file, imports first.
pub const FILES: &[LibraryFile] = files! {
    "flash" "attention/forward.tile" "flash attention, forward: the functions every variant is made of";
    "full" "attention/full.tile" "every query sees every key";
    "causal" "attention/causal.tile" "keys up to the query's own position";
    "causal_bottom_right" "attention/causal_bottom_right.tile" "causal, queries are the last of the tokens";
    "window_left" "attention/window_left.tile" "sliding window over the past";
    "window_two_sided" "attention/window_two_sided.tile" "sliding window on both sides";
    "prefix_lm" "attention/prefix_lm.tile" "a prefix seen by all, the rest causal";
    "alibi" "attention/alibi.tile" "a bias that falls with distance";
    "alibi_window" "attention/alibi_window.tile" "ALiBi inside a sliding window";
    "softcap" "attention/softcap.tile" "scores bounded by a scaled tanh";
    "bias" "attention/bias.tile" "a bias tensor added to the scores";
    "documents" "attention/documents.tile" "packed documents, told apart by ids";
    "sink" "attention/sink.tile" "a learned score that takes weight and gives nothing";
    "gqa" "attention/gqa.tile" "grouped queries packed into one tile";
    "wide" "model/wide.tile" "causal attention of one head wider than a tile, over few tokens, and its gradients";
    "flash_backward" "backward/flash_backward.tile" "flash attention, backward: the functions its kernels are made of";
    "delta" "backward/delta.tile" "the row sums that the backward pass subtracts";
    "full_backward" "backward/full.tile" "gradients of full attention";
    "causal_backward" "backward/causal.tile" "gradients of causal attention";
    "window_left_backward" "backward/window_left.tile" "gradients of attention in a window over the past";
    "softcap_backward" "backward/softcap.tile" "gradients of attention with soft-capped scores";
    "paged_decode" "decode/paged.tile" "split-KV decoding over a page table, also in a window";
    "combine" "decode/combine.tile" "parts of attention over disjoint keys, as one";
    "vector_add" "smoke/vector_add.tile" "element-wise sum";
    "row_softmax" "smoke/row_softmax.tile" "softmax of each row";
    "layer_norm" "smoke/layer_norm.tile" "layer normalisation of each row";
    "rms_norm" "smoke/rms_norm.tile" "root-mean-square normalisation of each row";
    "matmul" "smoke/matmul.tile" "matrix product";
    "linear" "model/linear.tile" "gradients of a linear layer";
    "embedding" "model/embedding.tile" "rows of a table by number";
    "rope" "model/rope.tile" "rotary position embedding";
    "swiglu" "model/swiglu.tile" "the gated activation of a feed-forward layer, and its gradients";
    "rms_norm_backward" "model/rms_norm_backward.tile" "gradients of root-mean-square normalisation";
    "page_walk" "smoke/page_walk.tile" "decoding with a page of the cache as a tile";
};

/// The file that `name` stands for in `use name::item` or `tilec new --from name`.
pub fn find(name: &str) -> Option<&'static LibraryFile> {
    FILES.iter().find(|file| file.name == name)
}
