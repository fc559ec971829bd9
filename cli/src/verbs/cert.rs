//! `picket cert`: the authority of an installation, and its certificates.

use crate::args::{CertVerb, IssueArgs, IssueRole};
use crate::exit::{Exit, Fault};
use crate::session::Session;
use picket_host::cert::{Authority, Error, Identity, NotAnIdentity};
use picket_host::secrets::create_key;
use picket_proto::SCHEMA;
use serde_json::json;
use std::fs;
use std::path::Path;

pub(super) fn run(verb: CertVerb, session: &mut Session) -> Result<Exit, Fault> {
    match verb {
        CertVerb::Init { dir, name } => init(&dir, &name, session),
        CertVerb::Issue(args) => issue(&args, session),
        CertVerb::HeartbeatKey { file } => heartbeat_key(&file, session),
    }
}

fn init(dir: &Path, name: &str, session: &mut Session) -> Result<Exit, Fault> {
    fs::create_dir_all(dir).map_err(|error| Fault::File(format!("{}: {error}", dir.display())))?;
    Authority::init(dir, name).map_err(file)?;
    let (certificate, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    if session.json {
        writeln!(session.out, "{}", json!({ "schema": SCHEMA, "certificate": certificate, "key": key }))?;
    } else {
        writeln!(session.out, "{}: give it to every machine", certificate.display())?;
        writeln!(session.out, "{}: whoever has it can be anybody; keep it off the machines", key.display())?;
    }
    Ok(Exit::Done)
}

fn issue(args: &IssueArgs, session: &mut Session) -> Result<Exit, Fault> {
    let identity = identity(args)?;
    let issued = Authority::load(&args.ca)
        .and_then(|authority| authority.issue(&identity, &args.reached_as, args.days))
        .map_err(file)?;
    issued.write(&args.out, &args.name).map_err(file)?;
    let path = |ending: &str| args.out.join(format!("{}.{ending}", args.name));
    if session.json {
        let line = json!({
            "schema": SCHEMA, "identity": identity.to_string(), "certificate": path("pem"), "key": path("key"),
        });
        writeln!(session.out, "{line}")?;
    } else {
        writeln!(session.out, "{identity}: {} and {}", path("pem").display(), path("key").display())?;
    }
    Ok(Exit::Done)
}

fn heartbeat_key(path: &Path, session: &mut Session) -> Result<Exit, Fault> {
    create_key(path).map_err(|error| Fault::File(error.to_string()))?;
    if session.json {
        writeln!(session.out, "{}", json!({ "schema": SCHEMA, "key": path }))?;
    } else {
        writeln!(
            session.out,
            "{}: give it to every node of the cluster, and to nobody else",
            path.display()
        )?;
    }
    Ok(Exit::Done)
}

fn identity(args: &IssueArgs) -> Result<Identity, Fault> {
    let wrong = |error: NotAnIdentity| Fault::Missing(error.to_string());
    match (args.role, &args.cluster) {
        (IssueRole::Witness, None) => Identity::witness(&args.name).map_err(wrong),
        (IssueRole::Witness, Some(_)) => {
            Err(Fault::Missing("a witness serves many clusters: no --cluster for it".to_owned()))
        }
        (IssueRole::Node, Some(cluster)) => Identity::node(cluster, &args.name).map_err(wrong),
        (IssueRole::Operator, Some(cluster)) => Identity::operator(cluster, &args.name).map_err(wrong),
        (IssueRole::Node | IssueRole::Operator, None) => {
            Err(Fault::Missing("of which cluster? Give --cluster".to_owned()))
        }
    }
}

fn file(error: Error) -> Fault {
    Fault::File(error.to_string())
}
