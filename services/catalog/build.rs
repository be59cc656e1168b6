//! Migrations are part of the binary; a new one must lead to a build.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
