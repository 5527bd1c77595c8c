//! Links the addon against the symbols that Node provides, and tells `src/versions.rs` what is
//! locked: the crates have no constant for it.

use std::{env, fs, path::Path};

fn main() {
    napi_build::setup();
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let lock = Path::new(&folder).join("../../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(&lock).expect("the workspace has a Cargo.lock");
    for name in ["rustls", "aws-lc-rs", "tokio"] {
        let version = locked(&text, name).expect("the binding depends on it");
        let variable = name.to_uppercase().replace('-', "_");
        println!("cargo::rustc-env=OFFLOOP_{variable}_VERSION={version}");
    }
}

fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("\nname = \"{name}\"\nversion = \""))?;
    rest.split_once('"').map(|(version, _)| version)
}
