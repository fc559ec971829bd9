//! What the programs of hypervisors print to the fence agents: `virsh` and `xl`.

use crate::must;
use crate::target::{Answer, Broken, Target};
use picket_fence::device::{DeviceError, State};
use picket_fence::devices::libvirt::domain::{Activity, Domain, Plug, Seen, verdict};
use picket_fence::devices::libvirt::shell;
use picket_fence::devices::xen::domains::{DOM0_NAME, Domains, Presence, config_name};

/// The target. An input is one byte (asked by name or by UUID), then `virsh list`, a zero byte, `virsh dominfo`.
pub const VIRSH: Target = Target {
    name: "virsh",
    about: "virsh's answers: off only where a whole one about this very domain says shut off; absent only in a whole list",
    seeds: virsh_seeds,
    words: &[
        "shut off",
        "running",
        "paused",
        "in shutdown",
        "State:          ",
        "Id:             -\n",
        "Id:             3\n",
        "Name:           n2\n",
        "Name:           n1\n",
        "UUID:           4c4c4544-0051-3510-8052-b4c04f4a3332\n",
        "Persistent:     yes\n",
        "n2\n",
        "\n",
        ":",
        " ",
        "-",
        "+",
        "\u{0}",
        "\u{9b}31m",
        "\u{1b}[2J",
    ],
    check: virsh_check,
};

/// The target. An input is what `xl list` prints, a zero byte, and a domain's configuration.
pub const XEN: Target = Target {
    name: "xen",
    about: "xl's lists: absent only in a whole list of a Dom0 that has nothing which may be the domain",
    seeds: xen_seeds,
    words: &[
        "Name ID Mem VCPUs State Time(s)\n",
        "Domain-0 0 4096 4 r----- 4221.3\n",
        "vm1 3 512 1 -b---- 10.0\n",
        "vm1--incoming 3 512 1 --p--- 1.0\n",
        "vm1--migratedaway",
        "(null)",
        "---s--",
        "----c-",
        "-----d",
        "nan",
        "+",
        "\n",
        " ",
        "\u{0}",
        "name = \"vm1\"\n",
        "name='vm1'\n",
        "\u{1b}[2J",
    ],
    check: xen_check,
};

const NAME: &str = "n2";

const UUID: &str = "4c4c4544-0051-3510-8052-b4c04f4a3332";

fn info(id: &str, state: &str) -> String {
    format!(
        "Id:             {id}\nName:           {NAME}\nUUID:           {UUID}\nOS Type:        hvm\n\
         State:          {state}\nCPU(s):         1\nMax memory:     65536 KiB\nPersistent:     yes\nSecurity model: none\n"
    )
}

fn virsh_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (kind, list) in [("\u{0}", format!("n1\n{NAME}\n")), ("\u{1}", format!("{UUID}\n"))] {
        for (id, state) in [("3", "running"), ("-", "shut off"), ("3", "in shutdown"), ("-", "crashed")] {
            seeds.push(format!("{kind}{list}\u{0}{}\n", info(id, state)).into_bytes());
        }
        seeds.push(format!("{kind}n1\nn3\n\u{0}").into_bytes());
        seeds.push(format!("{kind}\u{0}").into_bytes());
    }
    seeds
}

fn virsh_check(input: &[u8]) -> Result<Answer, Broken> {
    let Some((kind, rest)) = input.split_first() else { return Ok(Answer::new("empty")) };
    let text = String::from_utf8_lossy(rest);
    let (list, dominfo) = text.split_once('\u{0}').unwrap_or((&text, ""));
    let key = if kind & 1 == 0 { NAME } else { UUID };
    let plug = Plug::new(key);
    let seen = find(&plug, key, list, dominfo);
    must!(seen != Ok(None) || absent(list, key), "absent by the list {list:?}");
    if let Ok(Some(domain)) = &seen {
        stands(domain, dominfo, &plug)?;
        let again = shell::about(&plug, &written(domain));
        must!(again.as_ref() == Ok(domain), "written again it is {again:?}, not {domain:?}");
    }
    // Another one, which answered, has it shut off: then absence here makes it off.
    let mut elsewhere = shell::about(&plug, &info("-", "shut off")).map_err(Broken)?;
    if let Ok(Some(domain)) = &seen {
        elsewhere.uuid = domain.uuid;
    }
    let both = [("a".to_owned(), seen.clone()), ("b".to_owned(), Ok(Some(elsewhere)))];
    let state = verdict(&plug, &both);
    if let State::Unknown(why) = &state {
        must!(!why.contains(char::is_control), "words that drive a terminal: {why:?}");
    }
    let is_off = matches!(&seen, Ok(None))
        || matches!(&seen, Ok(Some(domain)) if domain.activity == Activity::ShutOff);
    must!((state == State::Off) == is_off, "{seen:?} together with a shut off one is {state:?}");
    Ok(Answer::new(match seen {
        Ok(None) => "absent".to_owned(),
        Ok(Some(domain)) => format!("{:?}, persistent {:?}", domain.activity, domain.persistent),
        // Whom it is about has any name.
        Err(error) => error.to_string().split("about").next().unwrap_or_default().to_owned(),
    }))
}

/// As the agent asks: the list first, then about the one that is in it.
fn find(plug: &Plug, key: &str, list: &str, dominfo: &str) -> Seen {
    if !shell::listed(list).map_err(DeviceError::NoAnswer)?.contains(&key) {
        return Ok(None);
    }
    shell::about(plug, dominfo).map(Some).map_err(DeviceError::NoAnswer)
}

/// The list has its end, and nobody of this name.
fn absent(list: &str, key: &str) -> bool {
    (list.is_empty() || list.ends_with('\n')) && !list.lines().any(|line| line.trim() == key)
}

/// Each thing that was read stands in one line, and the last of them to its end.
fn stands(domain: &Domain, dominfo: &str, plug: &Plug) -> Result<(), Broken> {
    let values = |key: &str| -> Vec<&str> {
        let pairs = dominfo.lines().filter_map(|line| line.split_once(':'));
        pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim()).collect()
    };
    must!(dominfo.ends_with('\n'), "half of an answer was taken");
    must!(values("Name") == [domain.name.as_str()], "{:?} was read of {dominfo:?}", domain.name);
    let uuid = values("UUID");
    must!(
        uuid.len() == 1 && uuid[0].eq_ignore_ascii_case(&domain.uuid.to_string()),
        "{} was read",
        domain.uuid
    );
    must!(plug.is(domain), "asked for {plug}, it is {}", domain.name);
    let digits =
        |value: &str| value.bytes().all(|digit| digit.is_ascii_digit()) && value.parse() == Ok(domain.id);
    let is_id = |value: &&str| if domain.id < 0 { *value == "-" } else { digits(value) };
    let ids = values("Id");
    must!(ids.len() == 1 && ids.iter().all(is_id), "{ids:?} was read as {}", domain.id);
    let (state, runs) = (values("State"), domain.id >= 0);
    match domain.activity {
        Activity::ShutOff => {
            must!(state == ["shut off"] && !runs, "shut off was read where {state:?} stands")
        }
        Activity::Runs => must!(
            runs && state.len() == 1 && ["running", "idle", "paused"].contains(&state[0]),
            "it was read to run where {state:?} stands"
        ),
        Activity::Between(_) => must!(state.len() == 1, "{state:?}"),
    }
    Ok(())
}

fn written(domain: &Domain) -> String {
    let state = match domain.activity {
        Activity::Runs => "running",
        Activity::ShutOff => "shut off",
        Activity::Between(word @ ("in shutdown" | "crashed" | "pmsuspended")) => word,
        Activity::Between(_) => "no state",
    };
    let id = if domain.id < 0 { "-".to_owned() } else { domain.id.to_string() };
    let persistent = match domain.persistent {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    format!(
        "Id: {id}\nName: {}\nUUID: {}\nState: {state}\nPersistent: {persistent}\n",
        domain.name, domain.uuid
    )
}

const DOMAIN: &str = "vm1";

const HEADER: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                      Domain-0                                     0  4096     4     r-----    4221.3\n";

fn xen_seeds() -> Vec<Vec<u8>> {
    let config = "# a domain\nname = \"vm1\"\nmemory = 512\n";
    let lists = [
        "",
        "vm1 3 512 1 -b---- 10.0\nvm10 4 512 1 r----- 2.5\n",
        "vm10                                         4   512     1     r-----       2.5\n",
        "vm1--incoming 3 512 1 --p--- 1.0\n",
        "vm1--migratedaway 3 512 1 ---s-- 1.0\n",
        "(null) 3 512 1 --p--- 1.0\n",
        "vm1 3 512 1 ---s-- 1.0\n",
    ];
    lists.map(|list| format!("{HEADER}{list}\u{0}{config}").into_bytes()).into()
}

fn xen_check(input: &[u8]) -> Result<Answer, Broken> {
    let text = String::from_utf8_lossy(input);
    let (list, config) = text.split_once('\u{0}').unwrap_or((&text, ""));
    let name = config_name(config);
    must!(name.as_deref() == named(config), "{name:?} was read from {config:?}");
    let domains = match Domains::parse(list) {
        Ok(domains) => domains,
        Err(error) => {
            must!(!error.contains(char::is_control), "an error that drives a terminal: {error:?}");
            return Ok(Answer::new(error));
        }
    };
    let rows = rows(list)?;
    let presence = domains.presence(DOMAIN);
    let same = || rows.iter().find(|row| row[0] == DOMAIN);
    let maybe = |name: &str| ["vm1--incoming", "vm1--migratedaway", "(null)"].contains(&name);
    match &presence {
        Presence::Absent => {
            must!(same().is_none() && !rows.iter().any(|row| maybe(row[0])), "absent by {list:?}");
        }
        Presence::Running => {
            let runs = same().is_some_and(|row| !row[4].contains(['s', 'c', 'd']));
            must!(runs, "it was read to run in {list:?}");
        }
        Presence::Doubtful(why) => {
            must!(!why.contains(char::is_control), "words that drive a terminal: {why:?}");
        }
    }
    must!(domains.has(DOMAIN) == same().is_some(), "{list:?} has it, or not");
    let again: String = rows.iter().map(|row| format!("{}\n", row.join(" "))).collect();
    let again = Domains::parse(&format!("{HEADER}{again}"));
    must!(again.is_ok_and(|again| again.presence(DOMAIN) == presence), "written again it is another list");
    Ok(Answer::new(format!("{presence:?}, named by its file {}", name.is_some())))
}

/// The name in quotes of the last line that gives one: what xl takes.
fn named(config: &str) -> Option<&str> {
    config.lines().rev().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|letter| "\"'".contains(*letter))?;
        (key.trim() == "name")
            .then(|| value.split(quote).nth(1))?
            .filter(|_| value.matches(quote).count() > 1)
    })
}

/// The rows of a list that was taken: its first line is the header, each other has all its columns as xl writes them, and
/// the Dom0 itself is there. A list without its header may lack more than that.
fn rows(list: &str) -> Result<Vec<[&str; 6]>, Broken> {
    must!(list.ends_with('\n'), "a list that was cut short was taken: {list:?}");
    let header: Vec<&str> = HEADER.lines().take(1).flat_map(str::split_whitespace).collect();
    let first: Vec<&str> = list.lines().take(1).flat_map(str::split_whitespace).collect();
    must!(first == header, "taken for a header: {first:?}");
    let rows: Vec<[&str; 6]> = list.lines().skip(1).map(row).collect::<Result<_, _>>()?;
    must!(rows.iter().any(|row| row[0] == DOM0_NAME && row[1] == "0"), "no Dom0 in {list:?}");
    for row in &rows {
        let numbers =
            [row[1], row[2], row[3]].iter().all(|column| column.bytes().all(|b| b.is_ascii_digit()));
        let time = row[5].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        must!(numbers && time, "taken as numbers: {row:?}");
        let fits = row[4].chars().zip("rbpscd".chars()).all(|(is, letter)| is == '-' || is == letter);
        must!(fits && row[4].len() == 6, "taken as a state: {row:?}");
    }
    Ok(rows)
}

fn row(line: &str) -> Result<[&str; 6], Broken> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    columns.try_into().map_err(|columns: Vec<&str>| Broken(format!("taken as a row: {columns:?}")))
}
