//! The lowtide binary: arguments in, exit code out.

/// It returns what a burst freed: glibc's would hold the memory that reading a configuration took for as long as the process lives,
/// because what comes out lies among what was freed.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    lowtide::cli::args::main()
}
