//! The spool of requests to an operator, and of answers.

use crate::must;
use crate::scratch;
use crate::target::{Answer, Broken, Target};
use picket_fence::devices::meatware::spool::{Answer as Said, Pending, Request, Spool, SpoolError};
use std::path::{Path, PathBuf};

/// The target. An input is one byte (the request or the answer), then what stands in that file.
pub const TARGET: Target = Target {
    name: "meatware",
    about: "spool files: only the word is a confirmation, and a request is shown only as it was written",
    seeds,
    words: &[
        "confirmed",
        "denied",
        "\n",
        "node=",
        "id=",
        "challenge=",
        "since=",
        "audit_file=",
        "heard_check=",
        "end\n",
        "\nend\n",
        "..",
        "/",
        "challenge=\n",
        "\u{0}",
        " ",
        "\r",
    ],
    check,
};

const NODE: &str = "n2";
const HEARD: &str = "/usr/lib/heard --all";

fn audit() -> PathBuf {
    PathBuf::from("/var/log/audit")
}

fn spool() -> Result<Spool, Broken> {
    let spool = Spool::at(scratch::directory()?.join("spool"));
    spool.prepare().map_err(failed)?;
    Ok(spool)
}

fn failed(error: SpoolError) -> Broken {
    Broken(format!("a good spool: {error}"))
}

fn request_path(spool: &Spool) -> PathBuf {
    spool.dir().join(format!("{NODE}.request"))
}

fn seeds() -> Vec<Vec<u8>> {
    let written = || -> Option<Vec<u8>> {
        let spool = spool().ok()?;
        let pending = spool.request(NODE, &audit(), HEARD).ok()?;
        let text = std::fs::read(request_path(&spool)).ok()?;
        spool.withdraw(pending).ok()?;
        Some(text)
    };
    let text = written().unwrap_or_default();
    let mut seeds = vec![[vec![0], text.clone()].concat()];
    // The same with each of its fields empty.
    for line in text.split(|byte| *byte == b'\n').filter(|line| line.contains(&b'=')) {
        let name: Vec<u8> = line.iter().copied().take_while(|byte| *byte != b'=').chain([b'=']).collect();
        let emptied = String::from_utf8_lossy(&text)
            .replace(&*String::from_utf8_lossy(line), &String::from_utf8_lossy(&name));
        seeds.push([vec![0], emptied.into_bytes()].concat());
    }
    seeds.extend([b"\x01confirmed\n".to_vec(), b"\x01denied\n".to_vec(), b"\x01".to_vec()]);
    seeds
}

fn check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((which, bytes)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let spool = spool()?;
    let pending = spool.request(NODE, &audit(), HEARD).map_err(failed)?;
    let result =
        if which & 1 == 0 { request(&spool, &pending, bytes) } else { answer(&spool, &pending, bytes) };
    // As it was, so that the next input begins with nothing pending.
    let asked = pending.request().clone();
    write(&request_path(&spool), text_of(&asked).as_bytes())?;
    spool.withdraw(pending).map_err(failed)?;
    let _ = std::fs::remove_file(answer_path(&spool, &asked));
    result
}

fn answer_path(spool: &Spool, request: &Request) -> PathBuf {
    spool.dir().join(format!("{}.{}.answer", request.node, request.id))
}

/// A request's file, written down here once more.
fn text_of(request: &Request) -> String {
    let Request { node, id, challenge, since, audit_file, heard_check } = request;
    let audit_file = audit_file.display();
    format!(
        "node={node}\nid={id}\nchallenge={challenge}\nsince={since}\naudit_file={audit_file}\nheard_check={heard_check}\nend\n"
    )
}

/// Over what is there: the agent's lock is on this file.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Broken> {
    std::fs::write(path, bytes).map_err(|error| Broken(format!("{}: {error}", path.display())))
}

fn request(spool: &Spool, pending: &Pending, bytes: &[u8]) -> Result<Answer, Broken> {
    write(&request_path(spool), bytes)?;
    let shown = match spool.look(NODE) {
        Ok(shown) => shown,
        Err(error) => {
            return Ok(Answer::new(error.to_string().replace(spool.dir().to_string_lossy().as_ref(), "")));
        }
    };
    must!(shown.node == NODE, "the request of {:?} is shown", shown.node);
    must!(text_of(&shown).as_bytes() == bytes, "it is not shown as it stands there: {shown:?}");
    must!(
        shown.challenge.len() == pending.request().challenge.len(),
        "the challenge is {:?}",
        shown.challenge
    );
    must!(
        shown.id.len() == 32 && shown.id.bytes().all(|b| b.is_ascii_hexdigit()),
        "the id is {:?}",
        shown.id
    );
    Ok(Answer::new("shown"))
}

fn answer(spool: &Spool, pending: &Pending, bytes: &[u8]) -> Result<Answer, Broken> {
    write(&answer_path(spool, pending.request()), bytes)?;
    let is = |word: &str| core::str::from_utf8(bytes).is_ok_and(|text| text.trim_end() == word);
    match spool.answer(pending.request()) {
        Ok(Some(Said::Confirmed)) => must!(is("confirmed"), "{bytes:?} was read as a confirmation"),
        Ok(Some(Said::Denied)) => must!(is("denied"), "{bytes:?} was read as a denial"),
        Ok(None) => return Err(Broken("an answer that stands there was not seen".to_owned())),
        Err(error) => {
            must!(!is("confirmed") && !is("denied"), "an answer was refused: {error}");
            return Ok(Answer::new("damaged"));
        }
    }
    Ok(Answer::new("answered"))
}
