//! Against a stand-in for `xl`, and one for `ssh`, at the boundary of the process: scripts that keep
//! their domains in a file, and that can be told to lie, fail or hang. No hypervisor is here.

use super::*;
use crate::agent::{self, Surroundings};
use crate::caller::Caller;
use crate::exit::Exit;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

mod moving;

const HEADER: &str = "Name ID Mem VCPUs State Time(s)\nDomain-0 0 4096 4 r----- 4221.3\n";

/// A Dom0 in a folder: `list` is what `xl list` prints; `on-<command>` is run instead if it is there.
struct Host(tempfile::TempDir);

impl Host {
    fn new(domains: &str) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        let dir = host.0.path().display();
        host.script(
            "xl",
            &format!(
                "cd {dir}; echo \"$*\" >> asked\n\
                 [ -f on-$1 ] && {{ . ./on-$1; exit; }}\n\
                 case $1 in\n\
                 list) cat list;;\n\
                 destroy) grep -v \"^$2 \" list > new; mv new list;;\n\
                 create) name=$(sed -n 's/^name *= *\"\\(.*\\)\"/\\1/p' \"$2\"); echo \"$name 9 512 1 -b---- 0.1\" >> list;;\n\
                 *) exit 1;;\n\
                 esac"
            ),
        );
        host.domains(domains);
        host.write("vm1.cfg", "# a domain\nname = \"vm1\"\nmemory = 512\n");
        host
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn domains(&self, domains: &str) {
        self.write("list", &format!("{HEADER}{domains}"));
    }

    fn asked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("asked")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn run(&self, more: &str) -> (Exit, String) {
        let dir = self.path().display();
        let text = format!(
            "plug=vm1\nxl_path={dir}/xl\nconfig_dir={dir}\npower_timeout=0.3\nlogin_timeout=2\nshell_timeout=2\n{more}"
        );
        let mut out = Vec::new();
        let around = Surroundings {
            words: &[],
            stdin: &mut text.as_bytes(),
            out: &mut out,
            caller: Caller::Anyone,
            system_log: false,
        };
        (agent::run(&KIND, around).unwrap(), String::from_utf8(out).unwrap())
    }
}

const RUNNING: &str = "vm1 3 512 1 -b---- 10.0\nvm10 4 512 1 r----- 2.5\n";

#[test]
fn off_destroys_and_reads_back_and_touches_no_other_domain() {
    for (action, words) in [("off", "Success: Powered OFF\n"), ("reboot", "Success: Rebooted\n")] {
        let host = Host::new(RUNNING);
        assert_eq!(host.run(&format!("action={action}")), (Exit::Success, words.to_owned()));
        let list = fs::read_to_string(host.path().join("list")).unwrap();
        assert_eq!(list.contains("vm1 "), action == "reboot", "{list}");
        assert!(list.contains("vm10 "));
        assert_eq!(host.asked().iter().filter(|asked| asked.starts_with("destroy")).count(), 1);
    }
}

#[test]
fn what_tends_a_started_domain_outlives_the_agent() {
    let host = Host::new("");
    host.write(
        "on-create",
        "echo 'vm1 9 512 1 -b---- 0.1' >> list; sleep 1000 >/dev/null 2>&1 & echo $! > tends",
    );
    assert_eq!(host.run("action=on").0, Exit::Success);
    let tends = fs::read_to_string(host.path().join("tends")).unwrap();
    let pid = rustix::process::Pid::from_raw(tends.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn off_already_asks_for_nothing() {
    let host = Host::new("vm10 4 512 1 r----- 2.5\n");
    assert_eq!(host.run("action=off"), (Exit::Success, "Success: Already OFF\n".into()));
    assert_eq!(host.asked(), ["list"]);
    assert_eq!(host.run("action=status"), (Exit::StatusOff, "Status: OFF\n".into()));
    assert_eq!(host.run("action=on"), (Exit::Success, "Success: Powered ON\n".into()));
    assert_eq!(host.run("action=status"), (Exit::Success, "Status: ON\n".into()));
}

#[test]
fn a_destroy_that_says_yes_and_does_nothing_is_a_failure() {
    for method in ["onoff", "cycle"] {
        for action in ["off", "reboot"] {
            let host = Host::new(RUNNING);
            host.write("on-destroy", "exit 0");
            assert_eq!(host.run(&format!("action={action}\nmethod={method}")), (Exit::Failed, String::new()));
        }
    }
}

#[test]
fn only_an_authoritative_list_without_it_is_off() {
    let whole = |lines: &str| format!("{HEADER}{lines}");
    for list in [
        String::new(),
        "\n".into(),
        "garbage\n".into(),
        "xend is not running\n".into(),
        "Name ID Mem VCPUs State Time(s)\n".into(),
        "Name ID Mem VCPUs State Time(s)\nvm2 3 512 1 -b---- 1.0\n".into(),
        // Cut short, in a line and at the end of one.
        whole("vm2 3 51"),
        whole("vm2 3 512 1 -b---- 1.0"),
        whole("vm2 3 512 1 -b----\n"),
        whole("vm2 3 512 1 whatever 1.0\n"),
        whole("vm2 three 512 1 -b---- 1.0\n"),
        whole("vm2 3 512 1 b----- 1.0\n"),
        whole("vm2 +3 512 1 -b---- 1.0\n"),
        whole("vm2 3 512 1 -b---- nan\n"),
        whole("vm2 3 512 1 -b---- -1e9\n"),
        // It, or what may be it, is there.
        whole("vm1 3 512 1 ---s-- 1.0\n"),
        whole("vm1 3 512 1 ----c- 1.0\n"),
        whole("vm1 3 512 1 -----d 1.0\n"),
        whole("vm1--incoming 3 512 1 --p--- 1.0\n"),
        whole("vm1--migratedaway 3 512 1 ---s-- 1.0\n"),
        whole("(null) 3 512 1 --p--- 1.0\n"),
    ] {
        let host = Host::new("");
        host.write("list", &list);
        host.write("on-destroy", "exit 0");
        assert_eq!(host.run("action=status"), (Exit::Failed, String::new()), "{list:?}");
        assert_eq!(host.run("action=off"), (Exit::Failed, String::new()), "{list:?}");
    }
}

#[test]
fn a_list_that_fails_or_hangs_is_unknown() {
    for script in ["cat list; exit 1", "cat list; kill -9 $$", "exit 0", "cat list; exec sleep 1000"] {
        let host = Host::new("");
        host.write("on-list", script);
        let quick = "login_timeout=0.1\nshell_timeout=0.1";
        assert_eq!(host.run(&format!("action=off\n{quick}")), (Exit::Failed, String::new()), "{script}");
        assert_eq!(host.run(&format!("action=monitor\n{quick}")), (Exit::Failed, String::new()), "{script}");
    }
    assert_eq!(Host::new("").run("action=off\nxl_path=/nonexistent/xl"), (Exit::Failed, String::new()));
}

#[test]
fn a_name_that_nobody_knows_is_not_off() {
    let host = Host::new(RUNNING);
    assert_eq!(host.run("action=off\nplug=vm2"), (Exit::Failed, String::new()), "a typing error");
    host.write("vm2.cfg", "name = \"other\"\n");
    assert_eq!(host.run("action=off\nplug=vm2"), (Exit::Failed, String::new()), "another's configuration");
    host.write("vm2.cfg", "name='vm2'\n");
    assert_eq!(host.run("action=off\nplug=vm2").0, Exit::Success);
    // Without a configuration it is known once this run has seen it.
    fs::remove_file(host.path().join("vm1.cfg")).unwrap();
    assert_eq!(host.run("action=off"), (Exit::Success, "Success: Powered OFF\n".into()));
    assert_eq!(host.run("action=off"), (Exit::Failed, String::new()));
}

#[test]
fn a_domain_that_comes_back_by_itself_is_not_on_twice_nor_off() {
    let host = Host::new(RUNNING);
    host.write("on-destroy", "exit 0 # it restarts at once: the list never lacks it");
    assert_eq!(host.run("action=off"), (Exit::Failed, String::new()));
}

/// Both hosts through a stand-in for ssh, which runs the command that it is given by a shell.
fn pool(hosts: [&Host; 2]) -> String {
    let [a, b] = hosts;
    let ssh = a.script(
        "ssh",
        &format!(
            "cd {}; echo \"$*\" >> ssh-asked\nwhile [ $# -gt 2 ]; do shift; done\n\
             [ $1 = gone ] && exit 255\n[ $1 = b ] && export PATH={}:$PATH || export PATH={}:$PATH\nexec sh -c \"$2\"",
            a.path().display(),
            b.path().display(),
            a.path().display()
        ),
    );
    format!("ip=a,b\nssh_path={}\nxl_path=xl", ssh.display())
}

#[test]
fn by_ssh_on_every_dom0_and_only_where_the_domain_is() {
    let (a, b) = (Host::new(""), Host::new(RUNNING));
    let by_ssh = pool([&a, &b]);
    assert_eq!(
        a.run(&format!("action=off\n{by_ssh}\nusername=admin\nidentity_file=/k")),
        (Exit::Success, "Success: Powered OFF\n".into())
    );
    assert!(a.asked().iter().all(|asked| asked == "list"));
    assert!(b.asked().contains(&"destroy vm1".to_owned()));
    let words = fs::read_to_string(a.path().join("ssh-asked")).unwrap();
    assert!(words.contains("-o BatchMode=yes") && words.contains("-p 22 -l admin -i /k"), "{words}");
    assert!(words.contains("-- b 'xl' 'destroy' 'vm1'"), "{words}");
}

#[test]
fn a_dom0_that_does_not_answer_may_have_it() {
    let (a, b) = (Host::new(""), Host::new(""));
    let by_ssh = pool([&a, &b]);
    assert_eq!(a.run(&format!("action=off\n{by_ssh}")).0, Exit::Success);
    assert_eq!(a.run(&format!("action=off\n{by_ssh}\nip=a,gone")), (Exit::Failed, String::new()));
}

#[test]
fn it_is_not_started_where_it_cannot_be_seen_that_it_runs_nowhere() {
    let (a, b) = (Host::new(""), Host::new(""));
    let by_ssh = pool([&a, &b]);
    assert_eq!(a.run(&format!("action=on\n{by_ssh}\nip=a,gone")).0, Exit::Failed);
    assert!(!a.asked().iter().any(|asked| asked.starts_with("create")));
    assert_eq!(a.run(&format!("action=on\n{by_ssh}")).0, Exit::Success);
    assert!(a.asked().iter().any(|asked| asked.starts_with("create")));
    assert!(!b.asked().iter().any(|asked| asked.starts_with("create")));
}

#[test]
fn names_that_a_shell_would_read_otherwise_are_refused() {
    let host = Host::new(RUNNING);
    for name in ["vm1;reboot", "$(id)", "-f", "vm 1", "../vm1", "Domain-0", "a'b", "vm1\u{e9}"] {
        let refused = host.run(&format!("action=off\nplug_separator=|\nplug={name}"));
        assert_eq!(refused, (Exit::Failed, String::new()), "{name}");
    }
    assert_eq!(host.run("action=off\nip=-oProxyCommand=x").0, Exit::Failed);
    assert!(host.asked().is_empty());
}

#[test]
fn only_what_is_in_hostlist() {
    let host = Host::new(RUNNING);
    assert_eq!(host.run("action=off\nhostlist=vm10").0, Exit::Failed);
    assert!(host.asked().is_empty());
    let own = host.write("own.config", "name = \"vm1\"\n");
    fs::remove_file(host.path().join("vm1.cfg")).unwrap();
    let listed = format!("hostlist=vm10 vm1:{}", own.display());
    assert_eq!(host.run(&format!("action=reboot\n{listed}")).1, "Success: Rebooted\n");
    assert_eq!(host.run(&format!("action=list-status\n{listed}")).1, "vm1,,ON\nvm10,,ON\n");
}

#[test]
fn several_domains_are_all_off_before_one_is_on() {
    let host = Host::new(RUNNING);
    host.write("vm10.cfg", "name = \"vm10\"\n");
    assert_eq!(host.run("action=reboot\nplug=vm1,vm10").1, "Success: Rebooted\n");
    let orders: Vec<String> = host.asked().into_iter().filter(|asked| asked != "list").collect();
    let dir = host.path().display();
    let expected = [
        "destroy vm1".into(),
        "destroy vm10".into(),
        format!("create {dir}/vm1.cfg"),
        format!("create {dir}/vm10.cfg"),
    ];
    assert_eq!(orders, expected);
}
