//! Domains that migrate while the agent looks: from `b`, which is looked at after `a` in every round.

use super::*;

/// Two Dom0s with the options to reach both, of which `b` answers each time only after `a` did. Each time
/// `b` runs `meanwhile` before it answers, in its folder, with `$a` for that of `a` and `$look` for how
/// often it was asked.
fn after_each_other(on_a: &str, on_b: &str, meanwhile: &str) -> (Host, Host, String) {
    let (a, b) = (Host::new(on_a), Host::new(on_b));
    let by_ssh = pool([&a, &b]);
    a.write("answered", "");
    a.write("on-list", "cat list; echo >> answered");
    b.write(
        "on-list",
        &format!(
            "a={}; look=$(grep -c list asked)\n\
             while [ $(wc -l < $a/answered) -lt $look ]; do sleep 0.01; done\n{meanwhile}\ncat list",
            a.path().display()
        ),
    );
    (a, b, by_ssh)
}

fn destroyed(host: &Host) -> bool {
    host.asked().contains(&"destroy vm1".to_owned())
}

/// The domain goes from `b` to `a`, where it has this name.
fn goes(name: &str) -> String {
    format!("echo '{name} 9 512 1 -b---- 0.1' >> $a/list; grep -v '^vm1 ' list > new; mv new list")
}

#[test]
fn a_domain_that_migrates_between_two_looks_is_not_off() {
    for (action, exit, words) in [
        ("status", Exit::Success, "Status: ON\n"),
        ("off", Exit::Success, "Success: Powered OFF\n"),
        ("reboot", Exit::Success, "Success: Rebooted\n"),
        ("on", Exit::Success, "Success: Already ON\n"),
        ("list-status", Exit::Success, "vm1,,ON\n"),
    ] {
        // list-status asks once more than the others: for the names.
        let look = if action == "list-status" { 2 } else { 1 };
        let meanwhile = format!("[ $look = {look} ] && {{ {}; }}", goes("vm1"));
        let (a, b, by_ssh) = after_each_other("", "vm1 3 512 1 -b---- 10.0\n", &meanwhile);
        assert_eq!(a.run(&format!("action={action}\n{by_ssh}")), (exit, words.to_owned()), "{action}");
        assert_eq!(destroyed(&a), action == "off" || action == "reboot", "{action}");
        assert!(!destroyed(&b), "{action}");
    }
}

#[test]
fn a_domain_that_migrates_while_it_is_read_back_is_not_off() {
    for action in ["off", "reboot"] {
        let meanwhile = format!("[ -e destroying ] && {{ rm destroying; {}; }}", goes("vm1"));
        let (a, b, by_ssh) = after_each_other("", "vm1 3 512 1 -b---- 10.0\n", &meanwhile);
        b.write("on-destroy", "touch destroying; exit 0");
        assert_eq!(a.run(&format!("action={action}\n{by_ssh}")), (Exit::Failed, String::new()), "{action}");
        assert!(destroyed(&b) && fs::read_to_string(a.path().join("list")).unwrap().contains("vm1 "));
    }
}

#[test]
fn a_domain_whose_name_says_that_it_migrates_is_not_off() {
    for name in ["vm1--incoming", "vm1--migratedaway"] {
        let there = format!("{name} 9 512 1 --p--- 0.1\n");
        let second = format!("[ $look = 1 ] && {{ {}; }}", goes(name));
        for (on_a, on_b, meanwhile) in
            [(there.as_str(), "", ""), ("", there.as_str(), ""), ("", "vm1 3 512 1 -b---- 10.0\n", &second)]
        {
            for action in ["status", "off", "reboot", "on"] {
                let (a, b, by_ssh) = after_each_other(on_a, on_b, meanwhile);
                let none = (Exit::Failed, String::new());
                assert_eq!(a.run(&format!("action={action}\n{by_ssh}")), none, "{action} {name}");
                let orders = [a.asked(), b.asked()].concat();
                assert!(orders.iter().all(|order| order == "list"), "{action} {name}: {orders:?}");
            }
        }
    }
}

#[test]
fn a_domain_that_was_on_its_way_is_destroyed_where_it_arrives() {
    // Asked for before off, then to find what to destroy, then after it.
    let meanwhile = "[ $look = 3 ] && { sed 's/--incoming//' list > new; mv new list; \
                     grep -v away $a/list > $a/new; mv $a/new $a/list; }";
    let (a, b, by_ssh) = after_each_other(
        "vm1--migratedaway 3 512 1 ---s-- 10.0\n",
        "vm1--incoming 9 512 1 --p--- 0.1\n",
        meanwhile,
    );
    let powered_off = (Exit::Success, "Success: Powered OFF\n".to_owned());
    assert_eq!(a.run(&format!("action=off\n{by_ssh}\npower_timeout=5")), powered_off);
    assert!(destroyed(&b) && !destroyed(&a));
}

#[test]
fn off_takes_two_rounds_where_a_domain_can_migrate_and_one_where_it_cannot() {
    let (a, b, by_ssh) = after_each_other("", "", "");
    for (ip, looks) in [("a,b", 2), ("b", 1)] {
        b.write("asked", "");
        assert_eq!(a.run(&format!("action=status\n{by_ssh}\nip={ip}")).0, Exit::StatusOff);
        assert_eq!(b.asked(), vec!["list"; looks], "{ip}");
    }
}
