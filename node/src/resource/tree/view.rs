//! What people see of a tree.

use super::{Halt, Standing, State, Tree, Verb};

/// A whole tree at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Every resource, in the plan's order.
    pub lines: Vec<Line>,
    /// What the core says of the volume.
    pub standing: Standing,
    /// Why this node could not run the whole tree; absent: it could, as far as it knows.
    pub unable: Option<String>,
    /// Why another node should take over, and what keeps it from it; absent: nothing is wanted.
    pub stranded: Option<String>,
    /// The policy: the volume moves when its tree cannot run here.
    pub failover: bool,
    /// The policy: a failed resource is restarted here.
    pub local_recovery: bool,
}

/// One resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its name.
    pub tag: String,
    /// What it needs directly, by name.
    pub needs: Vec<String>,
    /// What it is.
    pub state: State,
    /// What is being done.
    pub work: Option<Verb>,
    /// Why it is held back.
    pub halt: Option<Halt>,
    /// How often it failed.
    pub failures: u32,
    /// Of how many until it is not restarted here.
    pub threshold: u32,
    /// What it said when it failed last, or why nobody knows what it is.
    pub text: String,
    /// The last look could not say what it is.
    pub doubted: bool,
    /// It was started, or seen running, and no stop has ended well since.
    pub owes_stop: bool,
}

impl Line {
    /// In service, out of service, or failed.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        let held = matches!(
            self.halt,
            Some(Halt::Stopped | Halt::Blocked | Halt::Fence | Halt::Exhausted | Halt::Unfit)
        );
        match self.state {
            State::Broken | State::Stuck => "OSF",
            State::Running => "ISP",
            State::Stopped | State::Unread if held => "OSF",
            State::Stopped => "OSU",
            State::Unread => "UNKNOWN",
        }
    }
}

impl Tree {
    /// What people see.
    #[must_use]
    pub fn view(&self) -> View {
        let line = |(rules, resource): (&crate::resource::plan::Rules, &super::Resource)| Line {
            tag: rules.tag.clone(),
            needs: rules.needs.iter().map(|needed| self.tag(*needed).to_owned()).collect(),
            state: resource.state,
            work: resource.work.map(|work| work.verb),
            halt: resource.halt,
            failures: resource.failures,
            threshold: rules.threshold,
            text: resource.text.clone(),
            doubted: resource.doubted,
            owes_stop: resource.owes_stop,
        };
        let lines: Vec<Line> = self.plan.rules().iter().zip(&self.resources).map(line).collect();
        let wanted = self.wants_to_move().filter(|_| self.standing == Standing::Active);
        View {
            unable: unable(&lines),
            standing: self.standing,
            stranded: wanted.map(|wanted| match self.moving.refused.as_str() {
                "" => wanted,
                refused => format!("{wanted}; {refused}"),
            }),
            failover: self.policy.failover,
            local_recovery: self.policy.local_recovery,
            lines,
        }
    }
}

fn unable(lines: &[Line]) -> Option<String> {
    let held = |line: &&Line| line.halt.is_some_and(|halt| halt != Halt::Operator);
    let unable = lines.iter().find(held).map(|line| format!("{} failed there: {}", line.tag, line.text));
    unable.or_else(|| {
        let unknown = lines.iter().find(|line| line.doubted);
        unknown.map(|line| format!("nobody knows whether {} runs there: {}", line.tag, line.text))
    })
}
