//! `picket`; see [`picket::run`].

fn main() -> std::process::ExitCode {
    picket::run::run(&std::env::args_os().collect::<Vec<_>>())
}
