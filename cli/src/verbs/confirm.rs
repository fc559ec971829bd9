//! `picket confirm`, also called `meatclient -c NODE`: a person attests that a machine is off.

use crate::args::ConfirmArgs;
use crate::exit::{Exit, Fault};
use crate::render::list;
use crate::session::Session;
use picket_proto::v1::{ConfirmRequest, NodeRequest, Status, StatusPending};

pub(super) async fn run(args: &ConfirmArgs, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let status = daemon.status(0).await?;
    let pending = pending(&status, &args.node)?;
    show(&status, pending, args.deny, session)?;
    let challenge = &pending.challenge;
    let typed = session.ask(&format!("To go on, type {challenge}: "))?;
    if typed != *challenge {
        return Err(Fault::NotTyped { expected: challenge.clone(), typed });
    }
    let node = args.node.clone();
    let answer = if args.deny {
        daemon.calls().deny(NodeRequest { node }).await
    } else {
        daemon.calls().confirm(ConfirmRequest { node, challenge: typed }).await
    };
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}

/// Whether the daemon of this host waits for a confirmation of this machine. What cannot be asked is no.
async fn waits_for(node: &str, session: &Session) -> bool {
    let Ok(mut daemon) = session.daemon().await else { return false };
    daemon.status(0).await.is_ok_and(|status| status.pending.iter().any(|pending| pending.target == node))
}

/// `meatclient -c NODE`: under Picket's daemon it is `picket confirm`; where no daemon waits for that machine it
/// answers the fence agent that Pacemaker or a person has started. `None`: that agent's own program has to do it.
///
/// # Errors
/// As `picket confirm`.
pub async fn as_meatclient(words: &[String], session: &mut Session) -> Result<Option<Exit>, Fault> {
    let deny = words.iter().any(|word| word == "--deny");
    let node = words.windows(2).find_map(|pair| (pair[0] == "-c").then(|| pair[1].clone()));
    // Words that only the agent understands, such as its spool directory, mean the agent.
    let plain = words.iter().all(|word| word == "--deny" || word == "-c" || Some(word) == node.as_ref());
    match node {
        Some(node) if plain && waits_for(&node, session).await => {
            run(&ConfirmArgs { node, deny }, session).await.map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

fn pending<'s>(status: &'s Status, node: &str) -> Result<&'s StatusPending, Fault> {
    if let Some(pending) = status.pending.iter().find(|pending| pending.target == node) {
        return Ok(pending);
    }
    let waiting: Vec<String> = status.pending.iter().map(|pending| pending.target.clone()).collect();
    Err(Fault::Refused(format!(
        "nothing waits for a confirmation of exactly {node:?}; waiting: {}",
        list(&waiting)
    )))
}

fn show(status: &Status, pending: &StatusPending, deny: bool, session: &mut Session) -> Result<(), Fault> {
    let node = &pending.target;
    let member = status.members.iter().find(|member| member.node == *node);
    let boot =
        member.map(|member| member.boot.as_str()).filter(|boot| !boot.is_empty()).unwrap_or("not known");
    let holds = member.map(|member| list(&member.holds)).unwrap_or_default();
    session.tell(&format!("Machine:   {node} of cluster {}", status.cluster))?;
    let site =
        member.map(|member| member.site.as_str()).filter(|site| !site.is_empty()).unwrap_or("not given");
    session.tell(&format!("Site:      {site}"))?;
    session.tell(&format!("Boot:      {boot}"))?;
    session.tell(&format!("Holds:     {holds}"))?;
    let paths = status.paths.iter().filter(|path| path.machine == *node);
    for path in paths {
        session.tell(&format!("Path:      {} {} {}", path.network, path.addresses, path.state))?;
    }
    let hears = member.and_then(|member| member.witness_hears);
    let hears = hears.map_or("not known", |hears| if hears { "hears it" } else { "does not hear it" });
    session.tell(&format!("Witness:   {hears}"))?;
    session.tell(&format!("Heard by:  {}", list(&pending.heard_by)))?;
    session.tell(&format!("Request:   permit {}; {}", pending.permit, pending.text))?;
    session.tell("")?;
    session.tell(&if deny {
        format!("Denying means: {node} is not off. The request ends, and {node}'s volumes stay where they are.")
    } else {
        format!(
            "Confirming means: you have powered {node} off or reset it, and have seen it with your own eyes.\n\
Its volumes then start elsewhere. It takes effect only after lease, watchdog and guard have run out."
        )
    })?;
    session.tell("")
}
