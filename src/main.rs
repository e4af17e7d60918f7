//! The lowtide binary: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    lowtide::cli::args::main()
}
