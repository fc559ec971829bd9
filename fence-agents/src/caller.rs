//! Who started the agent, as far as it changes what the agent does.

/// What Pacemaker's fencer puts into `PCMK_service`.
pub const PACEMAKER_FENCER: &str = "pacemaker-fenced";

/// The variable by which Picket's daemon says that it runs the agent as a gate.
pub const ROLE_VARIABLE: &str = "PICKET_FENCE_ROLE";

/// Its value.
pub const ROLE_GATE: &str = "gate";

/// Who started the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// A person, a script, or Picket's daemon for a power device.
    #[default]
    Anyone,
    /// Pacemaker's fencer: its timeout is the only one.
    Pacemaker,
    /// Picket's daemon, which configured the agent as a gate and reads its exit status as one.
    PicketGate,
}

impl Caller {
    /// By the process's environment. A role that we do not know is none: it must not open a gate.
    #[must_use]
    pub fn of_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        if variable(ROLE_VARIABLE).as_deref() == Some(ROLE_GATE) {
            return Self::PicketGate;
        }
        if variable("PCMK_service").as_deref() == Some(PACEMAKER_FENCER) {
            return Self::Pacemaker;
        }
        Self::Anyone
    }
}
