//! The `assent` program: everything it does is in `assent::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    assent::cli::main()
}
