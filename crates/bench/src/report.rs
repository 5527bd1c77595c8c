//! Lines of JSON on stdout.

use std::io::{self, Write};

use serde_json::{Map, Value};

/// Prints one object as one line, at once: the harness acts on lines as they come.
///
/// # Errors
/// When stdout is closed.
pub fn line(object: &Value) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, object)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// One object with the fields of all; the later one wins.
#[must_use]
pub fn merged(objects: impl IntoIterator<Item = Value>) -> Value {
    let mut fields = Map::new();
    for object in objects {
        if let Value::Object(more) = object {
            fields.extend(more);
        }
    }
    Value::Object(fields)
}

/// Rounded to three decimals: more is noise, and makes lines hard to read.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
