use super::*;

#[test]
fn what_the_file_says_is_told_from_what_it_does_not() {
    let table: toml::Table =
        "cluster.timing.lease = \"3s\"\n[node]\nname = \"n1\"\n[[fence.n2.level]]\nagent = \"a\"\n[[volume]]\nname = \"v1\"\nid = 1".parse().unwrap();
    assert!(has(&table, "node.name"));
    assert!(has(&table, "cluster.timing.lease"));
    assert!(has(&table, "fence.n2.level[0]"));
    assert!(!has(&table, "fence.n2.level[1]"));
    assert!(!has(&table, "node.run_dir"));
    assert!(has(&table, "volume[v1].id"));
    assert!(!has(&table, "volume[v1].loss_action"));
    assert!(!has(&table, "volume[v2].id"));
    assert!(!has(&table, "node.name.more"));
}
