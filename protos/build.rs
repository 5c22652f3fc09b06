//! Compiles the messages, and their JSON mapping, without a `protoc` on the machine.

use std::{env, error::Error, path::PathBuf};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let files = ["submission", "policy", "decision", "operation", "status", "outcome"]
        .map(|name| format!("proto/countersign/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;

    prost_build::Config::new()
        .enable_type_names()
        // Maps in one order, so that a workflow does the same in every replay.
        .btree_map(["."])
        .compile_well_known_types()
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".google.protobuf.Value", "crate::Json")
        .compile_fds(descriptors.clone())?;

    pbjson_build::Builder::new()
        .register_descriptors(&descriptors.encode_to_vec())?
        .btree_map(["."])
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".google.protobuf.Value", "crate::Json")
        // Fields and enum values of a newer version must not make its message unreadable.
        .ignore_unknown_fields()
        .ignore_unknown_enum_variants()
        .out_dir(PathBuf::from(env::var("OUT_DIR")?))
        .build(&[".countersign.v1"])?;

    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
