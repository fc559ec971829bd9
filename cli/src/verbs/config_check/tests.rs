use super::*;

#[test]
fn a_witness_file_is_known_by_its_list_of_clusters() {
    assert_eq!(Kind::of("listen = \"a\"\n[[cluster]]\nname = \"east\""), Kind::Witness);
    assert_eq!(Kind::of("[node]\nname = \"n1\"\n[cluster]\nname = \"east\""), Kind::Node);
}

#[test]
fn a_witness_file_that_lost_its_clusters_is_still_one() {
    assert_eq!(Kind::of("listen = \"a\"\nstate = \"b\""), Kind::Witness);
}

#[test]
fn a_broken_file_is_told_as_broken() {
    let source = Source::from_text("f.toml", "[node\n");
    assert_eq!(Kind::of("[node\n"), Kind::Node);
    assert!(picket_node::config::Config::parse(&source).is_err());
}
