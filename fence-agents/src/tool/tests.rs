use super::*;

fn shell(script: &str, limit: Duration) -> Finished {
    run(program("/bin/sh").arg("-c").arg(script), Deadline::after(limit))
}

const LONG: Duration = Duration::from_secs(10);

#[test]
fn only_a_whole_answer_of_a_program_that_ended_well_is_one() {
    assert_eq!(answer(&shell("echo yes", LONG)), Ok("yes\n".to_owned()));
    assert!(answer(&shell("echo yes; exit 3", LONG)).is_err());
    assert!(answer(&shell("echo yes; kill -9 $$", LONG)).is_err());
    assert!(answer(&shell("printf '\\377'", LONG)).is_err());
    assert!(answer(&shell("head -c 300000 /dev/zero", LONG)).is_err());
    assert!(answer(&run(program("/nonexistent/program"), Deadline::after(LONG))).is_err());
}

#[test]
fn a_program_that_hangs_is_killed_and_has_said_nothing() {
    let finished = shell("echo yes; sleep 1000", Duration::from_millis(200));
    assert_eq!(finished.outcome, Outcome::TimedOut { all_gone: true });
    assert!(answer(&finished).is_err());
}

#[test]
fn what_it_complained_of_is_told_on_one_line() {
    let told = told(&shell("printf 'a\\n\\033[1mb\\n' >&2; exit 1", LONG));
    assert_eq!(told, "exited with 1: a [1mb");
}
