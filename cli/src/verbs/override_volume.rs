//! `picket override`: activate a volume here without a witness. The only command outside the guarantee.

use crate::args::{OverrideArgs, to_ms};
use crate::exit::{Exit, Fault};
use crate::render::{list, millis};
use crate::session::Session;
use picket_proto::v1::OverrideRequest;

pub(super) async fn run(args: OverrideArgs, session: &mut Session) -> Result<Exit, Fault> {
    let mut daemon = session.daemon().await?;
    let status = daemon.status(0).await?;
    let Some(volume) = status.volumes.iter().find(|volume| volume.tag == args.tag) else {
        return Err(Fault::Missing(format!("{} has no volume {}", status.node, args.tag)));
    };
    let dead = args.dead.join(" ");
    let length_ms = to_ms(args.length);
    session.tell(&format!(
        "OUTSIDE THE GUARANTEE. {tag} becomes active on {node} for at most {length} although no witness agrees.\n\
In sync by this node's own record: {isr}.\n\
You assert that each of {dead} is off, and that it stays off until a witness has recorded this.\n\
If one of them runs, {tag} is active twice and its data are destroyed.",
        tag = args.tag,
        node = status.node,
        length = millis(length_ms),
        isr = list(&volume.isr),
    ))?;
    session.have_typed(&format!("To go on, type {dead}: "), &dead)?;
    let request =
        OverrideRequest { tag: args.tag, dead: args.dead, typed: dead, reason: args.reason, length_ms };
    let answer = daemon.calls().r#override(request).await;
    session.show_outcome(&answer.map_err(|status| daemon.fault(&status))?.into_inner())
}
