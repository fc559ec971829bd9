use crate::config::{ActionMap, Config, TestDepth};
use crate::testing;
use core::time::Duration;
use picket_core::ids::NodeId;
use picket_host::config::Source;

/// The good text with these levels at its end.
fn with(levels: &str) -> Result<Config, String> {
    let text = format!("{}\n{levels}\n", testing::text("n1"));
    Config::parse(&Source::from_text("picketd.toml", &text)).map_err(|errors| errors.to_string())
}

#[test]
fn tests_and_words_of_a_device_are_read() {
    let config = with(
        "[[fence.n2.level]]\nagent = \"/a\"\n[[fence.n2.level]]\nagent = \"/b\"\ntest = \"monitor\"\n\
         actions = { off = \"poweroff\", on = \"none\" }",
    );
    let config = config.unwrap();
    let levels = &config.fencing[&NodeId(2)];
    assert_eq!((levels[0][0].test, &levels[0][0].actions), (TestDepth::Full, &ActionMap::default()));
    assert_eq!(levels[1][0].test, TestDepth::Monitor);
    assert_eq!(levels[1][0].actions, ActionMap { off: "poweroff".to_owned(), on: None });
    assert_eq!(config.test_interval, Some(Duration::from_secs(600)));
}

#[test]
fn a_word_for_off_that_leaves_the_machine_on_is_refused() {
    for word in ["on", "reboot", "cycle", "none"] {
        let told = with(&format!("[[fence.n2.level]]\nagent = \"/a\"\nactions = {{ off = \"{word}\" }}"));
        let told = told.unwrap_err();
        assert!(told.contains("does not leave the machine off"), "{told}");
    }
}

#[test]
fn two_machines_on_one_plug_are_refused() {
    let levels = |two: &str, three: &str| {
        with(&format!(
            "[[fence.n2.level]]\nagent = \"/a\"\noptions = {{ ip = \"10.0.0.9\", plug = \"{two}\" }}\n\
             [[fence.n3.level]]\nagent = \"/a\"\noptions = {{ ip = \"10.0.0.9\", plug = \"{three}\" }}"
        ))
    };
    let told = levels("7", "7").unwrap_err();
    assert!(told.contains("the same device and plug as a level of \"n2\""), "{told}");
    levels("7", "8").unwrap();
}

/// What people copy from the pages of the agents is read without an error.
#[test]
fn the_examples_of_the_pages_are_good() {
    let pages = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/agents");
    let mut examples = 0;
    for page in std::fs::read_dir(pages).unwrap() {
        let path = page.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            // A lab takes agents of others by their path only, and none of them is installed here.
            let levels = block.replace("agent = \"fence_", "agent = \"/usr/sbin/fence_");
            with(&levels).unwrap_or_else(|errors| panic!("{}: {errors}\n{levels}", path.display()));
            examples += 1;
        }
    }
    assert!(examples >= 6, "only {examples} examples");
}
