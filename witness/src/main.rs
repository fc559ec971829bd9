//! `picket-witness`; see [`picket_witness::run`].

fn main() -> std::process::ExitCode {
    picket_host::sys::end_on_panic();
    picket_witness::run(std::env::args_os())
}
