//! `picket`; see [`picket::run`].

fn main() -> std::process::ExitCode {
    picket_host::sys::end_on_panic();
    picket::run::run(&std::env::args_os().collect::<Vec<_>>())
}
