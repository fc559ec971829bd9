use super::*;
use clap::CommandFactory;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"picket").chain(words))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn fence_takes_a_node_or_shows_the_history() {
    assert!(parse(&["fence"]).is_err());
    let Verb::Fence(fence) = parse(&["fence", "n1", "--reason", "burns"]).unwrap().verb else { panic!() };
    assert_eq!((fence.node.as_deref(), fence.reason.as_str()), (Some("n1"), "burns"));
    let Verb::Fence(fence) = parse(&["fence", "history", "n2"]).unwrap().verb else { panic!() };
    assert!(matches!(fence.verb, Some(FenceVerb::History { node: Some(node), .. }) if node == "n2"));
}

#[test]
fn an_override_needs_who_is_dead_and_for_how_long() {
    assert!(parse(&["override", "v1", "--for", "1h"]).is_err());
    assert!(parse(&["override", "v1", "--dead", "n1"]).is_err());
    let cli = parse(&["override", "v1", "--dead", "n1", "n3", "--for", "1h"]).unwrap();
    let Verb::Override(args) = cli.verb else { panic!() };
    assert_eq!((args.dead, args.length), (vec!["n1".to_owned(), "n3".to_owned()], Duration::from_secs(3600)));
}

#[test]
fn a_maintenance_has_a_length_or_an_end() {
    let length = |text| match parse(&["maintenance", "n1", text]).map(|cli| cli.verb) {
        Ok(Verb::Maintenance { length, .. }) => Some(length),
        Ok(_) | Err(_) => None,
    };
    assert_eq!(length("end"), Some(MaintenanceLength::End));
    assert_eq!(length("90s"), Some(MaintenanceLength::For(Duration::from_secs(90))));
    assert_eq!(length("0s"), None, "a maintenance of no time would silently end one");
    assert_eq!(length("90"), None, "a number without a unit");
}

#[test]
fn keep_running_alone_takes_a_length() {
    assert!(parse(&["stop", "--for", "1h"]).is_err());
    assert!(parse(&["stop", "--keep-running", "--for", "1h"]).is_ok());
}

#[test]
fn a_stop_says_one_thing_of_the_volumes() {
    for both in
        [["--stay", "--switch-over"], ["--stay", "--keep-running"], ["--switch-over", "--keep-running"]]
    {
        assert!(parse(&["stop", both[0], both[1]]).is_err(), "{both:?}");
        for one in both {
            assert!(parse(&["stop", one]).is_ok(), "{one}");
        }
    }
}

#[test]
fn the_help_names_the_exit_statuses() {
    assert!(Cli::command().render_long_help().to_string().contains("Exit status:"));
}
