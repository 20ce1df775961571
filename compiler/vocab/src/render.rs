//! Rendering of diagnostics: a picture of the source for people, one JSON object a line for tools.
