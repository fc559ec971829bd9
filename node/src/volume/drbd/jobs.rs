//! Orders as programs: what is run, and what must be seen afterwards.

use super::tool::Tool;
use super::view::View;
use crate::time::now;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use picket_core::node::{CommandId, CommandOutcome, Promotion, Role};
use picket_core::time::Instant;

/// How long a program may take that the core gives five seconds: what follows it must be seen within these too.
pub(super) const SHORT: Duration = Duration::from_secs(4);

/// How long what nobody waits for may take.
pub(super) const UNHURRIED: Duration = Duration::from_secs(120);

/// How long a promotion may take. The core gives up earlier, by the volume's own configuration, and then demotes.
const PROMOTE_MAX: Duration = Duration::from_secs(3600);

/// How often a demote is tried again while something has the device open, or a promotion ends: nothing tells of either.
const DEMOTE_RETRY: Duration = Duration::from_millis(200);

/// What must be seen before an order is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// The role is Primary.
    Primary,
    /// The role is Secondary.
    Secondary,
    /// I/O is suspended, or cannot be had.
    Suspended,
    /// I/O is suspended by the administrator's word.
    ByUser,
    /// I/O is not suspended.
    Flowing,
    /// The kernel does not suspend I/O for a peer that is missing.
    NotFenced,
}

impl Goal {
    /// Whether it is seen.
    pub(super) fn is_seen(self, view: &View) -> bool {
        match self {
            Self::Primary => view.role() == Role::Primary,
            Self::Secondary => view.role() == Role::Secondary,
            Self::Suspended => view.role() == Role::Secondary || view.whole && view.suspended(),
            Self::Flowing => view.whole && !view.suspended(),
            Self::ByUser => view.suspended_by_user(),
            Self::NotFenced => view.whole && !view.suspended_by_fencing(),
        }
    }
}

/// How a program of an order ended.
#[derive(Debug)]
pub(super) struct Ran {
    pub command: CommandId,
    pub goal: Goal,
    /// When the goal must be seen.
    pub deadline: Instant,
    pub ran: Result<String, CommandOutcome>,
}

/// An order's programs.
pub(super) type Job = Pin<Box<dyn Future<Output = Ran> + Send>>;

/// Cuts `cut` off (all, if DRBD names no peers), then promotes.
pub(super) fn promote(tool: Tool, command: CommandId, promotion: Promotion, cut: bool) -> Job {
    Box::pin(async move {
        let deadline = now() + PROMOTE_MAX;
        let goal = Goal::Primary;
        if cut && let Err(outcome) = cut_for_promotion(&tool, promotion.valid_until()).await {
            return Ran { command, goal, deadline, ran: Err(outcome) };
        }
        let ran = match promotion.redeem(now()) {
            Ok(_) => tool.adm(&["primary"], deadline).await,
            Err(late) => Err(CommandOutcome::Failed(format!(
                "the promotion was valid until {:?}, it is {:?}",
                late.valid_until, late.now
            ))),
        };
        Ran { command, goal, deadline, ran }
    })
}

/// Cuts off whom writes need not reach, for as long as the promotion may be begun at all: on a busy machine a program takes
/// seconds.
pub(super) async fn cut_for_promotion(tool: &Tool, valid_until: Instant) -> Result<String, CommandOutcome> {
    disconnect(tool, valid_until.min(now() + PROMOTE_MAX)).await
}

/// Cuts the replication at once. Without `--force` a Primary would have its peer outdate itself first, and go on alone
/// with nothing recorded.
pub(super) async fn disconnect(tool: &Tool, deadline: Instant) -> Result<String, CommandOutcome> {
    tool.adm(&["disconnect", "--force"], deadline).await
}

/// The same, and it stays cut: a connection that is being started just now is cut when it has been.
async fn cut(tool: &Tool, deadline: Instant) -> Result<String, CommandOutcome> {
    if let Some(_still) = tool.try_still() {
        return disconnect(tool, deadline).await;
    }
    disconnect(tool, deadline).await?;
    let _still = tool.still(deadline).await?;
    disconnect(tool, deadline).await
}

/// Demotes; where that overtakes a promotion, what is left of it in the kernel may refuse for a while. Done beside a
/// program that was given up and is still there, it is done again.
pub(super) fn demote(tool: Tool, command: CommandId, deadline: Instant, overtakes: bool) -> Job {
    Box::pin(async move {
        // Ends at the deadline, or with an answer that will not change.
        let ran = loop {
            let alone = tool.alone(deadline).await;
            let ran = tool.adm(&["secondary"], deadline).await;
            let passes = match &ran {
                Ok(_) => !alone,
                Err(CommandOutcome::Failed(text)) => overtakes || text.contains("held open"),
                Err(_) => false,
            };
            if !passes || now() + DEMOTE_RETRY >= deadline {
                break if alone { ran } else { ran.and_then(|_| Err(not_alone())) };
            }
            tokio::time::sleep(DEMOTE_RETRY).await;
        };
        Ran { command, goal: Goal::Secondary, deadline, ran }
    })
}

fn not_alone() -> CommandOutcome {
    CommandOutcome::Unknown("a program of DRBD that was given up has not been seen to end".to_owned())
}

/// Freezes. What a program that was given up still does is seen, as any change.
pub(super) fn freeze(tool: Tool, command: CommandId, by_cut: bool) -> Job {
    Box::pin(async move {
        let deadline = now() + SHORT;
        tool.alone(deadline).await;
        let ran = if by_cut { cut(&tool, deadline).await } else { tool.adm(&["suspend-io"], deadline).await };
        Ran { command, goal: Goal::Suspended, deadline, ran }
    })
}

/// Lifts a freeze. One by cutting peers off ends with their return, or becomes the ordinary wait for a lost peer.
pub(super) fn thaw(tool: Tool, command: CommandId, by_cut: bool, valid_until: Instant) -> Job {
    Box::pin(async move {
        let deadline = now() + SHORT;
        let goal = if by_cut { Goal::NotFenced } else { Goal::Flowing };
        let ran = if by_cut {
            tool.start("connect", valid_until).await
        } else if now() < valid_until {
            tool.adm(&["resume-io"], deadline).await
        } else {
            Err(CommandOutcome::Failed(format!("the thaw was valid until {valid_until:?}, it is later")))
        };
        Ran { command, goal, deadline, ran }
    })
}

/// How writes come to go on without a peer whose removal is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The handler that waits is answered, or nothing is suspended.
    Answer,
    /// The suspension is lifted, then the handler is answered, if one still waits. Only while no other peer is required.
    /// The answer alone would do; but then the kernel writes the new UUID in a section where it must not sleep, and warns.
    Resume,
    /// The kernel has not noticed yet that the peer is gone: it is cut off, then as above.
    Cut,
    /// The volume is frozen by cutting this peer off: it is frozen by the administrator's word first.
    FreezeFirst,
}

pub(super) fn drop_peer(tool: Tool, command: CommandId, way: Way) -> Job {
    Box::pin(async move {
        let deadline = now() + SHORT;
        let (ran, goal) = match way {
            Way::Answer => (Ok(String::new()), Goal::NotFenced),
            Way::Resume => (tool.adm(&["resume-io"], deadline).await, Goal::NotFenced),
            Way::Cut => {
                let cut = disconnect(&tool, deadline).await;
                let ran = if cut.is_ok() { tool.adm(&["resume-io"], deadline).await } else { cut };
                (ran, Goal::NotFenced)
            }
            Way::FreezeFirst => (tool.adm(&["suspend-io"], deadline).await, Goal::ByUser),
        };
        Ran { command, goal, deadline, ran }
    })
}
