use super::is_in_group;

const STATUS: &str = "Name:\tGroups:\\n5\nUid:\t5\t5\t5\t5\nGroups:\t4 27 1000 \nNStgid:\t5\n";

#[test]
fn a_process_is_in_the_groups_that_its_line_names_whole() {
    assert!([4, 27, 1000].iter().all(|group| is_in_group(STATUS, *group)));
    assert!([0, 5, 100].iter().all(|group| !is_in_group(STATUS, *group)));
    assert!(!is_in_group("", 4) && !is_in_group("Groups:\t\n", 0));
    assert!(!is_in_group("Groups:\t+4 04 \n", 4), "the kernel writes no such number");
    let cut = STATUS.find("1000").unwrap() + 3;
    assert!(!is_in_group(&STATUS[..cut], 100), "cut off within the number");
}
