use super::*;

struct Scripted(Finding, Vec<String>);

impl Gate for Scripted {
    fn look(&mut self, target: &str, _: &Reporter) -> Finding {
        self.1.push(target.to_owned());
        self.0.clone()
    }

    fn hosts(&self) -> &[String] {
        &self.1
    }

    fn monitor(&mut self) -> Result<(), String> {
        Err("it cannot look".to_owned())
    }
}

fn run(finding: Finding, action: Action, caller: Caller) -> (Exit, String) {
    let mut gate = Scripted(finding, Vec::new());
    let mut out = Vec::new();
    let report = Reporter::local("test");
    let exit = perform(&mut gate, action, &["n1".into(), "n2".into()], caller, &report, &mut out).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

fn findings() -> [Finding; 3] {
    [
        Finding::Absent("silent".into()),
        Finding::Delay(Duration::ZERO, "standby".into()),
        Finding::Abort("holds v1".into()),
    ]
}

#[test]
fn nobody_but_picket_ever_gets_a_success() {
    for caller in [Caller::Anyone, Caller::Pacemaker] {
        for finding in findings() {
            for action in [Action::Off, Action::Reboot, Action::On, Action::Status] {
                assert_eq!(run(finding.clone(), action, caller), (Exit::Failed, String::new()));
            }
        }
    }
}

#[test]
fn under_picket_the_exit_status_is_the_finding() {
    let exits = findings().map(|finding| run(finding, Action::Off, Caller::PicketGate).0);
    assert_eq!(exits, [Exit::Success, Exit::Success, Exit::GateAbort]);
    assert_eq!(Exit::GateAbort.code(), 2);
}

#[test]
fn a_gate_has_no_power_state_to_tell() {
    for action in [Action::On, Action::Status] {
        assert_eq!(run(findings()[0].clone(), action, Caller::PicketGate).0, Exit::Failed);
    }
    assert_eq!(run(findings()[0].clone(), Action::Monitor, Caller::Anyone).0, Exit::Failed);
}
